//! `k8s.scale`: sets how many replicas something has, through its `scale` subresource, and puts the old count back on undo.
//!
//! The count that was found is noted before it is changed, so that neither a kill nor a second run loses it. No field is owned
//! afterwards: whoever applies the object sets its count again when he wants to.

use async_trait::async_trait;
use kube::api::{Patch, PatchParams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::outcome::{Certainty, Change, ChangeAction, FieldChange};
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::{Outcome, Preview, StepError, UndoDefault, Value, Verdict};

use crate::cluster::Cluster;
use crate::cluster::apply::{Run, manager};
use crate::cluster::classify;
use crate::cluster::goal::Goal;
use crate::cluster::reference::{Named, ObjectRef};
use crate::cluster::request::Asked;
use crate::cluster::wait::Wait;

/// Scales an object.
pub struct Scale;

/// For how long it waits when the file does not say `wait for=`.
const WAIT_DEFAULT: Duration = Duration::from_secs(5 * 60);

/// The note of what was found before anything was changed.
const FOUND: &str = "found";

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// Which object: `object "${step.ref}"`, or `object apiVersion=… kind=… name=… namespace=…`.
    object: Named,
    /// How many replicas it shall have.
    replicas: u32,
    #[serde(default)]
    wait: Option<WaitInput>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WaitInput {
    /// Wait until as many replicas are ready as are wanted, and no others are left.
    #[serde(default)]
    ready: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The object that was scaled.
    r#ref: ObjectRef,
    /// How many replicas it shall have now.
    replicas: u32,
    /// How many it had before this run.
    before: u32,
}

/// What an object had when this run came to it.
#[derive(Serialize, Deserialize)]
struct Found {
    uid: String,
    replicas: u32,
}

#[async_trait]
impl Step for Scale {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Sets how many replicas an object has.\n\n\
            Works on every kind with a `scale` subresource. `undo` puts back the count that the run found, unless somebody \
            else has scaled it since. An operator or autoscaler that keeps a count of its own will set it again.";
        About { undo: UndoDefault::Restore, on: OnCluster::Required, ..About::converging("k8s.scale", doc) }
    }

    async fn preview(&self, cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let reference = inputs.object.resolve()?.on(cluster.name)?;
        let Some(live) = look(&cluster, &reference).await? else {
            return Ok(Preview::Later(format!("{reference} on cluster {}", cluster.name)));
        };
        if replicas(&live) != inputs.replicas {
            scale(&cluster, &reference, inputs.replicas, Run::Dry).await?;
        }
        Ok(Preview::Changes(vec![change(&reference, replicas(&live), inputs.replicas)]))
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let reference = inputs.object.resolve()?.on(cluster.name)?;
        let live = there(&cluster, &reference).await?;
        let found = noted(cx, &live).await?;
        let now = replicas(&live);
        if now != inputs.replicas {
            scale(&cluster, &reference, inputs.replicas, Run::Real).await?;
        }
        if inputs.wait.is_some_and(|wait| wait.ready) {
            cx.clock.begin_wait(WAIT_DEFAULT).await;
            Wait::new(&cluster, &reference).until(&[Goal::Ready]).await?;
        }
        let outputs = outputs(&cluster, reference, &found, inputs.replicas);
        let told = &outputs.r#ref;
        Ok(match now == inputs.replicas {
            true => Done { summary: format!("{told} has {now} replicas"), same: true, outputs },
            false => Done {
                summary: format!("{told} scaled from {now} to {} replicas", inputs.replicas),
                same: false,
                outputs,
            },
        })
    }

    async fn verify(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let reference = inputs.object.resolve()?.on(cluster.name)?;
        let Some(live) = look(&cluster, &reference).await? else {
            return Ok(Verdict::Gone(format!("{reference} is not there")));
        };
        if replicas(&live) != inputs.replicas {
            return Ok(Verdict::Drifted(vec![change(&reference, replicas(&live), inputs.replicas)]));
        }
        match (recorded, found(cx)) {
            (Some(_), _) => Ok(Verdict::Intact),
            (None, Some(found)) => {
                let summary = format!("{reference} has {} replicas", inputs.replicas);
                let outputs = outputs(&cluster, reference, &found, inputs.replicas);
                let outputs = serde_json::to_value(outputs).expect("outputs are text and numbers");
                Ok(Verdict::Done(Outcome { outputs, summary, same: false }))
            }
            (None, None) => Ok(Verdict::Gone(format!("{reference} has that count, but not by this run"))),
        }
    }

    async fn undo(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<String, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let reference = inputs.object.resolve()?.on(cluster.name)?;
        let recorded =
            recorded.map(|outputs| Found { uid: outputs.r#ref.uid.unwrap_or_default(), replicas: outputs.before });
        let Some(before) = recorded.or_else(|| found(cx)) else {
            return Ok(format!("{reference} was not scaled by this run"));
        };
        let Some(live) = look(&cluster, &reference).await? else {
            return Ok(format!("{reference} is gone"));
        };
        if uid(&live) != before.uid {
            return Ok(format!("{reference} stays as it is: it was made anew by somebody else"));
        }
        match replicas(&live) {
            now if now == before.replicas => Ok(format!("{reference} has {now} replicas, as before")),
            now if now == inputs.replicas => {
                scale(&cluster, &reference, before.replicas, Run::Real).await?;
                Ok(format!("{reference} scaled back from {now} to {} replicas", before.replicas))
            }
            now => Ok(format!("{reference} stays at {now} replicas: somebody else has scaled it since")),
        }
    }
}

async fn look(cluster: &Cluster<'_>, reference: &ObjectRef) -> Result<Option<Value>, StepError> {
    if cluster.served(reference).await?.is_none() {
        return Ok(None);
    }
    let served = cluster.must_be_served(reference).await?;
    cluster.live(reference, &served).await
}

async fn there(cluster: &Cluster<'_>, reference: &ObjectRef) -> Result<Value, StepError> {
    cluster.must_be_served(reference).await?;
    look(cluster, reference).await?.ok_or_else(|| {
        StepError::transient("K217", format!("{reference} is not there on cluster `{}`", cluster.name))
            .help("make it in a step before this one, or correct its name")
    })
}

/// What this run found first, on disk before anything is changed.
async fn noted(cx: &StepContext, live: &Value) -> Result<Found, StepError> {
    if let Some(found) = found(cx).filter(|found| found.uid == uid(live)) {
        return Ok(found);
    }
    let found = Found { uid: uid(live).to_owned(), replicas: replicas(live) };
    cx.memo.put(FOUND, json!({ "uid": found.uid, "replicas": found.replicas })).await?;
    Ok(found)
}

fn found(cx: &StepContext) -> Option<Found> {
    cx.memo.get(FOUND).and_then(|noted| serde_json::from_value(noted).ok())
}

async fn scale(cluster: &Cluster<'_>, reference: &ObjectRef, replicas: u32, run: Run) -> Result<(), StepError> {
    let served = cluster.must_be_served(reference).await?;
    let collection = served.collection(reference);
    let params = PatchParams {
        dry_run: run == Run::Dry,
        field_manager: Some(manager(&cluster.cx.call.owner)),
        ..PatchParams::default()
    };
    let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
    let sent = cluster
        .try_ask(|| async {
            let request = collection
                .patch_subresource("scale", &reference.name, &params, &patch)
                .map_err(kube::Error::BuildRequest)?;
            cluster.client().request::<Value>(request).await.map(drop)
        })
        .await;
    let asked = Asked { verb: "patch", object: reference, resource: Some(&served) };
    sent.map_err(|failure| classify::failure(cluster.name, &asked, &failure))
}

/// An object that does not say how many it wants has one.
fn replicas(object: &Value) -> u32 {
    let count = object.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn uid(object: &Value) -> &str {
    object.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default()
}

fn outputs(cluster: &Cluster<'_>, reference: ObjectRef, found: &Found, replicas: u32) -> Outputs {
    let reference = ObjectRef { cluster: Some(cluster.name.to_owned()), uid: Some(found.uid.clone()), ..reference };
    Outputs { r#ref: reference, replicas, before: found.replicas }
}

fn change(reference: &ObjectRef, before: u32, after: u32) -> Change {
    let field = FieldChange { path: "spec.replicas".into(), before: Some(before.into()), after: Some(after.into()) };
    Change {
        object: reference.to_string(),
        action: if before == after { ChangeAction::Same } else { ChangeAction::Update },
        certainty: Certainty::Server,
        fields: if before == after { Vec::new() } else { vec![field] },
        conflict: None,
        waits_for: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::{ApiServer, object};
    use crate::testing::{
        Rig, World, eventually, runs_twice, survives_failures, survives_kills, survives_refusals, undone_twice,
    };

    fn world() -> World<ApiServer> {
        let server = ApiServer::new("hub");
        server.there(object("apps/v1", "Deployment", "default/root-kcp", json!({ "spec": { "replicas": 2 } })));
        let rig = Rig::new().with_clusters(ApiServer::clusters(&[&server])).on("hub");
        let named =
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "root-kcp", "namespace": "default" });
        World { rig, inputs: json!({ "object": named, "replicas": 0 }), outside: server }
    }

    fn count(world: &World<ApiServer>) -> Value {
        world.outside.get("Deployment", "root-kcp").unwrap()["spec"]["replicas"].clone()
    }

    async fn scaled_once(world: &World<ApiServer>, outcome: &Outcome) {
        assert_eq!(count(world), 0);
        assert_eq!((&outcome.outputs["before"], &outcome.outputs["replicas"]), (&json!(2), &json!(0)));
        assert_eq!(world.outside.writes(), 2, "made by the test, scaled by the step");
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_run_remembers_what_the_first_found() {
        let world = world();
        let preview = world.rig.preview(&Scale, &world.inputs).await.unwrap();
        let Preview::Changes(changes) = preview else { panic!("{preview:?}") };
        assert_eq!((changes[0].action, count(&world)), (ChangeAction::Update, json!(2)), "a plan changes nothing");
        let outcome = runs_twice(&Scale, &world).await;
        assert_eq!(outcome.summary, "Deployment/default/root-kcp scaled from 2 to 0 replicas");
        assert_eq!(world.rig.verify(&Scale, &world.inputs, Some(&outcome.outputs)).await.unwrap(), Verdict::Intact);
        scaled_once(&world, &outcome).await;
        let told = world.rig.undo(&Scale, &world.inputs, None).await.unwrap();
        assert_eq!(told, "Deployment/default/root-kcp scaled back from 0 to 2 replicas", "from the note alone");
        assert_eq!(count(&world), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_count_that_was_found_survives_kills_failures_and_refusals() {
        survives_kills(&Scale, async || world(), scaled_once).await;
        survives_failures(&Scale, async || world(), scaled_once).await;
        survives_refusals(&Scale, async || world(), scaled_once).await;
    }

    #[tokio::test(start_paused = true)]
    async fn undo_leaves_what_somebody_else_has_scaled() {
        let told = undone_twice(&Scale, &world()).await;
        assert_eq!(told.1, "Deployment/default/root-kcp has 2 replicas, as before");
        let world = world();
        let outcome = world.rig.run(&Scale, &world.inputs).await.unwrap();
        world.outside.controller("Deployment", "root-kcp", |object| object["spec"]["replicas"] = json!(5));
        let drift = world.rig.verify(&Scale, &world.inputs, Some(&outcome.outputs)).await.unwrap();
        assert!(matches!(drift, Verdict::Drifted(_)), "{drift:?}");
        let told = world.rig.undo(&Scale, &world.inputs, Some(&outcome.outputs)).await.unwrap();
        assert_eq!(told, "Deployment/default/root-kcp stays at 5 replicas: somebody else has scaled it since");
        world.outside.remove("Deployment", "root-kcp");
        assert_eq!(
            world.rig.undo(&Scale, &world.inputs, Some(&outcome.outputs)).await.unwrap(),
            "Deployment/default/root-kcp is gone"
        );
        let error = world.rig.run(&Scale, &world.inputs).await.unwrap_err();
        assert_eq!((error.class, error.code.as_str()), (steps_sdk::ErrorClass::Transient, "K217"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_when_the_old_replicas_are_gone() {
        let mut world = world();
        world.inputs["wait"] = json!({ "ready": true });
        let status = |count: i64| json!({ "observedGeneration": 1, "replicas": count, "updatedReplicas": count });
        world.outside.controller("Deployment", "root-kcp", |object| object["status"] = status(2));
        let reason = "Deployment/default/root-kcp: 2 replicas too many are still there";
        let story = async {
            eventually(reason, || world.rig.waits().iter().any(|told| told == reason)).await;
            world.outside.controller("Deployment", "root-kcp", |object| object["status"] = status(0));
        };
        let (outcome, ()) = tokio::join!(world.rig.run(&Scale, &world.inputs), story);
        assert_eq!(outcome.unwrap().outputs["replicas"], 0);
    }
}
