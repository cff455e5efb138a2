//! The second stage: the tree of a file becomes a typed [`Workflow`], and everything that can be wrong without inputs is found.
//!
//! ```text
//!  types.rs     what a file says
//!  settings.rs  settings that go into the plan as they stand
//!  written.rs   values with expressions in them, each with its place
//!  address.rs   where a component lies in a registry
//!  specs.rs     what the shell hands in: kinds, components and files
//!
//!  collect.rs   first all names, so that order does not matter; names.rs, what each of them stands for
//!  header.rs include.rs input.rs outside.rs component.rs grant.rs template.rs step.rs shared.rs   then each node of the language
//!  fields.rs    the form of such a node
//!  permit.rs    the form of what is granted
//!  asked.rs     what the kinds of a component ask for, against what is granted
//!  decode.rs scalar.rs list.rs choice.rs free.rs manifest.rs   a step's body becomes its inputs, as the kind's schema directs
//!  example.rs   how a field is written that was left out
//!  fit.rs       whether a value fits a schema
//!  link.rs      edges between steps, and circles; recursion.rs, templates that call themselves
//!  check.rs     types, absence, secrets; scope.rs, absence.rs, early.rs, infer.rs, outer.rs and taint.rs for it
//!  wording.rs   problems that several of these report
//! ```
//!
//! Reading never stops at the first problem. What could not be read gets a stand-in that fits anywhere, so that one mistake is
//! one problem.

mod absence;
mod address;
pub(crate) mod asked;
mod check;
mod choice;
mod collect;
mod component;
mod decode;
mod early;
mod example;
mod fields;
pub(crate) mod fit;
mod free;
mod grant;
mod header;
mod include;
mod infer;
mod input;
mod link;
mod list;
mod manifest;
pub(crate) mod names;
mod outer;
pub(crate) mod outside;
pub(crate) mod permit;
mod read;
mod recursion;
mod scalar;
mod scope;
pub(crate) mod settings;
mod shared;
mod specs;
mod step;
mod taint;
mod template;
#[cfg(test)]
pub(crate) mod tests;
mod types;
mod wording;
mod written;

pub use address::{Address, ArtifactPlace, ArtifactVersion, NotAnAddress, SCHEME};
pub use component::{UsedComponent, components_used};
pub use include::{Library, included};
pub(crate) use read::read_value;
pub use read::{Reading, kinds_used, read, read_alone};
pub use specs::{Files, LoadedComponent, NotLoaded, Specs};
pub(crate) use types::values;
pub use types::*;
pub use written::{Code, Content, Formula, Repeat, Wanted, Written};
