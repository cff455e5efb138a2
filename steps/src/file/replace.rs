//! Writes a file so that a reader, and a crash, see the old content or the new, and nothing between.
//!
//! The bytes go to a temporary name in the same directory and are on disk before the name changes; the directory is synced after
//! it. A temporary name begins with a mark of the step and ends at random: the next attempt takes away what a killed one left
//! behind, and an abandoned attempt whose thread still runs can never rename the half-written file of its successor.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use steps_sdk::StepError;
use steps_sdk::context::SecretBytes;

use super::classify::file_error;

/// Permission bits of a file, `0` to `0777`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(u32);

impl Mode {
    pub const PRIVATE: Mode = Mode(0o600);

    /// Reads octal text such as `0640`.
    pub fn parse(text: &str) -> Result<Mode, StepError> {
        match u32::from_str_radix(text, 8) {
            Ok(bits) if bits <= 0o777 => Ok(Mode(bits)),
            _ => Err(StepError::permanent("X502", format!("`{text}` is not a file mode"))
                .help("write three octal digits, with or without a leading zero: \"0600\"")
                .not_started()),
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// What a path holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Nothing,
    File {
        bytes: SecretBytes,
        mode: Mode,
    },
    /// A directory, a symbolic link, a device: not something to read or replace.
    Other(&'static str),
}

/// Reads without following a symbolic link at the end of the path. The bytes may be secret, so they are held as such.
pub async fn look(path: &Path) -> Result<Found, StepError> {
    let path = path.to_owned();
    blocking(move || look_now(&path).map_err(|e| file_error("read", &path, &e))).await
}

fn look_now(path: &Path) -> io::Result<Found> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(e) => return Err(e),
    };
    let kind = meta.file_type();
    if kind.is_dir() {
        return Ok(Found::Other("a directory"));
    }
    if kind.is_symlink() {
        return Ok(Found::Other("a symbolic link"));
    }
    if !kind.is_file() {
        return Ok(Found::Other("neither a file nor a directory"));
    }
    Ok(Found::File { bytes: SecretBytes::new(fs::read(path)?), mode: Mode(meta.mode() & 0o777) })
}

/// Puts `bytes` at `path`. `owner` names the step, so that two steps in one directory leave each other's temporary files alone.
pub async fn replace(path: &Path, bytes: SecretBytes, mode: Mode, owner: &str) -> Result<(), StepError> {
    let (path, mark) = (path.to_owned(), temporary_mark(path, owner));
    blocking(move || put_now(&path, &mark, bytes.expose(), mode).map_err(|e| file_error("write", &path, &e))).await
}

/// One write at a time: that of an attempt which was given up goes on in its thread, and the next attempt would take the other's
/// temporary file for a stray.
static WRITING: Mutex<()> = Mutex::new(());

fn put_now(path: &Path, mark: &str, bytes: &[u8], mode: Mode) -> io::Result<()> {
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let directory = directory_of(path);
    DirBuilder::new().recursive(true).create(directory)?;
    remove_strays(directory, mark)?;
    // Made anew at mode 0600, never through a link that somebody put there; private until it is complete.
    let mut file = tempfile::Builder::new().prefix(mark).suffix(".tmp").tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode.0))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

fn remove_strays(directory: &Path, mark: &str) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(mark) {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes the file; it is no error when it is not there.
pub async fn remove(path: &Path) -> Result<(), StepError> {
    let path = path.to_owned();
    blocking(move || {
        let removed = remove_if_there(&path).and_then(|()| File::open(directory_of(&path))?.sync_all());
        removed.map_err(|e| file_error("delete", &path, &e))
    })
    .await
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

/// A relative path without a directory lies in the working directory.
fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn temporary_mark(path: &Path, owner: &str) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let hash: String =
        Sha256::digest(format!("{owner}\n{name}")).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!(".engine-{hash}-")
}

/// File calls block, some of them for as long as a disk takes to flush; they get a thread of their own.
async fn blocking<T: Send + 'static>(
    deed: impl FnOnce() -> Result<T, StepError> + Send + 'static,
) -> Result<T, StepError> {
    tokio::task::spawn_blocking(deed)
        .await
        .map_err(|e| StepError::transient("X503", "the thread that worked on a file ended early").caused_by(&e))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_and_have_no_special_bits() {
        for (text, mode) in [("0600", 0o600), ("644", 0o644), ("0", 0), ("0777", 0o777)] {
            assert_eq!(Mode::parse(text).unwrap(), Mode(mode), "{text}");
        }
        for text in ["", "0o600", "800", "4755", "-1", "rw-", "0600 "] {
            assert_eq!(Mode::parse(text).unwrap_err().code, "X502", "{text:?}");
        }
        assert_eq!(Mode::parse("644").unwrap().to_string(), "0644");
    }

    #[tokio::test]
    async fn what_a_killed_attempt_left_behind_is_taken_away_and_other_files_stay() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a");
        let stray = |owner: &str| room.path().join(format!("{}stray.tmp", temporary_mark(&path, owner)));
        fs::write(stray("me"), "half").unwrap();
        fs::write(stray("another step"), "half").unwrap();
        replace(&path, SecretBytes::new(b"new".to_vec()), Mode::PRIVATE, "me").await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(!stray("me").exists() && stray("another step").exists());
    }

    #[tokio::test]
    async fn a_directory_in_the_way_is_named_as_such() {
        let room = tempfile::tempdir().unwrap();
        assert_eq!(look(room.path()).await.unwrap(), Found::Other("a directory"));
        fs::write(room.path().join("file"), "").unwrap();
        let below = room.path().join("file/below");
        let error = replace(&below, SecretBytes::new(Vec::new()), Mode::PRIVATE, "me").await.unwrap_err();
        assert_eq!((error.code.as_str(), error.class), ("X503", steps_sdk::ErrorClass::Permanent), "{error:?}");
    }
}
