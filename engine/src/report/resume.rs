//! What a resume is going to do with each step, shown before it does it.

use engine_core::id::{RunId, StepId};
use steps_sdk::value::ClusterName;

use super::look::Look;

/// One step and why it is treated so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeLine {
    pub step: StepId,
    pub cluster: Option<ClusterName>,
    pub fate: Fate,
    /// In words; never empty.
    pub reason: String,
}

/// What a resume does with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Finished, and its outcome stands as recorded.
    Kept,
    /// Finished, and its `verify` found it as recorded.
    Intact,
    /// Finished, but the world differs from what was recorded.
    Drifted,
    /// Started or finished before, and starts again.
    Again,
    /// Waits for a person.
    Parked,
    /// Has not been started yet.
    NotStarted,
}

/// One line per step with its reason; beyond 40 steps equal reasons are counted together.
pub fn text(run: &RunId, lines: &[ResumeLine], notes: &[String], look: &Look) -> String {
    unimplemented!("{run:?} {lines:?} {notes:?} {look:?}")
}
