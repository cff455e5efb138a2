//! What an Etcd is made of, by the names that druid gives: kcp notes, section 3.2.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::control::{World, meta, name, namespace, text};

pub const VERSION: &str = "druid.gardener.cloud/v1alpha1";
/// Which generation of the Etcd a StatefulSet was made of. The real druid has no need of it: it does everything in one go.
const GENERATION: &str = "sandbox/etcd-generation";
/// A Lease is renewed this often.
const RENEWAL_SECONDS: i64 = 10;
const SSL: &str = "/var/etcd/ssl";

/// Everything but the Leases of the members.
pub fn of(etcd: &Value) -> Vec<Value> {
    let (called, rbac) = (name(etcd), "rbac.authorization.k8s.io/v1");
    let subject = json!([{ "kind": "ServiceAccount", "name": called, "namespace": namespace(etcd) }]);
    let reference = json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": called });
    let rules = json!([
        { "apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "list", "patch", "update", "watch"] },
        { "apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["get", "list", "patch", "update", "watch"] },
        { "apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"] },
    ]);
    let quorum = replicas(etcd) / 2 + 1;
    let budget = json!({
        "minAvailable": if replicas(etcd) > 1 { quorum } else { 0 },
        "selector": { "matchLabels": selector(etcd) },
    });
    let lease = |of: &str| owned(etcd, "coordination.k8s.io/v1", "Lease", &format!("{called}-{of}"), json!({}));
    vec![
        owned(etcd, "v1", "ServiceAccount", called, json!({ "automountServiceAccountToken": false })),
        owned(etcd, rbac, "Role", called, json!({ "rules": rules })),
        owned(etcd, rbac, "RoleBinding", called, json!({ "roleRef": reference, "subjects": subject })),
        owned(etcd, "policy/v1", "PodDisruptionBudget", called, json!({ "spec": budget })),
        config(etcd),
        client_service(etcd),
        peer_service(etcd),
        lease("full-snap"),
        lease("delta-snap"),
        stateful_set(etcd),
    ]
}

/// Whether everything is there, and made of this generation.
pub fn are_carried_out(world: &World, etcd: &Value, generation: u64) -> bool {
    let there = |object: &Value| world.get(text(&object["kind"]), namespace(object), name(object)).is_some();
    let set = world.get("StatefulSet", namespace(etcd), name(etcd));
    let made_of = set.map(|set| text(&meta(set, "annotations")[GENERATION]));
    of(etcd).iter().all(there) && made_of == Some(&generation.to_string())
}

/// What there is of an Etcd that goes.
pub fn found<'a>(world: &'a World, etcd: &'a Value) -> impl Iterator<Item = (&'static str, &'a Value)> {
    let kinds = super::KINDS.iter().map(|kind| kind.kind).filter(|kind| !matches!(*kind, "Etcd" | "Pod"));
    kinds.flat_map(move |kind| {
        world.list(kind).filter(move |object| is_owned(object, etcd)).map(move |object| (kind, object))
    })
}

fn is_owned(object: &Value, etcd: &Value) -> bool {
    let owners = meta(object, "ownerReferences").as_array();
    owners.into_iter().flatten().any(|owner| owner["kind"] == "Etcd" && owner["uid"] == *meta(etcd, "uid"))
}

/// The Leases of the members that are alive, renewed; those of the others are left to grow old.
pub fn leases(world: &World, etcd: &Value, now: Timestamp) -> Vec<Value> {
    let second = now.as_second() - now.as_second() % RENEWAL_SECONDS;
    let renewed = Timestamp::from_second(second).map(|time| format!("{time:.6}")).unwrap_or_default();
    let mut made = Vec::new();
    let mut leader = None;
    for index in 0..replicas(etcd) {
        let member = format!("{}-{index}", name(etcd));
        if !world.get("Pod", namespace(etcd), &member).is_some_and(is_ready) {
            continue;
        }
        let role = if *leader.get_or_insert(index) == index { "Leader" } else { "Member" };
        let holder = format!("{}:{role}", member_id(etcd, &member));
        let spec = json!({ "holderIdentity": holder, "leaseDurationSeconds": 60, "renewTime": renewed });
        made.push(owned(etcd, "coordination.k8s.io/v1", "Lease", &member, json!({ "spec": spec })));
    }
    made
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    !meta(pod, "deletionTimestamp").is_string() && conditions.into_iter().flatten().any(ready)
}

