//! What a guest may call: the host's side of `steps-sdk/wit/step.wit`, one file per interface, and how a component is linked to it.
//!
//! Every function counts against the guest's budget of host calls first. Interfaces behind grants (`http`, `kubernetes`, `dns`) stop
//! the call when the file grants nothing of their family, and refuse what is outside of the grants with an answer that the guest can
//! handle.

mod clock;
mod dns;
mod hold;
mod http;
mod http_request;
mod kubernetes;
mod mask;
mod memo;
mod object;
mod random;
mod report;

use steps_sdk::StepError;
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};

use super::bindings::{Step, StepPre, interface_of, types};
use super::error::{Refusal, WasmError};
use super::guest::Guest;
use super::wasi;

impl types::Host for Guest {}

/// Links a component to the host; whatever else it imports gets an inert stand-in, or ends the call that uses it.
pub(super) fn link(engine: &Engine, code: &Component) -> Result<StepPre<Guest>, WasmError> {
    let refuse = |error: wasmtime::Error| {
        let reason = format!("it does not fit `{}`: {}", super::bindings::spoken(), super::compile::reason_of(&error));
        WasmError::from(Refusal::Invalid { reason })
    };
    let mut linker = Linker::new(engine);
    Step::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest).map_err(refuse)?;
    let ty = code.component_type();
    for (name, item) in ty.imports(engine) {
        if interface_of(name).is_none() {
            wasi::stand_in(&mut linker, engine, name, &item.ty).map_err(refuse)?;
        }
    }
    let linked = linker.instantiate_pre(code).map_err(refuse)?;
    StepPre::new(linked).map_err(refuse)
}

/// The end of a call that used an interface of which the file grants nothing. `line` is what would grant it.
fn ungranted(code: &str, asked: &str, family: &str, line: &str) -> wasmtime::Error {
    StepError::permanent(code, format!("asked for {asked}, and the file grants it no `{family}`"))
        .help(format!("if it should be able to, write `{line}` into the `grant` block of its `use` node"))
        .into()
}
