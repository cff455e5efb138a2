//! The nodes `step` and `for-each` over steps.

use std::sync::Arc;

use serde_json::json;
use steps_sdk::StepSpec;
use steps_sdk::schema::{Reference, Schema, Shape};
use steps_sdk::spec::{About, OnCluster, Outputs, SHARED_CHILDREN, SpecSource};

use super::collect::{GroupHead, StepHead};
use super::decode::{Body, Child, Decoder};
use super::fields::{self, Form, check_form, legal};
use super::list::{bare, names_in};
use super::names::Names;
use super::settings::OnFailure;
use super::shared::{self, Shared};
use super::specs::Specs;
use super::types::{Group, Step};
use super::wording;
use super::written::{Content, Formula, Written};
use crate::diagnostic::{Problem, Spanned, nearest};
use crate::limits::PARALLEL_MAX;
use crate::syntax::{Node, Prop};

const PROPS: [&str; 4] = ["uses", "on", "when", "needs"];
const GROUP: Form = Form {
    what: "a `for-each` over steps",
    args_max: 1,
    props: &["in", "key", "as", "parallel", "on-failure"],
    children: &["needs", "step", "for-each", "call", "approve"],
};

/// `is_idle`: it stands in a template that the workflow includes and does not call.
pub(super) fn read(head: &StepHead<'_>, specs: &Specs, is_idle: bool, decoder: &mut Decoder<'_>) -> Step {
    let node = head.node;
    let spec = kind(node, specs, is_idle, decoder);
    decoder.subject = spec.as_ref().map_or_else(|| "step".to_owned(), |spec| spec.kind.to_string());
    check_props(node, spec.as_deref(), decoder.problems);
    let known = spec.clone().unwrap_or_else(unknown_spec);
    let (shared_nodes, own): (Vec<&Node>, Vec<&Node>) =
        node.children().iter().partition(|child| SHARED_CHILDREN.contains(&child.name.value.as_str()));
    // What an unknown kind waits for is unknown too.
    let is_clear = |node: &&&Node| spec.is_some() || !["wait", "timeout"].contains(&node.name.value.as_str());
    let shared_nodes: Vec<&Node> = shared_nodes.iter().filter(is_clear).copied().collect();
    let mut shared = shared::read(&shared_nodes, &known, decoder);
    if let Some(prop) = node.prop("needs") {
        shared.needs.extend(fields::text(&prop.value, "what is needed", decoder.problems));
    }
    let when = node.prop("when").and_then(|prop| bare(&prop.value, &Schema::of(Shape::Bool), "when", decoder.problems));
    let on = on_cluster(node, spec.as_deref(), decoder);
    let body = match &spec {
        Some(spec) => body(node, own, spec, decoder),
        None => shared::nothing(node.head()),
    };
    let Shared { doc, tags, needs, retry, timeout_ms, waits, wait_for_ms, wait } = shared;
    let body = shared::join(body, wait);
    Step {
        id: head.id.clone(),
        scope: head.scope,
        spec: known,
        doc,
        tags,
        on,
        when,
        needs,
        body,
        retry,
        timeout_ms,
        waits,
        wait_for_ms,
        at: node.head(),
    }
}

fn kind(node: &Node, specs: &Specs, is_idle: bool, decoder: &mut Decoder<'_>) -> Option<Arc<StepSpec>> {
    let Some(prop) = node.prop("uses") else {
        decoder.problems.push(
            Problem::error("L204", node.name.at, "a step says which kind it is")
                .help("write `step ID uses=FAMILY.VERB`; `engine explain` lists the kinds"),
        );
        return None;
    };
    let name = fields::text(&prop.value, "`uses`", decoder.problems)?;
    let spec = specs.get(&name.value).cloned();
    let family = |kind: &str| kind.split('.').next().map(str::to_owned);
    let is_foreign = specs.names.iter().all(|kind| family(kind) != family(&name.value));
    if spec.is_none() && !(is_idle && is_foreign) {
        decoder.problems.extend(unknown_kind(&name, specs, decoder.names));
    }
    spec
}

