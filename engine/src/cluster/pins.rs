//! Identities of clusters that were trusted on first use: one file each, by installation and name.
//!
//! A file that is there but cannot be read is an error, never a reason to trust anew.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use engine_core::id::Digest;
use serde::{Deserialize, Serialize};
use steps_sdk::value::ClusterName;

use super::error::OpenError;
use crate::disk;

/// A kept identity. Everything but the identity is for people who look into the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PinFile {
    pub lock: String,
    pub cluster: ClusterName,
    pub identity: String,
    pub context: String,
    pub server: String,
}

/// Where the pin of a cluster lies.
pub(super) fn path(pins: &Path, lock: &str, cluster: &ClusterName) -> PathBuf {
    // The length keeps the two names apart.
    pins.join(Digest::of_bytes(format!("{}:{lock}/{cluster}", lock.len()).as_bytes()).as_str())
}

pub(super) fn read(path: &Path, cluster: &ClusterName) -> Result<Option<PinFile>, OpenError> {
    let failed = |source| OpenError::Pin { cluster: cluster.clone(), path: path.to_owned(), verb: "read", source };
    match std::fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| failed(io::Error::from(error))),
    }
}

/// Durable on return.
pub(super) fn keep(path: &Path, pin: &PinFile) -> Result<(), OpenError> {
    let text = serde_json::to_vec_pretty(pin).expect("a pin is made of texts");
    let written = disk::make_directory(disk::parent_of(path)).and_then(|()| disk::replace(path, &text));
    written.map_err(|source| OpenError::Pin {
        cluster: pin.cluster.clone(),
        path: path.to_owned(),
        verb: "written",
        source,
    })
}
