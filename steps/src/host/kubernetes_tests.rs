//! Against the scripted API server.

use std::time::Duration;

use serde_json::json;
use steps_sdk::value::ClusterName;

use super::*;
use crate::cluster::scripted::{ApiServer, Fault, object};
use crate::testing::Rig;

fn target(kind: &str, name: &str) -> ObjectTarget {
    ObjectTarget { api_version: "v1".into(), kind: kind.into(), namespace: Some("default".into()), name: name.into() }
}

fn selection(kind: &str) -> ObjectSelection {
    ObjectSelection {
        api_version: "v1".into(),
        kind: kind.into(),
        namespace: Some("default".into()),
        label_selector: None,
        bytes_max: 1 << 20,
    }
}

fn map(name: &str, rest: Value) -> Value {
    object("v1", "ConfigMap", &format!("default/{name}"), rest)
}

/// Calls the host as the engine does, on behalf of the step whose owner key is `engine/test/step`.
async fn called<T>(
    rig: &Rig,
    call: impl AsyncFnOnce(&StepContext, &ClusterHandle) -> Result<T, KubernetesError>,
) -> Result<T, KubernetesError> {
    rig.answering(async |cx| {
        let on = cx.clusters.get(&ClusterName("hub".into())).expect("the rig has it");
        call(cx, on).await
    })
    .await
}

fn world() -> (ApiServer, Rig) {
    let server = ApiServer::new("hub");
    let rig = Rig::new().with_clusters(ApiServer::clusters(&[&server]));
    (server, rig)
}

#[tokio::test]
async fn an_object_is_read_as_it_is_and_absence_is_told() {
    let (server, rig) = world();
    server.there(map("a", json!({ "data": { "k": "v" } })));
    let found = called(&rig, async |cx, on| ApiServers.get(cx, on, target("ConfigMap", "a")).await).await.unwrap();
    assert_eq!(found["data"]["k"], "v");
    assert!(found.pointer("/metadata/uid").is_some() && found.pointer("/metadata/managedFields").is_none());
    let absent = called(&rig, async |cx, on| ApiServers.get(cx, on, target("ConfigMap", "b")).await).await;
    assert_eq!(absent, Err(KubernetesError::NotFound));
    let odd = called(&rig, async |cx, on| ApiServers.get(cx, on, target("ConfigMap", "../secrets/a")).await).await;
    assert!(matches!(odd, Err(KubernetesError::Invalid(_))), "{odd:?}");
    let unknown = called(&rig, async |cx, on| ApiServers.get(cx, on, target("Widget", "a")).await).await.unwrap_err();
    assert!(matches!(&unknown, KubernetesError::Unavailable(text) if text.contains("does not serve")), "{unknown:?}");
    let unplaced = ObjectTarget { namespace: None, ..target("ConfigMap", "a") };
    let unplaced = called(&rig, async |cx, on| ApiServers.get(cx, on, unplaced).await).await;
    assert!(matches!(&unplaced, Err(KubernetesError::Invalid(text)) if text.contains("namespace")), "{unplaced:?}");
}

#[tokio::test]
async fn the_values_of_secrets_stay_here() {
    let (server, rig) = world();
    let secret = json!({ "data": { "password": "aHVudGVyMg==" }, "type": "Opaque" });
    server.there(object("v1", "Secret", "default/s", secret.clone()));
    let rig = rig.with_evaluator(|_, object| object.get("data").is_some());
    let read = called(&rig, async |cx, on| ApiServers.get(cx, on, target("Secret", "s")).await).await.unwrap();
    let listed = called(&rig, async |cx, on| ApiServers.list(cx, on, selection("Secret")).await).await.unwrap();
    let again = object("v1", "Secret", "default/s", secret);
    let applied =
        called(&rig, async |cx, on| ApiServers.apply(cx, on, again, true, WriteMode::Real).await).await.unwrap();
    let gone =
        called(&rig, async |cx, on| ApiServers.delete(cx, on, target("Secret", "s"), None, WriteMode::DryRun).await)
            .await
            .unwrap();
    for seen in [&read, &listed[0], &applied, &gone] {
        assert_eq!(seen["metadata"]["name"], "s");
        assert!(!seen.to_string().contains("aHVudGVyMg"), "{seen}");
    }
    // A condition would tell a value letter by letter.
    let told = called(&rig, async |cx, on| {
        ApiServers.wait(cx, on, target("Secret", "s"), Predicate("data".into()), Duration::from_millis(50)).await
    })
    .await;
    assert!(matches!(told, Err(KubernetesError::Unavailable(_))), "{told:?}");
}

