//! Questions about names through the host, within the file's grants.

use super::bindings::engine::step::dns as wit;
use crate::StepError;

pub use wit::{Answer, Error};

/// Asks the machine's resolver. No records: an empty list. Aliases on the way are among the answers.
pub fn query(name: &str, record_type: &str) -> Result<Vec<Answer>, StepError> {
    Ok(wit::query(name, record_type, false)?)
}

/// Asks the zone's own servers, past every cache.
pub fn query_authoritative(name: &str, record_type: &str) -> Result<Vec<Answer>, StepError> {
    Ok(wit::query(name, record_type, true)?)
}

/// A name that is not there may be there later, like a server that does not answer.
impl From<Error> for StepError {
    fn from(error: Error) -> StepError {
        match error {
            Error::NotGranted(what) => StepError::permanent("G103", what)
                .help("grant it in the workflow's file, in the `grant` of this component"),
            Error::NoSuchName => StepError::transient("G103", "there is no such name"),
            Error::ServerFailure => StepError::transient("G103", "the name server failed to answer"),
            Error::Timeout => StepError::transient("G103", "the name server did not answer in time"),
            Error::Other(what) => StepError::permanent("G103", what),
        }
    }
}
