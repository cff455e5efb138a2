//! Cases: what a custom step does with answers that a file gives, instead of a world.
//!
//! ```text
//!  kinds.rs    the kinds that cases are about
//!  case.rs     what a case says
//!  form.rs     the shape of its nodes: what is missing, what is too much
//!  read.rs     KDL text -> cases, all problems at once
//!  input.rs    a case's input, decoded by the language itself: as the body of a step in a workflow of one step
//!  answers.rs  KDL nodes -> answers of the outside world
//!  expected.rs KDL nodes -> what must come of the call
//!  mock.rs     the outside world, made of these answers
//!  call.rs     one call of one verb, in time that passes by itself
//!  judge.rs    what came of it against what was expected
//!  kdl.rs      values and expectations -> KDL text
//!  bless.rs    rewrites what was expected, and nothing else of the file
//!  record.rs   real answers, taken once and written into the file without secrets
//! ```
//!
//! Nothing here knows of WASM: a case is carried out over any [`steps_sdk::native::StepHandler`], which the caller binds to the
//! case's grants and to the mocked host. Nothing prints, and no file is read or written.

mod answers;
mod call;
mod case;
mod expected;
mod form;
mod input;
mod kdl;
mod kinds;
mod mock;
mod read;

pub mod bless;
pub mod judge;
pub mod record;

pub use call::{Ended, Happened, Stage, carry_out, stand_in_secret, stand_ins};
pub use case::{Answer, Asked, Case, Expected, Reply, Verb, What};
pub use kinds::{Kinds, family_of};
pub use mock::{Told, World};
pub use read::read;

/// A request as the head of the node that answers it.
pub fn request_as_kdl(asked: &Asked) -> String {
    kdl::asked(asked)
}

#[cfg(test)]
mod tests;
