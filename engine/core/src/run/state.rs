//! The state of a run: a fold over its events, and the only place where a state changes.
//!
//! Why this is delicate: the same state is reached by living through a run and by reading its journal, perhaps after a crash
//! between any two records, perhaps by another process. So nothing is decided here and nothing is guessed. An event that
//! does not fit the state is an [`IllegalTransition`]: from our own code a bug, from a journal a damaged store.
//!
//! | State | leaves on | to |
//! |---|---|---|
//! | Pending | StepStarted / StepSkipped / StepFailed (its inputs cannot be evaluated) | Running / Skipped / Failed |
//! | Running | StepSucceeded / StepFailed with or without another try / StepParked / StepCancelled | Succeeded / Retrying or Failed / Parked / Cancelled |
//! | Running, found on resume | StepReset, or what `verify` found | Pending, Succeeded or Parked |
//! | Retrying | StepStarted with the next attempt | Running |
//! | Parked | StepUnparked | Pending, Succeeded, Skipped or Failed, as the person said |
//! | Pending, Retrying, Parked | StepCancelled | Cancelled |
//! | Succeeded, Failed, Cancelled, Retrying | StepParked (a doubtful or drifted `once` step) | Parked |
//! | Failed, Cancelled, Running found on resume | StepSucceeded (`verify` found it done) / StepUnparked | Succeeded / as the person said |
//! | Succeeded, Skipped, Failed, Cancelled, Retrying, Undone | StepReset | Pending |
//! | Succeeded, Failed, Cancelled | StepUndone | Undone |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use steps_sdk::{StepError, Value};

use super::event::{Event, Outputs, RunOutcome, Unparked};
use super::ready::Ready;
use crate::id::{Digest, StepId, StepIndex, Timestamp};
use crate::plan::{Fact, Plan};

/// Where a step stands. Each variant says what must hold for a step to be in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum StepState {
    /// Not started, or reset. Nothing is known of its outcome.
    Pending,
    /// A start is recorded; its outcome is not. Outside, anything may have happened.
    Running { attempt: u32 },
    /// The attempt failed, the retry policy allows another at `until`.
    Retrying { attempt: u32, until: Timestamp },
    /// Its outcome is recorded.
    Succeeded,
    /// It did not run: its `when` was false, or a person left it out. What needs it may go on.
    Skipped { because: String },
    /// It failed and no attempt is left.
    Failed { error: StepError },
    /// Waits for a person.
    Parked { why: String },
    /// The run was stopped before it ended.
    Cancelled { reason: String },
    /// What it had done was taken back.
    Undone,
}

impl StepState {
    /// The word for machine output (`engine.status/v1`).
    pub fn word(&self) -> &'static str {
        match self {
            StepState::Pending => "pending",
            StepState::Running { .. } => "running",
            StepState::Retrying { .. } => "retrying",
            StepState::Succeeded => "succeeded",
            StepState::Skipped { .. } => "skipped",
            StepState::Failed { .. } => "failed",
            StepState::Parked { .. } => "parked",
            StepState::Cancelled { .. } => "cancelled",
            StepState::Undone => "undone",
        }
    }

    /// Nothing more happens to it in this run by itself.
    pub fn is_ended(&self) -> bool {
        match self {
            StepState::Succeeded
            | StepState::Skipped { .. }
            | StepState::Failed { .. }
            | StepState::Cancelled { .. }
            | StepState::Undone => true,
            StepState::Pending | StepState::Running { .. } | StepState::Retrying { .. } | StepState::Parked { .. } => {
                false
            }
        }
    }

    /// What needs it may start.
    pub fn is_satisfied(&self) -> bool {
        matches!(self, StepState::Succeeded | StepState::Skipped { .. })
    }
}

/// Everything the journal says of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    pub state: StepState,
    /// The number of the last attempt that was started; 0 when none was since the last reset.
    pub attempt: u32,
    /// Attempts over all resets.
    pub attempts_total: u32,
    /// Digest of the evaluated inputs of the last start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Digest>,
    /// Outputs of the last success; kept through a reset, so that a re-run can be compared with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Value>,
    /// Where outputs lie that were too large for a record; the shell reads them into `outputs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs_file: Option<Digest>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub same: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub memo: BTreeMap<String, Value>,
    /// Taken and not given back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holds: BTreeMap<String, Hold>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hold {
    pub data: Value,
    pub since: Timestamp,
}

