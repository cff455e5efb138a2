//! Workflow and inputs become a plan.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use steps_sdk::spec::TimeLimit;
use steps_sdk::value::ClusterName;

use super::fold::{Folder, Known};
use super::inputs::{self, InputValue};
use super::open::{self, Instance, path};
use super::types::*;
use super::{component, digest, order};
use crate::diagnostic::{Problem, Spanned};
use crate::id::Digest;
use crate::limits::{PARALLEL_DEFAULT, PER_CLUSTER_DEFAULT, STEPS_MAX, WAIT_FOR_DEFAULT_MS};
use crate::workflow::{Code, RetryFields, Step, Workflow, Written};

/// Fills in the inputs, opens the groups, computes what is known, orders the steps. All problems come at once.
pub fn compile(workflow: &Workflow, given: BTreeMap<String, InputValue>) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    let values = inputs::fill(workflow, &given, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let roots = roots(workflow, &values);
    let instances = open::open(workflow, &roots, &mut problems);
    let known = Known { workflow, roots, instances };
    let count: usize =
        workflow.steps.iter().map(|step| step.group.map_or(1, |group| known.instances[group].len())).sum();
    if count > STEPS_MAX {
        let at = workflow.name.at;
        problems.push(
            Problem::error("P009", at, format!("the plan has {count} steps, at most {STEPS_MAX} are allowed"))
                .help("split the workflow, or give it shorter lists"),
        );
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let lock = lock(&known, &mut problems);
    let clusters = clusters(&known, &mut problems);
    let components = component::components(&known, &mut problems);
    let steps = Planner { known: &known, lock: &lock, components: &components }.steps(&mut problems);
    let outputs = outputs(&known, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut plan = Plan {
        format: PLAN_FORMAT,
        workflow: workflow.name.value.clone(),
        lock,
        digest: Digest::of_bytes(&[]),
        steps: order::sort(steps),
        groups: workflow
            .groups
            .iter()
            .map(|group| PlannedGroup {
                id: group.id.value.clone(),
                parallel: group.parallel,
                on_failure: group.on_failure,
            })
            .collect(),
        clusters,
        components,
        outputs,
        limits: RunLimits {
            parallel: workflow.parallel.unwrap_or(PARALLEL_DEFAULT),
            per_cluster: workflow.per_cluster.unwrap_or(PER_CLUSTER_DEFAULT),
        },
        kinds: kinds(workflow),
        inputs: values.into_iter().collect(),
    };
    plan.digest = digest::of(&plan);
    Ok(plan)
}

/// What expressions know before the run.
fn roots(workflow: &Workflow, values: &Map<String, Value>) -> BTreeMap<String, Value> {
    let clusters: Map<String, Value> = workflow
        .clusters
        .iter()
        .map(|cluster| (cluster.name.value.clone(), Value::String(cluster.name.value.clone())))
        .collect();
    let secrets = workflow.secrets.iter().map(|secret| {
        (secret.name.value.clone(), serde_json::to_value(&secret.secret).expect("a secret's place is plain JSON"))
    });
    [("inputs".to_owned(), Value::Object(values.clone())), ("clusters".to_owned(), Value::Object(clusters))]
        .into_iter()
        .chain(secrets)
        .collect()
}

fn kinds(workflow: &Workflow) -> BTreeMap<steps_sdk::StepKind, KindPin> {
    let mut kinds = BTreeMap::new();
    for step in &workflow.steps {
        kinds.entry(step.kind().clone()).or_insert_with(|| KindPin {
            version: step.spec.version,
            digest: Digest::of_value(&step.spec.canonical()),
        });
    }
    kinds
}

/// A text that must be known now, and not empty.
fn early_text(known: &Known<'_>, written: &Written, what: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let before = problems.len();
    match Folder::new(known, None, problems).written(written) {
        Input::Known(Value::String(text)) if !text.trim().is_empty() => Some(text),
        Input::Known(Value::String(_)) => {
            problems.push(
                Problem::error("P011", written.at, format!("{what} is empty")).help("give it a value, or leave it out"),
            );
            None
        }
        Input::Known(Value::Null) => None,
        _ if problems.len() > before => None,
        other => unreachable!("the checker lets only texts over inputs through: {other:?}"),
    }
}

fn lock(known: &Known<'_>, problems: &mut Vec<Problem>) -> String {
    let workflow = known.workflow;
    match &workflow.lock {
        Some(lock) => early_text(known, lock, "`lock`", problems).unwrap_or_default(),
        None => workflow.name.value.clone(),
    }
}

fn clusters(known: &Known<'_>, problems: &mut Vec<Problem>) -> Vec<PlannedCluster> {
    let plan = |cluster: &crate::workflow::ClusterDecl| PlannedCluster {
        name: ClusterName(cluster.name.value.clone()),
        kubeconfig: cluster.kubeconfig.clone(),
        identity: cluster.identity.as_ref().and_then(|uid| early_text(known, uid, "the cluster's uid", problems)),
        at: cluster.at,
    };
    known.workflow.clusters.iter().map(plan).collect()
}

fn outputs(known: &Known<'_>, problems: &mut Vec<Problem>) -> Vec<PlannedOutput> {
    let plan = |output: &crate::workflow::OutputDecl| PlannedOutput {
        name: output.name.value.clone(),
        value: Folder::new(known, None, problems).written(&output.value),
        secret: output.secret,
        at: output.at,
    };
    known.workflow.outputs.iter().map(plan).collect()
}

struct Planner<'k> {
    known: &'k Known<'k>,
    lock: &'k str,
    components: &'k [PlannedComponent],
}

impl<'k> Planner<'k> {
    /// In the order of the file; the instances of a group one after the other.
    fn steps(&self, problems: &mut Vec<Problem>) -> Vec<PlannedStep> {
        let steps = &self.known.workflow.steps;
        let mut planned = Vec::new();
        let mut next = 0;
        while let Some(step) = steps.get(next) {
            let Some(group) = step.group else {
                planned.push(self.step(next, None, problems));
                next += 1;
                continue;
            };
            let end = steps[next..]
                .iter()
                .position(|other| other.group != Some(group))
                .map_or(steps.len(), |count| next + count);
            for instance in &self.known.instances[group] {
                planned.extend((next..end).map(|index| self.step(index, Some((group, instance)), problems)));
            }
            next = end;
        }
        planned
    }

    fn step(&self, index: usize, around: Option<(usize, &'k Instance)>, problems: &mut Vec<Problem>) -> PlannedStep {
        let workflow = self.known.workflow;
        let step = &workflow.steps[index];
        let key = around.map(|(_, instance)| instance.key.as_str());
        let id = path(workflow, index, key);
        let mut folder = Folder::new(self.known, around, problems);
        let on = step.on.as_ref().and_then(|on| match folder.written(on) {
            Input::Known(Value::String(name)) => Some(ClusterName(name)),
            _ => None,
        });
        let when = self.when(step, &mut folder);
        let inputs = folder.written(&step.body);
        self.explicit_needs(step, around, &mut folder);
        self.touch_granted(step, &mut folder);
        let Folder { needs, clusters, .. } = folder;
        PlannedStep {
            owner: format!("engine/{}/{id}", self.lock),
            id,
            kind: step.kind().clone(),
            doc: step.doc.clone(),
            on,
            clusters,
            inputs,
            needs: needs.into_iter().map(|(step, rule)| Need { step, rule }).collect(),
            when,
            effect: step.spec.effect.clone(),
            retry: retry(&step.retry, &workflow.retry),
            time_limit: time_limit(step, workflow.timeout_ms),
            wait_for_ms: wait_for(step),
            group: around.map(|(group, instance)| Membership { group, key: instance.key.clone() }),
            at: step.at,
        }
    }

    /// A step of a component may be asked anything that is granted, whatever its inputs name.
    fn touch_granted(&self, step: &Step, folder: &mut Folder<'_, '_>) {
        let family = step.kind().family();
        for component in self.components.iter().filter(|component| component.name == family) {
            component.grants.kubernetes.iter().for_each(|grant| folder.touch(&grant.cluster.0));
        }
    }

    /// A condition that is known to hold needs no evaluation; one that is known not to hold is kept, so that the skip can say why.
    fn when(&self, step: &Step, folder: &mut Folder<'_, '_>) -> Option<Late> {
        let formula = step.when.as_ref()?;
        match folder.formula(formula) {
            Input::Late(late) => Some(late),
            Input::Known(Value::Bool(true)) => None,
            _ => {
                let Code::Bare(expr) = &formula.code else {
                    unreachable!("`when` is a bare expression");
                };
                Some(Late::new(expr.text(), folder.names(expr, formula, 0), formula.at))
            }
        }
    }

    fn explicit_needs(&self, step: &Step, around: Option<(usize, &'k Instance)>, folder: &mut Folder<'_, '_>) {
        let names = &self.known.workflow.names;
        let group = around.map(|(group, instance)| (&self.known.workflow.groups[group], instance));
        let group_needs = group.map(|(group, _)| group.needs.as_slice()).unwrap_or_default();
        for Spanned { value: name, .. } in step.needs.iter().chain(group_needs) {
            let sibling = group.and_then(|(group, _)| names.groups[&group.id.value].steps.get(name));
            if let (Some(sibling), Some((_, instance))) = (sibling, group) {
                folder.wait(path(self.known.workflow, *sibling, Some(&instance.key)), NeedRule::Success);
            } else if let Some(step) = names.steps.get(name) {
                folder.wait(path(self.known.workflow, *step, None), NeedRule::Success);
            } else {
                let needed = &names.groups[name];
                for instance in &self.known.instances[needed.index] {
                    for step in needed.steps.values() {
                        folder.wait(path(self.known.workflow, *step, Some(&instance.key)), NeedRule::Success);
                    }
                }
            }
        }
    }
}

/// What the step says, then what `defaults` say, then the engine.
fn retry(own: &RetryFields, defaults: &RetryFields) -> RetryPolicy {
    let engine = RetryPolicy::default();
    let first_ms = own.first_ms.or(defaults.first_ms).unwrap_or(engine.first_ms);
    RetryPolicy {
        attempts: own.attempts.or(defaults.attempts).unwrap_or(engine.attempts),
        first_ms,
        // A pause that begins above the usual cap does not shrink.
        cap_ms: own.cap_ms.or(defaults.cap_ms).unwrap_or(engine.cap_ms).max(first_ms),
        backoff: own.backoff.or(defaults.backoff).unwrap_or(engine.backoff),
        on: own.on.clone().or_else(|| defaults.on.clone()).unwrap_or(engine.on),
    }
}

fn time_limit(step: &Step, default_ms: Option<u64>) -> TimeLimit {
    match step.spec.time_limit {
        TimeLimit::Action { timeout_ms } => {
            TimeLimit::Action { timeout_ms: step.timeout_ms.or(default_ms).unwrap_or(timeout_ms) }
        }
        TimeLimit::Wait { for_ms } => TimeLimit::Wait { for_ms: step.wait_for_ms.unwrap_or(for_ms) },
    }
}

fn wait_for(step: &Step) -> Option<u64> {
    match step.spec.time_limit {
        TimeLimit::Wait { for_ms } => Some(step.wait_for_ms.unwrap_or(for_ms)),
        TimeLimit::Action { .. } if step.waits => Some(step.wait_for_ms.unwrap_or(WAIT_FOR_DEFAULT_MS)),
        TimeLimit::Action { .. } => None,
    }
}
