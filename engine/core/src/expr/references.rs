//! What an expression takes from outside: the scope-aware walk that edges come from.

use std::ops::Range;

/// One path that begins at a free name.
#[derive(Debug, Clone, PartialEq)]
pub struct PathRef {
    pub root: String,
    pub segments: Vec<Segment>,
    /// Of the whole path, in bytes from the start of the text.
    pub range: Range<usize>,
    /// It is the argument of a question about a step's outcome, and so needs no outputs.
    pub guard: Option<Guard>,
    /// It stands where `exists` or `succeeded` of a part of this path is known to be true:
    /// `exists(ha) ? ha.table : []`, `exists(ha) && ha.ok`.
    pub is_protected: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    Field(String),
    /// A literal in brackets.
    Index(steps_sdk::Value),
    /// Anything else in brackets: known only when it is evaluated. The range is that of the expression between the brackets, so
    /// that the planner can compute a key that depends on inputs only: `export[shard.name].ref`.
    Dynamic(Range<usize>),
}

/// The functions that ask about a step's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    Exists,
    Succeeded,
    Failed,
    Skipped,
}
