//! Settings that go into the plan as they stand in the file.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// A failed instance keeps the others from starting further steps.
    Stop,
    FinishOthers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backoff {
    Exponential,
    Constant,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    Transient,
    Any,
    /// CEL over `error`.
    Condition(String),
}

/// Where a cluster's kubeconfig comes from; all fields absent: kubectl's own rules.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KubeconfigSource {
    pub context: Option<String>,
    /// A file, relative to the workflow.
    pub file: Option<String>,
    /// An environment variable that names the file.
    pub env: Option<String>,
}
