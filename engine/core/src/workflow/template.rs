//! The nodes `template` and `call`: steps that are written once and made where they are called.
//!
//! A template is a closed scope. It sees its params and the workflow's inputs; who calls it sees its outputs. So what it does can
//! be read off the template and the call, and two calls never touch each other by accident.

use std::collections::BTreeMap;

use steps_sdk::schema::{Field, ObjectShape, Schema, Shape};

use super::collect::{CallHead, TemplateHead};
use super::decode::{Body, Decoder};
use super::fields::{self, Form, check_form};
use super::input::{self, Types};
use super::list::{bare, names_in};
use super::types::{Call, InputDecl, Template};
use super::written::{Content, Written};
use super::{outside, shared, wording};
use crate::diagnostic::{Problem, Spanned, nearest};
use crate::syntax::Node;

const TEMPLATE: Form = Form {
    what: "a template",
    args_max: 1,
    props: &[],
    children: &["doc", "param", "step", "for-each", "call", "output"],
};
const CALL_PROPS: [&str; 3] = ["uses", "when", "needs"];

pub(super) fn read<'d>(head: &TemplateHead<'d>, types: &mut Types<'d>, decoder: &mut Decoder<'_>) -> Template {
    let node = head.node;
    check_form(node, &TEMPLATE, decoder.problems);
    let makes_steps = |child: &Node| ["step", "for-each", "call"].contains(&child.name.value.as_str());
    if !node.children().iter().any(makes_steps) {
        decoder.problems.push(
            Problem::error("L204", node.name.at, "a template needs at least one step")
                .help("it stands for the steps that each call of it makes"),
        );
    }
    let doc = outside::only_child(node, "doc", decoder.problems).map(|child| shared::doc(child, decoder.problems));
    let params = params(node, types, decoder);
    let outputs = node.children().iter().filter(|child| child.name.value == "output");
    let outputs = outside::outputs(outputs, decoder);
    Template {
        name: head.name.clone(),
        doc: doc.unwrap_or_default(),
        params,
        outputs,
        early: BTreeMap::new(),
        inside: head.inside,
        at: node.head(),
    }
}

fn params<'d>(node: &'d Node, types: &mut Types<'d>, decoder: &mut Decoder<'_>) -> Vec<InputDecl> {
    let mut params: Vec<InputDecl> = Vec::new();
    for child in node.children().iter().filter(|child| child.name.value == "param") {
        let Some(name) = super::collect::identity(child, "a param", decoder.problems) else { continue };
        if name.value == "needs" {
            decoder.problems.push(
                Problem::error("L205", name.at, "a param cannot be called `needs`")
                    .help("in a call that is what it waits for: give the param another name"),
            );
        }
        if let Some(first) = params.iter().find(|param| param.name.value == name.value) {
            decoder.problems.push(wording::twice(&name, first.name.at));
        } else {
            params.extend(input::param(child, types, decoder));
        }
    }
    params
}

pub(super) fn read_call(head: &CallHead<'_>, templates: &[Template], decoder: &mut Decoder<'_>) -> Call {
    let node = head.node;
    check_props(node, decoder.problems);
    let template = template_of(node, decoder);
    let mut needs: Vec<Spanned<String>> = node
        .prop("needs")
        .and_then(|prop| fields::text(&prop.value, "what is needed", decoder.problems))
        .into_iter()
        .collect();
    for child in node.children().iter().filter(|child| child.name.value == "needs") {
        needs.extend(names_in(child, decoder.problems));
    }
    let when = node.prop("when").and_then(|prop| bare(&prop.value, &Schema::of(Shape::Bool), "when", decoder.problems));
    let args = match template {
        Some(index) => args(node, &templates[index], decoder),
        None => shared::nothing(node.head()),
    };
    Call { id: head.id.clone(), scope: head.scope, template, when, needs, args, at: node.head() }
}

fn check_props(node: &Node, problems: &mut Vec<Problem>) {
    if let Some(extra) = node.args.get(1) {
        problems.push(
            Problem::error("L236", extra.at, "a call has one argument, its id")
                .help("values for the template's params stand in the block: `call ID uses=TEMPLATE { PARAM VALUE }`"),
        );
    }
    for prop in node.props.iter().filter(|prop| !CALL_PROPS.contains(&prop.name.value.as_str())) {
        let problem = Problem::error("L203", prop.name.at, format!("a call has no property `{}`", prop.name.value));
        problems.push(match nearest(&prop.name.value, CALL_PROPS) {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None => problem.help(
                "properties of a call: `uses`, `when`, `needs`; values for the template's params stand in the block",
            ),
        });
    }
}

/// The template that a call names.
fn template_of(node: &Node, decoder: &mut Decoder<'_>) -> Option<usize> {
    let Some(prop) = node.prop("uses") else {
        decoder.problems.push(
            Problem::error("L204", node.name.at, "a call says which template it uses")
                .help("write `call ID uses=TEMPLATE { PARAM VALUE }`"),
        );
        return None;
    };
    let name = fields::text(&prop.value, "`uses`", decoder.problems)?;
    let known = decoder.names.templates.get(&name.value).map(|(index, _)| *index);
    if known.is_none() && !decoder.names.has_gaps {
        let templates = decoder.names.templates.keys().map(String::as_str);
        let problem = wording::unknown("L261", "template", &name, templates);
        decoder.problems.push(if name.value.contains('.') {
            problem.help("a `call` uses a template; a kind of step is used by `step ID uses=FAMILY.VERB`")
        } else {
            problem
        });
    }
    known
}

/// The values for the params, as the params' types direct.
fn args(node: &Node, template: &Template, decoder: &mut Decoder<'_>) -> Written {
    let is_param = |name: &str| template.params.iter().any(|param| param.name.value == name);
    let mut given: Vec<&Node> = Vec::new();
    for child in node.children() {
        let name = child.name.value.as_str();
        match (is_param(name), name) {
            (true, _) | (false, "for-each") => given.push(child),
            (false, "needs") => {}
            (false, _) => decoder.problems.push(unknown_param(&child.name, template)),
        }
    }
    let field = |param: &InputDecl| {
        let mut schema = param.schema.clone();
        schema.default = param.default.clone();
        if schema.doc.is_empty() {
            schema.doc.clone_from(&param.doc);
        }
        Field { name: param.name.value.clone(), required: param.default.is_none(), schema }
    };
    let shape = ObjectShape { fields: template.params.iter().map(field).collect(), ..ObjectShape::default() };
    decoder.subject.clone_from(&template.name.value);
    let children = Some(decoder.children(given));
    let body = Body { name: node.name.at, at: node.head(), args: &[], props: Vec::new(), children };
    let mut fields = decoder.object(&body, &shape, "");
    // A default of null is no value for `object`, and still what the param is when nothing is given.
    for param in template.params.iter().filter(|param| param.default == Some(serde_json::Value::Null)) {
        if fields.iter().all(|(name, _)| *name != param.name.value) {
            fields.push((param.name.value.clone(), Written::literal(serde_json::Value::Null, node.head())));
        }
    }
    Written::new(Content::Map(fields), node.head())
}

fn unknown_param(name: &Spanned<String>, template: &Template) -> Problem {
    let known: Vec<&str> = template.params.iter().map(|param| param.name.value.as_str()).collect();
    let title = &template.name.value;
    let problem = Problem::error("L230", name.at, format!("template `{title}` has no param `{}`", name.value))
        .related(template.name.at, "the template");
    let problem = match nearest(&name.value, known.iter().copied()) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem,
    };
    problem.help(if known.is_empty() { "it has no params".to_owned() } else { format!("params: {}", known.join(", ")) })
}
