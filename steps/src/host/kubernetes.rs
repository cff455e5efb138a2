//! Kubernetes on behalf of a step that nobody has to trust: the code of the `k8s` kinds, one object at a time.
//!
//! Objects leave here as outputs show them ([`shown`]): without the values of Secrets, which a guest never has, and without the
//! server's book-keeping. A condition is evaluated over the same form; otherwise a guest could ask for a Secret's value letter
//! by letter. Writing a Secret is as possible as writing anything else.

use std::time::Duration;

use async_trait::async_trait;
use futures::AsyncReadExt as _;
use kube::api::ListParams;
use serde_json::Value;
use steps_sdk::StepError;
use steps_sdk::context::{ClusterHandle, Evaluator, StepContext};
use steps_sdk::host::{Kubernetes, KubernetesError, ObjectSelection, ObjectTarget, WriteMode};
use steps_sdk::value::Predicate;

use crate::cluster::Cluster;
use crate::cluster::apply::{Applier, Run};
use crate::cluster::classify;
use crate::cluster::discovery::Served;
use crate::cluster::goal::Goal;
use crate::cluster::reference::ObjectRef;
use crate::cluster::request::{Asked, Failure};
use crate::cluster::shown::shown;
use crate::cluster::wait::Wait;
use crate::cluster::wanted;

/// Objects in one answer to a list.
const PAGE: u32 = 250;

/// How often a list may begin anew because the server has forgotten where it was.
const LISTS_MAX: u32 = 3;

/// Any API server for which the call has a handle.
pub(super) struct ApiServers;

#[async_trait]
impl Kubernetes for ApiServers {
    async fn get(&self, cx: &StepContext, on: &ClusterHandle, target: ObjectTarget) -> Result<Value, KubernetesError> {
        let cluster = Cluster::open(cx, on);
        let reference = reference(target)?;
        let served = cluster.must_be_served(&reference).await.map_err(told)?;
        let live = cluster.live(&reference, &served).await.map_err(told)?;
        live.map(shown).ok_or(KubernetesError::NotFound)
    }

    async fn list(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        selection: ObjectSelection,
    ) -> Result<Vec<Value>, KubernetesError> {
        let cluster = Cluster::open(cx, on);
        let ObjectSelection { api_version, kind, namespace, label_selector, bytes_max } = selection;
        let every = reference(ObjectTarget { api_version, kind, namespace, name: "*".into() })?;
        let served = cluster.served(&every).await.map_err(told)?;
        let served = served.ok_or_else(|| told(classify::not_served(cluster.name, &every)))?;
        let listing = Listing { cluster: &cluster, every: &every, served: &served, label_selector, bytes_max };
        let mut lists = 1;
        loop {
            match listing.read().await {
                // What was read belongs to a state that the server no longer knows; half of it would be a wrong answer.
                Err(Failure::Answered(kube::Error::Api(status))) if status.code == 410 && lists < LISTS_MAX => {
                    lists += 1
                }
                Err(failure) => {
                    let asked = Asked { verb: "list", object: &every, resource: Some(&served) };
                    return Err(told(classify::failure(cluster.name, &asked, &failure)));
                }
                Ok(objects) => return objects,
            }
        }
    }

    async fn apply(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        object: Value,
        force: bool,
        mode: WriteMode,
    ) -> Result<Value, KubernetesError> {
        let cluster = Cluster::open(cx, on);
        let wanted = wanted::named(object).map_err(told)?;
        let served = cluster.must_be_served(&wanted.reference).await.map_err(told)?;
        let applied = Applier::new(&cluster, force).send(&wanted, &served, run_of(mode)).await;
        applied.map(shown).map_err(|failure| {
            let asked = Asked { verb: "patch", object: &wanted.reference, resource: Some(&served) };
            told(classify::failure(cluster.name, &asked, &failure))
        })
    }

    async fn delete(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        target: ObjectTarget,
        uid: Option<String>,
        mode: WriteMode,
    ) -> Result<Value, KubernetesError> {
        let cluster = Cluster::open(cx, on);
        let reference = reference(target)?;
        let served = cluster.must_be_served(&reference).await.map_err(told)?;
        let live = cluster.live(&reference, &served).await.map_err(told)?.ok_or(KubernetesError::NotFound)?;
        let found = live.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
        if let Some(uid) = uid.filter(|uid| uid != found) {
            return Err(KubernetesError::Conflict(format!(
                "{reference} on cluster `{}` is not the one with the UID {uid}: it was made anew by somebody else",
                cluster.name
            )));
        }
        // The one that was looked at and no other, whether the guest named a UID or not.
        match Applier::new(&cluster, false).delete(&reference, &served, found, run_of(mode)).await {
            Ok(()) => Ok(shown(live)),
            Err(failure) if failure.status() == Some(404) => Err(KubernetesError::NotFound),
            Err(failure) => {
                let asked = Asked { verb: "delete", object: &reference, resource: Some(&served) };
                Err(told(classify::failure(cluster.name, &asked, &failure)))
            }
        }
    }

