//! A module of Go's compiler becomes a component: it gets the types of the contract, and a system to stand on.
//!
//! Go builds for WASI preview 1, which is older than components. `go/system.wat` answers what its runtime expects, over the few
//! things of WASI 0.2 that the engine has stand-ins for.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const SYSTEM: &str = include_str!("go/system.wat");
const SYSTEM_CONTRACT: &str = include_str!("go/system.wit");

/// The component, or why the module does not fit the contract.
pub fn component(mut module: Vec<u8>, contract: &Path, text: &str) -> Result<Vec<u8>, String> {
    type_it(&mut module, contract, text, "step")?;
    let mut system = wat::parse_str(SYSTEM).expect("our own text is a module");
    type_it(&mut system, Path::new("system.wit"), SYSTEM_CONTRACT, "system").expect("our own text is a contract");
    let words = |error| format!("{error:#}");
    let mut encoder = ComponentEncoder::default().validate(true).module(&module).map_err(words)?;
    encoder = encoder.adapter("wasi_snapshot_preview1", &system).map_err(words)?;
    encoder.encode().map_err(words)
}

/// Writes the types of a world into a module.
fn type_it(module: &mut Vec<u8>, contract: &Path, text: &str, world: &str) -> Result<(), String> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str(contract, text).map_err(|error| format!("{error:#}"))?;
    let world = resolve.select_world(&[package], Some(world)).map_err(|error| format!("{error:#}"))?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8).map_err(|error| format!("{error:#}"))
}
