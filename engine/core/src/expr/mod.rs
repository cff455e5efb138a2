//! Expressions: CEL, parsed, checked and evaluated.
//!
//! An expression is read once ([`Expr::parse`], or [`Template::parse`] for a string with `${…}`), gives the paths that it takes from
//! outside ([`Expr::references`]: the edges of the plan), is checked against the types of the names it may use ([`Expr::check`])
//! and evaluated over JSON ([`Expr::evaluate`]) as often as needed. It never sees a clock, a file, the environment or the network, and
//! every evaluation ends within fixed bounds.
//!
//! The language is CEL without what JSON has no values for (bytes, unsigned numbers, timestamps). Its definition is in
//! docs/language.md; the interpreter of the `cel` crate is the reference that the tests compare with. Why it does not run here is
//! in docs/decisions/0003-cel-bounds.md.

mod lex;
mod parse;
mod parse_operand;
mod tree;

mod references;
mod types;

mod check;
mod check_calls;
mod check_operators;

mod val;
mod values;

mod evaluate;
mod format;
mod functions;
mod network;
mod operators;
mod pem;
mod semver;

pub mod predicate;
mod template;

use std::ops::Range;
use std::sync::Arc;

use steps_sdk::Value;

pub use check::{Scope, TypeProblem};
pub use evaluate::{EvalError, EvalErrorKind};
pub use references::{Guard, PathRef, Segment};
pub use template::{Part, Template};
pub use types::{Type, TypeField};
pub use values::{Binding, StepOutcome, Values};

/// An expression that was parsed. Cheap to clone; evaluating it parses nothing again.
#[derive(Debug, Clone)]
pub struct Expr {
    parsed: Arc<Parsed>,
}

#[derive(Debug)]
struct Parsed {
    text: String,
    node: tree::Node,
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

/// Functions that are called by name; nothing else may have such a name.
pub const FUNCTIONS: [&str; 20] = [
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
    "string",
    "int",
    "double",
    "bool",
    "type",
    "matches",
    "has",
];

impl Expr {
    pub fn parse(text: &str) -> Result<Expr, ExprError> {
        let node = parse::parse(text)?;
        Ok(Expr { parsed: Arc::new(Parsed { text: text.to_owned(), node }) })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.parsed.text
    }

    fn node(&self) -> &tree::Node {
        &self.parsed.node
    }

    /// What it takes from outside: never the variables of its own comprehensions.
    pub fn references(&self) -> Vec<PathRef> {
        references::references(self.node(), self.text())
    }

    /// Its type where these names are known, and what is wrong with it.
    pub fn check(&self, scope: &Scope) -> (Type, Vec<TypeProblem>) {
        check::check(self.node(), scope)
    }

    pub fn evaluate(&self, values: &Values<'_>) -> Result<Value, EvalError> {
        evaluate::evaluate(self.node(), values)
    }

    /// The value as a part of a longer string takes it.
    pub fn evaluate_text(&self, values: &Values<'_>) -> Result<String, EvalError> {
        evaluate::evaluate_text(self.node(), values)
    }
}

impl ExprError {
    fn new(code: &'static str, range: Range<usize>, message: impl Into<String>) -> ExprError {
        ExprError { code, message: message.into(), range, help: None }
    }

    fn syntax(range: Range<usize>, message: impl Into<String>) -> ExprError {
        ExprError::new("L101", range, message)
    }

    #[must_use]
    fn help(mut self, help: impl Into<String>) -> ExprError {
        self.help = Some(help.into());
        self
    }

    /// For a text that is a part of another.
    fn moved(mut self, by: usize) -> ExprError {
        self.range = self.range.start + by..self.range.end + by;
        self
    }
}

#[cfg(test)]
mod tests;
