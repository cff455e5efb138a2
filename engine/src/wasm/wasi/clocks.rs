//! `wasi:clocks`: the time of day, a clock that only rises, and waiting for it.

use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::{ComponentType, Lift, LinkerInstance, Lower, Resource};

use super::Inert;
use crate::wasm::guest::{Guest, Verb};

#[derive(ComponentType, Lower, Lift)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

/// What both clocks say of their precision.
const RESOLUTION: Duration = Duration::from_micros(1);
/// Beyond this every wait ends with the call's own limit.
const WAIT_MAX: Duration = Duration::from_secs(30 * 86_400);

pub(super) fn define(at: &mut LinkerInstance<'_, Guest>, interface: &str, member: &str) -> wasmtime::Result<bool> {
    match (interface, member) {
        ("wall-clock", "now") => at.func_wrap(member, |mut store, (): ()| {
            let guest = store.data_mut();
            guest.count_host_call()?;
            Ok((datetime(guest.time()),))
        })?,
        ("wall-clock", "resolution") => at.func_wrap(member, |mut store, (): ()| {
            store.data_mut().count_host_call()?;
            Ok((datetime(RESOLUTION),))
        })?,
        ("monotonic-clock", "now") => at.func_wrap(member, |mut store, (): ()| {
            let guest = store.data_mut();
            guest.count_host_call()?;
            Ok((nanoseconds(guest.elapsed()),))
        })?,
        ("monotonic-clock", "resolution") => at.func_wrap(member, |mut store, (): ()| {
            store.data_mut().count_host_call()?;
            Ok((nanoseconds(RESOLUTION),))
        })?,
        ("monotonic-clock", "subscribe-duration") => at.func_wrap(member, |mut store, (wait,): (u64,)| {
            let guest = store.data_mut();
            guest.count_host_call()?;
            Ok((guest.pollable_after(Duration::from_nanos(wait)),))
        })?,
        ("monotonic-clock", "subscribe-instant") => at.func_wrap(member, |mut store, (when,): (u64,)| {
            let guest = store.data_mut();
            guest.count_host_call()?;
            let wait = Duration::from_nanos(when).saturating_sub(guest.elapsed());
            Ok((guest.pollable_after(wait),))
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn datetime(since_1970: Duration) -> Datetime {
    Datetime { seconds: since_1970.as_secs(), nanoseconds: since_1970.subsec_nanos() }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Guest {
    /// Since the call began; none in `describe`.
    fn elapsed(&self) -> Duration {
        if self.verb == Verb::Describe { Duration::ZERO } else { self.began.elapsed() }
    }

    fn pollable_after(&mut self, wait: Duration) -> Resource<Inert> {
        let at = Instant::now() + wait.min(WAIT_MAX);
        // Time does not pass in `describe`, so nothing is waited for.
        self.pollable((self.verb != Verb::Describe).then_some(at))
    }

    /// A thing to wait for: ready at a time, or from the beginning.
    pub(super) fn pollable(&mut self, at: Option<Instant>) -> Resource<Inert> {
        let number =
            u32::try_from(self.pollables.len()).expect("calls of the host are limited, and each makes at most one");
        self.pollables.push(at);
        Resource::new_own(number)
    }

    pub(super) fn ready_at(&self, pollable: &Resource<Inert>) -> Option<Instant> {
        self.pollables.get(pollable.rep() as usize).copied().flatten()
    }
}
