//! `engine run FILE`

use std::sync::Arc;

use engine_core::id::RunId;
use engine_core::plan::Plan;
use engine_core::run::RunState;
use tokio::sync::mpsc::unbounded_channel;

use super::archive::{self, Archived};
use super::args::{Progress, RunArgs};
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::session::{self, Session};
use super::workflow::{self, Planned};
use super::{Roof, find, interrupts, print};
use crate::journal::lock::{HeldLock, Holder};
use crate::journal::{FileJournal, RunDir, StateDir};
use crate::report::RunView;
use crate::run::runner::Opening;

pub fn run(args: RunArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    let registry = session::registry(roof, config, session::network(args.offline));
    let Planned { mut plan, sources, components } = workflow::planned(&args.workflow, &registry, config)?;
    workflow::limit(&mut plan, args.view.parallel, args.view.per_cluster);
    let origin = workflow::origin(&args.workflow, &args.clusters, args.view.fail_fast, config)?;
    workflow::check_contexts(&plan, &origin.contexts)?;
    let registry = session::bound(&registry, &plan, &components)?;
    let archived = Archived { plan: Arc::new(plan), sources, origin };

    let state = StateDir::open(&config.state).map_err(|e| CliError::of(Exit::State, &e))?;
    let id = chosen_id(args.id.as_deref(), &archived.plan, &state)?;
    let lock = take_lock(&state, &archived.plan.lock, &id, config)?;
    look_at_unfinished(&archived.plan, args.view.progress, config)?;

    session::runtime()?.block_on(async {
        let clusters = session::open_clusters(&archived.plan, &archived.origin, &state, config).await?;
        let (remark, remarks) = unbounded_channel();
        let secrets = session::secrets(&archived.origin, &state, config, &clusters, remark)?;
        let dir = state.run(&id);
        dir.create().map_err(archive::journal)?;
        archive::write(&dir, &archived, &components)?;
        let journal = FileJournal::create(&dir, &lock).map_err(archive::journal)?;
        let opening = Opening { events: vec![session::started(&archived.plan, config)], ask: Vec::new() };
        let session = Session {
            config,
            registry,
            state: RunState::new(Arc::clone(&archived.plan)),
            view: RunView::new(id, &archived.plan),
            archived,
            dir,
            clusters,
            secrets,
            remarks,
            journal: Box::new(journal),
            progress: args.view.progress,
        };
        session.carry_out(opening).await
    })
}

/// The id that was asked for, or the workflow's name with four characters that no run has yet.
fn chosen_id(asked: Option<&str>, plan: &Plan, state: &StateDir) -> Result<RunId, CliError> {
    if let Some(asked) = asked {
        let id: RunId =
            asked.parse().map_err(|e| CliError::new(Exit::Usage, format!("`{asked}` is not a run's id: {e}")))?;
        return if state.run(&id).path().exists() {
            Err(CliError::new(Exit::Usage, format!("run `{id}` exists already"))
                .hint(format!("go on with it: engine resume {id}, or choose another id")))
        } else {
            Ok(id)
        };
    }
    let chance = interrupts::chance();
    let name: String = plan.workflow.replace('_', "-").chars().take(48).collect();
    for _ in 0..1_000 {
        let id: RunId = format!("{name}-{:04x}", (chance() * 65_536.0) as u32)
            .parse()
            .expect("workflow names have the form of a run's id");
        if !state.run(&id).path().exists() {
            return Ok(id);
        }
    }
    Err(CliError::new(Exit::Usage, "no free id was found for the run").hint("give one: --id NAME"))
}

pub fn take_lock(state: &StateDir, name: &str, run: &RunId, config: &Config) -> Result<HeldLock, CliError> {
    use crate::journal::StateError;
    HeldLock::take(state, name, &Holder::this_process(run.clone(), interrupts::now())).map_err(|error| {
        let exit = if matches!(error, StateError::Held { .. }) { Exit::Locked } else { Exit::State };
        let holder =
            if let StateError::Held { holder: Some(holder), .. } = &error { Some(holder.run.clone()) } else { None };
        let error = CliError::of(exit, &error);
        match holder {
            Some(run) => error.hint(format!("look at it: {}", config.suggest.status(&run))),
            None => error,
        }
    })
}

/// A run that holds something must give it back before another begins; one that is merely unfinished is named.
fn look_at_unfinished(plan: &Plan, progress: Progress, config: &Config) -> Result<(), CliError> {
    for found in find::all(config)?.into_iter().filter(find::Found::is_unfinished) {
        if !belongs(&found.dir, &plan.lock) {
            continue;
        }
        let resume = config.suggest.resume(found.dir.id());
        if found.open_holds > 0 {
            let error = CliError::new(
                Exit::Locked,
                format!("run `{}` of the same installation still holds something that it took away", found.dir.id()),
            );
            return Err(error.code("E110").hint(format!("give it back first: {resume}")));
        }
        if progress != Progress::Quiet {
            print::tell(&format!(
                "note: run {} of the same installation is unfinished; to go on with that one instead: {resume}\n",
                found.dir.id()
            ));
            return Ok(());
        }
    }
    Ok(())
}

fn belongs(dir: &RunDir, lock: &str) -> bool {
    archive::read(dir).is_ok_and(|archived| archived.plan.lock == lock)
}
