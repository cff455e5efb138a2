//! The tests that drive the real program from outside, and what they need for it.
//!
//! The tests themselves are in `tests/tests`, one binary per subject. This library is their ground:
//!
//! - [`lab`]: real Kubernetes control planes and a real DNS server as plain processes of this machine.
//! - [`guests`]: every WASM component that this machine can build, with its cases.
//! - [`registry`]: a real OCI registry.
//!
//! `src/bin/lab.rs` is the same lab for a person at a terminal.

pub mod guests;

pub mod lab;

pub mod program;

pub mod registry;

pub mod rollout;

pub mod trust;

pub use program::program;
