//! `engine runs`

use engine_core::run::RunOutcome;

use super::args::{Form, RunsArgs};
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::{archive, find, print, status};
use crate::report::runs;

pub fn runs(args: RunsArgs, config: &Config) -> Result<Exit, CliError> {
    let chosen = find::all(config)?
        .into_iter()
        .filter(|found| args.workflow.as_ref().is_none_or(|name| *name == found.workflow))
        .filter(|found| !args.failed || found.outcome == Some(RunOutcome::Failed))
        .take(args.limit);
    let mut views = Vec::new();
    for found in chosen {
        let plan = archive::read(&found.dir)?.plan;
        views.push(status::look(config, &found.dir, &plan)?);
    }
    let text = match args.output {
        Form::Text => runs::text(&views, &config.stdout),
        Form::Json => format!("{}\n", runs::json(&views)),
    };
    print::data(&text).map_err(|e| CliError::unexpected(&e))?;
    Ok(Exit::Done)
}
