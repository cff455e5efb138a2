//! The input of a case, decoded by the language itself.
//!
//! A case becomes a workflow of one step: `input` is the step's body, `grant` and `limits` are those of the node `use`, and the
//! stages of the language read and plan it. So an input means exactly what it means in a workflow, with the same messages at the
//! same places, and nothing of the language is written twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine_core::diagnostic::{Place, Problem, Source, SourceId};
use engine_core::id::{RunId, Timestamp};
use engine_core::plan::{self, Fact, Facts, Plan};
use engine_core::syntax::{self, Document, Node, quoted};
use engine_core::workflow::{self, Files, Library, LoadedComponent, Specs};
use steps_sdk::grant::{DnsGrant, Grants, GuestLimits, HttpGrant, KubernetesGrant, Permission};
use steps_sdk::spec::TimeLimit;
use steps_sdk::value::ClusterName;
use steps_sdk::{StepSpec, Value};

use super::case::{Answer, Asked};
use super::form::Problems;
use super::kinds::Kinds;

/// What a case says about its step.
pub struct OneStep<'c> {
    pub case: &'c Node,
    pub spec: &'c Arc<StepSpec>,
    /// Where problems of what is not written are shown.
    pub kind_at: Place,
    pub on: Option<&'c str>,
    pub clusters: &'c BTreeSet<String>,
    pub answers: &'c [Answer],
}

/// What the language made of it.
pub struct Prepared {
    pub inputs: Value,
    pub grants: Grants,
    pub limits: GuestLimits,
    pub time: Duration,
    pub is_wait: bool,
}

pub fn prepare(one: &OneStep<'_>, kinds: &Kinds, problems: &mut Problems) -> Option<Prepared> {
    let document = document(one, kinds)?;
    // Without a `grant` the case grants what the kind asks for, so nothing can be missing.
    let is_granted = one.case.child("grant").is_some();
    let mut spec = StepSpec::clone(one.spec);
    if !is_granted {
        spec.asks.clear();
    }
    let name = spec.kind.to_string();
    let loaded = LoadedComponent { digest: kinds.digest.clone(), kinds: vec![name.clone()] };
    let specs = Specs {
        names: Vec::new(),
        described: BTreeMap::from([(name, Arc::new(spec))]),
        components: BTreeMap::from([(kinds.family.clone(), Ok(loaded))]),
    };
    let reading = workflow::read(&document, &Library::default(), &specs, &Files::default());
    for wanted in &reading.wanted {
        problems.push(
            Problem::error("A007", wanted.at, format!("the file `{}` is not read in a case", wanted.value))
                .help("a custom step gets files only as values of its inputs"),
        );
    }
    told(reading.problems, one, problems);
    let workflow = reading.workflow?;
    let plan = match plan::compile(&workflow, BTreeMap::new()) {
        Ok(plan) => plan,
        Err(found) => {
            told(found, one, problems);
            return None;
        }
    };
    prepared(plan, one, is_granted, problems)
}

fn prepared(plan: Plan, one: &OneStep<'_>, is_granted: bool, problems: &mut Problems) -> Option<Prepared> {
    let step = plan.steps.first()?;
    let unfinished = |_: &engine_core::id::StepId| Fact::Unfinished;
    let run_id = "case".parse::<RunId>().expect("a word is an id");
    let facts = Facts { fact: &unfinished, run_id: &run_id, started: Timestamp(0) };
    let inputs = match plan::evaluate_inputs(step, &facts) {
        Ok(inputs) => inputs,
        Err(error) => {
            let at = if error.at.source == one.kind_at.source { error.at } else { one.kind_at };
            problems.push(
                Problem::error("A007", at, "this cannot be computed in a case")
                    .help("a case has no steps and no inputs of a workflow: write the value itself"),
            );
            return None;
        }
    };
    let component = plan.components.first();
    let grants = match component {
        Some(component) if is_granted => component.grants.clone(),
        Some(_) | None => asked(one),
    };
    let limits = component.map_or_else(GuestLimits::default, |component| component.limits);
    let (time, is_wait) = match step.time_limit {
        TimeLimit::Action { timeout_ms } => (timeout_ms, false),
        TimeLimit::Wait { for_ms } => (step.wait_for_ms.unwrap_or(for_ms), true),
    };
    Some(Prepared { inputs, grants, limits, time: Duration::from_millis(time), is_wait })
}

