//! Clusters, opened and known: a kubeconfig becomes a client, and the client's cluster is proved to be the one that was meant.
//!
//! ```text
//!  kubeconfig.rs  which files, which context; a kubeconfig of one context for programs that steps start
//!  connect.rs     a client of a context, and the identity of what answers it
//!  pins.rs        identities that were trusted on first use
//!  open.rs        open_all: every cluster of a plan, all problems at once
//!  workspace.rs   kcp workspaces: their addresses, and who they are
//!  secret.rs      one key of a Kubernetes Secret
//!  error.rs       what can go wrong, in words
//! ```
//!
//! A context is a name in a file that anyone may edit; a cluster is its `kube-system` namespace, whose UID never changes. So a
//! cluster is identified by that UID: the workflow may state it, else the first use is trusted and kept. When a context leads
//! elsewhere, nothing is written to any cluster of the plan.
//!
//! kube's own retries are off: it repeats a request by the status of the answer, whatever the verb, for up to a thousand seconds.
//! Steps retry where a person sees it.

mod connect;
mod error;
mod kubeconfig;
mod open;
mod pins;
pub mod secret;
mod workspace;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use steps_sdk::context::ClusterHandle;

pub use error::{OpenError, PinnedBy, WrongCluster};
pub use open::{open_all, open_made};

/// What opening clusters depends on besides the plan: values that were read at the roof.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `--kubeconfig`: the only file that is read for clusters that name none.
    pub kubeconfig: Option<PathBuf>,
    /// `KUBECONFIG`, `HOME`, and the variables that clusters name.
    pub environment: BTreeMap<String, String>,
    /// Where relative paths of the workflow start.
    pub base: PathBuf,
    /// `--context NAME=CONTEXT`, by the name of the cluster.
    pub contexts: BTreeMap<String, String>,
    /// Where identities that were trusted on first use are kept.
    pub pins: PathBuf,
    /// The name under which they are: one installation's clusters say nothing about another's.
    pub lock: String,
    /// Whether an identity that is met for the first time is kept; a command that only looks keeps nothing.
    pub keeps_first_use: bool,
}

/// A cluster that is the one it should be.
#[derive(Clone)]
pub struct Opened {
    pub handle: ClusterHandle,
    /// The context that leads to it.
    pub context: String,
    pub trust: Trust,
    /// What a person should be told, such as that another name leads to the same cluster.
    pub note: Option<String>,
}

/// What the identity of a cluster was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The workflow or one of its inputs states it.
    Pinned,
    /// An earlier use kept it.
    Kept,
    /// Nothing: this is the first use, and it is kept from now on.
    FirstUse,
}
