//! Late values: the inputs, conditions and outputs of a plan, once the steps that they wait for have ended.
//!
//! Only the plan and facts go in, never the text of the workflow: a plan that was stored by another process evaluates alike. An
//! expression is parsed when it is first needed and kept with its [`Late`], so a retry parses nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, json};
use steps_sdk::value::ClusterName;
use steps_sdk::{Secret, Value};

use super::types::{Bound, Input, Late, Plan, PlannedOutput, PlannedStep, TextPart};
use crate::diagnostic::Place;
use crate::expr::{Binding, EvalError, EvalErrorKind, Expr, StepOutcome, Values};
use crate::id::{RunId, StepId, Timestamp};

/// What a run knows.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub fact: &'a dyn Fn(&StepId) -> Fact<'a>,
    pub run_id: &'a RunId,
    /// When the run began; the same after a resume.
    pub started: Timestamp,
}

/// What a run knows of one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fact<'a> {
    /// It has not ended.
    Unfinished,
    Succeeded(&'a Value),
    Skipped,
    /// Failed, or ended otherwise without outputs.
    Failed,
}

/// Why a late value could not be computed. The place is in the workflow's own files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvaluateError {
    pub at: Place,
    pub message: String,
    pub help: Option<String>,
}

/// The inputs that the step's kind is called with.
pub fn evaluate_inputs(step: &PlannedStep, facts: &Facts<'_>) -> Result<Value, EvaluateError> {
    evaluate(&step.inputs, &Surroundings { facts, element: None })
}

/// Where the kubeconfigs are of the clusters that a step works on and that are no contexts of this machine.
pub fn evaluate_kubeconfigs(
    plan: &Plan,
    step: &PlannedStep,
    facts: &Facts<'_>,
) -> Result<BTreeMap<ClusterName, Secret>, EvaluateError> {
    let mut kubeconfigs = BTreeMap::new();
    for cluster in plan.clusters.iter().filter(|cluster| step.clusters.contains(&cluster.name)) {
        let Some(from) = &cluster.from else { continue };
        let value = evaluate(from, &Surroundings { facts, element: None })?;
        let secret = serde_json::from_value(value).map_err(|error| EvaluateError {
            at: cluster.at,
            message: format!("the kubeconfig of cluster `{}` is no secret: {error}", cluster.name),
            help: Some("`from=` takes what a step gives as a secret, or a declared secret by its name".to_owned()),
        })?;
        kubeconfigs.insert(cluster.name.clone(), secret);
    }
    Ok(kubeconfigs)
}

/// The first condition that keeps the step from running, those of the calls around it before its own.
pub fn evaluate_when<'p>(step: &'p PlannedStep, facts: &Facts<'_>) -> Result<Option<&'p Late>, EvaluateError> {
    for when in step.conditions() {
        match evaluate_late(when, &Surroundings { facts, element: None })? {
            Value::Bool(true) => {}
            Value::Bool(false) => return Ok(Some(when)),
            other => {
                return Err(EvaluateError {
                    at: when.at,
                    message: format!("`when` gives {}, not true or false", kind_of(&other)),
                    help: Some(format!("compare it with something: `{} == …`", when.text)),
                });
            }
        }
    }
    Ok(None)
}

/// The outputs of the workflow, each with its value or the reason why it has none.
pub fn evaluate_outputs<'p>(
    plan: &'p Plan,
    facts: &Facts<'_>,
) -> Vec<(&'p PlannedOutput, Result<Value, EvaluateError>)> {
    let surroundings = Surroundings { facts, element: None };
    plan.outputs.iter().map(|output| (output, evaluate(&output.value, &surroundings))).collect()
}

/// Facts, and the elements of the repetitions around the evaluated place, innermost first.
struct Surroundings<'s, 'f> {
    facts: &'s Facts<'f>,
    element: Option<Element<'s>>,
}

#[derive(Clone, Copy)]
struct Element<'s> {
    name: &'s str,
    value: &'s Value,
    outer: Option<&'s Element<'s>>,
}

