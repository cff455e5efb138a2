//! What the stage knows of the kinds, of the components that a workflow uses and of the files that it names: all are read by the
//! shell and handed in.

use std::collections::BTreeMap;
use std::sync::Arc;

use steps_sdk::StepSpec;

use crate::diagnostic::{Source, SourceId};
use crate::id::Digest;

/// The kinds that a workflow can use. Only those that it does use need to be described.
#[derive(Debug, Clone, Default)]
pub struct Specs {
    /// The name of every built-in kind, for "did you mean".
    pub names: Vec<String>,
    /// Built-in kinds and those of components.
    pub described: BTreeMap<String, Arc<StepSpec>>,
    /// What became of each source that [`super::components_used`] asked for, by the name that the file gave it. One that is not
    /// here is reported as not supported by this binary.
    pub components: BTreeMap<String, Result<LoadedComponent, NotLoaded>>,
}

/// A component that was read and described.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedComponent {
    /// Of its bytes.
    pub digest: Digest,
    /// Every kind that it provides, by its full name: `cdn.record`.
    pub kinds: Vec<String>,
}

/// Why a component cannot be used: becomes one problem at its `use`, and the steps that use its kinds are not wrong as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotLoaded {
    pub code: &'static str,
    pub message: String,
    pub help: String,
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
        Specs { names: described.keys().cloned().collect(), described, components: BTreeMap::new() }
    }
}

/// The YAML files that a workflow names, by the file that names them and the path that it wrote; a directory or a pattern stands for
/// several.
#[derive(Debug, Clone, Default)]
pub struct Files {
    pub read: BTreeMap<(SourceId, String), ReadFiles>,
}

/// What a path led to, or why nothing could be read there.
pub type ReadFiles = Result<Vec<(SourceId, Source)>, String>;
