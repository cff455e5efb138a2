//! Lends a program one cluster: a kubeconfig of mode 0600 that is gone when the program has ended.
//!
//! Its name is the same on every attempt of a step, so that what a killed engine left behind is taken away by the next attempt.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use steps_sdk::StepError;
use steps_sdk::context::{ClusterHandle, StepContext};

use super::classify::Trouble;
use crate::pki::certificate::hex;

/// A file that is removed when this is dropped.
pub struct Lent {
    path: PathBuf,
}

impl Lent {
    pub fn new(cx: &StepContext, cluster: &ClusterHandle) -> Result<Lent, StepError> {
        let content = cluster.kubeconfig()?;
        let lent = Lent { path: path(cx) };
        write(&lent.path, content.expose())
            .map_err(|error| Trouble::System { deed: "write a kubeconfig for the program", error })?;
        Ok(lent)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "a kubeconfig that was lent to a program cannot be removed");
        }
    }
}

/// Removes what an earlier attempt left behind.
pub fn take_back(cx: &StepContext) -> Result<(), StepError> {
    remove(&path(cx))
        .map_err(|error| Trouble::System { deed: "remove the kubeconfig of an earlier attempt", error }.into())
}

fn path(cx: &StepContext) -> PathBuf {
    let mark = hex(&Sha256::digest(format!("{}\n{}", cx.call.run, cx.call.step))[..8]);
    std::env::temp_dir().join(format!("engine-kubeconfig-{mark}"))
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    remove(path)?;
    // A new file only: the directory is everybody's, and whatever waits at this name is not ours.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(content)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}
