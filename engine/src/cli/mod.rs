//! The command line: one file per subcommand, each in the same order: collect, check, act, report.
//!
//! This is the only code that reads the environment, prints and exits. `run` and `resume` share `session.rs`: the same loop with a
//! different opening.

mod archive;
mod args;
mod check;
mod config;
mod demo;
mod error;
mod exit;
mod explain;
mod find;
mod graph;
mod interrupts;
mod lock;
mod logs;
mod opening;
mod plan;
mod print;
mod resume;
mod run;
mod runs;
mod session;
mod status;
mod step;
mod version;
mod workflow;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use steps_sdk::host::Host;
use steps_sdk::native::StepHandler;

use args::{Cli, Command};
use config::Config;
pub use demo::{Eventually, Playground, StartPlayground};
use error::CliError;
pub use exit::Exit;

use crate::wasm;

/// What only `main` may name: the kinds, what the engine does for custom steps, and the sandbox of the demo.
pub struct Roof {
    pub kinds: Vec<Arc<dyn StepHandler>>,
    pub host: fn() -> Host,
    pub playground: StartPlayground,
}

/// Runs the command that the process was started with.
pub fn main(roof: Roof) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    if matches!(cli.command, Command::CompileComponent) {
        return compile_component();
    }
    trace(cli.common.verbose);
    let ended = Config::read(&cli.common).and_then(|config| dispatch(cli, config, roof));
    match ended {
        Ok(exit) => exit.into(),
        Err(error) => {
            if !error.told {
                print::tell(&error.text(config::error_columns()));
            }
            error.exit.into()
        }
    }
}

fn dispatch(cli: Cli, config: Config, roof: Roof) -> Result<Exit, CliError> {
    match cli.command {
        Command::Run(args) => run::run(args, &config, &roof),
        Command::Plan(args) => plan::plan(args, &config, &roof),
        Command::Resume(args) => resume::resume(args, &config, &roof),
        Command::Check(args) => check::check(args, &config, &roof),
        Command::Explain(args) => explain::explain(args, &config, &roof),
        Command::Graph(args) => graph::graph(args, &config, &roof),
        Command::Runs(args) => runs::runs(args, &config),
        Command::Status(args) => status::status(args, &config),
        Command::Logs(args) => logs::logs(args, &config),
        Command::Demo(args) => demo::demo(args, &config, &roof),
        Command::Step(command) => step::step(command, &config, &roof),
        Command::Lock(args) => lock::lock(args, &config, &roof),
        Command::Version(args) => version::version(args),
        Command::CompileComponent => unreachable!("it is carried out before anything of the environment is read"),
    }
}

/// In a child, which has no environment and whose standard output is not for people.
fn compile_component() -> ExitCode {
    match wasm::compile_child(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            print::tell(&format!("{error}\n"));
            Exit::Unexpected.into()
        }
    }
}

/// clap's own text; `apply` is what users of other tools type first.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    if error.use_stderr() {
        print::tell(&text);
        if text.contains("'apply'") {
            print::tell("\n  the command that carries a workflow out is `engine run FILE`\n");
        }
        return Exit::Usage.into();
    }
    // Help or version, which were asked for.
    let _ = print::data(&text);
    Exit::Done.into()
}

/// Steps' and libraries' own words, for people who look for a cause; without `-v` only warnings.
fn trace(verbose: bool) {
    let level = if verbose { "engine=debug,engine_core=debug,steps=debug,warn" } else { "error" };
    tracing_subscriber::fmt().with_env_filter(level).with_writer(std::io::stderr).with_target(verbose).compact().init();
}
