//! Kinds for any Kubernetes object: apply it, wait for it, scale it, carry it to another cluster.
//!
//! How an API server is spoken to is not here: see `cluster`.

pub mod apply;
pub mod carry;
pub mod scale;
pub mod set;
pub mod wait;
