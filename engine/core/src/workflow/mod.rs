//! The second stage: the tree of a file becomes a typed [`Workflow`], and everything that can be wrong without inputs is found.

mod specs;
mod types;
mod written;

pub use specs::{Files, Specs};
pub use types::*;
pub use written::{Code, Content, Formula, Repeat, Wanted, Written};

use crate::diagnostic::{Problem, Spanned};
use crate::syntax::Document;

/// What [`read`] found.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Only when there is no error.
    pub workflow: Option<Workflow>,
    pub problems: Vec<Problem>,
    /// Paths of YAML files that were not among the given ones: read them and come back.
    pub wanted: Vec<Spanned<String>>,
}

/// The kinds that a file names, so that only these have to be described.
pub fn kinds_used(document: &Document) -> Vec<String> {
    let steps = document.nodes.iter().flat_map(|node| std::iter::once(node).chain(node.children()));
    steps.filter(|node| node.name.value == "step").filter_map(|node| node.prop("uses")?.value.as_str().map(str::to_owned)).collect()
}

/// Reads and checks a workflow.
pub fn read(_document: &Document, _specs: &Specs, _files: &Files) -> Reading {
    Reading { workflow: None, problems: Vec::new(), wanted: Vec::new() }
}