fn member_id(etcd: &Value, member: &str) -> String {
    let digest = Sha256::digest(format!("{}/{member}", text(meta(etcd, "uid"))));
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

pub fn replicas(etcd: &Value) -> u64 {
    etcd["spec"]["replicas"].as_u64().unwrap_or(1)
}

/// What the Pods are found by, unless the Etcd says otherwise.
pub fn selector(etcd: &Value) -> Value {
    let own = &etcd["spec"]["selector"]["matchLabels"];
    let stock = json!({ "app.kubernetes.io/managed-by": "etcd-druid", "app.kubernetes.io/part-of": name(etcd) });
    if own.is_object() { own.clone() } else { stock }
}

fn port(etcd: &Value, field: &str, stock: u64) -> u64 {
    etcd["spec"]["etcd"][field].as_u64().unwrap_or(stock)
}

fn ports(etcd: &Value) -> Value {
    let backup = etcd["spec"]["backup"]["port"].as_u64().unwrap_or(8080);
    let port_of =
        |called: &str, port: u64| json!({ "name": called, "port": port, "targetPort": port, "protocol": "TCP" });
    json!([
        port_of("client", port(etcd, "clientPort", 2379)),
        port_of("server", port(etcd, "serverPort", 2380)),
        port_of("backuprestore", backup),
    ])
}

fn client_service(etcd: &Value) -> Value {
    let spec =
        json!({ "type": "ClusterIP", "sessionAffinity": "None", "selector": selector(etcd), "ports": ports(etcd) });
    owned(etcd, "v1", "Service", &format!("{}-client", name(etcd)), json!({ "spec": spec }))
}

/// Members find one another before they are ready, so their addresses are published before that.
fn peer_service(etcd: &Value) -> Value {
    let spec = json!({
        "clusterIP": "None",
        "publishNotReadyAddresses": true,
        "selector": selector(etcd),
        "ports": ports(etcd).as_array().map(|ports| ports[1..2].to_vec()),
    });
    owned(etcd, "v1", "Service", &format!("{}-peer", name(etcd)), json!({ "spec": spec }))
}

fn peer_host(etcd: &Value, member: &str) -> String {
    format!("{member}.{}-peer.{}.svc", name(etcd), namespace(etcd))
}

fn scheme(etcd: &Value, tls: &str) -> &'static str {
    if etcd["spec"]["etcd"][tls].is_object() { "https" } else { "http" }
}

/// `S-config`, for whoever reads it; the container here goes by flags, which say the same.
fn config(etcd: &Value) -> Value {
    let flags: Map<String, Value> = flags(etcd).into_iter().map(|(flag, value)| (flag, value.into())).collect();
    let data = json!({ "data": { "etcd.conf.yaml": Value::Object(flags).to_string() } });
    owned(etcd, "v1", "ConfigMap", &format!("{}-config", name(etcd)), data)
}

fn flags(etcd: &Value) -> Vec<(String, String)> {
    let (client, peer) = (scheme(etcd, "clientUrlTls"), scheme(etcd, "peerUrlTls"));
    let (client_port, peer_port) = (port(etcd, "clientPort", 2379), port(etcd, "serverPort", 2380));
    let own = peer_host(etcd, "$(POD_NAME)");
    let members = (0..replicas(etcd)).map(|index| format!("{}-{index}", name(etcd)));
    let cluster: Vec<_> =
        members.map(|member| format!("{member}={peer}://{}:{peer_port}", peer_host(etcd, &member))).collect();
    let shared = &etcd["spec"]["sharedConfig"];
    let mut flags = vec![
        ("name", "$(POD_NAME)".to_owned()),
        ("data-dir", "/var/etcd/data/new.etcd".to_owned()),
        ("listen-client-urls", format!("{client}://$(POD_IP):{client_port}")),
        ("advertise-client-urls", format!("{client}://{own}:{client_port}")),
        ("listen-peer-urls", format!("{peer}://$(POD_IP):{peer_port}")),
        ("initial-advertise-peer-urls", format!("{peer}://{own}:{peer_port}")),
        ("initial-cluster", cluster.join(",")),
        ("initial-cluster-token", "etcd-cluster".to_owned()),
        ("initial-cluster-state", "new".to_owned()),
        ("auto-compaction-mode", shared["autoCompactionMode"].as_str().unwrap_or("periodic").to_owned()),
        ("auto-compaction-retention", shared["autoCompactionRetention"].as_str().unwrap_or("30m").to_owned()),
    ];
    if client == "https" {
        flags.push(("cert-file", format!("{SSL}/server/tls.crt")));
        flags.push(("key-file", format!("{SSL}/server/tls.key")));
        flags.push(("trusted-ca-file", format!("{SSL}/ca/{}", ca_key(etcd, "clientUrlTls"))));
        flags.push(("client-cert-auth", "true".to_owned()));
    }
    if peer == "https" {
        flags.push(("peer-cert-file", format!("{SSL}/peer/server/tls.crt")));
        flags.push(("peer-key-file", format!("{SSL}/peer/server/tls.key")));
        flags.push(("peer-trusted-ca-file", format!("{SSL}/peer/ca/{}", ca_key(etcd, "peerUrlTls"))));
        flags.push(("peer-client-cert-auth", "true".to_owned()));
    }
    flags.into_iter().map(|(flag, value)| (flag.to_owned(), value)).collect()
}

