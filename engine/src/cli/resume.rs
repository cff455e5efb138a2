//! `engine resume [RUN]`

use std::sync::Arc;

use engine_core::plan::Plan;
use engine_core::run::resume::Recheck;
use engine_core::run::{Event, Folded, RunState};
use tokio::sync::mpsc::unbounded_channel;

use super::archive::{self, Archived};
use super::args::{Progress, ResumeArgs};
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::opening::{self, Settled};
use super::session::{self, Session};
use super::{Roof, find, interrupts, print, run, status, version, workflow};
use crate::journal::lock::HeldLock;
use crate::journal::{FileJournal, RunDir, StateDir};
use crate::load::Registry;
use crate::oci::Network;
use crate::report::resume as shown;

pub fn resume(args: ResumeArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    let dir = find::unfinished(config, args.run.as_deref())?;
    let mut archived = archive::read(&dir)?;
    let contexts = workflow::contexts(&args.clusters)?;
    workflow::check_contexts(&archived.plan, &contexts)?;
    archived.origin.contexts.extend(contexts);
    if let Some(path) = &args.clusters.kubeconfig {
        archived.origin.kubeconfig = Some(config.directory.join(path));
    }
    archived.origin.fail_fast |= args.view.fail_fast;
    if args.view.parallel.is_some() || args.view.per_cluster.is_some() {
        let mut plan = archived.plan.as_ref().clone();
        workflow::limit(&mut plan, args.view.parallel, args.view.per_cluster);
        archived.plan = Arc::new(plan);
    }
    // Everything that can refuse comes before the journal is opened: opening raises the epoch, nothing else.
    let components = archive::components(&dir, &archived.plan)?;
    let registry = session::bound(&session::registry(roof, config, Network::Offline), &archived.plan, &components)?;
    acceptable(&archived.plan, &registry)?;
    let state_dir = StateDir::open(&config.state).map_err(|e| CliError::of(Exit::State, &e))?;
    let lock = run::take_lock(&state_dir, &archived.plan.lock, dir.id(), config)?;
    workflow::enter(&archived.origin.directory)?;

    session::runtime()?.block_on(async {
        let clusters = session::open_clusters(&archived.plan, &archived.origin, &state_dir, config).await?;
        let (remark, remarks) = unbounded_channel();
        let secrets = session::secrets(&archived.origin, &state_dir, config, &clusters, remark)?;
        let (journal, state, notes) = open(&dir, &archived, &lock)?;
        let settled = Settled::of(&args, &state)?;
        let pause = state.head().last.map_or(0, |last| interrupts::now().since(last));
        let first = match state.head().started {
            Some(_) => Event::RunResumed { by: config.person.clone(), binary: version::BINARY.to_owned() },
            // The process died between making the run and its first record.
            None => session::started(&archived.plan, config),
        };
        let (opening, lines) =
            opening::resume(&state, dir.id(), &settled, Recheck::after(pause, args.check), first, &config.person);
        if !matches!(args.view.progress, Progress::Json | Progress::Quiet) {
            print::tell(&shown::text(dir.id(), &lines, &notes, &config.stderr));
        }
        let view = status::look(config, &dir, &archived.plan)?.0;
        let session = Session {
            config,
            registry,
            archived,
            dir,
            clusters,
            secrets,
            remarks,
            journal: Box::new(journal),
            state,
            view,
            progress: args.view.progress,
        };
        session.carry_out(opening).await
    })
}

fn acceptable(plan: &Plan, registry: &Registry) -> Result<(), CliError> {
    let used: Vec<String> = plan.kinds.keys().map(ToString::to_string).collect();
    let specs = registry.specs(&used).map_err(|e| CliError::unexpected(&e))?;
    opening::acceptable(plan, &specs).map_err(|refusal| {
        CliError::new(Exit::ResumeRefused, refusal.to_string()).code("E111").hint(
            "resume with the version of engine that started the run, or start a new run: what is there is found again",
        )
    })
}

/// Opens the journal, and folds what it holds.
fn open(dir: &RunDir, archived: &Archived, lock: &HeldLock) -> Result<(FileJournal, RunState, Vec<String>), CliError> {
    let decode = |bytes: &[u8]| {
        let folded: Folded = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        RunState::from_folded(Arc::clone(&archived.plan), folded).map_err(|e| e.to_string())
    };
    let (journal, recovery) = FileJournal::open(dir, lock, decode).map_err(archive::journal)?;
    let mut state = recovery.checkpoint.unwrap_or_else(|| RunState::new(Arc::clone(&archived.plan)));
    for recorded in &recovery.events {
        state.apply(&recorded.event, recorded.time).map_err(|e| archive::damaged(dir, &e))?;
    }
    archive::load_outputs(dir, &mut state)?;
    let notes = recovery.torn_tail.iter().map(ToString::to_string).chain(recovery.notes).collect();
    Ok((journal, state, notes))
}
