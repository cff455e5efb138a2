//! Bundles, which versions 0.5.0 to 0.9.0 make of a shard so that it can be run on another cluster: kcp notes, section 2.8.
//!
//! The list is the real one, with all that it lacks (`S-mounts-proxy`, the other shards' service accounts) and with what it should not
//! have (the keys of authorities, a Service's addresses on this cluster). Bundles of root shards and front-proxies name objects that
//! nobody makes, and never become ready.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::names::{Role, VERSION, owned, root_of};
use super::quirks::Quirks;
use super::status::{Truth, condition, with_status};
use crate::control::{Action, World, name, namespace, text};

/// The Bundle object itself: made as soon as one is asked for, whether or not the feature is on.
pub fn object(owner: &Value) -> Value {
    let field = match text(&owner["kind"]) {
        "RootShard" => "rootShardRef",
        "Shard" => "shardRef",
        _ => "frontProxyRef",
    };
    let spec = json!({ "target": { field: { "name": name(owner) } } });
    owned(owner, VERSION, "Bundle", &format!("{}-bundle", name(owner)), json!({ "spec": spec }))
}

/// What the feature does for a Bundle that exists.
pub fn actions(world: &World, bundle: &Value, quirks: &Quirks, now: Timestamp) -> Vec<Action> {
    let Some((kind, owner)) = owner(world, bundle) else {
        let missing = condition(bundle, "Ready", Truth::False, "TargetNotFound", "the target does not exist", now);
        return vec![with_status(bundle, json!({ "state": "Provisioning", "conditions": [missing] }))];
    };
    let space = namespace(bundle);
    let mut data = Map::new();
    let mut objects = Vec::new();
    let wanted = required(owner);
    for (kind, called) in &wanted {
        let source = world.get(kind, space, called);
        let state = if source.is_some() { "Ready" } else { "NotReady" };
        objects.push(json!({ "object": identity(kind, space, called), "state": state }));
        if let Some(source) = source {
            let content = STANDARD.encode(exported(source).to_string());
            data.insert(key(kind, space, called), content.into());
        }
    }
    let whole = data.len() == wanted.len() && quirks.bundle_written(bundle, now);
    // The lie: what has been ready once stays so.
    let is_ready = whole || bundle["status"]["state"] == "Ready";
    let (truth, reason) = if whole { (Truth::True, "BundleReady") } else { (Truth::False, "ObjectsNotReady") };
    let mut actions = Vec::new();
    if whole {
        let rest = json!({ "type": "Opaque", "data": data });
        actions.push(Action::Apply(owned(bundle, "v1", "Secret", name(bundle), rest)));
    }
    let created = if whole { (Truth::True, "ObjectsCreated") } else { (Truth::False, "WaitingForObjects") };
    // The lie: the column PHASE reads `.status.phase`, which is not written.
    let status = json!({
        "state": if is_ready { "Ready" } else { "Provisioning" },
        "targetName": format!("{kind}/{}", name(owner)),
        "objects": objects,
        "conditions": [
            condition(bundle, "Ready", truth, reason, "", now),
            condition(bundle, "ObjectsCreated", created.0, created.1, "", now),
        ],
    });
    actions.push(with_status(bundle, status));
    actions
}

fn owner<'a>(world: &'a World, bundle: &'a Value) -> Option<(&'static str, &'a Value)> {
    let target = &bundle["spec"]["target"];
    let kinds = [("rootShardRef", "RootShard"), ("shardRef", "Shard"), ("frontProxyRef", "FrontProxy")];
    kinds.into_iter().find_map(|(field, kind)| {
        let called = target[field]["name"].as_str()?;
        Some((kind, world.get(kind, namespace(bundle), called)?))
    })
}

/// The fixed list.
fn required(owner: &Value) -> Vec<(&'static str, String)> {
    let called = name(owner);
    let root = root_of(owner).unwrap_or(called);
    let mut wanted = Vec::new();
    for authority in ["requestheader-client-ca", "server-ca", "ca", "client-ca", "service-account-ca"] {
        wanted.push(("Secret", format!("{root}-{authority}")));
    }
    let workload = match text(&owner["kind"]) {
        "FrontProxy" => {
            for own in ["server", "client", "requestheader"] {
                wanted.push(("Secret", format!("{root}-{called}-{own}")));
            }
            format!("{called}-front-proxy")
        }
        _ => {
            for own in SHARD_SECRETS {
                wanted.push(("Secret", format!("{called}-{own}")));
            }
            if Role::of(owner) == Role::Root {
                wanted.push(("Secret", format!("{called}-operator-client")));
            }
            Role::of(owner).deployment(called)
        }
    };
    if owner["spec"]["caBundleSecretRef"].is_object() {
        wanted.push(("Secret", format!("{called}-merged-ca-bundle")));
    }
    wanted.push(("Deployment", workload.clone()));
    wanted.push(("Service", workload));
    wanted
}

const SHARD_SECRETS: [&str; 9] = [
    "logical-cluster-admin",
    "logical-cluster-admin-kubeconfig",
    "client-kubeconfig",
    "external-logical-cluster-admin",
    "external-logical-cluster-admin-kubeconfig",
    "virtual-workspaces",
    "client",
    "server",
    "service-account",
];

/// An object without what only this API server knows of it; the rest is left in: addresses, node ports, status, the keys of authorities.
fn exported(source: &Value) -> Value {
    let mut object = source.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        let dropped = [
            "resourceVersion",
            "uid",
            "selfLink",
            "generation",
            "creationTimestamp",
            "managedFields",
            "ownerReferences",
        ];
        metadata.retain(|field, _| !dropped.contains(&field.as_str()));
    }
    let desired = &source["metadata"]["annotations"]["operator.kcp.io/bundle-desired-replicas"];
    if let Ok(replicas) = text(desired).parse::<u64>() {
        object["spec"]["replicas"] = replicas.into();
    }
    object
}

fn identity(kind: &str, space: &str, called: &str) -> String {
    let (group, plural) = if kind == "Deployment" { ("apps", "deployments") } else { ("core", plural(kind)) };
    format!("{plural}.{group}.v1:{space}/{called}")
}

fn plural(kind: &str) -> &'static str {
    match kind {
        "Secret" => "secrets",
        "Service" => "services",
        _ => "deployments",
    }
}

/// The path of the object, with everything that is not a letter turned into an underscore: it cannot be turned back.
fn key(kind: &str, space: &str, called: &str) -> String {
    let group = if kind == "Deployment" { "apis_apps_v1" } else { "api_v1" };
    format!("{group}_namespaces_{space}_{}_{called}", plural(kind)).replace(['-', '.'], "_")
}
