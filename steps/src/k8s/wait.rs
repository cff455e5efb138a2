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
use crate::cluster::goal::{self, Goal};
use crate::cluster::readiness::State;
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
            Without `condition`, `until`, `absent` or `wait ready=#true` it waits until the object exists. A missing object, kind or API server counts as \
            waiting; a state that is known to be final ends it at once.";
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

/// Why the goals do not hold now; `None` if they do.
async fn unmet(cluster: &Cluster<'_>, reference: &ObjectRef, goals: &[Goal]) -> Result<Option<String>, StepError> {
    let live = match cluster.served(reference).await? {
        Some(_) => {
            let served = cluster.must_be_served(reference).await?;
            cluster.live(reference, &served).await?
        }
        None => None,
    };
    Ok(match goal::state(cluster, reference, goals, live.as_ref())? {
        State::Reached => None,
        State::NotYet(reason) | State::Failed(reason) => Some(reason),
    })
}
