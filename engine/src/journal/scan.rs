//! A journal as a stream of lines: each is judged, and where they end it is decided whether a write was interrupted there or
//! something was damaged.
//!
//! An interrupted append leaves a part of what was to be written. Bytes beyond the old end that did not reach the disk are absent
//! or read as zeros, and JSON never contains a zero byte; sectors may have arrived in any order. So the first line that does not
//! fit is the mark of a torn write only if it has no end or contains a zero, and if no later line says that this one was durable.
//! Anything else was whole once, perhaps acknowledged, and is not ours to drop.

use std::io::{self, BufRead, BufReader, Read};

use super::error::Damage;
use super::record::{Envelope, LINE_BYTES_MAX, Position, Refused};

const BUFFER_BYTES: usize = 64 << 10;

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
        let has_no_end = !self.line.ends_with(b"\n") && self.line.len() < LINE_BYTES_MAX;
        let has_hole = self.line.contains(&0);
        if !has_no_end && !has_hole {
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
}

/// One line with its break; without one at the end of the file or after the longest length that a line may have.
fn read_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    source.take(LINE_BYTES_MAX as u64).read_until(b'\n', line)?;
    Ok(())
}
