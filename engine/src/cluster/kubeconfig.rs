//! Which kubeconfig and which context a cluster of the plan means, by kubectl's rules.
//!
//! kube can find kubeconfigs by itself, but from the environment of the process; here that is an argument. Of several files the
//! first to name something wins, and files of a list that are not there are passed over.

use std::io;
use std::path::{Path, PathBuf};

use engine_core::diagnostic::nearest;
use engine_core::plan::PlannedCluster;
use kube::config::{Kubeconfig, KubeconfigError};
use steps_sdk::StepError;
use steps_sdk::value::ClusterName;

use super::Settings;
use super::error::OpenError;
use super::workspace;

/// A context of a kubeconfig: enough to make a client of.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    /// This context and what it refers to; nothing else.
    pub kubeconfig: Kubeconfig,
    pub context: String,
    /// For words.
    pub server: String,
}

/// Reads the files that the cluster means and takes its context out of them.
pub(super) fn choose(planned: &PlannedCluster, settings: &Settings) -> Result<Chosen, OpenError> {
    let files = files(planned, settings)?;
    let merged = merge(&planned.name, &files)?;
    let asked = settings.contexts.get(&planned.name.0).or(planned.kubeconfig.context.as_ref());
    take_context(&planned.name, merged, asked).map(|chosen| chosen.within(planned))
}

/// The same for a kubeconfig that is at hand.
pub(super) fn made(planned: &PlannedCluster, text: &[u8], settings: &Settings) -> Result<Chosen, OpenError> {
    let not_one = |line| OpenError::NotMade { cluster: planned.name.clone(), line };
    let text = std::str::from_utf8(text).map_err(|_| not_one(None))?;
    let config = Kubeconfig::from_yaml(text).map_err(|error| match error {
        KubeconfigError::Parse(error) => not_one(error.location().map(|place| place.line())),
        _ => not_one(None),
    })?;
    let asked = settings.contexts.get(&planned.name.0).or(planned.kubeconfig.context.as_ref());
    take_context(&planned.name, config, asked).map(|chosen| chosen.within(planned))
}

impl Chosen {
    /// Led to the workspace that the plan addresses, if it is one.
    fn within(mut self, planned: &PlannedCluster) -> Chosen {
        if let Some(path) = &planned.workspace {
            self.server = workspace::address(&self.server, path);
            for cluster in self.kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
                cluster.server = Some(self.server.clone());
            }
        }
        self
    }
}

/// A kubeconfig of this one context, for programs that understand nothing else. Certificates and keys that lie in files stay there,
/// under absolute paths; a program for credentials stays one.
pub(super) fn text(kubeconfig: &Kubeconfig) -> Result<String, StepError> {
    serde_json::to_string(kubeconfig)
        .map_err(|error| StepError::permanent("C005", "the kubeconfig cannot be written down").caused_by(&error))
}

enum Files {
    /// Must be there.
    Named(PathBuf),
    /// Those that are there count.
    Listed(Vec<PathBuf>),
}

fn files(planned: &PlannedCluster, settings: &Settings) -> Result<Files, OpenError> {
    let variable = |name: &str| settings.environment.get(name).filter(|value| !value.is_empty());
    let missing = |looked| Err(OpenError::NoKubeconfig { cluster: planned.name.clone(), looked });
    if let Some(file) = &planned.kubeconfig.file {
        return Ok(Files::Named(match (file.strip_prefix("~/"), variable("HOME")) {
            (Some(below), Some(home)) => Path::new(home).join(below),
            _ => settings.base.join(file),
        }));
    }
    if let Some(name) = &planned.kubeconfig.env {
        return match variable(name) {
            Some(list) => Ok(Files::Listed(split(list))),
            None => missing(format!("the environment variable {name} is not set")),
        };
    }
    if let Some(file) = &settings.kubeconfig {
        return Ok(Files::Named(file.clone()));
    }
    match (variable("KUBECONFIG"), variable("HOME")) {
        (Some(list), _) => Ok(Files::Listed(split(list))),
        (None, Some(home)) => Ok(Files::Listed(vec![Path::new(home).join(".kube/config")])),
        (None, None) => missing("neither KUBECONFIG nor HOME is set".into()),
    }
}

