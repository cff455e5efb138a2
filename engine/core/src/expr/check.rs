//! The static checker: names, fields, operands, arguments, and where secrets flow. It finds all it can; what has the type `any` is
//! left to the evaluation.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::diagnostic::nearest;

use super::check_calls;
use super::references::question;
use super::tree::{Comprehension, Kind, Macro, Node};
use super::types::{Type, TypeField};

/// The names that an expression may use, with their types.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope {
    pub names: BTreeMap<String, Type>,
}

/// Something wrong in an expression; the range counts bytes from the start of the checked text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeProblem {
    pub code: &'static str,
    pub message: String,
    pub range: Range<usize>,
    pub help: Option<String>,
}

/// The type of a tree, and what is wrong with it.
pub fn check(node: &Node, scope: &Scope) -> (Type, Vec<TypeProblem>) {
    let mut checker = Checker { scope, variables: Vec::new(), problems: Vec::new() };
    let ty = checker.value(node);
    (ty, checker.problems)
}

pub(super) struct Checker<'a> {
    scope: &'a Scope,
    /// Of the comprehensions around the node.
    variables: Vec<(&'a str, Type)>,
    pub(super) problems: Vec<TypeProblem>,
}

impl<'a> Checker<'a> {
    pub(super) fn report(&mut self, code: &'static str, range: &Range<usize>, message: String, help: Option<String>) {
        self.problems.push(TypeProblem { code, message, range: range.clone(), help });
    }

    /// The type of a node that is used as a value: a step's name alone is none.
    pub(super) fn value(&mut self, node: &'a Node) -> Type {
        match self.node(node) {
            Type::Step(outputs) => {
                let help = match outputs.as_ref() {
                    Type::Object(fields) if !fields.is_empty() => format!("name one of its outputs: {}", names(fields)),
                    _ => "name one of its outputs, or ask `exists(…)`".into(),
                };
                self.report("L117", &node.range, "a step itself is no value".into(), Some(help));
                Type::Any
            }
            ty => ty,
        }
    }

