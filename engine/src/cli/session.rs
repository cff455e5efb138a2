//! One process at work on one run: what `run` and `resume` have in common from the open clusters to the last words.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use engine_core::id::RunId;
use engine_core::plan::{Facts, Plan, PlannedCluster, PlannedComponent, evaluate_outputs};
use engine_core::run::{Event, Granted, RunOutcome, RunState};
use steps_sdk::context::ClusterHandle;
use steps_sdk::{Secret, Value};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_util::sync::CancellationToken;

use super::Roof;
use super::archive::{Archived, Origin};
use super::args::Progress;
use super::config::{self, Config, terminal_size};
use super::error::CliError;
use super::exit::Exit;
use super::{interrupts, print, status};
use crate::cluster;
use crate::journal::{Journal, RunDir, StateDir};
use crate::load::{Pinned, Registry, Workshop, WorkshopSettings};
use crate::oci::Network;
use crate::report::setting::{Identity, Pin};
use crate::report::summary::{Output, OutputValue};
use crate::report::{Ending, Reporter, RunView, Setting, json, live, plain, quiet};
use crate::run::attempt::Desk;
use crate::run::late::LateClusters;
use crate::run::runner::{Left, Means, Opening, RunError, Runner};
use crate::run::secrets::SecretStore;
use crate::seal::{Keystore, SealKeySource};
use crate::wasm::Compiler;

/// The clusters of a plan, each with its identity checked.
pub struct Clusters {
    pub handles: BTreeMap<String, ClusterHandle>,
    pub identities: Vec<Identity>,
    /// Those that are opened while the run goes on.
    pub late: Arc<LateClusters>,
}

/// Opens every cluster of the plan and checks who it is. Nothing has been written to any of them before all are known.
pub async fn open_clusters(
    plan: &Plan,
    origin: &Origin,
    state: &StateDir,
    config: &Config,
) -> Result<Clusters, CliError> {
    open(plan, origin, state, config, true).await
}

/// The same for a command that only looks: an identity that is met for the first time is not kept.
pub async fn look_at_clusters(
    plan: &Plan,
    origin: &Origin,
    state: &StateDir,
    config: &Config,
) -> Result<Clusters, CliError> {
    open(plan, origin, state, config, false).await
}

async fn open(
    plan: &Plan,
    origin: &Origin,
    state: &StateDir,
    config: &Config,
    keeps_first_use: bool,
) -> Result<Clusters, CliError> {
    let settings = cluster::Settings {
        kubeconfig: origin.kubeconfig.clone(),
        environment: config.environment.clone(),
        base: origin.base.clone(),
        contexts: origin.contexts.clone(),
        pins: state.pins(),
        lock: plan.lock.clone(),
        keeps_first_use,
    };
    let at_hand: Vec<PlannedCluster> = plan.clusters.iter().filter(|cluster| cluster.from.is_none()).cloned().collect();
    let opened = open_all(&at_hand, &settings).await?;
    let late = Arc::new(LateClusters::new(plan, settings));
    let mut clusters = Clusters { handles: BTreeMap::new(), identities: Vec::new(), late };
    for one in opened {
        if let Some(note) = &one.note {
            print::tell(&format!("note: {note}\n"));
        }
        let pin = match one.trust {
            cluster::Trust::Pinned => Pin::File,
            cluster::Trust::Kept => Pin::Kept,
            cluster::Trust::FirstUse => Pin::FirstUse,
        };
        clusters.identities.push(Identity {
            cluster: steps_sdk::value::ClusterName(one.handle.name.clone()),
            context: one.context,
            uid: one.handle.identity.clone(),
            pin,
        });
        clusters.handles.insert(one.handle.name.clone(), one.handle);
    }
    Ok(clusters)
}

/// Opens clusters; every one that cannot be opened is told of.
pub async fn open_all(
    clusters: &[PlannedCluster],
    settings: &cluster::Settings,
) -> Result<Vec<cluster::Opened>, CliError> {
    cluster::open_all(clusters, settings).await.map_err(|problems| {
        for problem in &problems {
            print::tell(&CliError::of(Exit::Preflight, problem).text(config::error_columns()));
            print::tell("\n");
        }
        CliError::told(Exit::Preflight)
    })
}

