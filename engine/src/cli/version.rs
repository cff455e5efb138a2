//! `engine version`

use serde_json::json;

use super::args::{Form, VersionArgs};
use super::error::CliError;
use super::exit::Exit;
use super::print;
use crate::journal::FORMAT;

/// This binary, as events and error reports name it.
pub const BINARY: &str = concat!("engine ", env!("CARGO_PKG_VERSION"));

pub fn version(args: VersionArgs) -> Result<Exit, CliError> {
    let text = match args.output {
        Form::Text => format!("{BINARY}\n"),
        Form::Json => {
            let value = json!({ "schema": "engine.version/v1", "version": env!("CARGO_PKG_VERSION"), "journal": FORMAT, "plan": engine_core::plan::PLAN_FORMAT });
            format!("{value}\n")
        }
    };
    print::data(&text).map_err(|e| CliError::unexpected(&e))?;
    Ok(Exit::Done)
}
