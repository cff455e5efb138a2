//! The last pure stage: what has happened in a run, and what to do next.
//!
//! ```text
//!  event.rs     the facts, as they are journaled
//!  state.rs     RunState::apply: the fold over them, and the only place where a state changes
//!  ready.rs     what could start, kept up to date by apply
//!  schedule.rs  RunState::decide: what to do now
//!  retry.rs     whether a failed attempt is followed by another, and when
//!  prepare.rs   the last look before a step starts: its condition and its inputs
//!  resume.rs    what a resume does with each step that a run left behind
//! ```
//!
//! A fresh run is the replay of nothing; a resume is the replay of a journal. After that both are the same loop.

pub mod event;
#[cfg(test)]
mod generated;
mod prepare;
mod ready;
pub mod resume;
pub mod retry;
mod schedule;
mod state;

pub use event::{Event, Granted, Outputs, Recorded, RunOutcome, Unparked};
pub use prepare::Prepared;
pub use schedule::{Decision, Gate};
pub use state::{Folded, Head, Hold, IllegalTransition, RunState, StepRecord, StepState, name};
