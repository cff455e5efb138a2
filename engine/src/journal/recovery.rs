//! What an open finds in a journal: the last checkpoint that fits it, the events after that, and perhaps an interrupted write.
//!
//! Every record is judged; only those after the checkpoint are decoded. Nothing is changed before the whole journal has been found
//! good: then a torn tail is cut, and that is all.

use std::io;
use std::path::PathBuf;

use engine_core::id::{Epoch, Sequence, Timestamp};
use engine_core::run::Recorded;

use super::checkpoint::{Checkpoint, Checkpointed, Checkpoints};
use super::error::JournalError;
use super::layout::RunDir;
use super::log_file::{LogFile, ReadFrom};
use super::record::{FORMAT, Position, Refused};
use super::scan::{Next, Scan};
use crate::disk::failpoint;

/// The content of a journal when it was opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovery<S> {
    /// The folded state that the events below continue; without one they begin with the run.
    pub checkpoint: Option<S>,
    pub events: Vec<Recorded>,
    /// The last record; without one the run was created but never started.
    pub last: Option<LastRecord>,
    /// What was cut from the end.
    pub torn_tail: Option<TornTail>,
    /// What a person should be told, such as that checkpoints were moved aside.
    pub notes: Vec<String>,
}

/// Where a journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRecord {
    pub sequence: Sequence,
    pub epoch: Epoch,
    pub time: Timestamp,
}

/// An interrupted write. Nobody was told that it was durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TornTail {
    /// The last record that is whole.
    pub after: Sequence,
    pub bytes: u64,
}

impl std::fmt::Display for TornTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TornTail { after, bytes } = self;
        write!(
            f,
            "{bytes} bytes of an interrupted write after record {} were cut; nothing that had been reported was in them",
            after.0
        )
    }
}

/// What an opening goes on from.
pub(super) struct Recovered<S> {
    pub end: Position,
    /// The checkpoint that is used.
    pub checkpointed: Checkpointed,
    pub found: Recovery<S>,
}

/// Judges the journal and cuts a torn tail.
pub(super) fn recover<S>(
    run: &RunDir,
    file: &mut dyn LogFile,
    checkpoints: &mut Checkpoints,
    decode: impl FnOnce(&[u8]) -> Result<S, String>,
) -> Result<Recovered<S>, JournalError> {
    let mut notes = Vec::new();
    let stored = match checkpoints.latest() {
        Ok(Some(checkpoint)) => decode(&checkpoint.state)
            .map(|state| Some((state, checkpoint)))
            .map_err(|reason| format!("the folded state cannot be read: {reason}")),
        Ok(None) => Ok(None),
        Err(reason) => Err(reason),
    };
    let mut stored = stored.unwrap_or_else(|reason| {
        notes.push(moved_aside(checkpoints, &reason));
        None
    });

    let walk = match Walk::of(run, file, stored.as_ref().map(|(_, checkpoint)| checkpoint))? {
        Ok(walk) => walk,
        Err(misfit) => {
            stored = None;
            notes.push(moved_aside(checkpoints, &misfit.to_string()));
            Walk::of(run, file, None)?.expect("without a checkpoint there is none that could not fit")
        }
    };
    if walk.torn_tail.is_some() {
        cut(file, walk.end.offset).map_err(|error| JournalError::io(&run.journal(), "cut", error))?;
    }

    let checkpointed = stored.as_ref().map(|(_, checkpoint)| Checkpointed::by(checkpoint)).unwrap_or_default();
    let found = Recovery {
        checkpoint: stored.map(|(state, _)| state),
        events: walk.events,
        last: walk.last,
        torn_tail: walk.torn_tail,
        notes,
    };
    Ok(Recovered { end: walk.end, checkpointed, found })
}

fn cut(file: &mut dyn LogFile, len: u64) -> io::Result<()> {
    failpoint!("journal-cut-before");
    file.truncate(len)?;
    file.sync_data()?;
    failpoint!("journal-cut-after");
    Ok(())
}

fn moved_aside(checkpoints: &mut Checkpoints, reason: &str) -> String {
    match checkpoints.move_aside() {
        Ok(to) => {
            let name = PathBuf::from(to.file_name().unwrap_or_default());
            format!(
                "the checkpoints were moved aside to `{}` ({reason}); they were computed again from the journal, nothing is lost",
                name.display()
            )
        }
        Err(error) => format!(
            "the checkpoints cannot be used ({reason}) nor moved aside ({error}); the journal was read instead, nothing is lost"
        ),
    }
}

/// Why a checkpoint is not one of the journal beside it.
#[derive(Debug, thiserror::Error)]
enum Misfit {
    #[error("they follow record {checkpoint}, but the journal ends at {end}: was an older journal put back?")]
    Ahead { checkpoint: u64, end: u64 },
    #[error("they do not belong to this journal")]
    Foreign,
}

/// One pass over a journal.
struct Walk {
    end: Position,
    events: Vec<Recorded>,
    last: Option<LastRecord>,
    torn_tail: Option<TornTail>,
}

impl Walk {
    /// Events are decoded after the checkpoint only.
    fn of(run: &RunDir, file: &dyn LogFile, after: Option<&Checkpoint>) -> Result<Result<Walk, Misfit>, JournalError> {
        let path = run.journal();
        let mut scan = Scan::from(Position::start(run.id()), ReadFrom::start(file));
        let (mut events, mut last, mut torn_tail) = (Vec::new(), None, None);
        loop {
            let at_record = scan.position().sequence + 1;
            match scan.next().map_err(|error| JournalError::io(&path, "read", error))? {
                Next::Record(envelope) => {
                    last = Some(LastRecord {
                        sequence: Sequence(envelope.sequence),
                        epoch: Epoch(envelope.epoch),
                        time: Timestamp(envelope.time),
                    });
                    if after.is_none_or(|checkpoint| envelope.sequence > checkpoint.sequence) {
                        events.push(envelope.decode(run.id()).map_err(|source| JournalError::UnknownEvent {
                            path: path.clone(),
                            at_record,
                            source: source.into(),
                        })?);
                    }
                }
                Next::End => break,
                Next::Torn { bytes } => {
                    torn_tail = Some(TornTail { after: Sequence(at_record - 1), bytes });
                    break;
                }
                Next::Refused(refused) => return Err(refusal(run, at_record, refused)),
            }
            if after.is_some_and(|checkpoint| checkpoint.sequence == at_record && !checkpoint.fits(scan.position())) {
                return Ok(Err(Misfit::Foreign));
            }
        }
        let end = scan.position();
        match after {
            Some(Checkpoint { sequence, .. }) if *sequence > end.sequence => {
                Ok(Err(Misfit::Ahead { checkpoint: *sequence, end: end.sequence }))
            }
            _ => Ok(Ok(Walk { end, events, last, torn_tail })),
        }
    }
}

pub(super) fn refusal(run: &RunDir, at_record: u64, refused: Refused) -> JournalError {
    let path = run.journal();
    match refused {
        Refused::Damaged(damage) => JournalError::Corrupt { path, at_record, damage },
        Refused::Newer { format } => JournalError::NewerFormat { path, at_record, found: format, newest: FORMAT },
    }
}
