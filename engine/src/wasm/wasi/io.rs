//! `wasi:io`: streams that lead to the log or nowhere, and waiting until a time.

use tokio::time::Instant;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, Lower, Resource};

use super::Inert;
use crate::wasm::guest::Guest;
use crate::wasm::speech::Stream;

/// Numbers of the standard streams.
pub(super) const STANDARD_INPUT: u32 = 0;
pub(super) const STANDARD_OUTPUT: u32 = 1;
pub(super) const STANDARD_ERROR: u32 = 2;

/// What a guest may write at once.
const WRITE_BYTES_MAX: u64 = 4096;
/// A poll over more is a mistake, and every entry costs us something.
const POLLABLES_MAX: usize = 10_000;

/// `stream-error`: a stand-in is never broken, only at its end.
#[derive(ComponentType, Lower, Lift)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    Failed(Resource<Inert>),
    #[component(name = "closed")]
    Closed,
}

pub(super) fn define(at: &mut LinkerInstance<'_, Guest>, interface: &str, member: &str) -> wasmtime::Result<bool> {
    match interface {
        "error" if member == "[method]error.to-debug-string" => {
            at.func_wrap(member, |mut store, (_,): (Resource<Inert>,)| {
                store.data_mut().count_host_call()?;
                Ok(("the stream is at its end".to_owned(),))
            })?;
            Ok(true)
        }
        "poll" => poll(at, member),
        "streams" => match member.split_once('.') {
            Some(("[method]input-stream", method)) => input(at, member, method),
            Some(("[method]output-stream", method)) => output(at, member, method),
            _ => Ok(false),
        },
        _ => Ok(false),
    }
}

fn input(at: &mut LinkerInstance<'_, Guest>, member: &str, method: &str) -> wasmtime::Result<bool> {
    match method {
        "read" | "blocking-read" => at.func_wrap(member, |mut store, (_, _): (Resource<Inert>, u64)| {
            store.data_mut().count_host_call()?;
            Ok((Err::<Vec<u8>, _>(StreamError::Closed),))
        })?,
        "skip" | "blocking-skip" => at.func_wrap(member, |mut store, (_, _): (Resource<Inert>, u64)| {
            store.data_mut().count_host_call()?;
            Ok((Err::<u64, _>(StreamError::Closed),))
        })?,
        "subscribe" => ready(at, member)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn output(at: &mut LinkerInstance<'_, Guest>, member: &str, method: &str) -> wasmtime::Result<bool> {
    match method {
        "check-write" => at.func_wrap(member, |mut store, (_,): (Resource<Inert>,)| {
            store.data_mut().count_host_call()?;
            Ok((Ok::<u64, StreamError>(WRITE_BYTES_MAX),))
        })?,
        "write" | "blocking-write-and-flush" => {
            at.func_wrap(member, |mut store, (stream, bytes): (Resource<Inert>, Vec<u8>)| {
                let guest = store.data_mut();
                guest.count_host_call()?;
                match stream.rep() {
                    STANDARD_OUTPUT => guest.speech.write(Stream::Output, &bytes),
                    STANDARD_ERROR => guest.speech.write(Stream::Error, &bytes),
                    _ => return Ok((Err(StreamError::Closed),)),
                }
                Ok((Ok::<(), StreamError>(()),))
            })?;
        }
        "flush" | "blocking-flush" => at.func_wrap(member, |mut store, (_,): (Resource<Inert>,)| {
            store.data_mut().count_host_call()?;
            Ok((Ok::<(), StreamError>(()),))
        })?,
        "subscribe" => ready(at, member)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// A pollable that is ready from the beginning.
fn ready(at: &mut LinkerInstance<'_, Guest>, member: &str) -> wasmtime::Result<()> {
    at.func_wrap(member, |mut store, (_,): (Resource<Inert>,)| {
        let guest = store.data_mut();
        guest.count_host_call()?;
        Ok((guest.pollable(None),))
    })
}

fn poll(at: &mut LinkerInstance<'_, Guest>, member: &str) -> wasmtime::Result<bool> {
    match member {
        "[method]pollable.ready" => at.func_wrap(member, |mut store, (pollable,): (Resource<Inert>,)| {
            let guest = store.data_mut();
            guest.count_host_call()?;
            Ok((guest.ready_at(&pollable).is_none_or(|at| at <= Instant::now()),))
        })?,
        "[method]pollable.block" => at.func_wrap_async(member, |mut store, (pollable,): (Resource<Inert>,)| {
            Box::new(async move {
                let guest = store.data_mut();
                guest.count_host_call()?;
                wait_until(guest.ready_at(&pollable)).await;
                Ok(())
            })
        })?,
        "poll" => at.func_wrap_async(member, |mut store, (pollables,): (Vec<Resource<Inert>>,)| {
            Box::new(async move {
                let guest = store.data_mut();
                guest.count_host_call()?;
                if pollables.is_empty() || pollables.len() > POLLABLES_MAX {
                    return Err(wasmtime::Error::msg(format!("polls {} things at once", pollables.len())));
                }
                let times: Vec<Option<Instant>> = pollables.iter().map(|pollable| guest.ready_at(pollable)).collect();
                // The earliest; one without a time is ready at once.
                wait_until(times.iter().min().copied().flatten()).await;
                let now = Instant::now();
                let is_ready = |at: &Option<Instant>| at.is_none_or(|at| at <= now);
                let ready: Vec<u32> = (0u32..).zip(&times).filter(|(_, at)| is_ready(at)).map(|(i, _)| i).collect();
                Ok((ready,))
            })
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

async fn wait_until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at).await;
    }
}
