//! Kubeconfig objects: a client Certificate, and a Secret with a kubeconfig that embeds it: kcp notes, section 2.4. Its status is that
//! of section 2.2, the early `Ready` included.
//!
//! `authorization`, which makes the real operator write roles into kcp, is not carried out here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::access::{Trust, kubeconfig, secret};
use super::certificates::{Leaf, leaf};
use super::config::front_url;
use super::names::{Role, base_url_of, root_of};
use super::quirks::Quirks;
use super::status::{Truth, condition, with_status};
use crate::control::{Action, World, name, namespace, text};

/// What a Kubeconfig leads to.
struct Target<'a> {
    root: &'a Value,
    server: String,
    /// A shard's kubeconfig can also address the shard as other shards do.
    is_shard: bool,
    bundle: Option<&'a str>,
}

/// What is to be done for a Kubeconfig.
pub fn actions(world: &World, object: &Value, quirks: &Quirks, now: Timestamp) -> Vec<Action> {
    let Some(target) = target(world, object) else {
        let invalid =
            condition(object, "ReferenceValid", Truth::False, "ReferenceNotFound", "the target does not exist", now);
        return vec![with_status(object, json!({ "phase": "Failed", "conditions": [invalid] }))];
    };
    let mut actions = vec![Action::Apply(certificate(object, &target))];
    let mut conditions = vec![condition(object, "ReferenceValid", Truth::True, "ReferenceValid", "", now)];
    let made = if quirks.kubeconfig_secret(object, now) { file(world, object, &target) } else { None };
    if let Some(made) = made {
        actions.push(Action::Apply(made));
        conditions.push(condition(object, "Available", Truth::True, "SecretsReady", "", now));
    }
    // The lie: ready is what has a valid reference, whatever has become of the Secret.
    let status = json!({ "phase": "Ready", "targetName": target_name(object), "conditions": conditions });
    actions.push(with_status(object, status));
    actions
}

fn target_name(object: &Value) -> &str {
    let target = &object["spec"]["target"];
    let named = ["rootShardRef", "shardRef", "frontProxyRef"].iter().find_map(|field| target[field]["name"].as_str());
    named.unwrap_or_default()
}

fn target<'a>(world: &'a World, object: &'a Value) -> Option<Target<'a>> {
    let (space, wanted) = (namespace(object), &object["spec"]["target"]);
    let called = target_name(object);
    if wanted["frontProxyRef"].is_object() {
        let front = world.get("FrontProxy", space, called)?;
        let root = world.get("RootShard", space, root_of(front)?)?;
        let bundle = front["spec"]["caBundleSecretRef"]["name"].as_str();
        return Some(Target { root, server: front_url(front, root), is_shard: false, bundle });
    }
    let (shard, root, role) = if wanted["rootShardRef"].is_object() {
        let root = world.get("RootShard", space, called)?;
        (root, root, Role::Root)
    } else {
        let shard = world.get("Shard", space, called)?;
        (shard, world.get("RootShard", space, root_of(shard)?)?, Role::Shard)
    };
    let server = base_url_of(role, called, space, &shard["spec"]);
    let bundle = shard["spec"]["caBundleSecretRef"]["name"].as_str();
    Some(Target { root, server, is_shard: role == Role::Shard, bundle })
}

fn certificate(object: &Value, target: &Target<'_>) -> Value {
    let spec = &object["spec"];
    let own = format!("kubeconfig:{}", name(object));
    let mut groups: Vec<&str> = spec["groups"].as_array().into_iter().flatten().map(text).collect();
    groups.push(&own);
    let shape = Leaf {
        name: format!("kubeconfig-cert-{}", name(object)),
        common_name: text(&spec["username"]).to_owned(),
        organizations: &groups,
        dns_names: Vec::new(),
        authority: format!("{}-client-ca", name(target.root)),
        is_server: false,
        template: &spec["certificateTemplate"],
    };
    let mut made = leaf(object, shape);
    made["spec"]["duration"] = spec["validity"].clone();
    made
}

fn file(world: &World, object: &Value, target: &Target<'_>) -> Option<Value> {
    let (space, spec) = (namespace(object), &object["spec"]);
    let pair = format!("kubeconfig-cert-{}", name(object));
    let (certificate, key) = (world.secret(space, &pair, "tls.crt")?, world.secret(space, &pair, "tls.key")?);
    let authority = format!("{}-server-ca", name(target.root));
    let mut trusted = vec![authority.as_str()];
    trusted.extend(target.bundle);
    let authority = STANDARD.encode(super::access::merged(world, object, &trusted)?);
    let workspace = spec["targetWorkspace"].as_str().unwrap_or("root");
    let mut servers =
        vec![("default", format!("{}/clusters/{workspace}", target.server)), ("base", target.server.clone())];
    if target.is_shard {
        servers.push(("shard-base", target.server.clone()));
    }
    let text = kubeconfig(&servers, &Trust::Embedded { authority: &authority, certificate, key });
    Some(secret(object, spec["secretRef"]["name"].as_str()?, "kubeconfig", text.as_bytes()))
}