fn ca_key<'a>(etcd: &'a Value, tls: &str) -> &'a str {
    etcd["spec"]["etcd"][tls]["tlsCASecretRef"]["dataKey"].as_str().unwrap_or("ca.crt")
}

fn stateful_set(etcd: &Value) -> Value {
    let (called, spec) = (name(etcd), &etcd["spec"]);
    let mut labels = selector(etcd);
    for (label, value) in spec["labels"].as_object().into_iter().flatten() {
        labels[label] = value.clone();
    }
    let capacity = spec["storageCapacity"].as_str().unwrap_or("16Gi");
    let volume = spec["volumeClaimTemplate"].as_str().unwrap_or(called);
    let mut claim = json!({ "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": capacity } } });
    if let Some(class) = spec["storageClass"].as_str().filter(|class| !class.is_empty()) {
        claim["storageClassName"] = class.into();
    }
    let annotations = spec["annotations"].as_object().cloned().unwrap_or_default();
    let set = json!({
        "replicas": replicas(etcd),
        "serviceName": format!("{called}-peer"),
        "podManagementPolicy": "Parallel",
        "updateStrategy": { "type": "RollingUpdate" },
        "selector": { "matchLabels": selector(etcd) },
        "template": { "metadata": { "labels": labels, "annotations": annotations }, "spec": pod(etcd, volume) },
        "volumeClaimTemplates": [{ "metadata": { "name": volume }, "spec": claim }],
    });
    let mut made = owned(etcd, "apps/v1", "StatefulSet", called, json!({ "spec": set }));
    made["metadata"]["annotations"] = json!({ GENERATION: meta(etcd, "generation").to_string() });
    made
}

fn pod(etcd: &Value, volume: &str) -> Value {
    let spec = &etcd["spec"]["etcd"];
    let mut volumes =
        vec![json!({ "name": "etcd-config-file", "configMap": { "name": format!("{}-config", name(etcd)) } })];
    let mut mounts = vec![
        json!({ "name": volume, "mountPath": "/var/etcd/data" }),
        json!({ "name": "etcd-config-file", "mountPath": "/var/etcd/config" }),
    ];
    let secrets = [
        ("clientUrlTls", "tlsCASecretRef", "etcd-ca", "ca"),
        ("clientUrlTls", "serverTLSSecretRef", "etcd-server-tls", "server"),
        ("clientUrlTls", "clientTLSSecretRef", "etcd-client-tls", "client"),
        ("peerUrlTls", "tlsCASecretRef", "etcd-peer-ca", "peer/ca"),
        ("peerUrlTls", "serverTLSSecretRef", "etcd-peer-server-tls", "peer/server"),
    ];
    for (tls, reference, called, path) in secrets {
        if let Some(secret) = spec[tls][reference]["name"].as_str() {
            volumes.push(json!({ "name": called, "secret": { "secretName": secret } }));
            mounts.push(json!({ "name": called, "mountPath": format!("{SSL}/{path}"), "readOnly": true }));
        }
    }
    let field =
        |variable: &str, path: &str| json!({ "name": variable, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let port = port(etcd, "clientPort", 2379);
    let container = json!({
        "name": "etcd",
        "image": spec["image"].as_str().unwrap_or("etcd-wrapper:v0.5.2"),
        "command": ["/etcd"],
        "args": flags(etcd).iter().map(|(flag, value)| format!("--{flag}={value}")).collect::<Vec<_>>(),
        "env": [field("POD_NAME", "metadata.name"), field("POD_IP", "status.podIP")],
        "ports": [{ "name": "client", "containerPort": port }],
        "readinessProbe": { "tcpSocket": { "port": port }, "periodSeconds": 5 },
        "resources": if spec["resources"].is_object() { spec["resources"].clone() } else { json!({}) },
        "volumeMounts": mounts,
    });
    json!({
        "serviceAccountName": name(etcd),
        "automountServiceAccountToken": false,
        "hostAliases": [{ "ip": "127.0.0.1", "hostnames": [format!("{}-local", name(etcd))] }],
        "containers": [container],
        "volumes": volumes,
    })
}

fn owned(etcd: &Value, version: &str, kind: &str, called: &str, rest: Value) -> Value {
    let mut object = json!({
        "apiVersion": version,
        "kind": kind,
        "metadata": {
            "name": called,
            "namespace": namespace(etcd),
            "labels": selector(etcd),
            "ownerReferences": [{
                "apiVersion": VERSION,
                "kind": "Etcd",
                "name": name(etcd),
                "uid": meta(etcd, "uid"),
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
