//! Reads what a workflow is made of, and hands it to the pure stages: the file itself and what it includes, then the YAML files that
//! its steps name.
//!
//! ```text
//!  registry.rs    the kinds of this binary, each described when it is first needed, and those of components
//!  components.rs  components: read, described, and bound to what a plan grants
//!  lock.rs        which bytes the tags of registries mean: engine.lock
//!  include.rs     the files that it includes
//!  files.rs       a file, a directory or a pattern, within limits
//! ```
//!
//! Only here are files of a workflow read. Which ones is for `workflow` to say: it is asked once without any, and again with what
//! it missed.

mod components;
mod files;
mod include;
mod lock;
mod registry;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine_core::diagnostic::{Problem, Source, Spanned};
use engine_core::limits::SOURCE_BYTES_MAX;
use engine_core::workflow::{self, Files, Workflow};

pub use components::{Pinned, Workshop, WorkshopSettings, read_component};
pub use lock::{LOCK_FILE, LockError, LockFile, tags_used};
pub use registry::Registry;

/// A workflow with everything it is made of.
#[derive(Debug)]
pub struct Loaded {
    /// By the number of a `SourceId`; the first is the workflow itself.
    pub sources: Vec<Source>,
    /// Where each source was read; `None` for standard input.
    pub paths: Vec<Option<PathBuf>>,
    /// Only when nothing is wrong with it.
    pub workflow: Option<Workflow>,
    /// The components that its steps use.
    pub components: Vec<Pinned>,
    /// Errors and warnings, in the order of the file.
    pub problems: Vec<Problem>,
}

/// The workflow's own file could not be read; nothing can be said about what is in it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot read {name}: {source}")]
    Unreadable { name: String, source: io::Error },
    #[error("{name} is larger than {} KiB", SOURCE_BYTES_MAX / 1024)]
    TooLarge { name: String },
    #[error("{name} is not text in UTF-8: byte {at} is no part of a character")]
    NotText { name: String, at: usize },
    #[error("step kind `{kind}` describes itself in a way that the engine does not read: {reason}")]
    Kind { kind: String, reason: String },
}

/// Reads the file at `path`; `-` is standard input, whose relative paths count from the working directory.
pub fn load(path: &str, registry: &Registry) -> Result<Loaded, LoadError> {
    let (source, file) = match path {
        "-" => (files::read_stream("standard input", io::stdin().lock())?, None),
        path => (files::read(Path::new(path))?, Some(PathBuf::from(path))),
    };
    let folder = file.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
    load_source(source, file, &folder, registry)
}

/// The same for a text that is at hand, such as the pinned source of a run.
pub fn load_source(
    source: Source,
    file: Option<PathBuf>,
    folder: &Path,
    registry: &Registry,
) -> Result<Loaded, LoadError> {
    let mut reader = include::Reader::new(source, file, folder);
    let (document, library) = reader.documents();
    let used = std::iter::once(&document).chain(&library.documents);
    let mut specs = registry.specs(&workflow::kinds_used(used))?;
    let mut components = Vec::new();
    for used in workflow::components_used(&document, &library) {
        let loaded = registry.workshop().describe(folder, &used).map(|(pinned, loaded, described)| {
            components.push(pinned);
            specs.described.extend(described.into_iter().map(|spec| (spec.kind.to_string(), Arc::new(spec))));
            loaded
        });
        specs.components.insert(used.name, loaded);
    }
    let mut files = Files::default();
    let mut reading = workflow::read(&document, &library, &specs, &files);
    if !reading.wanted.is_empty() {
        for Spanned { value: path, at } in &reading.wanted {
            let wanted = (at.source, path.clone());
            if files.read.contains_key(&wanted) {
                continue;
            }
            let found = files::read_all(&reader.folders[at.source.0 as usize], path).map(|found| {
                found.into_iter().map(|(path, source)| (reader.add(path, source.clone()), source)).collect()
            });
            files.read.insert(wanted, found);
        }
        reading = workflow::read(&document, &library, &specs, &files);
    }
    let include::Reader { sources, paths, mut problems, .. } = reader;
    let is_sound = !problems.iter().any(Problem::is_error);
    problems.extend(reading.problems);
    problems.sort_by_key(|problem| problem.at);
    Ok(Loaded { sources, paths, components, workflow: reading.workflow.filter(|_| is_sound), problems })
}

#[cfg(test)]
mod tests;
