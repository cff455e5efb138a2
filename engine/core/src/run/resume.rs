//! What a resume does with each step that a run left behind, with the reason in words.
//!
//! Nothing here is guessed. A step that may be repeated is repeated; one that must not happen twice is asked by its `verify`; what
//! cannot be told waits for a person.

use steps_sdk::spec::TimeLimit;
use steps_sdk::{Effect, StepKind};

use super::state::{RunState, StepState};
use crate::id::StepIndex;

/// Finished steps are looked at again when a run stood still for at least this long.
pub const RECHECK_AFTER_MS: u64 = 10 * 60_000;

/// What is done with one step before the run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restart {
    /// Its outcome stands.
    Keep,
    /// Not begun; its turn comes.
    NotStarted,
    /// Its next attempt is due.
    Retry,
    /// Back to pending, for this reason.
    Reset { reason: String },
    /// `verify` is asked whether it happened, or whether it still stands.
    Ask { reason: String },
    /// A person has to say something first.
    Waits { why: String },
}

/// Whether finished steps are looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recheck {
    Yes,
    No,
}

impl Recheck {
    /// By the length of the pause, or because a person asked for it.
    pub fn after(pause_ms: u64, asked: bool) -> Recheck {
        if asked || pause_ms >= RECHECK_AFTER_MS { Recheck::Yes } else { Recheck::No }
    }
}

impl RunState {
    /// What a resume does with a step. `effect` is the class of the step for the inputs that it was started with.
    pub fn restart(&self, index: StepIndex, effect: Effect, recheck: Recheck) -> Restart {
        let record = self.record(index);
        let once = effect == Effect::Once;
        match &record.state {
            StepState::Pending => Restart::NotStarted,
            StepState::Retrying { .. } => Restart::Retry,
            StepState::Running { .. } if once => Restart::Ask { reason: "was under way when the engine stopped, and must not happen twice".into() },
            StepState::Running { .. } => Restart::Reset { reason: "was under way when the engine stopped".into() },
            StepState::Failed { error } if once && !error.not_started && record.attempts_total > 0 => {
                Restart::Ask { reason: "failed after it had begun, and must not happen twice".into() }
            }
            StepState::Failed { .. } => Restart::Reset { reason: "failed last time".into() },
            StepState::Cancelled { .. } if once && record.attempt > 0 => Restart::Ask { reason: "was stopped after it had begun, and must not happen twice".into() },
            StepState::Cancelled { .. } => Restart::Reset { reason: "was stopped last time".into() },
            StepState::Parked { why } => Restart::Waits { why: why.clone() },
            StepState::Succeeded if recheck == Recheck::Yes && self.is_wait_with_work_behind(index) => {
                Restart::Reset { reason: "a wait holds only for the moment, and steps after it have still to run".into() }
            }
            StepState::Succeeded if recheck == Recheck::Yes && effect != Effect::Pure => Restart::Ask { reason: "finished before the pause".into() },
            StepState::Succeeded | StepState::Skipped { .. } | StepState::Undone => Restart::Keep,
        }
    }

    fn is_wait_with_work_behind(&self, index: StepIndex) -> bool {
        let waits = matches!(self.plan.step(index).time_limit, TimeLimit::Wait { .. });
        waits && self.ready.successors(index).any(|successor| !self.record(successor).state.is_ended())
    }
}

/// Why this binary cannot go on with a run: a kind that it does not know as the run left it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unacceptable {
    #[error("this binary has no kind `{kind}`, which the run uses")]
    Missing { kind: StepKind },
    #[error("the run uses `{kind}` in version {version}; this binary's version {ours} accepts from version {accepts_from}")]
    TooOld { kind: StepKind, version: u32, ours: u32, accepts_from: u32 },
    #[error("the run uses `{kind}` in version {version}, which is newer than this binary's version {ours}")]
    TooNew { kind: StepKind, version: u32, ours: u32 },
    #[error("`{kind}` version {version} of this binary takes other inputs than the version {version} that the run was started with")]
    Changed { kind: StepKind, version: u32 },
}