impl<'s> Surroundings<'s, '_> {
    fn element(&self, name: &str) -> Option<&'s Value> {
        let mut next = self.element.as_ref();
        while let Some(element) = next {
            if element.name == name {
                return Some(element.value);
            }
            next = element.outer;
        }
        None
    }
}

fn evaluate(input: &Input, around: &Surroundings<'_, '_>) -> Result<Value, EvaluateError> {
    match input {
        Input::Known(value) => Ok(value.clone()),
        Input::Secret(secret) => Ok(serde_json::to_value(secret).expect("a secret's place is plain JSON")),
        Input::Late(late) => evaluate_late(late, around),
        Input::Text(parts) => {
            let mut text = String::new();
            for part in parts {
                match part {
                    TextPart::Literal(literal) => text.push_str(literal),
                    TextPart::Late(late) => text.push_str(&with_values(late, around, Expr::evaluate_text)?),
                }
            }
            Ok(Value::String(text))
        }
        Input::List(items) => {
            let mut list = Vec::with_capacity(items.len());
            evaluate_items(items, around, &mut list)?;
            Ok(Value::Array(list))
        }
        Input::Map(fields) => {
            let mut map = Map::with_capacity(fields.len());
            for (name, field) in fields {
                map.insert(name.clone(), evaluate(field, around)?);
            }
            Ok(Value::Object(map))
        }
        Input::Repeat(_) => {
            let mut list = Vec::new();
            evaluate_items(std::slice::from_ref(input), around, &mut list)?;
            Ok(Value::Array(list))
        }
    }
}

fn evaluate_items(items: &[Input], around: &Surroundings<'_, '_>, list: &mut Vec<Value>) -> Result<(), EvaluateError> {
    for item in items {
        let Input::Repeat(repeat) = item else {
            list.push(evaluate(item, around)?);
            continue;
        };
        let elements = match evaluate_late(&repeat.list, around)? {
            Value::Array(elements) => elements,
            other => {
                let message = format!("`for-each {}` needs a list, `in` gives {}", repeat.name, kind_of(&other));
                return Err(EvaluateError { at: repeat.list.at, message, help: None });
            }
        };
        for value in &elements {
            let element = Some(Element { name: &repeat.name, value, outer: around.element.as_ref() });
            evaluate_items(&repeat.items, &Surroundings { facts: around.facts, element }, list)?;
        }
    }
    Ok(())
}

fn evaluate_late(late: &Late, around: &Surroundings<'_, '_>) -> Result<Value, EvaluateError> {
    with_values(late, around, Expr::evaluate)
}

fn with_values<T>(
    late: &Late,
    around: &Surroundings<'_, '_>,
    evaluate: impl FnOnce(&Expr, &Values<'_>) -> Result<T, EvalError>,
) -> Result<T, EvaluateError> {
    let expr = late.expr().map_err(|error| EvaluateError {
        at: late.at.part(error.range.start, error.range.end),
        message: format!("the stored plan holds an expression that this version cannot read: {}", error.message),
        help: None,
    })?;
    let mut values = Values::new();
    for (name, bound) in &late.names {
        if let Some(binding) = bind(&mut values, name, bound, around)? {
            values.bind(name, binding);
        }
    }
    evaluate(expr, &values).map_err(|error| explain(late, error, around.facts))
}

/// What a name is bound to, if it has a value; outcomes are kept under the path that the expression writes.
fn bind<'v, 'f: 'v>(
    values: &mut Values<'v>,
    path: &str,
    bound: &'v Bound,
    around: &Surroundings<'v, 'f>,
) -> Result<Option<Binding<'v>>, EvaluateError> {
    Ok(match bound {
        Bound::Value(value) => Some(Binding::Borrowed(value)),
        Bound::Element => {
            let value = around.element(path).expect("the planner binds an element only inside its repetition");
            Some(Binding::Borrowed(value))
        }
        Bound::Run => {
            let run = json!({ "id": around.facts.run_id.as_str(), "started": rfc3339(around.facts.started) });
            Some(Binding::Owned(run))
        }
        Bound::Step(id) => {
            let fact = (around.facts.fact)(id);
            if let Some(outcome) = outcome(fact) {
                values.set_outcome(path, outcome);
            }
            match fact {
                Fact::Succeeded(outputs) => Some(Binding::Borrowed(outputs)),
                Fact::Unfinished | Fact::Skipped | Fact::Failed => None,
            }
        }
        Bound::Call { steps, outputs } => {
            let outcome = outcome_of_call(steps, around.facts);
            if let Some(outcome) = outcome {
                values.set_outcome(path, outcome);
            }
            match outcome {
                Some(StepOutcome::Succeeded) => Some(fields(outputs, around)?),
                Some(StepOutcome::Failed | StepOutcome::Skipped) | None => None,
            }
        }
        Bound::Params(params) => Some(fields(params, around)?),
        Bound::Instances(instances) => {
            let mut by_key = BTreeMap::new();
            for (key, members) in instances {
                let mut by_name = BTreeMap::new();
                for (name, member) in members {
                    if let Some(binding) = bind(values, &format!("{path}[{key}].{name}"), member, around)? {
                        by_name.insert(name.clone(), binding);
                    }
                }
                by_key.insert(key.clone(), Binding::Fields(by_name));
            }
            Some(Binding::Fields(by_key))
        }
    })
}

