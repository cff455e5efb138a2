//! `kcp.etcd` over an API server whose operators a test plays.

use super::*;
use crate::cluster::scripted::{ApiServer, object};
use crate::kcp::definitions::world;
use crate::testing::{
    World, eventually, runs_twice, survives_failures, survives_kills, survives_refusals, undone_twice,
};
use steps_sdk::Outcome;

const SECRETS: [&str; 5] = [
    "etcd-server-tls",
    "etcd-client-tls",
    "etcd-peer-tls",
    "etcd-backup-restore-server-tls",
    "etcd-backup-restore-client-tls",
];

fn given(server: &ApiServer, name: &str) {
    let data = json!({ "tls.crt": "MQ==", "tls.key": "MQ==", "ca.crt": "MQ==" });
    server.there(object("v1", "Secret", &format!("kcp/{name}"), json!({ "data": data })));
}

fn status(members: usize) -> Value {
    let all: Vec<Value> = (0..members).map(|n| json!({ "name": format!("root-{n}"), "status": "Ready" })).collect();
    let is = if members == 3 { "True" } else { "False" };
    json!({ "observedGeneration": 1, "ready": true, "readyReplicas": members, "members": all,
            "lastOperation": { "state": "Succeeded" },
            "conditions": [{ "type": "Ready", "status": "True" }, { "type": "AllMembersReady", "status": is }] })
}

/// Secrets that are given, and members that are up before the step asks.
fn up() -> World<ApiServer> {
    let world = world(json!({ "namespace": "kcp", "name": "root" }));
    for name in SECRETS {
        given(&world.outside, name);
    }
    let rest = json!({ "status": status(3) });
    world.outside.there(object("druid.gardener.cloud/v1alpha1", "Etcd", "kcp/root", rest));
    world
}

async fn is_up(world: &World<ApiServer>, outcome: &Outcome) {
    assert_eq!(outcome.outputs["endpoints"], json!(["https://root-client.kcp.svc.cluster.local:2379"]));
    assert_eq!(outcome.outputs["client_secret"], "etcd-client-tls");
    let object = world.outside.get("Etcd", "root").unwrap();
    assert_eq!(object["spec"]["etcd"]["clientUrlTls"]["tlsCASecretRef"]["name"], "etcd-server-tls");
    assert!(object["metadata"].get("annotations").is_none(), "nothing to tell etcd-druid: {object}");
}

#[tokio::test(start_paused = true)]
async fn the_generic_tests() {
    runs_twice(&Etcd, &up()).await;
    survives_kills(&Etcd, async || up(), is_up).await;
    survives_failures(&Etcd, async || up(), is_up).await;
    survives_refusals(&Etcd, async || up(), is_up).await;
    let told = undone_twice(&Etcd, &up()).await;
    assert_eq!(
        told.0,
        "nothing to delete; Etcd/kcp/root stays: it was there before this run; volumes and Secrets stay"
    );
}

