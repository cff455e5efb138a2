//! `engine step build [DIR]`: a component by the tools of the project's language.
//!
//! What a tool prints is shown only when it fails: of a good build nothing but the result is worth reading.

use std::path::{Path, PathBuf};
use std::time::Instant;

use engine_core::id::Digest;

use super::args::BuildArgs;
use super::go_module;
use super::recipe::{self, Finish, Recipe};
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::print;
use crate::report::words;

pub fn build(args: &BuildArgs, config: &Config) -> Result<Exit, CliError> {
    let component = component(&args.directory, config)?;
    let bytes = std::fs::read(&component).map_err(|error| CliError::unexpected(&error))?;
    let digest = Digest::of_bytes(&bytes);
    let text = format!("{}\n  size    {} bytes\n  digest  sha256:{digest}\n", component.display(), bytes.len());
    print::data(&text).map_err(|e| CliError::unexpected(&e))?;
    Ok(Exit::Done)
}

/// Builds the project of a folder; gives the path of its component.
pub fn component(folder: &Path, config: &Config) -> Result<PathBuf, CliError> {
    let mut recipe = recipe::recipe(folder, config)?;
    recipe.check_tools(folder, config)?;
    print::tell(&format!("building {} with {} ...", folder.display(), recipe.tool));
    let began = Instant::now();
    let output = recipe.command.current_dir(folder).output();
    let took = words::duration(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    let output = output.map_err(|error| {
        print::tell(" failed\n");
        CliError::new(Exit::Invalid, format!("{} cannot be started", recipe.tool))
            .code("A025")
            .caused_by(Some(&error))
            .hint(recipe::fix(&recipe.install))
    })?;
    if !output.status.success() {
        print::tell(&format!(" failed after {took}\n\n"));
        print::tell(&String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat()));
        print::tell("\n");
        return Err(CliError::new(Exit::Invalid, format!("{} did not build the step", recipe.tool))
            .code("A026")
            // Besides its own exit codes there are signals, of which it cannot say anything itself.
            .hint(format!("what it says is above; it ended with {}", output.status)));
    }
    print::tell(&format!(" {took}\n"));
    finish(&recipe, folder)?;
    if recipe.component.is_file() {
        return Ok(recipe.component);
    }
    Err(CliError::new(Exit::Invalid, format!("the build made no {}", recipe.component.display()))
        .code("A027")
        .hint("a library of Rust says `crate-type = [\"cdylib\"]`; other builds write to the name of the package"))
}

/// What the language's tools leave to us.
fn finish(recipe: &Recipe, folder: &Path) -> Result<(), CliError> {
    let Finish::GoModule(module) = &recipe.finish else {
        return Ok(());
    };
    let contract = folder.join("wit/step.wit");
    let text = recipe::read(&contract)?;
    let bytes = std::fs::read(module).map_err(|error| CliError::unexpected(&error))?;
    let component = go_module::component(bytes, &contract, &text).map_err(|why| {
        CliError::new(Exit::Invalid, "the module does not fit the contract")
            .code("A029")
            .hint(why)
            .hint("wit/step.wit and the folder step/ belong together; `engine step new` writes both")
    })?;
    std::fs::write(&recipe.component, component)
        .and_then(|()| std::fs::remove_file(module))
        .map_err(|error| CliError::unexpected(&error))
}