/// Values of their own, with names of their own: none of them stands inside of a repetition.
fn fields<'v>(inputs: &BTreeMap<String, Input>, around: &Surroundings<'_, '_>) -> Result<Binding<'v>, EvaluateError> {
    let around = Surroundings { facts: around.facts, element: None };
    let mut fields = BTreeMap::new();
    for (name, input) in inputs {
        fields.insert(name.clone(), Binding::Owned(evaluate(input, &around)?));
    }
    Ok(Binding::Fields(fields))
}

/// A call has ended when all of its steps have; it has failed when one of them has, and was skipped when all of them were.
fn outcome_of_call(steps: &[StepId], facts: &Facts<'_>) -> Option<StepOutcome> {
    let outcomes: Option<Vec<StepOutcome>> = steps.iter().map(|step| outcome((facts.fact)(step))).collect();
    let outcomes = outcomes?;
    Some(if outcomes.contains(&StepOutcome::Failed) {
        StepOutcome::Failed
    } else if !outcomes.is_empty() && outcomes.iter().all(|outcome| *outcome == StepOutcome::Skipped) {
        StepOutcome::Skipped
    } else {
        StepOutcome::Succeeded
    })
}

fn outcome(fact: Fact<'_>) -> Option<StepOutcome> {
    match fact {
        Fact::Unfinished => None,
        Fact::Succeeded(_) => Some(StepOutcome::Succeeded),
        Fact::Skipped => Some(StepOutcome::Skipped),
        Fact::Failed => Some(StepOutcome::Failed),
    }
}

/// A name without a value is best explained by what became of its step.
fn explain(late: &Late, error: EvalError, facts: &Facts<'_>) -> EvaluateError {
    let at = error.range.map_or(late.at, |range| late.at.part(range.start, range.end));
    let mut message = error.message;
    let mut help = None;
    if error.kind == EvalErrorKind::Absent {
        let mut steps = BTreeSet::new();
        late.names.values().for_each(|bound| bound.steps(&mut steps));
        for id in steps {
            let what = match (facts.fact)(&id) {
                Fact::Succeeded(_) => continue,
                Fact::Skipped => "was skipped",
                Fact::Failed => "did not succeed",
                Fact::Unfinished => "has not ended",
            };
            message = format!("{message}; step `{id}` {what}, so it has no outputs");
            help = Some(format!("run it again, or ask first: `exists({id}) ? … : …`"));
            break;
        }
    }
    EvaluateError { at, message, help }
}

/// What a value is, for messages.
pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// RFC 3339 in UTC with whole seconds. The calendar is computed from the day's number (days since 1970-01-01, proleptic Gregorian),
/// counted in years that begin in March so that a leap day is the last of its year.
fn rfc3339(time: Timestamp) -> String {
    let seconds = time.0 / 1_000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let from_era = days + 719_468; // days from 0000-03-01 to 1970-01-01
    let (era, day_of_era) = (from_era / 146_097, from_era % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_507_200, "2026-11-24T08:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Timestamp(seconds * 1_000 + 999)), text);
        }
    }
}
