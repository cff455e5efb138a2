//! What a reporter is told: the facts of the journal, and beside them what is worth seeing but not worth keeping.

use engine_core::id::{StepId, Timestamp};
use engine_core::run::Recorded;
use steps_sdk::context::LogLevel;

/// One thing to show. Invariant 3 is the runner's: a [`Notice::Recorded`] is sent only when its event is durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// An event with its place in the journal.
    Recorded(Recorded),
    /// Why a running step waits now. Sent when the reason changes; `since` is when it did.
    StepWaiting { step: StepId, reason: String, since: Timestamp },
    /// Somebody asked for a stop: nothing is started any more, what runs is given time to reach a safe point.
    Stopping { time: Timestamp },
    /// Something that the engine itself has to say, about a step or the run; always shown.
    Remark { step: Option<StepId>, time: Timestamp, text: String },
    /// A line that a step wrote; its full log is on disk.
    Log { step: StepId, time: Timestamp, level: LogLevel, message: String },
}
