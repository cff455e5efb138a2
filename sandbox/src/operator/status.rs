//! Phases and conditions of RootShard, Shard and FrontProxy, and of the Compiled objects they come from: kcp notes, section 2.2.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::names::wants_bundle;
use crate::control::{Action, World, meta, name, namespace, text};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
}

/// A condition of an object, as Kubernetes wants it: the time of its last turn is kept for as long as it does not turn.
pub fn condition(object: &Value, of: &str, truth: Truth, reason: &str, message: &str, now: Timestamp) -> Value {
    let status = if truth == Truth::True { "True" } else { "False" };
    let before = found(object, of).filter(|before| before["status"] == status);
    let since = before.map_or_else(|| json!(format!("{now:.0}")), |before| before["lastTransitionTime"].clone());
    json!({
        "type": of,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": meta(object, "generation").as_u64().unwrap_or(0),
        "lastTransitionTime": since,
    })
}

/// The condition of this type that an object has now.
pub fn found<'a>(object: &'a Value, of: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == of)
}

/// The status of an object as an action.
pub fn with_status(object: &Value, status: Value) -> Action {
    Action::Status(json!({
        "apiVersion": object["apiVersion"],
        "kind": object["kind"],
        "metadata": { "name": name(object), "namespace": namespace(object) },
        "status": status,
    }))
}

/// The reason of Available, and whether it is true: iff the updated and the ready replicas are as many as are wanted. The lie: 0 of 0
/// is as good as 2 of 2.
pub fn available(deployment: Option<&Value>) -> (Truth, &'static str) {
    let Some(deployment) = deployment else { return (Truth::False, "DeploymentUnavailable") };
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    let count = |field: &str| deployment["status"][field].as_u64().unwrap_or(0);
    match count("updatedReplicas") == wanted && count("readyReplicas") == wanted {
        true => (Truth::True, "ReplicasUp"),
        false => (Truth::False, "ReplicasUnavailable"),
    }
}

/// What the group `workload` says of a Compiled object.
pub fn of_compiled(world: &World, compiled: &Value, deployment: &str, now: Timestamp) -> Action {
    let (truth, reason) = available(world.get("Deployment", namespace(compiled), deployment));
    let available = condition(compiled, "Available", truth, reason, "", now);
    let phase = if truth == Truth::True { "Running" } else { "Provisioning" };
    with_status(compiled, json!({ "phase": phase, "conditions": [available] }))
}

/// What the group `config` says of a RootShard, Shard or FrontProxy whose references are valid.
pub fn of_source(world: &World, source: &Value, bundle: Option<&Value>, now: Timestamp) -> Action {
    let kind = format!("Compiled{}", text(&source["kind"]));
    let rendered = world.get(&kind, namespace(source), name(source)).and_then(|compiled| found(compiled, "Available"));
    let bundled = bundle.is_some_and(|bundle| bundle["status"]["state"] == "Ready");
    let available = match (found(source, "Available"), rendered) {
        // The lie: once there is a bundle nobody looks at the Deployment any more.
        (Some(stale), _) if bundled => stale.clone(),
        (_, Some(told)) => {
            let truth = if told["status"] == "True" { Truth::True } else { Truth::False };
            condition(source, "Available", truth, text(&told["reason"]), text(&told["message"]), now)
        }
        (_, None) => {
            let message = format!("{kind} {} has not been rendered yet", name(source));
            condition(source, "Available", Truth::False, "DeploymentUnavailable", &message, now)
        }
    };
    let phase = match () {
        () if meta(source, "deletionTimestamp").is_string() => "Deleting",
        () if available["status"] == "True" => "Running",
        () if bundled => "Bundled",
        () => "Provisioning",
    };
    let mut conditions = vec![available, bundle_condition(source, bundle, now)];
    if source["kind"] != "RootShard" {
        conditions.push(condition(source, "RootShard", Truth::True, "Valid", "", now));
    }
    let mut status = json!({ "phase": phase, "conditions": conditions });
    if source["kind"] == "RootShard" {
        status["shards"] = shards_of(world, source);
    }
    with_status(source, status)
}

/// All that is said of an object whose root shard does not exist.
pub fn without_root(source: &Value, now: Timestamp) -> Action {
    let message = "the root shard does not exist";
    let missing = condition(source, "RootShard", Truth::False, "RootShardNotFound", message, now);
    with_status(source, json!({ "conditions": [missing] }))
}

fn bundle_condition(source: &Value, bundle: Option<&Value>, now: Timestamp) -> Value {
    let (truth, reason) = match bundle {
        _ if !wants_bundle(source) => (Truth::True, "NoBundleRequired"),
        None => (Truth::False, "BundleNotFound"),
        Some(bundle) if bundle["status"]["state"] == "Ready" => (Truth::True, "BundleReady"),
        Some(_) => (Truth::False, "BundleNotReady"),
    };
    condition(source, "Bundle", truth, reason, "", now)
}

fn shards_of(world: &World, root: &Value) -> Value {
    let of = |shard: &&Value| namespace(shard) == namespace(root) && super::names::root_of(shard) == Some(name(root));
    world.list("Shard").filter(of).map(|shard| json!({ "name": name(shard) })).collect()
}
