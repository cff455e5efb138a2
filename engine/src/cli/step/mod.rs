//! `engine step …`: the path of a person who writes a custom step, from nothing to a tested component.
//!
//! ```text
//!  args.rs       the flags of all of these
//!  new.rs        a project from a template that is in the binary
//!  build.rs      the language's own tools make a component
//!  recipe.rs     which tools those are, and whether they are there
//!  go_module.rs  what Go's compiler makes becomes a component
//!  open.rs       a component, described
//!  test.rs       cases over a mocked world; --bless, --record
//!  tell.rs       how the end of a case is told
//!  real.rs       the world as it is, for `run` and `test --record`
//!  run.rs        one call of one kind
//!  inspect.rs    what a component provides and asks for
//!  doc.rs        the same as Markdown
//!  publish.rs    a component goes into a registry
//!  pull.rs       and comes from there
//!  shown.rs      what both tell of it
//! ```

mod args;
mod build;
mod doc;
mod go_module;
mod inspect;
mod new;
mod open;
mod publish;
mod pull;
mod real;
mod recipe;
mod run;
mod shown;
mod tell;
mod test;

pub use args::StepCommand;
pub use shown::failed as registry_failed;

use super::Roof;
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;

pub fn step(command: StepCommand, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    match command {
        StepCommand::New(args) => new::new(&args),
        StepCommand::Build(args) => build::build(&args, config),
        StepCommand::Test(args) => test::test(args, config, roof),
        StepCommand::Run(args) => run::run(args, config, roof),
        StepCommand::Inspect(args) => inspect::inspect(&args, config, roof),
        StepCommand::Doc(args) => doc::doc(&args, config, roof),
        StepCommand::Publish(args) => publish::publish(&args, config, roof),
        StepCommand::Pull(args) => pull::pull(&args, config, roof),
    }
}

#[cfg(test)]
mod testing {
    //! What the process was given, in tests.

    use std::path::Path;

    use crate::cli::config::Config;
    use crate::report::{Look, Suggest};

    pub fn config(directory: &Path, environment: &[(&str, &str)]) -> Config {
        Config {
            environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            state: directory.join("state"),
            seal_key: None,
            data: directory.join("data"),
            cache: directory.join("cache"),
            directory: directory.to_owned(),
            stdout: Look::plain(),
            stderr: Look::plain(),
            stderr_is_terminal: false,
            person: "test@here".to_owned(),
            suggest: Suggest::default(),
        }
    }
}
