//! What a run keeps beside its journal: the plan, the files that it was made of, and how it was started. A resume needs nothing else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use engine_core::diagnostic::Source;
use engine_core::id::Digest;
use engine_core::plan::{PLAN_FORMAT, Plan, PlannedComponent};
use engine_core::run::RunState;
use serde::{Deserialize, Serialize};
use steps_sdk::Value;

use super::error::CliError;
use super::exit::Exit;
use crate::disk;
use crate::journal::{JournalError, RunDir, values};
use crate::load::Pinned;

/// How a run was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The file, as the person named it.
    pub file: String,
    /// Where the engine was started: relative paths of steps start here.
    pub directory: PathBuf,
    /// Where the file lies: relative paths of secrets and kubeconfigs start here.
    pub base: PathBuf,
    pub kubeconfig: Option<PathBuf>,
    /// Contexts that the person chose instead of the file's.
    pub contexts: BTreeMap<String, String>,
    pub fail_fast: bool,
}

/// A run as it lies on disk.
#[derive(Debug, Clone)]
pub struct Archived {
    pub plan: Arc<Plan>,
    pub sources: Vec<Source>,
    pub origin: Origin,
}

const ORIGIN: &str = "origin.json";
const SOURCES: &str = "sources.json";

/// Writes everything, each file whole or not at all, before the journal begins.
pub fn write(dir: &RunDir, archived: &Archived, components: &[Pinned]) -> Result<(), CliError> {
    let keep = |path: PathBuf, bytes: &[u8]| {
        disk::replace(&path, bytes)
            .map_err(|e| state(format!("{} could not be written", path.display())).caused_by(Some(&e)))
    };
    let put =
        |path: PathBuf, value: serde_json::Result<Vec<u8>>| keep(path, &value.map_err(|e| CliError::unexpected(&e))?);
    for component in components {
        keep(component_path(dir, &component.digest), &component.bytes)?;
    }
    put(dir.plan(), serde_json::to_vec(archived.plan.as_ref()))?;
    put(dir.source().join(SOURCES), serde_json::to_vec(&archived.sources))?;
    put(dir.source().join(ORIGIN), serde_json::to_vec(&archived.origin))
}

pub fn read(dir: &RunDir) -> Result<Archived, CliError> {
    // The format first: a plan that a newer version wrote need not have our fields.
    let raw: Value = parse(dir.plan())?;
    let format = raw.get("format").and_then(Value::as_u64).unwrap_or(0);
    if format != u64::from(PLAN_FORMAT) {
        let error = CliError::new(
            Exit::ResumeRefused,
            format!("the plan of run `{}` has format {format}; this binary reads format {PLAN_FORMAT}", dir.id()),
        );
        return Err(error.code("J620").hint("use the version of engine that started the run"));
    }
    let plan: Plan = serde_json::from_value(raw)
        .map_err(|e| state(format!("{} cannot be read", dir.plan().display())).caused_by(Some(&e)))?;
    Ok(Archived {
        plan: Arc::new(plan),
        sources: parse(dir.source().join(SOURCES))?,
        origin: parse(dir.source().join(ORIGIN))?,
    })
}

/// The components that the run was started with. What became of their files since then changes nothing.
pub fn components(dir: &RunDir, plan: &Plan) -> Result<Vec<Pinned>, CliError> {
    let read = |planned: &PlannedComponent| {
        let path = component_path(dir, &planned.digest);
        let bytes = std::fs::read(&path)
            .map_err(|e| state(format!("{} cannot be read", path.display())).caused_by(Some(&e)))?;
        if Digest::of_bytes(&bytes) != planned.digest {
            return Err(state(format!("{} is not what the run was started with", path.display()))
                .hint("nothing was changed; put the component with this digest there, or start a new run"));
        }
        Ok(Pinned { name: planned.name.clone(), digest: planned.digest.clone(), bytes: bytes.into() })
    };
    plan.components.iter().map(read).collect()
}

fn component_path(dir: &RunDir, digest: &Digest) -> PathBuf {
    dir.source().join(format!("{digest}.wasm"))
}

fn parse<T: serde::de::DeserializeOwned>(path: PathBuf) -> Result<T, CliError> {
    let failed = |error: &(dyn std::error::Error + 'static)| {
        state(format!("{} cannot be read", path.display())).caused_by(Some(error))
    };
    let bytes = std::fs::read(&path).map_err(|e| failed(&e))?;
    serde_json::from_slice(&bytes).map_err(|e| failed(&e))
}

fn state(message: String) -> CliError {
    CliError::new(Exit::State, message).code("J621")
}

/// Reads outputs that lie in files of their own back into the state.
pub fn load_outputs(dir: &RunDir, run: &mut RunState) -> Result<(), CliError> {
    let away: Vec<_> =
        run.records().filter_map(|(index, record)| Some((index, record.outputs_file.clone()?))).collect();
    for (index, digest) in away {
        run.outputs_loaded(index, values::load(dir, &digest).map_err(journal)?);
    }
    Ok(())
}

/// Every record is intact, but together they cannot be.
pub fn damaged(dir: &RunDir, error: &engine_core::run::IllegalTransition) -> CliError {
    CliError::new(Exit::State, format!("the journal of run `{}` contradicts itself: {error}", dir.id()))
        .code("J622")
        .hint("nothing was changed; keep the directory and report this")
}

pub fn journal(error: JournalError) -> CliError {
    let exit = match &error {
        JournalError::NewerFormat { .. } | JournalError::UnknownEvent { .. } => Exit::ResumeRefused,
        JournalError::Exists { .. } | JournalError::NoSuchRun { .. } => Exit::Usage,
        JournalError::Io { .. }
        | JournalError::Corrupt { .. }
        | JournalError::TooLarge { .. }
        | JournalError::Stopped => Exit::State,
    };
    CliError::of(exit, &error)
}
