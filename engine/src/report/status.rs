//! One run, asked for from outside, as text and as `engine.status/v1`.

use engine_core::id::Timestamp;
use steps_sdk::Value;

use super::RunView;
use super::look::Look;
use super::suggest::Suggest;

/// Whether a process works on the run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Alive,
    /// Nobody does: what the journal calls running is `unknown` until a resume looks.
    Gone,
}

/// Lanes, then everything that needs attention, each with its reason.
pub fn text(view: &RunView, life: Life, now: Timestamp, suggest: &Suggest, look: &Look) -> String {
    unimplemented!("{view:?} {life:?} {now:?} {suggest:?} {look:?}")
}

/// `engine.status/v1`.
pub fn json(view: &RunView, life: Life) -> Value {
    unimplemented!("{view:?} {life:?}")
}
