//! One live engine per installation: an exclusive `flock` under the lock's name, gone with the process that holds it.
//!
//! The file stays when the lock is released: removing it would let a third process lock a new file of the same name while a second
//! holds the old one. What is written in it only tells others who holds the lock; it is never believed without the lock.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

use engine_core::id::{Digest, RunId, Timestamp};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::error::StateError;
use super::layout::StateDir;
use crate::disk;

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
    _file: File,
    name: String,
}

impl Holder {
    pub fn this_process(run: RunId, since: Timestamp) -> Holder {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Holder { run, pid: std::process::id(), host, since }
    }
}

impl HeldLock {
    /// Takes the lock or says who has it; never waits.
    pub fn take(state: &StateDir, name: &str, holder: &Holder) -> Result<HeldLock, StateError> {
        let path = state.locks().join(Digest::of_bytes(name.as_bytes()).as_str());
        let failed = |verb, error| StateError::io(&path, verb, error);
        let mut options = disk::private_file();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(&path).map_err(|e| failed("opened", e))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StateError::Held { lock: name.to_owned(), holder: read_holder(&mut file) });
            }
            locked => locked.map_err(|error| failed("locked", error.into()))?,
        }
        let text = serde_json::to_vec(holder).map_err(|error| failed("written", error.into()))?;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(&text))
            .map_err(|e| failed("written", e))?;
        Ok(HeldLock { _file: file, name: name.to_owned() })
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}

/// For the error only: a holder that has just taken the lock may not have written yet.
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