impl StepRecord {
    fn new() -> Self {
        StepRecord {
            state: StepState::Pending,
            attempt: 0,
            attempts_total: 0,
            inputs: None,
            outputs: None,
            outputs_file: None,
            summary: String::new(),
            same: false,
            memo: BTreeMap::new(),
            holds: BTreeMap::new(),
            started: None,
            ended: None,
        }
    }
}

/// An event that does not fit the state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalTransition {
    #[error("step `{step}` is {state}, so `{event}` cannot follow")]
    Step { step: StepId, state: &'static str, event: &'static str },
    #[error("step `{0}` is not in the plan")]
    UnknownStep(StepId),
    #[error("step `{step}` holds nothing called `{name}`")]
    UnknownHold { step: StepId, name: String },
    #[error("`{event}` cannot follow: the run {state}")]
    Run { event: &'static str, state: &'static str },
}

/// The folded state of one run.
#[derive(Debug, Clone)]
pub struct RunState {
    pub(super) plan: Arc<Plan>,
    pub(super) index: BTreeMap<StepId, StepIndex>,
    pub(super) steps: Vec<StepRecord>,
    pub(super) ready: Ready,
    /// Steps that hold something.
    pub(super) holding: BTreeSet<StepIndex>,
    head: Head,
}

/// What the journal says of the run as a whole.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Head {
    pub started: Option<Timestamp>,
    pub started_by: String,
    /// Times at which it was resumed.
    pub resumed: Vec<Timestamp>,
    pub outcome: Option<RunOutcome>,
    /// Time of the last event.
    pub last: Option<Timestamp>,
}

/// A state without its plan, as a checkpoint stores it: steps by id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Folded {
    pub head: Head,
    pub steps: BTreeMap<StepId, StepRecord>,
}

impl RunState {
    /// Before the first event.
    pub fn new(plan: Arc<Plan>) -> RunState {
        let index = plan.steps.iter().enumerate().map(|(i, step)| (step.id.clone(), StepIndex(i))).collect();
        let steps = vec![StepRecord::new(); plan.steps.len()];
        let ready = Ready::new(&plan, &index);
        RunState { plan, index, steps, ready, holding: BTreeSet::new(), head: Head::default() }
    }

    /// Continues from a checkpoint. Fails when the checkpoint names a step that the plan does not have.
    pub fn from_folded(plan: Arc<Plan>, folded: Folded) -> Result<RunState, IllegalTransition> {
        let mut state = RunState::new(plan);
        state.head = folded.head;
        for (id, record) in folded.steps {
            let Some(&index) = state.index.get(&id) else {
                return Err(IllegalTransition::UnknownStep(id));
            };
            state.move_to(index, record.state.clone());
            if !record.holds.is_empty() {
                state.holding.insert(index);
            }
            state.steps[index.0] = record;
        }
        Ok(state)
    }

    /// For a checkpoint. Steps that nothing has happened to are left out.
    pub fn folded(&self) -> Folded {
        let untouched = StepRecord::new();
        let steps = self
            .plan
            .steps
            .iter()
            .zip(&self.steps)
            .filter(|(_, record)| **record != untouched)
            .map(|(step, record)| (step.id.clone(), record.clone()))
            .collect();
        Folded { head: self.head.clone(), steps }
    }

    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    pub fn record(&self, index: StepIndex) -> &StepRecord {
        &self.steps[index.0]
    }

    pub fn index_of(&self, step: &StepId) -> Option<StepIndex> {
        self.index.get(step).copied()
    }

    /// Every step with its record, in the plan's order.
    pub fn records(&self) -> impl Iterator<Item = (StepIndex, &StepRecord)> {
        self.steps.iter().enumerate().map(|(i, record)| (StepIndex(i), record))
    }

    /// How many steps are under way.
    pub fn running(&self) -> usize {
        self.ready.running
    }

