//! The kinds of this binary. Describing one builds its schemas, so only those that a workflow uses are described, each once.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use engine_core::workflow::Specs;
use steps_sdk::native::StepHandler;
use steps_sdk::{StepKind, StepSpec};

use super::LoadError;

/// Every kind with the code that carries it out.
#[derive(Default)]
pub struct Registry {
    kinds: BTreeMap<StepKind, Kind>,
}

struct Kind {
    handler: Arc<dyn StepHandler>,
    spec: OnceLock<Result<Arc<StepSpec>, String>>,
}

impl Registry {
    /// # Panics
    /// When two handlers answer to one name: the list of built-in steps is wrong.
    pub fn new(handlers: impl IntoIterator<Item = Arc<dyn StepHandler>>) -> Registry {
        let mut kinds = BTreeMap::new();
        for handler in handlers {
            let kind = handler.kind();
            let before = kinds.insert(kind.clone(), Kind { handler, spec: OnceLock::new() });
            assert!(before.is_none(), "two steps are called `{kind}`");
        }
        Registry { kinds }
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
