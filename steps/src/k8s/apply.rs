//! `k8s.apply`: makes objects as the file describes them, by server-side apply in the step's own name.
//!
//! Objects come from `object` children and from manifests, whose expressions were evaluated before. Namespaces and definitions of
//! kinds go first. Fields that others own are reported and left to them, unless `take-ownership #true`. A second run writes nothing.
//!
//! Undo deletes the objects that this run made, last made first; what was there before stays with the fields it got. Namespaces and
//! definitions hold what others put there, which would go with them, so the default is to ask.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::value::{Manifests, Predicate};
use steps_sdk::{Outcome, Preview, StepError, UndoDefault, Value, Verdict};

use super::set::SetField;
use crate::cluster::Cluster;
use crate::cluster::apply::{Applied, Applier, How, made, summary};
use crate::cluster::goal::Goal;
use crate::cluster::readiness;
use crate::cluster::reference::ObjectRef;
use crate::cluster::shown::shown;
use crate::cluster::wait::Wait;
use crate::cluster::wanted::{Wanted, wanted};

/// Applies objects.
pub struct Apply;

/// For how long it waits when the file does not say `wait for=`.
const WAIT_DEFAULT: Duration = Duration::from_secs(5 * 60);

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// An object, written as Kubernetes writes it. May repeat.
    #[serde(default)]
    object: Vec<Value>,
    /// Objects from YAML files. May repeat.
    #[serde(default)]
    manifest: Vec<Manifest>,
    /// Take fields that belong to others away from them.
    #[serde(default)]
    take_ownership: bool,
    /// What has to be so before the step is done.
    #[serde(default)]
    wait: Option<WaitInput>,
}

/// YAML files and changes to them.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["documents"]))]
pub struct Manifest {
    /// A file, a directory or a glob, relative to the workflow's file.
    documents: Manifests,
    /// Changes a field: `set spec.replicas 3`. May repeat.
    #[serde(default)]
    set: Vec<SetField>,
}

/// What is waited for after everything is applied.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WaitInput {
    /// A condition of the first object that has to be True.
    #[serde(default)]
    condition: Option<String>,
    /// An expression over the first `object`.
    #[serde(default)]
    until: Option<Predicate>,
    /// Every Service of type LoadBalancer has an address.
    #[serde(default)]
    load_balancer: bool,
    /// Every object is ready, as its kind defines it.
    #[serde(default)]
    ready: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The first object.
    r#ref: ObjectRef,
    /// All objects, in the order in which they are written.
    refs: Vec<ObjectRef>,
    /// The first object as it is on the cluster, a Secret without its data.
    object: Value,
    /// IP or else host name of the first load balancer Service that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

#[async_trait]
impl Step for Apply {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Makes Kubernetes objects as they are written here.\n\n\
            Server-side apply in the name of this step: what it no longer says is removed, what belongs to others is \
            left to them and reported. `undo` deletes only what the run made.";
        About { undo: UndoDefault::Ask, on: OnCluster::Required, ..About::converging("k8s.apply", doc) }
    }

    async fn preview(&self, cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        let takes_ownership = inputs.take_ownership;
        let (wanted, _) = read(inputs)?;
        let cluster = Cluster::of_step(cx)?;
        Ok(Preview::Changes(Applier::new(&cluster, takes_ownership).preview(&wanted).await?))
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let takes_ownership = inputs.take_ownership;
        let (wanted, wait) = read(inputs)?;
        let cluster = Cluster::of_step(cx)?;
        let mut applied = Applier::new(&cluster, takes_ownership).apply(&wanted).await?;
        if let Some(wait) = wait {
            wait_for(&cluster, &mut applied, &wait).await?;
        }
        let summary = summary(&applied);
        let is_same = applied.iter().all(|one| one.how == How::Same);
        let outputs = outputs(applied.into_iter().map(|one| (one.reference, one.live)).collect());
        Ok(Done { outputs, summary, same: is_same })
    }

    async fn verify(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        let takes_ownership = inputs.take_ownership;
        let (wanted, _) = read(inputs)?;
        let cluster = Cluster::of_step(cx)?;
        let refs = recorded.as_ref().map(|outputs| outputs.refs.as_slice()).unwrap_or_default();
        let verdict = Applier::new(&cluster, takes_ownership).verify(&wanted, refs).await?;
        match (verdict, recorded) {
            (Verdict::Intact, None) => Ok(Verdict::Done(found(&cluster, &wanted).await?)),
            (verdict, _) => Ok(verdict),
        }
    }

    async fn undo(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<String, StepError> {
        let (wanted, _) = read(inputs)?;
        let cluster = Cluster::of_step(cx)?;
        let references: Vec<ObjectRef> = wanted.into_iter().map(|one| one.reference).collect();
        let refs = recorded.map(|outputs| outputs.refs).unwrap_or_default();
        Applier::new(&cluster, false).take_back(&references, &made(cx), &refs).await
    }
}