#[tokio::test]
async fn a_list_is_whole_or_an_error() {
    let (server, rig) = world();
    for number in 0..3 {
        server.there(map(&format!("m{number}"), json!({ "data": { "k": "v" } })));
    }
    let all = called(&rig, async |cx, on| ApiServers.list(cx, on, selection("ConfigMap")).await).await.unwrap();
    let names: Vec<&str> = all.iter().filter_map(|object| object["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["m0", "m1", "m2"]);
    assert!(all.iter().all(|object| object["kind"] == "ConfigMap" && object["apiVersion"] == "v1"), "{all:?}");
    let short = ObjectSelection { bytes_max: 100, ..selection("ConfigMap") };
    let error = called(&rig, async |cx, on| ApiServers.list(cx, on, short).await).await.unwrap_err();
    assert!(matches!(&error, KubernetesError::Invalid(text) if text.contains("more than 100 bytes")), "{error:?}");
    let everywhere = ObjectSelection { namespace: None, ..selection("ConfigMap") };
    assert_eq!(called(&rig, async |cx, on| ApiServers.list(cx, on, everywhere).await).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_list_goes_on_page_by_page_and_begins_anew_when_the_server_forgot() {
    let (server, rig) = world();
    for number in 0..5 {
        server.there(map(&format!("m{number}"), json!({})));
    }
    server.pages(2);
    let all = called(&rig, async |cx, on| ApiServers.list(cx, on, selection("ConfigMap")).await).await.unwrap();
    assert_eq!(all.len(), 5);
    let lists = || server.requests().iter().filter(|request| request.ends_with("/configmaps")).count();
    assert_eq!(lists(), 3);
    // Discovery, the first page, and then the server has forgotten.
    server.fail(3, Fault::Refused(410));
    let all = called(&rig, async |cx, on| ApiServers.list(cx, on, selection("ConfigMap")).await).await.unwrap();
    assert_eq!((all.len(), lists()), (5, 8));
}

#[tokio::test]
async fn an_object_is_applied_in_the_name_of_the_step() {
    let (server, rig) = world();
    let wanted = || map("a", json!({ "data": { "k": "v" } }));
    let dry =
        called(&rig, async |cx, on| ApiServers.apply(cx, on, wanted(), false, WriteMode::DryRun).await).await.unwrap();
    assert_eq!((dry["data"]["k"].as_str(), server.get("ConfigMap", "a")), (Some("v"), None));
    called(&rig, async |cx, on| ApiServers.apply(cx, on, wanted(), false, WriteMode::Real).await).await.unwrap();
    let there = server.get("ConfigMap", "a").unwrap();
    assert_eq!(there["metadata"]["managedFields"][0]["manager"], "engine/test/step");

    server.apply_as("hpa", map("a", json!({ "data": { "k": "theirs" } })));
    let conflict = called(&rig, async |cx, on| ApiServers.apply(cx, on, wanted(), false, WriteMode::Real).await).await;
    let Err(KubernetesError::Conflict(text)) = conflict else { panic!("{conflict:?}") };
    assert!(text.contains("data.k") && text.contains("hpa"), "{text}");
    called(&rig, async |cx, on| ApiServers.apply(cx, on, wanted(), true, WriteMode::Real).await).await.unwrap();
    assert_eq!(server.get("ConfigMap", "a").unwrap()["data"]["k"], "v");
}

#[tokio::test]
async fn an_object_that_is_none_is_refused_before_anything_is_asked() {
    let (server, rig) = world();
    for odd in [
        json!({}),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "generateName": "a-" } }),
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a/b" } }),
    ] {
        let asked = odd.clone();
        let error = called(&rig, async |cx, on| ApiServers.apply(cx, on, asked, false, WriteMode::Real).await).await;
        assert!(matches!(error, Err(KubernetesError::Invalid(_))), "{odd}: {error:?}");
    }
    assert!(server.requests().is_empty());
    // A list is one object here: what is in it was compared with no grant.
    let list =
        json!({ "apiVersion": "v1", "kind": "List", "metadata": { "name": "a" }, "items": [map("a", json!({}))] });
    let error = called(&rig, async |cx, on| ApiServers.apply(cx, on, list, false, WriteMode::Real).await).await;
    assert!(error.is_err() && server.get("ConfigMap", "a").is_none(), "{error:?}");
    let unknown_field = map("a", json!({ "unknownField": 1 }));
    let error =
        called(&rig, async |cx, on| ApiServers.apply(cx, on, unknown_field, false, WriteMode::Real).await).await;
    assert!(matches!(&error, Err(KubernetesError::Invalid(text)) if text.contains("unknownField")), "{error:?}");
}

#[tokio::test]
async fn only_the_object_that_is_meant_is_deleted() {
    let (server, rig) = world();
    server.there(map("a", json!({ "data": { "k": "v" } })));
    let delete = async |uid: Option<&str>, mode| {
        let uid = uid.map(str::to_owned);
        called(&rig, async |cx, on| ApiServers.delete(cx, on, target("ConfigMap", "a"), uid, mode).await).await
    };
    let other = delete(Some("another"), WriteMode::Real).await;
    assert!(matches!(&other, Err(KubernetesError::Conflict(text)) if text.contains("another")), "{other:?}");
    let dry = delete(None, WriteMode::DryRun).await.unwrap();
    assert!(server.get("ConfigMap", "a").is_some());
    let uid = dry["metadata"]["uid"].as_str().unwrap().to_owned();
    let was = delete(Some(&uid), WriteMode::Real).await.unwrap();
    assert_eq!((was["data"]["k"].as_str(), server.get("ConfigMap", "a")), (Some("v"), None));
    assert_eq!(delete(Some(&uid), WriteMode::Real).await, Err(KubernetesError::NotFound));
}

#[tokio::test]
async fn a_wait_survives_watches_that_break_and_ends_with_its_last_reason() {
    let (server, rig) = world();
    let rig = rig.with_evaluator(|_, object| object["data"]["ready"] == "yes");
    server.there(map("a", json!({ "data": { "ready": "no" } })));
    let wait = async |limit: Duration| {
        let until = Predicate("object.data.ready == 'yes'".into());
        called(&rig, async |cx, on| ApiServers.wait(cx, on, target("ConfigMap", "a"), until, limit).await).await
    };
    let expired = wait(Duration::from_millis(100)).await;
    let Err(KubernetesError::Unavailable(text)) = expired else { panic!("{expired:?}") };
    assert!(text.contains("object.data.ready == 'yes'") && text.contains("does not hold yet"), "{text}");
    let changes = async {
        crate::testing::eventually("the wait says why", || !rig.waits().is_empty()).await;
        server.cut_watches();
        server.is_down(true);
        server.is_down(false);
        server.controller("ConfigMap", "a", |object| object["data"]["ready"] = "yes".into());
    };
    let (reached, ()) = tokio::join!(wait(Duration::from_secs(20)), changes);
    assert_eq!(reached.unwrap()["data"]["ready"], "yes");
}

#[tokio::test(start_paused = true)]
async fn every_call_ends_with_the_deadline_and_when_the_step_is_stopped() {
    let (server, rig) = world();
    server.fail(1, Fault::Silent);
    let rig = rig.with_limit(Duration::from_secs(2));
    let late = called(&rig, async |cx, on| ApiServers.get(cx, on, target("ConfigMap", "a")).await).await;
    assert!(matches!(&late, Err(KubernetesError::Unavailable(text)) if text.contains("did not answer")), "{late:?}");
    rig.cancel.cancel();
    let stopped = called(&rig, async |cx, on| ApiServers.list(cx, on, selection("ConfigMap")).await).await;
    assert!(matches!(&stopped, Err(KubernetesError::Unavailable(text)) if text.contains("stopped")), "{stopped:?}");
}

#[tokio::test]
async fn what_is_forbidden_and_what_is_just_not_there_are_told_apart() {
    for (status, expected) in
        [(403, "Forbidden"), (401, "Forbidden"), (422, "Invalid"), (503, "Unavailable"), (409, "Conflict")]
    {
        let (server, rig) = world();
        server.fail(2, Fault::Refused(status));
        let error =
            called(&rig, async |cx, on| ApiServers.apply(cx, on, map("a", json!({})), false, WriteMode::Real).await)
                .await
                .unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{status}: {error:?}");
    }
}