    pub(super) fn node(&mut self, node: &'a Node) -> Type {
        match &node.kind {
            Kind::Null => Type::Null,
            Kind::Bool(_) => Type::Bool,
            Kind::Int(_) => Type::Int,
            Kind::Float(_) => Type::Float,
            Kind::Text(_) => Type::TEXT,
            Kind::Name(name) => self.name(name, &node.range),
            Kind::Field { of, name, at } => {
                let owner = self.node(of);
                self.field(&owner, name, at)
            }
            Kind::Has { of, name, at } => {
                let owner = self.node(of);
                self.field(&owner, name, at);
                Type::Bool
            }
            Kind::Index { of, index } => self.index(of, index),
            Kind::Call(call) => match question(node) {
                Some((_, step)) => self.outcome(&call.name, step),
                None => check_calls::call(self, call, &node.range),
            },
            Kind::Not(of) => {
                self.condition(of);
                Type::Bool
            }
            Kind::Negate(of) => {
                let ty = self.value(of);
                match ty.present() {
                    Type::Int | Type::Float | Type::Any => ty.present().clone(),
                    _ => self.operand("-", &ty, of, "a number"),
                }
            }
            Kind::Binary { operator, left, right, at } => self.binary(*operator, left, right, at),
            Kind::All(terms) | Kind::Any(terms) => {
                terms.iter().for_each(|term| self.condition(term));
                Type::Bool
            }
            Kind::Choice { condition, yes, no } => {
                self.condition(condition);
                let yes = self.value(yes);
                yes.common(self.value(no))
            }
            Kind::List(items) => {
                let types: Vec<Type> = items.iter().map(|item| self.value(item)).collect();
                Type::List(Box::new(types.into_iter().reduce(Type::common).unwrap_or(Type::Any)))
            }
            Kind::Map(entries) => self.map(entries),
            Kind::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn name(&mut self, name: &str, range: &Range<usize>) -> Type {
        if let Some((_, ty)) = self.variables.iter().rev().find(|(variable, _)| *variable == name) {
            return ty.clone();
        }
        if let Some(ty) = self.scope.names.get(name) {
            return ty.clone();
        }
        let known: Vec<&str> =
            self.variables.iter().map(|(name, _)| *name).chain(self.scope.names.keys().map(String::as_str)).collect();
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "no names can be used here".into(),
            None => format!("names that can be used here: {}; text goes in quotes: '{name}'", listed(&known)),
        };
        self.report("L110", range, format!("`{name}` is not known here"), Some(help));
        Type::Any
    }

    fn field(&mut self, owner: &Type, name: &str, at: &Range<usize>) -> Type {
        let fields = match owner.present() {
            Type::Any => return Type::Any,
            Type::Map(values) => return values.as_ref().clone(),
            Type::Object(fields) => fields,
            Type::Step(outputs) => match outputs.as_ref() {
                Type::Object(_) | Type::Map(_) | Type::Any => return self.output(outputs, name, at),
                _ => return Type::Any,
            },
            Type::Version => return self.field(&version_fields(), name, at),
            Type::Network => return self.field(&network_fields(), name, at),
            Type::Secret => return self.secret(at),
            other => {
                let message = format!("a value of type {other} has no fields, so no `{name}`");
                self.report("L111", at, message, None);
                return Type::Any;
            }
        };
        self.field_of(fields, name, at, "field")
    }

    fn output(&mut self, outputs: &Type, name: &str, at: &Range<usize>) -> Type {
        match outputs {
            Type::Object(fields) => self.field_of(fields, name, at, "output"),
            other => self.field(other, name, at),
        }
    }

    fn field_of(&mut self, fields: &[TypeField], name: &str, at: &Range<usize>, noun: &str) -> Type {
        if let Some(field) = fields.iter().find(|field| field.name == name) {
            return field.ty.clone();
        }
        let help = match nearest(name, fields.iter().map(|field| field.name.as_str())) {
            Some(near) => format!("did you mean `{near}`? there is: {}", names(fields)),
            None if fields.is_empty() => format!("there is no {noun} at all"),
            None => format!("there is: {}", names(fields)),
        };
        self.report("L111", at, format!("there is no {noun} `{name}`"), Some(help));
        Type::Any
    }

    fn index(&mut self, of: &'a Node, index: &'a Node) -> Type {
        let owner = self.node(of);
        let key = self.value(index);
        let (wanted, element) = match owner.present() {
            Type::List(items) => (Type::Int, items.as_ref().clone()),
            Type::Map(values) => (Type::TEXT, values.as_ref().clone()),
            Type::Object(_) | Type::Step(_) => match &index.kind {
                Kind::Text(name) => return self.field(&owner, name, &index.range),
                _ => (Type::TEXT, Type::Any),
            },
            Type::Any => return Type::Any,
            Type::Secret => return self.secret(&of.range),
            other => {
                let message = format!("a value of type {other} has no elements");
                self.report("L112", &of.range, message, Some("`[…]` takes an element of a list or a map".into()));
                return Type::Any;
            }
        };
        if !wanted.accepts(&key) {
            let message = format!(
                "the key is of type {key}, {} is wanted",
                if wanted == Type::Int { "an int" } else { "a string" }
            );
            let help = if wanted == Type::Int {
                "elements of a list are counted from 0: `a[0]`"
            } else {
                "keys are strings: `a[\"k\"]`"
            };
            self.report("L112", &index.range, message, Some(help.into()));
        }
        element
    }

    fn outcome(&mut self, question: &str, step: &'a Node) -> Type {
        let ty = self.node(step);
        if !matches!(ty, Type::Step(_) | Type::Any) {
            let help =
                format!("write `{question}(step)` with the name of a step; whether a field is there: `has(a.b)`");
            self.report(
                "L118",
                &step.range,
                format!("`{question}` asks about a step, this is of type {ty}"),
                Some(help),
            );
        }
        Type::Bool
    }

    fn condition(&mut self, node: &'a Node) {
        let ty = self.value(node);
        match ty.present() {
            Type::Bool | Type::Any => {}
            Type::Secret => {
                self.secret(&node.range);
            }
            other => {
                let message = format!("a condition is true or false, this is of type {other}");
                let help = match other {
                    Type::String(_) | Type::Enum(_) => "compare it: `a == 'text'`",
                    Type::List(_) | Type::Map(_) => "ask for its size: `size(a) > 0`",
                    _ => "compare it: `a > 0`",
                };
                self.report("L112", &node.range, message, Some(help.into()));
            }
        }
    }

    /// What is made of a secret would be one, and nothing could keep track of it.
    pub(super) fn secret(&mut self, range: &Range<usize>) -> Type {
        let help = "pass it on as a whole, to a place that takes a secret";
        self.report("L116", range, "a secret cannot be a part of an expression".into(), Some(help.into()));
        Type::Any
    }

    fn map(&mut self, entries: &'a [(Node, Node)]) -> Type {
        let mut fields = Vec::new();
        let mut values = Vec::new();
        for (key, value) in entries {
            let key_type = self.value(key);
            if !Type::TEXT.accepts(&key_type) {
                let message = format!("a key is a string, this is of type {key_type}");
                self.report("L112", &key.range, message, Some("write it in quotes: `{'key': value}`".into()));
            }
            let ty = self.value(value);
            match &key.kind {
                Kind::Text(name) => fields.push(TypeField::new(name.clone(), ty)),
                _ => values.push(ty),
            }
        }
        if values.is_empty() {
            return Type::Object(fields);
        }
        let all = values.into_iter().chain(fields.into_iter().map(|field| field.ty));
        Type::Map(Box::new(all.reduce(Type::common).unwrap_or(Type::Any)))
    }

    fn comprehension(&mut self, c: &'a Comprehension) -> Type {
        let over = self.value(&c.over);
        let element = match over.present() {
            Type::List(items) => items.as_ref().clone(),
            Type::Map(_) | Type::Object(_) => Type::TEXT,
            Type::Any => Type::Any,
            Type::Secret => self.secret(&c.over.range),
            other => {
                let message = format!("`{}` walks through a list or a map, this is of type {other}", c.macro_.name());
                self.report("L112", &c.over.range, message, None);
                Type::Any
            }
        };
        if self.scope.names.contains_key(&c.variable) {
            let help = format!("choose another name than `{}` for the variable", c.variable);
            self.report(
                "L120",
                &c.over.range,
                format!("the variable `{}` of `{}` hides a name", c.variable, c.macro_.name()),
                Some(help),
            );
        }
        self.variables.push((&c.variable, element.clone()));
        if let Some(condition) = &c.condition {
            self.condition(condition);
        }
        let body = match c.macro_ {
            Macro::Map => self.value(&c.body),
            Macro::Filter | Macro::All | Macro::Exists | Macro::ExistsOne => {
                self.condition(&c.body);
                Type::Bool
            }
        };
        self.variables.pop();
        match c.macro_ {
            Macro::Map => Type::List(Box::new(body)),
            Macro::Filter => Type::List(Box::new(element)),
            Macro::All | Macro::Exists | Macro::ExistsOne => Type::Bool,
        }
    }
}

fn version_fields() -> Type {
    let number = |name| TypeField::new(name, Type::Int);
    Type::Object(vec![number("major"), number("minor"), number("patch"), TypeField::new("pre", Type::TEXT)])
}

fn network_fields() -> Type {
    let text = |name| TypeField::new(name, Type::TEXT);
    let number = |name| TypeField::new(name, Type::Int);
    Type::Object(vec![text("address"), number("prefix"), text("network"), number("family")])
}

fn names(fields: &[TypeField]) -> String {
    listed(&fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>())
}

/// Names for a help line; the first of many.
fn listed(names: &[&str]) -> String {
    const SHOWN_MAX: usize = 12;
    let shown = names.iter().take(SHOWN_MAX).copied().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN_MAX { format!("{shown} and {} more", names.len() - SHOWN_MAX) } else { shown }
}