/// Everything that can be wrong with the inputs is found before a cluster is asked.
fn read(inputs: Inputs) -> Result<(Vec<Wanted>, Option<WaitInput>), StepError> {
    let mut objects = inputs.object;
    for Manifest { documents: Manifests(mut documents), set } in inputs.manifest {
        for field in &set {
            field.change(&mut documents)?;
        }
        objects.append(&mut documents);
    }
    let wanted = wanted(objects)?;
    let has_balancer = wanted.iter().any(|one| readiness::is_load_balancer(&one.reference, &one.object));
    if inputs.wait.as_ref().is_some_and(|wait| wait.load_balancer) && !has_balancer {
        let message = "none of the objects is a Service of type LoadBalancer, so there is no address to wait for";
        return Err(StepError::permanent("K220", message).help("leave `load-balancer=#true` out").not_started());
    }
    Ok((wanted, inputs.wait))
}

/// From here on the step has the clock of its `wait`.
async fn wait_for(cluster: &Cluster<'_>, applied: &mut [Applied], wait: &WaitInput) -> Result<(), StepError> {
    cluster.cx.clock.begin_wait(WAIT_DEFAULT).await;
    for (place, one) in applied.iter_mut().enumerate() {
        let mut goals = Vec::new();
        if place == 0 {
            goals.extend(wait.condition.clone().map(|kind| Goal::Condition { kind, is: "True".into() }));
            goals.extend(wait.until.clone().map(Goal::Until));
        }
        if wait.load_balancer && readiness::is_load_balancer(&one.reference, &one.live) {
            goals.push(Goal::Address);
        }
        if wait.ready {
            goals.push(Goal::Ready);
        }
        if !goals.is_empty() {
            one.live = Wait::new(cluster, &one.reference).until(&goals).await?.unwrap_or_default();
        }
    }
    Ok(())
}

