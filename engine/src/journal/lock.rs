//! One live engine per installation: an exclusive `flock` under the lock's name, gone with the process that holds it.
//!
//! The file stays when the lock is released: removing it would let a third process lock a new file of the same name while a second
//! holds the old one. What is written in it only tells others who holds the lock; it is never believed without the lock.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;
use std::time::Duration;

use engine_core::id::{Digest, RunId, Timestamp};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::error::StateError;
use super::layout::StateDir;
use crate::disk;

/// A glance of [`holder`] is over long before this, so often.
const GLANCE: Duration = Duration::from_millis(2);
const GLANCES: u32 = 5;

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub run: RunId,
    pub pid: u32,
    pub host: String,
    pub since: Timestamp,
}

/// Held until it is dropped. The descriptor is closed on exec, so that a program that a step leaves behind does not hold it on.
#[derive(Debug)]
pub struct HeldLock {
    file: File,
    name: String,
}

impl Holder {
    pub fn this_process(run: RunId, since: Timestamp) -> Holder {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Holder { run, pid: std::process::id(), host, since }
    }
}

impl HeldLock {
    /// Takes the lock or says who has it. Waits only as long as a glance of [`holder`] may hold it.
    pub fn take(state: &StateDir, name: &str, holder: &Holder) -> Result<HeldLock, StateError> {
        let path = state.locks().join(Digest::of_bytes(name.as_bytes()).as_str());
        let failed = |verb, error| StateError::io(&path, verb, error);
        let mut options = disk::private_file();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(|e| failed("opened", e))?;
        let mut glances_left = GLANCES;
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(rustix::io::Errno::WOULDBLOCK) if glances_left > 0 => {
                    glances_left -= 1;
                    std::thread::sleep(GLANCE);
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(StateError::Held { lock: name.to_owned(), holder: read_holder(&mut file) });
                }
                locked => break locked.map_err(|error| failed("locked", error.into()))?,
            }
        }
        let text = serde_json::to_vec(holder).map_err(|error| failed("written", error.into()))?;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(&text))
            .map_err(|e| failed("written", e))?;
        Ok(HeldLock { file, name: name.to_owned() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for HeldLock {
    /// Closing the file is not enough: a child that was forked and has not yet called exec holds the same lock for a moment.
    fn drop(&mut self) {
        if let Err(error) = rustix::fs::flock(&self.file, FlockOperation::Unlock) {
            tracing::error!(lock = self.name, %error, "the lock could not be released before the end of the process");
        }
    }
}

/// Who holds the lock now, for commands that only look. The look itself is a shared lock of a few microseconds.
pub fn holder(state: &StateDir, name: &str) -> Result<Option<Holder>, StateError> {
    let path = state.locks().join(Digest::of_bytes(name.as_bytes()).as_str());
    let failed = |verb, error| StateError::io(&path, verb, error);
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| failed("opened", error))?,
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(read_holder(&mut file)),
        free => free.map(|()| None).map_err(|error| failed("locked", error.into())),
    }
}

/// For words only: a holder that has just taken the lock may not have written yet.
fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = Vec::new();
    file.read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Refuses a directory on a file system whose locks end at the host or whose flush may mean nothing.
pub(super) fn refuse_network_file_system(path: &Path) -> Result<(), StateError> {
    let stat = rustix::fs::statfs(path).map_err(|error| StateError::io(path, "examined", error.into()))?;
    // The kernel's type is a word of 32 bits whose sign depends on the machine.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the magic numbers have 32 bits")]
    let magic = stat.f_type as u32;
    let kind = match network_file_system(magic) {
        FileSystem::Local => return Ok(()),
        FileSystem::Network(kind) => kind.to_owned(),
        FileSystem::Fuse => match fuse_type(path).filter(|name| is_network_fuse(name)) {
            Some(name) => name,
            None => return Ok(()),
        },
    };
    Err(StateError::NetworkFileSystem { path: path.to_owned(), kind })
}

