//! `engine step pull oci://HOST/PATH[:TAG|@sha256:…]`

use std::path::PathBuf;

use engine_core::workflow::{Address, ArtifactVersion};

use super::args::PullArgs;
use super::{open, shown};
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::{Roof, print, session};
use crate::oci::Network;

pub fn pull(args: &PullArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    let address: Address = args.from.parse().map_err(shown::not_an_address)?;
    let workshop = session::workshop(roof, config, Network::Allowed);
    let artifact = workshop.artifacts().pull(&address).map_err(|error| shown::failed(&error))?;
    // What cannot be used is not written: a file has the look of something that was found to be good.
    let name = address.place.repository().rsplit('/').next().unwrap_or("step");
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.wasm")));
    let mut opened = open::described(path, artifact.bytes, &workshop)?;
    match &args.output {
        Some(path) => std::fs::write(path, &opened.bytes).map_err(|error| {
            CliError::new(Exit::Usage, format!("{} cannot be written", path.display()))
                .code("A023")
                .caused_by(Some(&error))
        })?,
        None => opened.path = PathBuf::from(artifact.pinned.place.to_string()),
    }
    let tagged = matches!(address.version, ArtifactVersion::Tag(_)).then_some(&address);
    print::data(&shown::text(&opened, &artifact.pinned, tagged, &artifact.digest, &config.stdout))
        .map_err(|e| CliError::unexpected(&e))?;
    Ok(Exit::Done)
}
