//! Components in OCI registries: pushed, pulled, and kept on this machine by digest.
//!
//! ```text
//!  address (HOST/PATH, tag or digest) -> manifest, whose digest is the pin -> one layer, whose digest the manifest says -> bytes
//! ```
//!
//! ```text
//!  error.rs        what goes wrong, for people
//!  manifest.rs     the artifact as the CNCF describes it for WASM: one config, one layer
//!  cache.rs        what was pulled, by digest
//!  credentials.rs  who we are to a registry, as docker's configuration says
//!  pull.rs         reading from a registry within limits
//!  push.rs         writing to one
//!  artifacts.rs    the three together
//! ```
//!
//! A registry is not trusted. What it sends is read up to a limit and no further, and counts only when its digest is the one that was
//! asked for. A tag is asked for a digest when a person says so (`engine step pull`, `engine lock`), never by a workflow.
//! What the bytes do is not known here: `wasm` examines them.

mod artifacts;
mod cache;
mod credentials;
mod error;
mod manifest;
mod pull;
mod push;
#[cfg(test)]
mod tests;

pub use artifacts::{Artifact, Artifacts, Network, Published, Settings};
pub use error::OciError;
pub use manifest::Interfaces;
