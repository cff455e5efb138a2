//! Late values: the inputs, conditions and outputs of a plan, once the steps that they wait for have ended.
//!
//! Only the plan and facts go in, never the text of the workflow: a plan that was stored by another process evaluates alike. An
//! expression is parsed when it is first needed and kept with its [`Late`], so a retry parses nothing.

use std::collections::BTreeMap;

use serde_json::{Map, json};
use steps_sdk::Value;

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

/// Whether the step runs; a step without `when` does.
pub fn evaluate_when(step: &PlannedStep, facts: &Facts<'_>) -> Result<bool, EvaluateError> {
    let Some(when) = &step.when else {
        return Ok(true);
    };
    match evaluate_late(when, &Surroundings { facts, element: None })? {
        Value::Bool(holds) => Ok(holds),
        other => Err(EvaluateError {
            at: when.at,
            message: format!("`when` gives {}, not true or false", kind_of(&other)),
            help: Some(format!("compare it with something: `{} == …`", when.text)),
        }),
    }
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
        bind(&mut values, name, bound, around);
    }
    evaluate(expr, &values).map_err(|error| explain(late, error, around.facts))
}

fn bind<'v, 'f: 'v>(values: &mut Values<'v>, name: &str, bound: &'v Bound, around: &Surroundings<'v, 'f>) {
    match bound {
        Bound::Value(value) => values.bind(name, Binding::Borrowed(value)),
        Bound::Element => {
            let value = around.element(name).expect("the planner binds an element only inside its repetition");
            values.bind(name, Binding::Borrowed(value));
        }
        Bound::Run => {
            let run = json!({ "id": around.facts.run_id.as_str(), "started": rfc3339(around.facts.started) });
            values.bind(name, Binding::Owned(run));
        }
        Bound::Step(id) => {
            let fact = (around.facts.fact)(id);
            if let Some(outcome) = outcome(fact) {
                values.set_outcome(name, outcome);
            }
            if let Fact::Succeeded(outputs) = fact {
                values.bind(name, Binding::Borrowed(outputs));
            }
        }
        Bound::Instances(instances) => {
            let mut by_key = BTreeMap::new();
            for (key, steps) in instances {
                let mut by_step = BTreeMap::new();
                for (step, id) in steps {
                    let fact = (around.facts.fact)(id);
                    if let Some(outcome) = outcome(fact) {
                        values.set_outcome(format!("{name}[{key}].{step}"), outcome);
                    }
                    if let Fact::Succeeded(outputs) = fact {
                        by_step.insert(step.clone(), Binding::Borrowed(outputs));
                    }
                }
                by_key.insert(key.clone(), Binding::Fields(by_step));
            }
            values.bind(name, Binding::Fields(by_key));
        }
    }
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
        for (id, fact) in late.names.values().flat_map(steps_of).map(|id| (id, (facts.fact)(id))) {
            let what = match fact {
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

/// The steps whose outputs a name stands for.
pub(super) fn steps_of(bound: &Bound) -> Vec<&StepId> {
    match bound {
        Bound::Step(id) => vec![id],
        Bound::Instances(instances) => instances.values().flat_map(BTreeMap::values).collect(),
        Bound::Value(_) | Bound::Run | Bound::Element => Vec::new(),
    }
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
