//! What a plan would do if it ran now: the plan and, for each of its steps, what could be found out beforehand.
//!
//! Pure data. The shell asks the steps (`preview`) and fills it in; a digest of a plan never covers it.

use serde::{Deserialize, Serialize};
use steps_sdk::outcome::{Certainty, Change, ChangeAction, Preview};
use steps_sdk::spec::{Effect, EffectOf};
use steps_sdk::{StepError, Value};

use super::types::{Input, Plan, PlannedStep};
use crate::id::StepId;

/// A plan with what is known of each step, in the plan's order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    pub plan: Plan,
    pub steps: Vec<StepForecast>,
}

/// What is known of one step before it has run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepForecast {
    pub expected: Expectation,
    /// The steps whose outputs or objects it needs before more can be known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<StepId>,
}

/// How far a step could be asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expectation {
    /// Its `preview` answered.
    Previewed(Preview),
    /// It was not asked: its inputs come from other steps.
    Later,
    /// Its `when` is already known to be false; the text says so in words.
    Skipped { because: String },
    /// Its `preview` failed: the same would probably happen in a run.
    Failed(StepError),
    /// Nobody was asked, because the plan was made offline.
    NotAsked,
}

impl Forecast {
    /// Whether a run would change anything, as far as that can be told; what cannot be told counts as a change.
    pub fn has_changes(&self) -> bool {
        self.plan.steps.iter().zip(&self.steps).any(|(step, forecast)| {
            let silent = matches!(forecast.expected, Expectation::Skipped { .. }) || effect(step) == Some(Effect::Pure);
            !silent && forecast.expected.action() != ChangeAction::Same
        })
    }
}

impl Expectation {
    /// The changes that are foreseen one by one.
    pub fn changes(&self) -> &[Change] {
        match self {
            Expectation::Previewed(Preview::Changes(changes)) => changes,
            Expectation::Previewed(Preview::Later(_))
            | Expectation::Later
            | Expectation::Skipped { .. }
            | Expectation::Failed(_)
            | Expectation::NotAsked => &[],
        }
    }

    /// One action for the whole step: that of its changes when they agree, else an update.
    pub fn action(&self) -> ChangeAction {
        match self {
            Expectation::Previewed(Preview::Changes(changes)) => {
                let mut real =
                    changes.iter().map(|change| change.action).filter(|action| *action != ChangeAction::Same);
                let Some(first) = real.next() else { return ChangeAction::Same };
                let rest: Vec<ChangeAction> = real.collect();
                if first == ChangeAction::Unknown || rest.contains(&ChangeAction::Unknown) {
                    ChangeAction::Unknown
                } else if rest.iter().all(|action| *action == first) {
                    first
                } else {
                    ChangeAction::Update
                }
            }
            Expectation::Skipped { .. } => ChangeAction::Same,
            Expectation::Previewed(Preview::Later(_))
            | Expectation::Later
            | Expectation::Failed(_)
            | Expectation::NotAsked => ChangeAction::Unknown,
        }
    }

    /// How sure the whole step is: as sure as its least sure change.
    pub fn certainty(&self) -> Certainty {
        match self {
            Expectation::Previewed(Preview::Changes(changes)) => {
                let has = |certainty| changes.iter().any(|change| change.certainty == certainty);
                if has(Certainty::Later) {
                    Certainty::Later
                } else if has(Certainty::Schema) {
                    Certainty::Schema
                } else {
                    Certainty::Server
                }
            }
            Expectation::Skipped { .. } => Certainty::Server,
            Expectation::Previewed(Preview::Later(_)) | Expectation::Later => Certainty::Later,
            Expectation::Failed(_) | Expectation::NotAsked => Certainty::Schema,
        }
    }
}

/// The effect class of a step, if it is settled before the run: the input that decides it may come late.
fn effect(step: &PlannedStep) -> Option<Effect> {
    let (input, inputs) = match (&step.effect, &step.inputs) {
        (EffectOf::Fixed(effect), _) => return Some(*effect),
        (EffectOf::FromInput { input, .. }, inputs) => (input, inputs),
    };
    let known = |value: &Value| step.effect.for_inputs(&serde_json::json!({ input: value }));
    match inputs {
        Input::Known(values) => Some(step.effect.for_inputs(values)),
        Input::Map(fields) => match fields.iter().find(|(name, _)| name == input) {
            Some((_, Input::Known(value))) => Some(known(value)),
            Some(_) => None,
            None => Some(Effect::Once),
        },
        Input::Late(_) | Input::Text(_) | Input::List(_) | Input::Secret(_) | Input::Repeat(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn previewed(changes: &[(ChangeAction, Certainty)]) -> Expectation {
        let change = |(action, certainty): &(ChangeAction, Certainty)| Change {
            object: "Namespace/zheng".into(),
            action: *action,
            certainty: *certainty,
            fields: Vec::new(),
            conflict: None,
            waits_for: None,
        };
        Expectation::Previewed(Preview::Changes(changes.iter().map(change).collect()))
    }

    #[test]
    fn a_step_is_as_its_changes_are_and_as_sure_as_the_least_sure_of_them() {
        use Certainty::{Later, Schema, Server};
        use ChangeAction::{Create, Delete, Same, Unknown, Update};
        for (changes, action, certainty) in [
            (vec![], Same, Server),
            (vec![(Same, Server), (Same, Server)], Same, Server),
            (vec![(Same, Server), (Create, Schema)], Create, Schema),
            (vec![(Delete, Server), (Delete, Server)], Delete, Server),
            (vec![(Create, Server), (Update, Server)], Update, Server),
            (vec![(Create, Schema), (Unknown, Later)], Unknown, Later),
        ] {
            let step = previewed(&changes);
            assert_eq!((step.action(), step.certainty()), (action, certainty), "{changes:?}");
        }
        assert_eq!(Expectation::Later.action(), Unknown);
        assert_eq!(Expectation::NotAsked.certainty(), Schema);
    }
}
