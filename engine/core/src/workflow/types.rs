//! What a workflow file says, typed. Groups are still closed and expressions are still text: no inputs are needed to get here.

use std::sync::Arc;

use steps_sdk::schema::Schema;
use steps_sdk::{Secret, StepKind, StepSpec, Value};

use super::names::Names;
use super::settings::{Backoff, KubeconfigSource, OnFailure, RetryOn};
use super::written::{Formula, Written};
use crate::diagnostic::{Place, Spanned};

/// The typed content of one file, free of errors.
#[derive(Debug, Clone)]
pub struct Workflow {
    pub name: Spanned<String>,
    pub version: Option<String>,
    pub doc: String,
    pub lock: Option<Written>,
    pub parallel: Option<usize>,
    pub per_cluster: Option<usize>,
    pub timeout_ms: Option<u64>,
    pub retry: RetryFields,
    pub inputs: Vec<InputDecl>,
    pub secrets: Vec<SecretDecl>,
    pub clusters: Vec<ClusterDecl>,
    pub groups: Vec<Group>,
    /// Of the whole file, those in groups too, in the order in which they were written.
    pub steps: Vec<Step>,
    pub outputs: Vec<OutputDecl>,
    pub(crate) names: Names,
}

#[derive(Debug, Clone)]
pub struct InputDecl {
    pub name: Spanned<String>,
    pub schema: Schema,
    /// The type as written: `list<shard>`.
    pub type_text: String,
    pub default: Option<Value>,
    pub doc: String,
    pub checks: Vec<InputCheck>,
}

#[derive(Debug, Clone)]
pub struct InputCheck {
    pub condition: Formula,
    pub message: Option<String>,
}

#[derive(Debug, Clone)]
pub struct SecretDecl {
    pub name: Spanned<String>,
    pub secret: Secret,
}

#[derive(Debug, Clone)]
pub struct ClusterDecl {
    pub name: Spanned<String>,
    pub kubeconfig: KubeconfigSource,
    /// A text over inputs, or null for none.
    pub identity: Option<Written>,
    pub at: Place,
}

/// `for-each` over steps.
#[derive(Debug, Clone)]
pub struct Group {
    pub id: Spanned<String>,
    pub variable: Spanned<String>,
    pub list: Formula,
    /// Absent: the elements are strings and are their own keys.
    pub key: Option<Formula>,
    pub parallel: Option<usize>,
    pub on_failure: OnFailure,
    pub needs: Vec<Spanned<String>>,
    pub at: Place,
}

#[derive(Debug, Clone)]
pub struct Step {
    pub id: Spanned<String>,
    /// Index into [`Workflow::groups`].
    pub group: Option<usize>,
    pub spec: Arc<StepSpec>,
    pub doc: String,
    pub tags: Vec<String>,
    pub on: Option<Written>,
    pub when: Option<Formula>,
    pub needs: Vec<Spanned<String>>,
    /// What the kind gets; its part of `wait` among it.
    pub body: Written,
    pub retry: RetryFields,
    pub timeout_ms: Option<u64>,
    /// There is a `wait` child.
    pub waits: bool,
    pub wait_for_ms: Option<u64>,
    pub at: Place,
}

impl Workflow {
    /// The group of a step.
    pub fn group_of(&self, step: &Step) -> Option<&Group> {
        step.group.map(|group| &self.groups[group])
    }

    /// What messages call a step: `deploy`, in a group `region[…].deploy`.
    pub fn title(&self, step: &Step) -> String {
        match self.group_of(step) {
            Some(group) => format!("{}[…].{}", group.id.value, step.id.value),
            None => step.id.value.clone(),
        }
    }
}

impl Step {
    pub fn kind(&self) -> &StepKind {
        &self.spec.kind
    }
}

/// What a `retry` says; the rest comes from `defaults`, then from the engine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RetryFields {
    pub attempts: Option<u32>,
    pub backoff: Option<Backoff>,
    pub first_ms: Option<u64>,
    pub cap_ms: Option<u64>,
    pub on: Option<RetryOn>,
}

#[derive(Debug, Clone)]
pub struct OutputDecl {
    pub name: Spanned<String>,
    pub value: Written,
    pub secret: bool,
    pub at: Place,
}
