//! What the operator makes of a world, round by round: the world that it made is what it decides by next. cert-manager and Kubernetes'
//! own controllers are played by [`Rehearsal`], which does at once what they do in time.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::quirks::Quirks;
use super::{Settings, decide};
use crate::control::{Action, World, name, namespace, text};

struct Rehearsal {
    world: World,
    settings: Settings,
    now: Timestamp,
    version: u64,
}

impl Rehearsal {
    fn of(objects: Vec<Value>, quirks: Quirks) -> Rehearsal {
        let settings = Settings { config: true, workload: true, bundles: true, quirks };
        let mut rehearsal =
            Rehearsal { world: World::default(), settings, now: "2026-01-01T00:00:00Z".parse().unwrap(), version: 0 };
        objects.into_iter().for_each(|object| rehearsal.store(object));
        rehearsal
    }

    fn store(&mut self, mut object: Value) {
        self.version += 1;
        let before =
            self.world.get(text(&object["kind"]), namespace(&object), name(&object)).cloned().unwrap_or_default();
        for (field, stock) in
            [("uid", json!("u")), ("creationTimestamp", json!(self.now.to_string())), ("generation", json!(1))]
        {
            let kept = &before["metadata"][field];
            object["metadata"][field] = if kept.is_null() { stock } else { kept.clone() };
        }
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if object["status"].is_null() {
            object["status"] = before["status"].clone();
        }
        self.world.put(object);
    }

    /// One look at the world, and everything that follows from it. True if anything changed.
    fn round(&mut self) -> bool {
        let mut changed = false;
        for action in decide(&self.world, &self.settings, self.now) {
            let (Action::Apply(wanted) | Action::Status(wanted) | Action::Merge(wanted)) = action else { continue };
            let before = self.world.get(text(&wanted["kind"]), namespace(&wanted), name(&wanted)).cloned();
            let mut after = before.clone().unwrap_or(wanted.clone());
            for (field, value) in wanted.as_object().unwrap().iter().filter(|(field, _)| *field != "metadata") {
                match (field.as_str(), value) {
                    ("status", Value::Object(status)) => {
                        status.iter().for_each(|(f, v)| after["status"][f] = v.clone())
                    }
                    _ => after[field] = value.clone(),
                }
            }
            if before.as_ref() != Some(&after) {
                changed = true;
                self.store(after);
            }
        }
        changed
    }

    /// Until nothing changes any more, with cert-manager at work.
    fn settle(&mut self) {
        for _ in 0..20 {
            let certificates: Vec<_> = self.world.list("Certificate").cloned().collect();
            for mut certificate in certificates.into_iter().filter(|c| c["status"]["conditions"].is_null()) {
                let secret = text(&certificate["spec"]["secretName"]).to_owned();
                let data = json!({ "tls.crt": "UEVN", "tls.key": "S0VZ", "ca.crt": "UEVN" });
                self.store(json!({ "apiVersion": "v1", "kind": "Secret", "data": data,
                    "metadata": { "name": secret, "namespace": "n" } }));
                certificate["status"]["conditions"] = json!([{ "type": "Ready", "status": "True" }]);
                self.store(certificate);
            }
            if !self.round() {
                return;
            }
        }
        panic!("the operator does not come to rest");
    }

    /// All Pods of a Deployment are up.
    fn up(&mut self, called: &str) {
        let mut deployment = self.get("Deployment", called).clone();
        let replicas = deployment["spec"]["replicas"].clone();
        deployment["status"] = json!({ "updatedReplicas": replicas, "readyReplicas": replicas });
        self.store(deployment);
        self.settle();
    }

    fn get(&self, kind: &str, called: &str) -> &Value {
        self.world.get(kind, "n", called).unwrap_or_else(|| panic!("there is no {kind} {called}"))
    }

    fn names(&self, kind: &str) -> BTreeSet<&str> {
        self.world.list(kind).map(name).collect()
    }

    fn phase(&self, kind: &str, called: &str) -> &str {
        text(&self.get(kind, called)["status"]["phase"])
    }
}

fn object(kind: &str, called: &str, spec: Value) -> Value {
    json!({ "apiVersion": super::names::VERSION, "kind": kind, "metadata": { "name": called, "namespace": "n" }, "spec": spec })
}

fn secret(called: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": called, "namespace": "n" }, "data": { "tls.crt": "UEVN" } })
}

fn root() -> Value {
    object(
        "RootShard",
        "root",
        json!({
            "external": { "hostname": "api.example.com", "port": 6443 },
            "certificates": { "issuerRef": { "name": "kcp-ca", "kind": "Issuer" } },
            "shardBaseURL": "https://root.example.com:6443",
            "etcd": { "endpoints": ["https://root-client:2379"], "tlsConfig": { "secretRef": { "name": "etcd-ca-tls" } } },
            "serviceTemplate": { "spec": { "type": "LoadBalancer" } },
        }),
    )
}

