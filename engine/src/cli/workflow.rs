//! From a file and values for its inputs to a plan, with every problem told at once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine_core::diagnostic::{Problem, Severity, Source};
use engine_core::plan::{self, InputValue, Plan};
use engine_core::syntax;

use super::archive::Origin;
use super::args::{ClusterArgs, WorkflowArgs};
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::print;
use crate::load::{self, LoadError, Loaded, Pinned, Registry};
use crate::report::problems::{self, Checked};

/// A plan and what it was made of.
pub struct Planned {
    pub plan: Plan,
    pub sources: Vec<Source>,
    pub components: Vec<Pinned>,
}

/// Loads, checks and plans. Problems are printed here; warnings do not stop anything.
pub fn planned(args: &WorkflowArgs, registry: &Registry, config: &Config) -> Result<Planned, CliError> {
    let Loaded { mut sources, workflow, components, problems, .. } = loaded(&args.file, registry)?;
    let Some(workflow) = workflow else {
        return Err(invalid(&problems, &sources, config));
    };
    let inputs = inputs(args, &mut sources, config)?;
    match plan::compile(&workflow, inputs) {
        Ok(plan) => {
            if !problems.is_empty() {
                print::tell(&problems::text(&[Checked { problems: &problems, sources: &sources }], &config.stderr));
            }
            Ok(Planned { plan, sources, components })
        }
        Err(more) => Err(invalid(&[problems, more].concat(), &sources, config)),
    }
}

pub fn loaded(file: &Path, registry: &Registry) -> Result<Loaded, CliError> {
    let name =
        file.to_str().ok_or_else(|| CliError::new(Exit::Usage, format!("the path {} is not UTF-8", file.display())))?;
    load::load(name, registry).map_err(|error| match error {
        LoadError::Kind { .. } => CliError::unexpected(&error),
        LoadError::Unreadable { .. } | LoadError::TooLarge { .. } | LoadError::NotText { .. } => {
            CliError::new(Exit::Usage, error.to_string())
        }
    })
}

fn invalid(problems: &[Problem], sources: &[Source], config: &Config) -> CliError {
    print::tell(&problems::text(&[Checked { problems, sources }], &config.stderr));
    CliError::told(Exit::Invalid)
}

/// `--var-file` in their order, then `--var`: the later wins.
fn inputs(
    args: &WorkflowArgs,
    sources: &mut Vec<Source>,
    config: &Config,
) -> Result<BTreeMap<String, InputValue>, CliError> {
    let mut inputs = BTreeMap::new();
    for path in &args.var_file {
        let text = std::fs::read_to_string(path).map_err(|e| {
            CliError::new(Exit::Usage, format!("the file of inputs {} cannot be read", path.display()))
                .caused_by(Some(&e))
        })?;
        let id = engine_core::diagnostic::SourceId(
            u32::try_from(sources.len()).expect("a command line does not name four billion files"),
        );
        let source = Source { name: path.display().to_string(), text };
        let (document, problems) = syntax::parse(id, &source);
        sources.push(source);
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(invalid(&problems, sources, config));
        }
        for node in document.nodes {
            inputs.insert(node.name.value.clone(), InputValue::Node(node));
        }
    }
    for pair in &args.var {
        let (name, value) = pair_of(pair, "--var", "NAME=VALUE")?;
        inputs.insert(name, InputValue::Text(value));
    }
    Ok(inputs)
}

fn pair_of(text: &str, flag: &str, form: &str) -> Result<(String, String), CliError> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => {
            Err(CliError::new(Exit::Usage, format!("`{flag} {text}` has no `=`")).hint(format!("write {flag} {form}")))
        }
    }
}

/// How this process was asked to start a run.
pub fn origin(
    args: &WorkflowArgs,
    clusters: &ClusterArgs,
    fail_fast: bool,
    config: &Config,
) -> Result<Origin, CliError> {
    let file = args.file.display().to_string();
    let base = match args.file.parent() {
        Some(parent) if file != "-" => config.directory.join(parent),
        _ => config.directory.clone(),
    };
    Ok(Origin {
        file,
        directory: config.directory.clone(),
        base,
        kubeconfig: clusters.kubeconfig.as_ref().map(|path| config.directory.join(path)),
        contexts: contexts(clusters)?,
        fail_fast,
    })
}

pub fn contexts(clusters: &ClusterArgs) -> Result<BTreeMap<String, String>, CliError> {
    clusters.context.iter().map(|pair| pair_of(pair, "--context", "CLUSTER=CONTEXT")).collect()
}

/// A context for a cluster that the plan does not have is a slip that would otherwise go unnoticed.
pub fn check_contexts(plan: &Plan, contexts: &BTreeMap<String, String>) -> Result<(), CliError> {
    let names: Vec<&str> = plan.clusters.iter().map(|cluster| cluster.name.0.as_str()).collect();
    match contexts.keys().find(|name| !names.contains(&name.as_str())) {
        None => Ok(()),
        Some(odd) => {
            let error = CliError::new(
                Exit::Usage,
                format!("`--context {odd}=…` names a cluster that the workflow does not have"),
            );
            Err(match engine_core::diagnostic::nearest(odd, names.iter().copied()) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("its clusters: {}", names.join(", "))),
            })
        }
    }
}

/// Limits that the command line sets over those of the file.
pub fn limit(plan: &mut Plan, parallel: Option<u16>, per_cluster: Option<u16>) {
    if let Some(parallel) = parallel {
        plan.limits.parallel = usize::from(parallel);
    }
    if let Some(per_cluster) = per_cluster {
        plan.limits.per_cluster = usize::from(per_cluster);
    }
}

/// The directory that steps' relative paths start from.
pub fn enter(directory: &PathBuf) -> Result<(), CliError> {
    std::env::set_current_dir(directory).map_err(|e| {
        CliError::new(Exit::Usage, format!("the run was started in {}, which cannot be entered", directory.display()))
            .caused_by(Some(&e))
    })
}
