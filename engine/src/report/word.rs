//! The one word that says what has become of a step. People grep for it, so there are few and they never change.

use super::look::Style;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Run,
    Ok,
    /// Succeeded without changing anything.
    Same,
    Skip,
    Fail,
    Retry,
    Wait,
    /// Waits for a person.
    Park,
    Stop,
    /// Will run again, although it had started or finished before.
    Again,
    Undo,
    /// Something was taken away and must be given back.
    Hold,
    /// It was given back.
    Free,
    Warn,
    Note,
}

impl Word {
    pub fn text(self) -> &'static str {
        match self {
            Word::Run => "RUN",
            Word::Ok => "OK",
            Word::Same => "SAME",
            Word::Skip => "SKIP",
            Word::Fail => "FAIL",
            Word::Retry => "RETRY",
            Word::Wait => "WAIT",
            Word::Park => "PARK",
            Word::Stop => "STOP",
            Word::Again => "AGAIN",
            Word::Undo => "UNDO",
            Word::Hold => "HOLD",
            Word::Free => "FREE",
            Word::Warn => "WARN",
            Word::Note => "NOTE",
        }
    }

    pub fn style(self) -> Style {
        match self {
            Word::Run | Word::Note => Style::Normal,
            Word::Ok | Word::Free => Style::Good,
            Word::Same | Word::Skip => Style::Quiet,
            Word::Fail => Style::Bad,
            Word::Retry | Word::Wait | Word::Park | Word::Stop | Word::Again | Word::Undo | Word::Hold | Word::Warn => {
                Style::Attention
            }
        }
    }
}
