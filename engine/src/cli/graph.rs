//! `engine graph FILE`

use engine_core::plan::render;

use super::args::{Drawing, GraphArgs};
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::workflow::{self, Planned};
use super::{Roof, print, session};
use crate::oci::Network;

pub fn graph(args: GraphArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    let registry = session::registry(roof, config, Network::Allowed);
    let Planned { plan, .. } = workflow::planned(&args.workflow, &registry, config)?;
    let text = match args.output {
        Drawing::Tree => render::tree(&plan),
        Drawing::Mermaid => render::mermaid(&plan),
        Drawing::Dot => render::dot(&plan),
    };
    print::data(&text).map_err(|e| CliError::unexpected(&e))?;
    Ok(Exit::Done)
}
