//! The outside world of a case: it answers what the case lists, and refuses everything else.
//!
//! An answer is given to the first request that it fits and that no answer before it was given to; so answers to equal requests are
//! given in the order of the file. What was refused fails the case, whatever the step makes of the refusal.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use engine_core::diagnostic::Place;
use serde_json::json;
use steps_sdk::Value;
use steps_sdk::context::{ClusterHandle, StepContext};
use steps_sdk::grant::KubernetesVerb;
use steps_sdk::host::{
    Dns, DnsAnswer, DnsError, Host, Http, HttpError, HttpRequest, HttpResponse, Kubernetes, KubernetesError,
    ObjectSelection, ObjectTarget, WriteMode,
};
use steps_sdk::value::Predicate;

use super::case::{Answer, Asked, Body, Reply, Sent};

/// The mocked host of one call.
#[derive(Clone)]
pub struct World(Arc<Mutex<State>>);

struct State {
    /// Each with whether it was given.
    answers: Vec<(Answer, bool)>,
    told: Told,
}

/// What was asked.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub asked: Vec<Asked>,
    /// Requests that nothing answers.
    pub unlisted: Vec<Asked>,
    /// Requests that carried something else than the case says.
    pub wrong: Vec<Wrong>,
    /// Answers that nobody asked for.
    pub unused: Vec<(Place, Asked)>,
}

#[derive(Debug, Clone)]
pub struct Wrong {
    pub asked: Asked,
    pub wanted: Sent,
    pub carried: Sent,
}

impl World {
    pub fn new(answers: &[Answer]) -> World {
        let answers = answers.iter().map(|answer| (answer.clone(), false)).collect();
        World(Arc::new(Mutex::new(State { answers, told: Told::default() })))
    }

    pub fn host(&self) -> Host {
        Host { http: Arc::new(self.clone()), kubernetes: Arc::new(self.clone()), dns: Arc::new(self.clone()) }
    }

    /// What was asked until now.
    pub fn told(&self) -> Told {
        let state = self.state();
        let unused = state.answers.iter().filter(|(_, given)| !given);
        Told { unused: unused.map(|(answer, _)| (answer.at, answer.asked.clone())).collect(), ..state.told.clone() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds the answers")
    }

    /// The answer to a request; `None`: there is none.
    fn answer(&self, asked: Asked, headers: &[(String, String)], body: &Carried<'_>) -> Option<Reply> {
        let mut state = self.state();
        state.told.asked.push(asked.clone());
        let found = state.answers.iter_mut().find(|(answer, given)| !given && fits(&answer.asked, &asked));
        let Some((answer, given)) = found else {
            state.told.unlisted.push(asked);
            return None;
        };
        *given = true;
        let (reply, wanted) = (answer.reply.clone(), answer.sends.clone());
        if let Some(wanted) = wanted {
            let carried = carried(&wanted, headers, body);
            if carried != wanted {
                state.told.wrong.push(Wrong { asked, wanted, carried });
            }
        }
        Some(reply)
    }
}

/// What a request brought along.
enum Carried<'r> {
    Nothing,
    Bytes(&'r [u8]),
    Object(&'r Value),
}

/// What a request carried of that which the case looks at, in the same form.
fn carried(wanted: &Sent, headers: &[(String, String)], body: &Carried<'_>) -> Sent {
    let header = |name: &String| headers.iter().find(|(other, _)| other == name).cloned();
    let text = |bytes: &[u8]| Body::Text(String::from_utf8_lossy(bytes).into_owned());
    let body = wanted.body.as_ref().and_then(|wanted| match (wanted, body) {
        (_, Carried::Nothing) => None,
        (_, Carried::Object(object)) => Some(Body::Json((*object).clone())),
        (Body::Text(_), Carried::Bytes(bytes)) => Some(text(bytes)),
        (Body::Json(_), Carried::Bytes(bytes)) => {
            Some(serde_json::from_slice(bytes).map_or_else(|_| text(bytes), Body::Json))
        }
    });
    Sent { at: wanted.at, headers: wanted.headers.iter().filter_map(|(name, _)| header(name)).collect(), body }
}

/// Whether a case's request is the one that was made.
fn fits(listed: &Asked, made: &Asked) -> bool {
    match (listed, made) {
        (Asked::Http { method, url }, Asked::Http { method: made, url: address }) => {
            method == made && (url == address || is_same_address(url, address))
        }
        (
            Asked::Kubernetes { verb, cluster, kind, namespace, name },
            Asked::Kubernetes { verb: v, cluster: c, kind: k, namespace: ns, name: n },
        ) => {
            let is_kind = kind == k || (!kind.contains('.') && k.split('.').next() == Some(kind));
            verb == v && cluster == c && is_kind && namespace == ns && name == n
        }
        (Asked::Dns { record_type, name }, Asked::Dns { record_type: made, name: asked }) => {
            let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
            record_type.eq_ignore_ascii_case(made) && plain(name) == plain(asked)
        }
        (Asked::Http { .. } | Asked::Kubernetes { .. } | Asked::Dns { .. }, _) => false,
    }
}

fn is_same_address(one: &str, other: &str) -> bool {
    matches!((url::Url::parse(one), url::Url::parse(other)), (Ok(one), Ok(other)) if one == other)
}

/// A kind with its group, as grants and cases write it.
pub fn kind_of(api_version: &str, kind: &str) -> String {
    match api_version.rsplit_once('/') {
        Some((group, _)) => format!("{kind}.{group}"),
        None => kind.to_owned(),
    }
}

fn no_answer(asked: &Asked) -> String {
    format!("the case has no answer to `{}`", super::kdl::asked(asked))
}

#[async_trait]
impl Http for World {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let asked = Asked::Http { method: request.method, url: request.url };
        let body = if request.body.is_empty() { Carried::Nothing } else { Carried::Bytes(&request.body) };
        match self.answer(asked.clone(), &request.headers, &body) {
            Some(Reply::Http(response)) => Ok(response),
            Some(Reply::HttpFails(error)) => Err(error),
            Some(_) | None => Err(HttpError::Other(no_answer(&asked))),
        }
    }
}

impl World {
    fn object(
        &self,
        on: &ClusterHandle,
        verb: KubernetesVerb,
        target: &ObjectTarget,
        written: Option<&Value>,
    ) -> Result<Value, KubernetesError> {
        let asked = asked_object(on, verb, target);
        match self.answer(asked.clone(), &[], &written.map_or(Carried::Nothing, Carried::Object)) {
            Some(Reply::Object(object)) => Ok(object),
            Some(Reply::Echo) => Ok(written.cloned().unwrap_or_else(|| named(target))),
            Some(Reply::KubernetesFails(error)) => Err(error),
            Some(_) | None => Err(KubernetesError::Other(no_answer(&asked))),
        }
    }
}

pub fn asked_object(on: &ClusterHandle, verb: KubernetesVerb, target: &ObjectTarget) -> Asked {
    Asked::Kubernetes {
        verb,
        cluster: on.name.clone(),
        kind: kind_of(&target.api_version, &target.kind),
        namespace: target.namespace.clone(),
        name: Some(target.name.clone()),
    }
}

pub fn asked_list(on: &ClusterHandle, selection: &ObjectSelection) -> Asked {
    Asked::Kubernetes {
        verb: KubernetesVerb::List,
        cluster: on.name.clone(),
        kind: kind_of(&selection.api_version, &selection.kind),
        namespace: selection.namespace.clone(),
        name: None,
    }
}

/// Whose object this is, by what it says of itself.
pub fn target_of(object: &Value) -> ObjectTarget {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    ObjectTarget {
        api_version: text("/apiVersion"),
        kind: text("/kind"),
        namespace: object.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned),
        name: text("/metadata/name"),
    }
}

