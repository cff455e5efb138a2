//! `--progress json`: one event a line, `engine.event/v1`, for programs.
//!
//! A line has only what the journal's event has of the fields below, never outputs, memos or the data of holds: these may be
//! large, and their place is the journal. Every field beside the first five is left out when there is nothing to say.
//!
//! | field | what it holds |
//! |---|---|
//! | `schema` `run` `event` | `engine.event/v1`, the run's id, the event's name in the journal or `step-waiting` |
//! | `seq` | the event's number in the journal; for `step-waiting` that of the last event before it |
//! | `time` | RFC 3339, UTC, milliseconds; of `step-waiting` the moment since when it waits for this reason (also as `since`) |
//! | `step` `cluster` `attempt` | the step's id, where it works, its latest attempt |
//! | `summary` | what was done, a run's workflow or outcome, a hold's or a memo's name |
//! | `reason` | why: of waits, skips, resets, retries, a person's words; `same` when nothing had to change |
//! | `error` | class, code, message, causes and help of a failed attempt |

use std::io::{self, Write};

use engine_core::id::{Sequence, StepId, Timestamp};
use engine_core::run::{Event, Recorded, RunOutcome, Unparked};
use serde::Serialize;
use steps_sdk::StepError;

use super::summary::Ending;
use super::{Notice, Out, Reporter, RunView, words};

/// Writes JSON lines.
pub struct Json {
    out: Out,
    view: RunView,
}

impl Json {
    /// The view has seen what happened before this process.
    pub fn new(out: Out, view: RunView) -> Json {
        Json { out, view }
    }
}

impl Reporter for Json {
    fn event(&mut self, notice: &Notice) -> io::Result<()> {
        if !self.view.apply(notice) {
            return Ok(());
        }
        let Some(line) = Line::of(notice, &self.view) else { return Ok(()) };
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
    }

    fn tick(&mut self, _: Timestamp) -> io::Result<()> {
        self.out.flush()
    }

    /// Nothing of its own: `run-finished` was the last line, and talk has no place on a stream of data.
    fn finish(&mut self, _: &Ending) -> io::Result<()> {
        self.out.flush()
    }
}

/// One line; the order of the fields is the order in which they are written.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    schema: &'static str,
    run: &'a str,
    seq: Sequence,
    time: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a StepId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a StepError>,
}

impl<'a> Line<'a> {
    /// The line of a notice that the view has already taken in; what is not of the schema has none.
    pub fn of(notice: &'a Notice, view: &'a RunView) -> Option<Line<'a>> {
        match notice {
            Notice::Recorded(recorded) => Some(Line::of_recorded(recorded, view)),
            Notice::StepWaiting { step, reason, since } => {
                let mut line = Line::about(view, "step-waiting", Some(step), *since);
                line.seq = view.sequence;
                line.reason = Some(reason.clone());
                line.since = Some(words::rfc3339(*since));
                Some(line)
            }
            Notice::Log { .. } | Notice::Stopping { .. } | Notice::Remark { .. } => None,
        }
    }

    fn of_recorded(recorded: &'a Recorded, view: &'a RunView) -> Line<'a> {
        let (name, said) = said(&recorded.event);
        let mut line = Line::about(view, name, recorded.event.step(), recorded.time);
        line.seq = recorded.sequence;
        line.summary = said.summary.filter(|text| !text.is_empty());
        line.reason = said.reason.filter(|text| !text.is_empty());
        line.error = said.error;
        line
    }

    fn about(view: &'a RunView, event: &'static str, step: Option<&'a StepId>, time: Timestamp) -> Line<'a> {
        let known = step.and_then(|id| view.step(id));
        Line {
            schema: "engine.event/v1",
            run: view.run.as_str(),
            seq: view.sequence,
            time: words::rfc3339(time),
            event,
            step,
            cluster: known.and_then(|step| step.cluster.as_ref()).map(|cluster| cluster.0.as_str()),
            attempt: known.map(|step| step.attempt).filter(|attempt| *attempt > 0),
            summary: None,
            reason: None,
            since: None,
            error: None,
        }
    }
}

/// What an event says beside its step.
#[derive(Default)]
struct Said<'a> {
    summary: Option<String>,
    reason: Option<String>,
    error: Option<&'a StepError>,
}

fn said(event: &Event) -> (&'static str, Said<'_>) {
    let nothing = Said::default;
    let summary = |text: &str| Said { summary: Some(text.to_owned()), ..nothing() };
    let reason = |text: &str| Said { reason: Some(text.to_owned()), ..nothing() };
    match event {
        Event::RunStarted { workflow, by, .. } => {
            ("run-started", Said { reason: Some(format!("started by {by}")), ..summary(workflow) })
        }
        Event::StepStarted { .. } => ("step-started", nothing()),
        Event::MemoPut { key, .. } => ("memo-put", summary(key)),
        Event::HoldTaken { name, .. } => ("hold-taken", summary(name)),
        Event::HoldReleased { name, because, .. } => {
            ("hold-released", Said { reason: Some(because.clone()), ..summary(name) })
        }
        Event::StepSucceeded { summary: text, same, .. } => {
            ("step-succeeded", Said { reason: same.then(|| "same".to_owned()), ..summary(text) })
        }
        Event::StepFailed { error, retry_at, .. } => {
            let reason = retry_at.map(|until| format!("tries again at {}", words::rfc3339(until)));
            ("step-failed", Said { reason, error: Some(error), ..nothing() })
        }
        Event::StepSkipped { because, .. } => ("step-skipped", reason(because)),
        Event::StepParked { why, .. } => ("step-parked", reason(why)),
        Event::StepUnparked { by, reason, to, .. } => {
            let decided = match to {
                Unparked::Again => "again",
                Unparked::Done { .. } => "done",
                Unparked::Skipped => "skip",
                Unparked::Failed => "failed",
            };
            ("step-unparked", Said { reason: Some(format!("{by}: {reason}")), ..summary(decided) })
        }
        Event::StepReset { reason: text, .. } => ("step-reset", reason(text)),
        Event::StepUndone { summary: text, stays, .. } => {
            let stays = (!stays.is_empty()).then(|| format!("stays: {stays}"));
            ("step-undone", Said { reason: stays, ..summary(text) })
        }
        Event::StepCancelled { reason: text, .. } => ("step-cancelled", reason(text)),
        Event::RunResumed { by, .. } => ("run-resumed", reason(&format!("resumed by {by}"))),
        Event::RunFinished { outcome } => ("run-finished", summary(outcome_name(*outcome))),
    }
}

