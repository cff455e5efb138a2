//! The command line as clap reads it. What a flag means is decided in the subcommand that takes it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::step::StepCommand;
use crate::wasm;

/// Runs one workflow over many clusters: a plan before, a journal during, a resume after anything.
#[derive(Debug, Parser)]
#[command(name = "engine", version, disable_version_flag = true, disable_help_subcommand = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 2 usage, 3 invalid workflow, 4 preflight, 5 steps failed, 6 parked, 7 locked,\n8 changes, 9 resume refused, 74 state, 130 interrupted. More: docs/errors.md"
)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Where runs, locks and keys are kept [default: $XDG_STATE_HOME/engine]
    #[arg(long, global = true, value_name = "DIR", env = "ENGINE_STATE")]
    pub state: Option<PathBuf>,
    /// The file with the key that seals generated secrets [default: made once under $XDG_DATA_HOME/engine]
    #[arg(long, global = true, value_name = "FILE", env = "ENGINE_SEAL_KEY")]
    pub seal_key: Option<PathBuf>,
    /// Says more on stderr about what the engine does
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs a workflow
    Run(RunArgs),
    /// Shows what a run would change, and how sure that is
    Plan(PlanArgs),
    /// Goes on with a run after a failure, a stop, a crash or a power cut
    Resume(ResumeArgs),
    /// Checks a workflow; contacts no cluster
    Check(CheckArgs),
    /// Explains a kind of step, one of its fields, or an error code
    Explain(ExplainArgs),
    /// Draws the graph of a workflow
    Graph(GraphArgs),
    /// Lists runs
    Runs(RunsArgs),
    /// Shows one run
    Status(StatusArgs),
    /// Shows what steps have logged
    Logs(LogsArgs),
    /// Shows the whole in a minute: a real workflow without a cluster, one failure, one resume
    Demo(DemoArgs),
    /// Custom steps: made, built, tried out and tested without a cluster
    #[command(subcommand)]
    Step(StepCommand),
    /// Looks up which bytes the tags of workflows mean, and writes that to engine.lock
    Lock(LockArgs),
    /// Prints the version
    Version(VersionArgs),
    /// Compiles a component from standard input to standard output, within limits; the program starts itself with this
    #[command(hide = true, name = wasm::SUBCOMMAND)]
    CompileComponent,
}

/// A workflow and what its inputs are.
#[derive(Debug, Clone, Args)]
pub struct WorkflowArgs {
    /// The workflow; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Value of an input; lists and maps as JSON. May be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub var: Vec<String>,
    /// Values of inputs in KDL, one node each. May be repeated; later files and --var win
    #[arg(long, value_name = "FILE", env = "ENGINE_VAR_FILE")]
    pub var_file: Vec<PathBuf>,
}

/// How clusters are reached.
#[derive(Debug, Clone, Args)]
pub struct ClusterArgs {
    /// The context to use for a cluster of the workflow. May be repeated
    #[arg(long, value_name = "CLUSTER=CONTEXT")]
    pub context: Vec<String>,
    /// The kubeconfig to use instead of $KUBECONFIG
    #[arg(long, value_name = "FILE", env = "ENGINE_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
}

/// How a run is shown and bounded.
#[derive(Debug, Clone, Args)]
pub struct ViewArgs {
    /// How progress is shown; `auto` is `live` on a terminal, else `plain`
    #[arg(long, value_enum, default_value_t = Progress::Auto, env = "ENGINE_PROGRESS", value_name = "HOW")]
    pub progress: Progress,
    /// Starts nothing more after the first failure; otherwise steps that do not need it go on
    #[arg(long, env = "ENGINE_FAIL_FAST")]
    pub fail_fast: bool,
    /// Steps under way at once, in all
    #[arg(long, value_name = "N", env = "ENGINE_PARALLEL", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub parallel: Option<u16>,
    /// Steps under way at once on each cluster
    #[arg(long, value_name = "N", env = "ENGINE_PER_CLUSTER", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub per_cluster: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    Auto,
    Live,
    Plain,
    Json,
    Quiet,
}

