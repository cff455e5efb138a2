//! The facts of a run. A state changes only because one of these was written; the journal is a list of them.

use serde::{Deserialize, Serialize};
use steps_sdk::{StepError, Value};

use crate::id::{Digest, Epoch, RunId, Sequence, StepId, Timestamp};

/// What one component may do through the host, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    pub component: String,
    pub digest: Digest,
    pub grants: Vec<String>,
}

/// What happened, in the words that `--progress json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Event {
    RunStarted {
        workflow: String,
        plan: Digest,
        steps: usize,
        by: String,
        binary: String,
        /// What custom steps may do in this run.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        granted: Vec<Granted>,
    },
    StepStarted {
        step: StepId,
        attempt: u32,
        inputs: Digest,
    },
    MemoPut {
        step: StepId,
        key: String,
        value: Value,
    },
    HoldTaken {
        step: StepId,
        name: String,
        data: Value,
    },
    HoldReleased {
        step: StepId,
        name: String,
        because: String,
    },
    StepSucceeded {
        step: StepId,
        outputs: Outputs,
        summary: String,
        same: bool,
    },
    /// With `retry_at` the attempt failed and another will follow; without it the step has failed.
    StepFailed {
        step: StepId,
        error: StepError,
        retry_at: Option<Timestamp>,
    },
    StepSkipped {
        step: StepId,
        because: String,
    },
    /// Waits for a person.
    StepParked {
        step: StepId,
        why: String,
    },
    StepUnparked {
        step: StepId,
        by: String,
        reason: String,
        to: Unparked,
    },
    StepReset {
        step: StepId,
        reason: String,
    },
    StepUndone {
        step: StepId,
        summary: String,
        stays: String,
    },
    StepCancelled {
        step: StepId,
        reason: String,
    },
    RunResumed {
        by: String,
        binary: String,
    },
    RunFinished {
        outcome: RunOutcome,
    },
}

/// Outputs, or where they lie when they are too large for a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outputs {
    Inline(Value),
    /// In `values/<digest>`.
    File {
        digest: Digest,
        bytes: u64,
    },
}

/// What a person said about a step that waited for one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unparked {
    Again,
    Done {
        outputs: Value,
    },
    /// Goes on without it: successors see it as skipped.
    Skipped,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    Succeeded,
    Failed,
    Parked,
    Cancelled,
}

/// An event with its place in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    pub sequence: Sequence,
    pub epoch: Epoch,
    pub time: Timestamp,
    pub run: RunId,
    #[serde(flatten)]
    pub event: Event,
}

impl Event {
    /// The step that it is about, if it is about one.
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Event::StepStarted { step, .. }
            | Event::MemoPut { step, .. }
            | Event::HoldTaken { step, .. }
            | Event::HoldReleased { step, .. }
            | Event::StepSucceeded { step, .. }
            | Event::StepFailed { step, .. }
            | Event::StepSkipped { step, .. }
            | Event::StepParked { step, .. }
            | Event::StepUnparked { step, .. }
            | Event::StepReset { step, .. }
            | Event::StepUndone { step, .. }
            | Event::StepCancelled { step, .. } => Some(step),
            Event::RunStarted { .. } | Event::RunResumed { .. } | Event::RunFinished { .. } => None,
        }
    }
}
