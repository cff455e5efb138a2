//! The contract between the engine and a step.
//!
//! A step is one thing done to the outside world: an object applied, a certificate issued, a record written. Whoever writes one,
//! in Rust inside the binary or as a WASM component, answers the same six verbs:
//!
//! | verb | question it answers |
//! |---|---|
//! | `describe` | what do you take, what do you give, what happens if you run twice? |
//! | `preview` | what would change now? Reads only. |
//! | `run` | do it, and say what you did |
//! | `verify` | is what you did still there; if we crashed: had you done it? |
//! | `release` | give back one thing that you took away |
//! | `undo` | take back what you did |
//!
//! Three rules hold for every step. It may be killed between any two instructions and is then run again, so running it twice gives
//! the same world as running it once (or it says that it is [`Effect::Once`]). It knows neither the plan, nor the journal, nor any
//! other step: what it needs arrives in its inputs. It never puts secret bytes into outputs, summaries or errors: a [`Secret`]
//! says where they are.
//!
//! Without features this crate is data only, and the pure half of the engine uses it so. The feature `native` adds what an author
//! of built-in steps needs: the trait [`native::Step`] and the [`context::StepContext`]. The feature `guest` adds what an author of a
//! WASM step needs: the trait `guest::GuestStep` and what the host does for it. The feature `testing` adds the
//! tests that every step must pass, for dev-dependencies.

// Generated code of the feature `guest` names this crate as its users do.
#[cfg(feature = "guest")]
extern crate self as steps_sdk;

pub mod error;
pub mod grant;
pub mod outcome;
pub mod schema;
pub mod spec;
pub mod value;

#[cfg(feature = "native")]
pub mod context;
#[cfg(feature = "guest")]
pub mod guest;
#[cfg(feature = "native")]
pub mod host;
#[cfg(feature = "native")]
pub mod native;
#[cfg(feature = "testing")]
pub mod testing;

pub use error::{ErrorClass, StepError};
pub use outcome::{Certainty, Change, ChangeAction, Outcome, Preview, Verdict};
pub use spec::{Effect, EffectOf, StepKind, StepSpec, UndoDefault};
pub use value::{Secret, Value};
