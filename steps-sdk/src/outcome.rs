//! What the verbs of a step answer. All of it is data: outcomes are journaled, previews and verdicts are shown.

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// What `run` did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// By name, as the kind's output schema says; `null` where there are none. Never secret bytes.
    pub outputs: Value,
    /// One line for a person: "Namespace/kcp-zheng created".
    pub summary: String,
    /// Everything was already as wanted; nothing was written.
    pub same: bool,
}

/// What `run` did, with typed outputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Done<O> {
    pub outputs: O,
    /// One line for a person.
    pub summary: String,
    /// Everything was already as wanted; nothing was written.
    pub same: bool,
}

impl<O> Done<O> {
    pub fn changed(outputs: O, summary: impl Into<String>) -> Self {
        Done { outputs, summary: summary.into(), same: false }
    }

    pub fn same(outputs: O, summary: impl Into<String>) -> Self {
        Done { outputs, summary: summary.into(), same: true }
    }
}

/// What `run` would do now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preview {
    Changes(Vec<Change>),
    /// It cannot be known yet; the text says what it waits for.
    Later(String),
}

/// One change to one thing outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What changes, as its owner names it: `Namespace/kcp-zheng`, `A api.example.io`.
    pub object: String,
    pub action: ChangeAction,
    pub certainty: Certainty,
    /// Changed fields: path, value before, value after. Secret values are left out by the step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// Why `run` would be refused, for instance another manager that owns a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
    /// With [`Certainty::Later`]: what has to be there first, named as the `object` of the change that makes it (`Namespace/kcp-zheng`;
    /// one `*` stands for what is not known: `CustomResourceDefinition/*.example.io`), or in words. Whether a step before this one
    /// makes it is known to the engine only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    pub path: String,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeAction {
    Create,
    Update,
    Same,
    Delete,
    /// An action without an object, such as a probe or a program.
    Run,
    Unknown,
}

/// How sure a preview is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The system that will be changed was asked.
    Server,
    /// Only the shape was checked.
    Schema,
    /// Known when an earlier step has run.
    Later,
}

/// What `verify` found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It had happened although no outcome was recorded; here it is.
    Done(Outcome),
    /// What was done is still as recorded.
    Intact,
    /// It is there but differs.
    Drifted(Vec<Change>),
    /// It is not there, or never happened.
    Gone(String),
    /// It cannot be told.
    Unknown(String),
}
