//! The last look before a step starts: its `when`, its inputs, and whether an earlier outcome of it is stale.

use std::collections::BTreeMap;

use steps_sdk::value::ClusterName;
use steps_sdk::{Effect, EffectOf, Secret, StepError, Value};

use super::state::{RunState, StepState};
use crate::id::{Digest, RunId, StepIndex, Timestamp};
use crate::plan::{EvaluateError, Facts, evaluate_inputs, evaluate_kubeconfigs, evaluate_when};

/// What becomes of a step whose turn has come.
#[derive(Debug, Clone, PartialEq)]
pub enum Prepared {
    Start {
        inputs: Value,
        digest: Digest,
        /// Of the clusters that it works on and that are opened with what a step has made, or with a secret.
        kubeconfigs: BTreeMap<ClusterName, Secret>,
    },
    Skip {
        because: String,
    },
    /// An expression has no value: the step fails before it touches anything.
    Fail(StepError),
}

impl RunState {
    /// Evaluates `when` and the inputs. Everything that they refer to has ended, or this would not be the step's turn.
    pub fn prepare(&self, index: StepIndex, run: &RunId) -> Prepared {
        let step = self.plan.step(index);
        let lookup = |id: &crate::id::StepId| self.fact(id);
        let facts = Facts { fact: &lookup, run_id: run, started: self.head().started.unwrap_or(Timestamp(0)) };
        match evaluate_when(step, &facts) {
            Ok(None) => {}
            Ok(Some(when)) => return Prepared::Skip { because: format!("when `{}` is false", when.text) },
            Err(error) => return Prepared::Fail(failure(error, "when")),
        }
        let kubeconfigs = match evaluate_kubeconfigs(&self.plan, step, &facts) {
            Ok(kubeconfigs) => kubeconfigs,
            Err(error) => return Prepared::Fail(failure(error, "cluster")),
        };
        match evaluate_inputs(step, &facts) {
            Ok(inputs) => Prepared::Start { digest: Digest::of_value(&inputs), inputs, kubeconfigs },
            Err(error) => Prepared::Fail(failure(error, "inputs")),
        }
    }

    /// The class of a step for the inputs that it has now; when they cannot be known, the careful one.
    pub fn effect(&self, index: StepIndex, run: &RunId) -> Effect {
        let effect = &self.plan.step(index).effect;
        if let EffectOf::Fixed(fixed) = effect {
            return *fixed;
        }
        match self.prepare(index, run) {
            Prepared::Start { inputs, .. } => effect.for_inputs(&inputs),
            Prepared::Skip { .. } | Prepared::Fail(_) => Effect::Once,
        }
    }

    /// Why the outcome of an ended step no longer counts after something that it needs has run again; `None`: it stands.
    pub fn staleness(&self, index: StepIndex, run: &RunId) -> Option<String> {
        let record = self.record(index);
        match (&record.state, self.prepare(index, run)) {
            (StepState::Succeeded, Prepared::Start { digest, .. }) if record.inputs.as_ref() == Some(&digest) => None,
            // What a person declared done has no inputs to compare with.
            (StepState::Succeeded, Prepared::Start { .. }) if record.inputs.is_none() => None,
            (StepState::Succeeded, _) => Some("what it was made from has changed".into()),
            (StepState::Skipped { .. }, Prepared::Start { .. }) => Some("its condition holds now".into()),
            _ => None,
        }
    }
}

fn failure(error: EvaluateError, what: &str) -> StepError {
    let mut failed =
        StepError::permanent("E107", format!("its {what} cannot be evaluated")).cause(&error.message).not_started();
    failed.help = error.help;
    failed
}
