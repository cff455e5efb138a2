//! WASM guests for tests and benchmarks, made in this process: no toolchain, no files.
//!
//! ```text
//!  contract.rs  the WIT contract, and how its values lie in a guest's memory
//!  guest.rs     a guest from a list of host calls and answers
//!  pack.rs      a core module becomes a component
//!  world.rs     a host of scripted answers, and the context of a call
//! ```
//!
//! Only built for tests, and with the feature `test-guests`.

mod contract;
mod guest;
mod pack;
mod world;

pub use guest::{Do, Guest, kind};
pub use pack::{pack, pack_edited};
pub use world::{Scripted, World, cluster};