/// The kinds of this binary, and the means to make those of components.
pub fn registry(roof: &Roof, config: &Config, network: Network) -> Registry {
    Registry::new(roof.kinds.iter().cloned(), workshop(roof, config, network))
}

/// The means to make components alone, for a command that is about one.
pub fn workshop(roof: &Roof, config: &Config, network: Network) -> Workshop {
    let compiler = || Ok(Compiler::Child { program: std::env::current_exe()? });
    Workshop::new(WorkshopSettings {
        cache: config.cache.clone(),
        compiler,
        host: roof.host,
        network,
        credentials: config.registry_credentials(),
        tell: print::tell,
    })
}

/// What `--offline` says about registries.
pub fn network(offline: bool) -> Network {
    if offline { Network::Offline } else { Network::Allowed }
}

/// With the kinds of the plan's components, which may do what the plan grants.
pub fn bound(registry: &Registry, plan: &Plan, components: &[Pinned]) -> Result<Arc<Registry>, CliError> {
    registry.bound(plan, components).map(Arc::new).map_err(|error| CliError::of(Exit::Invalid, &error))
}

/// Where secrets come from. The seal key is read or made only when something is sealed or opened; that it was made is said
/// through `remarks`.
pub fn secrets(
    origin: &Origin,
    state: &StateDir,
    config: &Config,
    clusters: &Clusters,
    remarks: UnboundedSender<String>,
) -> Result<SecretStore, CliError> {
    let source = match &config.seal_key {
        Some(path) => SealKeySource::File(path.clone()),
        None => SealKeySource::Default { directory: config.data.clone() },
    };
    let keystore = Keystore::new(state.keys(), source, move |path: &Path| {
        // Nobody listens to a command that makes no key.
        let _ = remarks.send(format!(
            "a key that seals generated secrets was made: {} (keep it; without it they cannot be opened)",
            path.display()
        ));
    });
    keystore.check().map_err(|error| CliError::of(Exit::Preflight, &error))?;
    Ok(SecretStore::new(config.environment.clone(), origin.base.clone(), clusters.handles.clone(), Arc::new(keystore)))
}

/// Everything that `run` and `resume` hand over.
pub struct Session<'a> {
    pub config: &'a Config,
    pub registry: Arc<Registry>,
    pub archived: Archived,
    pub dir: RunDir,
    pub clusters: Clusters,
    pub secrets: SecretStore,
    pub remarks: UnboundedReceiver<String>,
    pub journal: Box<dyn Journal>,
    pub state: RunState,
    /// The picture so far: empty for a new run.
    pub view: RunView,
    pub progress: Progress,
}

impl Session<'_> {
    /// Carries the run out and says how it ended.
    pub async fn carry_out(self, opening: Opening) -> Result<Exit, CliError> {
        let Session { config, registry, archived, dir, clusters, secrets, remarks, journal, state, view, progress } =
            self;
        let run = dir.id().clone();
        let setting = Setting {
            look: config.stderr,
            sources: archived.sources.clone(),
            suggest: config.suggest.clone(),
            identities: clusters.identities,
        };
        let mut reporter = reporter(progress, config, view, setting);
        let resume = config.suggest.resume(&run);
        let leave = format!("\nleft at once, which is as safe as a crash; go on with: {resume}\n");
        let (stops, stopped, listening) = interrupts::listen(leave).map_err(|e| CliError::unexpected(&e))?;
        let is_first = state.head().started.is_none();
        let desk = Desk {
            run: run.clone(),
            registry: Arc::clone(&registry),
            clusters: clusters.handles,
            late: clusters.late,
            secrets: Arc::new(secrets),
            cancel: CancellationToken::new(),
        };
        let means = Means {
            desk: Arc::new(desk),
            journal,
            files: dir,
            clock: interrupts::clock(),
            chance: interrupts::chance(),
            fail_fast: archived.origin.fail_fast,
            stops,
            remarks,
        };
        let runner = Runner::new(run.clone(), state, means, reporter.as_mut());
        let left = tokio::select! {
            left = runner.carry_out(opening) => left,
            () = listening => unreachable!("the listener listens as long as the process lives"),
        };
        let left = left.map_err(|error| broken(error, &resume))?;
        let ending = Ending {
            at: left.at,
            outputs: outputs(&left, &run),
            stopped: stopped.exit().map(|_| "interrupted".to_owned()),
        };
        // The run is over and recorded; a screen that is gone changes nothing about that.
        let _ = reporter.finish(&ending);
        // A resumed run used more than this process knows of.
        if is_first && left.outcome == RunOutcome::Succeeded && !matches!(progress, Progress::Json | Progress::Quiet) {
            print::tell(&unused_grants(&registry.unused_grants(left.state.plan())));
        }
        Ok(match left.outcome {
            RunOutcome::Cancelled => stopped.exit().unwrap_or(Exit::Interrupted),
            outcome => status::exit_of(Some(outcome)),
        })
    }
}

