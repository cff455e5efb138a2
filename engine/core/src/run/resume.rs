//! What a resume does with each step that a run left behind, with the reason in words.
//!
//! Nothing here is guessed. A step that may be repeated is repeated; one that must not happen twice is asked by its `verify`; what
//! cannot be told waits for a person.

use steps_sdk::spec::TimeLimit;
use steps_sdk::{Change, Effect, Outcome, StepKind, Verdict};

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
            StepState::Running { .. } if once => {
                Restart::Ask { reason: "was under way when the engine stopped, and must not happen twice".into() }
            }
            StepState::Running { .. } => Restart::Reset { reason: "was under way when the engine stopped".into() },
            StepState::Failed { error } if once && !error.not_started && record.attempts_total > 0 => {
                Restart::Ask { reason: "failed after it had begun, and must not happen twice".into() }
            }
            StepState::Failed { .. } => Restart::Reset { reason: "failed last time".into() },
            StepState::Cancelled { .. } if once && record.attempt > 0 => {
                Restart::Ask { reason: "was stopped after it had begun, and must not happen twice".into() }
            }
            StepState::Cancelled { .. } => Restart::Reset { reason: "was stopped last time".into() },
            StepState::Parked { why } => Restart::Waits { why: why.clone() },
            StepState::Succeeded if recheck == Recheck::Yes && self.is_wait_with_work_behind(index) => Restart::Reset {
                reason: "a wait holds only for the moment, and steps after it have still to run".into(),
            },
            StepState::Succeeded if recheck == Recheck::Yes && effect != Effect::Pure => {
                Restart::Ask { reason: "finished before the pause".into() }
            }
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
    #[error(
        "the run uses `{kind}` in version {version}; this binary's version {ours} accepts from version {accepts_from}"
    )]
    TooOld { kind: StepKind, version: u32, ours: u32, accepts_from: u32 },
    #[error("the run uses `{kind}` in version {version}, which is newer than this binary's version {ours}")]
    TooNew { kind: StepKind, version: u32, ours: u32 },
    #[error(
        "`{kind}` version {version} of this binary takes other inputs than the version {version} that the run was started with"
    )]
    Changed { kind: StepKind, version: u32 },
}

/// What follows from the answer of `verify` to a [`Restart::Ask`].
#[derive(Debug, Clone, PartialEq)]
pub enum Judgement {
    /// It had happened: its outcome is recorded now.
    Succeed(Outcome),
    Reset {
        reason: String,
    },
    Park {
        why: String,
    },
    /// The recorded outcome stands; the note says what was found.
    Keep {
        note: String,
    },
}

/// Never a guess: a step that must not happen twice is run again only when `verify` says that it did not happen.
pub fn judge(state: &StepState, effect: Effect, verdict: Verdict) -> Judgement {
    let has_outcome = matches!(state, StepState::Succeeded);
    let once = effect == Effect::Once;
    match verdict {
        Verdict::Done(outcome) if !has_outcome => Judgement::Succeed(outcome),
        Verdict::Done(_) | Verdict::Intact if has_outcome => Judgement::Keep { note: "checked: as it was left".into() },
        Verdict::Gone(reason) if has_outcome && once => {
            Judgement::Park { why: format!("it was done, and is gone now: {reason}") }
        }
        Verdict::Gone(reason) => Judgement::Reset {
            reason: if has_outcome { format!("gone since: {reason}") } else { format!("did not happen: {reason}") },
        },
        Verdict::Drifted(changes) => {
            let differs = drift(&changes);
            match (has_outcome, once) {
                (_, false) => Judgement::Reset { reason: format!("differs from what was done: {differs}") },
                (true, true) => Judgement::Park { why: format!("it was done, and differs now: {differs}") },
                (false, true) => Judgement::Park { why: format!("it may have happened in part: {differs}") },
            }
        }
        Verdict::Unknown(reason) if has_outcome => Judgement::Keep { note: format!("could not be checked: {reason}") },
        Verdict::Unknown(reason) => Judgement::Park { why: format!("it cannot be told whether it happened: {reason}") },
        // `Intact` without an outcome says nothing about outputs, which what follows may need. (`Done` without one came first.)
        Verdict::Intact | Verdict::Done(_) => {
            Judgement::Park { why: "it is there, but its outputs are not recorded".into() }
        }
    }
}

fn drift(changes: &[Change]) -> String {
    let named: Vec<String> = changes
        .iter()
        .map(|change| match change.fields.first() {
            Some(field) if change.fields.len() == 1 => format!("{} {}", change.object, field.path),
            Some(field) => format!("{} {} and {} more", change.object, field.path, change.fields.len() - 1),
            None => change.object.clone(),
        })
        .collect();
    named.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_once_step_is_run_again_only_when_it_did_not_happen() {
        let outcome = Outcome { outputs: json!({}), summary: "ordered".into(), same: false };
        let running = StepState::Running { attempt: 1 };
        let cases = [
            (Verdict::Done(outcome.clone()), Judgement::Succeed(outcome)),
            (Verdict::Gone("no order".into()), Judgement::Reset { reason: "did not happen: no order".into() }),
            (
                Verdict::Unknown("no answer".into()),
                Judgement::Park { why: "it cannot be told whether it happened: no answer".into() },
            ),
            (Verdict::Intact, Judgement::Park { why: "it is there, but its outputs are not recorded".into() }),
        ];
        for (verdict, expected) in cases {
            assert_eq!(judge(&running, Effect::Once, verdict), expected);
        }
    }

    #[test]
    fn drift_repeats_what_converges_and_asks_about_what_must_not_happen_twice() {
        let change = Change {
            object: "ConfigMap/a".into(),
            action: steps_sdk::ChangeAction::Update,
            certainty: steps_sdk::Certainty::Server,
            fields: vec![steps_sdk::outcome::FieldChange { path: "data.x".into(), before: None, after: None }],
            conflict: None,
            waits_for: None,
        };
        let drifted = || Verdict::Drifted(vec![change.clone()]);
        assert_eq!(
            judge(&StepState::Succeeded, Effect::Converge, drifted()),
            Judgement::Reset { reason: "differs from what was done: ConfigMap/a data.x".into() }
        );
        assert!(matches!(judge(&StepState::Succeeded, Effect::Once, drifted()), Judgement::Park { .. }));
        assert!(matches!(
            judge(&StepState::Succeeded, Effect::Once, Verdict::Gone("deleted".into())),
            Judgement::Park { .. }
        ));
        assert!(matches!(
            judge(&StepState::Succeeded, Effect::Converge, Verdict::Unknown("x".into())),
            Judgement::Keep { .. }
        ));
    }
}