/// `None` when the family may be that of a component which was not loaded: that is told where it is used.
fn unknown_kind(name: &Spanned<String>, specs: &Specs, names: &Names) -> Option<Problem> {
    let family = name.value.split('.').next().unwrap_or_default();
    let is_of_family = |kind: &&str| kind.split('.').next() == Some(family);
    let built_in = || specs.names.iter().map(String::as_str);
    let is_loaded = matches!(specs.components.get(family), Some(Ok(_)));
    let may_be_told = match names.components.contains_key(family) {
        true => is_loaded,
        false => !names.has_nameless_component && !names.has_gaps,
    };
    if !may_be_told && !built_in().any(|kind| is_of_family(&kind)) {
        return None;
    }
    let loaded = || specs.components.values().flatten().flat_map(|component| &component.kinds).map(String::as_str);
    let of_family: Vec<&str> = built_in().chain(loaded()).filter(is_of_family).collect();
    let problem = Problem::error("L209", name.at, format!("unknown kind `{}`", name.value));
    let problem = match nearest(&name.value, built_in().chain(loaded())) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem,
    };
    let verb = if of_family.len() == 1 { "is" } else { "are" };
    Some(match (of_family.as_slice(), names.components.get(family)) {
        ([], _) => problem.help(format!(
            "this version has {}; kinds of a component need `use \"SOURCE\" as=FAMILY` at the top of the file",
            specs.names.join(", ")
        )),
        (_, Some(at)) => problem
            .related(*at, "the component that the family is from")
            .help(format!("it has {}", of_family.join(", "))),
        (_, None) => problem.help(format!("of this family there {verb}: {}", of_family.join(", "))),
    })
}

fn check_props(node: &Node, spec: Option<&StepSpec>, problems: &mut Vec<Problem>) {
    if let Some(extra) = node.args.get(1) {
        problems.push(
            Problem::error("L236", extra.at, "a step has one argument, its id")
                .help("what the kind takes stands in the block"),
        );
    }
    for Prop { name, .. } in node.props.iter().filter(|prop| !PROPS.contains(&prop.name.value.as_str())) {
        let problem = Problem::error("L203", name.at, format!("a step has no property `{}`", name.value));
        let is_input = spec.is_some_and(
            |spec| matches!(&spec.inputs.shape, Shape::Object(object) if object.field(&name.value).is_some()),
        );
        let is_child = is_input || SHARED_CHILDREN.contains(&name.value.as_str());
        let problem = match (is_child, nearest(&name.value, PROPS)) {
            (false, Some(near)) => problem.label(format!("did you mean `{near}`?")),
            _ => problem,
        };
        problems.push(if is_child {
            let place = legal(&name.value).unwrap_or("a child of the step: write its name and its value in the block");
            problem.help(format!("`{}` is {place}", name.value))
        } else {
            problem.help("properties of a step: `uses`, `on`, `when`, `needs`; what the kind takes stands in the block")
        });
    }
}

fn on_cluster(node: &Node, spec: Option<&StepSpec>, decoder: &mut Decoder<'_>) -> Option<Written> {
    let spec = spec?;
    match (node.prop("on"), spec.on) {
        (Some(prop), OnCluster::Refused) => {
            let problem = Problem::error("L215", prop.name.at, format!("{} takes no `on`", spec.kind));
            decoder.problems.push(problem.help("it names its clusters in its own fields, or touches none"));
            None
        }
        (None, OnCluster::Required) => {
            decoder.problems.push(
                Problem::error("L215", node.name.at, format!("{} works on a cluster, and none is named", spec.kind))
                    .help("write `on=CLUSTER` after `uses=`"),
            );
            None
        }
        (None, OnCluster::Optional | OnCluster::Refused) => None,
        (Some(prop), OnCluster::Required | OnCluster::Optional) => {
            Some(decoder.arg(&prop.value, &Schema::of(Shape::Reference(Reference::Cluster)), "on"))
        }
    }
}