fn reporter(progress: Progress, config: &Config, view: RunView, setting: Setting) -> Box<dyn Reporter> {
    let stderr = || Box::new(std::io::stderr());
    match progress {
        Progress::Json => Box::new(json::Json::new(Box::new(std::io::stdout()), view)),
        Progress::Quiet => Box::new(quiet::Quiet::new(stderr(), view, setting)),
        Progress::Auto if config.stderr_is_terminal && can_redraw(config) => {
            Box::new(live::Live::new(stderr(), view, setting, Box::new(terminal_size)))
        }
        Progress::Live => Box::new(live::Live::new(stderr(), view, setting, Box::new(terminal_size))),
        Progress::Auto | Progress::Plain => Box::new(plain::Plain::new(stderr(), view, setting)),
    }
}

/// Redrawing disturbs screen readers, and dumb terminals cannot.
fn can_redraw(config: &Config) -> bool {
    config.variable("ACCESSIBLE").is_none()
        && config.variable("TERM") != Some("dumb")
        && config.variable("CI").is_none()
}

fn broken(error: RunError, resume: &str) -> CliError {
    match error {
        RunError::Journal(error) => {
            super::archive::journal(error).hint(format!("nothing more was done; when the disk is well again: {resume}"))
        }
        RunError::Illegal(error) => {
            CliError::unexpected(&error).hint(format!("the journal is intact; to go on: {resume}"))
        }
        RunError::Report(error) => {
            CliError::new(Exit::Interrupted, "nobody can be told how the run goes on, so it was left")
                .caused_by(Some(&error))
                .hint(format!("go on with: {resume}"))
        }
    }
}

fn outputs(left: &Left, run: &RunId) -> Vec<Output> {
    if left.outcome != RunOutcome::Succeeded {
        return Vec::new();
    }
    let lookup = |id: &engine_core::id::StepId| left.state.fact(id);
    let started = left.state.head().started.unwrap_or(left.at);
    let facts = Facts { fact: &lookup, run_id: run, started };
    let shown = evaluate_outputs(left.state.plan(), &facts).into_iter().map(|(output, value)| {
        let value = match value {
            Ok(value) if output.secret => secret_place(&value).map_or(OutputValue::Hidden, OutputValue::Secret),
            Ok(value) => OutputValue::Open(value),
            Err(error) => OutputValue::Open(Value::String(format!("(no value: {error})"))),
        };
        Output { name: output.name.clone(), value }
    });
    shown.collect()
}

fn secret_place(value: &Value) -> Option<Secret> {
    serde_json::from_value(value.clone()).ok()
}

/// The first event of a new run.
pub fn started(plan: &Plan, config: &Config) -> Event {
    Event::RunStarted {
        workflow: plan.workflow.clone(),
        plan: plan.digest.clone(),
        steps: plan.steps.len(),
        by: config.person.clone(),
        binary: super::version::BINARY.to_owned(),
        granted: plan.components.iter().map(granted).collect(),
    }
}

fn granted(component: &PlannedComponent) -> Granted {
    Granted {
        component: component.name.clone(),
        digest: component.digest.clone(),
        grants: component.grants.indices().map(|index| component.grants.words(index)).collect(),
    }
}

/// What a file grants and nothing needed: a person who takes it away loses nothing.
fn unused_grants(unused: &[(String, String)]) -> String {
    let mut text = String::new();
    for (component, grant) in unused {
        text.push_str(&format!("note: `{component}` was granted, and never used: {grant}\n"));
    }
    text
}

/// The runtime of a command that waits for the outside.
pub fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| CliError::unexpected(&e))
}
