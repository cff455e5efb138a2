//! Something taken away that must be given back whatever happens.

use serde::Serialize;

use super::bindings::engine::step::hold as wit;
use crate::StepError;

/// Call before taking; `data` is all that the kind's `release` will get. Returns when the hold is on disk.
pub fn take<T: Serialize>(name: &str, data: &T) -> Result<(), StepError> {
    let json = serde_json::to_string(data).map_err(|e| {
        StepError::permanent("G104", format!("the hold `{name}` cannot be written as JSON")).caused_by(&e)
    })?;
    wit::take(name, &json).map_err(|e| StepError::transient("G104", format!("the hold `{name}` was not kept")).cause(e))
}
