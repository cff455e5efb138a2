//! The third stage: a workflow, the specs of its kinds and its inputs become a [`Plan`].
//!
//! ```text
//!  types.rs     what a plan is; stored as plan.json
//!  inputs.rs    what a person gives for the workflow's inputs
//!  evaluate.rs  late values, while the plan is carried out
//!  forecast.rs  what a run would do now
//! ```

mod evaluate;
mod forecast;
mod inputs;
mod types;

pub use evaluate::{EvaluateError, Fact, Facts, evaluate_inputs, evaluate_outputs, evaluate_when};
pub use forecast::{Expectation, Forecast, StepForecast};
pub use inputs::InputValue;
pub use types::*;

use std::collections::BTreeMap;

use crate::diagnostic::Problem;
use crate::workflow::Workflow;

/// Fills in the inputs, opens the groups, folds what is known, orders the steps.
pub fn compile(_workflow: &Workflow, _inputs: BTreeMap<String, InputValue>) -> Result<Plan, Vec<Problem>> {
    Err(Vec::new())
}
