//! Acts for etcd-druid v0.33.0 over any API server: kcp notes, section 3.
//!
//! - [`decide`]: what is to be done about the world, a pure function that rehearsals use as it is
//! - `objects`: what an Etcd is made of, by the real names
//! - `status`: members, conditions and the last operation
//!
//! Two things are not as in reality, both because the real Pod's programs cannot be had. The Pod has one container, plain etcd with
//! flags, instead of etcd-wrapper and backup-restore. The Leases of members, which backup-restore renews, are renewed here for as long
//! as a Pod is ready; what is read from them, and how late, is as it is with the real one.

mod objects;
mod status;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::control::{Action, Kind, World, meta, name, namespace, text};

/// Everything that druid watches or writes.
pub const KINDS: &[Kind] = &[
    Kind { version: objects::VERSION, kind: "Etcd", plural: "etcds" },
    Kind { version: "apps/v1", kind: "StatefulSet", plural: "statefulsets" },
    Kind { version: "v1", kind: "Pod", plural: "pods" },
    Kind { version: "v1", kind: "Service", plural: "services" },
    Kind { version: "v1", kind: "ConfigMap", plural: "configmaps" },
    Kind { version: "v1", kind: "ServiceAccount", plural: "serviceaccounts" },
    Kind { version: "rbac.authorization.k8s.io/v1", kind: "Role", plural: "roles" },
    Kind { version: "rbac.authorization.k8s.io/v1", kind: "RoleBinding", plural: "rolebindings" },
    Kind { version: "policy/v1", kind: "PodDisruptionBudget", plural: "poddisruptionbudgets" },
    Kind { version: "coordination.k8s.io/v1", kind: "Lease", plural: "leases" },
];

const FINALIZER: &str = "druid.gardener.cloud/etcd-druid";
const OPERATION: &str = "druid.gardener.cloud/operation";

/// How druid was started.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// `enableEtcdSpecAutoReconcile`: carry out a changed spec without being asked to.
    pub reconciles_by_itself: bool,
    /// A member whose Lease is older is Unknown, and after five times as long NotReady.
    pub member_unknown_after: SignedDuration,
}

impl Settings {
    /// As it comes: a changed spec waits for the annotation, a silent member is doubted after a minute.
    pub fn stock() -> Settings {
        Settings { reconciles_by_itself: false, member_unknown_after: SignedDuration::from_secs(60) }
    }
}

/// What is to be done about the world as it is now.
pub fn decide(world: &World, settings: &Settings, now: Timestamp) -> Vec<Action> {
    let etcds = world.list("Etcd");
    etcds
        .flat_map(|etcd| match meta(etcd, "deletionTimestamp").is_string() {
            true => leaving(world, etcd),
            false => standing(world, etcd, settings, now),
        })
        .collect()
}

fn standing(world: &World, etcd: &Value, settings: &Settings, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    if !finalizers(etcd).any(|finalizer| finalizer == FINALIZER) {
        let all: Vec<_> = finalizers(etcd).chain([FINALIZER]).collect();
        actions.push(merge(etcd, json!({ "finalizers": all })));
    }
    let generation = meta(etcd, "generation").as_u64().unwrap_or(1);
    let observed = etcd["status"]["observedGeneration"].as_u64();
    let is_asked = text(&meta(etcd, "annotations")[OPERATION]) == "reconcile";
    let is_changed = observed.is_some_and(|observed| observed < generation);
    // A changed spec is not carried out until somebody asks for it; one who only waits for Ready will see the old members ready.
    let is_due = observed.is_none() || is_asked || (is_changed && settings.reconciles_by_itself);
    let mut operation = None;
    if is_due {
        actions.extend(objects::of(etcd).into_iter().map(Action::Apply));
        let is_done = objects::are_carried_out(world, etcd, generation);
        operation = Some(status::Operation { is_first: observed.is_none(), is_done, generation });
        if is_done && is_asked {
            actions.push(merge(etcd, json!({ "annotations": { OPERATION: null } })));
        }
    }
    actions.extend(objects::leases(world, etcd, now).into_iter().map(Action::Apply));
    actions.push(status::of(world, etcd, operation.as_ref(), settings, now));
    actions
}

/// Everything goes, and then the finalizer: while druid is away, an Etcd stays.
fn leaving(world: &World, etcd: &Value) -> Vec<Action> {
    let mut actions: Vec<_> = objects::found(world, etcd)
        .filter(|(_, object)| !meta(object, "deletionTimestamp").is_string())
        .map(|(kind, object)| Action::Delete {
            kind,
            namespace: namespace(object).to_owned(),
            name: name(object).to_owned(),
        })
        .collect();
    if objects::found(world, etcd).next().is_none() {
        let rest: Vec<_> = finalizers(etcd).filter(|finalizer| *finalizer != FINALIZER).collect();
        actions.push(merge(etcd, json!({ "finalizers": rest })));
    }
    actions
}

fn finalizers(etcd: &Value) -> impl Iterator<Item = &str> {
    meta(etcd, "finalizers").as_array().into_iter().flatten().map(text)
}

fn merge(etcd: &Value, metadata: Value) -> Action {
    let mut patch = json!({ "apiVersion": etcd["apiVersion"], "kind": etcd["kind"], "metadata": metadata });
    for field in ["name", "namespace", "resourceVersion"] {
        patch["metadata"][field] = meta(etcd, field).clone();
    }
    Action::Merge(patch)
}
