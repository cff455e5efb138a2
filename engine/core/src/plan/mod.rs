//! The third stage: a workflow, the specs of its kinds and its inputs become a [`Plan`].

mod forecast;
mod types;

pub use forecast::{Expectation, Forecast, StepForecast};
pub use types::*;
