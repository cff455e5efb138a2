//! The asynchronous shell around the pure `run` of the core: what was decided is done, what happened is told.
//!
//! ```text
//!  secrets.rs    opens secrets for steps, and keeps what they generate
//!  late.rs       opens the clusters that steps make
//!  verbs.rs      one call of any verb: deadline, cancellation, panic -> StepError
//!  attempt.rs    from a planned step to the call of its kind
//!  step_log.rs   what an attempt says, on disk
//!  runner.rs     the loop: the one owner of a run's state; runner/doubt.rs settles what a resume doubts and what is held
//!  forecast.rs   asks every step's preview for `plan`
//! ```
//!
//! Invariant 3 is kept here: the runner applies an outcome and decides in memory, appends both as one batch, and spawns, reports and
//! answers only when that batch is durable.

pub mod attempt;
pub mod forecast;
pub mod late;
pub mod runner;
pub mod secrets;
mod step_log;
pub mod verbs;

use std::sync::Arc;

use engine_core::id::Timestamp;

/// Reads the clock. Made at the roof, so that tests can give another.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A random number in `0.0..1.0`, for jitter.
pub type Chance = Arc<dyn Fn() -> f64 + Send + Sync>;