#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    #[command(flatten)]
    pub clusters: ClusterArgs,
    #[command(flatten)]
    pub view: ViewArgs,
    /// The run's id; refused if taken [default: the workflow's name and four characters]
    #[arg(long, value_name = "NAME")]
    pub id: Option<String>,
    /// Fetches nothing from a registry: components are read from this machine, or are an error
    #[arg(long, env = "ENGINE_OFFLINE")]
    pub offline: bool,
}

#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    #[command(flatten)]
    pub clusters: ClusterArgs,
    /// Every step and every field, not only what fits a screen
    #[arg(long)]
    pub full: bool,
    /// Exit with 8 when there are changes
    #[arg(long)]
    pub exit_code: bool,
    /// Asks no cluster, no server, no registry and no file
    #[arg(long)]
    pub offline: bool,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    pub output: Form,
}

#[derive(Debug, Clone, Args)]
pub struct ResumeArgs {
    /// The run, a unique beginning of its id, or its workflow [default: the latest unfinished run]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// A parked or doubtful step is done again. May be repeated
    #[arg(long, value_name = "STEP", requires = "because")]
    pub again: Vec<String>,
    /// A parked or doubtful step is done already. May be repeated
    #[arg(long, value_name = "STEP", requires = "because")]
    pub done: Vec<String>,
    /// The run goes on without a step. May be repeated
    #[arg(long, value_name = "STEP", requires = "because")]
    pub skip: Vec<String>,
    /// A hold is given up instead of given back. May be repeated
    #[arg(long, value_name = "STEP/NAME", requires = "because")]
    pub abandon_hold: Vec<String>,
    /// Why; kept in the journal
    #[arg(long, value_name = "TEXT")]
    pub because: Option<String>,
    /// Looks at finished steps again, as after a pause of ten minutes
    #[arg(long)]
    pub check: bool,
    #[command(flatten)]
    pub clusters: ClusterArgs,
    #[command(flatten)]
    pub view: ViewArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    Text,
    Json,
}

#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Workflows; `-` reads standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// `warnings`: a warning is an error
    #[arg(long, value_parser = ["warnings"], value_name = "WHAT")]
    pub deny: Option<String>,
    /// Fetches nothing from a registry: components are read from this machine, or are an error
    #[arg(long, env = "ENGINE_OFFLINE")]
    pub offline: bool,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    pub output: Form,
}

#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// `k8s.apply`, `k8s.apply.wait` or `L012`; without one, all kinds are listed
    #[arg(value_name = "KIND[.FIELD]|NODE|CODE")]
    pub topic: Option<String>,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    pub output: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Drawing {
    Tree,
    Mermaid,
    Dot,
}

#[derive(Debug, Clone, Args)]
pub struct GraphArgs {
    #[command(flatten)]
    pub workflow: WorkflowArgs,
    /// The form of the drawing
    #[arg(short, long, value_enum, default_value_t = Drawing::Tree, value_name = "FORM")]
    pub output: Drawing,
}

#[derive(Debug, Clone, Args)]
pub struct RunsArgs {
    /// Only runs of this workflow
    #[arg(long, value_name = "NAME")]
    pub workflow: Option<String>,
    /// Only runs that failed
    #[arg(long)]
    pub failed: bool,
    /// The newest only
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    pub output: Form,
}

#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// The run, a unique beginning of its id, or its workflow [default: the latest]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Exit with the code that the run ended with
    #[arg(long)]
    pub exit_status: bool,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    pub output: Form,
}

#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// The run, a unique beginning of its id, or its workflow [default: the latest]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Only this step
    #[arg(value_name = "STEP")]
    pub step: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Prints the workflow of the demo instead of running it
    #[arg(long)]
    pub show_file: bool,
}

#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LockArgs {
    #[command(subcommand)]
    pub command: Option<LockCommand>,
    #[command(flatten)]
    pub place: LockPlace,
}

#[derive(Debug, Clone, Subcommand)]
pub enum LockCommand {
    /// Looks every tag up again, also those that are in engine.lock
    Update(LockPlace),
}

#[derive(Debug, Clone, Args)]
pub struct LockPlace {
    /// A workflow, or a folder with workflows: engine.lock is for all of them that lie there
    #[arg(value_name = "FILE|DIR", default_value = ".")]
    pub what: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct VersionArgs {
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text, value_name = "FORM")]
    pub output: Form,
}
