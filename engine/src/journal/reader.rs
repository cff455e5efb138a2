//! Reading a journal from another process, while its run goes on: `status`, `logs`, `runs`, `report`.
//!
//! Takes no lock and changes nothing. A last line that is not whole yet is simply not there yet: asked again later, the reader goes
//! on where it stopped.

use std::fs::File;
use std::io::{ErrorKind, Seek as _, SeekFrom};

use engine_core::run::Recorded;

use super::error::JournalError;
use super::layout::RunDir;
use super::record::Position;
use super::recovery::refusal;
use super::scan::{Next, Scan};

/// The records of one run in order. `None` means no more for now; the iterator may be asked again.
pub struct Reader {
    run: RunDir,
    scan: Scan<File>,
    /// An error was returned: nothing follows it.
    failed: bool,
}

impl Reader {
    pub fn open(run: &RunDir) -> Result<Reader, JournalError> {
        let path = run.journal();
        let file = File::open(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => JournalError::NoSuchRun { run: run.id().to_string() },
            _ => JournalError::io(&path, "opened", error),
        })?;
        Ok(Reader { run: run.clone(), scan: Scan::from(Position::start(run.id()), file), failed: false })
    }

    fn read(&mut self) -> Result<Option<Recorded>, JournalError> {
        let at_record = self.scan.position().sequence + 1;
        let read = self.scan.next().map_err(|error| JournalError::io(&self.run.journal(), "read", error))?;
        match read {
            Next::Record(envelope) => envelope.decode(self.run.id()).map(Some).map_err(|source| {
                JournalError::UnknownEvent { path: self.run.journal(), at_record, source: source.into() }
            }),
            Next::End => Ok(None),
            Next::Torn { .. } => {
                // Perhaps the writer is in the middle of it: next time the line is read again from its start.
                let offset = self.scan.position().offset;
                let rewound = self.scan.source_mut().seek(SeekFrom::Start(offset));
                rewound.map_err(|error| JournalError::io(&self.run.journal(), "read", error))?;
                Ok(None)
            }
            Next::Refused(refused) => Err(refusal(&self.run, at_record, refused)),
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Recorded, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let read = self.read();
        self.failed = read.is_err();
        read.transpose()
    }
}

/// Whether the run's first event is durable. A run that was created but never began has nothing to resume.
pub fn has_begun(run: &RunDir) -> Result<bool, JournalError> {
    match Reader::open(run) {
        Ok(mut reader) => reader.next().transpose().map(|first| first.is_some()),
        Err(JournalError::NoSuchRun { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
