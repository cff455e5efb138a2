//! Takes in what a program says: every line goes to the step's log, the beginning is kept for the outputs.

use std::io;

use steps_sdk::context::{LogLevel, Progress};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How much of each stream is kept.
pub const KEPT_MAX: usize = 1 << 20;

/// A longer line is logged in parts.
const LINE_MAX: usize = 8 << 10;

/// How many of the last lines an error repeats.
pub const LAST_LINES: usize = 5;

/// What was said on one stream.
#[derive(Debug, Default)]
pub struct Said {
    kept: Vec<u8>,
    pub is_clipped: bool,
    last_lines: Vec<String>,
}

impl Said {
    /// As text, without the final line break that nearly every program ends with.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        text.strip_suffix('\n')
            .map_or_else(|| text.to_string(), |text| text.strip_suffix('\r').unwrap_or(text).to_owned())
    }

    pub fn bytes(&self) -> &[u8] {
        &self.kept
    }

    pub fn last_lines(&self) -> Vec<String> {
        self.last_lines.clone()
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = KEPT_MAX - self.kept.len();
        self.is_clipped |= bytes.len() > room;
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn line(&mut self, line: &[u8], progress: &Progress) {
        let text = String::from_utf8_lossy(line).trim_end_matches('\r').to_owned();
        progress.log(LogLevel::Info, text.clone());
        if self.last_lines.len() == LAST_LINES {
            self.last_lines.remove(0);
        }
        self.last_lines.push(text);
    }
}

/// Reads to the end, whatever the length: a program must not block because nobody listens. `said` has it all even if this future is
/// dropped before the end.
pub async fn take_in(mut stream: impl AsyncRead + Unpin, said: &mut Said, progress: &Progress) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    let mut line = Vec::new();
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            break;
        }
        said.keep(&buffer[..length]);
        for byte in &buffer[..length] {
            if *byte != b'\n' {
                line.push(*byte);
            }
            if *byte == b'\n' || line.len() == LINE_MAX {
                said.line(&line, progress);
                line.clear();
            }
        }
    }
    if !line.is_empty() {
        said.line(&line, progress);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rig;

    async fn said(bytes: Vec<u8>) -> (Said, Vec<String>) {
        let rig = Rig::new();
        let said = rig
            .answering(async |cx| {
                let mut said = Said::default();
                take_in(bytes.as_slice(), &mut said, &cx.progress).await.unwrap();
                said
            })
            .await;
        (said, rig.log())
    }

    #[tokio::test]
    async fn lines_are_logged_one_by_one_and_the_text_loses_one_line_break() {
        let (said, log) = said(b"one\r\ntwo\n\nlast".to_vec()).await;
        assert_eq!(log, ["one", "two", "", "last"]);
        assert_eq!(said.text(), "one\r\ntwo\n\nlast");
        let (said, _) = super::tests::said(b"one\n\n".to_vec()).await;
        assert_eq!(said.text(), "one\n");
    }

    #[tokio::test]
    async fn more_than_is_kept_is_still_read_and_logged() {
        let (said, log) = said(vec![b'x'; KEPT_MAX + LINE_MAX + 1]).await;
        assert!(said.is_clipped && said.bytes().len() == KEPT_MAX);
        assert_eq!(log.iter().map(String::len).sum::<usize>(), KEPT_MAX + LINE_MAX + 1);
        assert_eq!(said.last_lines().len(), LAST_LINES);
    }

    #[tokio::test]
    async fn what_is_no_text_is_replaced_and_nothing_fails() {
        let (said, log) = said(vec![0xff, b'a', b'\n']).await;
        assert_eq!((said.text().as_str(), log[0].as_str()), ("\u{fffd}a", "\u{fffd}a"));
    }
}
