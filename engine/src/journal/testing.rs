//! What the tests of the journal share: run directories, and events that can be told apart.

use engine_core::id::{Digest, Sequence, StepId, Timestamp};
use engine_core::run::{Event, Outputs, Recorded, RunOutcome, Unparked};
use serde_json::json;
use steps_sdk::StepError;
use tempfile::TempDir;

use super::layout::{RunDir, StateDir};
use super::lock::{HeldLock, Holder};

pub(super) fn new_state() -> (TempDir, StateDir) {
    let dir = tempfile::tempdir().unwrap();
    let state = StateDir::open(dir.path()).unwrap();
    (dir, state)
}

/// A run that was created but has not begun.
pub(super) fn new_run() -> (TempDir, RunDir) {
    let (dir, state) = new_state();
    let run = state.run(&"zheng-7f3a".parse().unwrap());
    run.create().unwrap();
    (dir, run)
}

pub(super) fn lock(run: &RunDir) -> HeldLock {
    let state = StateDir::at(run.path().ancestors().nth(2).unwrap());
    let holder = Holder::this_process(run.id().clone(), Timestamp(1));
    HeldLock::take(&state, run.id().as_str(), &holder).unwrap()
}

/// The event that the tests write as record `n`: its content and size depend on the number only.
pub(super) fn event(n: u64) -> Event {
    let step = StepId::new(format!("region[{}].deploy", n % 7));
    let filling = "line\nwith \"quotes\", spaces and ünïcödé ".repeat((n * n % 11) as usize);
    match n % 3 {
        0 => Event::StepStarted { step, attempt: n as u32, inputs: Digest::of_bytes(&n.to_be_bytes()) },
        1 => Event::MemoPut { step, key: format!("k{n}"), value: json!({ "n": n, "filling": filling }) },
        _ => Event::StepSucceeded {
            step,
            outputs: Outputs::Inline(json!([n, filling])),
            summary: "done".into(),
            same: n.is_multiple_of(2),
        },
    }
}

pub(super) fn events(from: u64, to: u64) -> Vec<Event> {
    (from..=to).map(event).collect()
}

pub(super) fn time(n: u64) -> Timestamp {
    Timestamp(1_763_000_000_000 + n)
}

/// Panics unless these are records `from`, `from + 1`, … of the tests.
#[track_caller]
pub(super) fn assert_records(from: u64, records: &[Recorded]) {
    for (n, record) in (from..).zip(records) {
        assert_eq!(record.sequence, Sequence(n));
        assert_eq!(record.event, event(n), "record {n}");
    }
}

/// One of each, with every optional part present and absent.
pub(super) fn one_of_each() -> Vec<Event> {
    let step = || StepId::new("region[alpha].deploy");
    let error = StepError::transient("K204", "etcd did not become ready");
    vec![
        Event::RunStarted {
            workflow: "zheng".into(),
            plan: Digest::of_bytes(b"plan"),
            steps: 31,
            by: "mia@laptop".into(),
            binary: "engine 0.1.0".into(),
            granted: Vec::new(),
        },
        Event::StepStarted { step: step(), attempt: 1, inputs: Digest::of_bytes(b"inputs") },
        Event::MemoPut { step: step(), key: "order".into(), value: json!({ "number": 17, "list": [1.5, null, true] }) },
        Event::HoldTaken { step: step(), name: "replicas".into(), data: json!({ "replicas": 3 }) },
        Event::HoldReleased { step: step(), name: "replicas".into(), because: "the step ended".into() },
        Event::StepFailed { step: step(), error: error.clone(), retry_at: Some(Timestamp(1_763_000_009_000)) },
        Event::StepFailed { step: step(), error, retry_at: None },
        Event::StepSucceeded {
            step: step(),
            outputs: Outputs::Inline(json!({ "address": "203.0.113.10" })),
            summary: "applied \"ünïcödé\"\n".into(),
            same: false,
        },
        Event::StepSucceeded {
            step: step(),
            outputs: Outputs::File { digest: Digest::of_bytes(b"large"), bytes: 70_000 },
            summary: String::new(),
            same: true,
        },
        Event::StepSkipped { step: step(), because: "`when` is false".into() },
        Event::StepParked { step: step(), why: "waits for a person".into() },
        Event::StepUnparked { step: step(), by: "mia".into(), reason: "looked".into(), to: Unparked::Again },
        Event::StepUnparked {
            step: step(),
            by: "mia".into(),
            reason: "looked".into(),
            to: Unparked::Done { outputs: json!({}) },
        },
        Event::StepUnparked { step: step(), by: "mia".into(), reason: "looked".into(), to: Unparked::Skipped },
        Event::StepUnparked { step: step(), by: "mia".into(), reason: "looked".into(), to: Unparked::Failed },
        Event::StepReset { step: step(), reason: "inputs changed".into() },
        Event::StepUndone { step: step(), summary: "deleted".into(), stays: "the certificate".into() },
        Event::StepCancelled { step: step(), reason: "Ctrl-C".into() },
        Event::RunResumed { by: "mia@laptop".into(), binary: "engine 0.1.0".into() },
        Event::RunFinished { outcome: RunOutcome::Succeeded },
    ]
}