    /// What expressions may know of a step.
    pub fn fact(&self, step: &StepId) -> Fact<'_> {
        let Some(index) = self.index_of(step) else {
            return Fact::Unfinished;
        };
        let record = self.record(index);
        match &record.state {
            StepState::Pending | StepState::Running { .. } | StepState::Retrying { .. } | StepState::Parked { .. } => {
                Fact::Unfinished
            }
            StepState::Succeeded => Fact::Succeeded(record.outputs.as_ref().unwrap_or(&Value::Null)),
            StepState::Skipped { .. } => Fact::Skipped,
            StepState::Failed { .. } | StepState::Cancelled { .. } | StepState::Undone => Fact::Failed,
        }
    }

    /// Puts outputs in place that were read from their file.
    pub fn outputs_loaded(&mut self, index: StepIndex, outputs: Value) {
        self.steps[index.0].outputs = Some(outputs);
    }

    /// The only change of a state.
    pub fn apply(&mut self, event: &Event, time: Timestamp) -> Result<(), IllegalTransition> {
        match event.step() {
            Some(step) => {
                let Some(&index) = self.index.get(step) else {
                    return Err(IllegalTransition::UnknownStep(step.clone()));
                };
                self.apply_to_step(index, event, time)?;
            }
            None => self.apply_to_run(event, time)?,
        }
        self.head.last = Some(time);
        Ok(())
    }

    fn apply_to_run(&mut self, event: &Event, time: Timestamp) -> Result<(), IllegalTransition> {
        let illegal = |state| IllegalTransition::Run { event: name(event), state };
        match event {
            Event::RunStarted { by, .. } if self.head.started.is_none() => {
                self.head.started = Some(time);
                self.head.started_by = by.clone();
            }
            Event::RunStarted { .. } => return Err(illegal("has started")),
            _ if self.head.started.is_none() => return Err(illegal("has not started")),
            Event::RunResumed { .. } => {
                self.head.outcome = None;
                self.head.resumed.push(time);
            }
            Event::RunFinished { outcome } if self.head.outcome.is_none() => self.head.outcome = Some(*outcome),
            _ => return Err(illegal("has finished")),
        }
        Ok(())
    }

    fn apply_to_step(&mut self, index: StepIndex, event: &Event, time: Timestamp) -> Result<(), IllegalTransition> {
        let next = self.next_state(index, event)?;
        let record = &mut self.steps[index.0];
        match event {
            Event::StepStarted { attempt, inputs, .. } => {
                record.attempt = *attempt;
                record.attempts_total += 1;
                record.inputs = Some(inputs.clone());
                if *attempt == 1 {
                    record.started = Some(time);
                }
                record.ended = None;
            }
            Event::StepSucceeded { outputs, summary, same, .. } => {
                match outputs {
                    Outputs::Inline(value) => (record.outputs, record.outputs_file) = (Some(value.clone()), None),
                    Outputs::File { digest, .. } => {
                        (record.outputs, record.outputs_file) = (None, Some(digest.clone()))
                    }
                }
                record.summary.clone_from(summary);
                record.same = *same;
            }
            Event::StepUnparked { to: Unparked::Done { outputs }, reason, .. } => {
                (record.outputs, record.outputs_file) = (Some(outputs.clone()), None);
                record.summary.clone_from(reason);
                record.same = false;
            }
            Event::StepReset { .. } | Event::StepUnparked { to: Unparked::Again, .. } => record.attempt = 0,
            Event::StepUndone { summary, .. } => record.summary.clone_from(summary),
            Event::MemoPut { key, value, .. } => drop(record.memo.insert(key.clone(), value.clone())),
            Event::HoldTaken { name, data, .. } => {
                record.holds.insert(name.clone(), Hold { data: data.clone(), since: time });
                self.holding.insert(index);
            }
            Event::HoldReleased { step, name, .. } => {
                if record.holds.remove(name).is_none() {
                    return Err(IllegalTransition::UnknownHold { step: step.clone(), name: name.clone() });
                }
                if record.holds.is_empty() {
                    self.holding.remove(&index);
                }
            }
            Event::StepFailed { .. }
            | Event::StepSkipped { .. }
            | Event::StepParked { .. }
            | Event::StepUnparked { .. }
            | Event::StepCancelled { .. } => {}
            Event::RunStarted { .. } | Event::RunResumed { .. } | Event::RunFinished { .. } => {}
        }
        if let Some(next) = next {
            record.ended = next.is_ended().then_some(time);
            self.move_to(index, next);
        }
        Ok(())
    }

    /// The table at the top of this file. `None`: the state stays.
    fn next_state(&self, index: StepIndex, event: &Event) -> Result<Option<StepState>, IllegalTransition> {
        use StepState as S;
        let now = &self.steps[index.0].state;
        let next = match (now, event) {
            (S::Pending | S::Retrying { .. }, Event::StepStarted { attempt, .. })
                if *attempt == self.steps[index.0].attempt + 1 =>
            {
                S::Running { attempt: *attempt }
            }
            (S::Pending, Event::StepSkipped { because, .. }) => S::Skipped { because: because.clone() },
            (S::Pending | S::Retrying { .. }, Event::StepFailed { error, retry_at: None, .. }) => {
                S::Failed { error: error.clone() }
            }

            (S::Running { .. }, Event::MemoPut { .. } | Event::HoldTaken { .. }) => return Ok(None),
            (_, Event::HoldReleased { .. }) => return Ok(None),

            (S::Running { .. } | S::Failed { .. } | S::Cancelled { .. }, Event::StepSucceeded { .. }) => S::Succeeded,
            (S::Running { attempt }, Event::StepFailed { retry_at: Some(until), .. }) => {
                S::Retrying { attempt: *attempt, until: *until }
            }
            (S::Running { .. }, Event::StepFailed { error, retry_at: None, .. }) => S::Failed { error: error.clone() },

            (
                S::Running { .. } | S::Succeeded | S::Failed { .. } | S::Cancelled { .. } | S::Retrying { .. },
                Event::StepParked { why, .. },
            ) => S::Parked { why: why.clone() },
            (
                S::Parked { .. } | S::Failed { .. } | S::Cancelled { .. } | S::Running { .. },
                Event::StepUnparked { to, reason, .. },
            ) => match to {
                Unparked::Again => S::Pending,
                Unparked::Done { .. } => S::Succeeded,
                Unparked::Skipped => S::Skipped { because: reason.clone() },
                Unparked::Failed => S::Failed { error: StepError::permanent("E105", format!("given up: {reason}")) },
            },
            // A person may leave out a step that has not begun.
            (S::Pending, Event::StepUnparked { to: Unparked::Skipped, reason, .. }) => {
                S::Skipped { because: reason.clone() }
            }
            (
                S::Running { .. } | S::Pending | S::Retrying { .. } | S::Parked { .. },
                Event::StepCancelled { reason, .. },
            ) => S::Cancelled { reason: reason.clone() },

            (
                S::Running { .. }
                | S::Succeeded
                | S::Skipped { .. }
                | S::Failed { .. }
                | S::Cancelled { .. }
                | S::Retrying { .. }
                | S::Undone,
                Event::StepReset { .. },
            ) => S::Pending,
            (S::Succeeded | S::Failed { .. } | S::Cancelled { .. }, Event::StepUndone { .. }) => S::Undone,

            (state, event) => {
                return Err(IllegalTransition::Step {
                    step: self.plan.step(index).id.clone(),
                    state: state.word(),
                    event: name(event),
                });
            }
        };
        Ok(Some(next))
    }

    /// Sets a state and keeps the ready queues in step with it.
    fn move_to(&mut self, index: StepIndex, next: StepState) {
        let before = std::mem::replace(&mut self.steps[index.0].state, next);
        self.ready.moved(index, &before, &self.steps[index.0].state);
    }
}

/// The event's name as the journal and `--progress json` write it.
pub fn name(event: &Event) -> &'static str {
    match event {
        Event::RunStarted { .. } => "run-started",
        Event::StepStarted { .. } => "step-started",
        Event::MemoPut { .. } => "memo-put",
        Event::HoldTaken { .. } => "hold-taken",
        Event::HoldReleased { .. } => "hold-released",
        Event::StepSucceeded { .. } => "step-succeeded",
        Event::StepFailed { .. } => "step-failed",
        Event::StepSkipped { .. } => "step-skipped",
        Event::StepParked { .. } => "step-parked",
        Event::StepUnparked { .. } => "step-unparked",
        Event::StepReset { .. } => "step-reset",
        Event::StepUndone { .. } => "step-undone",
        Event::StepCancelled { .. } => "step-cancelled",
        Event::RunResumed { .. } => "run-resumed",
        Event::RunFinished { .. } => "run-finished",
    }
}
