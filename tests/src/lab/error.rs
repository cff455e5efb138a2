//! What can go wrong with a lab, apart from a program that is missing ([`Missing`]).

use std::io;
use std::path::PathBuf;

use super::programs::Missing;

#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error(transparent)]
    Missing(#[from] Missing),

    #[error("{what}")]
    File { what: String, source: io::Error },

    #[error("{} is not a lab: it has no {}", dir.display(), super::record::FILE)]
    NoLab { dir: PathBuf },

    #[error("{} is not what this version writes", file.display())]
    Record { file: PathBuf, source: serde_json::Error },

    #[error("a lab is up in {}: end it first (`lab down`), or choose another directory", dir.display())]
    AlreadyUp { dir: PathBuf },

    #[error("{} holds other files: choose a directory that is empty or that of an earlier lab", dir.display())]
    NotEmpty { dir: PathBuf },

    #[error("{name:?} can not be the name of a cluster: use small letters, digits and hyphens, each name once")]
    ClusterName { name: String },

    #[error(
        "no free loopback addresses: on each of 127.1.x.x to 127.254.x.x something listens on a port that the lab needs, the last being {last}"
    )]
    NoAddresses { last: String, source: io::Error },

    #[error("make a certificate")]
    Certificate(#[from] rcgen::Error),

    #[error("set up TLS towards {server}")]
    Tls { server: String, source: rustls::Error },

    #[error("{process} ended by itself; the end of {}:\n{tail}", log.display())]
    Ended { process: String, log: PathBuf, tail: String },

    #[error("{what}: not within {seconds} s; the last answer was: {answer}")]
    Late { what: String, seconds: u64, answer: String },

    #[error("{place}: {said}")]
    Network { place: String, said: String },

    #[error("the network of the lab in {} is not there: the lab has ended, or has none", dir.display())]
    NoNetwork { dir: PathBuf },

    #[error("{} cannot be made in {cluster}: {said}", file.display())]
    Definition { cluster: String, file: PathBuf, said: String },

    #[error("the lab in {} has no cluster {name:?}", dir.display())]
    NoCluster { dir: PathBuf, name: String },

    #[error("{what} has no process {process}")]
    NoProcess { what: String, process: String },

    #[error("{program} failed ({status})")]
    Failed { program: String, status: std::process::ExitStatus },

    #[error("{} are still there after a signal that no process survives", names.join(", "))]
    Immortal { names: Vec<String> },
}

impl LabError {
    /// For `map_err` on an operation with files or processes: `what` completes "failed to".
    pub(super) fn file(what: impl Into<String>) -> impl FnOnce(io::Error) -> LabError {
        let what = what.into();
        move |source| LabError::File { what, source }
    }
}
