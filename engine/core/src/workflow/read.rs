//! From a tree to a workflow: the readers in their order.

use std::collections::BTreeSet;

use steps_sdk::Value;
use steps_sdk::schema::Schema;

use super::check::Checker;
use super::collect::{Collected, collect};
use super::decode::Decoder;
use super::header::{self, Header};
use super::include::Library;
use super::link::Look;
use super::names::{FILE, Names};
use super::specs::{Files, Specs};
use super::types::Workflow;
use super::{asked, component, include, input, link, outside, step, template};
use crate::diagnostic::{Problem, Spanned};
use crate::syntax::{Document, Node};

/// What [`read`] found.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Only when there is no error.
    pub workflow: Option<Workflow>,
    pub problems: Vec<Problem>,
    /// Paths of YAML files that were not among the given ones: read them and come back.
    pub wanted: Vec<Spanned<String>>,
}

/// The kinds that files name, so that only these have to be described.
pub fn kinds_used<'d>(documents: impl IntoIterator<Item = &'d Document>) -> Vec<String> {
    let mut kinds = Vec::new();
    let mut open: Vec<&Node> = documents.into_iter().flat_map(|document| &document.nodes).collect();
    open.reverse();
    while let Some(node) = open.pop() {
        match node.name.value.as_str() {
            "step" => kinds.extend(node.prop("uses").and_then(|prop| prop.value.as_str()).map(str::to_owned)),
            "for-each" | "template" => open.extend(node.children().iter().rev()),
            _ => {}
        }
    }
    kinds
}

/// Reads and checks a workflow.
pub fn read(document: &Document, library: &Library, specs: &Specs, files: &Files) -> Reading {
    let mut problems = Vec::new();
    let mut wanted = Vec::new();
    let documents = library.with(document);
    header::check_top_level(document, &mut problems);
    library.documents.iter().for_each(|included| include::check_top_level(included, &mut problems));
    documents.iter().for_each(|document| include::check(document, &mut problems));
    let header = header::read(document, &mut problems);
    let collected = collect(&documents, library.has_gaps, &mut problems);
    let idle = include::idle(&collected);
    let Collected { names, steps, groups, calls, templates } = collected;
    let mut decoder = Decoder {
        names: &names,
        files,
        problems: &mut problems,
        wanted_files: &mut wanted,
        scope: FILE,
        subject: "workflow".to_owned(),
    };
    let mut types = input::Types::of(&documents);
    types.read_all(&mut decoder);
    let inputs = input::read_all(document, &mut types, &mut decoder);
    let secrets = outside::secrets(document, decoder.problems);
    let clusters = outside::clusters(document, &mut decoder);
    let components = component::read_all(document, library, specs, &mut decoder);
    let lock = header.lock.and_then(|node| header::lock(node, &mut decoder));
    let templates: Vec<_> = templates
        .iter()
        .map(|head| template::read(head, &mut types, &mut decoder.within(head.inside, "template")))
        .collect();
    let read_groups: Vec<_> =
        groups.iter().map(|head| step::read_group(head, &mut decoder.within(head.scope, "for-each"))).collect();
    let is_idle = |scope| names.template_of(scope).is_some_and(|template| idle.contains(&template));
    let read_steps: Vec<_> = steps
        .iter()
        .map(|head| step::read(head, specs, is_idle(head.scope), &mut decoder.within(head.scope, "step")))
        .collect();
    let calls = calls
        .iter()
        .map(|head| template::read_call(head, &templates, &mut decoder.within(head.scope, "call")))
        .collect();
    for read in components.iter().filter(|read| read.is_clear) {
        asked::check(&read.component, &read_steps, decoder.problems);
    }
    let components = components.into_iter().map(|read| read.component).collect();
    let outputs = outside::outputs(document.nodes_named("output"), &mut decoder);
    let Header { name, version, doc, parallel, per_cluster, timeout_ms, retry, .. } = header;
    // A group without its list was reported; without it the steps inside have no place in the rest of the checks.
    let is_complete = read_groups.iter().all(Option::is_some);
    let groups = read_groups.into_iter().flatten().collect();
    if !is_complete {
        return Reading { workflow: None, problems: in_order(problems), wanted };
    }
    let workflow = Workflow {
        name,
        version,
        doc,
        lock,
        parallel,
        per_cluster,
        timeout_ms,
        retry,
        inputs,
        secrets,
        clusters,
        components,
        groups,
        steps: read_steps,
        calls,
        templates,
        outputs,
        names,
    };
    let workflow = checked(workflow, &idle, &mut problems);
    let is_sound = !problems.iter().any(Problem::is_error)
        && wanted.is_empty()
        && documents.iter().all(|document| document.is_whole);
    Reading { workflow: is_sound.then_some(workflow), problems: in_order(problems), wanted }
}

/// One value of a file of inputs: written as a default is.
pub(crate) fn read_value(node: &Node, schema: &Schema, names: &Names) -> Result<Value, Vec<Problem>> {
    let (mut problems, mut wanted) = (Vec::new(), Vec::new());
    let mut decoder = Decoder {
        names,
        files: &Files::default(),
        problems: &mut problems,
        wanted_files: &mut wanted,
        scope: FILE,
        subject: node.name.value.clone(),
    };
    let written = decoder.node(node, schema, &node.name.value);
    match written.as_literal() {
        Some(value) if problems.is_empty() => Ok(value),
        Some(_) => Err(problems),
        None => {
            problems.push(super::fields::computed(written.at, "the value of an input"));
            Err(problems)
        }
    }
}

/// A value that stands alone, outside of any workflow: no cluster, no secret and no expression is known there.
pub fn read_alone(node: &Node, schema: &Schema) -> Result<Value, Vec<Problem>> {
    read_value(node, schema, &Names::default())
}

fn checked(mut workflow: Workflow, idle: &BTreeSet<usize>, problems: &mut Vec<Problem>) -> Workflow {
    let order = link::link(&workflow, problems);
    let mut checker = Checker::new(&workflow, idle, problems);
    checker.check_early();
    let mut settled = Vec::new();
    for look in order {
        match look {
            Look::Step(step) => settled.push((look, checker.check_step(step))),
            Look::Call(call) => settled.push((look, checker.check_call(call))),
            Look::Template(template) => checker.check_template(template),
        }
    }
    checker.check_late();
    let early = checker.early;
    for (look, written) in settled {
        match look {
            Look::Step(step) => workflow.steps[step].body = written,
            Look::Call(call) => workflow.calls[call].args = written,
            Look::Template(_) => unreachable!("a template has no value of its own"),
        }
    }
    for (template, early) in workflow.templates.iter_mut().zip(early) {
        template.early = early;
    }
    workflow
}

/// As they stand in the file.
fn in_order(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort_by_key(|problem| problem.at);
    problems
}
