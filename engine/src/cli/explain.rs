//! `engine explain [KIND[.FIELD]|NODE|CODE]`

use super::Roof;
use super::args::{ExplainArgs, Form};
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::{print, session};
use crate::oci::Network;
use crate::report::{explain, kinds};

pub fn explain(args: ExplainArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    let registry = session::registry(roof, config, Network::Offline);
    let names: Vec<String> = registry.names().map(ToString::to_string).collect();
    let described = registry.specs(&names).map_err(|e| CliError::unexpected(&e))?.described;
    let specs: Vec<&steps_sdk::StepSpec> = described.values().map(AsRef::as_ref).collect();
    let text = match &args.topic {
        None => match args.output {
            Form::Text => kinds::text(&specs, &config.stdout),
            Form::Json => format!("{}\n", kinds::json(&specs)),
        },
        Some(asked) => {
            let topic = explain::topic(asked, &specs)
                .map_err(|unknown| CliError::new(Exit::Usage, unknown.to_string()).hint(unknown.help))?;
            match args.output {
                Form::Text => explain::text(&topic, &config.stdout),
                Form::Json => format!("{}\n", explain::json(&topic)),
            }
        }
    };
    print::data(&text).map_err(|e| CliError::unexpected(&e))?;
    Ok(Exit::Done)
}