fn body(node: &Node, own: Vec<&Node>, spec: &StepSpec, decoder: &mut Decoder<'_>) -> Written {
    let children: Vec<Child<'_>> = decoder.children(own);
    let body = Body { name: node.name.at, at: node.head(), args: &[], props: Vec::new(), children: Some(children) };
    let fields = match (&spec.inputs.shape, shared::is_map(&spec.inputs)) {
        (Shape::Object(shape), _) => decoder.object(&body, shape, ""),
        (_, Some(values)) => decoder.map_fields(&body, values, ""),
        _ => unreachable!("inputs are an object or a map: StepSpec::new refuses others"),
    };
    if let Outputs::SameAsInputs = spec.outputs {
        for name in fields.iter().map(|(name, value)| Spanned::new(name.clone(), value.at)) {
            if !is_output_name(&name.value) {
                let at = node.child(&name.value).map_or(name.at, |child| child.name.at);
                let problem =
                    Problem::error("L205", at, format!("`{}` cannot be an output of {}", name.value, spec.kind));
                decoder.problems.push(
                    problem.help(format!("outputs are read by expressions: write `{}`", output_name(&name.value))),
                );
            }
        }
    }
    Written::new(Content::Map(fields), node.head())
}

fn is_output_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn output_name(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    if name.starts_with(|c: char| c.is_ascii_lowercase()) { name } else { format!("v{name}") }
}

/// In place of a kind that is unknown: nothing that refers to such a step is wrong for that reason.
fn unknown_spec() -> Arc<StepSpec> {
    let source = SpecSource { inputs: json!({ "type": "object", "properties": {} }), outputs: json!(true) };
    Arc::new(
        StepSpec::new(About::converging("unknown.kind", ""), source).expect("an empty object is within the subset"),
    )
}

pub(super) fn read_group(head: &GroupHead<'_>, decoder: &mut Decoder<'_>) -> Option<Group> {
    let node = head.node;
    check_form(node, &GROUP, decoder.problems);
    let mut needs = Vec::new();
    let mut has_steps = false;
    for child in node.children() {
        match child.name.value.as_str() {
            "needs" => needs.extend(names_in(child, decoder.problems)),
            "approve" => decoder.problems.push(wording::unsupported(child.name.at, "`approve`")),
            "step" | "call" | "for-each" => has_steps = true,
            _ => {}
        }
    }
    if !has_steps {
        decoder.problems.push(
            Problem::error("L204", node.name.at, "a group needs at least one step")
                .help("a `for-each` at the top of a file repeats steps"),
        );
    }
    let (mut parallel, mut on_failure) = (None, OnFailure::Stop);
    for prop in &node.props {
        match prop.name.value.as_str() {
            "parallel" => parallel = fields::count(&prop.value, "`parallel`", PARALLEL_MAX, decoder.problems),
            "on-failure" => {
                let words = [("stop", OnFailure::Stop), ("finish-others", OnFailure::FinishOthers)];
                on_failure =
                    fields::word(&prop.value, "`on-failure`", &words, decoder.problems).unwrap_or(OnFailure::Stop);
            }
            _ => {}
        }
    }
    let key = node.prop("key").and_then(|prop| bare(&prop.value, &Schema::of(Shape::Any), "key", decoder.problems));
    let list = group_list(node, decoder)?;
    Some(Group {
        id: head.id.clone(),
        scope: head.scope,
        variable: head.variable.clone(),
        list,
        key,
        parallel,
        on_failure,
        needs,
        at: node.head(),
    })
}

fn group_list(node: &Node, decoder: &mut Decoder<'_>) -> Option<Formula> {
    let Some(prop) = node.prop("in") else {
        decoder
            .problems
            .push(Problem::error("L204", node.name.at, "a `for-each` needs a list").help("write `in=\"inputs.list\"`"));
        return None;
    };
    bare(&prop.value, &Schema::of(Shape::List(Box::new(Schema::of(Shape::Any)))), "in", decoder.problems)
}
