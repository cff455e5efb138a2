//! What a lab is, as data, and its file `lab.json`. The file is written anew after each process that starts, so that a lab which is
//! only half up can be ended too. It holds a secret, the DNS key, and is readable for its owner only.

use std::fs;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::process::Process;

pub(super) const FILE: &str = "lab.json";

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub clusters: Vec<Cluster>,
    pub dns: Dns,
    pub processes: Vec<Process>,
}

/// One control plane.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Also the name of its context, cluster and user in the kubeconfigs.
    pub name: String,
    pub apiserver: SocketAddrV4,
    /// First three parts of the addresses that its load balancers get; the last is 101 or more.
    pub load_balancers: String,
    /// A kubeconfig with this cluster only.
    pub kubeconfig: PathBuf,
    /// What tells it from every other cluster; empty until it has come up.
    pub kube_system_uid: String,
}

impl Cluster {
    pub fn server(&self) -> String {
        format!("https://{}", self.apiserver)
    }

    /// The name of its one Node.
    pub fn node(&self) -> String {
        format!("{}-node", self.name)
    }
}

/// The DNS server: one zone, and a key that may change it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    pub server: SocketAddrV4,
    /// Fully qualified, with its last dot.
    pub zone: String,
    pub key: Key,
}

/// A TSIG key.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub name: String,
    pub algorithm: String,
    /// In base64.
    pub secret: String,
}

impl Dns {
    pub fn address(&self) -> Ipv4Addr {
        *self.server.ip()
    }
}

impl Record {
    pub(super) fn read(dir: &Path) -> Result<Record, LabError> {
        let file = dir.join(FILE);
        let text = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(LabError::NoLab { dir: dir.to_owned() });
            }
            other => other.map_err(LabError::file(format!("read {}", file.display())))?,
        };
        serde_json::from_slice(&text).map_err(|source| LabError::Record { file, source })
    }

    pub(super) fn write(&self, dir: &Path) -> Result<(), LabError> {
        let text = serde_json::to_string_pretty(self).expect("plain data becomes JSON");
        write_private(&dir.join(FILE), &text)
    }
}

/// Writes a file that only its owner may read, all of it or none.
pub(super) fn write_private(file: &Path, text: &str) -> Result<(), LabError> {
    let new = file.with_extension("new");
    let write = || -> io::Result<()> {
        let mut opened = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        opened.write_all(text.as_bytes())?;
        fs::rename(&new, file)
    };
    write().map_err(LabError::file(format!("write {}", file.display())))
}
