//! `k8s.wait`: waits until an object is there, is gone, is ready, has a condition, or satisfies an expression.
//!
//! The action is the wait, so it has `wait for=` and no `timeout`. Nothing outside is touched.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster, TimeLimit};
use steps_sdk::value::Predicate;
use steps_sdk::{Effect, EffectOf, Preview, StepError, Value, Verdict};

use crate::cluster::Cluster;
use crate::cluster::goal::{Goal, unmet};
use crate::cluster::reference::{Named, ObjectRef};
use crate::cluster::shown::shown;
use crate::cluster::wait::Wait;

/// Waits for an object.
pub struct WaitFor;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// Which object: `object "${step.ref}"`, or `object apiVersion=… kind=… name=… namespace=…`.
    object: Named,
    /// A condition of the object: `condition Ready`.
    #[serde(default)]
    condition: Option<Condition>,
    /// An expression over `object`.
    #[serde(default)]
    until: Option<Predicate>,
    /// Wait until it is gone.
    #[serde(default)]
    absent: bool,
    #[serde(default)]
    wait: Option<WaitInput>,
}

/// A condition and its status.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["type"]))]
pub struct Condition {
    /// Its type, for instance `Available`.
    r#type: String,
    /// Its status: `True` if left out.
    #[serde(default)]
    is: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WaitInput {
    /// Wait until it is ready, as its kind defines it.
    #[serde(default)]
    ready: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The object that was waited for.
    r#ref: ObjectRef,
    /// As it was seen then, a Secret without its data; `null` if it is gone.
    object: Value,
}

#[async_trait]
impl Step for WaitFor {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Waits until an object is as it should be.\n\n\
            Without `condition`, `until`, `absent` or `wait ready=#true` it waits until the object exists. A missing \
            object, kind or API server counts as waiting; a state that is known to be final ends it at once.";
        About {
            effect: EffectOf::Fixed(Effect::Pure),
            time_limit: TimeLimit::Wait { for_ms: 10 * 60_000 },
            on: OnCluster::Required,
            ..About::converging("k8s.wait", doc)
        }
    }

