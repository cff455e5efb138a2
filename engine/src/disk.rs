//! Files that are still there after a power cut: private directories, and files that are either whole or absent.
//!
//! Beneath the adapters, which are strangers to each other and all need this. The journal's own file is not written here: it
//! grows in place (`journal/file.rs`). What is where in the state directory is said by `journal/layout.rs`.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A place where a test stops the process (`return(abort)`) or makes the call fail (`return(EIO)`). Nothing without the feature
/// `failpoints`.
macro_rules! failpoint {
    ($name:expr) => {
        fail::fail_point!($name, $crate::disk::injected)
    };
}
pub(crate) use failpoint;

/// What a failpoint does when a test has switched it on.
#[cfg(feature = "failpoints")]
pub(crate) fn injected<T>(action: Option<String>) -> io::Result<T> {
    match action.as_deref() {
        Some("abort") => std::process::abort(),
        Some("ENOSPC") => Err(rustix::io::Errno::NOSPC.into()),
        _ => Err(rustix::io::Errno::IO.into()),
    }
}

/// Replaces `path` by `bytes`: after a crash it holds the old content or the new, never a part. Durable on return.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = write_beside(path, bytes)?;
    let renamed = rename_over(&temporary, path);
    if renamed.is_err() {
        // The error is what counts; what is left behind has a name that nothing reads.
        let _ = std::fs::remove_file(&temporary);
    }
    renamed
}

/// Like [`replace`], but fails with `AlreadyExists` when `path` is there, so that of two processes exactly one makes it.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = write_beside(path, bytes)?;
    let linked = std::fs::hard_link(&temporary, path);
    let removed = std::fs::remove_file(&temporary);
    linked.and(removed)?;
    sync_directory(parent_of(path))
}

/// Makes a directory and those above it that are missing, at mode 0700, with their entries durable.
pub fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Ok(()) => sync_directory(parent_of(path)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && parent_of(path) != path => {
            make_directory(parent_of(path))?;
            make_directory(path)
        }
        Err(error) => Err(error),
    }
}

/// Makes the entries of a directory durable: files that were created, renamed or removed in it.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    failpoint!("disk-directory-after");
    Ok(())
}

/// How our files are opened for writing: mode 0600, never through a symbolic link.
pub fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(FILE_MODE).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// The directory that holds the entry `path`.
pub fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    }
}

/// Writes and syncs a file next to `path`, under a name of its own.
fn write_beside(path: &Path, bytes: &[u8]) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let mut name = OsString::from(".");
    name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(format!(".{}-{}.tmp", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let temporary = parent_of(path).join(name);

    failpoint!("disk-write-before");
    let written = write_new(&temporary, bytes);
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written.map(|()| temporary)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A process of the same number may have died here long ago: its half-written file is worth nothing.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private_file().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    failpoint!("disk-sync-before");
    file.sync_all()
}

fn rename_over(temporary: &Path, path: &Path) -> io::Result<()> {
    failpoint!("disk-rename-before");
    std::fs::rename(temporary, path)?;
    failpoint!("disk-rename-after");
    sync_directory(parent_of(path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn files_are_private_whole_and_leave_nothing_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/file");
        make_directory(parent_of(&path)).unwrap();
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&dir.path().join("deep")), 0o700);
        assert_eq!(std::fs::read_dir(parent_of(&path)).unwrap().count(), 1);
    }

    #[test]
    fn of_many_creators_exactly_one_makes_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let winners: Vec<u8> = std::thread::scope(|scope| {
            let path = &path;
            let racers: Vec<_> = (0..8u8).map(|i| scope.spawn(move || create(path, &[i]).ok().map(|()| i))).collect();
            racers.into_iter().filter_map(|racer| racer.join().unwrap()).collect()
        });
        assert_eq!(winners.len(), 1);
        assert_eq!(std::fs::read(&path).unwrap(), winners);
        assert_eq!(create(&path, b"late").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_symbolic_link_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        std::fs::write(&target, "theirs").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        replace(&link, b"ours").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"theirs");
        assert_eq!(std::fs::read(&link).unwrap(), b"ours");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_an_error_and_no_endless_search() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(make_directory(&dir.path().join("file/below")).is_err());
        assert!(make_directory(&dir.path().join("file")).is_err());
    }
}
