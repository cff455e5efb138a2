//! [`FileJournal`]: a journal in the state directory, with one owner that encodes and one thread that writes.
//!
//! Encoding happens where `append` is called. The owner thereby knows every sequence, offset and checksum at once, and may be
//! told that a record is too large before anything depends on it; the thread behind it only writes bytes.

use engine_core::id::{Epoch, Sequence, Timestamp};
use engine_core::limits::EVENT_BYTES_MAX;
use engine_core::run::{self, Event};
use tokio::sync::oneshot;

use super::checkpoint::{Checkpoint, Checkpointed, Checkpoints};
use super::committer::{Committer, Message, Write};
use super::error::JournalError;
use super::layout::RunDir;
use super::lock::HeldLock;
use super::log_file::{DiskFile, LogFile};
use super::record::Position;
use super::recovery::{self, Recovered, Recovery};
use super::{Journal, Receipt};

/// The journal of one run, open for writing. Dropping it waits until what was appended has been written.
pub struct FileJournal {
    position: Position,
    committer: Committer,
    checkpointed: Checkpointed,
}

impl FileJournal {
    /// The journal of a new run. Its directory exists (see [`RunDir::create`]) and holds the plan. The lock that allows this must
    /// be held as long as the journal is open.
    pub fn create(run: &RunDir, _lock: &HeldLock) -> Result<FileJournal, JournalError> {
        let path = run.journal();
        let file = DiskFile::create(&path).map_err(|error| JournalError::io(&path, "created", error))?;
        let position = Position { epoch: 1, ..Position::start(run.id()) };
        FileJournal::start(run, Box::new(file), Checkpoints::at(run.checkpoints()), position, 0)
    }

    /// Continues a run under the next epoch, and says what was found. `decode` makes a folded state of a checkpoint's bytes;
    /// when it refuses, the whole journal is decoded instead. The lock must be held as long as the journal is open.
    pub fn open<S>(
        run: &RunDir,
        _lock: &HeldLock,
        decode: impl FnOnce(&[u8]) -> Result<S, String>,
    ) -> Result<(FileJournal, Recovery<S>), JournalError> {
        let path = run.journal();
        let file = DiskFile::open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => JournalError::NoSuchRun { run: run.id().to_string() },
            _ => JournalError::io(&path, "opened", error),
        })?;
        FileJournal::open_file(run, Box::new(file), decode)
    }

    pub(super) fn open_file<S>(
        run: &RunDir,
        mut file: Box<dyn LogFile>,
        decode: impl FnOnce(&[u8]) -> Result<S, String>,
    ) -> Result<(FileJournal, Recovery<S>), JournalError> {
        let mut checkpoints = Checkpoints::at(run.checkpoints());
        let Recovered { end, checkpointed, found } = recovery::recover(run, file.as_mut(), &mut checkpoints, decode)?;
        let position = Position { epoch: end.epoch + 1, ..end };
        let journal = FileJournal::start(run, file, checkpoints, position, end.sequence)?;
        Ok((FileJournal { checkpointed, ..journal }, found))
    }

    fn start(
        run: &RunDir,
        file: Box<dyn LogFile>,
        checkpoints: Checkpoints,
        position: Position,
        durable: u64,
    ) -> Result<FileJournal, JournalError> {
        let path = run.journal();
        let committer = Committer::start(path.clone(), file, checkpoints, durable)
            .map_err(|error| JournalError::io(&path, "given a thread", error))?;
        Ok(FileJournal { position, committer, checkpointed: Checkpointed::default() })
    }

    /// Encodes the batch and gives it to the committer, unless it is refused.
    fn hand(&mut self, batch: &[Event], time: Timestamp, give: impl FnOnce(&mut Committer, Write)) -> Receipt {
        let durable = self.committer.durable();
        let mut next = self.position;
        let mut bytes = Vec::with_capacity(256 * batch.len());
        for event in batch {
            if let Err(too_large) = next.encode(event, time, durable, &mut bytes) {
                let error = JournalError::TooLarge {
                    event: run::name(event),
                    bytes: too_large.bytes,
                    bytes_max: EVENT_BYTES_MAX,
                };
                return Receipt::known(Sequence(self.position.sequence), Err(error));
            }
        }
        self.position = next;
        let (answer, answered) = oneshot::channel();
        give(&mut self.committer, Write { bytes, last: next.sequence, answer });
        Receipt::waiting(Sequence(next.sequence), answered)
    }
}

impl Journal for FileJournal {
    fn append(&mut self, batch: &[Event], time: Timestamp) -> Receipt {
        self.hand(batch, time, |committer, write| committer.send(Message::Write(write)))
    }

    fn append_here(&mut self, batch: &[Event], time: Timestamp) -> Receipt {
        self.hand(batch, time, Committer::write_here)
    }

    fn epoch(&self) -> Epoch {
        Epoch(self.position.epoch)
    }

    fn checkpoint_due(&self) -> bool {
        self.checkpointed.is_next_due(self.position.offset)
    }

    fn checkpoint(&mut self, state: Vec<u8>) {
        let checkpoint = Checkpoint::new(self.position, state);
        self.checkpointed = Checkpointed::by(&checkpoint);
        self.committer.send(Message::Checkpoint(checkpoint));
    }
}
