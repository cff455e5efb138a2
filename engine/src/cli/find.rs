//! Which run a person means by `RUN`: an id, a unique beginning of one, a workflow's name, or nothing.

use std::path::Path;

use engine_core::id::{RunId, Timestamp};
use engine_core::run::{Event, RunOutcome};

use super::archive;
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use crate::journal::{Reader, RunDir, StateDir};

/// A run, told from the ends of its journal.
#[derive(Debug, Clone)]
pub struct Found {
    pub dir: RunDir,
    pub workflow: String,
    pub started: Timestamp,
    pub outcome: Option<RunOutcome>,
    pub open_holds: usize,
}

impl Found {
    pub fn is_unfinished(&self) -> bool {
        self.outcome != Some(RunOutcome::Succeeded) || self.open_holds > 0
    }
}

/// Every run that has begun, newest first. One that cannot be read is left out here and told of by whoever asks for it by name.
pub fn all(config: &Config) -> Result<Vec<Found>, CliError> {
    let state = StateDir::at(&config.state);
    let dirs = state.runs().map_err(|e| CliError::of(Exit::State, &e))?;
    let mut found: Vec<Found> = dirs.into_iter().filter_map(|dir| glance(dir).ok().flatten()).collect();
    found.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| b.dir.id().cmp(a.dir.id())));
    Ok(found)
}

fn glance(dir: RunDir) -> Result<Option<Found>, CliError> {
    let mut found: Option<Found> = None;
    for recorded in Reader::open(&dir).map_err(archive::journal)? {
        let recorded = recorded.map_err(archive::journal)?;
        match (&recorded.event, &mut found) {
            (Event::RunStarted { workflow, .. }, None) => {
                found = Some(Found {
                    dir: dir.clone(),
                    workflow: workflow.clone(),
                    started: recorded.time,
                    outcome: None,
                    open_holds: 0,
                });
            }
            (Event::RunFinished { outcome }, Some(found)) => found.outcome = Some(*outcome),
            (Event::RunResumed { .. }, Some(found)) => found.outcome = None,
            (Event::HoldTaken { .. }, Some(found)) => found.open_holds += 1,
            (Event::HoldReleased { .. }, Some(found)) => found.open_holds = found.open_holds.saturating_sub(1),
            _ => {}
        }
    }
    Ok(found)
}

/// The run that is named, or the newest of all.
pub fn one(config: &Config, asked: Option<&str>) -> Result<RunDir, CliError> {
    let found = all(config)?;
    let Some(asked) = asked.filter(|asked| *asked != "latest") else {
        let newest = found.into_iter().next().map(|found| found.dir);
        return newest.ok_or_else(|| no_runs(&config.state));
    };
    named(config, asked, &found)
}

/// The run that is named, or the newest that is not finished.
pub fn unfinished(config: &Config, asked: Option<&str>) -> Result<RunDir, CliError> {
    let found = all(config)?;
    match asked.filter(|asked| *asked != "latest") {
        Some(asked) => named(config, asked, &found),
        None if found.is_empty() => Err(no_runs(&config.state)),
        None => {
            let newest = found.into_iter().find(Found::is_unfinished).map(|found| found.dir);
            newest.ok_or_else(|| {
                CliError::new(Exit::Usage, "every run has finished; there is nothing to resume")
                    .hint("all runs: engine runs")
            })
        }
    }
}

fn named(config: &Config, asked: &str, found: &[Found]) -> Result<RunDir, CliError> {
    // By its exact id a run is found even when its journal cannot be read: the reader then says why.
    if let Ok(id) = asked.parse::<RunId>() {
        let dir = StateDir::at(&config.state).run(&id);
        if dir.journal().exists() {
            return Ok(dir);
        }
    }
    if let Some(newest) = found.iter().find(|found| found.workflow == asked) {
        return Ok(newest.dir.clone());
    }
    let begins: Vec<&Found> = found.iter().filter(|found| found.dir.id().as_str().starts_with(asked)).collect();
    match begins.as_slice() {
        [only] => Ok(only.dir.clone()),
        [] if found.is_empty() => Err(no_runs(&config.state)),
        [] => {
            let ids = found.iter().map(|found| found.dir.id().as_str());
            let error = CliError::new(Exit::Usage, format!("there is no run `{asked}`"));
            Err(match engine_core::diagnostic::nearest(asked, ids) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("all runs: engine runs"),
            })
        }
        several => {
            let names: Vec<&str> = several.iter().map(|found| found.dir.id().as_str()).collect();
            Err(CliError::new(Exit::Usage, format!("`{asked}` is the beginning of several runs: {}", names.join(", "))))
        }
    }
}

fn no_runs(state: &Path) -> CliError {
    CliError::new(Exit::Usage, format!("there are no runs in {}", state.display()))
        .hint("begin with one: engine run FILE, or engine demo")
}
