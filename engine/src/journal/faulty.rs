//! A simulated disk under the journal: every call can fail, and a power cut keeps any part of what was not flushed.

use std::io;
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::error::JournalError;
use super::layout::RunDir;
use super::log_file::LogFile;
use super::testing::{assert_records, event, events, new_run, time};
use super::{FileJournal, Journal as _};

const SECTOR: usize = 512;

/// What the `nth` call does instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// Writes only a part and says so.
    Short,
    /// A signal came first.
    Interrupted,
    /// Nothing happens but the error.
    Error(Errno),
    /// A part is written, then the error.
    PartThenError(Errno),
    /// As the kernel does: the flush fails, the pages count as clean, and the next flush says Ok without having written them.
    FlushLost,
}

#[derive(Debug, Default)]
struct Disk {
    /// What has been written, as a reader of the running system sees it.
    content: Vec<u8>,
    /// So much of it would survive a power cut for certain.
    durable: usize,
    /// The kernel forgot that bytes from here on were never written.
    lost_from: Option<usize>,
    calls: usize,
    fault: Option<(usize, Fault)>,
    /// A call after the one that failed.
    touched_after_error: bool,
    failed: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct FaultyFile(Arc<Mutex<Disk>>);

impl FaultyFile {
    pub(super) fn with(content: Vec<u8>) -> FaultyFile {
        let durable = content.len();
        FaultyFile(Arc::new(Mutex::new(Disk { content, durable, ..Disk::default() })))
    }

    fn fails_at(self, call: usize, fault: Fault) -> FaultyFile {
        self.0.lock().unwrap().fault = Some((call, fault));
        self
    }

    fn content(&self) -> Vec<u8> {
        self.0.lock().unwrap().content.clone()
    }
}

impl Disk {
    fn called(&mut self) -> Option<Fault> {
        self.touched_after_error |= self.failed;
        self.calls += 1;
        self.fault.filter(|(nth, _)| *nth == self.calls).map(|(_, fault)| fault)
    }

