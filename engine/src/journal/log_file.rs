//! The few calls that the journal makes to a file, as a trait, so that a test can make each of them fail.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::disk::{self, failpoint};

/// A file that only grows, except for the one cut of a torn tail when it is opened.
pub trait LogFile: Send {
    /// Writes at the end; may write less than it was given, as `write(2)` does.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Returns when everything appended is on the disk.
    fn sync_data(&mut self) -> io::Result<()>;

    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Reads at an offset without moving the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// The real one.
#[derive(Debug)]
pub(super) struct DiskFile(File);

impl DiskFile {
    /// Makes the file, and makes file, directory and parent durable, so that a record in it cannot be lost with its name.
    pub(super) fn create(path: &Path) -> io::Result<DiskFile> {
        failpoint!("journal-create-before");
        let file = disk::private_file().read(true).append(true).create_new(true).open(path)?;
        file.sync_all()?;
        sync_names(path)?;
        failpoint!("journal-create-after");
        Ok(DiskFile(file))
    }

    /// The process that made the file may have died before its name was durable.
    pub(super) fn open(path: &Path) -> io::Result<DiskFile> {
        let file = disk::private_file().read(true).append(true).open(path)?;
        sync_names(path)?;
        Ok(DiskFile(file))
    }
}

fn sync_names(path: &Path) -> io::Result<()> {
    let directory = disk::parent_of(path);
    disk::sync_directory(directory)?;
    disk::sync_directory(disk::parent_of(directory))
}

impl LogFile for DiskFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        io::Write::write(&mut self.0, bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
}

/// Reads a log file from its start, as a stream.
pub(super) struct ReadFrom<'a, F: ?Sized> {
    file: &'a F,
    offset: u64,
}

impl<'a, F: LogFile + ?Sized> ReadFrom<'a, F> {
    pub(super) fn start(file: &'a F) -> Self {
        ReadFrom { file, offset: 0 }
    }
}

impl<F: LogFile + ?Sized> io::Read for ReadFrom<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
