//! The workflow's inputs: from what a person gave to checked values.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use steps_sdk::schema::{Schema, Shape};

use crate::diagnostic::{Place, Problem, Severity, nearest};
use crate::expr::Values;
use crate::syntax::Node;
use crate::workflow::fit::{self, Misfit};
use crate::workflow::{Code, InputDecl, Workflow, read_value};

/// What a person gave for one input.
#[derive(Debug, Clone, PartialEq)]
pub enum InputValue {
    /// After `--var NAME=`: read by the input's type; lists and maps as JSON.
    Text(String),
    /// Already a value, for instance from a stored plan.
    Value(Value),
    /// A node of a `--var-file`, named like the input.
    Node(Node),
}

/// The value of every input, in the order of their declarations.
pub(super) fn fill(
    workflow: &Workflow,
    given: &BTreeMap<String, InputValue>,
    problems: &mut Vec<Problem>,
) -> Map<String, Value> {
    for name in given.keys() {
        if workflow.inputs.iter().all(|input| input.name.value != *name) {
            problems.push(unknown(workflow, name, &given[name]));
        }
    }
    let mut values = Map::new();
    let mut is_complete = true;
    for input in &workflow.inputs {
        match value_of(workflow, input, given.get(&input.name.value), problems) {
            Some(value) => drop(values.insert(input.name.value.clone(), value)),
            None => is_complete = false,
        }
    }
    // A check may look at several inputs: it is asked only when all of them have a value.
    if is_complete {
        let inputs = Value::Object(values.clone());
        for input in &workflow.inputs {
            check(input, &inputs, problems);
        }
    }
    values
}

fn value_of(
    workflow: &Workflow,
    input: &InputDecl,
    given: Option<&InputValue>,
    problems: &mut Vec<Problem>,
) -> Option<Value> {
    let name = &input.name.value;
    let refuse = |message: String, help: String| {
        Problem::error("P003", input.name.at, message).label("declared here").help(help)
    };
    let mut value = match given {
        None => match &input.default {
            Some(default) => default.clone(),
            None => {
                problems.push(missing(input));
                return None;
            }
        },
        Some(InputValue::Value(value)) => value.clone(),
        Some(InputValue::Text(text)) => match read_text(text, &input.schema) {
            Ok(value) => value,
            Err(reason) => {
                problems.push(refuse(format!("input `{name}` cannot be read: {reason}"), example(input)));
                return None;
            }
        },
        Some(InputValue::Node(node)) => match read_value(node, &input.schema, &workflow.names) {
            Ok(value) => value,
            Err(found) => {
                problems.extend(found);
                return None;
            }
        },
    };
    fit::complete(&mut value, &input.schema);
    let misfits = fit::misfits(&value, &input.schema, name);
    let is_sound = misfits.is_empty();
    for Misfit { message, help, .. } in misfits {
        problems.push(refuse(named(name, message), help.unwrap_or_else(|| example(input))));
    }
    let mut clusters = Vec::new();
    fit::clusters_in(&value, &input.schema, &mut clusters);
    let mut all_known = true;
    for cluster in clusters {
        if !workflow.names.clusters.contains_key(cluster) {
            problems.push(unknown_cluster(workflow, cluster, input.name.at, &format!("input `{name}`")));
            all_known = false;
        }
    }
    (is_sound && all_known).then_some(value)
}

