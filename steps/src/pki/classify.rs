//! What a failure about keys and certificates means: the family's one table of transient, permanent and needs-person.

use steps_sdk::{ErrorClass, StepError};

/// The failures of this family. Each says what it was about; none of them ever holds bytes of a key.
#[derive(Debug)]
pub enum Trouble {
    /// The inputs ask for something that cannot be issued.
    Inputs { reason: String, help: &'static str },
    /// Where a key should be kept there is something else.
    Occupied { place: String, reason: String },
    /// The library that signs refused.
    Signing { about: String, error: rcgen::Error },
    /// The CA that was handed over cannot issue this.
    Ca { reason: String, help: &'static str },
}

impl From<Trouble> for StepError {
    fn from(trouble: Trouble) -> StepError {
        match trouble {
            Trouble::Inputs { reason, help } => StepError::permanent("T401", reason).help(help).not_started(),
            Trouble::Occupied { place, reason } => StepError::new(
                ErrorClass::NeedsPerson,
                "T402",
                format!("{place} holds something else than this step's key and certificate"),
            )
            .cause(reason)
            .help("move it away if it is not needed, or name another place; a private key is never replaced unasked")
            .not_started(),
            Trouble::Signing { about, error } => {
                StepError::permanent("T403", format!("cannot issue the certificate of {about}")).caused_by(&error)
            }
            Trouble::Ca { reason, help } => StepError::permanent("T404", reason).help(help).not_started(),
        }
    }
}
