//! What the engine does on behalf of a WASM step: the far side of the guest's imports `http`, `kubernetes` and `dns`.
//!
//! Whoever calls these has compared the request with the file's grants already ([`crate::grant`]). What only the one who acts can see
//! (which address a name has now, where a redirect leads) is for the implementation to refuse.

use std::time::Duration;

use async_trait::async_trait;

use crate::context::{ClusterHandle, SecretBytes, StepContext};
use crate::value::{Predicate, Value};

/// The host functions of one process.
#[derive(Clone)]
pub struct Host {
    pub http: std::sync::Arc<dyn Http>,
    pub kubernetes: std::sync::Arc<dyn Kubernetes>,
    pub dns: std::sync::Arc<dyn Dns>,
}

/// A request whose URL and headers were checked and normalised.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// Upper case.
    pub method: String,
    pub url: String,
    /// Names in lower case; none of those that the host sets itself.
    pub headers: Vec<(String, String)>,
    /// A header with a secret in it, which no log shows.
    pub secret_header: Option<(String, SecretBytes)>,
    pub body: Vec<u8>,
    /// For the whole exchange.
    pub timeout: Duration,
    /// Loopback, private, link-local and other special addresses may be reached.
    pub private: bool,
    /// A longer response is an error.
    pub response_bytes_max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Granted by the file, but not to this address: the text names it and the setting that would allow it.
    #[error("{0}")]
    NotGranted(String),
    #[error("no answer in time")]
    Timeout,
    #[error("{0}")]
    Dns(String),
    #[error("{0}")]
    Connect(String),
    #[error("{0}")]
    Tls(String),
    #[error("the response has more than {0} bytes")]
    TooLarge(u64),
    #[error("{0}")]
    Other(String),
}

/// HTTP/1.1, one connection for each request. Redirects are never followed; no proxy, cookie or credential of the machine is used. A host name is resolved
/// once, its addresses are checked, and the connection goes to one of those.
#[async_trait]
pub trait Http: Send + Sync {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError>;
}

/// An object on a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectTarget {
    pub api_version: String,
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
}

/// Objects on a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectSelection {
    pub api_version: String,
    pub kind: String,
    pub namespace: Option<String>,
    pub label_selector: Option<String>,
    /// More bytes of JSON are an error.
    pub bytes_max: usize,
}

/// A write, for real or as a server dry-run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    Real,
    DryRun,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubernetesError {
    #[error("there is no such object")]
    NotFound,
    #[error("{0}")]
    Conflict(String),
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Other(String),
}

/// Calls to an API server whose identity was checked. Each returns within the call's own deadline ([`StepContext::clock`]) and stops
/// when the step is cancelled.
#[async_trait]
pub trait Kubernetes: Send + Sync {
    async fn get(&self, cx: &StepContext, on: &ClusterHandle, target: ObjectTarget) -> Result<Value, KubernetesError>;
    async fn list(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        selection: ObjectSelection,
    ) -> Result<Vec<Value>, KubernetesError>;
    /// Server-side apply; the field manager is the step's owner key. The result is the object as the server has it then.
    async fn apply(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        object: Value,
        force: bool,
        mode: WriteMode,
    ) -> Result<Value, KubernetesError>;
    /// The result is the object as it was.
    async fn delete(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        target: ObjectTarget,
        uid: Option<String>,
        mode: WriteMode,
    ) -> Result<Value, KubernetesError>;
    /// Until the condition holds; [`KubernetesError::Unavailable`] when it does not in time, with the last reason.
    async fn wait(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        target: ObjectTarget,
        until: Predicate,
        timeout: Duration,
    ) -> Result<Value, KubernetesError>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsAnswer {
    pub name: String,
    pub record_type: String,
    pub ttl: u32,
    /// In presentation form: `203.0.113.7`, `10 mail.example.io.`.
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    #[error("there is no such name")]
    NoSuchName,
    #[error("the server failed to answer")]
    ServerFailure,
    #[error("no answer in time")]
    Timeout,
    #[error("{0}")]
    Other(String),
}

#[async_trait]
pub trait Dns: Send + Sync {
    /// At the authoritative servers of the zone when `authoritative`, else at the machine's resolver. No records: an empty list.
    async fn query(
        &self,
        name: &str,
        record_type: &str,
        authoritative: bool,
        timeout: Duration,
    ) -> Result<Vec<DnsAnswer>, DnsError>;
}
