//! What a guest says while it runs: log lines, standard output and error of its runtime, and the last words of a panic.

use std::collections::VecDeque;

use steps_sdk::context::{LogLevel, Progress};

use super::limits::{Bytes, LINE_BYTES_MAX, LOG_BYTES_MAX};
use super::words;

/// Lines that a failure repeats, and how much of each.
const LAST_MAX: usize = 8;
const LAST_BYTES_MAX: usize = 500;

/// The lines of one call.
pub(super) struct Speech {
    /// `None` while a component is described: nobody listens then, but a panic is still told.
    progress: Option<Progress>,
    left: usize,
    is_cut: bool,
    panic: Option<String>,
    /// The last lines of trouble, which tell why a guest gave up when it has no panic: the exception of a scripting language.
    last: VecDeque<String>,
    /// Bytes of a line that has not ended, for standard output and standard error.
    output: Vec<u8>,
    error: Vec<u8>,
    /// The line before said `panicked at …:`, and the message is in the next, as the standard library of Rust writes it.
    is_message_due: bool,
}

/// A stream of a runtime that expects a system around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Output,
    Error,
}

impl Speech {
    pub(super) fn heard(progress: Progress) -> Speech {
        Speech { progress: Some(progress), ..Speech::unheard() }
    }

    pub(super) fn unheard() -> Speech {
        Speech {
            progress: None,
            left: LOG_BYTES_MAX,
            is_cut: false,
            panic: None,
            last: VecDeque::new(),
            output: Vec::new(),
            error: Vec::new(),
            is_message_due: false,
        }
    }

    /// A message of any number of lines.
    pub(super) fn log(&mut self, level: LogLevel, message: &str) {
        for line in message.lines() {
            self.say(level, line);
        }
    }

    pub(super) fn waiting(&mut self, reason: &str) {
        let reason = words::line(reason, LINE_BYTES_MAX);
        if self.spend(reason.len())
            && let Some(progress) = &self.progress
        {
            progress.waiting(reason);
        }
    }

    /// Bytes that a runtime wrote; they are said line by line.
    pub(super) fn write(&mut self, stream: Stream, bytes: &[u8]) {
        for &byte in bytes {
            let line = self.line_of(stream);
            if byte != b'\n' && line.len() < LINE_BYTES_MAX {
                line.push(byte);
                continue;
            }
            self.end_line(stream);
            if byte != b'\n' {
                self.line_of(stream).push(byte);
            }
        }
    }

    /// Says what has no line break after it; the call is over.
    pub(super) fn end(&mut self) {
        for stream in [Stream::Output, Stream::Error] {
            if !self.line_of(stream).is_empty() {
                self.end_line(stream);
            }
        }
    }

    /// What a panic said before the trap.
    pub(super) fn panic(&self) -> Option<&str> {
        self.panic.as_deref()
    }

    /// The last lines of standard error and of the error level, the oldest first.
    pub(super) fn last(&self) -> impl Iterator<Item = &String> {
        self.last.iter()
    }

    fn line_of(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Output => &mut self.output,
            Stream::Error => &mut self.error,
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let bytes = std::mem::take(self.line_of(stream));
        let level = match stream {
            Stream::Output => LogLevel::Info,
            Stream::Error => LogLevel::Warn,
        };
        self.say(level, &String::from_utf8_lossy(&bytes));
    }

    fn say(&mut self, level: LogLevel, line: &str) {
        let line = words::line(line, LINE_BYTES_MAX);
        if matches!(level, LogLevel::Error | LogLevel::Warn) {
            self.listen_for_panic(&line);
            if !line.is_empty() {
                self.last.push_back(words::line(&line, LAST_BYTES_MAX));
            }
            if self.last.len() > LAST_MAX {
                self.last.pop_front();
            }
        }
        // An empty line costs something too, or a flood of them would be free.
        if self.spend(line.len() + 1)
            && let Some(progress) = &self.progress
        {
            progress.log(level, line);
        }
    }

    fn spend(&mut self, bytes: usize) -> bool {
        if let Some(left) = self.left.checked_sub(bytes) {
            self.left = left;
            return true;
        }
        self.left = 0;
        if !std::mem::replace(&mut self.is_cut, true)
            && let Some(progress) = &self.progress
        {
            let limit = Bytes(LOG_BYTES_MAX as u64);
            progress.log(LogLevel::Warn, format!("the rest of its log was left out: one call may write {limit}"));
        }
        false
    }

    fn listen_for_panic(&mut self, line: &str) {
        if std::mem::take(&mut self.is_message_due) && !line.is_empty() {
            if let Some(panic) = &mut self.panic {
                panic.push(' ');
                panic.push_str(line);
            }
            return;
        }
        if let Some(at) = line.find("panicked at ").filter(|at| *at == 0 || line.starts_with("thread '")) {
            self.panic = Some(line[at..].to_owned());
            self.is_message_due = line.ends_with(':');
        }
        // The runtime of Go. Where it was is in the lines after it.
        if let Some(message) = line.strip_prefix("panic: ").or_else(|| line.strip_prefix("fatal error: ")) {
            self.panic = Some(format!("panicked: {message}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use steps_sdk::context::{Request, RequestSender};

    use super::*;

    fn said(speak: impl FnOnce(&mut Speech)) -> Vec<String> {
        let (sender, mut requests) = RequestSender::channel();
        let mut speech = Speech::heard(Progress::new(sender));
        speak(&mut speech);
        speech.end();
        drop(speech);
        let mut lines = Vec::new();
        while let Ok(request) = requests.try_recv() {
            if let Request::Log { message, .. } = request {
                lines.push(message);
            }
        }
        lines
    }

    #[test]
    fn bytes_become_lines_and_the_last_needs_no_break() {
        let lines = said(|speech| {
            speech.write(Stream::Output, b"one\ntw");
            speech.write(Stream::Error, b"other\n");
            speech.write(Stream::Output, b"o");
        });
        assert_eq!(lines, ["one", "other", "two"]);
    }

    #[test]
    fn a_flood_is_cut_once_and_says_so() {
        let lines = said(|speech| {
            for _ in 0..10 {
                speech.log(LogLevel::Info, &"x".repeat(200_000));
            }
            for _ in 0..2_000_000 {
                speech.log(LogLevel::Info, "\u{1b}");
            }
        });
        let bytes: usize = lines.iter().map(String::len).sum();
        assert!(bytes < LOG_BYTES_MAX + 200, "{bytes}");
        assert_eq!(lines.iter().filter(|line| line.contains("left out")).count(), 1);
        assert!(lines.iter().all(|line| !line.contains('\u{1b}')));
    }

    #[test]
    fn the_words_of_a_panic_are_kept() {
        let mut speech = Speech::unheard();
        speech.log(LogLevel::Error, "panicked at src/lib.rs:14:21: boom");
        assert_eq!(speech.panic(), Some("panicked at src/lib.rs:14:21: boom"));
        speech.write(Stream::Error, b"thread 'main' panicked at src/lib.rs:3:5:\nno zone\nnote: more\n");
        assert_eq!(speech.panic(), Some("panicked at src/lib.rs:3:5: no zone"));
        speech.log(LogLevel::Info, "panicked at: a lie in a line of no importance");
        assert_eq!(speech.panic(), Some("panicked at src/lib.rs:3:5: no zone"));
        speech.write(Stream::Error, b"panic: no zone\n\ngoroutine 1 [running]:\n");
        assert_eq!(speech.panic(), Some("panicked: no zone"));
        assert_eq!(speech.last().last().map(String::as_str), Some("goroutine 1 [running]:"));
    }
}
