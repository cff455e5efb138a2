//! Folded states in sled, so that an open need not decode a whole journal. All of it can be computed again: whatever looks wrong
//! is moved aside and forgotten.
//!
//! One state at a time: a head that says which record it follows, and the state in pieces. sled's own promises are not relied on
//! (`mod.rs` says why): the head carries a digest of the state and the place in the journal's checksum chain, and only a state
//! that fits both is used. Values stay far below the size at which sled moves them into files of their own, which it does not
//! flush. Every call into sled runs on a thread of its own, because it answers some damage with a panic.

use std::path::{Path, PathBuf};

use engine_core::id::Digest;
use serde::{Deserialize, Serialize};

use super::record::Position;
use crate::disk;

/// The folded state after a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// The record that it follows.
    pub sequence: u64,
    /// Where that record ends in the file.
    pub offset: u64,
    /// Its checksum, which depends on everything before it.
    pub crc: u32,
    pub state: Vec<u8>,
}

/// Where the last checkpoint lies and how large it is, to tell when the next is due. Without one: at the start.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Checkpointed {
    offset: u64,
    bytes: u64,
}

/// A checkpoint is not worth its cost before this much has been written: decoding it again takes about 15 ms, opening sled 20.
const JOURNAL_BYTES_MIN: u64 = 4 << 20;
/// The journal grows by at least so many times the size of a state before the next is stored.
const STATES_APART: u64 = 2;

impl Checkpointed {
    pub(super) fn by(checkpoint: &Checkpoint) -> Checkpointed {
        Checkpointed { offset: checkpoint.offset, bytes: checkpoint.state.len() as u64 }
    }

    pub(super) fn is_next_due(self, offset: u64) -> bool {
        offset - self.offset >= JOURNAL_BYTES_MIN.max(STATES_APART * self.bytes)
    }
}

/// The store of one run. Opened when it is first needed: a short run never pays for it.
#[derive(Debug)]
pub(super) struct Checkpoints {
    directory: PathBuf,
    db: Db,
}

#[derive(Debug)]
enum Db {
    Closed,
    Open(sled::Db),
    /// Something went wrong, and this process does not try again.
    Off,
}

/// Raised when a head can no longer be read as before.
const HEAD_FORMAT: u32 = 1;
const HEAD: &[u8] = b"head";
const PIECE_BYTES: usize = 64 << 10;
const CACHE_BYTES: u64 = 4 << 20;
/// How many damaged stores are kept for someone to look at; a crash loop must not fill the disk.
const KEPT_ASIDE_MAX: usize = 3;

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    format: u32,
    sequence: u64,
    offset: u64,
    crc: u32,
    digest: Digest,
    pieces: u32,
}

impl Checkpoint {
    /// Of everything before `at`.
    pub(super) fn new(at: Position, state: Vec<u8>) -> Checkpoint {
        Checkpoint { sequence: at.sequence, offset: at.offset, crc: at.crc, state }
    }

    /// Whether it was made of the journal that has this position.
    pub(super) fn fits(&self, position: Position) -> bool {
        (self.sequence, self.offset, self.crc) == (position.sequence, position.offset, position.crc)
    }
}

/// Why a store is of no use, in words.
pub(super) type Unusable = String;

impl Checkpoints {
    pub(super) fn at(directory: PathBuf) -> Checkpoints {
        Checkpoints { directory, db: Db::Closed }
    }

    /// The stored state, if there is one. `Err`: there is something, but it cannot be used.
    pub(super) fn latest(&mut self) -> Result<Option<Checkpoint>, Unusable> {
        if !self.directory.exists() {
            return Ok(None);
        }
        let db = self.open()?;
        contain(move || read(&db))
    }

    /// Replaces the stored state.
    pub(super) fn store(&mut self, checkpoint: &Checkpoint) {
        if matches!(self.db, Db::Off) {
            return;
        }
        if let Err(reason) = self.try_store(checkpoint) {
            tracing::warn!(directory = %self.directory.display(), reason, "no more checkpoints in this run; a resume will take longer");
            self.db = Db::Off;
        }
    }