fn split(list: &str) -> Vec<PathBuf> {
    std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect()
}

fn merge(cluster: &ClusterName, files: &Files) -> Result<Kubeconfig, OpenError> {
    let (paths, may_be_missing) = match files {
        Files::Named(path) => (std::slice::from_ref(path), false),
        Files::Listed(paths) => (&paths[..], true),
    };
    let mut merged: Option<Kubeconfig> = None;
    for path in paths {
        let next = match read(path) {
            Ok(next) => next,
            Err(KubeconfigError::ReadConfig(error, _)) if may_be_missing && error.kind() == io::ErrorKind::NotFound => {
                continue;
            }
            Err(error) => return Err(refused(cluster, path, error)),
        };
        merged = Some(match merged {
            None => next,
            Some(before) => before.merge(next).map_err(|error| refused(cluster, path, error))?,
        });
    }
    merged.ok_or_else(|| {
        let names: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        OpenError::NoKubeconfig { cluster: cluster.clone(), looked: format!("no file {}", names.join(", ")) }
    })
}

/// Relative paths in a kubeconfig start at its directory, which must therefore be absolute.
fn read(path: &Path) -> Result<Kubeconfig, KubeconfigError> {
    let absolute = std::path::absolute(path).map_err(|error| KubeconfigError::ReadConfig(error, path.to_owned()))?;
    Kubeconfig::read_from(absolute)
}

fn refused(cluster: &ClusterName, path: &Path, error: KubeconfigError) -> OpenError {
    let (cluster, path) = (cluster.clone(), path.to_owned());
    match error {
        KubeconfigError::ReadConfig(source, _) => OpenError::Unreadable { cluster, path, source },
        KubeconfigError::Parse(error) => {
            OpenError::NotKubeconfig { cluster, path, line: error.location().map(|place| place.line()) }
        }
        _ => OpenError::NotKubeconfig { cluster, path, line: None },
    }
}

fn take_context(cluster: &ClusterName, config: Kubeconfig, asked: Option<&String>) -> Result<Chosen, OpenError> {
    let problem = |problem: String, help: String| OpenError::Context { cluster: cluster.clone(), problem, help };
    let names: Vec<&str> = config.contexts.iter().map(|context| context.name.as_str()).collect();
    let listed = || if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
    let current = config.current_context.as_ref().filter(|name| !name.is_empty());
    let Some(name) = asked.or(current).cloned() else {
        let message = "the kubeconfig has no current context, and none is named".to_owned();
        return Err(problem(message, format!("name one: --context {cluster}=CONTEXT; {}", listed())));
    };
    let Some(named) = config.contexts.iter().find(|context| context.name == name) else {
        let help = match nearest(&name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("name another: --context {cluster}=CONTEXT; {}", listed()),
        };
        return Err(problem(format!("the kubeconfig has no context `{name}`"), help));
    };
    let entries = named.context.clone().unwrap_or_default();
    let target = config.clusters.iter().find(|target| target.name == entries.cluster);
    let Some((target, server)) = target.and_then(|target| Some((target, target.cluster.as_ref()?.server.clone()?)))
    else {
        let message = format!(
            "context `{name}` names the cluster entry `{}`, which the kubeconfig does not define",
            entries.cluster
        );
        return Err(problem(message, "correct the context, or use another".into()));
    };
    let only = Kubeconfig {
        contexts: vec![named.clone()],
        clusters: vec![target.clone()],
        auth_infos: config
            .auth_infos
            .iter()
            .filter(|user| Some(&user.name) == entries.user.as_ref())
            .cloned()
            .collect(),
        current_context: Some(name.clone()),
        kind: Some("Config".into()),
        api_version: Some("v1".into()),
        ..Kubeconfig::default()
    };
    Ok(Chosen { kubeconfig: only, context: name, server })
}