fn shard(called: &str, more: Value) -> Value {
    let mut spec = json!({
        "rootShard": { "ref": { "name": "root" } },
        "shardBaseURL": format!("https://{called}.example.com:6443"),
        "etcd": { "endpoints": ["https://etcd:2379"], "tlsConfig": { "secretRef": { "name": "etcd-ca-tls" } } },
    });
    more.as_object().unwrap().iter().for_each(|(field, value)| spec[field] = value.clone());
    object("Shard", called, spec)
}

fn prompt() -> Quirks {
    Quirks::hurried(0.0)
}

#[test]
fn a_root_shard_gets_all_that_the_real_one_gets() {
    let mut rehearsal = Rehearsal::of(vec![root(), secret("etcd-ca-tls")], prompt());
    rehearsal.settle();
    let authorities =
        ["root-ca", "root-client-ca", "root-requestheader-client-ca", "root-server-ca", "root-service-account-ca"];
    assert_eq!(rehearsal.names("Issuer"), BTreeSet::from(authorities));
    let leaves = [
        "root-client",
        "root-external-logical-cluster-admin",
        "root-kcp-operator",
        "root-logical-cluster-admin",
        "root-proxy-kubeconfig",
        "root-proxy-requestheader",
        "root-proxy-server",
        "root-server",
        "root-service-account",
        "root-virtual-workspaces",
    ];
    assert_eq!(rehearsal.names("Certificate"), authorities.into_iter().chain(leaves).collect());
    assert_eq!(rehearsal.names("Deployment"), BTreeSet::from(["root-kcp", "root-proxy"]));
    assert_eq!(rehearsal.names("Service"), BTreeSet::from(["root-kcp", "root-proxy"]));
    assert_eq!(rehearsal.names("ConfigMap"), BTreeSet::from(["root-proxy-config"]));
    assert_eq!(rehearsal.get("Deployment", "root-kcp")["spec"]["replicas"], 2);
    assert_eq!(rehearsal.phase("RootShard", "root"), "Provisioning");
    rehearsal.up("root-kcp");
    assert_eq!(rehearsal.phase("RootShard", "root"), "Running");
}

#[test]
fn a_shard_mounts_what_it_needs_and_its_bundle_lacks_two_of_these() {
    let mut wanted = shard("alpha", json!({ "replicas": 2 }));
    wanted["metadata"]["annotations"] = json!({ "operator.kcp.io/bundle": "true" });
    let mut rehearsal = Rehearsal::of(vec![root(), wanted, secret("etcd-ca-tls")], prompt());
    rehearsal.settle();
    let deployment = rehearsal.get("Deployment", "alpha-shard-kcp");
    assert_eq!(deployment["spec"]["replicas"], 0);
    let volumes = deployment["spec"]["template"]["spec"]["volumes"].as_array().unwrap();
    let mounted: BTreeSet<_> = volumes.iter().map(|volume| text(&volume["secret"]["secretName"])).collect();
    assert_eq!(mounted.len(), 15, "{mounted:?}");
    let bundle = rehearsal.get("Bundle", "alpha-bundle");
    let listed = bundle["status"]["objects"].as_array().unwrap();
    let bundled: BTreeSet<_> =
        listed.iter().filter_map(|item| text(&item["object"]).strip_prefix("secrets.core.v1:n/")).collect();
    assert_eq!(listed.len(), 16);
    let lacking: Vec<_> = mounted.difference(&bundled).copied().collect();
    assert_eq!(lacking, ["alpha-mounts-proxy", "etcd-ca-tls"]);
    let keys = rehearsal.get("Secret", "alpha-bundle")["data"].as_object().unwrap();
    assert!(keys.contains_key("apis_apps_v1_namespaces_n_deployments_alpha_shard_kcp"), "{:?}", keys.keys());
    assert_eq!(bundle["status"]["state"], "Ready");
    assert!(bundle["status"]["phase"].is_null(), "the column PHASE is blank");
}

#[test]
fn nothing_of_nothing_is_said_to_run() {
    let wanted = shard("alpha", json!({ "replicas": 0 }));
    let mut rehearsal = Rehearsal::of(vec![root(), wanted, secret("etcd-ca-tls")], prompt());
    rehearsal.settle();
    assert_eq!(rehearsal.get("Deployment", "alpha-shard-kcp")["spec"]["replicas"], 0);
    assert_eq!(rehearsal.phase("Shard", "alpha"), "Running");
    let compiled = rehearsal.get("CompiledShard", "alpha");
    assert_eq!(compiled["spec"]["rootShard"]["name"], "root");
}

