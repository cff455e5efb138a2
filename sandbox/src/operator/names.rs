//! Names, owners and labels of what the operator makes: kcp notes, sections 2.3 and 2.4.

use serde_json::{Map, Value, json};

use crate::control::{name, namespace, text};

pub const GROUP: &str = "operator.kcp.io";
pub const VERSION: &str = "operator.kcp.io/v1alpha1";
pub const DEPLOY_VERSION: &str = "deploy.operator.kcp.io/v1alpha1";

/// A shard is named by its role: the root shard's objects carry other names than those of the rest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Root,
    Shard,
}

impl Role {
    pub fn of(object: &Value) -> Role {
        if text(&object["kind"]).ends_with("RootShard") { Role::Root } else { Role::Shard }
    }

    /// The Deployment and the Service of a shard.
    pub fn deployment(self, shard: &str) -> String {
        match self {
            Role::Root => format!("{shard}-kcp"),
            Role::Shard => format!("{shard}-shard-kcp"),
        }
    }
}

/// The authorities below the root's own, by the middle of their names.
pub const AUTHORITIES: [&str; 4] = ["server", "requestheader-client", "client", "service-account"];

/// An object that belongs to `owner`: it bears its label and goes when it goes.
pub fn owned(owner: &Value, version: &str, kind: &str, called: &str, rest: Value) -> Value {
    let mut object = json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "name": called,
            "namespace": namespace(owner),
            "labels": labels(owner),
            "ownerReferences": [{
                "apiVersion": owner["apiVersion"],
                "kind": owner["kind"],
                "name": name(owner),
                "uid": owner["metadata"]["uid"],
                "controller": true,
                "blockOwnerDeletion": true,
            }],
        },
    });
    if let (Value::Object(into), Value::Object(rest)) = (&mut object, rest) {
        into.extend(rest);
    }
    object
}

/// Which objects are whose. What belongs to a shard or proxy is labelled with its root shard, too.
pub fn labels(owner: &Value) -> Value {
    let kind = text(&owner["kind"]).trim_start_matches("Compiled");
    let mut labels = Map::new();
    let label = match kind {
        "RootShard" => "rootshard",
        "Shard" => "shard",
        "FrontProxy" => "front-proxy",
        "Kubeconfig" => "kubeconfig",
        _ => return json!({}),
    };
    if let Some(root) = root_of(owner) {
        labels.insert(format!("{GROUP}/rootshard"), root.into());
    }
    labels.insert(format!("{GROUP}/{label}"), name(owner).into());
    Value::Object(labels)
}

/// The root shard that a Shard or FrontProxy refers to, compiled or not.
pub fn root_of(object: &Value) -> Option<&str> {
    object["spec"]["rootShard"]["ref"]["name"].as_str().or_else(|| object["spec"]["rootShard"]["name"].as_str())
}

/// Any value that is not empty asks for a bundle.
pub fn wants_bundle(object: &Value) -> bool {
    !text(&object["metadata"]["annotations"]["operator.kcp.io/bundle"]).is_empty()
}

/// The address of the root shard, or of a shard: as declared, or that of its Service.
pub fn base_url(object: &Value, spec: &Value) -> String {
    base_url_of(Role::of(object), name(object), namespace(object), spec)
}

pub fn base_url_of(role: Role, shard: &str, namespace: &str, spec: &Value) -> String {
    match spec["shardBaseURL"].as_str() {
        Some(url) => url.to_owned(),
        None => format!("https://{}:6443", in_cluster(&role.deployment(shard), namespace, spec)),
    }
}

/// The name of a Service within its cluster.
pub fn in_cluster(service: &str, namespace: &str, spec: &Value) -> String {
    let domain = spec["clusterDomain"].as_str().unwrap_or("cluster.local");
    format!("{service}.{namespace}.svc.{domain}")
}

/// The host of an address, without its port; empty if there is none.
pub fn host(address: &str) -> String {
    url::Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// Where the outside world finds kcp: the front-proxy.
pub fn external_url(root_spec: &Value) -> String {
    format!("https://{}:{}", text(&root_spec["external"]["hostname"]), root_spec["external"]["port"])
}

/// Where shards find the front-proxy: by its private name and port, if there are such.
pub fn private_url(root_spec: &Value) -> String {
    let external = &root_spec["external"];
    let host = external["privateHostname"].as_str().unwrap_or_else(|| text(&external["hostname"]));
    let port = external["privatePort"].as_u64().or_else(|| external["port"].as_u64()).unwrap_or(6443);
    format!("https://{host}:{port}")
}
