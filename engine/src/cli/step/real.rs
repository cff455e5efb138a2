//! The world as it is, for one call: clusters that are opened, secrets that are read.

use std::path::Path;

use engine_core::diagnostic::{Place, SourceId};
use engine_core::plan::{KubeconfigSource, PlannedCluster};
use steps_sdk::context::{Clusters, SecretBytes};
use steps_sdk::{Secret, StepError};

use crate::cases::Case;
use crate::cli::args::ClusterArgs;
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::{print, session, workflow};
use crate::cluster;
use crate::journal::StateDir;
use crate::run::secrets;

/// Opens the clusters of a case. Their identity is shown; none is kept: trying a step out is no decision to trust.
pub async fn clusters(case: &Case, args: &ClusterArgs, config: &Config) -> Result<Clusters, CliError> {
    if case.clusters.is_empty() {
        return Ok(Clusters::default());
    }
    let contexts = workflow::contexts(args)?;
    let nowhere = Place::new(SourceId(0), 0, 0);
    let planned: Vec<PlannedCluster> = case
        .clusters
        .iter()
        .map(|name| PlannedCluster {
            name: name.clone(),
            kubeconfig: KubeconfigSource {
                context: Some(contexts.get(&name.0).unwrap_or(&name.0).clone()),
                ..KubeconfigSource::default()
            },
            from: None,
            workspace: None,
            identity: None,
            at: nowhere,
        })
        .collect();
    let state = StateDir::at(&config.state);
    let settings = cluster::Settings {
        kubeconfig: args.kubeconfig.as_ref().map(|path| config.directory.join(path)),
        environment: config.environment.clone(),
        base: config.directory.clone(),
        contexts,
        pins: state.pins(),
        lock: "step".to_owned(),
        keeps_first_use: false,
    };
    let opened = session::open_all(&planned, &settings).await?;
    for one in &opened {
        print::tell(&format!("  {} = {} (id {})\n", one.handle.name, one.context, one.handle.identity));
    }
    Ok(Clusters::new(opened.into_iter().map(|one| one.handle)))
}

/// A secret of the environment or of a file, which is what a case can name.
pub fn secret(secret: &Secret, base: &Path, config: &Config) -> Result<SecretBytes, StepError> {
    match secret {
        Secret::Env { name } => secrets::in_environment(&config.environment, name),
        Secret::File { path } => secrets::in_file(base, path),
        other @ (Secret::K8s { .. } | Secret::Sealed { .. }) => {
            Err(StepError::permanent("A031", format!("{other} is not opened while a step is tried out"))
                .help("name it with `from env=` or `from file=` here"))
        }
    }
}
