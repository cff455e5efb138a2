//! Evaluation over JSON values, within fixed bounds.
//!
//! Every node that is visited is one step, and work that grows with the data (comparing, joining, walking a list) is charged for
//! its size; when the budget of [`EVALUATION_STEPS_MAX`] is used up, the evaluation ends with an error. So nested comprehensions
//! end, and no text doubles itself out of memory.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;

use regex::{Regex, RegexBuilder};
use steps_sdk::Value;

use crate::limits::{EVALUATION_STEPS_MAX, VALUE_BYTES_MAX};

use super::functions::{self, Takes};
use super::operators;
use super::references::step_path;
use super::tree::{Call, Comprehension, Kind, Macro, Node, Operator};
use super::val::{BYTES_PER_STEP, Val};
use super::values::{StepOutcome, Values};

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    pub kind: EvalErrorKind,
    pub message: String,
    /// Bytes of the expression, where the part at fault is known.
    pub range: Option<Range<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvalErrorKind {
    /// A name, field, key or element is not there.
    Absent,
    /// An operation does not apply to these values: wrong types, division by zero, overflow.
    Invalid,
    /// More steps or bytes than an evaluation may take.
    TooLarge,
}

impl EvalError {
    pub(super) fn invalid(message: impl Into<String>, range: &Range<usize>) -> EvalError {
        EvalError { kind: EvalErrorKind::Invalid, message: message.into(), range: Some(range.clone()) }
    }

    fn absent(message: impl Into<String>, range: &Range<usize>) -> EvalError {
        EvalError { kind: EvalErrorKind::Absent, message: message.into(), range: Some(range.clone()) }
    }

    pub(super) fn too_large() -> EvalError {
        let message = format!("the result has more than {VALUE_BYTES_MAX} bytes");
        EvalError { kind: EvalErrorKind::TooLarge, message, range: None }
    }
}

/// The value of a tree as JSON.
pub fn evaluate(node: &Node, values: &Values<'_>) -> Result<Value, EvalError> {
    let evaluator = Evaluator::new(values);
    let value = evaluator.value(node, None)?;
    let mut bytes_left = VALUE_BYTES_MAX;
    value.to_json(&mut bytes_left).ok_or_else(EvalError::too_large)
}

/// The value of a tree as a part of a text.
pub fn evaluate_text(node: &Node, values: &Values<'_>) -> Result<String, EvalError> {
    let evaluator = Evaluator::new(values);
    let value = evaluator.value(node, None)?;
    match value.scalar_text() {
        Some(text) => Ok(text.into_owned()),
        None => Err(EvalError::invalid(format!("{} cannot stand in a text", value.kind()), &node.range)),
    }
}

/// Variables of the comprehensions around a node, innermost first.
struct Variables<'s, 'a> {
    name: &'s str,
    value: Val<'a>,
    outer: Option<&'s Variables<'s, 'a>>,
}

type Scope<'s, 'a> = Option<&'s Variables<'s, 'a>>;

struct Evaluator<'a> {
    values: &'a Values<'a>,
    steps_left: Cell<u64>,
    patterns: RefCell<HashMap<String, Regex>>,
}

impl<'a> Evaluator<'a> {
    fn new(values: &'a Values<'a>) -> Self {
        Evaluator { values, steps_left: Cell::new(EVALUATION_STEPS_MAX), patterns: RefCell::default() }
    }

    fn charge(&self, steps: u64) -> Result<(), EvalError> {
        match self.steps_left.get().checked_sub(steps) {
            Some(left) => {
                self.steps_left.set(left);
                Ok(())
            }
            None => {
                let message = format!("the expression takes more than {EVALUATION_STEPS_MAX} steps");
                Err(EvalError { kind: EvalErrorKind::TooLarge, message, range: None })
            }
        }
    }

