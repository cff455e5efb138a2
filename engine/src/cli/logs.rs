//! `engine logs [RUN] [STEP]`

use engine_core::id::StepId;

use super::args::LogsArgs;
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::{archive, find, print};
use crate::journal::logs;
use crate::report::words;

pub fn logs(args: LogsArgs, config: &Config) -> Result<Exit, CliError> {
    let dir = find::one(config, args.run.as_deref())?;
    let plan = archive::read(&dir)?.plan;
    let chosen: Vec<StepId> = match &args.step {
        None => plan.steps.iter().map(|step| step.id.clone()).collect(),
        Some(asked) => {
            let step = plan.steps.iter().find(|step| step.id.as_str() == asked).ok_or_else(|| {
                let near = engine_core::diagnostic::nearest(asked, plan.steps.iter().map(|step| step.id.as_str()));
                let error = CliError::new(Exit::Usage, format!("run `{}` has no step `{asked}`", dir.id()));
                match near {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("all steps: {}", config.suggest.status(dir.id()))),
                }
            })?;
            vec![step.id.clone()]
        }
    };
    let mut lines = Vec::new();
    for step in &chosen {
        let read = logs::read(&dir, step).map_err(|e| {
            CliError::new(Exit::State, format!("the log of `{step}` cannot be read")).code("J621").caused_by(Some(&e))
        })?;
        lines.extend(read.into_iter().map(|line| (line, step)));
    }
    lines.sort_by_key(|(line, _)| line.time);
    let mut text = String::new();
    for (line, step) in lines {
        let step = if args.step.is_some() { String::new() } else { format!("{step}  ") };
        text.push_str(&format!("{}  {step}{}\n", words::clock(line.time), line.message));
    }
    if text.is_empty() {
        print::tell(&format!("nothing was logged by {}\n", args.step.as_deref().unwrap_or("any step of this run")));
    }
    print::data(&text).map_err(|e| CliError::unexpected(&e))?;
    Ok(Exit::Done)
}
