//! `engine status [RUN]`

use std::sync::Arc;

use engine_core::plan::Plan;
use engine_core::run::RunOutcome;

use super::args::{Form, StatusArgs};
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::{archive, find, interrupts, print};
use crate::journal::{Reader, RunDir, StateDir, lock};
use crate::report::status::{self, Life};
use crate::report::{Notice, RunView};

pub fn status(args: StatusArgs, config: &Config) -> Result<Exit, CliError> {
    let dir = find::one(config, args.run.as_deref())?;
    let plan = archive::read(&dir)?.plan;
    let (view, life) = look(config, &dir, &plan)?;
    let text = match args.output {
        Form::Text => status::text(&view, life, interrupts::now(), &config.suggest, &config.stdout),
        Form::Json => format!("{}\n", status::json(&view, life)),
    };
    print::data(&text).map_err(|e| CliError::unexpected(&e))?;
    Ok(if args.exit_status { exit_of(view.outcome) } else { Exit::Done })
}

/// The picture of a run as its journal gives it now, and whether a process is at work on it.
pub fn look(config: &Config, dir: &RunDir, plan: &Arc<Plan>) -> Result<(RunView, Life), CliError> {
    let mut view = RunView::new(dir.id().clone(), plan);
    for recorded in Reader::open(dir).map_err(archive::journal)? {
        view.apply(&Notice::Recorded(recorded.map_err(archive::journal)?));
    }
    let holder = lock::holder(&StateDir::at(&config.state), &plan.lock).map_err(|e| CliError::of(Exit::State, &e))?;
    let alive = holder.is_some_and(|holder| holder.run == *dir.id());
    Ok((view, if alive { Life::Alive } else { Life::Gone }))
}

pub fn exit_of(outcome: Option<RunOutcome>) -> Exit {
    match outcome {
        Some(RunOutcome::Succeeded) => Exit::Done,
        Some(RunOutcome::Failed) => Exit::StepsFailed,
        Some(RunOutcome::Parked) => Exit::Parked,
        Some(RunOutcome::Cancelled) | None => Exit::Interrupted,
    }
}
