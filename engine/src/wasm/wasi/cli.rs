//! `wasi:cli`: no environment, no arguments, no terminal; standard output and error become log lines; `exit` ends the call.

use steps_sdk::StepError;
use wasmtime::component::{LinkerInstance, Resource};

use super::Inert;
use super::io::{STANDARD_ERROR, STANDARD_INPUT, STANDARD_OUTPUT};
use crate::wasm::guest::Guest;

pub(super) fn define(at: &mut LinkerInstance<'_, Guest>, interface: &str, member: &str) -> wasmtime::Result<bool> {
    match (interface, member) {
        ("environment", "get-environment") => at.func_wrap(member, |mut store, (): ()| {
            store.data_mut().count_host_call()?;
            Ok((Vec::<(String, String)>::new(),))
        })?,
        ("environment", "get-arguments") => at.func_wrap(member, |mut store, (): ()| {
            store.data_mut().count_host_call()?;
            Ok((Vec::<String>::new(),))
        })?,
        ("environment", "initial-cwd") => at.func_wrap(member, |mut store, (): ()| {
            store.data_mut().count_host_call()?;
            Ok((None::<String>,))
        })?,
        ("stdin", "get-stdin") => stream(at, member, STANDARD_INPUT)?,
        ("stdout", "get-stdout") => stream(at, member, STANDARD_OUTPUT)?,
        ("stderr", "get-stderr") => stream(at, member, STANDARD_ERROR)?,
        ("terminal-stdin" | "terminal-stdout" | "terminal-stderr", _) => {
            at.func_wrap(member, |mut store, (): ()| {
                store.data_mut().count_host_call()?;
                Ok((None::<Resource<Inert>>,))
            })?
        }
        ("exit", "exit") => at.func_wrap(member, |_, (status,): (Result<(), ()>,)| -> wasmtime::Result<()> {
            Err(exited(if status.is_ok() { 0 } else { 1 }))
        })?,
        ("exit", "exit-with-code") => {
            at.func_wrap(member, |_, (code,): (u8,)| -> wasmtime::Result<()> { Err(exited(code)) })?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn stream(at: &mut LinkerInstance<'_, Guest>, member: &str, number: u32) -> wasmtime::Result<()> {
    at.func_wrap(member, move |mut store, (): ()| {
        store.data_mut().count_host_call()?;
        Ok((Resource::<Inert>::new_own(number),))
    })
}

fn exited(code: u8) -> wasmtime::Error {
    StepError::permanent("W110", format!("ended itself with exit code {code} instead of answering"))
        .help("a step answers with an outcome or a failure; the step's log may say why it gave up. Tell its author")
        .into()
}
