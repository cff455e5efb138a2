//! Asks every step's `preview`, so that `plan` can show what a run would do. Nothing is written anywhere.

use std::collections::{BTreeMap, BTreeSet};

use engine_core::id::{StepId, StepIndex};
use engine_core::plan::{Expectation, Forecast, Plan, PlannedStep, StepForecast};
use engine_core::run::{Prepared, RunState};
use futures::StreamExt;
use steps_sdk::outcome::{Certainty, Change, ChangeAction, Preview};
use steps_sdk::value::ClusterName;
use steps_sdk::{Secret, StepError, Value};

use super::attempt::Desk;
use super::verbs::{self, Answer, Verb};

/// Previews of all steps that can be asked now, as many at once as the plan allows.
pub async fn gather(state: &RunState, desk: &Desk) -> Forecast {
    let plan = state.plan();
    let asks = (0..plan.steps.len()).map(|i| foresee(state, desk, StepIndex(i)));
    let mut steps: Vec<StepForecast> =
        futures::stream::iter(asks).buffered(plan.limits.parallel.max(1)).collect().await;
    for i in 0..steps.len() {
        resolve_missing(plan, &mut steps, i);
    }
    Forecast { plan: plan.as_ref().clone(), steps }
}

/// Only what can be known without asking anybody.
pub fn offline(state: &RunState, run: &engine_core::id::RunId) -> Forecast {
    let plan = state.plan();
    let steps = plan.steps.iter().enumerate().map(|(i, step)| match known(state, run, StepIndex(i)) {
        Known::Start { .. } => StepForecast { expected: Expectation::NotAsked, waits_for: Vec::new() },
        Known::Settled(expected) => StepForecast { waits_for: waits_for(plan, step, &expected), expected },
    });
    Forecast { steps: steps.collect(), plan: plan.as_ref().clone() }
}

enum Known {
    Start { inputs: Value, kubeconfigs: BTreeMap<ClusterName, Secret> },
    Settled(Expectation),
}

fn known(state: &RunState, run: &engine_core::id::RunId, index: StepIndex) -> Known {
    let step = state.plan().step(index);
    if !state.plan().awaited(step).is_empty() {
        return Known::Settled(Expectation::Later);
    }
    match state.prepare(index, run) {
        Prepared::Start { inputs, kubeconfigs, .. } => Known::Start { inputs, kubeconfigs },
        Prepared::Skip { because } => Known::Settled(Expectation::Skipped { because }),
        Prepared::Fail(error) => Known::Settled(Expectation::Failed(error)),
    }
}

fn waits_for(plan: &Plan, step: &PlannedStep, expected: &Expectation) -> Vec<StepId> {
    match expected {
        Expectation::Later => plan.awaited(step).into_iter().collect(),
        _ => Vec::new(),
    }
}

async fn foresee(state: &RunState, desk: &Desk, index: StepIndex) -> StepForecast {
    let step = state.plan().step(index);
    let expected = match known(state, &desk.run, index) {
        Known::Settled(expected) => expected,
        Known::Start { inputs, kubeconfigs } => match preview(desk, step, inputs, kubeconfigs).await {
            Ok(preview) => Expectation::Previewed(preview),
            Err(error) => Expectation::Failed(error),
        },
    };
    StepForecast { waits_for: waits_for(state.plan(), step, &expected), expected }
}

async fn preview(
    desk: &Desk,
    step: &PlannedStep,
    inputs: Value,
    kubeconfigs: BTreeMap<ClusterName, Secret>,
) -> Result<Preview, StepError> {
    let setting = desk.side_call(step, inputs, Default::default())?.opening(kubeconfigs);
    match verbs::call(setting, Verb::Preview, |_| {}).await? {
        Answer::Previewed(preview) => Ok(preview),
        other => unreachable!("`preview` was called and answered {other:?}"),
    }
}

/// A step knows that something is missing, for instance its namespace; only the plan knows whether a step before it makes that. If
/// none does and none might, the run would fail, and the plan says so.
fn resolve_missing(plan: &Plan, steps: &mut [StepForecast], i: usize) {
    let missing: Vec<(String, String)> = steps[i]
        .expected
        .changes()
        .iter()
        .filter(|change| change.certainty == Certainty::Later)
        .filter_map(|change| Some((change.object.clone(), change.waits_for.clone()?)))
        .collect();
    let before = ancestors(plan, i);
    for (object, wanted) in missing {
        let makes = |change: &Change| is_named(&change.object, &wanted) && change.action != ChangeAction::Delete;
        let maker = before.iter().find(|j| steps[**j].expected.changes().iter().any(makes));
        let might: Vec<StepId> = before
            .iter()
            .filter(|j| steps[**j].expected.changes().is_empty())
            .map(|j| plan.steps[*j].id.clone())
            .collect();
        match maker {
            Some(j) => steps[i].waits_for.push(plan.steps[*j].id.clone()),
            None if !might.is_empty() => steps[i].waits_for.extend(might),
            None => {
                let error = StepError::permanent(
                    "E109",
                    format!("{object} needs {wanted}, which is not there and which no step before this one makes"),
                )
                .help(format!("add a step that makes {wanted} and name it in `needs`, or correct the name"));
                steps[i].expected = Expectation::Failed(error);
                return;
            }
        }
    }
    let mut seen = BTreeSet::new();
    steps[i].waits_for.retain(|id| seen.insert(id.clone()));
}

/// `Namespace/web` names one object, `CustomResourceDefinition/*.ex.io` any definition of that group.
fn is_named(object: &str, wanted: &str) -> bool {
    match wanted.split_once('*') {
        Some((start, end)) => {
            object.len() >= start.len() + end.len() && object.starts_with(start) && object.ends_with(end)
        }
        None => object == wanted,
    }
}

/// Every step that has ended when this one starts, nearest first.
fn ancestors(plan: &Plan, i: usize) -> Vec<usize> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([i]);
    let mut open = std::collections::VecDeque::from([i]);
    while let Some(next) = open.pop_front() {
        for need in &plan.steps[next].needs {
            let index = plan.index_of(&need.step).expect("the planner checks that every need is a step of the plan").0;
            if seen.insert(index) {
                found.push(index);
                open.push_back(index);
            }
        }
    }
    found
}
