//! The list of runs, as text and as JSON.

use engine_core::id::Timestamp;
use steps_sdk::Value;

use super::RunView;
use super::look::Look;
use super::status::Life;

/// A table, newest run first, as the caller ordered them.
pub fn text(runs: &[(RunView, Life)], now: Timestamp, look: &Look) -> String {
    unimplemented!("{runs:?} {now:?} {look:?}")
}

/// The heads of `engine.status/v1`, without steps.
pub fn json(runs: &[(RunView, Life)]) -> Value {
    unimplemented!("{runs:?}")
}
