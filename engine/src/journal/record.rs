//! One record as one line, exactly: what is written, and how a line is judged before anything in it is believed.
//!
//! ```text
//! {"format":1,"seq":7,"epoch":2,"time":1763000000000,"durable":6,"event":"step-started","step":"ca",…,"crc":"5e01c2aa"}
//! ```
//!
//! `crc` is the CRC-32C of the line up to it, continued from the `crc` of the record before (of the run's id for the first), so a
//! record that was changed, dropped, doubled, moved or brought over from another run does not fit. `durable` is the last record
//! that was known to be on disk when this one was encoded: that is how recovery tells an interrupted write from damage. The
//! envelope is read by position, not by a JSON parser, because recovery judges every line but decodes only those after a checkpoint.

use std::io::Write as _;

use engine_core::id::{Epoch, RunId, Sequence, Timestamp};
use engine_core::limits::EVENT_BYTES_MAX;
use engine_core::run::{Event, Recorded};

use super::error::Damage;

/// Raised when a line can no longer be read as before.
pub const FORMAT: u64 = 1;

/// The longest line: the event and its envelope.
pub const LINE_BYTES_MAX: usize = EVENT_BYTES_MAX + 256;

/// `,"crc":"xxxxxxxx"}` and a line break.
const TAIL_BYTES: usize = 19;

/// A place in a journal: everything before it has been written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Of the last record before this place; 0 at the start.
    pub sequence: u64,
    pub epoch: u64,
    pub crc: u32,
    /// Bytes from the start of the file.
    pub offset: u64,
}

/// What stands around an event, once the line has been found intact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    pub format: u64,
    pub sequence: u64,
    pub epoch: u64,
    pub time: u64,
    pub durable: u64,
    /// The members of the event's object, without braces.
    pub event: &'a [u8],
}

/// A line that does not follow the position it was read at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Damaged(Damage),
    Newer { format: u64 },
}

/// An event whose line would be longer than [`LINE_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge {
    pub bytes: usize,
}

impl Position {
    /// Before the first record of a run. The run's id is part of the chain: a journal cannot be passed off as another run's.
    pub fn start(run: &RunId) -> Position {
        Position { sequence: 0, epoch: 0, crc: crc32c::crc32c(run.as_str().as_bytes()), offset: 0 }
    }

    /// Appends the event's line to `out` and moves past it. On an error neither changes.
    pub(super) fn encode(
        &mut self,
        event: &Event,
        time: Timestamp,
        durable: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), TooLarge> {
        let start = out.len();
        let sequence = self.sequence + 1;
        write!(
            out,
            r#"{{"format":{FORMAT},"seq":{sequence},"epoch":{},"time":{},"durable":{durable},"#,
            self.epoch, time.0
        )
        .expect("writing to memory cannot fail");
        // The event is an object of its own; its opening brace becomes the envelope's, so that the line is one flat object.
        let brace = out.len();
        serde_json::to_writer(&mut *out, event).expect("an event is an object with text keys, and memory takes it");
        out.remove(brace);
        out.pop();
        let crc = crc32c::crc32c_append(self.crc, &out[start..]);
        writeln!(out, r#","crc":"{crc:08x}"}}"#).expect("writing to memory cannot fail");

        let bytes = out.len() - start;
        if bytes > LINE_BYTES_MAX {
            out.truncate(start);
            return Err(TooLarge { bytes });
        }
        *self = Position { sequence, crc, offset: self.offset + bytes as u64, ..*self };
        Ok(())
    }

    /// Judges a whole line (with its line break) as the next record and moves past it. On an error it stays.
    pub(super) fn accept<'a>(&mut self, line: &'a [u8]) -> Result<Envelope<'a>, Refused> {
        let envelope = Envelope::parse(line).ok_or(Refused::Damaged(Damage::Shape))?;
        if envelope.format > FORMAT {
            return Err(Refused::Newer { format: envelope.format });
        }
        let (body, stated) = split_crc(line).ok_or(Refused::Damaged(Damage::Shape))?;
        let crc = crc32c::crc32c_append(self.crc, body);
        let expected = self.sequence + 1;
        let damage = if crc != stated {
            Some(Damage::Checksum)
        } else if envelope.sequence != expected {
            Some(Damage::Sequence { expected, found: envelope.sequence })
        } else if envelope.epoch < self.epoch {
            Some(Damage::EpochFell { before: self.epoch, found: envelope.epoch })
        } else {
            None
        };
        if let Some(damage) = damage {
            return Err(Refused::Damaged(damage));
        }
        let offset = self.offset + line.len() as u64;
        *self = Position { sequence: expected, epoch: envelope.epoch, crc, offset };
        Ok(envelope)
    }
}

impl<'a> Envelope<'a> {
    /// Reads the envelope by position. A newer format is only promised to begin with its number.
    pub(super) fn parse(line: &'a [u8]) -> Option<Envelope<'a>> {
        let (format, rest) = number(line.strip_prefix(br#"{"format":"#)?)?;
        if format > FORMAT {
            return Some(Envelope { format, sequence: 0, epoch: 0, time: 0, durable: 0, event: b"" });
        }
        let (sequence, rest) = number(rest.strip_prefix(br#","seq":"#)?)?;
        let (epoch, rest) = number(rest.strip_prefix(br#","epoch":"#)?)?;
        let (time, rest) = number(rest.strip_prefix(br#","time":"#)?)?;
        let (durable, rest) = number(rest.strip_prefix(br#","durable":"#)?)?;
        let event = rest.strip_prefix(b",")?;
        let event = event.get(..event.len().checked_sub(TAIL_BYTES)?)?;
        Some(Envelope { format, sequence, epoch, time, durable, event })
    }

    pub(super) fn decode(&self, run: &RunId) -> Result<Recorded, serde_json::Error> {
        let mut object = Vec::with_capacity(self.event.len() + 2);
        object.push(b'{');
        object.extend_from_slice(self.event);
        object.push(b'}');
        Ok(Recorded {
            sequence: Sequence(self.sequence),
            epoch: Epoch(self.epoch),
            time: Timestamp(self.time),
            run: run.clone(),
            event: serde_json::from_slice(&object)?,
        })
    }
}

/// Decimal digits without leading zeros, as we write them.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    if digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

/// The line up to its checksum, and the checksum.
fn split_crc(line: &[u8]) -> Option<(&[u8], u32)> {
    let (body, tail) = line.split_at(line.len().checked_sub(TAIL_BYTES)?);
    let digits = tail.strip_prefix(br#","crc":""#)?.strip_suffix(b"\"}\n")?;
    // Only what we write ourselves: `from_str_radix` alone would take `+` and capitals.
    if !digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    Some((body, u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?))
}