/// The workflow of one step. What is not written in the case comes from a text of its own, whose places are told as the case's.
fn document(one: &OneStep<'_>, kinds: &Kinds) -> Option<Document> {
    let mut text = String::from("workflow case\n");
    for cluster in one.clusters {
        text.push_str(&format!("cluster {0} {{ kubeconfig context={0} }}\n", quoted(cluster)));
    }
    text.push_str(&format!("use \"./case.wasm\" as={}\n", quoted(&kinds.family)));
    text.push_str(&format!("step case uses={}", quoted(one.spec.kind.as_str())));
    if let Some(on) = one.on {
        text.push_str(&format!(" on={}", quoted(on)));
    }
    text.push('\n');
    let source = Source { name: "case".into(), text };
    let around = SourceId(one.kind_at.source.0 + 1);
    let (mut document, found) = syntax::parse(around, &source);
    if found.iter().any(Problem::is_error) {
        // A name of a cluster that no quotes can hold was reported where it stands.
        return None;
    }
    for node in &mut document.nodes {
        match node.name.value.as_str() {
            "use" => {
                let grant = one.case.child("grant");
                stand_at(node, grant.map_or(one.kind_at, |grant| grant.name.at));
                node.children = Some(grant.into_iter().chain(one.case.child("limits")).cloned().collect());
            }
            "step" => {
                let input = one.case.child("input");
                stand_at(node, input.map_or(one.kind_at, |input| input.name.at));
                if let Some(input) = input.cloned() {
                    node.children = input.children;
                }
            }
            _ => {}
        }
    }
    document.nodes.extend(one.case.children().iter().filter(|child| child.name.value == "secret").cloned());
    Some(document)
}

/// Gives a node that nobody wrote the place of one that somebody did: places of two texts in one node would make no sense.
fn stand_at(node: &mut Node, at: Place) {
    node.at = at;
    node.name.at = at;
    for arg in &mut node.args {
        arg.at = at;
    }
    for prop in &mut node.props {
        prop.name.at = at;
        prop.value.at = at;
    }
}

/// Problems of the language, at the case's places. Warnings are about workflows.
fn told(found: Vec<Problem>, one: &OneStep<'_>, problems: &mut Problems) {
    let own = one.kind_at.source;
    for mut problem in found.into_iter().filter(Problem::is_error) {
        problem.at = problem.at.map(|at| if at.source == own { at } else { one.kind_at });
        problem.related.retain(|(at, _)| at.source == own);
        if problem.fix.iter().any(|edit| edit.at.source != own) {
            problem.fix.clear();
        }
        problems.push(problem);
    }
}

/// What the kind asks for, with what it leaves to the file taken from the case's answers.
fn asked(one: &OneStep<'_>) -> Grants {
    let mut grants = Grants::default();
    for ask in &one.spec.asks {
        match &ask.what {
            Permission::Http { origin, methods, path } => {
                let origins: BTreeSet<String> = match origin {
                    Some(origin) => BTreeSet::from([origin.clone()]),
                    None => one.answers.iter().filter_map(origin_of).collect(),
                };
                grants.http.extend(origins.into_iter().map(|origin| HttpGrant {
                    origin,
                    methods: methods.clone(),
                    paths: path.clone().into_iter().collect(),
                    // Nothing is reached in a case.
                    private: true,
                    inject: None,
                }));
            }
            Permission::Kubernetes { verbs, kinds } => {
                grants.kubernetes.extend(one.clusters.iter().map(|cluster| KubernetesGrant {
                    cluster: ClusterName(cluster.clone()),
                    namespace: None,
                    verbs: verbs.clone(),
                    kinds: kinds.clone(),
                    names: Vec::new(),
                }));
            }
            Permission::Dns { domains } if domains.is_empty() => grants.dns.push(DnsGrant { domain: "*".into() }),
            Permission::Dns { domains } => {
                grants.dns.extend(domains.iter().map(|domain| DnsGrant { domain: domain.clone() }));
            }
        }
    }
    grants
}

/// Scheme, host and port of an answer over HTTP.
fn origin_of(answer: &Answer) -> Option<String> {
    let Asked::Http { url, .. } = &answer.asked else { return None };
    let url = url::Url::parse(url).ok()?;
    Some(url.origin().ascii_serialization())
}
