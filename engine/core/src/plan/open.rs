//! Groups opened: one instance for each element of a group's list, named by its key.

use std::collections::BTreeMap;

use steps_sdk::Value;

use super::evaluate::kind_of;
use crate::diagnostic::Problem;
use crate::expr::{EvalError, Values};
use crate::id::StepId;
use crate::limits::KEY_CHARACTERS_MAX;
use crate::workflow::{Code, Formula, Group, Workflow};

/// One instance of a group.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Instance {
    pub key: String,
    /// What the group's variable is in it.
    pub element: Value,
}

/// The instances of every group, by the group's index.
pub(super) fn open(
    workflow: &Workflow,
    known: &BTreeMap<String, Value>,
    problems: &mut Vec<Problem>,
) -> Vec<Vec<Instance>> {
    workflow.groups.iter().map(|group| instances(group, known, problems)).collect()
}

/// The path of a step, in an instance or outside of groups.
pub(super) fn path(workflow: &Workflow, step: usize, key: Option<&str>) -> StepId {
    let step = &workflow.steps[step];
    match (workflow.group_of(step), key) {
        (Some(group), Some(key)) => StepId::new(format!("{}[{key}].{}", group.id.value, step.id.value)),
        _ => StepId::new(step.id.value.clone()),
    }
}

fn instances(group: &Group, known: &BTreeMap<String, Value>, problems: &mut Vec<Problem>) -> Vec<Instance> {
    let elements = match compute(&group.list, known, None) {
        Ok(Value::Array(elements)) => elements,
        Ok(other) => {
            problems.push(Problem::error(
                "P006",
                group.list.at,
                format!("`in` is a list, and this gives {}", kind_of(&other)),
            ));
            return Vec::new();
        }
        Err(error) => {
            problems.push(failed(&group.list, &error, &format!("the list of group `{}`", group.id.value)));
            return Vec::new();
        }
    };
    let mut instances: Vec<Instance> = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (position, element) in elements.into_iter().enumerate() {
        let Some(key) = key_of(group, &element, position, known, problems) else {
            continue;
        };
        if let Some(first) = seen.insert(key.clone(), position) {
            let at = group.key.as_ref().map_or(group.list.at, |key| key.at);
            let problem =
                Problem::error("P005", at, format!("two instances of group `{}` have the key `{key}`", group.id.value));
            problems.push(
                problem
                    .label(format!("elements {first} and {position}"))
                    .help("a key names one instance in every run: use a field that is different in each element"),
            );
            continue;
        }
        instances.push(Instance { key, element });
    }
    instances
}

fn key_of(
    group: &Group,
    element: &Value,
    position: usize,
    known: &BTreeMap<String, Value>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let (value, at) = match &group.key {
        None => (element.clone(), group.list.at),
        Some(key) => match compute(key, known, Some((&group.variable.value, element))) {
            Ok(value) => (value, key.at),
            Err(error) => {
                problems.push(failed(key, &error, &format!("the key of element {position}")));
                return None;
            }
        },
    };
    let key = match value {
        Value::String(text) => text,
        Value::Number(number) if !number.is_f64() => number.to_string(),
        other => {
            problems.push(Problem::error(
                "P005",
                at,
                format!("the key of element {position} is {}, not a text", kind_of(&other)),
            ));
            return None;
        }
    };
    let is_word = key.starts_with(|c: char| c.is_ascii_alphanumeric())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !is_word || key.chars().count() > KEY_CHARACTERS_MAX {
        let problem = Problem::error("P005", at, format!("`{key}` cannot be the key of an instance"));
        problems.push(problem.help(format!("keys have up to {KEY_CHARACTERS_MAX} letters, digits, `.`, `_` and `-`, and begin with a letter or digit: they become parts of names on clusters")));
        return None;
    }
    Some(key)
}

fn compute(
    formula: &Formula,
    known: &BTreeMap<String, Value>,
    variable: Option<(&str, &Value)>,
) -> Result<Value, EvalError> {
    let mut values = Values::new();
    for (name, value) in known {
        values = values.with(name.as_str(), value);
    }
    if let Some((name, value)) = variable {
        values = values.with(name, value);
    }
    match &formula.code {
        Code::Bare(expr) => expr.evaluate(&values),
        Code::Template(template) => template.evaluate(&values),
    }
}

fn failed(formula: &Formula, error: &EvalError, what: &str) -> Problem {
    let at = error.range.clone().map_or(formula.at, |range| formula.inside(range));
    Problem::error("P007", at, format!("{what} cannot be computed: {}", error.message))
}