fn named(target: &ObjectTarget) -> Value {
    let mut object = json!({
        "apiVersion": target.api_version, "kind": target.kind, "metadata": { "name": target.name },
    });
    if let Some(namespace) = &target.namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

#[async_trait]
impl Kubernetes for World {
    async fn get(&self, _: &StepContext, on: &ClusterHandle, target: ObjectTarget) -> Result<Value, KubernetesError> {
        self.object(on, KubernetesVerb::Get, &target, None)
    }

    async fn list(
        &self,
        _: &StepContext,
        on: &ClusterHandle,
        selection: ObjectSelection,
    ) -> Result<Vec<Value>, KubernetesError> {
        let asked = asked_list(on, &selection);
        match self.answer(asked.clone(), &[], &Carried::Nothing) {
            Some(Reply::Objects(objects)) => Ok(objects),
            Some(Reply::KubernetesFails(error)) => Err(error),
            Some(_) | None => Err(KubernetesError::Other(no_answer(&asked))),
        }
    }

    async fn apply(
        &self,
        _: &StepContext,
        on: &ClusterHandle,
        object: Value,
        _force: bool,
        _mode: WriteMode,
    ) -> Result<Value, KubernetesError> {
        self.object(on, KubernetesVerb::Apply, &target_of(&object), Some(&object))
    }

    async fn delete(
        &self,
        _: &StepContext,
        on: &ClusterHandle,
        target: ObjectTarget,
        _uid: Option<String>,
        _mode: WriteMode,
    ) -> Result<Value, KubernetesError> {
        self.object(on, KubernetesVerb::Delete, &target, None)
    }

    async fn wait(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        target: ObjectTarget,
        until: Predicate,
        _timeout: Duration,
    ) -> Result<Value, KubernetesError> {
        let object = self.object(on, KubernetesVerb::Watch, &target, None)?;
        // An answer for which the step would have gone on waiting is a slip of the case.
        match cx.eval(&until, &object) {
            Ok(true) => Ok(object),
            Ok(false) => Err(KubernetesError::Unavailable(format!(
                "`{}` does not hold for the object that the case answers with",
                until.0
            ))),
            Err(error) => Err(KubernetesError::Invalid(error.message)),
        }
    }
}

#[async_trait]
impl Dns for World {
    async fn query(
        &self,
        name: &str,
        record_type: &str,
        _authoritative: bool,
        _timeout: Duration,
    ) -> Result<Vec<DnsAnswer>, DnsError> {
        let asked = Asked::Dns { record_type: record_type.to_ascii_uppercase(), name: name.to_owned() };
        match self.answer(asked.clone(), &[], &Carried::Nothing) {
            Some(Reply::Records(records)) => Ok(records),
            Some(Reply::DnsFails(error)) => Err(error),
            Some(_) | None => Err(DnsError::Other(no_answer(&asked))),
        }
    }
}
