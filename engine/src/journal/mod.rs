//! The durable log of a run: what is true is what stands here, and nothing is shown before it does.
//!
//! ```text
//!  record.rs      one record as one line: encoding, checksums, judging a line
//!  scan.rs        a journal as a stream of lines; where it ends, and whether that end is a torn write or damage
//!  log_file.rs    LogFile: the few calls that the journal makes to a file
//!  committer.rs   the thread that owns the file: one write and one flush for all that waits
//!  file.rs        FileJournal: create, open, append
//!  recovery.rs    what an open finds: checkpoint, events after it, a torn tail
//!  checkpoint.rs  folded states in sled, which may be deleted at any time
//!  reader.rs      reading the journal of a run that another process is writing
//!  memory.rs      a journal without a disk, for tests
//!  layout.rs      what is where in the state directory
//!  lock.rs        one live engine per installation
//!  values.rs      outputs too large for a record
//!  logs.rs        the full logs of steps
//! ```
//!
//! Why a file of lines and not a database: sled 0.34.7, which the checkpoints lie in, does not survive a power cut even after its
//! `flush` has returned, because it never calls `fsync`. An append and one `fdatasync` do, at a third of the cost, and another
//! process can read the file without a lock. sled holds only what can be computed again from here.
//!
//! Three rules. A write or flush that failed is never tried again: the kernel may have thrown the pages away and say Ok the second
//! time. Damage is never skipped: only an interrupted write at the very end is cut. What a newer version wrote is not touched.

mod checkpoint;
mod committer;
pub mod error;
mod file;
pub mod layout;
pub mod lock;
mod log_file;
pub mod logs;
pub mod values;

#[cfg(test)]
mod faulty;
#[cfg(test)]
mod kill_tests;
mod memory;
pub mod reader;
mod record;
mod recovery;
mod scan;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use engine_core::id::{Epoch, Sequence, Timestamp};
use engine_core::run::Event;
use tokio::sync::oneshot;

pub use committer::FAILPOINTS;
pub use error::{Damage, JournalError, StateError};
pub use file::FileJournal;
pub use layout::{RunDir, StateDir};
pub use lock::{HeldLock, Holder};
pub use memory::MemoryJournal;
pub use reader::Reader;
pub use record::FORMAT;
pub use recovery::{Recovery, TornTail};

/// Where the runner writes facts. The one owner of a run's state owns its journal too.
pub trait Journal: Send {
    /// Hands over a batch, which becomes durable as a whole or not at all. Returns at once; the receipt says when it is durable.
    /// Batches become durable in the order in which they were handed over. A batch that is refused for its size leaves no trace;
    /// after any other error no later batch will succeed.
    fn append(&mut self, batch: &[Event], time: Timestamp) -> Receipt;

    /// The same from a caller that has nothing else to do until the batch is durable: it may be written on the caller's thread,
    /// which spares two changes of thread.
    fn append_here(&mut self, batch: &[Event], time: Timestamp) -> Receipt {
        self.append(batch, time)
    }

    /// The epoch that this opening writes into every record.
    fn epoch(&self) -> Epoch;

    /// Enough has been written since the last checkpoint for the next to be worth its cost, which stays below the cost of the
    /// journal itself whatever the size of the state.
    fn checkpoint_due(&self) -> bool;

    /// Stores the folded state of everything appended so far, after that is durable. Its loss is no loss, so nobody waits for it;
    /// an error ends the checkpoints of this opening and is logged.
    fn checkpoint(&mut self, state: Vec<u8>);
}

/// Resolves when a batch is on disk, to the sequence of its last record.
#[derive(Debug)]
#[must_use = "nothing may be shown before the batch is durable"]
pub struct Receipt {
    last: Sequence,
    state: ReceiptState,
}

#[derive(Debug)]
enum ReceiptState {
    Known(Result<(), JournalError>),
    Waiting(oneshot::Receiver<Result<(), JournalError>>),
}

impl Receipt {
    fn known(last: Sequence, result: Result<(), JournalError>) -> Receipt {
        Receipt { last, state: ReceiptState::Known(result) }
    }

    fn waiting(last: Sequence, answer: oneshot::Receiver<Result<(), JournalError>>) -> Receipt {
        Receipt { last, state: ReceiptState::Waiting(answer) }
    }

    /// The sequence that the last record of the batch will have. The record before it has one less, and so on.
    pub fn last(&self) -> Sequence {
        self.last
    }

    /// Waits on a thread that is not one of an asynchronous runtime.
    pub fn wait(self) -> Result<Sequence, JournalError> {
        match self.state {
            ReceiptState::Known(result) => result,
            ReceiptState::Waiting(answer) => answer.blocking_recv().unwrap_or(Err(JournalError::Stopped)),
        }
        .map(|()| self.last)
    }
}

impl Future for Receipt {
    type Output = Result<Sequence, JournalError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let last = self.last;
        match &mut self.state {
            ReceiptState::Known(result) => Poll::Ready(result.clone().map(|()| last)),
            ReceiptState::Waiting(answer) => {
                Pin::new(answer).poll(cx).map(|answer| answer.unwrap_or(Err(JournalError::Stopped)).map(|()| last))
            }
        }
    }
}