#[tokio::test(start_paused = true)]
async fn certificates_are_issued_then_every_member_is_waited_for() {
    let mut world = world(json!({ "namespace": "kcp", "name": "root" }));
    world.inputs["issuer"] = json!({ "name": "etcd-ca", "kind": "ClusterIssuer" });
    let waits = async |reason: &str| {
        eventually(reason, || world.rig.waits().last().is_some_and(|last| last == reason)).await;
    };
    let ready = json!({ "notAfter": "2027-02-22T00:00:00Z", "conditions": [{ "type": "Ready", "status": "True" }] });
    let story = async {
        eventually("the Etcd is declared", || world.outside.get("Etcd", "root").is_some()).await;
        for issuer in ["etcd-peer-root", "etcd-peer-ca"] {
            world.outside.controller("Issuer", issuer, |object| object["status"] = ready.clone());
        }
        for of in ["peer-ca", "server", "client", "peer", "backup-restore-server", "backup-restore-client"] {
            let name = format!("etcd-{of}");
            world.outside.controller("Certificate", &name, |object| object["status"] = ready.clone());
        }
        waits("Secret/kcp/etcd-server-tls: not there yet on cluster hub").await;
        SECRETS.iter().for_each(|name| given(&world.outside, name));
        waits("Etcd/kcp/root: etcd-druid has not seen it yet").await;
        world.outside.controller("Etcd", "root", |object| object["status"] = status(1));
        waits("Etcd/kcp/root: 1 of 3 replicas are ready, 1 members have registered").await;
        world.outside.controller("Etcd", "root", |object| object["status"] = status(3));
    };
    let (outcome, ()) = tokio::join!(world.rig.run(&Etcd, &world.inputs), story);
    let outcome = outcome.unwrap();
    assert_eq!(outcome.summary, "9 objects: 9 created");
    assert_eq!(
        (outcome.outputs["certificates"].as_array().unwrap().len(), &outcome.outputs["certificates"][0]),
        (6, &json!({ "name": "etcd-peer-ca", "not_after": "2027-02-22T00:00:00Z" }))
    );
    assert_eq!(world.rig.verify(&Etcd, &world.inputs, Some(&outcome.outputs)).await.unwrap(), Verdict::Intact);
}

#[tokio::test(start_paused = true)]
async fn a_changed_spec_is_told_to_etcd_druid_once() {
    let world = up();
    world.outside.controller("Etcd", "root", |object| object["metadata"]["generation"] = json!(2));
    let story = async {
        let is_told =
            || world.outside.get("Etcd", "root").unwrap()["metadata"]["annotations"][OPERATION] == "reconcile";
        eventually("etcd-druid is told", is_told).await;
        world.outside.controller("Etcd", "root", |object| {
            object["metadata"].as_object_mut().unwrap().shift_remove("annotations");
            object["status"]["observedGeneration"] = json!(2);
        });
    };
    let (outcome, ()) = tokio::join!(world.rig.run(&Etcd, &world.inputs), story);
    outcome.unwrap();
    let again = world.rig.run(&Etcd, &world.inputs).await.unwrap();
    assert!(again.same, "{}", again.summary);
    assert!(world.outside.get("Etcd", "root").unwrap()["metadata"].get("annotations").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_etcd_that_is_there_needs_only_the_way_in() {
    let world = world(json!({ "namespace": "kcp", "name": "root", "external": ["https://etcd.example.io:2379"],
                              "secrets": "shared" }));
    let missing = "Secret/kcp/shared-client-tls: not there yet on cluster hub".to_owned();
    assert_eq!(world.rig.preview(&Etcd, &world.inputs).await.unwrap(), Preview::Later(missing.clone()));
    assert_eq!(world.rig.verify(&Etcd, &world.inputs, None).await.unwrap(), Verdict::Gone(missing));
    given(&world.outside, "shared-client-tls");
    let outcome = runs_twice(&Etcd, &world).await;
    assert_eq!(outcome.outputs["endpoints"], json!(["https://etcd.example.io:2379"]));
    assert_eq!(world.rig.verify(&Etcd, &world.inputs, None).await.unwrap(), Verdict::Intact);
    assert_eq!(undone_twice(&Etcd, &world).await.1, "nothing to take back: the etcd was there before");
}

#[tokio::test(start_paused = true)]
async fn an_even_number_of_members_and_half_of_each_are_refused() {
    for (field, value) in [("replicas", json!(2)), ("external", json!(["https://etcd.example.io:2379"]))] {
        let mut world = up();
        world.inputs["issuer"] = json!({ "name": "etcd-ca" });
        world.inputs[field] = value;
        let error = world.rig.run(&Etcd, &world.inputs).await.unwrap_err();
        assert!(error.code == "K230" && error.not_started && world.outside.requests().is_empty(), "{error:?}");
    }
}
