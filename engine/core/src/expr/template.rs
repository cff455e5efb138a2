//! Strings with `${…}` in them.

use std::ops::Range;

use steps_sdk::Value;

use super::{EvalError, Expr, ExprError, PathRef, Scope, Type, TypeProblem, Values};

/// A string that was taken apart. Ranges count bytes from the start of the string's value.
#[derive(Debug, Clone)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
pub enum Part {
    /// Literal text, `$${` already made `${`.
    Literal(String),
    Expr {
        expr: Expr,
        /// Of the expression alone, without `${` and `}`.
        range: Range<usize>,
    },
}

impl Template {
    pub fn parse(text: &str) -> Result<Template, ExprError> {
        Ok(Template { parts: vec![Part::Literal(text.to_owned())] })
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The text, when there is no expression in it.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The expression, when the string is nothing else: then its value keeps its type.
    pub fn single(&self) -> Option<&Expr> {
        match self.parts.as_slice() {
            [Part::Expr { expr, .. }] => Some(expr),
            _ => None,
        }
    }

    /// References of all expressions, with ranges of the whole string.
    pub fn references(&self) -> Vec<PathRef> {
        Vec::new()
    }

    /// The type of the result and the problems, with ranges of the whole string.
    pub fn check(&self, _scope: &Scope) -> (Type, Vec<TypeProblem>) {
        (Type::Any, Vec::new())
    }

    pub fn evaluate(&self, _values: &Values<'_>) -> Result<Value, EvalError> {
        Ok(Value::Null)
    }
}
