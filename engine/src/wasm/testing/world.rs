//! Around a guest: a host of scripted answers, and the context of a call with somebody who answers its requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use steps_sdk::context::{
    CallIdentity, ClusterHandle, Clusters, Evaluator, Request, RequestSender, SecretBytes, StepContext, Surroundings,
};
use steps_sdk::grant::{Grants, GuestLimits};
use steps_sdk::host::{
    Dns, DnsAnswer, DnsError, Host, Http, HttpError, HttpRequest, HttpResponse, Kubernetes, KubernetesError,
    ObjectSelection, ObjectTarget, WriteMode,
};
use steps_sdk::value::Predicate;
use steps_sdk::{StepError, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::wasm::{Bound, GrantUsage};

/// Answers every request in the same way, and keeps them.
#[derive(Default)]
pub struct Scripted {
    /// What `http` answers; `None` is an echo of the request's headers and body, the secret one among them.
    pub response: Option<Result<HttpResponse, HttpError>>,
    /// Requests never end.
    pub is_deaf: bool,
    /// Objects by `Kind/name`.
    pub objects: BTreeMap<String, Value>,
    /// What arrived, one line each.
    pub seen: Mutex<Vec<String>>,
}

impl Scripted {
    fn note(&self, line: String) {
        self.seen.lock().expect("no code panics while it holds the lines").push(line);
    }

    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no code panics while it holds the lines").clone()
    }

    async fn answer(&self) {
        if self.is_deaf {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Http for Scripted {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.note(format!("{} {}", request.method, request.url));
        self.answer().await;
        if let Some(response) = &self.response {
            return response.clone();
        }
        let secret =
            request.secret_header.map(|(name, value)| format!("{name}: {}", value.expose_text().unwrap_or_default()));
        let headers = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).chain(secret);
        let body = headers.collect::<Vec<_>>().join("\n").into_bytes();
        Ok(HttpResponse { status: 200, headers: Vec::new(), body: [body, request.body].concat() })
    }
}

#[async_trait]
impl Kubernetes for Scripted {
    async fn get(&self, _: &StepContext, on: &ClusterHandle, target: ObjectTarget) -> Result<Value, KubernetesError> {
        self.note(format!("get {}/{} on {}", target.kind, target.name, on.name));
        self.answer().await;
        self.objects.get(&format!("{}/{}", target.kind, target.name)).cloned().ok_or(KubernetesError::NotFound)
    }

    async fn list(
        &self,
        _: &StepContext,
        on: &ClusterHandle,
        selection: ObjectSelection,
    ) -> Result<Vec<Value>, KubernetesError> {
        self.note(format!("list {} on {}", selection.kind, on.name));
        self.answer().await;
        Ok(self.objects.values().cloned().collect())
    }

    async fn apply(
        &self,
        _: &StepContext,
        on: &ClusterHandle,
        object: Value,
        _force: bool,
        mode: WriteMode,
    ) -> Result<Value, KubernetesError> {
        self.note(format!("apply {} on {} {mode:?}", object["metadata"]["name"], on.name));
        self.answer().await;
        Ok(object)
    }

    async fn delete(
        &self,
        _: &StepContext,
        on: &ClusterHandle,
        target: ObjectTarget,
        _uid: Option<String>,
        mode: WriteMode,
    ) -> Result<Value, KubernetesError> {
        self.note(format!("delete {}/{} on {} {mode:?}", target.kind, target.name, on.name));
        self.answer().await;
        self.objects.get(&format!("{}/{}", target.kind, target.name)).cloned().ok_or(KubernetesError::NotFound)
    }

    async fn wait(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        target: ObjectTarget,
        _until: Predicate,
        _timeout: Duration,
    ) -> Result<Value, KubernetesError> {
        self.get(cx, on, target).await
    }
}

#[async_trait]
impl Dns for Scripted {
    async fn query(&self, name: &str, record_type: &str, _: bool, _: Duration) -> Result<Vec<DnsAnswer>, DnsError> {
        self.note(format!("{record_type} {name}"));
        self.answer().await;
        Ok(vec![DnsAnswer { name: name.into(), record_type: record_type.into(), ttl: 60, value: "203.0.113.7".into() }])
    }
}

/// Everything around one call.
pub struct World {
    pub host: Arc<Scripted>,
    pub grants: Grants,
    pub limits: GuestLimits,
    pub used: Arc<GrantUsage>,
    pub cancel: CancellationToken,
    /// What secrets open to.
    pub secret: String,
    pub clusters: Vec<ClusterHandle>,
    pub attempt: u32,
    /// Log lines, waiting reasons, memos and holds of the guest, one line each.
    pub said: Arc<Mutex<Vec<String>>>,
}

impl Default for World {
    fn default() -> World {
        World {
            host: Arc::default(),
            grants: Grants::default(),
            limits: GuestLimits { memory_bytes: 16 << 20, wall_ms: 20_000, cpu_ms: 10_000 },
            used: Arc::default(),
            cancel: CancellationToken::new(),
            secret: "s3cr3t-t0ken".into(),
            clusters: Vec::new(),
            attempt: 1,
            said: Arc::default(),
        }
    }
}

/// A cluster of this name that nothing can be asked: the scripted host answers for it.
///
/// # Panics
/// Outside of a runtime, where no client can be made.
pub fn cluster(name: &str) -> ClusterHandle {
    let nowhere = "http://127.0.0.1:9".parse().expect("an address");
    let client = kube::Client::try_from(kube::Config::new(nowhere)).expect("a client that connects to nothing yet");
    ClusterHandle::new(name.into(), format!("uid-{name}"), client, Arc::new(|| Ok(String::new())))
}

impl World {
    pub fn bound(&self) -> Bound {
        let host = Host { http: self.host.clone(), kubernetes: self.host.clone(), dns: self.host.clone() };
        Bound { grants: Arc::new(self.grants.clone()), limits: self.limits, host, used: Arc::clone(&self.used) }
    }

    /// What the guest said so far.
    pub fn said(&self) -> Vec<String> {
        self.said.lock().expect("no code panics while it holds the lines").clone()
    }

    /// A context whose requests are answered while the future that comes with it is polled.
    pub fn context(&self) -> (StepContext, impl Future<Output = ()> + Send + use<>) {
        let (requests, inbox) = RequestSender::channel();
        let (deadline, seen) = watch::channel(Instant::now() + Duration::from_secs(60));
        let call = CallIdentity {
            run: "run-1".into(),
            step: "test".into(),
            owner: "owner".into(),
            once: "once".into(),
            attempt: self.attempt,
            on: None,
        };
        let around = Surroundings {
            deadline: seen,
            cancel: self.cancel.clone(),
            notes: BTreeMap::from([("kept".to_owned(), Value::from("from before"))]),
            clusters: Clusters::new(self.clusters.iter().cloned()),
            evaluator: Evaluator::new(|_, _| Ok(true)),
        };
        let answering = attend(inbox, Arc::clone(&self.said), self.secret.clone(), deadline);
        (StepContext::new(call, requests, around), answering)
    }

    /// A call, with its requests answered and its lines in [`World::said`] when it ends.
    pub async fn call<T>(&self, call: impl AsyncFnOnce(&StepContext) -> T) -> T {
        let (cx, answering) = self.context();
        let calling = async move {
            let answer = call(&cx).await;
            drop(cx);
            answer
        };
        tokio::join!(calling, answering).0
    }
}

async fn attend(
    mut inbox: mpsc::UnboundedReceiver<Request>,
    said: Arc<Mutex<Vec<String>>>,
    secret: String,
    _deadline: watch::Sender<Instant>,
) {
    let say = |line: String| said.lock().expect("no code panics while it holds the lines").push(line);
    let none = || StepError::permanent("S006", "nothing is kept here");
    while let Some(request) = inbox.recv().await {
        match request {
            Request::Waiting { reason } => say(format!("waiting: {reason}")),
            Request::Log { level, message } => say(format!("{level:?}: {message}")),
            Request::BeginWait { .. } => say("begin wait".into()),
            // Whoever asked may have given up, which is its own affair.
            Request::MemoPut { key, value, done } => {
                say(format!("memo {key} = {value}"));
                let _ = done.send(Ok(()));
            }
            Request::HoldTake { name, data, done } => {
                say(format!("hold {name} = {data}"));
                let _ = done.send(Ok(()));
            }
            Request::SecretOpen { done, .. } => {
                let _ = done.send(Ok(SecretBytes::new(secret.clone().into_bytes())));
            }
            Request::SecretKept { done, .. } => {
                let _ = done.send(Ok(None));
            }
            Request::SecretKeep { done, .. } => {
                let _ = done.send(Err(none()));
            }
        }
    }
}
