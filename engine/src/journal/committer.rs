//! The thread that owns the journal's file: it takes everything that waits, writes it with one write, flushes once, and answers all.
//!
//! A thread and not a blocking task of the runtime, because handing over to the latter costs up to half a flush. Under load the
//! batches grow by themselves: while one flush is under way, the next batch gathers. Whoever has nothing to do but wait for its
//! batch, and finds nothing before it, writes on its own thread: two changes of thread cost as much as a flush of a quick disk.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::checkpoint::{Checkpoint, Checkpoints};
use super::error::JournalError;
use super::log_file::LogFile;
use crate::disk::failpoint;

/// Named places around each durable step of the journal, for tests that stop the process there.
pub const FAILPOINTS: &[&str] = &[
    "journal-write-before",
    "journal-write-after",
    "journal-sync-after",
    "journal-create-before",
    "journal-create-after",
    "journal-cut-before",
    "journal-cut-after",
    "checkpoint-store-before",
    "checkpoint-store-after",
];

/// More than this is not gathered into one write: the first that waits should not wait for the thousandth.
const WRITE_BYTES_MAX: usize = 4 << 20;

/// What the thread is sent.
pub(super) enum Message {
    Write(Write),
    Checkpoint(Checkpoint),
}

/// Encoded records, and who waits for them.
pub(super) struct Write {
    pub bytes: Vec<u8>,
    /// Of the last record in `bytes`.
    pub last: u64,
    pub answer: oneshot::Sender<Result<(), JournalError>>,
}

/// The sending end. Dropping it writes what was handed over, then ends the thread and waits for it.
pub(super) struct Committer {
    messages: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    durable: Arc<AtomicU64>,
    owner: Arc<Mutex<Owner>>,
    /// The last record that was handed to the thread.
    sent: u64,
}

impl Committer {
    /// `durable` is the last record in `file`.
    pub(super) fn start(
        path: PathBuf,
        file: Box<dyn LogFile>,
        checkpoints: Checkpoints,
        durable: u64,
    ) -> io::Result<Committer> {
        let (messages, inbox) = channel();
        let durable = Arc::new(AtomicU64::new(durable));
        let sent = durable.load(Ordering::Relaxed);
        let owner = Owner { path, file, checkpoints, durable: durable.clone(), failed: None };
        let owner = Arc::new(Mutex::new(owner));
        let shared = Arc::clone(&owner);
        let thread = std::thread::Builder::new().name("journal".into()).spawn(move || run(&shared, &inbox))?;
        Ok(Committer { messages: Some(messages), thread: Some(thread), durable, owner, sent })
    }

    /// The last record that is known to be on disk.
    pub(super) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Writes and flushes on the calling thread when nothing waits before it and the file is free, else hands over.
    pub(super) fn write_here(&mut self, write: Write) {
        if self.durable() == self.sent
            && let Ok(mut owner) = self.owner.try_lock()
        {
            self.sent = write.last;
            owner.commit(&write.bytes, &mut vec![(write.last, write.answer)]);
            return;
        }
        self.send(Message::Write(write));
    }

    /// When the thread is gone, the message is dropped and whoever waits for its answer learns that.
    pub(super) fn send(&mut self, message: Message) {
        if let Message::Write(write) = &message {
            self.sent = write.last;
        }
        let messages = self.messages.as_ref().expect("the channel is closed only by drop");
        drop(messages.send(message));
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        drop(self.messages.take());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that writes the journal panicked");
        }
    }
}

/// The file and what belongs to it. The thread holds it while it writes.
struct Owner {
    path: PathBuf,
    file: Box<dyn LogFile>,
    checkpoints: Checkpoints,
    durable: Arc<AtomicU64>,
    /// After the first failure nothing is written any more; everyone gets the same answer.
    failed: Option<JournalError>,
}

/// What the thread does as long as the other end is there.
fn run(owner: &Mutex<Owner>, inbox: &Receiver<Message>) {
    let mut bytes = Vec::new();
    let mut waiting = Vec::new();
    while let Ok(first) = inbox.recv() {
        let mut checkpoint = None;
        let mut next = Some(first);
        while let Some(message) = next {
            match message {
                Message::Write(write) => {
                    gather(&mut bytes, write.bytes);
                    waiting.push((write.last, write.answer));
                }
                // Of several only the newest is worth storing; what came before it is durable by then in either case.
                Message::Checkpoint(newer) => checkpoint = Some(newer),
            }
            next = if bytes.len() < WRITE_BYTES_MAX { inbox.try_recv().ok() } else { None };
        }
        // A panic while it was held came from the file itself; the failure that is then kept in it is told to everyone.
        let mut owner = owner.lock().unwrap_or_else(PoisonError::into_inner);
        owner.commit(&bytes, &mut waiting);
        bytes.clear();
        if let Some(checkpoint) = checkpoint {
            drop(owner.store(&checkpoint));
        }
    }
}

impl Owner {
    /// Writes and flushes, then answers all.
    fn commit(&mut self, bytes: &[u8], waiting: &mut Vec<(u64, oneshot::Sender<Result<(), JournalError>>)>) {
        let Some(&(last, _)) = waiting.last() else {
            return;
        };
        if self.failed.is_none() {
            match self
                .write(bytes)
                .map_err(|error| ("written", error))
                .and_then(|()| self.flush().map_err(|error| ("made durable", error)))
            {
                Ok(()) => self.durable.store(last, Ordering::Release),
                Err((verb, error)) => self.failed = Some(JournalError::io(&self.path, verb, error)),
            }
        }
        for (_, answer) in waiting.drain(..) {
            // Nobody has to wait for the answer.
            let _ = answer.send(self.failed.clone().map_or(Ok(()), Err));
        }
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        failpoint!("journal-write-before");
        while !bytes.is_empty() {
            match self.file.append(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                // A signal came before anything was written.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        failpoint!("journal-write-after");
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        failpoint!("journal-sync-after");
        Ok(())
    }

    /// An error of a checkpoint is the end of checkpoints, not of the journal; only a failpoint ends this early.
    fn store(&mut self, checkpoint: &Checkpoint) -> io::Result<()> {
        failpoint!("checkpoint-store-before");
        if self.failed.is_none() {
            self.checkpoints.store(checkpoint);
        }
        failpoint!("checkpoint-store-after");
        Ok(())
    }
}

/// Collects into one buffer; the first keeps its own, because in a chain of steps it is the only one.
fn gather(bytes: &mut Vec<u8>, more: Vec<u8>) {
    if bytes.is_empty() {
        *bytes = more;
    } else {
        bytes.extend_from_slice(&more);
    }
}
