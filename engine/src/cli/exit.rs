//! Exit codes: what a script may rely on. They change only with a major version.

use std::process::ExitCode;

/// How the process ends. The number is the documentation's; `changed` in its words means the world outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done; also: nothing to do.
    Done = 0,
    /// Unexpected: a bug. The state is consistent.
    Unexpected = 1,
    /// Wrong usage. Nothing was changed.
    Usage = 2,
    /// The workflow or its inputs are invalid. Nothing was changed.
    Invalid = 3,
    /// A cluster is not the one that is meant or cannot be reached, or the seal key is missing. Nothing was changed.
    Preflight = 4,
    /// One or more steps failed; the run can be resumed.
    StepsFailed = 5,
    /// The run waits for a person.
    Parked = 6,
    /// Another run holds the lock. Nothing was changed.
    Locked = 7,
    /// `plan --exit-code`: there are changes.
    Changes = 8,
    /// This binary does not go on with what the run wrote. Nothing was changed.
    ResumeRefused = 9,
    /// The state could not be written or is damaged; nothing more was done.
    State = 74,
    /// Stopped by Ctrl-C or a closed terminal; what was done is recorded, the run can be resumed.
    Interrupted = 130,
    /// Stopped by SIGTERM; as above.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
