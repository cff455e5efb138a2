//! The workflow's inputs: from what a person gave to checked values.

use steps_sdk::Value;

use crate::syntax::Node;

/// What a person gave for one input.
#[derive(Debug, Clone, PartialEq)]
pub enum InputValue {
    /// After `--var NAME=`: read by the input's type; lists and maps as JSON.
    Text(String),
    /// Already a value, for instance from a stored plan.
    Value(Value),
    /// A node of a `--var-file`, named like the input.
    Node(Node),
}
