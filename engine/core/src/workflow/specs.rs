//! What the stage knows of the kinds, and of the files that a workflow names: both are read by the shell and handed in.

use std::collections::BTreeMap;
use std::sync::Arc;

use steps_sdk::StepSpec;

use crate::diagnostic::{Source, SourceId};

/// The kinds of a binary. Only those that a workflow uses need to be described.
#[derive(Debug, Clone, Default)]
pub struct Specs {
    /// Every kind's name, for "did you mean".
    pub names: Vec<String>,
    pub described: BTreeMap<String, Arc<StepSpec>>,
}

impl Specs {
    pub fn get(&self, kind: &str) -> Option<&Arc<StepSpec>> {
        self.described.get(kind)
    }
}

impl FromIterator<StepSpec> for Specs {
    fn from_iter<I: IntoIterator<Item = StepSpec>>(specs: I) -> Specs {
        let described: BTreeMap<String, Arc<StepSpec>> =
            specs.into_iter().map(|spec| (spec.kind.to_string(), Arc::new(spec))).collect();
        Specs { names: described.keys().cloned().collect(), described }
    }
}

/// The YAML files that a workflow names, by the path that it wrote; a directory or a pattern stands for several.
#[derive(Debug, Clone, Default)]
pub struct Files {
    pub read: BTreeMap<String, Result<Vec<(SourceId, Source)>, String>>,
}
