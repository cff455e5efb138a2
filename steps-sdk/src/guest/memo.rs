//! Durable notes of this step in this run: there again after a crash, before the outcome is. Not for secrets, which a guest never has.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bindings::engine::step::memo as wit;
use crate::StepError;

/// What was noted under this key, in this attempt or an earlier one.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<T>, StepError> {
    let Some(json) = wit::get(key) else { return Ok(None) };
    serde_json::from_str(&json).map(Some).map_err(|e| {
        StepError::permanent("G104", format!("the note `{key}` does not have the form that is read")).caused_by(&e)
    })
}

/// Returns when the note is on disk.
pub fn put<T: Serialize>(key: &str, value: &T) -> Result<(), StepError> {
    let json = serde_json::to_string(value).map_err(|e| {
        StepError::permanent("G104", format!("the note `{key}` cannot be written as JSON")).caused_by(&e)
    })?;
    wit::put(key, &json).map_err(|e| StepError::transient("G104", format!("the note `{key}` was not kept")).cause(e))
}