/// The outcome's word in `engine.status/v1`.
pub fn outcome_name(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Succeeded => "succeeded",
        RunOutcome::Failed => "failed",
        RunOutcome::Parked => "parked",
        RunOutcome::Cancelled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::*;
    use steps_sdk::Value;

    fn lines(notices: &[Notice]) -> Vec<Value> {
        let paper = Paper::default();
        let mut json = Json::new(paper.out(), view());
        for notice in notices {
            json.event(notice).unwrap();
        }
        json.finish(&ending(0)).unwrap();
        paper.take().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn every_event_is_one_line_with_the_fields_of_the_schema() {
        let notices = failing();
        let lines = lines(&notices);
        assert_eq!(lines.len(), notices.len());
        const KNOWN: [&str; 12] = [
            "schema", "run", "seq", "time", "event", "step", "cluster", "attempt", "summary", "reason", "since",
            "error",
        ];
        for line in &lines {
            let fields: Vec<&String> = line.as_object().unwrap().keys().collect();
            assert_eq!(fields[..5], ["schema", "run", "seq", "time", "event"]);
            assert!(fields.iter().all(|field| KNOWN.contains(&field.as_str())), "{line}");
            assert_eq!((line["schema"].as_str(), line["run"].as_str()), (Some("engine.event/v1"), Some("zheng-7f3a")));
        }
        let names: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(names[..4], ["run-started", "step-started", "step-succeeded", "step-started"]);
        assert_eq!(names.last(), Some(&"run-finished"));
        assert_eq!(lines.last().unwrap()["summary"], "failed");
    }

    #[test]
    fn a_reason_is_told_once() {
        let mut notices = failing()[..9].to_vec();
        notices.extend([
            waiting("etcd", 3_000, "Etcd/etcd-root Ready=False: 1 of 3 members"),
            waiting("etcd", 4_000, "another"),
        ]);
        let lines = lines(&notices);
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[9]["reason"], "another");
    }

    #[test]
    fn what_a_step_did_is_told_without_its_outputs() {
        let lines = lines(&failing());
        let done = &lines[5];
        assert_eq!(done["time"], "2026-11-24T14:02:11.420Z");
        assert_eq!((&done["step"], &done["cluster"], &done["attempt"]), (&"ns".into(), &"hub".into(), &1.into()));
        assert_eq!((&done["summary"], done.get("reason")), (&"Namespace/zheng created".into(), None));
        assert_eq!(lines[7]["reason"], "same");
        assert!(lines.iter().all(|line| !line.to_string().contains("this must not be shown")));
    }

    #[test]
    fn waits_retries_and_errors_say_why() {
        let lines = lines(&failing());
        let wait = &lines[8];
        assert_eq!((&wait["event"], &wait["seq"]), (&"step-waiting".into(), &8.into()), "the last event before it");
        assert_eq!(
            (&wait["since"], &wait["time"]),
            (&"2026-11-24T14:02:13.430Z".into(), &"2026-11-24T14:02:13.430Z".into())
        );
        let retry = &lines[9];
        assert_eq!(
            (&retry["error"]["code"], &retry["reason"]),
            (&"K201".into(), &"tries again at 2026-11-24T14:03:13.430Z".into())
        );
        let failed = &lines[12];
        assert_eq!(
            (&failed["attempt"], &failed["error"]["class"], failed.get("reason")),
            (&2.into(), &"transient".into(), None)
        );
        assert_eq!(failed["error"]["causes"].as_array().unwrap().len(), 3);
    }

    #[test]
    fn the_names_are_those_of_the_journal() {
        let mut tape = Tape::default();
        let events = [
            run_started(),
            started("ns", 1),
            Event::MemoPut { step: id("ns"), key: "order".into(), value: Value::Null },
            Event::HoldTaken { step: id("ns"), name: "scale".into(), data: Value::Null },
            Event::HoldReleased { step: id("ns"), name: "scale".into(), because: "over".into() },
            succeeded("ns", "", false),
            failed("ns", etcd_error(), None),
            Event::StepSkipped { step: id("ns"), because: "x".into() },
            Event::StepParked { step: id("ns"), why: "x".into() },
            Event::StepUnparked { step: id("ns"), by: "mia".into(), reason: "seen".into(), to: Unparked::Again },
            Event::StepReset { step: id("ns"), reason: "x".into() },
            Event::StepUndone { step: id("ns"), summary: "x".into(), stays: String::new() },
            Event::StepCancelled { step: id("ns"), reason: "x".into() },
            Event::RunResumed { by: "mia".into(), binary: "0.1.0".into() },
            Event::RunFinished { outcome: RunOutcome::Parked },
        ];
        for event in events {
            let stored = serde_json::to_value(&event).unwrap()["event"].clone();
            let line = &lines(&[tape.record(0, event)])[0];
            assert_eq!(line["event"], stored);
        }
    }
}