#[derive(Debug, PartialEq, Eq)]
enum FileSystem {
    Local,
    Network(&'static str),
    /// Only the mount table says which.
    Fuse,
}

fn network_file_system(magic: u32) -> FileSystem {
    match magic {
        0x6969 => FileSystem::Network("NFS"),
        0x517B | 0xFE53_4D42 => FileSystem::Network("SMB"),
        0xFF53_4D42 => FileSystem::Network("CIFS"),
        0x0102_1997 => FileSystem::Network("9P"),
        0x00C3_6400 => FileSystem::Network("Ceph"),
        0x5346_414F | 0x6B41_4653 => FileSystem::Network("AFS"),
        0x7375_7245 => FileSystem::Network("Coda"),
        0x564C => FileSystem::Network("NCP"),
        0x013111A8 => FileSystem::Network("IBRIX"),
        0x6573_5546 => FileSystem::Fuse,
        _ => FileSystem::Local,
    }
}

/// File systems in user space that keep their files elsewhere. Others, such as encrypted directories, are local.
fn is_network_fuse(name: &str) -> bool {
    const NETWORK: [&str; 12] = [
        "sshfs",
        "s3fs",
        "rclone",
        "glusterfs",
        "davfs",
        "gcsfuse",
        "goofys",
        "curlftpfs",
        "ceph",
        "mount-s3",
        "blobfuse",
        "afp",
    ];
    name.strip_prefix("fuse.").is_some_and(|kind| NETWORK.iter().any(|network| kind.starts_with(network)))
}

/// The type of the mount that `path` lies in, from the mount table.
fn fuse_type(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let device = path.metadata().ok()?.dev();
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    mount_type(&std::fs::read_to_string("/proc/self/mountinfo").ok()?, &device)
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`: the third field is the device, the type follows the dash.
fn mount_type(table: &str, device: &str) -> Option<String> {
    let line = table.lines().find(|line| line.split(' ').nth(2) == Some(device))?;
    let (_, after) = line.split_once(" - ")?;
    after.split(' ').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::testing::new_state;

    fn holder_named(run: &str) -> Holder {
        Holder::this_process(run.parse().unwrap(), Timestamp(7))
    }

    #[test]
    fn a_second_engine_learns_who_holds_the_lock_until_it_is_released() {
        let (_dir, state) = new_state();
        let first = HeldLock::take(&state, "engine/kcp zheng", &holder_named("zheng-1")).unwrap();
        let error = HeldLock::take(&state, "engine/kcp zheng", &holder_named("zheng-2")).unwrap_err();
        assert!(
            matches!(&error, StateError::Held { holder: Some(found), .. } if *found == holder_named("zheng-1")),
            "{error}"
        );
        let text = error.to_string();
        assert!(text.starts_with("another run holds the lock `engine/kcp zheng`: run `zheng-1`, process "), "{text}");
        assert_eq!(holder(&state, "engine/kcp zheng").unwrap(), Some(holder_named("zheng-1")));
        HeldLock::take(&state, "another", &holder_named("zheng-2")).unwrap();

        drop(first);
        assert_eq!(holder(&state, "engine/kcp zheng").unwrap(), None);
        let second = HeldLock::take(&state, "engine/kcp zheng", &holder_named("zheng-2")).unwrap();
        assert_eq!(second.name(), "engine/kcp zheng");
        assert_eq!(holder(&state, "engine/kcp zheng").unwrap(), Some(holder_named("zheng-2")));
    }

    #[test]
    fn a_program_that_was_started_does_not_keep_the_lock() {
        let (_dir, state) = new_state();
        let lock = HeldLock::take(&state, "a", &holder_named("r")).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        drop(lock);
        assert!(HeldLock::take(&state, "a", &holder_named("r")).is_ok());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn network_file_systems_are_known_by_their_numbers_and_names() {
        assert_eq!(network_file_system(0x6969), FileSystem::Network("NFS"));
        assert_eq!(network_file_system(0xFF53_4D42), FileSystem::Network("CIFS"));
        for local in [0xEF53, 0x0102_1994, 0x794C_7630, 0x5846_5342, 0x9123_683E] {
            assert_eq!(network_file_system(local), FileSystem::Local, "{local:x}");
        }
        assert_eq!(network_file_system(0x6573_5546), FileSystem::Fuse);
        let table = "22 1 0:20 / /sys rw shared:7 - sysfs sysfs rw\n99 1 0:51 / /mnt/a rw shared:9 - fuse.sshfs me@host:/x rw\n";
        assert_eq!(mount_type(table, "0:51").as_deref(), Some("fuse.sshfs"));
        assert_eq!(mount_type(table, "0:5"), None);
        assert!(is_network_fuse("fuse.sshfs"));
        assert!(!is_network_fuse("fuse.gocryptfs"));
    }
}
