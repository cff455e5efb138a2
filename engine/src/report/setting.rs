//! What a reporter knows of a run beside its events: how to draw, what the files say, how the engine was started.

use engine_core::diagnostic::Source;
use steps_sdk::value::ClusterName;

use super::look::Look;
use super::suggest::Suggest;

/// Handed to a reporter when it is made.
#[derive(Debug, Clone)]
pub struct Setting {
    pub look: Look,
    /// The workflow first, then what it includes; places of steps point into them.
    pub sources: Vec<Source>,
    pub suggest: Suggest,
    /// What each cluster turned out to be, shown before anything is done to it.
    pub identities: Vec<Identity>,
}

/// A cluster and why it is believed to be that cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub cluster: ClusterName,
    /// The kubeconfig's context, or where the kubeconfig came from.
    pub context: String,
    pub uid: String,
    pub pin: Pin,
}

/// What a cluster's identity was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// The file says it.
    File,
    /// An earlier run kept it.
    Kept,
    /// Nothing: this is the first use, and it is kept from now on.
    FirstUse,
}