    async fn preview(&self, cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let (reference, goals) = read(&cluster, inputs)?;
        match unmet(&cluster, &reference, &goals).await? {
            None => Ok(Preview::Changes(Vec::new())),
            Some(reason) => Ok(Preview::Later(format!("{reference}: {reason}"))),
        }
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let (reference, goals) = read(&cluster, inputs)?;
        let seen = Wait::new(&cluster, &reference).until(&goals).await?;
        let summary = format!("{reference}: {}", if seen.is_some() { "as wanted" } else { "gone" });
        let uid =
            seen.as_ref().and_then(|object| object.pointer("/metadata/uid")).and_then(Value::as_str).map(str::to_owned);
        let reference = ObjectRef { cluster: Some(cluster.name.to_owned()), uid, ..reference };
        Ok(Done::same(Outputs { r#ref: reference, object: seen.map(shown).unwrap_or_default() }, summary))
    }

    /// A wait that was satisfied earlier is looked at again: does it still hold?
    async fn verify(&self, cx: &StepContext, inputs: Inputs, _recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let (reference, goals) = read(&cluster, inputs)?;
        Ok(match unmet(&cluster, &reference, &goals).await? {
            None => Verdict::Intact,
            Some(reason) => Verdict::Gone(format!("{reference}: {reason}")),
        })
    }

    async fn undo(&self, _cx: &StepContext, _inputs: Inputs, _recorded: Option<Outputs>) -> Result<String, StepError> {
        Ok("nothing to take back: waiting changes nothing".into())
    }
}

fn read(cluster: &Cluster<'_>, inputs: Inputs) -> Result<(ObjectRef, Vec<Goal>), StepError> {
    let reference = inputs.object.resolve()?.on(cluster.name)?;
    let condition = inputs
        .condition
        .map(|Condition { r#type, is }| Goal::Condition { kind: r#type, is: is.unwrap_or_else(|| "True".into()) });
    let ready = inputs.wait.is_some_and(|wait| wait.ready).then_some(Goal::Ready);
    let goals: Vec<Goal> = [condition, inputs.until.map(Goal::Until), ready].into_iter().flatten().collect();
    match (inputs.absent, goals.is_empty()) {
        (true, true) => Ok((reference, vec![Goal::Absent])),
        (true, false) => {
            Err(StepError::permanent("K220", format!("{reference} cannot be gone and in a certain state at once"))
                .help("use two steps")
                .not_started())
        }
        (false, true) => Ok((reference, vec![Goal::Exists])),
        (false, false) => Ok((reference, goals)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::{ApiServer, Fault, object, widgets};
    use crate::testing::{Rig, World, eventually, runs_twice, survives_failures, survives_kills, undone_twice};
    use serde_json::json;
    use std::time::Duration;
    use steps_sdk::ErrorClass;

    fn deployment(status: Value) -> Value {
        let rest = json!({ "metadata": { "generation": 2 }, "spec": { "replicas": 1 }, "status": status });
        object("apps/v1", "Deployment", "default/web", rest)
    }

    fn available(is: &str) -> Value {
        seen(json!({ "type": "Available", "status": is, "reason": "Why", "message": "because" }))
    }

    fn seen(condition: Value) -> Value {
        json!({ "observedGeneration": 2, "conditions": [condition] })
    }

    fn world(more: Value) -> World<ApiServer> {
        let server = ApiServer::new("hub");
        let rig = Rig::new().with_clusters(ApiServer::clusters(&[&server])).on("hub");
        let web = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "namespace": "default" });
        let mut inputs = json!({ "object": web });
        for (name, value) in more.as_object().unwrap() {
            inputs[name] = value.clone();
        }
        World { rig, inputs, outside: server }
    }

    fn set_status(server: &ApiServer, status: Value) {
        server.controller("Deployment", "web", |object| object["status"] = status);
    }

    /// Runs the step while `story` happens.
    async fn told(world: &World<ApiServer>, story: impl AsyncFnOnce()) -> Result<steps_sdk::Outcome, StepError> {
        tokio::join!(world.rig.run(&WaitFor, &world.inputs), story()).0
    }

    async fn waits(world: &World<ApiServer>, reason: &str) {
        eventually(reason, || world.rig.waits().last().is_some_and(|last| last == reason)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn every_reason_is_told_once_from_absence_to_the_end() {
        let world = world(json!({ "condition": { "type": "Available" } }));
        let outcome = told(&world, async || {
            waits(&world, "Deployment/default/web: not there yet on cluster hub").await;
            world.outside.there(deployment(json!({})));
            waits(&world, "Deployment/default/web: it has no condition Available yet").await;
            set_status(
                &world.outside,
                json!({ "observedGeneration": 1, "conditions": [{ "type": "Available", "status": "True" }] }),
            );
            waits(&world, "Deployment/default/web: its controller has seen generation 1, the object is at 2").await;
            set_status(&world.outside, available("False"));
            waits(&world, "Deployment/default/web: Available is False, Why: because").await;
            world.outside.remove("Deployment", "web");
            waits(&world, "Deployment/default/web: not there yet on cluster hub").await;
            world.outside.there(deployment(available("True")));
        })
        .await
        .unwrap();
        assert_eq!(world.rig.waits().len(), 5, "{:?}", world.rig.waits());
        assert!(outcome.same && outcome.outputs["object"]["status"] == available("True"));
        assert_eq!(outcome.outputs["ref"]["uid"], world.outside.get("Deployment", "web").unwrap()["metadata"]["uid"]);
    }

    #[tokio::test(start_paused = true)]
    async fn it_survives_ends_of_watches_and_a_restart_of_the_api_server() {
        let world = world(json!({ "condition": { "type": "Available" } }));
        world.outside.there(deployment(available("False")));
        let reason = "Deployment/default/web: Available is False, Why: because";
        told(&world, async || {
            waits(&world, reason).await;
            world.outside.cut_watches();
            world.outside.is_down(true);
            waits(&world, &format!("cluster `hub` cannot be reached; last seen: {reason}")).await;
            set_status(&world.outside, available("True"));
            world.outside.is_down(false);
        })
        .await
        .unwrap();
        assert_eq!(world.rig.waits().len(), 2, "{:?}", world.rig.waits());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_was_never_answered_or_has_died_silently_is_given_up() {
        for is_answered in [false, true] {
            let world = world(json!({ "condition": { "type": "Available" } }));
            world.outside.there(deployment(available("False")));
            if !is_answered {
                // After discovery and list.
                world.outside.fail(3, Fault::Silent);
            }
            let began = tokio::time::Instant::now();
            told(&world, async || {
                waits(&world, "Deployment/default/web: Available is False, Why: because").await;
                eventually("the watch", || world.outside.requests().len() == 3).await;
                world.outside.silence_watches();
                set_status(&world.outside, available("True"));
            })
            .await
            .unwrap();
            assert!(began.elapsed() < Duration::from_secs(40), "{is_answered}: {:?}", began.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_ends_at_once_again_and_again_is_no_storm() {
        let world = world(json!({ "condition": { "type": "Available" } }));
        world.outside.there(deployment(available("False")));
        told(&world, async || {
            for _ in 0..600 {
                world.outside.cut_watches();
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            set_status(&world.outside, available("True"));
        })
        .await
        .unwrap();
        let lists = world.outside.requests().len();
        assert!(lists < 40, "{lists} requests in half a minute");
    }

    #[tokio::test(start_paused = true)]
    async fn a_final_state_ends_it_at_once_with_object_condition_and_reason() {
        let gave_up = json!({ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" });
        let late = seen(gave_up);
        for goal in [
            json!({ "condition": { "type": "Available" } }),
            json!({ "wait": { "ready": true } }),
            json!({ "until": "false" }),
        ] {
            let mut world = world(goal.clone());
            world.rig = world.rig.with_evaluator(|_, _| false);
            world.outside.there(deployment(late.clone()));
            let error = world.rig.run(&WaitFor, &world.inputs).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.class), ("K205", ErrorClass::Permanent), "{goal}");
            assert_eq!(
                error.message,
                "Deployment/default/web on cluster `hub` has failed: Progressing is False, ProgressDeadlineExceeded"
            );
        }
        let world = world(json!({ "condition": { "type": "Progressing", "is": "False" } }));
        world.outside.there(deployment(late));
        world.rig.run(&WaitFor, &world.inputs).await.expect("who waits for the failure itself gets it");
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_end_of_its_time_it_says_what_it_saw_last() {
        let mut world = world(json!({ "wait": { "ready": true } }));
        world.rig.limit = Duration::from_secs(300);
        world.outside.there(deployment(json!({ "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1 })));
        let error = world.rig.run(&WaitFor, &world.inputs).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.class), ("K204", ErrorClass::Permanent));
        assert_eq!(error.message, "Deployment/default/web on cluster `hub` did not become ready within 5m");
        assert_eq!(error.causes, ["last seen: Deployment/default/web: 0 of 1 replicas are available"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_comes_later_is_waited_for() {
        let mut world = world(json!({}));
        world.inputs["object"] =
            json!({ "apiVersion": "ex.io/v1", "kind": "Widget", "name": "w", "namespace": "default" });
        told(&world, async || {
            waits(&world, "Widget/default/w: not there yet on cluster hub").await;
            world.outside.there(widgets());
            world.outside.there(object("ex.io/v1", "Widget", "default/w", json!({})));
        })
        .await
        .unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn absence_is_waited_for_and_finalizers_are_named() {
        let world = world(json!({ "absent": true }));
        world.outside.there(deployment(json!({})));
        let outcome = told(&world, async || {
            waits(&world, "Deployment/default/web: still there, and nobody has deleted it").await;
            world.outside.controller("Deployment", "web", |object| {
                object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
                object["metadata"]["finalizers"] = json!(["ex.io/keep"]);
            });
            waits(&world, "Deployment/default/web: it is being deleted and waits for ex.io/keep").await;
            world.outside.controller("Deployment", "web", |object| object["metadata"]["finalizers"] = json!([]));
        })
        .await
        .unwrap();
        assert_eq!(
            (outcome.summary.as_str(), &outcome.outputs["object"]),
            ("Deployment/default/web: gone", &Value::Null)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_expression_and_readiness_have_to_hold_in_the_same_look() {
        let mut world = world(json!({ "until": "object.spec.replicas == 3", "wait": { "ready": true } }));
        world.rig = world
            .rig
            .with_evaluator(|text, object| text == "object.spec.replicas == 3" && object["spec"]["replicas"] == 3);
        world.outside.there(deployment(
            json!({ "observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1 }),
        ));
        told(&world, async || {
            waits(&world, "Deployment/default/web: `object.spec.replicas == 3` does not hold yet").await;
            world.outside.controller("Deployment", "web", |object| object["spec"]["replicas"] = json!(3));
            waits(&world, "Deployment/default/web: 1 of 3 replicas are of the new form").await;
            set_status(
                &world.outside,
                json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3 }),
            );
        })
        .await
        .unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_it_between_two_looks() {
        let world = world(json!({}));
        let error = told(&world, async || {
            waits(&world, "Deployment/default/web: not there yet on cluster hub").await;
            world.rig.cancel.cancel();
        })
        .await
        .unwrap_err();
        assert_eq!((error.code.as_str(), error.class), ("E130", ErrorClass::Transient));
    }

    #[tokio::test(start_paused = true)]
    async fn preview_and_verify_look_once() {
        let world = world(json!({ "condition": { "type": "Available" } }));
        world.outside.there(deployment(available("False")));
        let preview = world.rig.preview(&WaitFor, &world.inputs).await.unwrap();
        assert_eq!(preview, Preview::Later("Deployment/default/web: Available is False, Why: because".into()));
        assert!(matches!(world.rig.verify(&WaitFor, &world.inputs, None).await.unwrap(), Verdict::Gone(_)));
        set_status(&world.outside, available("True"));
        assert_eq!(world.rig.preview(&WaitFor, &world.inputs).await.unwrap(), Preview::Changes(Vec::new()));
        assert_eq!(world.rig.verify(&WaitFor, &world.inputs, None).await.unwrap(), Verdict::Intact);
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_right_ends_it_and_a_reference_of_another_cluster_is_refused() {
        let mut world = world(json!({}));
        world.outside.there(deployment(json!({})));
        world.outside.fail(2, Fault::Refused(403));
        let error = world.rig.run(&WaitFor, &world.inputs).await.unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("K207", "not allowed to list Deployment/default/web on cluster `hub`")
        );
        world.inputs["object"] =
            json!({ "ref": { "apiVersion": "v1", "kind": "Namespace", "name": "default", "cluster": "alpha" } });
        let error = world.rig.run(&WaitFor, &world.inputs).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.not_started), ("K223", true));
    }

    #[tokio::test(start_paused = true)]
    async fn the_four_generic_tests() {
        let make = async || {
            let world = world(json!({ "condition": { "type": "Available" } }));
            world.outside.there(deployment(available("True")));
            world
        };
        let check = async |world: &World<ApiServer>, outcome: &steps_sdk::Outcome| {
            assert!(outcome.same);
            assert_eq!(world.outside.writes(), 1, "only the object's own making");
        };
        runs_twice(&WaitFor, &make().await).await;
        survives_kills(&WaitFor, make, check).await;
        survives_failures(&WaitFor, make, check).await;
        let (first, second) = undone_twice(&WaitFor, &make().await).await;
        assert_eq!(first, second);
    }
}
