//! Expressions: CEL, parsed, checked and evaluated.

mod check;
mod evaluate;
pub mod predicate;
mod references;
mod template;
mod types;
mod values;

use std::ops::Range;
use std::sync::Arc;

pub use check::{Scope, TypeProblem};
pub use evaluate::{EvalError, EvalErrorKind};
pub use references::{Guard, PathRef, Segment};
pub use template::{Part, Template};
pub use types::{Type, TypeField};
pub use values::{Binding, StepOutcome, Values};

use steps_sdk::Value;

/// An expression that was parsed. Cheap to clone; evaluating it parses nothing again.
#[derive(Debug, Clone)]
pub struct Expr {
    text: Arc<str>,
}

/// Why a text is no expression. The range counts bytes from the start of the text that was given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExprError {
    pub code: &'static str,
    pub message: String,
    pub range: Range<usize>,
    pub help: Option<String>,
}

impl Expr {
    pub fn parse(text: &str) -> Result<Expr, ExprError> {
        Ok(Expr { text: text.into() })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it takes from outside: never the variables of its own comprehensions.
    pub fn references(&self) -> Vec<PathRef> {
        Vec::new()
    }

    /// Its type where these names are known, and what is wrong with it.
    pub fn check(&self, _scope: &Scope) -> (Type, Vec<TypeProblem>) {
        (Type::Any, Vec::new())
    }

    pub fn evaluate(&self, _values: &Values<'_>) -> Result<Value, EvalError> {
        Ok(Value::Null)
    }
}

/// Functions that can be called by name; nothing else may have such a name.
pub const FUNCTIONS: [&str; 22] = [
    "exists",
    "succeeded",
    "failed",
    "skipped",
    "join",
    "split",
    "format",
    "size",
    "cidr",
    "semver",
    "sha256",
    "base64",
    "pem",
    "has",
    "bool",
    "bytes",
    "double",
    "int",
    "matches",
    "string",
    "type",
    "dyn",
];
