//! One event in one line: the word, the step, how long it took, and what there is to say. The plain view writes every entry, the
//! live view keeps the lasting ones.

use engine_core::id::Timestamp;
use engine_core::run::{Event, Unparked};
use steps_sdk::StepError;
use steps_sdk::context::LogLevel;

use super::notice::Notice;
use super::step_view::StepView;
use super::view::RunView;
use super::word::Word;
use super::words;

/// What one notice says about one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<'a> {
    pub word: Word,
    /// `None`: it is about the run.
    pub step: Option<&'a StepView>,
    /// Since the step started; `None` where that says nothing.
    pub took_ms: Option<u64>,
    pub text: String,
    pub time: Timestamp,
}

impl Entry<'_> {
    /// Whether it is the last word on its step for now, and stays on the screen.
    pub fn is_lasting(&self) -> bool {
        match self.word {
            Word::Ok
            | Word::Same
            | Word::Skip
            | Word::Fail
            | Word::Park
            | Word::Stop
            | Word::Undo
            | Word::Again
            | Word::Hold
            | Word::Free
            | Word::Note => true,
            Word::Run | Word::Retry | Word::Wait | Word::Warn => false,
        }
    }
}

/// The entry of a notice that the view has already taken in; `None` for the beginning and the end of a run, which are told at
/// length, and for what only the engine remembers.
pub fn of<'a>(notice: &Notice, view: &'a RunView) -> Option<Entry<'a>> {
    match notice {
        Notice::Recorded(recorded) => {
            let step = view.step(recorded.event.step()?)?;
            let (word, text) = said(&recorded.event, step, recorded.time)?;
            let is_timed = matches!(word, Word::Ok | Word::Same | Word::Fail | Word::Retry | Word::Stop);
            let took_ms = (is_timed && step.started.is_some()).then(|| step.took_ms(recorded.time));
            Some(Entry { word, step: Some(step), took_ms, text, time: recorded.time })
        }
        Notice::StepWaiting { step, reason, since } => {
            let step = view.step(step)?;
            let took_ms = Some(step.took_ms(*since));
            Some(Entry {
                word: Word::Wait,
                step: Some(step),
                took_ms,
                text: words::clean(reason).into_owned(),
                time: *since,
            })
        }
        Notice::Stopping { time } => {
            let running = words::count(view.counts.running, "running step");
            let text =
                format!("nothing more is started; waits for {running} to be safe, a second interrupt leaves at once");
            Some(Entry { word: Word::Stop, step: None, took_ms: None, text, time: *time })
        }
        Notice::Remark { step, time, text } => {
            let step = step.as_ref().and_then(|id| view.step(id));
            Some(Entry { word: Word::Note, step, took_ms: None, text: words::clean(text).into_owned(), time: *time })
        }
        Notice::Log { step, time, level, message } => match level {
            LogLevel::Error | LogLevel::Warn => {
                let step = view.step(step)?;
                Some(Entry {
                    word: Word::Warn,
                    step: Some(step),
                    took_ms: None,
                    text: words::clean(message).into_owned(),
                    time: *time,
                })
            }
            // The full log is on disk; the view would drown in it.
            LogLevel::Info | LogLevel::Debug => None,
        },
    }
}

fn said(event: &Event, step: &StepView, time: Timestamp) -> Option<(Word, String)> {
    let clean = |text: &str| words::clean(text).into_owned();
    let (word, text) = match event {
        Event::StepStarted { attempt: 1, .. } => (Word::Run, String::new()),
        Event::StepStarted { attempt, .. } => (Word::Run, format!("attempt {attempt} of {}", step.attempts_max)),
        Event::StepSucceeded { summary, same: true, .. } => (Word::Same, clean(summary)),
        Event::StepSucceeded { summary, same: false, .. } => (Word::Ok, clean(summary)),
        Event::StepFailed { error, retry_at: Some(until), .. } => {
            let next = format!(
                "attempt {} of {} in {}",
                step.attempt + 1,
                step.attempts_max,
                words::duration(until.since(time))
            );
            (Word::Retry, format!("{}; {next}", error_line(error)))
        }
        Event::StepFailed { error, retry_at: None, .. } => (Word::Fail, error_line(error)),
        Event::StepSkipped { because, .. } => (Word::Skip, clean(because)),
        Event::StepParked { why, .. } => (Word::Park, clean(why)),
        Event::StepUnparked { by, reason, to, .. } => {
            let (word, decided) = match to {
                Unparked::Again => (Word::Again, "runs again"),
                Unparked::Done { .. } => (Word::Ok, "taken as done"),
                Unparked::Skipped => (Word::Skip, "left out"),
                Unparked::Failed => (Word::Fail, "taken as failed"),
            };
            (word, format!("{decided}, says {}: {}", clean(by), clean(reason)))
        }
        Event::StepReset { reason, .. } => (Word::Again, clean(reason)),
        Event::StepUndone { summary, stays, .. } if stays.is_empty() => (Word::Undo, clean(summary)),
        Event::StepUndone { summary, stays, .. } => {
            (Word::Undo, format!("{}; stays: {}", clean(summary), clean(stays)))
        }
        Event::StepCancelled { reason, .. } => (Word::Stop, clean(reason)),
        Event::HoldTaken { name, .. } => {
            (Word::Hold, format!("took {}, gives it back when the step ends", clean(name)))
        }
        Event::HoldReleased { name, because, .. } => {
            (Word::Free, format!("gave {} back: {}", clean(name), clean(because)))
        }
        Event::MemoPut { .. } | Event::RunStarted { .. } | Event::RunResumed { .. } | Event::RunFinished { .. } => {
            return None;
        }
    };
    Some((word, text))
}

/// `error[K204]: etcd did not become ready`.
pub fn error_line(error: &StepError) -> String {
    format!("error[{}]: {}", words::clean(&error.code), words::clean(&error.message))
}
