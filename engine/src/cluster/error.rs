//! Why a cluster cannot be used, for a person who has to change a file, a flag or a right.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use miette::Diagnostic;
use steps_sdk::StepError;
use steps_sdk::value::ClusterName;
use thiserror::Error;

/// One cluster that could not be opened.
#[derive(Debug, Error, Diagnostic)]
pub enum OpenError {
    #[error("there is no kubeconfig for cluster `{cluster}`: {looked}")]
    #[diagnostic(code(C002), help("name one: --kubeconfig FILE, KUBECONFIG, or `kubeconfig file=` in the workflow"))]
    NoKubeconfig { cluster: ClusterName, looked: String },

    #[error("the kubeconfig {} for cluster `{cluster}` cannot be read", path.display())]
    #[diagnostic(code(C003), help("check the path and its rights"))]
    Unreadable {
        cluster: ClusterName,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    /// Without the parser's own words: they may quote a line that holds a credential.
    #[error("{} for cluster `{cluster}` is not a kubeconfig{}", path.display(), at_line(*line))]
    #[diagnostic(code(C003), help("`kubectl config view --kubeconfig {}` shows what kubectl makes of it", path.display()))]
    NotKubeconfig { cluster: ClusterName, path: PathBuf, line: Option<u64> },

    #[error("what is given as the kubeconfig of cluster `{cluster}` is none{}", at_line(*line))]
    #[diagnostic(code(C013), help("`kubeconfig from=` takes the whole text of a kubeconfig, as a secret"))]
    NotMade { cluster: ClusterName, line: Option<u64> },

    #[error("cluster `{cluster}`: {problem}")]
    #[diagnostic(code(C004), help("{help}"))]
    Context { cluster: ClusterName, problem: String, help: String },

    #[error("context `{context}` of cluster `{cluster}` cannot be used")]
    #[diagnostic(
        code(C005),
        help(
            "correct the context's entries in the kubeconfig; `kubectl --context {context} get ns kube-system` must work"
        )
    )]
    Unusable {
        cluster: ClusterName,
        context: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    #[error("cluster `{cluster}` (context `{context}`): signing in took more than {} s", limit.as_secs_f32())]
    #[diagnostic(
        code(C006),
        help(
            "the context starts a program for credentials: run it once by hand, it may wait for a browser or a password"
        )
    )]
    SignInTooLong { cluster: ClusterName, context: String, limit: Duration },

    #[error("cluster `{cluster}` (context `{context}`) did not answer at {server}")]
    #[diagnostic(
        code(C007),
        help("check that the address is right and can be reached from here: `kubectl --context {context} version`")
    )]
    Unreachable {
        cluster: ClusterName,
        context: String,
        server: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },

    #[error("cluster `{cluster}` (context `{context}`) does not accept the credentials")]
    #[diagnostic(code(C008), help("sign in again; `kubectl --context {context} auth whoami` must work"))]
    SignedOut {
        cluster: ClusterName,
        context: String,
        #[source]
        source: Box<kube::Error>,
    },

    #[error(
        "cluster `{cluster}` (context `{context}`) does not say who it is: its namespace kube-system cannot be read"
    )]
    #[diagnostic(
        code(C009),
        help("the identity of a cluster is the UID of that namespace: grant `get` on namespaces named kube-system")
    )]
    NoIdentity {
        cluster: ClusterName,
        context: String,
        #[source]
        source: Option<Box<kube::Error>>,
    },

    #[error("cluster `{cluster}` (context `{context}`) has no workspace `{workspace}` that says who it is")]
    #[diagnostic(
        code(C014),
        help("the identity of a workspace is its LogicalCluster: check the path, and that this user may read it")
    )]
    NoWorkspace {
        cluster: ClusterName,
        context: String,
        workspace: String,
        #[source]
        source: Option<Box<kube::Error>>,
    },

    #[error(transparent)]
    #[diagnostic(transparent)]
    WrongCluster(Box<WrongCluster>),

    #[error("the kept identity of cluster `{cluster}` in {} could not be {verb}", path.display())]
    #[diagnostic(
        code(C011),
        help(
            "check the file; without it the next use of the cluster is trusted again, so remove it only if you know where the context leads"
        )
    )]
    Pin {
        cluster: ClusterName,
        path: PathBuf,
        verb: &'static str,
        #[source]
        source: io::Error,
    },
}