fn outputs(all: Vec<(ObjectRef, Value)>) -> Outputs {
    let address = all
        .iter()
        .filter(|(reference, live)| readiness::is_load_balancer(reference, live))
        .find_map(|(_, live)| readiness::addresses(live).into_iter().next());
    let refs: Vec<ObjectRef> = all.iter().map(|(reference, _)| reference.clone()).collect();
    let (first, live) = all.into_iter().next().expect("a step without objects is refused before anything is applied");
    Outputs { r#ref: first, refs, object: shown(live), address }
}

/// The outcome of a run that was killed before it could say so.
async fn found(cluster: &Cluster<'_>, wanted: &[Wanted]) -> Result<Outcome, StepError> {
    let mut all = Vec::with_capacity(wanted.len());
    for Wanted { reference, .. } in wanted {
        let served = cluster.must_be_served(reference).await?;
        let live = cluster.live(reference, &served).await?.unwrap_or_default();
        let uid = live.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
        all.push((ObjectRef { cluster: Some(cluster.name.to_owned()), uid, ..reference.clone() }, live));
    }
    let outputs = serde_json::to_value(outputs(all)).map_err(|error| {
        StepError::permanent("E901", "the step's outputs cannot be written as JSON").caused_by(&error)
    })?;
    Ok(Outcome { outputs, summary: "all objects are as wanted".into(), same: true })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::{ApiServer, Fault, object, widgets};
    use crate::testing::{Rig, World, runs_twice, survives_failures, survives_kills, survives_refusals, undone_twice};
    use serde_json::json;
    use steps_sdk::outcome::{Certainty, ChangeAction};
    use steps_sdk::{Change, ErrorClass};

    fn namespace() -> Value {
        object("v1", "Namespace", "web", json!({}))
    }

    fn config_map(data: Value) -> Value {
        object("v1", "ConfigMap", "web/note", json!({ "data": data }))
    }

    fn secret(rest: Value) -> Value {
        object("v1", "Secret", "web/s", rest)
    }

    fn widget() -> Value {
        object("ex.io/v1", "Widget", "web/w", json!({ "spec": { "size": 3 } }))
    }

    /// Written last first, so that the order is the step's own doing.
    fn everything() -> Value {
        json!({ "object": [widget(), config_map(json!({ "a": "1" })), widgets(), namespace()] })
    }

    fn world(inputs: Value) -> World<ApiServer> {
        let server = ApiServer::new("hub");
        let rig = Rig::new().with_clusters(ApiServer::clusters(&[&server])).on("hub");
        World { rig, inputs, outside: server }
    }

    async fn previewed(world: &World<ApiServer>) -> Vec<Change> {
        match world.rig.preview(&Apply, &world.inputs).await.unwrap() {
            Preview::Changes(changes) => changes,
            Preview::Later(why) => panic!("later: {why}"),
        }
    }

    /// Paths that objects were applied to.
    fn patches(server: &ApiServer) -> Vec<String> {
        let path = |request: String| request.strip_prefix("PATCH ").map(str::to_owned);
        server.requests().into_iter().filter_map(path).collect()
    }

    async fn as_after_one_run(world: &World<ApiServer>, outcome: &Outcome) {
        let clean = self::world(everything());
        let expected = clean.rig.run(&Apply, &clean.inputs).await.unwrap();
        assert_eq!(world.outside.objects(), clean.outside.objects());
        assert_eq!(world.outside.writes(), clean.outside.writes(), "no effect shows twice");
        assert_eq!(
            outcome.outputs["refs"].as_array().unwrap().len(),
            expected.outputs["refs"].as_array().unwrap().len()
        );
        assert_eq!(world.rig.note("made"), clean.rig.note("made"), "what undo may delete");
    }

    #[tokio::test(start_paused = true)]
    async fn namespaces_and_definitions_go_first_and_a_second_run_writes_nothing() {
        let world = world(everything());
        let outcome = runs_twice(&Apply, &world).await;
        assert_eq!(outcome.summary, "4 objects: 4 created");
        assert_eq!(world.outside.writes(), 4);
        assert_eq!(
            patches(&world.outside)[..4],
            [
                "/api/v1/namespaces/web",
                "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.ex.io",
                "/apis/ex.io/v1/namespaces/web/widgets/w",
                "/api/v1/namespaces/web/configmaps/note",
            ]
        );
        let first = &outcome.outputs["ref"];
        assert_eq!(
            (first["kind"].as_str(), first["cluster"].as_str(), first["uid"].is_string()),
            (Some("Widget"), Some("hub"), true)
        );
        assert_eq!(outcome.outputs["object"]["spec"]["size"], 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kill_anywhere_is_repaired_by_running_again() {
        survives_kills(&Apply, async || world(everything()), as_after_one_run).await;
    }

    #[tokio::test(start_paused = true)]
    async fn each_request_may_fail_once_before_or_after_its_effect() {
        survives_failures(&Apply, async || world(everything()), as_after_one_run).await;
    }

    #[tokio::test(start_paused = true)]
    async fn each_question_to_the_engine_may_fail_once() {
        survives_refusals(&Apply, async || world(everything()), as_after_one_run).await;
    }

    #[tokio::test(start_paused = true)]
    async fn undo_deletes_what_the_run_made_and_nothing_else() {
        let world = world(json!({ "object": [namespace(), config_map(json!({ "a": "1" }))] }));
        world.outside.there(namespace());
        let (first, second) = undone_twice(&Apply, &world).await;
        assert_eq!(first, "deleted ConfigMap/web/note; Namespace/web stays: it was there before this run");
        assert_eq!(second, "nothing to delete; Namespace/web stays: it was there before this run");
        assert!(world.outside.get("ConfigMap", "note").is_none() && world.outside.get("Namespace", "web").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn undo_leaves_an_object_that_somebody_made_anew() {
        let world = world(json!({ "object": [config_map(json!({ "a": "1" }))] }));
        world.outside.there(namespace());
        let outcome = world.rig.run(&Apply, &world.inputs).await.unwrap();
        world.outside.remove("ConfigMap", "note");
        world.outside.there(config_map(json!({ "a": "theirs" })));
        let told = world.rig.undo(&Apply, &world.inputs, Some(&outcome.outputs)).await.unwrap();
        assert_eq!(told, "nothing to delete; ConfigMap/web/note stays: it was made anew by somebody else");
        let told = world.rig.undo(&Apply, &world.inputs, None).await.unwrap();
        assert_eq!(told, "nothing to delete; ConfigMap/web/note stays: it does not carry this step's mark");
    }

    #[tokio::test(start_paused = true)]
    async fn a_field_that_is_no_longer_written_is_removed() {
        let mut world = world(json!({ "object": [namespace(), config_map(json!({ "a": "1", "b": "2" }))] }));
        world.rig.run(&Apply, &world.inputs).await.unwrap();
        world.inputs = json!({ "object": [namespace(), config_map(json!({ "a": "1" }))] });
        let changes = previewed(&world).await;
        assert_eq!((changes[1].action, changes[1].fields[0].path.as_str()), (ChangeAction::Update, "data.b"));
        let outcome = world.rig.run(&Apply, &world.inputs).await.unwrap();
        assert_eq!((outcome.same, outcome.summary.as_str()), (false, "2 objects: 1 changed, 1 unchanged"));
        assert_eq!(world.outside.get("ConfigMap", "note").unwrap()["data"], json!({ "a": "1" }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_field_of_another_manager_is_reported_with_its_owner_and_left_to_it() {
        let mut world = world(json!({ "object": [config_map(json!({ "a": "1" }))] }));
        world.outside.there(namespace());
        world.outside.apply_as("argocd", config_map(json!({ "a": "theirs" })));
        let changes = previewed(&world).await;
        assert_eq!(
            (changes[0].action, changes[0].conflict.as_deref()),
            (ChangeAction::Update, Some("data.a (\"argocd\")"))
        );
        let error = world.rig.run(&Apply, &world.inputs).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.class), ("K210", ErrorClass::Permanent));
        assert_eq!(
            error.message,
            "ConfigMap/web/note on cluster `hub` has fields that belong to others: data.a (\"argocd\")"
        );
        assert_eq!(world.outside.get("ConfigMap", "note").unwrap()["data"]["a"], "theirs");

        world.inputs["take-ownership"] = json!(true);
        assert_eq!(previewed(&world).await[0].conflict, None);
        assert!(!world.rig.run(&Apply, &world.inputs).await.unwrap().same);
        assert_eq!(world.outside.get("ConfigMap", "note").unwrap()["data"]["a"], "1");
    }

    #[tokio::test(start_paused = true)]
    async fn becoming_an_owner_of_equal_values_is_a_write_and_is_said_beforehand() {
        let world = world(json!({ "object": [namespace()] }));
        world.outside.there(namespace());
        let world = World { inputs: json!({ "object": [config_map(json!({ "a": "1" }))] }), ..world };
        world.outside.there(config_map(json!({ "a": "1" })));
        let changes = previewed(&world).await;
        assert_eq!(
            (changes[0].action, changes[0].fields[0].path.as_str()),
            (ChangeAction::Update, "metadata.managedFields")
        );
        assert!(!world.rig.run(&Apply, &world.inputs).await.unwrap().same);
        assert_eq!(previewed(&world).await[0].action, ChangeAction::Same);
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_of_others_that_only_has_to_be_there_is_the_same() {
        let world = world(json!({ "object": [namespace()] }));
        world.outside.there(object("v1", "Namespace", "web", json!({ "metadata": { "labels": { "a": "b" } } })));
        let outcome = world.rig.run(&Apply, &world.inputs).await.unwrap();
        assert_eq!((outcome.same, outcome.summary.as_str()), (true, "Namespace/web unchanged"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_controller_that_writes_a_status_meanwhile_does_not_make_the_step_changed() {
        let world = world(json!({ "object": [config_map(json!({ "a": "1" }))] }));
        world.outside.there(namespace());
        world.rig.run(&Apply, &world.inputs).await.unwrap();
        let outcome = world
            .rig
            .answering(async |cx| {
                let cluster = Cluster::of_step(cx)?;
                let applier = Applier::new(&cluster, false);
                let wanted = wanted(vec![config_map(json!({ "a": "1" }))])?;
                let mut apply = std::pin::pin!(applier.apply(&wanted));
                // Until the step has looked at the object and is about to apply for the second time.
                while patches(&world.outside).len() < 2 {
                    assert!(futures::poll!(apply.as_mut()).is_pending());
                    tokio::task::yield_now().await;
                }
                world.outside.controller("ConfigMap", "note", |object| object["status"] = json!({ "beat": 7 }));
                apply.await
            })
            .await
            .unwrap();
        assert_eq!(outcome[0].how, How::Same);
    }

    #[tokio::test(start_paused = true)]
    async fn a_preview_says_what_has_to_be_there_first() {
        let world = world(json!({ "object": [config_map(json!({})), widget()] }));
        let changes = previewed(&world).await;
        let told: Vec<(ChangeAction, Certainty, Option<&str>)> =
            changes.iter().map(|change| (change.action, change.certainty, change.waits_for.as_deref())).collect();
        assert_eq!(
            told,
            [
                (ChangeAction::Create, Certainty::Later, Some("Namespace/web")),
                (ChangeAction::Create, Certainty::Later, Some("CustomResourceDefinition/*.ex.io")),
            ]
        );
        let own = previewed(&self::world(everything())).await;
        assert!(
            own.iter().all(|change| change.action == ChangeAction::Create && change.waits_for.is_none()),
            "{own:?}"
        );
        assert_eq!(own[0].certainty, Certainty::Schema, "the step itself brings kind and namespace");
        assert_eq!(own[3].certainty, Certainty::Server);
        assert_eq!(world.outside.writes(), 0, "a preview only reads");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_missing_at_run_time_is_transient_and_named() {
        let error = world(json!({ "object": [config_map(json!({}))] }));
        let error = error.rig.run(&Apply, &error.inputs).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.class), ("K213", ErrorClass::Transient));
        assert_eq!(
            error.message,
            "namespace web is not there on cluster `hub`, so ConfigMap/web/note cannot be made in it"
        );
        let world = world(json!({ "object": [namespace(), widget()] }));
        let error = world.rig.run(&Apply, &world.inputs).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.class), ("K212", ErrorClass::Transient));
        assert_eq!(world.outside.writes(), 0, "nothing is written before all kinds are known");
    }

    #[tokio::test(start_paused = true)]
    async fn mistakes_in_the_objects_are_found_before_anything_is_written() {
        let no_namespace = object("v1", "ConfigMap", "a", json!({}));
        let unknown = object("v1", "Namespace", "a", json!({ "unknown": 1 }));
        for (inputs, code) in [
            (json!({ "object": [] }), "K220"),
            (json!({ "object": [namespace()], "wait": { "load-balancer": true } }), "K220"),
            (json!({ "object": [no_namespace] }), "K221"),
            (json!({ "object": [unknown] }), "K211"),
            (
                json!({ "manifest": [{ "documents": [namespace()], "set": [{ "path": "spec.x.y", "value": 1 }] }] }),
                "K222",
            ),
        ] {
            let world = world(inputs.clone());
            let error = world.rig.run(&Apply, &inputs).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.class), (code, ErrorClass::Permanent), "{error:?}");
            assert_eq!(world.outside.writes(), 0, "{inputs}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_manifest_is_changed_by_set_and_its_secret_stays_out_of_all_that_is_recorded() {
        let written = secret(json!({ "stringData": { "password": "hunter2" } }));
        let world = world(json!({ "manifest": [{ "documents": [written, null],
                                   "set": [{ "path": "metadata.labels", "value": { "a": "b" } }] }] }));
        world.outside.there(namespace());
        let before = previewed(&world).await;
        let outcome = world.rig.run(&Apply, &world.inputs).await.unwrap();
        assert_eq!(world.outside.get("Secret", "s").unwrap()["data"]["password"], "aHVudGVyMg==");
        world.outside.apply_as("kubectl", secret(json!({ "data": { "password": "b3RoZXI=" } })));
        let verdict = world.rig.verify(&Apply, &world.inputs, Some(&outcome.outputs)).await.unwrap();
        assert!(matches!(&verdict, Verdict::Drifted(changes) if changes[0].conflict.is_some()), "{verdict:?}");
        let recorded = format!("{before:?} {outcome:?} {verdict:?} {:?}", world.rig.note("made"));
        assert!(
            !recorded.contains("hunter2") && !recorded.contains("aHVudGVyMg") && !recorded.contains("b3RoZXI"),
            "{recorded}"
        );
        assert_eq!(outcome.outputs["object"]["metadata"]["labels"]["a"], "b");
    }

    #[tokio::test(start_paused = true)]
    async fn verify_tells_intact_drifted_gone_and_done() {
        let world = world(json!({ "object": [namespace(), config_map(json!({ "a": "1" }))] }));
        let outcome = world.rig.run(&Apply, &world.inputs).await.unwrap();
        let verdict = async || world.rig.verify(&Apply, &world.inputs, Some(&outcome.outputs)).await.unwrap();
        assert_eq!(verdict().await, Verdict::Intact);
        let done = world.rig.verify(&Apply, &world.inputs, None).await.unwrap();
        assert!(matches!(done, Verdict::Done(found) if found.outputs == outcome.outputs));

        world.outside.apply_as("kubectl", config_map(json!({ "b": "2" })));
        assert_eq!(verdict().await, Verdict::Intact, "a field of others beside ours is no drift");
        world.outside.controller("ConfigMap", "note", |object| object["data"]["a"] = json!("other"));
        assert!(matches!(verdict().await, Verdict::Drifted(changes) if changes[0].fields[0].path == "data.a"));

        world.outside.remove("ConfigMap", "note");
        assert_eq!(verdict().await, Verdict::Gone("not there: ConfigMap/web/note".into()));
        world.rig.run(&Apply, &world.inputs).await.unwrap();
        assert!(
            matches!(verdict().await, Verdict::Drifted(changes) if changes[0].fields[0].path == "metadata.uid"),
            "made anew"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_the_address_and_gives_it_out() {
        let service = object("v1", "Service", "web/lb", json!({ "spec": { "type": "LoadBalancer" } }));
        let world = world(json!({ "object": [namespace(), service], "wait": { "load-balancer": true } }));
        let balancer = async {
            crate::testing::eventually("the step waits", || !world.rig.waits().is_empty()).await;
            world.outside.controller("Service", "lb", |service| {
                service["status"] = json!({ "loadBalancer": { "ingress": [{ "hostname": "lb.example" }] } })
            });
        };
        let (outcome, ()) = tokio::join!(world.rig.run(&Apply, &world.inputs), balancer);
        assert_eq!(outcome.unwrap().outputs["address"], "lb.example");
        assert_eq!(world.rig.waits(), ["Service/web/lb: no load balancer address yet"]);
    }

    #[tokio::test(start_paused = true)]
    async fn undo_does_not_delete_what_took_the_place_at_the_last_moment() {
        let world = world(json!({ "object": [config_map(json!({ "a": "1" }))] }));
        world.outside.there(namespace());
        let outputs = world.rig.run(&Apply, &world.inputs).await.unwrap().outputs;
        let undone = async || world.rig.undo(&Apply, &world.inputs, Some(&outputs)).await;
        let mut undo = std::pin::pin!(undone());
        while !world.outside.requests().last().is_some_and(|request| request.starts_with("DELETE")) {
            assert!(futures::poll!(undo.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
        world.outside.remove("ConfigMap", "note");
        world.outside.there(config_map(json!({ "a": "theirs" })));
        assert_eq!(undo.await.unwrap_err().class, ErrorClass::Transient);
        let told = undone().await.unwrap();
        assert_eq!(told, "nothing to delete; ConfigMap/web/note stays: it was made anew by somebody else");
        assert_eq!(world.outside.get("ConfigMap", "note").unwrap()["data"]["a"], "theirs");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_asks_to_wait_is_waited_for_in_the_open() {
        let world = world(json!({ "object": [namespace()] }));
        world.outside.fail(3, Fault::Refused(429));
        world.rig.run(&Apply, &world.inputs).await.unwrap();
        assert_eq!(world.rig.waits(), ["cluster hub asks to wait: request 3 fails in this test"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_ends_by_the_clock_or_by_a_stop() {
        let world = world(json!({ "object": [namespace()] }));
        world.outside.fail(3, Fault::Silent);
        let began = tokio::time::Instant::now();
        let error = world.rig.run(&Apply, &world.inputs).await.unwrap_err();
        assert_eq!((error.code.as_str(), began.elapsed().as_secs()), ("K202", 30));
        assert_eq!(error.message, "cluster `hub` did not answer within 30 s about Namespace/web");
        world.outside.fail(3, Fault::Silent);
        let stop = async {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            world.rig.cancel.cancel();
        };
        let began = tokio::time::Instant::now();
        let (error, ()) = tokio::join!(world.rig.run(&Apply, &world.inputs), stop);
        assert_eq!((error.unwrap_err().code.as_str(), began.elapsed().as_secs()), ("E130", 1));
    }

    #[tokio::test(start_paused = true)]
    async fn without_on_it_says_so_before_anything_is_asked() {
        let world = world(everything());
        let rig = Rig::new();
        let error = rig.run(&Apply, &world.inputs).await.unwrap_err();
        assert!(error.not_started && error.code == "K223", "{error:?}");
    }
}
