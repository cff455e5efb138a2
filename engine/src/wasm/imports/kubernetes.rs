//! `kubernetes`: objects through the host, within the grants of the file. A preview's writes are dry-runs, and listed in the plan; a
//! `verify` writes nothing.

use std::time::Duration;

use steps_sdk::context::ClusterHandle;
use steps_sdk::grant::{KubernetesVerb, ObjectRequest};
use steps_sdk::host::{KubernetesError, ObjectSelection, ObjectTarget, WriteMode};
use steps_sdk::value::{ClusterName, Predicate};
use steps_sdk::{Certainty, Change, ChangeAction, Value};

use super::{object, ungranted};
use crate::wasm::bindings::kubernetes::{Error, Host, Selection, Target, Written};
use crate::wasm::convert;
use crate::wasm::guest::{Called, Guest, Writes};
use crate::wasm::limits::{LINE_BYTES_MAX, RESPONSE_BYTES_MAX};
use crate::wasm::words;

/// A condition in CEL or a selector; longer ones are no conditions.
const TEXT_BYTES_MAX: usize = 4 << 10;

impl Host for Guest {
    async fn get(&mut self, target: Target) -> wasmtime::Result<Result<String, Error>> {
        let step = self.granted_step("get", &target.cluster, &target.kind)?;
        let (cluster, target) = parted(target);
        let found = async {
            let on = allow(step, &cluster, KubernetesVerb::Get, &target)?;
            Ok(step.bound.host.kubernetes.get(&step.cx, on, target).await?.to_string())
        };
        Ok(found.await.map_err(Refused::answer))
    }

    async fn list_objects(&mut self, selection: Selection) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let step = self.granted_step("list", &selection.cluster, &selection.kind)?;
        Ok(list(step, selection).await.map_err(Refused::answer))
    }

    async fn apply(
        &mut self,
        cluster: String,
        object: String,
        force: bool,
    ) -> wasmtime::Result<Result<Written, Error>> {
        let writes = self.verb.writes();
        let step = self.granted_step("apply", &cluster, "KIND")?;
        settled(apply(step, &cluster, &object, force, writes).await)
    }

    async fn delete(&mut self, target: Target, uid: Option<String>) -> wasmtime::Result<Result<Written, Error>> {
        let writes = self.verb.writes();
        let step = self.granted_step("delete", &target.cluster, &target.kind)?;
        let (cluster, target) = parted(target);
        settled(delete(step, &cluster, target, uid, writes).await)
    }

    async fn wait(
        &mut self,
        target: Target,
        until: String,
        timeout_ms: u32,
    ) -> wasmtime::Result<Result<String, Error>> {
        let step = self.granted_step("watch", &target.cluster, &target.kind)?;
        let (cluster, target) = parted(target);
        let waited = async {
            let on = allow(step, &cluster, KubernetesVerb::Watch, &target)?;
            if until.len() > TEXT_BYTES_MAX {
                return Err(Refused::invalid("the condition is too long"));
            }
            let timeout = Duration::from_millis(timeout_ms.into()).min(step.cx.clock.remaining());
            let kubernetes = &step.bound.host.kubernetes;
            Ok(kubernetes.wait(&step.cx, on, target, Predicate(until), timeout).await?.to_string())
        };
        Ok(waited.await.map_err(Refused::answer))
    }
}

impl Guest {
    /// The step, if the file grants it anything of Kubernetes at all.
    fn granted_step(&mut self, verb: &str, cluster: &str, kind: &str) -> wasmtime::Result<&mut Called> {
        self.count_host_call()?;
        let step = self.step("kubernetes")?;
        if !step.bound.grants.kubernetes.is_empty() {
            return Ok(step);
        }
        let (cluster, kind) = (words::line(cluster, 63), words::line(kind, 63));
        let line = format!("k8s {cluster} {{ verbs {verb}; kinds {kind} }}");
        Err(ungranted("W202", &format!("{verb} {kind} on cluster `{cluster}`"), "k8s", &line))
    }
}

/// Why a request is not carried out, or how it failed.
struct Refused(Error);

impl Refused {
    fn invalid(words: impl Into<String>) -> Refused {
        Refused(Error::Invalid(words.into()))
    }

    fn answer(self) -> Error {
        self.0
    }
}

impl From<KubernetesError> for Refused {
    fn from(error: KubernetesError) -> Refused {
        let clean = |text: String| words::line(&text, LINE_BYTES_MAX);
        Refused(match error {
            KubernetesError::NotFound => Error::NotFound,
            KubernetesError::Conflict(text) => Error::Conflict(clean(text)),
            KubernetesError::Forbidden(text) => Error::Forbidden(clean(text)),
            KubernetesError::Unavailable(text) => Error::Unavailable(clean(text)),
            KubernetesError::Invalid(text) => Error::Invalid(clean(text)),
            KubernetesError::Other(text) => Error::Other(clean(text)),
        })
    }
}

fn parted(target: Target) -> (String, ObjectTarget) {
    let Target { cluster, api_version, kind, namespace, name } = target;
    (cluster, ObjectTarget { api_version, kind, namespace, name })
}

/// The cluster of a request about one object, if the file grants it.
fn allow<'a>(
    step: &'a Called,
    cluster: &str,
    verb: KubernetesVerb,
    target: &ObjectTarget,
) -> Result<&'a ClusterHandle, Refused> {
    let ObjectTarget { api_version, kind, namespace, name } = target;
    let request = ObjectRequest { cluster, verb, api_version, kind, namespace: namespace.as_deref(), name: Some(name) };
    allow_request(step, &request)
}

