//! Kubernetes through the host, within the file's grants. The field manager is the step's, and in a preview writes are dry runs.

use std::time::Duration;

use super::bindings::engine::step::kubernetes as wit;
use crate::StepError;
use crate::value::Value;

pub use wit::{Error, Selection, Target};

/// What came of a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// The object as the server has it now; for a deletion, as it was.
    Done(Value),
    /// This is a preview: the object as the server would have it.
    WouldDo(Value),
}

impl Written {
    pub fn into_object(self) -> Value {
        match self {
            Written::Done(object) | Written::WouldDo(object) => object,
        }
    }
}

/// The object; `None` when it is not there.
pub fn get(target: &Target) -> Result<Option<Value>, StepError> {
    match wit::get(target) {
        Ok(json) => parsed(&json).map(Some),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The whole list.
pub fn list(selection: &Selection) -> Result<Vec<Value>, StepError> {
    wit::list_objects(selection)?.iter().map(|json| parsed(json)).collect()
}

/// Server-side apply. A field of somebody else is [`Error::Conflict`].
pub fn apply(cluster: &str, object: &Value) -> Result<Written, StepError> {
    written(wit::apply(cluster, &object.to_string(), false)?)
}

/// Server-side apply that takes fields away from whoever owns them.
pub fn apply_by_force(cluster: &str, object: &Value) -> Result<Written, StepError> {
    written(wit::apply(cluster, &object.to_string(), true)?)
}

/// Deletes the object with this UID, if one is given, and no other; `None` when it is not there.
pub fn delete(target: &Target, uid: Option<&str>) -> Result<Option<Written>, StepError> {
    match wit::delete(target, uid) {
        Ok(answer) => written(answer).map(Some),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Waits until the CEL condition over `object` holds; answers the object as it is then.
pub fn wait(target: &Target, until: &str, limit: Duration) -> Result<Value, StepError> {
    parsed(&wit::wait(target, until, u32::try_from(limit.as_millis()).unwrap_or(u32::MAX))?)
}

fn written(answer: wit::Written) -> Result<Written, StepError> {
    match answer {
        wit::Written::Done(json) => parsed(&json).map(Written::Done),
        wit::Written::WouldDo(json) => parsed(&json).map(Written::WouldDo),
    }
}

fn parsed(json: &str) -> Result<Value, StepError> {
    serde_json::from_str(json).map_err(|e| StepError::permanent("G102", "an object is not JSON").caused_by(&e))
}

/// What passes by itself is transient: an API server that does not answer, an object that is not there yet.
impl From<Error> for StepError {
    fn from(error: Error) -> StepError {
        match error {
            Error::NotGranted(what) => StepError::permanent("G102", what)
                .help("grant it in the workflow's file, in the `grant` of this component"),
            Error::NotFound => StepError::transient("G102", "there is no such object"),
            Error::Unavailable(what) => StepError::transient("G102", what),
            Error::Conflict(what) | Error::Forbidden(what) | Error::Invalid(what) | Error::Other(what) => {
                StepError::permanent("G102", what)
            }
        }
    }
}
