//! For tests: an API server that serves the kinds of cert-manager, etcd-druid and kcp-operator, with the namespace `kcp`.

use serde_json::{Value, json};

use crate::cluster::scripted::{ApiServer, object};
use crate::testing::{Rig, World};

const KINDS: [(&str, &str, &str, &str); 7] = [
    ("cert-manager.io", "v1", "Certificate", "certificates"),
    ("cert-manager.io", "v1", "Issuer", "issuers"),
    ("druid.gardener.cloud", "v1alpha1", "Etcd", "etcds"),
    ("operator.kcp.io", "v1alpha1", "RootShard", "rootshards"),
    ("operator.kcp.io", "v1alpha1", "Shard", "shards"),
    ("operator.kcp.io", "v1alpha1", "FrontProxy", "frontproxies"),
    ("operator.kcp.io", "v1alpha1", "Kubeconfig", "kubeconfigs"),
];

pub fn world(inputs: Value) -> World<ApiServer> {
    let server = ApiServer::new("hub");
    server.there(object("v1", "Namespace", "kcp", json!({})));
    for (group, version, kind, plural) in KINDS {
        let spec = json!({ "group": group, "scope": "Namespaced", "names": { "plural": plural, "kind": kind },
                           "versions": [{ "name": version }] });
        let name = format!("{plural}.{group}");
        server.there(object("apiextensions.k8s.io/v1", "CustomResourceDefinition", &name, json!({ "spec": spec })));
    }
    let rig = Rig::new().with_clusters(ApiServer::clusters(&[&server])).on("hub");
    World { rig, inputs, outside: server }
}

/// The reference that a step puts out for an object of the operator.
pub fn reference(kind: &str, name: &str) -> Value {
    json!({ "apiVersion": "operator.kcp.io/v1alpha1", "kind": kind, "namespace": "kcp", "name": name, "cluster": "hub" })
}

/// A Service that its cloud has given an address.
pub fn balanced(server: &ApiServer, name: &str, ip: &str) {
    let status = json!({ "loadBalancer": { "ingress": [{ "ip": ip }] } });
    let rest = json!({ "spec": { "type": "LoadBalancer" }, "status": status });
    server.there(object("v1", "Service", &format!("kcp/{name}"), rest));
}

/// A condition of kcp-operator about the first generation, which is that of every object here.
pub fn available(status: &str) -> Value {
    json!([{ "type": "Available", "status": status, "reason": "ReplicasUp", "observedGeneration": 1 }])
}
