//! The first and the last words of a run.

use engine_core::id::Timestamp;
use steps_sdk::{Secret, Value};

use super::RunView;
use super::setting::Setting;

/// What is known only when a run is over, or when this process leaves it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    pub at: Timestamp,
    /// The workflow's outputs in the order of the file; empty unless it succeeded.
    pub outputs: Vec<Output>,
    /// Why this process stopped before the run was over, if it did: "interrupted", "the journal could not be written".
    pub stopped: Option<String>,
}

/// One output of the workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    pub name: String,
    pub value: OutputValue,
}

#[derive(Debug, Clone, PartialEq)]
pub enum OutputValue {
    Open(Value),
    /// Where it is; never what it is.
    Secret(Secret),
    /// Marked `secret=#true` although it has no place of its own.
    Hidden,
}

/// Which run, of which plan, over which clusters. Shown when a run starts and when it is resumed.
pub fn heading(view: &RunView, setting: &Setting) -> String {
    unimplemented!("{view:?} {setting:?}")
}

/// How it ended: counts and outputs, or failures, parked steps, open holds, and how to go on.
pub fn text(view: &RunView, ending: &Ending, setting: &Setting) -> String {
    unimplemented!("{view:?} {ending:?} {setting:?}")
}
