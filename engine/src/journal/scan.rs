//! A journal as a stream of lines: each is judged, and where they end it is decided whether a write was interrupted there or
//! something was damaged.
//!
//! An interrupted append leaves a part of what was to be written. The file ends early, or sectors that did not reach the disk read
//! as zeros (JSON contains no zero byte), and the sectors of one write may arrive in any order. So the first line that does not fit
//! is the mark of an interrupted write only if it has no end or if a whole sector of it is missing, and if no later line says that
//! this one was durable. Anything else was whole once, perhaps acknowledged, and is not ours to drop.

use std::io::{self, BufRead, BufReader, Read};

use super::error::Damage;
use super::record::{Envelope, LINE_BYTES_MAX, Position, Refused};

const BUFFER_BYTES: usize = 64 << 10;
/// The least that a disk writes as a whole.
const SECTOR_BYTES: usize = 512;

/// Walks over the records of one journal.
pub(super) struct Scan<R> {
    source: BufReader<R>,
    position: Position,
    line: Vec<u8>,
}

/// What comes next.
pub(super) enum Next<'a> {
    Record(Envelope<'a>),
    /// The last record was the last thing in the file.
    End,
    /// An interrupted write of so many bytes follows the last record.
    Torn {
        bytes: u64,
    },
    Refused(Refused),
}

impl<R: Read> Scan<R> {
    /// `source` stands at the offset of `position`.
    pub(super) fn from(position: Position, source: R) -> Self {
        Scan { source: BufReader::with_capacity(BUFFER_BYTES, source), position, line: Vec::new() }
    }

    /// After the last record that was returned.
    pub(super) fn position(&self) -> Position {
        self.position
    }

    /// For moving back to a line that was not whole.
    pub(super) fn source_mut(&mut self) -> &mut BufReader<R> {
        &mut self.source
    }

    pub(super) fn next(&mut self) -> io::Result<Next<'_>> {
        read_line(&mut self.source, &mut self.line)?;
        if self.line.is_empty() {
            return Ok(Next::End);
        }
        match self.position.accept(&self.line).err() {
            // Parsed again, because a borrow of the line may not outlive the branch below that reads on.
            None => Ok(Next::Record(Envelope::parse(&self.line).expect("it was accepted a moment ago"))),
            Some(Refused::Newer { format }) => Ok(Next::Refused(Refused::Newer { format })),
            Some(Refused::Damaged(damage)) => self.judge_end(damage),
        }
    }

    /// The current line does not fit: reads to the end of the file to learn why.
    fn judge_end(&mut self, damage: Damage) -> io::Result<Next<'_>> {
        let at_record = self.position.sequence + 1;
        if !has_hole(&self.line, self.position.offset) && !self.has_no_end() {
            return Ok(Next::Refused(Refused::Damaged(damage)));
        }
        let mut bytes = self.line.len() as u64;
        loop {
            read_line(&mut self.source, &mut self.line)?;
            if self.line.is_empty() {
                return Ok(Next::Torn { bytes });
            }
            if Envelope::parse(&self.line).is_some_and(|later| later.durable >= at_record) {
                return Ok(Next::Refused(Refused::Damaged(Damage::Hole)));
            }
            bytes += self.line.len() as u64;
        }
    }

    /// The file ends inside the line. A line that is whole but for the value of its last byte was damaged, not interrupted.
    fn has_no_end(&self) -> bool {
        if self.line.ends_with(b"\n") || self.line.len() >= LINE_BYTES_MAX {
            return false;
        }
        let mut ended = self.line.clone();
        ended.pop();
        ended.push(b'\n');
        self.position.clone().accept(&ended).is_err()
    }
}

/// Whether a whole sector of the line, as far as the line reaches into it, is zero.
fn has_hole(line: &[u8], offset: u64) -> bool {
    let into_sector = usize::try_from(offset % SECTOR_BYTES as u64).expect("less than a sector");
    let (first, rest) = line.split_at(line.len().min(SECTOR_BYTES - into_sector));
    let is_hole = |part: &[u8]| part.iter().all(|byte| *byte == 0);
    is_hole(first) || rest.chunks(SECTOR_BYTES).any(is_hole)
}

/// One line with its break; without one at the end of the file or after the longest length that a line may have.
fn read_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    source.take(LINE_BYTES_MAX as u64).read_until(b'\n', line)?;
    Ok(())
}
