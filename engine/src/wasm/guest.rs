//! One call of a guest as the host sees it: what the guest may use, what it has used, and what it said.
//!
//! A `Guest` is the data of a wasmtime store, made for one call and thrown away with it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use steps_sdk::context::StepContext;
use steps_sdk::grant::{GrantIndex, Grants, GuestLimits};
use steps_sdk::host::Host;
use steps_sdk::{Change, StepError};
use tokio::time::Instant;

use super::limits::{Allowance, CHANGES_MAX, Exceeded, HOST_CALLS_MAX};
use super::speech::Speech;

/// What a component is given by a file, and the host that acts for it.
#[derive(Clone)]
pub struct Bound {
    pub grants: Arc<Grants>,
    pub limits: GuestLimits,
    pub host: Host,
    pub used: Arc<GrantUsage>,
}

/// How often each grant was used, for the report of least privilege.
#[derive(Debug, Default)]
pub struct GrantUsage(Mutex<BTreeMap<GrantIndex, u64>>);

impl GrantUsage {
    pub(super) fn count(&self, grant: GrantIndex) {
        *self.0.lock().expect("no code panics while it holds the counts").entry(grant).or_default() += 1;
    }

    /// Grants that were used, with how often.
    pub fn counts(&self) -> BTreeMap<GrantIndex, u64> {
        self.0.lock().expect("no code panics while it holds the counts").clone()
    }
}

/// The verb that is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Describe,
    Preview,
    Run,
    Verify,
    Undo,
    Release,
}

/// What becomes of a write that a guest asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writes {
    Done,
    /// Answered as if, and listed in the plan.
    WouldDo,
    /// The call ends: the verb is there to look, and its caller relies on it.
    Refused,
}

impl Verb {
    pub(super) fn writes(self) -> Writes {
        match self {
            Verb::Run | Verb::Undo | Verb::Release => Writes::Done,
            Verb::Preview => Writes::WouldDo,
            Verb::Verify | Verb::Describe => Writes::Refused,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Verb::Describe => "describe",
            Verb::Preview => "preview",
            Verb::Run => "run",
            Verb::Verify => "verify",
            Verb::Undo => "undo",
            Verb::Release => "release",
        }
    }
}

pub(super) struct Guest {
    pub(super) allowance: Allowance,
    pub(super) speech: Speech,
    pub(super) verb: Verb,
    /// `None` while a component is described: there is no step then.
    called: Option<Called>,
    host_calls: u32,
    pub(super) began: Instant,
    /// What a runtime waits for through `wasi`, by number: a time, or nothing when it is ready.
    pub(super) pollables: Vec<Option<Instant>>,
}

/// What belongs to the call of a step.
pub(super) struct Called {
    pub(super) cx: StepContext,
    pub(super) bound: Bound,
    /// Writes of a preview that were not done.
    pub(super) would_do: Vec<Change>,
}

impl Guest {
    /// For `describe`: nothing of the outside is there, so that the answer depends on the component alone.
    pub(super) fn described() -> Guest {
        Guest {
            allowance: Allowance::new(GuestLimits::default().memory_bytes),
            speech: Speech::unheard(),
            verb: Verb::Describe,
            called: None,
            host_calls: 0,
            began: Instant::now(),
            pollables: Vec::new(),
        }
    }

    pub(super) fn called(cx: StepContext, bound: Bound, verb: Verb) -> Guest {
        Guest {
            allowance: Allowance::new(bound.limits.memory_bytes),
            speech: Speech::heard(cx.progress.clone()),
            verb,
            called: Some(Called { cx, bound, would_do: Vec::new() }),
            host_calls: 0,
            began: Instant::now(),
            pollables: Vec::new(),
        }
    }

    /// To be called first by every function of the host.
    pub(super) fn count_host_call(&mut self) -> wasmtime::Result<()> {
        self.host_calls += 1;
        if self.host_calls > HOST_CALLS_MAX { Err(Exceeded::HostCalls.into()) } else { Ok(()) }
    }

    /// The step that is called; `describe` is no step, and a guest that asks for one there is stopped.
    pub(super) fn step(&mut self, asked: &str) -> wasmtime::Result<&mut Called> {
        self.called.as_mut().ok_or_else(|| {
            StepError::permanent("W112", format!("called `{asked}` in `describe`, where there is no step")).into()
        })
    }

    pub(super) fn into_would_do(self) -> Vec<Change> {
        self.called.map(|called| called.would_do).unwrap_or_default()
    }
}

impl Called {
    /// The end of a call that wanted to write where nothing is written.
    pub(super) fn read_only(asked: &str) -> wasmtime::Error {
        StepError::permanent("W113", format!("asked for {asked}, and it may only look"))
            .help("nothing was sent; this is a mistake in the component: tell its author, with these lines")
            .into()
    }

    /// Lists a write that a preview did not do. Beyond the limit the list says no more; the plan is long enough by then.
    pub(super) fn would_do(&mut self, change: Change) {
        if self.would_do.len() < CHANGES_MAX {
            self.would_do.push(change);
        }
    }
}
