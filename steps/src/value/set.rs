//! `value.set`: gives names to values. Every input is an output of the same name; nothing outside is touched.
//!
//! It is also what benchmarks run to measure the engine alone, so it does nothing that it need not do.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::{Effect, EffectOf, Preview, StepError, Value, Verdict};

/// Names values.
pub struct Set;

/// Each child `NAME VALUE` becomes the output of that name.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Inputs(Map<String, Value>);

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("x-same-as-inputs" = true))]
pub struct Outputs(Map<String, Value>);

#[async_trait]
impl Step for Set {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Gives names to values.\n\nEach child `NAME VALUE` becomes the output of that name.";
        About { effect: EffectOf::Fixed(Effect::Pure), on: OnCluster::Refused, ..About::converging("value.set", doc) }
    }

    async fn preview(&self, _cx: &StepContext, _inputs: Inputs) -> Result<Preview, StepError> {
        Ok(Preview::Changes(Vec::new()))
    }

    async fn run(&self, _cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let Inputs(values) = inputs;
        let summary = match values.len() {
            1 => "1 value".to_owned(),
            count => format!("{count} values"),
        };
        Ok(Done::same(Outputs(values), summary))
    }

    /// A value cannot drift: it is wherever its outputs are recorded.
    async fn verify(
        &self,
        _cx: &StepContext,
        _inputs: Inputs,
        _outputs: Option<Outputs>,
    ) -> Result<Verdict, StepError> {
        Ok(Verdict::Intact)
    }

    async fn undo(&self, _cx: &StepContext, _inputs: Inputs, _outputs: Option<Outputs>) -> Result<String, StepError> {
        Ok("nothing outside was changed".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rig;
    use serde_json::json;
    use steps_sdk::native::StepHandler;
    use steps_sdk::schema::Shape;
    use steps_sdk::spec::Outputs as SpecOutputs;

    #[test]
    fn any_name_is_an_input_and_an_output() {
        let spec = StepHandler::describe(&Set).unwrap();
        assert!(matches!(spec.inputs.shape, Shape::Map(_)), "{:?}", spec.inputs.shape);
        assert_eq!(spec.outputs, SpecOutputs::SameAsInputs);
        assert_eq!(spec.effect, EffectOf::Fixed(Effect::Pure));
    }

    #[tokio::test]
    async fn values_come_out_as_they_went_in_and_in_their_order() {
        let inputs = json!({ "z": [1, { "deep": null }], "a": "text", "m": true });
        let outcome = Rig::new().run(&Set, &inputs).await.unwrap();
        assert_eq!(outcome.outputs, inputs);
        assert_eq!(outcome.outputs.to_string(), inputs.to_string());
        assert!(outcome.same);
    }
}
