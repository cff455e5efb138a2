//! `engine step publish FILE.wasm|DIR oci://HOST/PATH[:TAG]`

use engine_core::workflow::{Address, ArtifactPlace, ArtifactVersion};

use super::args::PublishArgs;
use super::open::{self, Opened};
use super::shown;
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::{Roof, print, session};
use crate::oci::{Interfaces, Network};
use crate::wasm::Description;

pub fn publish(args: &PublishArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    let (place, tag) = ArtifactPlace::read_with_tag(&args.to).map_err(shown::not_an_address)?;
    let workshop = session::workshop(roof, config, Network::Allowed);
    // Described first: what nobody can use does not go to a registry.
    let opened = open::open(open::path_of(&args.what, config)?, &workshop)?;
    print::tell(&format!("publishing {} to {} ...\n", opened.path.display(), args.to));
    let Opened { description, bytes, .. } = &opened;
    let published = workshop
        .artifacts()
        .publish(&place, tag.as_deref(), bytes, &interfaces(description))
        .map_err(|error| shown::failed(&error))?;
    let tagged = tag.map(|tag| Address { place, version: ArtifactVersion::Tag(tag) });
    print::data(&shown::text(&opened, &published.pinned, tagged.as_ref(), &published.digest, &config.stdout))
        .map_err(|e| CliError::unexpected(&e))?;
    if tagged.is_none() {
        print::tell("\nnote: it has no tag; some registries remove what has none after a while\n");
    }
    Ok(Exit::Done)
}

/// For tools that read the artifact's config to see what a component is.
fn interfaces(description: &Description) -> Interfaces {
    let handler = match description.wit.split_once('@') {
        Some((package, version)) => format!("{package}/handler@{version}"),
        None => description.wit.clone(),
    };
    Interfaces { exports: vec![handler], imports: description.imports.clone() }
}