/// A context that leads to another cluster than the one that was meant.
#[derive(Debug, Error, Diagnostic)]
#[error(
    "context `{context}` does not lead to cluster `{cluster}`: {pinned_by} {expected}, but found {found}{}",
    twins(.meant_context.as_deref(), .found_cluster.as_ref(), context)
)]
#[diagnostic(code(C010), help("{}", wrong_cluster_help(cluster, pinned_by, .meant_context.as_deref())))]
pub struct WrongCluster {
    pub cluster: ClusterName,
    pub context: String,
    pub expected: String,
    pub pinned_by: PinnedBy,
    pub found: String,
    /// The context that leads to the cluster that was meant, where one of this plan does.
    pub meant_context: Option<String>,
    /// What the workflow calls the cluster that was found, if it knows it.
    pub found_cluster: Option<ClusterName>,
}

/// Who says what the identity should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinnedBy {
    Workflow,
    /// The first use, kept in this file.
    FirstUse(PathBuf),
}

impl std::fmt::Display for PinnedBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            PinnedBy::Workflow => "the workflow expects",
            PinnedBy::FirstUse(_) => "its first use found",
        })
    }
}

impl OpenError {
    pub fn cluster(&self) -> &ClusterName {
        match self {
            OpenError::NoKubeconfig { cluster, .. }
            | OpenError::Unreadable { cluster, .. }
            | OpenError::NotKubeconfig { cluster, .. }
            | OpenError::Context { cluster, .. }
            | OpenError::Unusable { cluster, .. }
            | OpenError::SignInTooLong { cluster, .. }
            | OpenError::Unreachable { cluster, .. }
            | OpenError::SignedOut { cluster, .. }
            | OpenError::NoIdentity { cluster, .. }
            | OpenError::NotMade { cluster, .. }
            | OpenError::NoWorkspace { cluster, .. }
            | OpenError::Pin { cluster, .. } => cluster,
            OpenError::WrongCluster(wrong) => &wrong.cluster,
        }
    }
}

impl OpenError {
    /// For a step that works on a cluster which is opened while the run goes on. A cluster that was just made may not answer yet, and may
    /// not yet accept what it will.
    pub fn of_step(&self) -> StepError {
        let text = self.to_string();
        let code = self.code().map(|code| code.to_string()).unwrap_or_default();
        let error = match self {
            OpenError::Unreachable { .. }
            | OpenError::SignInTooLong { .. }
            | OpenError::SignedOut { .. }
            | OpenError::NoIdentity { .. }
            | OpenError::NoWorkspace { .. } => StepError::transient(&code, text),
            OpenError::WrongCluster(_) => StepError::needs_person(&code, text),
            OpenError::NoKubeconfig { .. }
            | OpenError::Unreadable { .. }
            | OpenError::NotKubeconfig { .. }
            | OpenError::NotMade { .. }
            | OpenError::Context { .. }
            | OpenError::Unusable { .. }
            | OpenError::Pin { .. } => StepError::permanent(&code, text),
        };
        let error = match (self, self.help()) {
            (OpenError::WrongCluster(wrong), _) => match &wrong.pinned_by {
                PinnedBy::Workflow => error.help("if the cluster was replaced, change its `identity` in the workflow"),
                PinnedBy::FirstUse(path) => {
                    error.help(format!("if the cluster was replaced, remove the kept identity {}", path.display()))
                }
            },
            (_, Some(help)) => error.help(help.to_string()),
            (_, None) => error,
        };
        match std::error::Error::source(self) {
            Some(source) => error.caused_by(source),
            None => error,
        }
        .not_started()
    }
}

fn at_line(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!(" (line {line})"))
}

/// What is known about where the two identities belong.
fn twins(meant_context: Option<&str>, found_cluster: Option<&ClusterName>, context: &str) -> String {
    let found = found_cluster
        .map(|name| format!("; context `{context}` leads to the cluster that the workflow calls `{name}`"));
    let meant = meant_context.map(|meant| format!("; the cluster that was meant is behind context `{meant}`"));
    let question = if found.is_some() && meant.is_some() { ": are two contexts swapped?" } else { "" };
    format!("{}{}{question}", found.unwrap_or_default(), meant.unwrap_or_default())
}

fn wrong_cluster_help(cluster: &ClusterName, pinned_by: &PinnedBy, meant_context: Option<&str>) -> String {
    let context = match meant_context {
        Some(meant) => format!("use the right context: --context {cluster}={meant}"),
        None => format!("use the right context: --context {cluster}=CONTEXT"),
    };
    match pinned_by {
        PinnedBy::Workflow => {
            format!(
                "nothing was written to any cluster. {context}; or, if the cluster was replaced, change its `identity` in the workflow"
            )
        }
        PinnedBy::FirstUse(path) => format!(
            "nothing was written to any cluster. {context}; or, if the cluster was replaced, remove the kept identity {}",
            path.display()
        ),
    }
}