    /// Charges for a value that was made, and refuses one that is too large.
    fn made(&self, value: Val<'a>) -> Result<Val<'a>, EvalError> {
        let size = match &value {
            Val::Text(text) => text.len(),
            Val::List(items) => items.len() * 8,
            _ => 0,
        };
        if size > VALUE_BYTES_MAX {
            return Err(EvalError::too_large());
        }
        self.charge(size as u64 / BYTES_PER_STEP)?;
        Ok(value)
    }

    fn value(&self, node: &'a Node, scope: Scope<'_, 'a>) -> Result<Val<'a>, EvalError> {
        self.charge(1)?;
        match &node.kind {
            Kind::Null => Ok(Val::Null),
            Kind::Bool(value) => Ok(Val::Bool(*value)),
            Kind::Int(value) => Ok(Val::Int(*value)),
            Kind::Float(value) => Ok(Val::Float(*value)),
            Kind::Text(text) => Ok(Val::Text(text.as_str().into())),
            Kind::Name(name) => self.name(name, &node.range, scope),
            Kind::Field { of, name, at } => self.field(of, name, at, scope),
            Kind::Has { of, name, at } => {
                let owner = self.value(of, scope)?;
                match owner.is_map() {
                    true => Ok(Val::Bool(owner.field(name).is_some())),
                    false => Err(EvalError::invalid(format!("{} has no fields", owner.kind()), at)),
                }
            }
            Kind::Index { of, index } => self.index(of, index, &node.range, scope),
            Kind::Call(call) => self.call(call, &node.range, scope),
            Kind::Not(of) => Ok(Val::Bool(!self.condition(of, scope)?)),
            Kind::Negate(of) => {
                operators::negate(&self.value(of, scope)?).map_err(|why| EvalError::invalid(why, &node.range))
            }
            Kind::Binary { operator, left, right, at } => self.binary(*operator, left, right, at, scope),
            Kind::All(terms) => self.terms(terms, false, scope),
            Kind::Any(terms) => self.terms(terms, true, scope),
            Kind::Choice { condition, yes, no } => {
                self.value(if self.condition(condition, scope)? { yes } else { no }, scope)
            }
            Kind::List(items) => {
                let items = items.iter().map(|item| self.value(item, scope)).collect::<Result<_, _>>()?;
                self.made(Val::list(items))
            }
            Kind::Map(entries) => self.map(entries, scope),
            Kind::Comprehension(comprehension) => self.comprehension(comprehension, scope),
        }
    }

    fn name(&self, name: &str, range: &Range<usize>, scope: Scope<'_, 'a>) -> Result<Val<'a>, EvalError> {
        let mut inner = scope;
        while let Some(variables) = inner {
            if variables.name == name {
                return Ok(variables.value.clone());
            }
            inner = variables.outer;
        }
        match self.values.binding(name) {
            Some(binding) => Ok(Val::of_binding(binding)),
            None => Err(EvalError::absent(format!("`{name}` has no value"), range)),
        }
    }

    fn field(&self, of: &'a Node, name: &str, at: &Range<usize>, scope: Scope<'_, 'a>) -> Result<Val<'a>, EvalError> {
        let owner = self.value(of, scope)?;
        match owner.field(name) {
            Some(value) => Ok(value),
            None if owner.is_map() || matches!(owner, Val::Null | Val::Version(_) | Val::Network(_)) => {
                Err(EvalError::absent(format!("there is no field `{name}`"), at))
            }
            None => Err(EvalError::invalid(format!("{} has no fields, so no `{name}`", owner.kind()), at)),
        }
    }

    fn index(
        &self,
        of: &'a Node,
        index: &'a Node,
        range: &Range<usize>,
        scope: Scope<'_, 'a>,
    ) -> Result<Val<'a>, EvalError> {
        let owner = self.value(of, scope)?;
        let index = self.value(index, scope)?;
        match (&owner, &index) {
            (Val::Null, _) => Err(EvalError::absent("null has no elements", range)),
            (_, Val::Text(key)) if owner.is_map() => owner
                .field(key)
                .ok_or_else(|| EvalError::absent(format!("there is no key `{}`", functions::shortened(key)), range)),
            (Val::JsonList(_) | Val::List(_), key) if let Some(position) = key.position() => {
                owner.element(position).ok_or_else(|| {
                    let len = owner.len().unwrap_or(0);
                    let message = format!("there is no element {position}: the list has {len}, counted from 0");
                    EvalError::absent(message, range)
                })
            }
            _ => Err(EvalError::invalid(format!("{} has no element under {}", owner.kind(), index.kind()), range)),
        }
    }

    fn condition(&self, node: &'a Node, scope: Scope<'_, 'a>) -> Result<bool, EvalError> {
        match self.value(node, scope)? {
            Val::Bool(value) => Ok(value),
            other => {
                Err(EvalError::invalid(format!("a condition is true or false, not {}", other.kind()), &node.range))
            }
        }
    }

    /// `&&` and `||`. As in CEL, a term that decides counts even when another has no value, whichever stands first: the result does
    /// not depend on the order.
    fn terms(&self, terms: &'a [Node], decides: bool, scope: Scope<'_, 'a>) -> Result<Val<'a>, EvalError> {
        let mut first_error = None;
        for term in terms {
            match self.condition(term, scope) {
                Ok(value) if value == decides => return Ok(Val::Bool(decides)),
                Ok(_) => {}
                Err(error) if error.kind == EvalErrorKind::TooLarge => return Err(error),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        first_error.map_or(Ok(Val::Bool(!decides)), Err)
    }

    fn binary(
        &self,
        operator: Operator,
        left: &'a Node,
        right: &'a Node,
        at: &Range<usize>,
        scope: Scope<'_, 'a>,
    ) -> Result<Val<'a>, EvalError> {
        let (left, right) = (self.value(left, scope)?, self.value(right, scope)?);
        let mut cost = 0;
        let value = operators::apply(operator, &left, &right, &mut cost).map_err(|why| EvalError::invalid(why, at))?;
        self.charge(cost)?;
        self.made(value)
    }

    fn map(&self, entries: &'a [(Node, Node)], scope: Scope<'_, 'a>) -> Result<Val<'a>, EvalError> {
        let mut made: Vec<(String, Val<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let name = match self.value(key, scope)? {
                Val::Text(name) => name.into_owned(),
                other => {
                    return Err(EvalError::invalid(format!("a key is a string, not {}", other.kind()), &key.range));
                }
            };
            if made.iter().any(|(known, _)| *known == name) {
                return Err(EvalError::invalid(
                    format!("the key `{}` is there twice", functions::shortened(&name)),
                    &key.range,
                ));
            }
            self.charge(made.len() as u64 / BYTES_PER_STEP)?;
            made.push((name, self.value(value, scope)?));
        }
        Ok(Val::Map(made.into()))
    }

    fn call(&self, call: &'a Call, range: &Range<usize>, scope: Scope<'_, 'a>) -> Result<Val<'a>, EvalError> {
        let found = functions::by_name(&call.name).filter(|function| function.may_be_called(call.target.is_some()));
        let Some(function) = found else {
            return Err(EvalError::invalid(format!("there is no function `{}`", call.name), &call.at));
        };
        let nodes: Vec<&'a Node> = call.target.as_deref().into_iter().chain(&call.args).collect();
        if nodes.len() != function.takes.len() {
            return Err(EvalError::invalid(format!("write `{}`", function.usage()), range));
        }
        if function.takes == [Takes::Step] {
            return self.outcome(&call.name, nodes[0], scope);
        }
        let args: Vec<Val<'a>> = nodes.into_iter().map(|node| self.value(node, scope)).collect::<Result<_, _>>()?;
        for arg in &args {
            // What a function reads costs as much as what it makes.
            self.charge(match arg {
                Val::Text(text) => text.len() as u64 / BYTES_PER_STEP,
                other => other.len().unwrap_or(0) as u64 / BYTES_PER_STEP,
            })?;
        }
        let made = match (function.name, args.as_slice()) {
            ("matches", [Val::Text(text), Val::Text(pattern)]) => self.matches(text, pattern),
            _ => functions::apply(function, &args),
        };
        self.made(made.map_err(|why| EvalError::invalid(why, range))?)
    }

    /// The engine of `regex` is linear in the text; the size of a compiled pattern is bounded here.
    fn matches(&self, text: &str, pattern: &str) -> Result<Val<'a>, String> {
        let mut patterns = self.patterns.borrow_mut();
        if !patterns.contains_key(pattern) {
            patterns.insert(pattern.to_owned(), compile(pattern)?);
        }
        Ok(Val::Bool(patterns.get(pattern).is_some_and(|regex| regex.is_match(text))))
    }

    fn outcome(&self, question: &str, step: &'a Node, scope: Scope<'_, 'a>) -> Result<Val<'a>, EvalError> {
        let key = |index: &'a Node| match self.value(index, scope)? {
            Val::Text(key) => Ok(key.into_owned()),
            Val::Int(position) => Ok(position.to_string()),
            other => Err(EvalError::invalid(format!("a key is a string, not {}", other.kind()), &index.range)),
        };
        let Some(path) = step_path(step, key)? else {
            return Err(EvalError::invalid(format!("`{question}` asks about a step by its name"), &step.range));
        };
        let outcome = self.values.outcome(&path);
        Ok(Val::Bool(match question {
            "failed" => outcome == Some(StepOutcome::Failed),
            "skipped" => outcome == Some(StepOutcome::Skipped),
            _ => outcome == Some(StepOutcome::Succeeded),
        }))
    }

    fn comprehension(&self, c: &'a Comprehension, scope: Scope<'_, 'a>) -> Result<Val<'a>, EvalError> {
        let over = self.value(&c.over, scope)?;
        // Over a map, the variable runs through the keys.
        let items = match (over.items(), over.keys()) {
            (Some(items), _) => items,
            (None, Some(keys)) => keys.into_iter().map(Val::text).collect(),
            (None, None) => {
                let message = format!("`{}` walks through a list or a map, not {}", c.macro_.name(), over.kind());
                return Err(EvalError::invalid(message, &c.over.range));
            }
        };
        self.charge(items.len() as u64 / BYTES_PER_STEP)?;
        let mut kept = Vec::new();
        let mut count = 0_usize;
        let mut first_error = None;
        for item in items {
            let inner = Variables { name: &c.variable, value: item.clone(), outer: scope };
            let inner = Some(&inner);
            match c.macro_ {
                Macro::Map => {
                    let counts = match &c.condition {
                        Some(condition) => self.condition(condition, inner)?,
                        None => true,
                    };
                    if counts {
                        kept.push(self.value(&c.body, inner)?);
                    }
                }
                Macro::Filter => {
                    if self.condition(&c.body, inner)? {
                        kept.push(item);
                    }
                }
                Macro::ExistsOne => count += usize::from(self.condition(&c.body, inner)?),
                Macro::All | Macro::Exists => match self.condition(&c.body, inner) {
                    Ok(value) if value == (c.macro_ == Macro::Exists) => return Ok(Val::Bool(value)),
                    Ok(_) => {}
                    Err(error) if error.kind == EvalErrorKind::TooLarge => return Err(error),
                    Err(error) => first_error = first_error.or(Some(error)),
                },
            }
        }
        match (c.macro_, first_error) {
            (Macro::Map | Macro::Filter, _) => self.made(Val::list(kept)),
            (Macro::ExistsOne, _) => Ok(Val::Bool(count == 1)),
            (Macro::All | Macro::Exists, Some(error)) => Err(error),
            (Macro::All | Macro::Exists, None) => Ok(Val::Bool(c.macro_ == Macro::All)),
        }
    }
}

/// A pattern of `matches`; the error reads by itself.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    const COMPILED_BYTES_MAX: usize = 256 << 10;
    RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).build().map_err(|error| {
        let why = error.to_string();
        let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("`{}` is not a regular expression: {why}", functions::shortened(pattern))
    })
}
