//! What an evaluation is given: values by name, and the outcomes of steps.

use std::collections::BTreeMap;

use steps_sdk::Value;

/// Names of an expression with their values. Nothing is copied until a result is made.
#[derive(Debug, Clone, Default)]
pub struct Values<'a> {
    names: BTreeMap<String, Binding<'a>>,
    outcomes: BTreeMap<String, StepOutcome>,
}

#[derive(Debug, Clone)]
pub enum Binding<'a> {
    Borrowed(&'a Value),
    Owned(Value),
    /// A record of bindings, such as a group: by key, then by the name of the step inside.
    Fields(BTreeMap<String, Binding<'a>>),
}

/// How a step ended, as far as expressions ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutcome {
    Succeeded,
    Failed,
    Skipped,
}

impl<'a> Values<'a> {
    pub fn new() -> Self {
        Values::default()
    }

    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: &'a Value) -> Self {
        self.bind(name, Binding::Borrowed(value));
        self
    }

    pub fn bind(&mut self, name: impl Into<String>, binding: Binding<'a>) {
        self.names.insert(name.into(), binding);
    }

    /// The outcome of the step that the expression calls `path`: `ha`, or `region[alpha].deploy` for what is written
    /// `region["alpha"].deploy`. A step without an outcome has not ended.
    pub fn set_outcome(&mut self, path: impl Into<String>, outcome: StepOutcome) {
        self.outcomes.insert(path.into(), outcome);
    }

    pub(super) fn binding(&self, name: &str) -> Option<&Binding<'a>> {
        self.names.get(name)
    }

    pub(super) fn outcome(&self, path: &str) -> Option<StepOutcome> {
        self.outcomes.get(path).copied()
    }
}