pub(super) fn unknown_cluster(workflow: &Workflow, cluster: &str, at: Place, who: &str) -> Problem {
    let known: Vec<&str> = workflow.names.clusters.keys().map(String::as_str).collect();
    let problem =
        Problem::error("P010", at, format!("{who} names the cluster `{cluster}`, which the workflow does not declare"));
    match nearest(cluster, known.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`? clusters: {}", known.join(", "))),
        None if known.is_empty() => {
            problem.help(format!("declare it: `cluster {cluster} {{ kubeconfig context=NAME }}`"))
        }
        None => problem.help(format!("clusters: {}", known.join(", "))),
    }
}

/// By the type: a text as it is, numbers and truth in their own form, the rest as JSON.
fn read_text(text: &str, schema: &Schema) -> Result<Value, String> {
    match &schema.shape {
        Shape::String(_) | Shape::Enum(_) | Shape::Reference(_) | Shape::Predicate => {
            Ok(Value::String(text.to_owned()))
        }
        Shape::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(format!("`{text}` is neither `true` nor `false`")),
        },
        Shape::Integer { .. } => match (text.parse::<i64>(), text.parse::<u64>()) {
            (Ok(number), _) => Ok(number.into()),
            (_, Ok(number)) => Ok(number.into()),
            _ => Err(format!("`{text}` is not a whole number")),
        },
        Shape::Number => text
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(Value::from)
            .ok_or_else(|| format!("`{text}` is not a number")),
        Shape::Any => Ok(serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))),
        Shape::List(_) | Shape::Map(_) | Shape::Object(_) | Shape::OneOf(_) | Shape::YamlTemplate => {
            serde_json::from_str(text).map_err(|error| format!("`{text}` is not JSON: {error}"))
        }
    }
}

/// Says of which input a message speaks, if the message itself does not.
fn named(name: &str, message: String) -> String {
    if message.contains(&format!("`{name}")) { message } else { format!("input `{name}`: {message}") }
}

fn missing(input: &InputDecl) -> Problem {
    let doc = if input.doc.is_empty() { String::new() } else { format!(": {}", input.doc) };
    Problem::error("P001", input.name.at, format!("input `{}` has no value", input.name.value))
        .label(format!("{}, without a default", input.type_text))
        .help(format!("{}{doc}", example(input)))
}

fn example(input: &InputDecl) -> String {
    let name = &input.name.value;
    match &input.schema.shape {
        Shape::List(_) => format!("pass it as JSON: `--var '{name}=[…]'`"),
        Shape::Map(_) | Shape::Object(_) => format!("pass it as JSON: `--var '{name}={{…}}'`"),
        _ => format!("pass `--var {name}=VALUE`"),
    }
}

fn unknown(workflow: &Workflow, name: &str, given: &InputValue) -> Problem {
    let known: Vec<&str> = workflow.inputs.iter().map(|input| input.name.value.as_str()).collect();
    let help = match (nearest(name, known.iter().copied()), known.is_empty()) {
        (Some(near), _) => format!("did you mean `{near}`? inputs: {}", known.join(", ")),
        (None, true) => "it takes none: declare it with `input NAME type=…`".to_owned(),
        (None, false) => format!("inputs: {}", known.join(", ")),
    };
    let at = match given {
        InputValue::Node(node) => Some(node.name.at),
        InputValue::Text(_) | InputValue::Value(_) => None,
    };
    Problem {
        code: "P002",
        severity: Severity::Error,
        message: format!("workflow `{}` has no input `{name}`", workflow.name.value),
        at,
        label: String::new(),
        related: Vec::new(),
        help: Some(help),
        fix: Vec::new(),
    }
}

fn check(input: &InputDecl, inputs: &Value, problems: &mut Vec<Problem>) {
    for check in &input.checks {
        let Code::Bare(expr) = &check.condition.code else {
            unreachable!("a check is a bare expression");
        };
        let at = check.condition.at;
        match expr.evaluate(&Values::new().with("inputs", inputs)) {
            Ok(Value::Bool(true)) => {}
            Ok(_) => {
                let message = check.message.clone().unwrap_or_else(|| format!("`{}` does not hold", expr.text()));
                let problem = Problem::error("P004", at, format!("input `{}`: {message}", input.name.value));
                problems.push(problem.label("this must hold").help(example(input)));
            }
            Err(error) => {
                let place = error.range.map_or(at, |range| check.condition.inside(range));
                problems.push(Problem::error(
                    "P007",
                    place,
                    format!("the check of input `{}` cannot be computed: {}", input.name.value, error.message),
                ));
            }
        }
    }
}
