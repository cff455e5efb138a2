//! Steps that come as WASM components: compiled once, described once, called in a sandbox with nothing but what a file grants.
//!
//! ```text
//!  bytes -> examine -> compile (a child with limits) -> cache -> link -> describe -> Description -> specs, as of built-in kinds
//!  a call: fresh store -> limits, meter -> guest -> imports (grants, preview) -> steps-sdk's Host -> convert or trap -> answer
//! ```
//!
//! ```text
//!  error.rs       why a component is refused, and what kept us from finding out
//!  bindings.rs    the contract (steps-sdk/wit/step.wit) in Rust, and its version
//!  limits.rs      memory and tables of a guest, and every fixed number
//!  machine.rs     the settings of wasmtime, and the clock that interrupts guests
//!  pool.rs        places for guests that are mapped once
//!  examine.rs     what bytes and types of a component must be
//!  compile.rs     compilation in a child process
//!  cache.rs       compiled code, descriptions and refusals by digest
//!  describe.rs    what a component says of itself
//!  meter.rs       time of a guest: its own, and its turn among others
//!  words.rs       text of a guest on its way to people
//!  speech.rs      log lines, standard output, last words
//!  guest.rs       one call of a guest as the host sees it
//!  imports/       what a guest may call, one file per interface
//!  wasi.rs        inert stand-ins for runtimes that expect a system
//!  convert.rs     between the contract's types and the engine's
//!  call.rs        one call: a fresh store, one question, one answer
//!  trap.rs        from the end of a guest to a step error
//!  component.rs   a component that is ready, and its kinds as step handlers
//!  components.rs  all components of the process
//!  testing/       guests for tests, made without a toolchain
//!  hostile/       tests: guests that mean harm
//! ```
//!
//! Nobody who runs a component has to trust it. It computes within limits of memory and time, touches the outside only through
//! [`imports`], each request of which is compared with the grants of the file, never holds a secret, and is gone after each call. What
//! reads its bytes outside of the sandbox, the compiler, runs in a process of its own.

mod bindings;
mod cache;
mod call;
mod compile;
mod component;
mod components;
mod convert;
mod describe;
mod error;
mod examine;
mod guest;
mod imports;
mod limits;
mod machine;
mod meter;
mod pool;
mod speech;
mod trap;
mod wasi;
mod words;

#[cfg(test)]
mod hostile;
#[cfg(any(test, feature = "test-guests"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use compile::{CompileLimits, Compiler, SUBCOMMAND, compile_child};
pub use component::Component;
pub use components::{Components, Settings};
pub use describe::{Description, Kind};
pub use error::{Refusal, WasmError};
pub use guest::{Bound, GrantUsage};
pub use limits::COMPONENT_BYTES_MAX;
