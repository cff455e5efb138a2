//! The kinds of kcp-operator as the lab defines them by itself: names, scope and a status, with any content.
//!
//! The operator publishes its definitions in no Go module, so they cannot be brought by a build. Who has them puts them into
//! `LAB_PROGRAMS/crds/kcp-operator`; then an API server checks every field, and the test of that is not left out.

use serde_json::{Value, json};

/// Says that a definition checks nothing, to tests that look whether fields are checked.
pub const OPEN: &str = "lab.engine.test/open";

/// Group, and kind with its plural.
const KINDS: [(&str, &[(&str, &str)]); 2] = [
    (
        "operator.kcp.io",
        &[
            ("Bundle", "bundles"),
            ("CacheServer", "cacheservers"),
            ("FrontProxy", "frontproxies"),
            ("Kubeconfig", "kubeconfigs"),
            ("RootShard", "rootshards"),
            ("Shard", "shards"),
            ("VirtualWorkspace", "virtualworkspaces"),
        ],
    ),
    (
        "deploy.operator.kcp.io",
        &[
            ("CompiledCacheServer", "compiledcacheservers"),
            ("CompiledFrontProxy", "compiledfrontproxies"),
            ("CompiledRootShard", "compiledrootshards"),
            ("CompiledShard", "compiledshards"),
            ("CompiledVirtualWorkspace", "compiledvirtualworkspaces"),
        ],
    ),
];

pub(super) fn kcp_operator() -> Vec<(String, Value)> {
    let of_group = |(group, kinds): &(&str, &[(&str, &str)])| {
        kinds.iter().map(|(kind, plural)| definition(group, kind, plural)).collect::<Vec<_>>()
    };
    KINDS.iter().flat_map(of_group).collect()
}

fn definition(group: &str, kind: &str, plural: &str) -> (String, Value) {
    let name = format!("{plural}.{group}");
    let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let object = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": name, "annotations": { OPEN: "true" } },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List") },
            "versions": [{
                "name": "v1alpha1",
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "schema": { "openAPIV3Schema": { "type": "object", "properties": { "spec": any, "status": any } } },
            }],
        },
    });
    (name, object)
}
