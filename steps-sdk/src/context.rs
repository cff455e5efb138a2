//! What a running step may ask of the engine.
//!
//! A [`StepContext`] has nine members and will not get a tenth without a decision record: whatever else a step needs comes through
//! its inputs. What changes something durable (`memo`, `holds`, `secrets`) is a message to the engine, and the call returns
//! when the engine has it on disk.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::error::StepError;
use crate::value::{ClusterName, Predicate, Secret, Value};

/// Everything that one call of a verb may use.
#[derive(Clone)]
pub struct StepContext {
    pub call: Arc<CallIdentity>,
    pub clock: CallClock,
    /// Set when the step should stop at its next safe point.
    pub cancel: CancellationToken,
    pub progress: Progress,
    pub memo: Memo,
    pub holds: Holds,
    pub clusters: Clusters,
    pub secrets: Secrets,
    pub evaluator: Evaluator,
}

/// Where a call stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallIdentity {
    pub run: String,
    /// The step's path, for instance `region[alpha].deploy`.
    pub step: String,
    /// The same in every run of this step: field manager, ownership marks, keystore entries.
    pub owner: String,
    /// The same over attempts and resumes of this run: idempotency keys, serials.
    pub once: String,
    /// From 1.
    pub attempt: u32,
    /// The cluster of `on=`, if the step has one.
    pub on: Option<ClusterName>,
}

