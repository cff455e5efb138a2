//! The third stage: a workflow, the specs of its kinds and its inputs become a [`Plan`].

mod types;

pub use types::*;
