//! Steps written in Rust, inside the binary.
//!
//! An author implements [`Step`] with typed inputs and outputs. The engine sees only [`StepHandler`], which speaks JSON; the blanket
//! implementation below is the one bridge between the two.
//!
//! ```
//! use async_trait::async_trait;
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use steps_sdk::context::StepContext;
//! use steps_sdk::native::{Done, Step};
//! use steps_sdk::spec::About;
//! use steps_sdk::StepError;
//!
//! /// Greets somebody. The doc comments of fields are what `engine explain` prints.
//! struct Greet;
//!
//! #[derive(Deserialize, JsonSchema)]
//! #[schemars(extend("x-kdl-args" = ["who"]))]
//! struct Inputs {
//!     /// Who is greeted.
//!     who: String,
//! }
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Outputs {
//!     greeting: String,
//! }
//!
//! #[async_trait]
//! impl Step for Greet {
//!     type Inputs = Inputs;
//!     type Outputs = Outputs;
//!
//!     fn about(&self) -> About {
//!         About::converging("example.greet", "Greets somebody.")
//!     }
//!
//!     async fn run(&self, _cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
//!         let greeting = format!("hello {}", inputs.who);
//!         Ok(Done::changed(Outputs { greeting }, "greeted"))
//!     }
//! }
//! ```

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::StepContext;
use crate::error::StepError;
pub use crate::outcome::Done;
use crate::outcome::{Outcome, Preview, Verdict};
use crate::schema::{SchemaError, json_schema_of};
use crate::spec::{About, SpecSource, StepKind, StepSpec};
use crate::value::Value;

/// A step as its author writes it. Only `about` and `run` are required; what is left out answers as the contract's defaults say.
#[async_trait]
pub trait Step: Send + Sync + 'static {
    type Inputs: DeserializeOwned + JsonSchema + Send + 'static;
    type Outputs: Serialize + DeserializeOwned + JsonSchema + Send + 'static;

    fn about(&self) -> About;

    /// What `run` would change now. Reads only.
    async fn preview(&self, _cx: &StepContext, _inputs: Self::Inputs) -> Result<Preview, StepError> {
        Ok(Preview::Later("this kind has no preview".into()))
    }

    async fn run(&self, cx: &StepContext, inputs: Self::Inputs) -> Result<Done<Self::Outputs>, StepError>;

    /// Whether what was done is still there; after a crash, without outputs: whether it happened.
    async fn verify(
        &self,
        _cx: &StepContext,
        _inputs: Self::Inputs,
        _outputs: Option<Self::Outputs>,
    ) -> Result<Verdict, StepError> {
        Ok(Verdict::Unknown("this kind cannot check itself".into()))
    }

    /// Gives back one hold from its own data.
    async fn release(&self, _cx: &StepContext, name: &str, _data: Value) -> Result<(), StepError> {
        Err(StepError::permanent("E902", format!("this kind takes no holds, but `{name}` is recorded for it")))
    }

    /// Takes back what `run` did; answers what was taken back and what stays.
    async fn undo(
        &self,
        _cx: &StepContext,
        _inputs: Self::Inputs,
        _outputs: Option<Self::Outputs>,
    ) -> Result<String, StepError> {
        Err(StepError::permanent("E903", "this kind cannot be undone; what it made stays"))
    }
}

/// A step as the engine sees it, native or WASM.
#[async_trait]
pub trait StepHandler: Send + Sync {
    fn kind(&self) -> StepKind;
    fn describe(&self) -> Result<StepSpec, SchemaError>;
    async fn preview(&self, cx: &StepContext, inputs: Value) -> Result<Preview, StepError>;
    async fn run(&self, cx: &StepContext, inputs: Value) -> Result<Outcome, StepError>;
    async fn verify(&self, cx: &StepContext, inputs: Value, outputs: Option<Value>) -> Result<Verdict, StepError>;
    async fn release(&self, cx: &StepContext, name: &str, data: Value) -> Result<(), StepError>;
    async fn undo(&self, cx: &StepContext, inputs: Value, outputs: Option<Value>) -> Result<String, StepError>;
}

#[async_trait]
impl<S: Step> StepHandler for S {
    fn kind(&self) -> StepKind {
        self.about().kind
    }

    fn describe(&self) -> Result<StepSpec, SchemaError> {
        StepSpec::new(
            self.about(),
            SpecSource { inputs: json_schema_of::<S::Inputs>(), outputs: json_schema_of::<S::Outputs>() },
        )
    }

    async fn preview(&self, cx: &StepContext, inputs: Value) -> Result<Preview, StepError> {
        Step::preview(self, cx, decode(inputs, "inputs")?).await
    }

    async fn run(&self, cx: &StepContext, inputs: Value) -> Result<Outcome, StepError> {
        let Done { outputs, summary, same } = Step::run(self, cx, decode(inputs, "inputs")?).await?;
        let outputs = serde_json::to_value(outputs)
            .map_err(|e| StepError::permanent("E901", "the step's outputs cannot be written as JSON").caused_by(&e))?;
        Ok(Outcome { outputs, summary, same })
    }

    async fn verify(&self, cx: &StepContext, inputs: Value, outputs: Option<Value>) -> Result<Verdict, StepError> {
        Step::verify(self, cx, decode(inputs, "inputs")?, outputs.map(|o| decode(o, "outputs")).transpose()?).await
    }

    async fn release(&self, cx: &StepContext, name: &str, data: Value) -> Result<(), StepError> {
        Step::release(self, cx, name, data).await
    }

    async fn undo(&self, cx: &StepContext, inputs: Value, outputs: Option<Value>) -> Result<String, StepError> {
        Step::undo(self, cx, decode(inputs, "inputs")?, outputs.map(|o| decode(o, "outputs")).transpose()?).await
    }
}

/// Inputs were checked against the schema before; what fails here is a late value of the wrong form.
fn decode<T: DeserializeOwned>(json: Value, what: &str) -> Result<T, StepError> {
    serde_json::from_value(json).map_err(|e| {
        StepError::permanent("E901", format!("the step's {what} do not have the form that it declared"))
            .caused_by(&e)
            .not_started()
    })
}
