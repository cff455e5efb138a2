//! Steps written in Rust that come as a WASM component.
//!
//! An author implements [`GuestStep`] with typed inputs and outputs and names it in [`export!`](crate::export); that is a whole
//! component. It runs in a world of its own: no files, no sockets, no environment, no clock and no randomness but what the modules
//! here ask of the host. [`http`], [`kubernetes`] and [`dns`] need grants of the workflow's file; what a kind wants to use it says in
//! [`About::asks`], so that `check` can tell a person what to grant. Any call may be the last one: whatever must survive a crash goes
//! into the [`memo`].
//!
//! ```
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use steps_sdk::StepError;
//! use steps_sdk::guest::{About, Call, Done, GuestStep};
//!
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
//!     /// What was said.
//!     greeting: String,
//! }
//!
//! impl GuestStep for Greet {
//!     type Inputs = Inputs;
//!     type Outputs = Outputs;
//!
//!     fn about() -> About {
//!         About::pure("greet", "Greets somebody.")
//!     }
//!
//!     fn run(_call: &Call, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
//!         let greeting = format!("hello {}", inputs.who);
//!         Ok(Done::changed(Outputs { greeting }, "greeted"))
//!     }
//! }
//!
//! steps_sdk::export!(Greet);
//! # fn main() {}
//! ```
//!
//! With `crate-type = ["cdylib"]` and `cargo build --release --target wasm32-wasip2` this becomes a component; a workflow that says
//! `use "greet.wasm" as=hello` has the kind `hello.greet`.
//!
//! In reading order: [`bindings`] is generated from the contract, [`exported`] answers the engine, the other modules are what a step
//! may ask.

#[allow(unsafe_code, reason = "generated: values cross the border of a component as pointers")]
#[allow(missing_docs, clippy::all, reason = "generated: its texts are those of the contract")]
#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod exported;

pub mod clock;
pub mod dns;
pub mod hold;
pub mod http;
pub mod kubernetes;
pub mod memo;
pub mod random;
pub mod report;

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::StepError;
use crate::grant::Ask;
use crate::outcome::{Preview, Verdict};
use crate::spec::{Effect, EffectOf, OnCluster, TimeLimit, UndoDefault};
use crate::value::Value;

pub use crate::outcome::Done;

/// A step as its author writes it. Only `about` and `run` are required; what is left out answers as the contract's defaults say.
pub trait GuestStep: 'static {
    type Inputs: DeserializeOwned + JsonSchema;
    type Outputs: Serialize + DeserializeOwned + JsonSchema;

    fn about() -> About;

    /// What `run` would change now. Reads only; the host sends no write that is tried here.
    fn preview(_call: &Call, _inputs: Self::Inputs) -> Result<Preview, StepError> {
        Ok(Preview::Later("this kind has no preview".into()))
    }

    fn run(call: &Call, inputs: Self::Inputs) -> Result<Done<Self::Outputs>, StepError>;

    /// Whether what was done is still there; after a crash, without outputs: whether it happened.
    fn verify(_call: &Call, _inputs: Self::Inputs, _outputs: Option<Self::Outputs>) -> Result<Verdict, StepError> {
        Ok(Verdict::Unknown("this kind cannot check itself".into()))
    }

    /// Takes back what `run` did; answers what was taken back and what stays.
    fn undo(_call: &Call, _inputs: Self::Inputs, _outputs: Option<Self::Outputs>) -> Result<String, StepError> {
        Err(StepError::permanent("E903", "this kind cannot be undone; what it made stays"))
    }

    /// Gives back one hold from its own data.
    fn release(_call: &Call, name: &str, _data: Value) -> Result<(), StepError> {
        Err(StepError::permanent("E902", format!("this kind takes no holds, but `{name}` is recorded for it")))
    }
}

/// What a kind says of itself beside its schemas.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    /// The kind's name is this, below the family that the file chooses.
    pub verb: &'static str,
    /// Raised when inputs, outputs or meaning change.
    pub version: u32,
    /// A run that was started with this version or a newer one can be resumed.
    pub accepts_from: u32,
    /// Markdown: the first line says what the kind does.
    pub doc: &'static str,
    pub effect: EffectOf,
    pub undo: UndoDefault,
    pub time_limit: TimeLimit,
    pub on: OnCluster,
    /// What it needs from the host, and why.
    pub asks: Vec<Ask>,
}

impl About {
    /// A first version that leads to the same world however often it runs, keeps what it made, has five minutes and no cluster.
    pub fn converging(verb: &'static str, doc: &'static str) -> About {
        About {
            verb,
            version: 1,
            accepts_from: 1,
            doc,
            effect: EffectOf::Fixed(Effect::Converge),
            undo: UndoDefault::Keep,
            time_limit: TimeLimit::Action { timeout_ms: 5 * 60_000 },
            on: OnCluster::Refused,
            asks: Vec::new(),
        }
    }

    /// One that touches nothing outside.
    pub fn pure(verb: &'static str, doc: &'static str) -> About {
        About { effect: EffectOf::Fixed(Effect::Pure), ..About::converging(verb, doc) }
    }

    /// One that must not happen twice: after a crash its `verify` decides, or a person.
    pub fn once(verb: &'static str, doc: &'static str) -> About {
        About { effect: EffectOf::Fixed(Effect::Once), ..About::converging(verb, doc) }
    }
}

/// Where a call stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The step's path, for instance `region[alpha].deploy`.
    pub step: String,
    pub run: String,
    /// The same in every run of this step: ownership marks.
    pub owner_key: String,
    /// The same over attempts and resumes of this run: idempotency keys, serials.
    pub once_key: String,
    /// From 1.
    pub attempt: u32,
    /// Time until the engine ends the call, as it was when the call began.
    pub remaining: Duration,
    /// The cluster of `on=`.
    pub on: Option<String>,
    /// Every cluster that the step names.
    pub clusters: Vec<String>,
}

impl Call {
    /// The cluster of `on=`. A kind that calls this says [`OnCluster::Required`], and then `check` has seen to it.
    pub fn on(&self) -> Result<&str, StepError> {
        self.on.as_deref().ok_or_else(|| {
            StepError::permanent("C001", "this step needs a cluster")
                .help("write `on=CLUSTER` on the step")
                .not_started()
        })
    }
}

/// Makes a component of one or several [`GuestStep`]s. Written once, in the component's `lib.rs`.
#[macro_export]
macro_rules! export {
    ($($step:ty),+ $(,)?) => {
        #[doc(hidden)]
        struct EngineComponent;

        impl EngineComponent {
            const STEPS: &'static [&'static dyn $crate::guest::exported::Erased] =
                &[$(&$crate::guest::exported::Of::<$step>::NEW),+];
        }

        $crate::__answer_for!(EngineComponent);
        // The names of a component's exports are none that another linker takes; a step's own tests run without them.
        #[cfg(target_family = "wasm")]
        $crate::guest::bindings::export_component!(EngineComponent with_types_in $crate::guest::bindings);
    };
}
