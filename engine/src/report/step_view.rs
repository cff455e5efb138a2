//! One step of a run as it is shown: where it stands, since when, and why.

use engine_core::diagnostic::Place;
use engine_core::id::{StepId, Timestamp};
use engine_core::plan::PlannedStep;
use engine_core::run::{Event, Unparked};
use steps_sdk::value::ClusterName;
use steps_sdk::{StepError, StepKind};

#[derive(Debug, Clone, PartialEq)]
pub struct StepView {
    pub id: StepId,
    pub kind: StepKind,
    pub cluster: Option<ClusterName>,
    /// Index into `RunView::lanes`.
    pub lane: usize,
    pub attempts_max: u32,
    /// Its declaration in the file.
    pub at: Place,
    pub state: StepState,
    /// The latest attempt, from 1; 0 before the first.
    pub attempt: u32,
    /// Start of its first attempt since it was last reset.
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    /// What it did, in one line.
    pub summary: String,
    /// Why it is where it is: skipped, parked, cancelled, reset, and by whom.
    pub reason: String,
    pub error: Option<StepError>,
    pub waiting: Option<Waiting>,
    /// What its latest attempt waited for at last; it outlives the wait, because a timeout alone says nothing.
    pub last_seen: Option<String>,
    /// The last line that it wrote.
    pub last_log: Option<String>,
}

/// Where a step stands. The words of `engine.status/v1`; `unknown` is what a running step of a dead engine is shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    Pending,
    Running,
    Retrying { until: Timestamp },
    Succeeded { same: bool },
    Failed,
    Skipped,
    Parked,
    Cancelled,
    Undone,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub reason: String,
    pub since: Timestamp,
}

impl StepView {
    pub(super) fn new(step: &PlannedStep, lane: usize) -> StepView {
        StepView {
            id: step.id.clone(),
            kind: step.kind.clone(),
            cluster: step.on.clone(),
            lane,
            attempts_max: step.retry.attempts,
            at: step.at,
            state: StepState::Pending,
            attempt: 0,
            started: None,
            ended: None,
            summary: String::new(),
            reason: String::new(),
            error: None,
            waiting: None,
            last_seen: None,
            last_log: None,
        }
    }

    /// Takes an event about this step; answers the state that it leads to.
    pub(super) fn take(&mut self, event: &Event, time: Timestamp) -> StepState {
        if let Some(waiting) = self.waiting.take() {
            self.last_seen = Some(waiting.reason);
        }
        match event {
            Event::StepStarted { attempt, .. } => {
                self.attempt = *attempt;
                self.started.get_or_insert(time);
                self.ended = None;
                self.last_seen = None;
                self.last_log = None;
                StepState::Running
            }
            Event::StepSucceeded { summary, same, .. } => {
                self.end(time, "");
                self.summary.clone_from(summary);
                self.error = None;
                StepState::Succeeded { same: *same }
            }
            Event::StepFailed { error, retry_at, .. } => {
                self.error = Some(error.clone());
                match retry_at {
                    Some(until) => StepState::Retrying { until: *until },
                    None => {
                        self.end(time, "");
                        StepState::Failed
                    }
                }
            }
            Event::StepSkipped { because, .. } => {
                self.end(time, because);
                StepState::Skipped
            }
            Event::StepParked { why, .. } => {
                self.end(time, why);
                StepState::Parked
            }
            Event::StepCancelled { reason, .. } => {
                self.end(time, reason);
                StepState::Cancelled
            }
            Event::StepUndone { summary, .. } => {
                self.end(time, "");
                self.summary.clone_from(summary);
                StepState::Undone
            }
            Event::StepUnparked { by, reason, to, .. } => {
                self.end(time, &format!("{reason} ({by})"));
                match to {
                    Unparked::Again => self.begin_anew(),
                    Unparked::Done { .. } => StepState::Succeeded { same: false },
                    Unparked::Skipped => StepState::Skipped,
                    Unparked::Failed => StepState::Failed,
                }
            }
            Event::StepReset { reason, .. } => {
                self.end(time, reason);
                self.begin_anew()
            }
            // Not about the state of a step: `record` has dealt with these.
            Event::RunStarted { .. }
            | Event::MemoPut { .. }
            | Event::HoldTaken { .. }
            | Event::HoldReleased { .. }
            | Event::RunResumed { .. }
            | Event::RunFinished { .. } => self.state,
        }
    }

    fn end(&mut self, time: Timestamp, reason: &str) {
        self.ended = Some(time);
        self.reason = reason.to_owned();
    }

    fn begin_anew(&mut self) -> StepState {
        self.attempt = 0;
        self.started = None;
        self.ended = None;
        self.error = None;
        self.summary.clear();
        StepState::Pending
    }

    /// How long it took, or has taken until `now`.
    pub fn took_ms(&self, now: Timestamp) -> u64 {
        self.started.map_or(0, |started| self.ended.unwrap_or(now).since(started))
    }
}

impl StepState {
    pub fn is_active(self) -> bool {
        matches!(self, StepState::Running | StepState::Retrying { .. })
    }

    /// For machines.
    pub fn name(self) -> &'static str {
        match self {
            StepState::Pending => "pending",
            StepState::Running => "running",
            StepState::Retrying { .. } => "retrying",
            StepState::Succeeded { .. } => "succeeded",
            StepState::Failed => "failed",
            StepState::Skipped => "skipped",
            StepState::Parked => "parked",
            StepState::Cancelled => "cancelled",
            StepState::Undone => "undone",
        }
    }
}
