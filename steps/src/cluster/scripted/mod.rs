//! An API server in memory, for tests: the real `kube` client talks to it, no socket is opened.
//!
//! It knows discovery, get, list, watch, delete with preconditions, and server-side apply with owners per field, dry run, strict
//! validation and conflicts, in the words and status codes that were measured on kube-apiserver 1.34. It counts what it writes, and
//! the n-th request can be made to fail, before or after its effect. It has no controllers: a test plays them.
//!
//! In reading order: [`store`] keeps objects and tells watchers, [`merge`] is server-side apply, [`answer`] turns requests into
//! answers.

mod answer;
mod merge;
mod store;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use steps_sdk::StepError;
use steps_sdk::context::{ClusterHandle, Clusters};
use tower::BoxError;

use store::Store;

/// What happens to a request that is made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Answered with this HTTP status, without effect.
    Refused(u16),
    /// The connection breaks before anything is done.
    CutBefore,
    /// Everything is done, and then the connection breaks.
    CutAfter,
    /// No answer ever comes.
    Silent,
}

/// An object of a test: `object("v1", "Secret", "web/leaf", …)` lives in the namespace web. `rest` are its further top-level
/// fields; what it says under `metadata` is added.
pub(crate) fn object(api_version: &str, kind: &str, name: &str, rest: Value) -> Value {
    let (namespace, name) = match name.split_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, name),
    };
    let mut object = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name } });
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    for (field, value) in rest.as_object().expect("further fields") {
        match (field.as_str(), value) {
            ("metadata", Value::Object(more)) => {
                for (field, value) in more {
                    object["metadata"][field] = value.clone();
                }
            }
            _ => object[field] = value.clone(),
        }
    }
    object
}

/// Defines the kind Widget of ex.io/v1.
pub(crate) fn widgets() -> Value {
    let spec = json!({ "group": "ex.io", "scope": "Namespaced", "names": { "plural": "widgets", "kind": "Widget" },
                       "versions": [{ "name": "v1" }] });
    object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "widgets.ex.io", json!({ "spec": spec }))
}

#[derive(Clone)]
pub(crate) struct ApiServer {
    pub(crate) name: &'static str,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    store: Store,
    /// Method and path of every request so far.
    requests: Vec<String>,
    /// The request of this number, from 1, fails so.
    fault: Option<(usize, Fault)>,
    is_down: bool,
    /// Objects in one answer to a list; all of them without it.
    page: Option<usize>,
}

impl ApiServer {
    /// With the namespace `default`.
    pub(crate) fn new(name: &'static str) -> ApiServer {
        let server = ApiServer { name, state: Arc::default() };
        server.there(object("v1", "Namespace", "default", json!({})));
        server.state().store.writes = 0;
        server
    }

    pub(crate) fn client(&self) -> kube::Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { server.serve(request).await }
        });
        kube::Client::new(service, "default")
    }

    pub(crate) fn clusters(servers: &[&ApiServer]) -> Clusters {
        Clusters::new(servers.iter().map(|server| {
            let no_kubeconfig = || Err(StepError::permanent("C000", "there is no kubeconfig in this test"));
            ClusterHandle::new(
                server.name.to_owned(),
                format!("uid-{}", server.name),
                server.client(),
                Arc::new(no_kubeconfig),
            )
        }))
    }

    /// Puts an object there as `kubectl` would.
    pub(crate) fn there(&self, object: Value) {
        self.apply_as("kubectl", object);
    }

    /// Another manager applies fields, by force.
    pub(crate) fn apply_as(&self, manager: &str, object: Value) {
        let mut state = self.state();
        let place = state.store.place_of(&object).expect("a kind that is served");
        let merged =
            merge::apply(state.store.get(&place), &object, manager, true).expect("by force there is no conflict");
        state.store.put(place, merged);
    }

    /// A controller writes fields outside of any apply: a status, a cluster IP, a finalizer.
    pub(crate) fn controller(&self, kind: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut state = self.state();
        let (place, mut object) = state.store.find(kind, name).expect("an object that is there");
        change(&mut object);
        state.store.put(place, object);
    }

    pub(crate) fn remove(&self, kind: &str, name: &str) {
        let mut state = self.state();
        let (place, _) = state.store.find(kind, name).expect("an object that is there");
        state.store.remove(&place);
    }

    pub(crate) fn get(&self, kind: &str, name: &str) -> Option<Value> {
        self.state().store.find(kind, name).map(|(_, object)| object)
    }

    /// All objects, as they are compared after a run: what only counts writes is left out.
    pub(crate) fn objects(&self) -> Value {
        self.state().store.objects()
    }

    /// How many writes changed something.
    pub(crate) fn writes(&self) -> usize {
        self.state().store.writes
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// The n-th request from now on fails.
    pub(crate) fn fail(&self, number: usize, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.requests.len() + number, fault));
    }

    /// Answers lists in pages of this many, however many are asked for.
    pub(crate) fn pages(&self, size: usize) {
        self.state().page = Some(size);
    }

    /// While it is down, every connection is refused; watches end.
    pub(crate) fn is_down(&self, is_down: bool) {
        let mut state = self.state();
        state.is_down = is_down;
        state.store.cut_watches();
    }

    /// Ends every watch, as API servers do from time to time.
    pub(crate) fn cut_watches(&self) {
        self.state().store.cut_watches();
    }

    /// Every watch that is open now tells nothing any more, and does not end: a connection that has died.
    pub(crate) fn silence_watches(&self) {
        self.state().store.silences += 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the state")
    }

    async fn serve(&self, request: Request<Body>) -> Result<Response<answer::Stream>, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect_bytes().await?;
        let (number, fault) = {
            let mut state = self.state();
            state.requests.push(format!("{} {}", parts.method, parts.uri.path()));
            let number = state.requests.len();
            let fault = state.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
            (number, if state.is_down { Some(Fault::CutBefore) } else { fault })
        };
        // A kill may come before and after the effect: each side of it is a poll of its own.
        turn().await;
        match fault {
            Some(Fault::CutBefore) => return Err(format!("connection refused at request {number}").into()),
            Some(Fault::Refused(code)) => {
                return Ok(answer::refusal(
                    code,
                    "InternalError",
                    &format!("request {number} fails in this test"),
                    Value::Null,
                ));
            }
            Some(Fault::Silent) => return std::future::pending().await,
            Some(Fault::CutAfter) | None => {}
        }
        let answer = answer::answer(self, &parts, &body);
        turn().await;
        match fault {
            Some(Fault::CutAfter) => Err(format!("connection reset at request {number}").into()),
            _ => Ok(answer),
        }
    }
}

/// Lets the caller be polled once more.
async fn turn() {
    let mut was_polled = false;
    let once: Result<(), Infallible> = std::future::poll_fn(|cx| {
        if std::mem::replace(&mut was_polled, true) {
            return Poll::Ready(Ok(()));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    match once {
        Ok(()) => {}
    }
}

impl crate::testing::Failing for ApiServer {
    const WAYS: usize = 5;

    fn fail(&self, number: usize, way: usize) {
        let ways = [Fault::Refused(503), Fault::Refused(500), Fault::CutBefore, Fault::CutAfter, Fault::Silent];
        ApiServer::fail(self, number, ways[way]);
    }

    fn calls(&self) -> usize {
        self.state().requests.len()
    }
}
