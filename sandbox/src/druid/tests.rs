//! What druid says and does, as tables.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Settings, decide};
use crate::control::{Action, World, name, text};

fn etcd() -> Value {
    let tls = |names: [&str; 3]| {
        json!({ "tlsCASecretRef": { "name": names[0] }, "serverTLSSecretRef": { "name": names[1] },
            "clientTLSSecretRef": { "name": names[2] } })
    };
    json!({
        "apiVersion": "druid.gardener.cloud/v1alpha1", "kind": "Etcd",
        "metadata": { "name": "root", "namespace": "n", "uid": "u", "generation": 2,
            "finalizers": ["druid.gardener.cloud/etcd-druid"] },
        "spec": { "replicas": 3, "labels": { "app": "etcd" }, "etcd": {
            "clientUrlTls": tls(["etcd-ca-tls", "etcd-server-tls", "etcd-client-tls"]),
            "peerUrlTls": tls(["etcd-peer-ca-tls", "etcd-peer-tls", "etcd-peer-tls"]) } },
    })
}

fn now() -> Timestamp {
    "2026-01-01T00:10:00Z".parse().unwrap()
}

/// A Lease that was renewed this many seconds ago.
fn lease(index: usize, age: i64) -> Value {
    let renewed = now() - SignedDuration::from_secs(age);
    json!({ "kind": "Lease", "metadata": { "name": format!("root-{index}"), "namespace": "n" },
        "spec": { "holderIdentity": format!("id{index}:Member"), "renewTime": renewed.to_string() } })
}

fn told(world: &World) -> Value {
    let actions = decide(world, &Settings::stock(), now());
    let status = actions.into_iter().find_map(|action| match action {
        Action::Status(object) => Some(object["status"].clone()),
        _ => None,
    });
    status.unwrap()
}

fn reason<'a>(status: &'a Value, of: &str) -> &'a str {
    let conditions = status["conditions"].as_array().unwrap();
    text(&conditions.iter().find(|condition| condition["type"] == of).unwrap()["reason"])
}

#[test]
fn ready_asks_for_a_quorum_of_the_members_seen_and_all_ready_for_all() {
    let cases: [(&[i64], &str, &str); 6] = [
        (&[], "NoMembersInStatus", "NoMembersInStatus"),
        (&[1], "Quorate", "NotAllMembersReady"),
        (&[1, 1, 1], "Quorate", "AllMembersReady"),
        (&[1, 61, 299], "Quorate", "NotAllMembersReady"),
        (&[1, 1, 301], "Quorate", "NotAllMembersReady"),
        (&[1, 301, 301], "QuorumLost", "NotAllMembersReady"),
    ];
    for (ages, ready, all) in cases {
        let leases = ages.iter().enumerate().map(|(index, age)| lease(index, *age));
        let status = told(&World::of(leases.chain([etcd()])));
        assert_eq!((reason(&status, "Ready"), reason(&status, "AllMembersReady")), (ready, all), "{ages:?}");
        assert!(!status["conditions"].to_string().contains("BackupReady"), "there is no store");
    }
}

fn applied(world: &World, settings: &Settings) -> Vec<String> {
    let applied = |action| match action {
        Action::Apply(object) => Some(format!("{} {}", text(&object["kind"]), name(&object))),
        _ => None,
    };
    decide(world, settings, now()).into_iter().filter_map(applied).collect()
}

#[test]
fn a_new_etcd_gets_its_objects_by_the_real_names() {
    let made = applied(&World::of([etcd()]), &Settings::stock());
    let wanted = [
        "ServiceAccount root",
        "Role root",
        "RoleBinding root",
        "PodDisruptionBudget root",
        "ConfigMap root-config",
        "Service root-client",
        "Service root-peer",
        "Lease root-full-snap",
        "Lease root-delta-snap",
        "StatefulSet root",
    ];
    assert_eq!(made, wanted);
}

#[test]
fn a_changed_spec_waits_for_the_annotation() {
    let stock = Settings::stock();
    let mut changed = etcd();
    changed["status"]["observedGeneration"] = 1.into();
    let waiting = World::of([changed.clone()]);
    assert!(applied(&waiting, &stock).is_empty());
    assert!(told(&waiting)["observedGeneration"].is_null(), "what was observed stays");
    assert!(!applied(&waiting, &Settings { reconciles_by_itself: true, ..stock }).is_empty());
    changed["metadata"]["annotations"]["druid.gardener.cloud/operation"] = "reconcile".into();
    let asked = World::of([changed.clone()]);
    let objects = super::objects::of(&changed);
    assert_eq!(applied(&asked, &stock).len(), objects.len());
    assert_eq!(told(&asked)["lastOperation"]["state"], "Processing");
    let done = World::of(objects.into_iter().chain([changed]));
    assert_eq!(told(&done)["lastOperation"]["state"], "Succeeded");
    assert_eq!(told(&done)["observedGeneration"], 2);
    let used_up = decide(&done, &stock, now()).into_iter().any(|action| {
        matches!(action, Action::Merge(patch) if patch["metadata"]["annotations"]["druid.gardener.cloud/operation"].is_null())
    });
    assert!(used_up, "the annotation is removed once it has been followed");
}

#[test]
fn a_ready_pod_renews_its_lease_and_a_dead_one_does_not() {
    let pod = |index: usize, ready: &str| {
        json!({ "kind": "Pod", "metadata": { "name": format!("root-{index}"), "namespace": "n" },
            "status": { "conditions": [{ "type": "Ready", "status": ready }] } })
    };
    let mut settled = etcd();
    settled["status"]["observedGeneration"] = 2.into();
    let world = World::of([settled, pod(0, "False"), pod(1, "True"), pod(2, "True")]);
    assert_eq!(applied(&world, &Settings::stock()), ["Lease root-1", "Lease root-2"]);
}

#[test]
fn an_etcd_leaves_after_all_that_it_owns() {
    let mut leaving = etcd();
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    let objects = super::objects::of(&leaving);
    let actions = decide(&World::of(objects.clone().into_iter().chain([leaving.clone()])), &Settings::stock(), now());
    assert_eq!(actions.len(), objects.len());
    assert!(actions.iter().all(|action| matches!(action, Action::Delete { .. })));
    let last = decide(&World::of([leaving]), &Settings::stock(), now());
    assert!(matches!(&last[..], [Action::Merge(patch)] if patch["metadata"]["finalizers"] == json!([])));
}
