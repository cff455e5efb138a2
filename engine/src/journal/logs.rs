//! The full logs of steps: one append-only file per step, one JSON object per line, never clipped.
//!
//! Logs are not facts: nothing is decided by them, so they are not flushed, and a torn last line is left out when they are read.

use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write as _};

use engine_core::id::{Digest, StepId, Timestamp};
use serde::{Deserialize, Serialize};
use steps_sdk::context::LogLevel;

use super::layout::RunDir;
use crate::disk;

/// One line that a step wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub time: Timestamp,
    pub attempt: u32,
    #[serde(with = "Level")]
    pub level: LogLevel,
    pub message: String,
}

/// How a level is written.
#[derive(Serialize, Deserialize)]
#[serde(remote = "LogLevel", rename_all = "lowercase")]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

/// Appends a line to the step's log with one write, so that a reader sees it whole or not at all.
pub fn append(run: &RunDir, step: &StepId, line: &LogLine) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    disk::private_file().append(true).create(true).open(run.log(step))?.write_all(&text)
}

/// Everything that the step has logged, over all attempts; nothing when it never did.
pub fn read(run: &RunDir, step: &StepId) -> io::Result<Vec<LogLine>> {
    match std::fs::read_to_string(run.log(step)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        text => Ok(text?.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
    }
}

/// Longest file name that every file system takes, with room for an ending.
const NAME_BYTES_MAX: usize = 200;

/// A step's path as a file name: readable, never `.` or `..`, without separators, different for different paths.
pub(super) fn file_name(step: &StepId) -> String {
    let path = step.as_str();
    let mut name = String::with_capacity(path.len());
    for (i, byte) in path.bytes().enumerate() {
        match byte {
            b'.' if i == 0 => name.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' | b'[' | b']' => name.push(byte.into()),
            _ => write!(name, "%{byte:02X}").expect("writing to memory cannot fail"),
        }
    }
    if name.len() > NAME_BYTES_MAX {
        // `~` never comes out of the loop above, so that no shorter path can be mistaken for this one.
        let digest = Digest::of_bytes(path.as_bytes());
        name.truncate(NAME_BYTES_MAX - digest.as_str().len() - 1);
        name = format!("{name}~{digest}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::testing::new_run;

    #[test]
    fn names_are_readable_safe_and_different() {
        let name = |path: &str| file_name(&StepId::new(path));
        assert_eq!(name("region[alpha].deploy"), "region[alpha].deploy");
        assert_eq!(name(".."), "%2E.");
        assert_eq!(name("a/b c%"), "a%2Fb%20c%25");
        assert_eq!(name("ü"), "%C3%BC");
        let (long, longer) = ("x".repeat(300), "x".repeat(301));
        assert_eq!(name(&long).len(), NAME_BYTES_MAX);
        assert_ne!(name(&long), name(&longer));
    }

    #[test]
    fn lines_come_back_in_order_and_a_torn_one_is_left_out() {
        let (_dir, run) = new_run();
        let step = StepId::new("region[a/b].deploy");
        assert_eq!(read(&run, &step).unwrap(), []);
        let line = |n: u32| LogLine {
            time: Timestamp(n.into()),
            attempt: n,
            level: LogLevel::Warn,
            message: format!("line\n{n}"),
        };
        for n in 1..=3 {
            append(&run, &step, &line(n)).unwrap();
        }
        std::fs::OpenOptions::new().append(true).open(run.log(&step)).unwrap().write_all(br#"{"time":4,"att"#).unwrap();
        assert_eq!(read(&run, &step).unwrap(), [line(1), line(2), line(3)]);
    }
}