    fn fail<T>(&mut self, errno: Errno) -> io::Result<T> {
        self.failed = true;
        Err(errno.into())
    }
}

impl LogFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.lock().unwrap();
        let part = bytes.len().div_ceil(3);
        match disk.called() {
            None | Some(Fault::FlushLost) => {
                disk.content.extend_from_slice(bytes);
                Ok(bytes.len())
            }
            Some(Fault::Short) => {
                disk.content.extend_from_slice(&bytes[..part]);
                Ok(part)
            }
            Some(Fault::Interrupted) => Err(Errno::INTR.into()),
            Some(Fault::Error(errno)) => disk.fail(errno),
            Some(Fault::PartThenError(errno)) => {
                disk.content.extend_from_slice(&bytes[..part]);
                disk.fail(errno)
            }
        }
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        match disk.called() {
            Some(Fault::Error(errno) | Fault::PartThenError(errno)) => disk.fail(errno),
            Some(Fault::FlushLost) => {
                disk.lost_from = Some(disk.durable);
                disk.fail(Errno::IO)
            }
            None | Some(Fault::Short | Fault::Interrupted) => {
                disk.durable = disk.lost_from.unwrap_or(disk.content.len());
                Ok(())
            }
        }
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.content.truncate(len as usize);
        disk.durable = disk.durable.min(len as usize);
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let disk = self.0.lock().unwrap();
        let rest = disk.content.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

fn open(run: &RunDir, file: &FaultyFile) -> Result<(FileJournal, usize), JournalError> {
    let opened = FileJournal::open_file(run, Box::new(file.clone()), |state| Ok(state.to_vec()));
    opened.map(|(journal, found)| {
        assert_records(1, &found.events);
        (journal, found.events.len())
    })
}

/// Batches of one to three records until `records` are written; returns how many were acknowledged.
fn write(journal: &mut FileJournal, from: u64, records: u64) -> (u64, Vec<JournalError>) {
    let (mut acknowledged, mut errors, mut next) = (from - 1, Vec::new(), from);
    while next < from + records {
        let last = (next + next % 3).min(from + records - 1);
        // On either thread, in turns.
        let receipt = match next % 2 {
            0 => journal.append(&events(next, last), time(next)),
            _ => journal.append_here(&events(next, last), time(next)),
        };
        match receipt.wait() {
            Ok(sequence) => {
                assert!(errors.is_empty(), "a batch was acknowledged after an error");
                acknowledged = sequence.0;
            }
            Err(error) => errors.push(error),
        }
        next = last + 1;
    }
    (acknowledged, errors)
}

/// What a power cut leaves: the durable part, and of what follows only the sectors in `kept` (by bit). The rest reads as zeros, or
/// is not there when nothing after it is.
fn after_power_cut(content: &[u8], durable: usize, kept: u32) -> Vec<u8> {
    let mut image = content[..durable].to_vec();
    let first = durable / SECTOR;
    for (i, sector) in (first..content.len().div_ceil(SECTOR)).enumerate() {
        if kept & (1 << i) != 0 {
            let (start, end) = ((sector * SECTOR).max(durable), ((sector + 1) * SECTOR).min(content.len()));
            image.resize(start, 0);
            image.extend_from_slice(&content[start..end]);
        }
    }
    image
}

#[test]
fn every_failing_call_stops_the_writer_and_loses_nothing_that_was_acknowledged() {
    let (_dir, run) = new_run();
    let faults = [
        Fault::Short,
        Fault::Interrupted,
        Fault::Error(Errno::IO),
        Fault::Error(Errno::NOSPC),
        Fault::Error(Errno::DQUOT),
        Fault::PartThenError(Errno::NOSPC),
        Fault::FlushLost,
    ];
    let mut stopped = 0;
    for fault in faults {
        for call in 1..=40 {
            let file = FaultyFile::default().fails_at(call, fault);
            let (mut journal, _) = open(&run, &file).unwrap();
            let (acknowledged, errors) = write(&mut journal, 1, 40);
            drop(journal);

            let disk = file.0.lock().unwrap();
            assert!(!disk.touched_after_error, "{fault:?} at {call}: the file was touched after the error");
            assert_eq!(disk.failed, !errors.is_empty(), "{fault:?} at {call}");
            assert!(disk.failed || acknowledged == 40, "{fault:?} at {call}");
            stopped += usize::from(disk.failed);
            for kept in [0, u32::MAX, 0b1010_1010, 0b0101_0101] {
                let image = FaultyFile::with(after_power_cut(&disk.content, disk.durable, kept));
                let (mut journal, found) = open(&run, &image).unwrap();
                assert!(found as u64 >= acknowledged, "{fault:?} at {call}: {found} of {acknowledged}");
                assert!(write(&mut journal, found as u64 + 1, 5).1.is_empty());
                drop(journal);
                assert_eq!(open(&run, &FaultyFile::with(image.content())).unwrap().1, found + 5);
            }
        }
    }
    assert!(stopped > 100, "only {stopped} faults hit anything");
}

#[test]
fn all_waiters_of_a_failed_batch_learn_the_reason() {
    let (_dir, run) = new_run();
    let (mut journal, _) = open(&run, &FaultyFile::default().fails_at(1, Fault::Error(Errno::NOSPC))).unwrap();
    let receipts: Vec<_> = (1..=20).map(|n| journal.append(&[event(n)], time(n))).collect();
    for receipt in receipts {
        match receipt.wait().unwrap_err() {
            JournalError::Io { source, verb: "written", .. } => assert_eq!(source.raw_os_error(), Some(28)),
            other => panic!("{other}"),
        }
    }
}

/// The records of the last write arrive in any order of sectors, or not at all.
#[test]
fn after_a_power_cut_any_subset_of_unflushed_sectors_leaves_a_prefix() {
    let (_dir, run) = new_run();
    let mut cuts = 0;
    for flushed in [0, 1, 5, 17] {
        let file = FaultyFile::default();
        let (mut journal, _) = open(&run, &file).unwrap();
        write(&mut journal, 1, flushed);
        let durable = file.0.lock().unwrap().durable;
        journal.append(&events(flushed + 1, flushed + 9), time(0)).wait().unwrap();
        drop(journal);
        let content = file.content();
        let sectors = content.len().div_ceil(SECTOR) - durable / SECTOR;
        assert!((4..=10).contains(&sectors), "{sectors} sectors");
        for kept in 0..1u32 << sectors {
            for missing in [0, 1, 100] {
                let mut image = after_power_cut(&content, durable, kept);
                image.truncate(image.len().saturating_sub(missing).max(durable));
                let file = FaultyFile::with(image);
                let (mut journal, found) = open(&run, &file).unwrap();
                assert!(found as u64 >= flushed, "{found} of {flushed}, sectors {kept:b}");
                journal.append(&[event(found as u64 + 1)], time(0)).wait().unwrap();
                drop(journal);
                assert_eq!(open(&run, &file).unwrap().1, found + 1);
                cuts += 1;
            }
        }
    }
    assert!(cuts > 500, "only {cuts} cuts");
}

/// The same holes, but in records that later ones were written after.
#[test]
fn a_missing_sector_before_a_later_write_is_damage() {
    let (_dir, run) = new_run();
    let file = FaultyFile::default();
    let (mut journal, _) = open(&run, &file).unwrap();
    write(&mut journal, 1, 30);
    drop(journal);
    let content = file.content();
    // The last write holds up to three records; what precedes the last four kilobytes was durable before it.
    for sector in 0..(content.len() - 4096) / SECTOR {
        let mut damaged = content.clone();
        damaged[sector * SECTOR..(sector + 1) * SECTOR].fill(0);
        let file = FaultyFile::with(damaged.clone());
        assert!(matches!(open(&run, &file).map(drop), Err(JournalError::Corrupt { .. })), "sector {sector}");
        assert_eq!(file.content(), damaged);
    }
}
