//! Outputs that are too large for a record: one file each, named by the digest of what is in it.
//!
//! Written before the event that names them, so that an event never points at nothing. A file that no event names is waste, not
//! an error.

use std::io::{self, ErrorKind};

use engine_core::id::Digest;
use engine_core::limits::OUTPUT_INLINE_BYTES_MAX;
use engine_core::run::Outputs;
use steps_sdk::Value;

use super::error::JournalError;
use super::layout::RunDir;
use crate::disk;

/// Outputs as an event holds them: inline when they are small, else in a file, which is durable on return.
pub fn store(run: &RunDir, outputs: Value) -> Result<Outputs, JournalError> {
    let text = outputs.to_string();
    if text.len() <= OUTPUT_INLINE_BYTES_MAX {
        return Ok(Outputs::Inline(outputs));
    }
    let digest = Digest::of_bytes(text.as_bytes());
    let path = run.value(&digest);
    disk::replace(&path, text.as_bytes()).map_err(|error| JournalError::io(&path, "written", error))?;
    Ok(Outputs::File { digest, bytes: text.len() as u64 })
}

/// The outputs in the file of this digest.
pub fn load(run: &RunDir, digest: &Digest) -> Result<Value, JournalError> {
    let path = run.value(digest);
    let read = || -> io::Result<Value> {
        let text = std::fs::read(&path)?;
        if Digest::of_bytes(&text) != *digest {
            return Err(io::Error::new(ErrorKind::InvalidData, "its content does not fit its name"));
        }
        Ok(serde_json::from_slice(&text)?)
    };
    read().map_err(|error| JournalError::io(&path, "read", error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::journal::testing::new_run;

    #[test]
    fn small_outputs_stay_in_the_record_and_large_ones_come_back_from_their_file() {
        let (_dir, run) = new_run();
        let small = json!({ "a": 1 });
        assert_eq!(store(&run, small.clone()).unwrap(), Outputs::Inline(small));

        let large = json!({ "a": "x".repeat(OUTPUT_INLINE_BYTES_MAX) });
        let Outputs::File { digest, bytes } = store(&run, large.clone()).unwrap() else { panic!("it is too large") };
        assert!(bytes > OUTPUT_INLINE_BYTES_MAX as u64);
        assert_eq!(load(&run, &digest).unwrap(), large);

        std::fs::write(run.value(&digest), "{}").unwrap();
        let error = load(&run, &digest).unwrap_err();
        assert_eq!(error.to_string(), format!("{} could not be read", run.value(&digest).display()));
    }
}
