//! The last pure stage: what has happened in a run, and what to do next.

pub mod event;

pub use event::{Event, Outputs, Recorded, RunOutcome, Unparked};
