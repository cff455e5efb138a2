//! The third stage: a workflow, the specs of its kinds and its inputs become a [`Plan`].
//!
//! ```text
//!  types.rs     what a plan is; stored as plan.json
//!  compile.rs   the stage itself
//!  inputs.rs    what a person gives for the workflow's inputs
//!  component.rs custom steps with what they are granted
//!  tree.rs      the places that steps stand in: instances of groups, calls of templates
//!  open.rs      opens them: one instance for each element of a list, one site for each call
//!  known.rs     what is known of such a place, what a call is given and gives
//!  fold.rs      what is known becomes a value, what comes late keeps its expression
//!  bind.rs      what each name of an expression stands for
//!  order.rs     every step after what it needs
//!  digest.rs    what the plan means, in 64 characters
//!  evaluate.rs  late values, while the plan is carried out
//!  forecast.rs  what a run would do now
//!  render.rs    the graph as text
//! ```

mod bind;
mod compile;
mod component;
mod digest;
mod evaluate;
mod fold;
mod forecast;
mod inputs;
mod known;
mod open;
mod order;
pub mod render;
#[cfg(test)]
mod tests;
mod tree;
mod types;

pub use compile::compile;
pub use evaluate::{
    EvaluateError, Fact, Facts, evaluate_inputs, evaluate_kubeconfigs, evaluate_outputs, evaluate_when,
};
pub use forecast::{Expectation, Forecast, StepForecast};
pub use inputs::InputValue;
pub use types::*;
