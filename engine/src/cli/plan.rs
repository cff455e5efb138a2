//! `engine plan FILE`

use std::sync::Arc;

use engine_core::id::RunId;
use engine_core::plan::Forecast;
use engine_core::run::RunState;
use tokio::sync::mpsc::unbounded_channel;
use tokio_util::sync::CancellationToken;

use super::args::{Form, PlanArgs};
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::session::{self, Clusters};
use super::workflow::{self, Planned};
use super::{Roof, print};
use crate::journal::StateDir;
use crate::report::plan::{self as shown, PlanSetting};
use crate::report::plan_json;
use crate::run::attempt::Desk;
use crate::run::forecast;

pub fn plan(args: PlanArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    let registry = session::registry(roof, config, session::network(args.offline));
    let Planned { plan, components, .. } = workflow::planned(&args.workflow, &registry, config)?;
    let registry = session::bound(&registry, &plan, &components)?;
    let origin = workflow::origin(&args.workflow, &args.clusters, false, config)?;
    workflow::check_contexts(&plan, &origin.contexts)?;
    let state = RunState::new(Arc::new(plan));
    // Expressions may name the run; a plan belongs to none.
    let run: RunId = "plan".parse().expect("it has the form of a run's id");
    let (forecast, identities) = if args.offline {
        (forecast::offline(&state, &run), Vec::new())
    } else {
        session::runtime()?.block_on(async {
            // Previews read the keystore and compare identities; neither is written by a plan.
            let state_dir = StateDir::at(&config.state);
            let clusters = session::look_at_clusters(state.plan(), &origin, &state_dir, config).await?;
            let (remark, _) = unbounded_channel();
            let secrets = Arc::new(session::secrets(&origin, &state_dir, config, &clusters, remark)?);
            let Clusters { handles, identities, late } = clusters;
            let desk = Desk { run, registry, clusters: handles, late, secrets, cancel: CancellationToken::new() };
            Ok::<(Forecast, _), CliError>((forecast::gather(&state, &desk).await, identities))
        })?
    };
    let text = match args.output {
        Form::Text => {
            let setting = PlanSetting {
                look: config.stdout,
                suggest: config.suggest.clone(),
                identities,
                run: run_words(&args, config),
                full: args.full,
            };
            shown::text(&forecast, &setting)
        }
        Form::Json => format!("{}\n", plan_json::json(&forecast)),
    };
    print::data(&text).map_err(|e| CliError::unexpected(&e))?;
    Ok(if args.exit_code && forecast.has_changes() { Exit::Changes } else { Exit::Done })
}

/// The words of `engine run` that carry this very plan out. What the environment gave is there again when they are typed.
fn run_words(args: &PlanArgs, config: &Config) -> Vec<String> {
    let mut words = vec![args.workflow.file.display().to_string()];
    let mut flag = |name: &str, value: String| words.extend([name.to_owned(), value]);
    if config.variable("ENGINE_VAR_FILE").is_none() {
        args.workflow.var_file.iter().for_each(|path| flag("--var-file", path.display().to_string()));
    }
    args.workflow.var.iter().for_each(|pair| flag("--var", pair.clone()));
    args.clusters.context.iter().for_each(|pair| flag("--context", pair.clone()));
    if let Some(path) = args.clusters.kubeconfig.as_ref().filter(|_| config.variable("ENGINE_KUBECONFIG").is_none()) {
        flag("--kubeconfig", path.display().to_string());
    }
    words
}