fn allow_request<'a>(step: &'a Called, request: &ObjectRequest<'_>) -> Result<&'a ClusterHandle, Refused> {
    object::check(request.api_version, request.kind, request.namespace, request.name).map_err(Refused::invalid)?;
    let grants = &step.bound.grants;
    let Some(index) = grants.kubernetes(request) else {
        let granted: Vec<String> = grants.kubernetes.iter().map(ToString::to_string).collect();
        let asked = format!(
            "{} {}{} {} on cluster `{}`",
            request.verb.word(),
            request.kind,
            request.name.map(|name| format!("/{name}")).unwrap_or_default(),
            request.namespace.map_or_else(|| "in every namespace".to_owned(), |namespace| format!("in {namespace}")),
            words::line(request.cluster, 63),
        );
        let words = format!("{asked} is not granted; the file grants {}", granted.join("; "));
        return Err(Refused(Error::NotGranted(words)));
    };
    let Ok(on) = step.cx.clusters.get(&ClusterName(request.cluster.to_owned())) else {
        let words = format!("cluster `{}` is not among those that the step names", words::line(request.cluster, 63));
        return Err(Refused(Error::NotGranted(words)));
    };
    step.bound.used.count(index);
    Ok(on)
}

async fn list(step: &Called, selection: Selection) -> Result<Vec<String>, Refused> {
    let Selection { cluster, api_version, kind, namespace, label_selector } = selection;
    let on = allow_request(
        step,
        &ObjectRequest {
            cluster: &cluster,
            verb: KubernetesVerb::List,
            api_version: &api_version,
            kind: &kind,
            namespace: namespace.as_deref(),
            name: None,
        },
    )?;
    if label_selector.as_ref().is_some_and(|text| text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control)) {
        return Err(Refused::invalid("the label selector is too long or holds a control character"));
    }
    let selection = ObjectSelection { api_version, kind, namespace, label_selector, bytes_max: RESPONSE_BYTES_MAX };
    let objects = step.bound.host.kubernetes.list(&step.cx, on, selection).await?;
    Ok(objects.iter().map(Value::to_string).collect())
}

/// How a write ends when it is not done.
enum Unwritten {
    /// The guest is told.
    Refused(Refused),
    /// Its call ends.
    Stopped(wasmtime::Error),
}

impl From<Refused> for Unwritten {
    fn from(refused: Refused) -> Unwritten {
        Unwritten::Refused(refused)
    }
}

impl From<KubernetesError> for Unwritten {
    fn from(error: KubernetesError) -> Unwritten {
        Unwritten::Refused(error.into())
    }
}

fn settled(written: Result<Written, Unwritten>) -> wasmtime::Result<Result<Written, Error>> {
    match written {
        Ok(written) => Ok(Ok(written)),
        Err(Unwritten::Refused(refused)) => Ok(Err(refused.answer())),
        Err(Unwritten::Stopped(end)) => Err(end),
    }
}

fn read_only(verb: KubernetesVerb, target: &ObjectTarget, cluster: &str) -> Unwritten {
    let asked = format!("{} {} on cluster `{cluster}`", verb.word(), object::words_of(target));
    Unwritten::Stopped(Called::read_only(&asked))
}

async fn apply(
    step: &mut Called,
    cluster: &str,
    text: &str,
    force: bool,
    writes: Writes,
) -> Result<Written, Unwritten> {
    let object = convert::json("object's fields", text).map_err(|error| Refused::invalid(error.message))?;
    let target = object::target_of(&object).map_err(Refused::invalid)?;
    let on = allow(step, cluster, KubernetesVerb::Apply, &target)?;
    if writes == Writes::Refused {
        return Err(read_only(KubernetesVerb::Apply, &target, cluster));
    }
    let kubernetes = &step.bound.host.kubernetes;
    if writes == Writes::Done {
        return Ok(Written::Done(kubernetes.apply(&step.cx, on, object, force, WriteMode::Real).await?.to_string()));
    }
    // The host looks for itself, whatever the guest may read: only what is to happen is told, to the person who plans.
    let before = kubernetes.get(&step.cx, on, target.clone()).await;
    let after = kubernetes.apply(&step.cx, on, object, force, WriteMode::DryRun).await?;
    let action = match &before {
        Ok(before) if is_same(before, &after) => ChangeAction::Same,
        Ok(_) => ChangeAction::Update,
        Err(KubernetesError::NotFound) => ChangeAction::Create,
        Err(_) => ChangeAction::Unknown,
    };
    step.would_do(change(&target, action));
    Ok(Written::WouldDo(after.to_string()))
}

async fn delete(
    step: &mut Called,
    cluster: &str,
    target: ObjectTarget,
    uid: Option<String>,
    writes: Writes,
) -> Result<Written, Unwritten> {
    let on = allow(step, cluster, KubernetesVerb::Delete, &target)?;
    let mode = match writes {
        Writes::Done => WriteMode::Real,
        Writes::WouldDo => WriteMode::DryRun,
        Writes::Refused => return Err(read_only(KubernetesVerb::Delete, &target, cluster)),
    };
    let before = step.bound.host.kubernetes.delete(&step.cx, on, target.clone(), uid, mode).await?.to_string();
    if mode == WriteMode::Real {
        return Ok(Written::Done(before));
    }
    step.would_do(change(&target, ChangeAction::Delete));
    Ok(Written::WouldDo(before))
}

fn change(target: &ObjectTarget, action: ChangeAction) -> Change {
    Change {
        object: object::words_of(target),
        action,
        certainty: Certainty::Server,
        fields: Vec::new(),
        conflict: None,
        waits_for: None,
    }
}

/// Whether a dry-run would leave the object as it is, beside what the server writes with every request.
fn is_same(before: &Value, after: &Value) -> bool {
    let bare = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            for field in ["managedFields", "resourceVersion", "generation"] {
                metadata.remove(field);
            }
        }
        object
    };
    bare(before) == bare(after)
}