    /// Puts a store that cannot be used out of the way, so that a new one can be made. Returns where it went.
    pub(super) fn move_aside(&mut self) -> Result<PathBuf, Unusable> {
        self.db = Db::Closed;
        let name = self.directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let numbered = |n: usize| self.directory.with_file_name(format!("{name}.corrupt-{n}"));
        let free = (1..=KEPT_ASIDE_MAX).map(numbered).find(|path| !path.exists());
        let to = free.unwrap_or_else(|| numbered(KEPT_ASIDE_MAX));
        let moved = (|| {
            if to.exists() {
                remove(&to)?;
            }
            std::fs::rename(&self.directory, &to)?;
            disk::sync_directory(disk::parent_of(&self.directory))
        })();
        if let Err(error) = moved {
            self.db = Db::Off;
            return Err(error.to_string());
        }
        Ok(to)
    }

    fn try_store(&mut self, checkpoint: &Checkpoint) -> Result<(), Unusable> {
        let db = self.open()?;
        let state = &checkpoint.state;
        let head = Head {
            format: HEAD_FORMAT,
            sequence: checkpoint.sequence,
            offset: checkpoint.offset,
            crc: checkpoint.crc,
            digest: Digest::of_bytes(state),
            pieces: u32::try_from(state.len().div_ceil(PIECE_BYTES)).map_err(|_| "the state is too large")?,
        };
        std::thread::scope(|scope| finish(scope.spawn(move || write(&db, &head, state))))
    }

    fn open(&mut self) -> Result<sled::Db, Unusable> {
        match &self.db {
            Db::Open(db) => Ok(db.clone()),
            Db::Off => Err("an earlier attempt failed".into()),
            Db::Closed => {
                let directory = self.directory.clone();
                let db = contain(move || {
                    disk::make_directory(&directory).map_err(|error| error.to_string())?;
                    let config = sled::Config::new().path(directory).cache_capacity(CACHE_BYTES).flush_every_ms(None);
                    config.open().map_err(|error| error.to_string())
                })?;
                self.db = Db::Open(db.clone());
                Ok(db)
            }
        }
    }
}

fn read(db: &sled::Db) -> Result<Option<Checkpoint>, Unusable> {
    let text = |error: sled::Error| error.to_string();
    let Some(head) = db.get(HEAD).map_err(text)? else {
        return Ok(None);
    };
    let head: Head = serde_json::from_slice(&head).map_err(|error| format!("its head cannot be read: {error}"))?;
    if head.format != HEAD_FORMAT {
        return Err(format!("its format is {}, and this program reads format {HEAD_FORMAT}", head.format));
    }
    let mut state = Vec::new();
    for piece in 0..head.pieces {
        state.extend_from_slice(&db.get(key(piece)).map_err(text)?.ok_or("a piece of the state is missing")?);
    }
    if Digest::of_bytes(&state) != head.digest {
        return Err("the digest of the state does not fit".into());
    }
    Ok(Some(Checkpoint { sequence: head.sequence, offset: head.offset, crc: head.crc, state }))
}

fn write(db: &sled::Db, head: &Head, state: &[u8]) -> Result<(), Unusable> {
    let mut batch = sled::Batch::default();
    for (piece, bytes) in (0..).zip(state.chunks(PIECE_BYTES)) {
        batch.insert(&key(piece), bytes);
    }
    batch.insert(HEAD, serde_json::to_vec(head).map_err(|error| error.to_string())?);
    db.apply_batch(batch).map_err(|error| error.to_string())?;
    // Without a flush the state would stay in sled's memory and be gone after just the crash it is for.
    db.flush().map(drop).map_err(|error| error.to_string())
}

fn key(piece: u32) -> [u8; 4] {
    piece.to_be_bytes()
}

/// Runs a call into sled where a panic of sled ends only that call.
fn contain<T: Send + 'static>(call: impl FnOnce() -> Result<T, Unusable> + Send + 'static) -> Result<T, Unusable> {
    std::thread::scope(|scope| finish(scope.spawn(call)))
}

fn finish<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T, Unusable>>) -> Result<T, Unusable> {
    thread.join().unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("sled panicked: {}", said.unwrap_or("without a word")))
    })
}

