//! Acts for kcp-operator v0.9.0 over any API server, where the real one cannot be had: names, order, statuses and untruths are its own
//! as far as they are known; nothing of its code is here.
//!
//! - [`decide`]: what is to be done about the world, a pure function that rehearsals use as it is
//! - `config` and `workload`: the two controller groups; `kubeconfig` and `bundle`: the controllers of those kinds
//! - [`quirks`]: the lies, in one table, with where they were seen
//!
//! The program is `kcp-operator`; `sandbox/README.md` says how to start it. Not acted for: CacheServer, VirtualWorkspace, audit and
//! authorization webhooks, the roles that `Kubeconfig.spec.authorization` writes into kcp, and the finalizer by which a Shard that goes
//! takes its object in the root workspace along.

mod access;
mod bundle;
mod certificates;
mod config;
mod kubeconfig;
mod names;
mod pod;
pub mod quirks;
mod status;
#[cfg(test)]
mod tests;
mod workload;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::control::{Action, Kind, World, meta, name, namespace, text};
use names::{Role, root_of, wants_bundle};
use quirks::Quirks;

/// Everything that the operator watches or writes. Like the real one it ends at once when one of these is not served.
pub const KINDS: &[Kind] = &[
    Kind { version: names::VERSION, kind: "RootShard", plural: "rootshards" },
    Kind { version: names::VERSION, kind: "Shard", plural: "shards" },
    Kind { version: names::VERSION, kind: "FrontProxy", plural: "frontproxies" },
    Kind { version: names::VERSION, kind: "Kubeconfig", plural: "kubeconfigs" },
    Kind { version: names::VERSION, kind: "Bundle", plural: "bundles" },
    Kind { version: names::DEPLOY_VERSION, kind: "CompiledRootShard", plural: "compiledrootshards" },
    Kind { version: names::DEPLOY_VERSION, kind: "CompiledShard", plural: "compiledshards" },
    Kind { version: names::DEPLOY_VERSION, kind: "CompiledFrontProxy", plural: "compiledfrontproxies" },
    Kind { version: "cert-manager.io/v1", kind: "Certificate", plural: "certificates" },
    Kind { version: "cert-manager.io/v1", kind: "Issuer", plural: "issuers" },
    Kind { version: "apps/v1", kind: "Deployment", plural: "deployments" },
    Kind { version: "v1", kind: "Secret", plural: "secrets" },
    Kind { version: "v1", kind: "ConfigMap", plural: "configmaps" },
    Kind { version: "v1", kind: "Service", plural: "services" },
];

/// How the operator was started.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The controller groups that are enabled.
    pub config: bool,
    pub workload: bool,
    /// The feature gate ConfigurationBundle.
    pub bundles: bool,
    pub quirks: Quirks,
}

/// What is to be done about the world as it is now.
pub fn decide(world: &World, settings: &Settings, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    if settings.config {
        for kind in ["RootShard", "Shard", "FrontProxy"] {
            world.list(kind).for_each(|source| actions.extend(configured(world, source, now)));
        }
        for object in world.list("Kubeconfig").filter(|object| !is_leaving(object)) {
            actions.extend(kubeconfig::actions(world, object, &settings.quirks, now));
        }
    }
    if settings.bundles {
        for bundle in world.list("Bundle").filter(|bundle| !is_leaving(bundle)) {
            actions.extend(bundle::actions(world, bundle, &settings.quirks, now));
        }
    }
    if settings.workload {
        for kind in ["CompiledRootShard", "CompiledShard", "CompiledFrontProxy"] {
            for compiled in world.list(kind).filter(|compiled| !is_leaving(compiled)) {
                actions.extend(running(world, compiled, &settings.quirks, now));
            }
        }
    }
    actions
}

fn configured(world: &World, source: &Value, now: Timestamp) -> Vec<Action> {
    if is_leaving(source) {
        return vec![Action::Status(json!({
            "apiVersion": source["apiVersion"], "kind": source["kind"],
            "metadata": { "name": name(source), "namespace": namespace(source) },
            "status": { "phase": "Deleting" },
        }))];
    }
    let root = root_of(source).map(|root| world.get("RootShard", namespace(source), root));
    let made = match (text(&source["kind"]), root) {
        ("RootShard", _) => config::root_shard(world, source),
        (_, None | Some(None)) => return vec![status::without_root(source, now)],
        ("Shard", Some(Some(root))) => config::shard(world, source, root),
        (_, Some(Some(root))) => config::front_proxy(world, source, root),
    };
    let mut actions: Vec<_> = made.into_iter().map(Action::Apply).collect();
    let bundle = world.get("Bundle", namespace(source), &format!("{}-bundle", name(source)));
    if wants_bundle(source) {
        actions.push(Action::Apply(bundle::object(source)));
    }
    actions.push(status::of_source(world, source, bundle.filter(|_| wants_bundle(source)), now));
    actions
}

fn running(world: &World, compiled: &Value, quirks: &Quirks, now: Timestamp) -> Vec<Action> {
    let (made, deployment) = match text(&compiled["kind"]) {
        "CompiledFrontProxy" => (workload::front_proxy(world, compiled), format!("{}-front-proxy", name(compiled))),
        _ => (workload::shard(world, compiled), Role::of(compiled).deployment(name(compiled))),
    };
    let mut actions: Vec<_> = made.into_iter().map(Action::Apply).collect();
    if compiled["kind"] != "CompiledRootShard" || quirks.root_rendered(compiled, now) {
        actions.push(status::of_compiled(world, compiled, &deployment, now));
    }
    actions
}

fn is_leaving(object: &Value) -> bool {
    meta(object, "deletionTimestamp").is_string()
}