    async fn wait(
        &self,
        cx: &StepContext,
        on: &ClusterHandle,
        target: ObjectTarget,
        until: Predicate,
        timeout: Duration,
    ) -> Result<Value, KubernetesError> {
        let reference = reference(target)?;
        let evaluator = cx.evaluator.clone();
        let over_shown = Evaluator::new(move |predicate, object| evaluator.eval(predicate, &shown(object.clone())));
        let cx = StepContext { evaluator: over_shown, ..cx.clone() };
        let cluster = Cluster::open(&cx, on);
        let seen = Wait::new(&cluster, &reference).within(timeout).until(&[Goal::Until(until)]).await.map_err(told)?;
        seen.map(shown).ok_or(KubernetesError::NotFound)
    }
}

/// One list of objects, page by page.
struct Listing<'a> {
    cluster: &'a Cluster<'a>,
    every: &'a ObjectRef,
    served: &'a Served,
    label_selector: Option<String>,
    bytes_max: usize,
}

impl Listing<'_> {
    /// The inner error says that there is too much.
    async fn read(&self) -> Result<Result<Vec<Value>, KubernetesError>, Failure> {
        let mut params = ListParams::default().limit(PAGE);
        if let Some(labels) = &self.label_selector {
            params = params.labels(labels);
        }
        let mut objects = Vec::new();
        let mut bytes_left = self.bytes_max;
        loop {
            let Some((page, length)) = self.page(&params, bytes_left).await? else {
                return Ok(Err(self.too_much()));
            };
            bytes_left -= length;
            let next = page.pointer("/metadata/continue").and_then(Value::as_str).filter(|next| !next.is_empty());
            let next = next.map(str::to_owned);
            let Value::Object(mut fields) = page else { return Ok(Ok(objects)) };
            if let Some(Value::Array(items)) = fields.remove("items") {
                objects.extend(items.into_iter().map(|item| shown(self.completed(item))));
            }
            let Some(next) = next else { return Ok(Ok(objects)) };
            params = params.continue_token(&next);
        }
    }

    /// One answer with its length; `None` when it is longer than what is left. It is measured while it is read.
    async fn page(&self, params: &ListParams, bytes_left: usize) -> Result<Option<(Value, usize)>, Failure> {
        let cluster = self.cluster;
        let bytes = cluster
            .try_ask(|| async {
                let request = self.served.collection(self.every).list(params).map_err(kube::Error::BuildRequest)?;
                let mut bytes = Vec::new();
                let answer = cluster.client().request_stream(request).await?;
                std::pin::pin!(answer.take(bytes_left as u64 + 1))
                    .read_to_end(&mut bytes)
                    .await
                    .map_err(|error| kube::Error::Service(Box::new(error)))?;
                Ok(bytes)
            })
            .await?;
        if bytes.len() > bytes_left {
            return Ok(None);
        }
        let page = serde_json::from_slice(&bytes).map_err(|error| Failure::Answered(kube::Error::SerdeError(error)))?;
        Ok(Some((page, bytes.len())))
    }

    /// Items of a list do not say what they are; a single object does.
    fn completed(&self, mut item: Value) -> Value {
        if let Some(fields) = item.as_object_mut() {
            fields.entry("apiVersion").or_insert_with(|| self.every.api_version.clone().into());
            fields.entry("kind").or_insert_with(|| self.every.kind.clone().into());
        }
        item
    }

    fn too_much(&self) -> KubernetesError {
        KubernetesError::Invalid(format!(
            "the list of {} on cluster `{}` has more than {} bytes; ask for one namespace, or with a label selector",
            self.every.kind, self.cluster.name, self.bytes_max
        ))
    }
}

fn reference(target: ObjectTarget) -> Result<ObjectRef, KubernetesError> {
    let ObjectTarget { api_version, kind, namespace, name } = target;
    ObjectRef { api_version, kind, namespace, name, cluster: None, uid: None }.check().map_err(told)
}

fn run_of(mode: WriteMode) -> Run {
    match mode {
        WriteMode::Real => Run::Real,
        WriteMode::DryRun => Run::Dry,
    }
}

/// What the table of the family (`cluster/classify.rs`) means to a guest.
fn told(error: StepError) -> KubernetesError {
    let causes = error.causes.iter().filter(|cause| !error.message.contains(*cause));
    let mut text = std::iter::once(&error.message).chain(causes).cloned().collect::<Vec<_>>().join(": ");
    if let Some(help) = &error.help {
        text = format!("{text}; {help}");
    }
    match error.code.as_str() {
        "K217" => KubernetesError::NotFound,
        "K210" | "K214" => KubernetesError::Conflict(text),
        "K206" | "K207" | "K209" | "K216" => KubernetesError::Forbidden(text),
        "K211" | "K220" | "K221" => KubernetesError::Invalid(text),
        "K201" | "K202" | "K203" | "K204" | "K208" | "K212" | "K213" | "E130" => KubernetesError::Unavailable(text),
        _ => KubernetesError::Other(text),
    }
}

#[cfg(test)]
#[path = "kubernetes_tests.rs"]
mod tests;
