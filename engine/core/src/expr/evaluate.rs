//! Evaluation over JSON values, within fixed bounds.

use std::ops::Range;

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
