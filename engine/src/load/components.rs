//! The components that a workflow uses: read from where the file says, described by `wasm` before the pure stages, and bound to what
//! the plan grants after them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use engine_core::id::Digest;
use engine_core::plan::PlannedComponent;
use engine_core::workflow::{Address, ArtifactVersion, ComponentSource, LoadedComponent, NotLoaded, UsedComponent};
use miette::Diagnostic;
use steps_sdk::StepSpec;
use steps_sdk::host::Host;
use steps_sdk::native::StepHandler;

use super::lock::LockFile;
use crate::oci::{Artifacts, Network, Settings as ArtifactSettings};
use crate::report::codes;
use crate::wasm::{Bound, COMPONENT_BYTES_MAX, Compiler, Components, GrantUsage, Settings, WasmError};

/// What components are made with.
pub struct WorkshopSettings {
    /// Compiled code goes to `wasm/` below it, what was pulled to `oci/`.
    pub cache: PathBuf,
    pub compiler: fn() -> io::Result<Compiler>,
    /// Makes the host functions; only workflows with components need them.
    pub host: fn() -> Host,
    /// Whether a component that is not on this machine is pulled.
    pub network: Network,
    /// docker's config.json, for registries that want to know who asks.
    pub credentials: Option<PathBuf>,
    /// Is told in a line what is about to be waited for.
    pub tell: fn(&str),
}

/// Describes and opens components. Nothing is made before the first one is met: most workflows use none.
pub struct Workshop {
    settings: WorkshopSettings,
    opened: OnceLock<Result<Components, WasmError>>,
    host: OnceLock<Host>,
    artifacts: Artifacts,
}

/// The bytes that a workflow means by a name.
#[derive(Debug, Clone)]
pub struct Pinned {
    /// The family of its kinds.
    pub name: String,
    pub digest: Digest,
    pub bytes: Arc<[u8]>,
}

/// A component that can be called, with the count of what it uses.
pub(super) struct Opened {
    pub handlers: Vec<Arc<dyn StepHandler>>,
    pub used: Arc<GrantUsage>,
}

impl Workshop {
    pub fn new(settings: WorkshopSettings) -> Workshop {
        let artifacts = Artifacts::new(ArtifactSettings {
            cache: settings.cache.join("oci"),
            credentials: settings.credentials.clone(),
            network: settings.network,
            component_bytes_max: COMPONENT_BYTES_MAX as u64,
            tell: settings.tell,
        });
        Workshop { settings, opened: OnceLock::new(), host: OnceLock::new(), artifacts }
    }

    pub fn components(&self) -> Result<&Components, WasmError> {
        let opened = self.opened.get_or_init(|| {
            let compiler = (self.settings.compiler)().map_err(|error| WasmError::NotReady {
                reason: format!("this program does not find itself: {error}"),
            })?;
            Components::new(Settings { cache: self.settings.cache.join("wasm"), compiler })
        });
        opened.as_ref().map_err(WasmError::clone)
    }

    pub fn host(&self) -> &Host {
        self.host.get_or_init(self.settings.host)
    }

    /// Components in registries.
    pub fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }

    /// Reads and describes one component. Relative paths start at `folder`.
    pub(super) fn describe(
        &self,
        folder: &Path,
        used: &UsedComponent,
    ) -> Result<(Pinned, LoadedComponent, Vec<StepSpec>), NotLoaded> {
        let bytes = self.read(folder, &used.source)?;
        let described = self.components().and_then(|components| components.describe(&bytes));
        let described = described.map_err(|error| not_loaded(&error))?;
        let specs = described.specs(&used.name).map_err(|error| not_loaded(&error))?;
        let pinned = Pinned { name: used.name.clone(), digest: described.digest.clone(), bytes: bytes.into() };
        let kinds = specs.iter().map(|spec| spec.kind.to_string()).collect();
        Ok((pinned, LoadedComponent { digest: described.digest.clone(), kinds }, specs))
    }

    /// Makes the kinds of a component callable within the grants of a plan.
    pub(super) fn open(&self, planned: &PlannedComponent, bytes: &[u8]) -> Result<Opened, WasmError> {
        let component = self.components()?.component(bytes)?;
        let used = Arc::new(GrantUsage::default());
        let bound = Bound {
            grants: Arc::new(planned.grants.clone()),
            limits: planned.limits,
            host: self.host().clone(),
            used: Arc::clone(&used),
        };
        Ok(Opened { handlers: component.handlers(&planned.name, bound), used })
    }

    fn read(&self, folder: &Path, source: &ComponentSource) -> Result<Vec<u8>, NotLoaded> {
        let path = match source {
            ComponentSource::File(path) => folder.join(path),
            ComponentSource::Registry(address) => return self.read_artifact(folder, address),
        };
        read_component(&path).map_err(|error| NotLoaded {
            code: "W014",
            message: format!("the component {} cannot be read: {error}", path.display()),
            help: "paths start where the workflow lies; `engine step build` says where it puts a component".to_owned(),
        })
    }

    /// A tag means what `engine.lock` beside the workflow says, whatever the registry says of it today.
    fn read_artifact(&self, folder: &Path, address: &Address) -> Result<Vec<u8>, NotLoaded> {
        let locked;
        let digest = match &address.version {
            ArtifactVersion::Digest { digest, .. } => digest,
            ArtifactVersion::Tag(_) => {
                locked = LockFile::read(folder).map_err(|error| not_loaded(&error))?;
                locked.digest(address, folder).map_err(|error| not_loaded(&error))?
            }
        };
        let artifact = self.artifacts.component(&address.place, digest).map_err(|error| not_loaded(&error))?;
        Ok(artifact.bytes)
    }
}

/// The bytes of a component's file; of one that is too large, enough for `wasm` to refuse it in words.
pub fn read_component(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(COMPONENT_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A problem of a component as the file's problem.
fn not_loaded(error: &impl Diagnostic) -> NotLoaded {
    let mut message = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        if !message.contains(&text) {
            let _ = write!(message, ": {text}");
        }
        next = cause.source();
    }
    NotLoaded { code: code_of(error), message, help: error.help().map(|help| help.to_string()).unwrap_or_default() }
}

/// miette hands codes out as text; the literal is that of its section in docs/errors.md, which every code has.
fn code_of(error: &impl Diagnostic) -> &'static str {
    let code = error.code().map(|code| code.to_string()).unwrap_or_default();
    codes::section(&code).expect("every code has a section in docs/errors.md").code
}

/// Grants that no call has used, by component, in words.
pub(super) fn unused(planned: &[PlannedComponent], used: &BTreeMap<String, Arc<GrantUsage>>) -> Vec<(String, String)> {
    let unused = planned.iter().flat_map(|component| {
        let counts = used.get(&component.name).map(|used| used.counts()).unwrap_or_default();
        let never = component.grants.indices().filter(move |index| !counts.contains_key(index));
        never.map(|index| (component.name.clone(), component.grants.words(index)))
    });
    unused.collect()
}
