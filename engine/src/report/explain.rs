//! What the engine says about itself: kinds, their fields, and error codes.

use steps_sdk::{StepSpec, Value};

use super::look::Look;

/// Something that can be explained.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Topic<'a> {
    Kind(&'a StepSpec),
    /// A field of a kind; more than one name leads into nested fields.
    Field(&'a StepSpec, &'a str),
    Code(&'a str),
}

/// There is no such topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{asked}` is no step kind, field or error code")]
pub struct Unknown {
    pub asked: String,
    pub nearest: Option<String>,
}

/// Finds `KIND`, `KIND.FIELD` or `CODE`.
pub fn topic<'a>(asked: &'a str, kinds: &[&'a StepSpec]) -> Result<Topic<'a>, Unknown> {
    unimplemented!("{asked:?} {kinds:?}")
}

pub fn text(topic: &Topic<'_>, look: &Look) -> String {
    unimplemented!("{topic:?} {look:?}")
}

pub fn json(topic: &Topic<'_>) -> Value {
    unimplemented!("{topic:?}")
}
