//! A journal without a disk: for tests of what writes one, and for rehearsals.

use std::sync::{Arc, Mutex};

use engine_core::id::{Epoch, RunId, Sequence, Timestamp};
use engine_core::run::{Event, Recorded};

use super::{Journal, Receipt};

/// Keeps what it is given. Clones share the records, so that a test can look while a runner writes.
#[derive(Debug, Clone)]
pub struct MemoryJournal {
    run: RunId,
    epoch: Epoch,
    records: Arc<Mutex<Vec<Recorded>>>,
}

impl MemoryJournal {
    pub fn new(run: RunId) -> MemoryJournal {
        MemoryJournal { run, epoch: Epoch(1), records: Arc::default() }
    }

    /// The journal as a later process would open it: the same records, the next epoch.
    #[must_use]
    pub fn reopened(&self) -> MemoryJournal {
        MemoryJournal { epoch: Epoch(self.epoch.0 + 1), ..self.clone() }
    }

    pub fn records(&self) -> Vec<Recorded> {
        self.records.lock().expect("no code panics while it holds the records").clone()
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, batch: &[Event], time: Timestamp) -> Receipt {
        let mut records = self.records.lock().expect("no code panics while it holds the records");
        for event in batch {
            let sequence = Sequence(records.len() as u64 + 1);
            records.push(Recorded { sequence, epoch: self.epoch, time, run: self.run.clone(), event: event.clone() });
        }
        Receipt::known(Sequence(records.len() as u64), Ok(()))
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn checkpoint_due(&self) -> bool {
        false
    }

    fn checkpoint(&mut self, _state: Vec<u8>) {}
}
