//! Inert stand-ins for guests whose runtimes expect a system around them (WASI 0.2).
//!
//! Interpreters and standard libraries import clocks, streams, an environment and a file system whether a step uses them or not. They
//! get a world with nothing in it: no variables, no arguments, no directories, a standard input that is closed. What they write
//! becomes lines of the step's log. Everything else ends the call that uses it, with the name of what was used.
//!
//! ```text
//!  cli.rs     environment, exit, standard streams
//!  io.rs      streams, and waiting for the clock
//!  clocks.rs  the time
//!  random.rs  random bytes
//! ```

mod cli;
mod clocks;
mod io;
mod random;

use steps_sdk::StepError;
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Linker, LinkerInstance, ResourceType};

use super::guest::Guest;

/// Every resource that a stand-in hands out. What one is lies in its number.
pub(super) struct Inert;

/// Defines one import of a component that is not of our contract.
pub(super) fn stand_in(
    linker: &mut Linker<Guest>,
    engine: &Engine,
    name: &str,
    item: &ComponentItem,
) -> wasmtime::Result<()> {
    match item {
        ComponentItem::ComponentInstance(instance) => {
            let interface = name.split('@').next().unwrap_or_default();
            let mut at = linker.instance(name)?;
            for (member, item) in instance.exports(engine) {
                match item.ty {
                    ComponentItem::Resource(_) => at.resource(member, ResourceType::host::<Inert>(), |_, _| Ok(()))?,
                    ComponentItem::ComponentFunc(_) => function(&mut at, interface, name, member)?,
                    // Types need no definition.
                    _ => {}
                }
            }
            Ok(())
        }
        ComponentItem::ComponentFunc(_) => refuse(&mut linker.root(), name, name.to_owned()),
        _ => Ok(()),
    }
}

fn function(at: &mut LinkerInstance<'_, Guest>, interface: &str, name: &str, member: &str) -> wasmtime::Result<()> {
    let is_known = match interface.strip_prefix("wasi:").and_then(|rest| rest.split_once('/')) {
        Some(("cli", part)) => cli::define(at, part, member)?,
        Some(("io", part)) => io::define(at, part, member)?,
        Some(("clocks", part)) => clocks::define(at, part, member)?,
        Some(("random", part)) => random::define(at, part, member)?,
        // There is no directory to begin with, so no other function of the file system can be reached.
        Some(("filesystem", "preopens")) if member == "get-directories" => {
            at.func_wrap(member, |mut store, (): ()| {
                store.data_mut().count_host_call()?;
                Ok((Vec::<(wasmtime::component::Resource<Inert>, String)>::new(),))
            })?;
            true
        }
        _ => false,
    };
    if is_known { Ok(()) } else { refuse(at, member, format!("{name}#{member}")) }
}

/// Ends the call that uses it.
fn refuse(at: &mut LinkerInstance<'_, Guest>, member: &str, full_name: String) -> wasmtime::Result<()> {
    at.func_new(member, move |_, _, _, _| {
        Err(StepError::permanent("W111", format!("called `{full_name}`, which steps do not have"))
            .help(
                "a step has no files, sockets, processes or environment: the component has to use the interfaces of `engine:step`; \
                 tell its author",
            )
            .into())
    })
}
