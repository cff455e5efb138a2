//! What a failure of the file system means: the family's one table of transient, permanent and needs-person.

use std::io;
use std::path::Path;

use steps_sdk::{ErrorClass, StepError};

/// `deed` reads after "cannot": "write", "read", "delete".
pub fn file_error(deed: &str, path: &Path, error: &io::Error) -> StepError {
    use io::ErrorKind as Kind;
    let (class, help) = match error.kind() {
        Kind::PermissionDenied => {
            (ErrorClass::NeedsPerson, "give the user that runs the engine the right to this path, or name another path")
        }
        Kind::ReadOnlyFilesystem => (ErrorClass::NeedsPerson, "name a path on a file system that can be written"),
        Kind::StorageFull | Kind::QuotaExceeded => {
            (ErrorClass::NeedsPerson, "make room on the file system, or name a path on another one")
        }
        Kind::NotFound | Kind::NotADirectory | Kind::AlreadyExists => {
            (ErrorClass::Permanent, "each part of the path before the last must be a directory")
        }
        Kind::IsADirectory => (ErrorClass::Permanent, "name a file inside of the directory"),
        Kind::InvalidFilename | Kind::InvalidInput => {
            (ErrorClass::Permanent, "the path is not one that this file system takes")
        }
        _ => (ErrorClass::Transient, "the operating system's own words stand in the cause"),
    };
    StepError::new(class, "X503", format!("cannot {deed} `{}`", path.display())).caused_by(error).help(help)
}
