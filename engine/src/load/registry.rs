//! The kinds that can be used: those of this binary, and those of components. Describing a built-in one makes its schemas, so only
//! those that a workflow uses are described, each once.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use engine_core::plan::Plan;
use engine_core::workflow::Specs;
use steps_sdk::native::StepHandler;
use steps_sdk::{StepKind, StepSpec};

use super::LoadError;
use super::components::{self, Opened, Pinned, Workshop};
use crate::wasm::{GrantUsage, WasmError};

/// Every kind with the code that carries it out.
#[derive(Clone)]
pub struct Registry {
    kinds: BTreeMap<StepKind, Kind>,
    workshop: Arc<Workshop>,
    /// What the components of a plan have used, by component.
    used: BTreeMap<String, Arc<GrantUsage>>,
}

#[derive(Clone)]
struct Kind {
    handler: Arc<dyn StepHandler>,
    spec: OnceLock<Result<Arc<StepSpec>, String>>,
}

impl Registry {
    /// # Panics
    /// When two handlers answer to one name: the list of built-in steps is wrong.
    pub fn new(handlers: impl IntoIterator<Item = Arc<dyn StepHandler>>, workshop: Workshop) -> Registry {
        let mut registry = Registry { kinds: BTreeMap::new(), workshop: Arc::new(workshop), used: BTreeMap::new() };
        for handler in handlers {
            registry.add(handler);
        }
        registry
    }

    fn add(&mut self, handler: Arc<dyn StepHandler>) {
        let kind = handler.kind();
        let before = self.kinds.insert(kind.clone(), Kind { handler, spec: OnceLock::new() });
        assert!(before.is_none(), "two steps are called `{kind}`");
    }

    /// With the kinds of a plan's components, which may do what that plan grants. Compiles what is not in the cache, and blocks
    /// meanwhile.
    pub fn bound(&self, plan: &Plan, pinned: &[Pinned]) -> Result<Registry, WasmError> {
        let mut bound = self.clone();
        for planned in &plan.components {
            let component = pinned.iter().find(|pinned| pinned.name == planned.name && pinned.digest == planned.digest);
            let component = component.expect("a plan names only components that were loaded for it");
            let Opened { handlers, used } = self.workshop.open(planned, &component.bytes)?;
            bound.used.insert(planned.name.clone(), used);
            for handler in handlers {
                bound.add(handler);
            }
        }
        Ok(bound)
    }

    /// Grants of the plan that no call has used so far: component and words.
    pub fn unused_grants(&self, plan: &Plan) -> Vec<(String, String)> {
        components::unused(&plan.components, &self.used)
    }

    pub fn workshop(&self) -> &Workshop {
        &self.workshop
    }

    pub fn handler(&self, kind: &StepKind) -> Option<&Arc<dyn StepHandler>> {
        self.kinds.get(kind).map(|known| &known.handler)
    }

    /// Names of all kinds, sorted.
    pub fn names(&self) -> impl Iterator<Item = &StepKind> {
        self.kinds.keys()
    }

    /// What a kind says of itself; `None` when there is no such kind.
    pub fn spec(&self, kind: &str) -> Result<Option<Arc<StepSpec>>, LoadError> {
        let Some(known) = kind.parse().ok().and_then(|kind: StepKind| self.kinds.get(&kind)) else {
            return Ok(None);
        };
        let spec = known.spec.get_or_init(|| known.handler.describe().map(Arc::new).map_err(|error| error.to_string()));
        spec.clone().map(Some).map_err(|reason| LoadError::Kind { kind: kind.to_owned(), reason })
    }

    /// What the pure stages need: all names, and the specs of the kinds that are used.
    pub fn specs(&self, used: &[String]) -> Result<Specs, LoadError> {
        let mut specs = Specs { names: self.names().map(StepKind::to_string).collect(), ..Specs::default() };
        for kind in used {
            if let Some(spec) = self.spec(kind)? {
                specs.described.insert(kind.clone(), spec);
            }
        }
        Ok(specs)
    }
}
