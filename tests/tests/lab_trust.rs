//! `workflows/region-trust.kdl` over three real control planes and a real DNS server.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

#[allow(dead_code, reason = "its other functions serve the other tests of the lab")]
mod objects;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine_tests::lab::Lab;
use engine_tests::lab::shared::shared;
use engine_tests::program;
use engine_tests::rollout::{Rollout, moments, steps_of};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret, Service};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use objects::{client, create, eventually};
use serde_json::{Value, json};

/// The regions' names in the zone are the same for every installation, so one rollout at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lab() -> Option<&'static Lab> {
    shared(Path::new(env!("CARGO_BIN_EXE_lab")))
}

fn text(output: &std::process::Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Everything that the workflow makes on one cluster, by name with its resourceVersion.
async fn versions(client: &Client, namespace: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut note = |name: &str, version: Option<String>| drop(found.insert(name.to_owned(), version.unwrap()));
    note("namespace", Api::<Namespace>::all(client.clone()).get(namespace).await.unwrap().metadata.resource_version);
    note(
        "bundle",
        Api::<ConfigMap>::namespaced(client.clone(), namespace)
            .get("trust-ca")
            .await
            .unwrap()
            .metadata
            .resource_version,
    );
    note(
        "leaf",
        Api::<Secret>::namespaced(client.clone(), namespace).get("trust-tls").await.unwrap().metadata.resource_version,
    );
    note(
        "deployment",
        Api::<Deployment>::namespaced(client.clone(), namespace).get("trust").await.unwrap().metadata.resource_version,
    );
    note(
        "service",
        Api::<Service>::namespaced(client.clone(), namespace).get("trust").await.unwrap().metadata.resource_version,
    );
    found
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::await_holding_lock, reason = "the lock keeps whole tests apart")]
async fn a_second_run_finds_everything_and_writes_nothing() {
    let Some(lab) = lab() else { return };
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let rollout = Rollout::new(lab, program(), place.path(), "twice");
    let first = rollout.run("first").unwrap();
    assert!(first.status.success(), "{}", text(&first));

    let mut before = Vec::new();
    for cluster in lab.clusters() {
        let client = client(lab, &cluster.name).await;
        // Controllers go on writing status for a moment after a Deployment is ready.
        eventually("the Deployment is quiet", async || {
            let deployment = Api::<Deployment>::namespaced(client.clone(), "twice").get("trust").await.unwrap();
            let status = deployment.status.unwrap_or_default();
            let is_quiet =
                status.ready_replicas == Some(1) && status.observed_generation == deployment.metadata.generation;
            is_quiet.then_some(()).ok_or_else(|| format!("{status:?}"))
        })
        .await;
        before.push(versions(&client, "twice").await);
    }
    let second = rollout.run("second").unwrap();
    assert!(second.status.success(), "{}", text(&second));
    let events = rollout.events("second");
    let changed: Vec<&str> = events
        .iter()
        .filter(|e| e["event"] == "step-succeeded" && e["same"] == false)
        .filter_map(|e| e["step"].as_str())
        .collect();
    assert_eq!(changed, Vec::<&str>::new(), "{}", text(&second));
    for (cluster, before) in lab.clusters().iter().zip(before) {
        assert_eq!(versions(&client(lab, &cluster.name).await, "twice").await, before, "{}", cluster.name);
    }
    // Invariant 6: no private key in anything that the engine keeps or shows.
    let kept = std::fs::read_to_string(place.path().join("state/runs/first/journal")).unwrap();
    assert!(!kept.contains("PRIVATE KEY") && !text(&first).contains("PRIVATE KEY"));
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::await_holding_lock, reason = "the lock keeps whole tests apart")]
async fn twenty_kills_repeat_nothing_that_was_acknowledged_and_lose_nothing() {
    let Some(lab) = lab() else { return };
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let mut kills = 0;
    let mut round = 0;
    while kills < 20 {
        assert!(round < 10, "only {kills} kills in ten rollouts");
        let rollout = Rollout::new(lab, program(), &place.path().join(round.to_string()), &format!("killed-{round}"));
        std::fs::create_dir(place.path().join(round.to_string())).unwrap();
        let killed = rollout.run_with_kills("r", moments(20 - kills, 40, 700, 0x9e37_79b9 + round)).unwrap();
        assert_eq!(killed.repeated, Vec::<String>::new(), "round {round}");
        assert!(killed.succeeded, "round {round}: {:?}", rollout.events("r").last());
        let mut done = steps_of(&rollout.events("r"), "step-succeeded");
        done.sort();
        let mut once = done.clone();
        once.dedup();
        assert_eq!(done, once, "one outcome for each step");
        kills += killed.kills;
        round += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::await_holding_lock, reason = "the lock keeps whole tests apart")]
async fn swapped_contexts_are_refused_before_anything_is_written() {
    let Some(lab) = lab() else { return };
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let rollout = Rollout::new(lab, program(), place.path(), "swapped");
    let output =
        rollout.with_inputs("run").args(["--context", "a=region-b", "--context", "b=region-a"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
    assert!(text(&output).contains("swapped"), "{}", text(&output));
    for cluster in lab.clusters() {
        let namespaces = Api::<Namespace>::all(client(lab, &cluster.name).await);
        assert!(namespaces.get_opt("swapped").await.unwrap().is_none(), "{} was written to", cluster.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::await_holding_lock, reason = "the lock keeps whole tests apart")]
async fn a_field_of_another_manager_is_reported_and_not_forced() {
    let Some(lab) = lab() else { return };
    let _alone = alone();
    let client = client(lab, "region-a").await;
    create(
        Api::<Namespace>::all(client.clone()),
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "owned" } }),
    )
    .await;
    let theirs: Value = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "trust-ca" }, "data": { "ca.crt": "theirs" } });
    let bundles = Api::<ConfigMap>::namespaced(client, "owned");
    bundles.patch("trust-ca", &PatchParams::apply("somebody-else"), &Patch::Apply(&theirs)).await.unwrap();

    let place = tempfile::tempdir().unwrap();
    let output = Rollout::new(lab, program(), place.path(), "owned").run("r").unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", text(&output));
    for word in ["somebody-else", "data.ca.crt", "take-ownership"] {
        assert!(text(&output).contains(word), "`{word}` is missing in {}", text(&output));
    }
    assert_eq!(bundles.get("trust-ca").await.unwrap().data.unwrap()["ca.crt"], "theirs");
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::await_holding_lock, reason = "the lock keeps whole tests apart")]
async fn an_api_server_that_is_away_for_half_a_minute_is_waited_for() {
    let Some(lab) = lab() else { return };
    let _alone = alone();
    let place = tempfile::tempdir().unwrap();
    let rollout = Rollout::new(lab, program(), place.path(), "away");
    let mut child = rollout.start("r").unwrap();
    eventually("the run has begun", async || {
        let started = steps_of(&rollout.events("r"), "step-started");
        if started.is_empty() { Err("no step has started".to_owned()) } else { Ok(()) }
    })
    .await;
    lab.stop_apiserver(1).unwrap();
    std::thread::sleep(Duration::from_secs(30));
    assert!(child.try_wait().unwrap().is_none(), "the run did not wait: {:?}", rollout.events("r").last());
    lab.start_apiserver(1).unwrap();
    assert!(child.wait().unwrap().success(), "{:?}", rollout.events("r").last());
}
