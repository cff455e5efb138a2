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