fn remove(path: &Path) -> std::io::Result<()> {
    if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::testing::{assert_records, event, events, lock, new_run, time};
    use crate::journal::{FileJournal, Journal as _, Recovery, RunDir};

    fn open(run: &RunDir) -> (FileJournal, Recovery<Vec<u8>>) {
        FileJournal::open(run, &lock(run), |state| Ok(state.to_vec())).unwrap()
    }

    /// Ten records, and the state `eight` after the eighth.
    fn with_checkpoint() -> (tempfile::TempDir, RunDir) {
        let (dir, run) = new_run();
        let mut journal = FileJournal::create(&run, &lock(&run)).unwrap();
        journal.append(&events(1, 8), time(8)).wait().unwrap();
        journal.checkpoint(b"eight".to_vec());
        journal.append(&events(9, 10), time(10)).wait().unwrap();
        (dir, run)
    }

    /// The whole journal was decoded, and what could not be used went where a person finds it.
    fn assert_rebuilt(run: &RunDir, found: &Recovery<Vec<u8>>, says: &str) {
        assert_eq!(found.checkpoint, None);
        assert_eq!(found.events.len(), 10);
        assert_records(1, &found.events);
        assert_eq!(found.notes.len(), 1);
        assert!(found.notes[0].contains("moved aside to `checkpoints.corrupt-1`"), "{:?}", found.notes);
        assert!(found.notes[0].contains(says), "{:?}", found.notes);
        assert!(run.path().join("checkpoints.corrupt-1").exists());
    }

    #[test]
    fn events_are_decoded_only_after_the_checkpoint() {
        let (_dir, run) = with_checkpoint();
        let (mut journal, found) = open(&run);
        assert_eq!(found.checkpoint.as_deref(), Some(&b"eight"[..]));
        assert_eq!(found.events.len(), 2);
        assert_records(9, &found.events);
        assert_eq!(found.notes, Vec::<String>::new());

        // A state of many pieces replaces one of a few, and the other way round.
        for state in [vec![b'x'; 5 * PIECE_BYTES + 1], vec![b'y'; PIECE_BYTES], Vec::new()] {
            journal.append(&[event(11)], time(11)).wait().unwrap();
            journal.checkpoint(state.clone());
            drop(journal);
            let found;
            (journal, found) = open(&run);
            assert_eq!(found.checkpoint, Some(state));
            assert_eq!(found.events, []);
        }
    }

    #[test]
    fn a_checkpoint_straight_after_an_open_fits_although_the_epoch_has_risen() {
        let (_dir, run) = with_checkpoint();
        let (mut journal, _) = open(&run);
        journal.checkpoint(b"ten".to_vec());
        drop(journal);
        let (_, found) = open(&run);
        assert_eq!(found.checkpoint.as_deref(), Some(&b"ten"[..]));
        assert_eq!(found.notes, Vec::<String>::new());
    }

    #[test]
    fn deleting_the_checkpoints_loses_nothing() {
        let (_dir, run) = with_checkpoint();
        std::fs::remove_dir_all(run.checkpoints()).unwrap();
        let (_, found) = open(&run);
        assert_records(1, &found.events);
        assert_eq!((found.events.len(), found.checkpoint, found.notes), (10, None, vec![]));
    }

    #[test]
    fn a_store_that_cannot_be_read_is_moved_aside_and_made_again() {
        type Harm = fn(&Path);
        let cases: [(&str, Harm); 4] = [
            ("not a directory", |path| {
                std::fs::remove_dir_all(path).unwrap();
                std::fs::write(path, "a file").unwrap();
            }),
            ("its configuration is garbage", |path| std::fs::write(path.join("conf"), [0xFF; 100]).unwrap()),
            ("its log is garbage", |path| {
                let len = path.join("db").metadata().unwrap().len() as usize;
                std::fs::write(path.join("db"), vec![0xA5; len]).unwrap();
            }),
            ("its log is a directory", |path| {
                std::fs::remove_file(path.join("db")).unwrap();
                std::fs::create_dir(path.join("db")).unwrap();
            }),
        ];
        for (name, harm) in cases {
            let (_dir, run) = with_checkpoint();
            harm(&run.checkpoints());
            let (mut journal, found) = open(&run);
            assert_records(1, &found.events);
            assert_eq!((found.events.len(), found.checkpoint), (10, None), "{name}");
            // sled takes some damage for an empty store, which is as good.
            let aside = run.path().join("checkpoints.corrupt-1").exists();
            assert_eq!(aside, !found.notes.is_empty(), "{name}: {:?}", found.notes);

            journal.checkpoint(b"again".to_vec());
            drop(journal);
            assert_eq!(open(&run).1.checkpoint.as_deref(), Some(&b"again"[..]), "{name}");
        }
    }

    #[test]
    fn a_state_that_does_not_fit_its_digest_is_not_used() {
        let (_dir, run) = with_checkpoint();
        let db = sled::open(run.checkpoints()).unwrap();
        db.insert(key(0), b"Eight").unwrap();
        drop(db);
        assert_rebuilt(&run, &open(&run).1, "the digest of the state does not fit");
    }

    #[test]
    fn a_checkpoint_ahead_of_the_journal_is_not_used() {
        let (_dir, run) = with_checkpoint();
        let whole = std::fs::read(run.journal()).unwrap();
        let (mut journal, _) = open(&run);
        journal.append(&events(11, 12), time(12)).wait().unwrap();
        journal.checkpoint(b"twelve".to_vec());
        drop(journal);
        std::fs::write(run.journal(), whole).unwrap();
        assert_rebuilt(&run, &open(&run).1, "they follow record 12, but the journal ends at 10");
    }

    #[test]
    fn the_checkpoint_of_another_journal_is_not_used() {
        let (_dir, run) = with_checkpoint();
        let (_other_dir, other) = new_run();
        let mut journal = FileJournal::create(&other, &lock(&other)).unwrap();
        journal.append(&events(2, 11), time(1)).wait().unwrap();
        journal.checkpoint(b"other".to_vec());
        drop(journal);
        std::fs::remove_dir_all(run.checkpoints()).unwrap();
        std::fs::rename(other.checkpoints(), run.checkpoints()).unwrap();
        assert_rebuilt(&run, &open(&run).1, "they do not belong to this journal");
    }

    #[test]
    fn a_state_that_the_program_cannot_decode_is_not_used() {
        let (_dir, run) = with_checkpoint();
        let refuse = |_: &[u8]| Err("a field of a later version".to_owned());
        let (_, found) = FileJournal::open(&run, &lock(&run), refuse).unwrap();
        assert_rebuilt(&run, &found, "the folded state cannot be read: a field of a later version");
    }

    #[test]
    fn a_loop_of_damage_does_not_fill_the_disk() {
        let (_dir, run) = with_checkpoint();
        for _ in 0..KEPT_ASIDE_MAX + 3 {
            let refuse = |_: &[u8]| Err::<(), _>("no".to_owned());
            let (mut journal, _) = FileJournal::open(&run, &lock(&run), refuse).unwrap();
            journal.checkpoint(b"again".to_vec());
        }
        let names =
            std::fs::read_dir(run.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.starts_with("checkpoints.corrupt-")).count(), KEPT_ASIDE_MAX);
    }

    #[test]
    fn a_panic_of_sled_is_an_error_in_words() {
        let said = contain::<()>(|| panic!("a page is {}", "missing")).unwrap_err();
        assert_eq!(said, "sled panicked: a page is missing");
    }

    /// Whatever the size of the state, checkpoints write less than the journal does.
    #[test]
    fn checkpoints_cost_less_than_the_journal() {
        let (mut last, mut written, mut stored) = (Checkpointed::default(), 0, 0);
        let mut journal = 0;
        for batch in 1..2_000_u64 {
            journal += 25_000;
            if last.is_next_due(journal) {
                // It grows with the run, and is not much smaller than the journal.
                let at = Position { offset: journal, ..Position::start(&"checked".parse().unwrap()) };
                let checkpoint = Checkpoint::new(at, vec![0; batch as usize * 10_000]);
                written += checkpoint.state.len() as u64;
                stored += 1;
                last = Checkpointed::by(&checkpoint);
            }
        }
        assert!(stored > 3);
        assert!(written < journal, "{written} of {journal}");
    }
}
