//! The time. Not recorded: what must survive a crash goes into the memo.

use std::time::Duration;

use super::bindings::engine::step::clock as wit;
use crate::StepError;

/// Milliseconds since 1970-01-01T00:00:00Z.
pub fn now_ms() -> u64 {
    wit::now_ms()
}

/// Ends early, with an error, when the step is asked to stop.
pub fn sleep(duration: Duration) -> Result<(), StepError> {
    match wit::sleep_ms(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)) {
        true => Ok(()),
        false => Err(StepError::transient("E130", "stopped while waiting")),
    }
}
