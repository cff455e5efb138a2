//! `engine check FILE…`

use engine_core::diagnostic::{Problem, Severity};

use super::args::{CheckArgs, Form};
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::{Roof, print, session, workflow};
use crate::report::custom::{self, Custom};
use crate::report::problems::{self, Checked};

pub fn check(args: CheckArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    let registry = session::registry(roof, config, session::network(args.offline));
    let mut all = Vec::with_capacity(args.files.len());
    for file in &args.files {
        all.push(workflow::loaded(file, &registry)?);
    }
    let checked: Vec<Checked<'_>> =
        all.iter().map(|loaded| Checked { problems: &loaded.problems, sources: &loaded.sources }).collect();
    let custom: Vec<Custom> =
        all.iter().filter_map(|loaded| loaded.workflow.as_ref()).flat_map(custom::of_workflow).collect();
    let denies_warnings = args.deny.as_deref() == Some("warnings");
    let stops = |problem: &Problem| match problem.severity {
        Severity::Error => true,
        Severity::Warning => denies_warnings,
    };
    match args.output {
        Form::Text => {
            print::tell(&custom::text(&custom, &config.stderr));
            print::tell(&problems::text(&checked, &config.stderr));
        }
        Form::Json => {
            let mut json = problems::json(&checked);
            json["components"] = custom.iter().map(custom::json).collect();
            print::data(&format!("{json}\n")).map_err(|e| CliError::unexpected(&e))?;
        }
    }
    let fails = all.iter().flat_map(|loaded| &loaded.problems).any(stops);
    Ok(if fails { Exit::Invalid } else { Exit::Done })
}
