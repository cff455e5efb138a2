//! Workflow and inputs become a plan.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use steps_sdk::spec::TimeLimit;
use steps_sdk::value::ClusterName;

use super::fold::{Folder, Known};
use super::inputs::{self, InputValue};
use super::tree::{Opening, ROOT, SiteId};
use super::types::*;
use super::{component, digest, open, order};
use crate::diagnostic::{Problem, Spanned};
use crate::id::Digest;
use crate::limits::{PARALLEL_DEFAULT, PER_CLUSTER_DEFAULT, WAIT_FOR_DEFAULT_MS};
use crate::workflow::names::FILE;
use crate::workflow::outside::not_a_workspace;
use crate::workflow::{RetryFields, Step, Workflow, Written};

/// Fills in the inputs, opens the groups, computes what is known, orders the steps. All problems come at once.
pub fn compile(workflow: &Workflow, given: BTreeMap<String, InputValue>) -> Result<Plan, Vec<Problem>> {
    let mut problems = Vec::new();
    let values = inputs::fill(workflow, &given, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    let roots = roots(workflow, &values);
    let (mut known, groups) = open::open(workflow, roots, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    known.fold_kubeconfigs();
    let lock = lock(&known, &mut problems);
    let clusters = clusters(&known, &mut problems);
    let components = component::components(&known, &mut problems);
    let steps = Planner { known: &known, lock: &lock, components: &components }.steps(&mut problems);
    let outputs = outputs(&known, &mut problems);
    problems.extend(known.problems());
    if !problems.is_empty() {
        return Err(problems);
    }
    let kinds = kinds(workflow, &steps);
    let steps = order::sort(steps).map_err(|circle| vec![made_by_itself(&clusters, &circle)])?;
    let mut plan = Plan {
        format: PLAN_FORMAT,
        workflow: workflow.name.value.clone(),
        lock,
        digest: Digest::of_bytes(&[]),
        kinds,
        steps,
        groups,
        clusters,
        components,
        outputs,
        limits: RunLimits {
            parallel: workflow.parallel.unwrap_or(PARALLEL_DEFAULT),
            per_cluster: workflow.per_cluster.unwrap_or(PER_CLUSTER_DEFAULT),
        },
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

/// Of the kinds that the plan uses: a template that is not called uses none.
fn kinds(workflow: &Workflow, steps: &[PlannedStep]) -> BTreeMap<steps_sdk::StepKind, KindPin> {
    let used: BTreeSet<&steps_sdk::StepKind> = steps.iter().map(|step| &step.kind).collect();
    let mut kinds = BTreeMap::new();
    for step in workflow.steps.iter().filter(|step| used.contains(step.kind())) {
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
    match Folder::new(known, ROOT, problems).written(written) {
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
        from: known.kubeconfigs.get(&cluster.name.value).map(|folded| folded.input.clone()),
        workspace: cluster.workspace.as_ref().and_then(|path| workspace(known, path, problems)),
        identity: cluster.identity.as_ref().and_then(|uid| early_text(known, uid, "the cluster's uid", problems)),
        at: cluster.at,
    };
    known.workflow.clusters.iter().map(plan).collect()
}

fn workspace(known: &Known<'_>, written: &Written, problems: &mut Vec<Problem>) -> Option<String> {
    let path = early_text(known, written, "the cluster's workspace", problems)?;
    if let Some((message, help)) = not_a_workspace(&path) {
        problems.push(Problem::error("P006", written.at, message).label("computed from the inputs").help(help));
    }
    Some(path)
}

/// Circles between steps were looked for before the clusters of computed `on`s were known.
fn made_by_itself(clusters: &[PlannedCluster], circle: &[PlannedStep]) -> Problem {
    let is_on = |cluster: &&PlannedCluster| {
        let made_by = cluster.made_by();
        circle
            .iter()
            .any(|step| step.clusters.contains(&cluster.name) && circle.iter().any(|other| made_by.contains(&other.id)))
    };
    let cluster = clusters.iter().find(is_on).expect("nothing but a cluster that a step makes can close a circle here");
    let names: Vec<&str> = circle.iter().chain(circle.first()).map(|step| step.id.as_str()).collect();
    let message =
        format!("cluster `{}` is made by a step that waits for a step on it: {}", cluster.name, names.join(" → "));
    Problem::error("P014", cluster.at, message)
        .related(circle[0].at, format!("`{}` stands here", circle[0].id))
        .help("give the step another cluster, or make the kubeconfig in a step that needs nothing of this cluster")
}

fn outputs(known: &Known<'_>, problems: &mut Vec<Problem>) -> Vec<PlannedOutput> {
    let plan = |output: &crate::workflow::OutputDecl| PlannedOutput {
        name: output.name.value.clone(),
        value: Folder::new(known, ROOT, problems).written(&output.value),
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

impl Planner<'_> {
    /// In the order of the file; the instances of a group one after the other.
    fn steps(&self, problems: &mut Vec<Problem>) -> Vec<PlannedStep> {
        let mut found = Vec::new();
        for member in &self.known.workflow.names.scope(FILE).members {
            self.known.tree.steps_of(*member, ROOT, &self.known.workflow.names, &mut found);
        }
        let plan = |(index, site): (usize, SiteId)| {
            let before = problems.len();
            let planned = self.step(index, site, problems);
            self.known.tell_calls(site, &mut problems[before..]);
            planned
        };
        found.into_iter().map(plan).collect()
    }

    fn step(&self, index: usize, site: SiteId, problems: &mut Vec<Problem>) -> PlannedStep {
        let workflow = self.known.workflow;
        let step = &workflow.steps[index];
        let id = self.known.path(index, site);
        let mut folder = Folder::new(self.known, site, problems);
        let on = step.on.as_ref().and_then(|on| match folder.written(on) {
            Input::Known(Value::String(name)) => Some(ClusterName(name)),
            _ => None,
        });
        let when = step.when.as_ref().and_then(|when| folder.condition(when));
        let inputs = folder.written(&step.body);
        self.explicit_needs(step, site, &mut folder);
        self.touch_granted(step, &mut folder);
        let Folder { mut needs, clusters, .. } = folder;
        self.known.wait_for_clusters(&clusters, &mut needs);
        let under = self.known.conditions(site, &mut needs);
        PlannedStep {
            owner: format!("engine/{}/{id}", self.lock),
            id,
            kind: step.kind().clone(),
            doc: step.doc.clone(),
            on,
            clusters,
            inputs,
            needs: needs.into_iter().map(|(step, rule)| Need { step, rule }).collect(),
            under,
            when,
            effect: step.spec.effect.clone(),
            retry: retry(&step.retry, &workflow.retry),
            time_limit: time_limit(step, workflow.timeout_ms),
            wait_for_ms: wait_for(step),
            group: self.known.tree.instance_around(site).map(|instance| instance.member.clone()),
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

    /// What the step names, and what the groups and calls around it do: that holds for all of their steps.
    fn explicit_needs(&self, step: &Step, site: SiteId, folder: &mut Folder<'_, '_>) {
        let (workflow, tree) = (self.known.workflow, &self.known.tree);
        let mut need = |names: &[Spanned<String>], from: SiteId| {
            for Spanned { value: name, .. } in names {
                let found = workflow.names.find(name, tree.site(from).scope);
                let (scope, member) = found.expect("a workflow without errors needs only what is there");
                for path in self.known.paths(member, tree.site_of(scope, from)) {
                    folder.wait(path, NeedRule::Success);
                }
            }
        };
        need(&step.needs, site);
        for (_, around) in tree.around(site) {
            match (&around.opening, around.outer) {
                (Opening::Instance(instance), Some(outer)) => need(&workflow.groups[instance.group].needs, outer),
                (Opening::Call(call), Some(outer)) => need(&workflow.calls[call.call].needs, outer),
                (Opening::File, _) | (_, None) => {}
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