/// A message of a running step to the engine.
#[derive(Debug)]
pub enum Request {
    /// Why it waits now. Sent when the reason changes.
    Waiting {
        reason: String,
    },
    Log {
        level: LogLevel,
        message: String,
    },
    /// The action is done; from here the step only waits, on a clock of its own: what the file says in `wait for=`, else this
    /// limit. The engine answers by moving the deadline.
    BeginWait {
        limit: Duration,
    },
    MemoPut {
        key: String,
        value: Value,
        done: oneshot::Sender<Result<(), StepError>>,
    },
    HoldTake {
        name: String,
        data: Value,
        done: oneshot::Sender<Result<(), StepError>>,
    },
    SecretOpen {
        secret: Secret,
        done: oneshot::Sender<Result<SecretBytes, StepError>>,
    },
    /// What is kept under this name of the step's owner key, if anything.
    SecretKept {
        name: String,
        done: oneshot::Sender<Result<Option<SecretBytes>, StepError>>,
    },
    SecretKeep {
        name: String,
        bytes: SecretBytes,
        done: oneshot::Sender<Result<(), StepError>>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

/// The step's end of the line to the engine.
#[derive(Debug, Clone)]
pub struct RequestSender(mpsc::UnboundedSender<Request>);

impl RequestSender {
    pub fn channel() -> (RequestSender, mpsc::UnboundedReceiver<Request>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (RequestSender(sender), receiver)
    }

    /// Progress is worth nothing to an engine that is gone: a closed line is no error here.
    fn tell(&self, request: Request) {
        let _ = self.0.send(request);
    }

    async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, StepError>>) -> Request,
    ) -> Result<T, StepError> {
        let gone = || StepError::transient("E900", "the engine stopped while the step was asking it something");
        let (done, answer) = oneshot::channel();
        self.0.send(make(done)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

/// How much time is left.
#[derive(Debug, Clone)]
pub struct CallClock {
    deadline: watch::Receiver<Instant>,
    requests: RequestSender,
}

impl CallClock {
    pub fn new(deadline: watch::Receiver<Instant>, requests: RequestSender) -> Self {
        CallClock { deadline, requests }
    }

    /// Time until the engine ends this call.
    pub fn remaining(&self) -> Duration {
        self.deadline.borrow().saturating_duration_since(Instant::now())
    }

    /// Declares the action done: from now on the call may take what the file says in `wait for=`, or else `default`, whatever the
    /// action took. Returns when [`CallClock::remaining`] speaks of the wait.
    pub async fn begin_wait(&self, default: Duration) {
        let mut moved = self.deadline.clone();
        moved.mark_unchanged();
        self.requests.tell(Request::BeginWait { limit: default });
        // An engine that is gone moves no deadline, and has no use for the answer either.
        let _ = moved.changed().await;
    }

    /// Sleeps for at most `duration`; ends early with an error when the step is cancelled.
    pub async fn sleep(&self, duration: Duration, cancel: &CancellationToken) -> Result<(), StepError> {
        tokio::select! {
            () = tokio::time::sleep(duration) => Ok(()),
            () = cancel.cancelled() => Err(StepError::transient("E130", "stopped while waiting")),
        }
    }
}

/// What the person who waits is told.
#[derive(Debug, Clone)]
pub struct Progress(RequestSender);

impl Progress {
    pub fn new(requests: RequestSender) -> Self {
        Progress(requests)
    }

    /// Names object, condition and reason: "Service/lb has no address yet".
    pub fn waiting(&self, reason: impl Into<String>) {
        self.0.tell(Request::Waiting { reason: reason.into() });
    }

    pub fn log(&self, level: LogLevel, message: impl Into<String>) {
        self.0.tell(Request::Log { level, message: message.into() });
    }
}

/// Durable notes of this step in this run: there again after a crash, before the outcome is.
#[derive(Debug, Clone)]
pub struct Memo {
    notes: Arc<Mutex<BTreeMap<String, Value>>>,
    requests: RequestSender,
}

impl Memo {
    pub fn new(notes: BTreeMap<String, Value>, requests: RequestSender) -> Self {
        Memo { notes: Arc::new(Mutex::new(notes)), requests }
    }

    pub fn get(&self, key: &str) -> Option<Value> {
        self.notes.lock().expect("no code panics while it holds the notes").get(key).cloned()
    }

    /// Returns when the note is on disk. Not for secret bytes: see [`Secrets::keep`].
    pub async fn put(&self, key: &str, value: Value) -> Result<(), StepError> {
        self.requests.ask(|done| Request::MemoPut { key: key.to_owned(), value: value.clone(), done }).await?;
        self.notes.lock().expect("no code panics while it holds the notes").insert(key.to_owned(), value);
        Ok(())
    }
}

/// Something taken away that must be given back whatever happens.
#[derive(Debug, Clone)]
pub struct Holds(RequestSender);

impl Holds {
    pub fn new(requests: RequestSender) -> Self {
        Holds(requests)
    }

    /// Call before taking; `data` is all that `release` will get. Returns when the hold is on disk.
    pub async fn take(&self, name: &str, data: Value) -> Result<(), StepError> {
        self.0.ask(|done| Request::HoldTake { name: name.to_owned(), data, done }).await
    }
}

/// The clusters that this step's inputs name, and no other.
#[derive(Clone, Default)]
pub struct Clusters(Arc<BTreeMap<String, ClusterHandle>>);

impl Clusters {
    pub fn new(handles: impl IntoIterator<Item = ClusterHandle>) -> Self {
        Clusters(Arc::new(handles.into_iter().map(|handle| (handle.name.clone(), handle)).collect()))
    }

    pub fn get(&self, name: &ClusterName) -> Result<&ClusterHandle, StepError> {
        self.0.get(&name.0).ok_or_else(|| {
            StepError::permanent("C001", format!("cluster `{name}` is not among the clusters of this step"))
        })
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &ClusterHandle> {
        self.0.values()
    }
}

/// A cluster whose identity was checked before this handle was made.
#[derive(Clone)]
pub struct ClusterHandle {
    pub name: String,
    /// UID of its `kube-system` namespace.
    pub identity: String,
    client: kube::Client,
    kubeconfig: Arc<dyn Fn() -> Result<String, StepError> + Send + Sync>,
}

impl ClusterHandle {
    /// `kubeconfig` writes a kubeconfig of this one context, for programs that a step starts.
    pub fn new(
        name: String,
        identity: String,
        client: kube::Client,
        kubeconfig: Arc<dyn Fn() -> Result<String, StepError> + Send + Sync>,
    ) -> Self {
        ClusterHandle { name, identity, client, kubeconfig }
    }

    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// A kubeconfig (YAML or JSON) of this one context. It may hold credentials: write it at mode 0600 and delete it.
    pub fn kubeconfig(&self) -> Result<SecretBytes, StepError> {
        Ok(SecretBytes::new((self.kubeconfig)()?.into_bytes()))
    }
}

/// Opens secrets, and keeps generated ones sealed.
#[derive(Debug, Clone)]
pub struct Secrets(RequestSender);

impl Secrets {
    pub fn new(requests: RequestSender) -> Self {
        Secrets(requests)
    }

    pub async fn open(&self, secret: &Secret) -> Result<SecretBytes, StepError> {
        self.0.ask(|done| Request::SecretOpen { secret: secret.clone(), done }).await
    }

    /// What [`Secrets::keep`] kept under this name, in this run or an earlier one.
    pub async fn kept(&self, name: &str) -> Result<Option<SecretBytes>, StepError> {
        self.0.ask(|done| Request::SecretKept { name: name.to_owned(), done }).await
    }

    /// Seals the bytes into the keystore under the step's owner key. Returns when they are on disk.
    pub async fn keep(&self, name: &str, bytes: SecretBytes) -> Result<(), StepError> {
        self.0.ask(|done| Request::SecretKeep { name: name.to_owned(), bytes, done }).await
    }
}

/// Secret bytes in memory: wiped when dropped, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    pub fn new(bytes: Vec<u8>) -> Self {
        SecretBytes(Zeroizing::new(bytes))
    }

    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text; the error does not show them.
    pub fn expose_text(&self) -> Result<&str, StepError> {
        std::str::from_utf8(&self.0).map_err(|_| StepError::permanent("S004", "the secret is not UTF-8 text"))
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretBytes({} bytes)", self.0.len())
    }
}

/// Evaluates the conditions that a file wrote over an object.
#[derive(Clone)]
pub struct Evaluator(Arc<EvalFn>);

type EvalFn = dyn Fn(&Predicate, &Value) -> Result<bool, StepError> + Send + Sync;

impl Evaluator {
    pub fn new(evaluate: impl Fn(&Predicate, &Value) -> Result<bool, StepError> + Send + Sync + 'static) -> Self {
        Evaluator(Arc::new(evaluate))
    }

    /// Whether the condition holds; a field that is not there yet makes it `false`, other mistakes are permanent errors.
    pub fn eval(&self, predicate: &Predicate, object: &Value) -> Result<bool, StepError> {
        (self.0)(predicate, object)
    }
}

impl StepContext {
    /// All nine members over one line to the engine.
    pub fn new(call: CallIdentity, requests: RequestSender, around: Surroundings) -> StepContext {
        let Surroundings { deadline, cancel, notes, clusters, evaluator } = around;
        StepContext {
            call: Arc::new(call),
            clock: CallClock::new(deadline, requests.clone()),
            cancel,
            progress: Progress::new(requests.clone()),
            memo: Memo::new(notes, requests.clone()),
            holds: Holds::new(requests.clone()),
            clusters,
            secrets: Secrets::new(requests),
            evaluator,
        }
    }

    /// The cluster of `on=`. The kinds that call this are [`crate::spec::OnCluster::Required`], so `check` has seen to it.
    pub fn on(&self) -> Result<&ClusterHandle, StepError> {
        let name = self.call.on.as_ref().ok_or_else(|| {
            StepError::permanent("C001", "this step needs a cluster")
                .help("write `on=CLUSTER` on the step")
                .not_started()
        })?;
        self.clusters.get(name)
    }

    /// Whether the condition holds over the object.
    pub fn eval(&self, predicate: &Predicate, object: &Value) -> Result<bool, StepError> {
        self.evaluator.eval(predicate, object)
    }
}

/// What a [`StepContext`] is made of beside its identity and its line to the engine.
pub struct Surroundings {
    pub deadline: watch::Receiver<Instant>,
    pub cancel: CancellationToken,
    /// What this step noted before.
    pub notes: BTreeMap<String, Value>,
    pub clusters: Clusters,
    pub evaluator: Evaluator,
}
