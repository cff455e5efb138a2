//! A component that a command is about: found, read and described.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use steps_sdk::StepSpec;
use steps_sdk::host::Host;
use steps_sdk::native::StepHandler;

use super::build;
use crate::cases::{self, Case, Kinds};
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::load::{self, Workshop};
use crate::wasm::{Bound, Component, Description, GrantUsage};

/// What is known of it.
pub struct Opened {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    pub description: Arc<Description>,
    pub kinds: Kinds,
}

/// A file is taken as it is; a folder is built first.
pub fn path_of(what: &Path, config: &Config) -> Result<PathBuf, CliError> {
    if what.is_dir() { build::component(what, config) } else { Ok(what.to_owned()) }
}

pub fn open(path: PathBuf, workshop: &Workshop) -> Result<Opened, CliError> {
    let bytes = load::read_component(&path).map_err(|error| {
        CliError::new(Exit::Usage, format!("the component {} cannot be read", path.display()))
            .code("W014")
            .caused_by(Some(&error))
            .hint("`engine step build` makes one and says where it is")
    })?;
    described(path, bytes, workshop)
}

/// Of bytes that are at hand; the path's name becomes the family of the kinds.
pub fn described(path: PathBuf, bytes: Vec<u8>, workshop: &Workshop) -> Result<Opened, CliError> {
    let refused = |error: crate::wasm::WasmError| CliError::of(Exit::Invalid, &error);
    let description = workshop.components().and_then(|components| components.describe(&bytes)).map_err(refused)?;
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("step");
    let family = cases::family_of(stem);
    let specs: Vec<StepSpec> = description.specs(&family).map_err(refused)?;
    let kinds = Kinds::new(&family, description.digest.clone(), specs.into_iter().map(Arc::new));
    Ok(Opened { path, bytes, description, kinds })
}

impl Opened {
    /// Compiled, or taken from the cache. Blocks: to be called outside of a runtime.
    pub fn component(&self, workshop: &Workshop) -> Result<Arc<Component>, CliError> {
        let component = workshop.components().and_then(|components| components.component(&self.bytes));
        component.map_err(|error| CliError::of(Exit::Invalid, &error))
    }

    /// The kind of a case, within the case's grants.
    pub fn handler(&self, component: &Arc<Component>, case: &Case, host: Host) -> Arc<dyn StepHandler> {
        let bound = Bound {
            grants: Arc::new(case.grants.clone()),
            limits: case.limits,
            host,
            used: Arc::new(GrantUsage::default()),
        };
        let handlers = component.handlers(&self.kinds.family, bound);
        handlers
            .into_iter()
            .find(|handler| handler.kind() == case.kind)
            .expect("a case is about a kind that the component described")
    }
}