#[test]
fn a_missing_mount_is_passed_over_in_silence() {
    let mut rehearsal = Rehearsal::of(vec![root()], prompt());
    rehearsal.settle();
    assert_eq!(rehearsal.names("Deployment"), BTreeSet::from(["root-proxy"]));
    assert_eq!(rehearsal.phase("RootShard", "root"), "Provisioning");
    rehearsal.store(secret("etcd-ca-tls"));
    rehearsal.settle();
    assert!(rehearsal.names("Deployment").contains("root-kcp"));
}

#[test]
fn a_shard_without_its_root_gets_one_condition_and_nothing_else() {
    let mut rehearsal = Rehearsal::of(vec![shard("alpha", json!({}))], prompt());
    rehearsal.settle();
    let conditions = &rehearsal.get("Shard", "alpha")["status"]["conditions"];
    assert_eq!(conditions[0]["reason"], "RootShardNotFound");
    assert!(rehearsal.names("Certificate").is_empty());
}

#[test]
fn a_scaling_by_hand_sticks_unless_replicas_are_declared() {
    for (declared, after) in [(json!({}), 0), (json!({ "replicas": 3 }), 3)] {
        let mut wanted = root();
        declared.as_object().unwrap().iter().for_each(|(field, value)| wanted["spec"][field] = value.clone());
        let mut rehearsal = Rehearsal::of(vec![wanted, secret("etcd-ca-tls")], prompt());
        rehearsal.settle();
        let mut scaled = rehearsal.get("Deployment", "root-kcp").clone();
        scaled["spec"]["replicas"] = 0.into();
        rehearsal.store(scaled);
        rehearsal.settle();
        assert_eq!(rehearsal.get("Deployment", "root-kcp")["spec"]["replicas"], after, "{declared}");
    }
}

#[test]
fn a_load_balancer_keeps_the_root_shard_provisioning_for_two_minutes() {
    let mut rehearsal = Rehearsal::of(vec![root(), secret("etcd-ca-tls")], Quirks::as_seen());
    rehearsal.settle();
    rehearsal.up("root-kcp");
    rehearsal.now += SignedDuration::from_secs(119);
    rehearsal.settle();
    let available = &rehearsal.get("RootShard", "root")["status"]["conditions"][0];
    assert_eq!(available["message"], "CompiledRootShard root has not been rendered yet");
    rehearsal.now += SignedDuration::from_secs(1);
    rehearsal.settle();
    assert_eq!(rehearsal.phase("RootShard", "root"), "Running");
}

#[test]
fn a_kubeconfig_is_ready_half_a_minute_before_its_secret_exists() {
    let front = object(
        "FrontProxy",
        "frontproxy",
        json!({ "rootShard": { "ref": { "name": "root" } }, "external": { "hostname": "api.example.com", "port": 443 } }),
    );
    let spec = json!({ "username": "kcp-admin", "groups": ["system:kcp:admin"], "validity": "8766h",
        "secretRef": { "name": "admin" }, "target": { "frontProxyRef": { "name": "frontproxy" } } });
    let admin = object("Kubeconfig", "kcp-admin", spec);
    let mut rehearsal = Rehearsal::of(vec![root(), front, admin, secret("etcd-ca-tls")], Quirks::as_seen());
    rehearsal.settle();
    assert_eq!(rehearsal.phase("Kubeconfig", "kcp-admin"), "Ready");
    assert!(rehearsal.world.get("Secret", "n", "admin").is_none());
    rehearsal.now += SignedDuration::from_secs(30);
    rehearsal.settle();
    use base64::Engine as _;
    let file = rehearsal.world.secret("n", "admin", "kubeconfig").unwrap();
    let file = String::from_utf8(base64::engine::general_purpose::STANDARD.decode(file).unwrap()).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    assert_eq!(file["current-context"], "default");
    assert_eq!(file["clusters"][0]["cluster"]["server"], "https://api.example.com:443/clusters/root");
    let subject = &rehearsal.get("Certificate", "kubeconfig-cert-kcp-admin")["spec"]["subject"];
    assert_eq!(subject["organizations"], json!(["system:kcp:admin", "kubeconfig:kcp-admin"]));
    assert_eq!(rehearsal.get("Service", "frontproxy-front-proxy")["spec"]["ports"][0]["port"], 443);
}

#[test]
fn one_more_shard_rolls_the_others_where_service_accounts_are_trusted() {
    let auth = json!({ "auth": { "serviceAccount": { "enabled": true } } });
    let objects = vec![root(), shard("alpha", auth.clone()), secret("etcd-ca-tls")];
    let mut rehearsal = Rehearsal::of(objects, prompt());
    rehearsal.settle();
    let before = rehearsal.get("Deployment", "alpha-shard-kcp")["spec"]["template"].clone();
    rehearsal.store(shard("beta", auth));
    rehearsal.settle();
    let after = &rehearsal.get("Deployment", "alpha-shard-kcp")["spec"]["template"];
    assert_ne!(&before, after);
    assert!(after.to_string().contains("/etc/kcp/tls/beta/service-account"));
}
