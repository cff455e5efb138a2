//! The static checker: names, fields, operands, arguments, and where secrets flow.

use std::collections::BTreeMap;
use std::ops::Range;

use super::types::Type;

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
