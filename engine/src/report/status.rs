//! One run, asked for from outside, as text and as `engine.status/v1`.

use engine_core::id::Timestamp;
use engine_core::run::RunOutcome;
use serde_json::{Map, json};
use steps_sdk::Value;

use super::line::Line;
use super::look::{Look, Style};
use super::sheet::Sheet;
use super::step_view::{StepState, StepView};
use super::suggest::{Answer, Suggest};
use super::word::Word;
use super::{RunView, entry, words};

/// Whether a process works on the run now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Alive,
    /// Nobody does: what the journal calls running is `unknown` until a resume looks.
    Gone,
}

/// Lanes, then everything that needs attention, each with its reason, then the command that goes on.
pub fn text(view: &RunView, life: Life, now: Timestamp, suggest: &Suggest, look: &Look) -> String {
    let mut sheet = Sheet::new(look);
    head(&mut sheet, view, life, now);
    lanes(&mut sheet, view);
    sheet.gap();
    for step in &view.steps {
        attention(&mut sheet, step, view, life, now, suggest);
    }
    for hold in &view.holds {
        let text = format!(
            "  {}/{} taken {} ago and not given back",
            hold.step,
            words::clean(&hold.name),
            words::age(now.since(hold.since))
        );
        sheet.push_fit(Line::new().with(Word::Hold.style(), Word::Hold.text()).text(text));
    }
    if life == Life::Gone && view.outcome != Some(RunOutcome::Succeeded) {
        sheet.gap();
        sheet.command("next", Style::Strong, &suggest.resume(&view.run));
    }
    sheet.render()
}

fn head(sheet: &mut Sheet<'_>, view: &RunView, life: Life, now: Timestamp) {
    let (word, detail) = word(view, life);
    let done = format!("{} of {}", view.counts.done(), words::count(view.counts.total, "step"));
    sheet.push(
        Line::new().with(Style::Strong, view.run.as_str()).text("  ").with(word.style(), word.text()).text(format!(
            "  {}  {done}  plan {}{detail}",
            view.workflow,
            view.plan.short()
        )),
    );
    if let Some(started) = view.started {
        let end = if life == Life::Alive { now } else { view.latest.unwrap_or(now) };
        let mut text = format!("{} by {}", words::date_time(started), words::clean(&view.started_by));
        match (view.sessions, view.session) {
            (sessions @ 2.., Some(session)) => {
                text.push_str(&format!(", resumed {}, last {}", times(sessions - 1), words::date_time(session)));
            }
            _ => {
                let took = if life == Life::Alive { "running for" } else { "took" };
                text.push_str(&format!(", {took} {}", words::duration(end.since(started))));
            }
        }
        sheet.labelled("started", Style::Normal, &text);
    }
}

fn times(number: u32) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

/// The word for a run, and what it needs said beside it.
pub(super) fn word(view: &RunView, life: Life) -> (Word, &'static str) {
    match (view.outcome, life) {
        (_, Life::Alive) => (Word::Run, ""),
        (Some(RunOutcome::Succeeded), _) => (Word::Ok, ""),
        (Some(RunOutcome::Failed), _) => (Word::Fail, ""),
        (Some(RunOutcome::Parked), _) => (Word::Park, ""),
        (Some(RunOutcome::Cancelled), _) => (Word::Stop, ""),
        (None, Life::Gone) => (Word::Stop, "  interrupted"),
    }
}

fn lanes(sheet: &mut Sheet<'_>, view: &RunView) {
    let name_width = view.lanes.iter().map(|lane| words::width(&lane.name)).max().unwrap_or(0);
    let done = |at: usize| format!("{}/{}", view.lanes[at].counts.done(), view.lanes[at].counts.total);
    let done_width = (0..view.lanes.len()).map(|at| done(at).len()).max().unwrap_or(0);
    for (at, lane) in view.lanes.iter().enumerate() {
        let counts = &lane.counts;
        let parts = words::tally([
            (counts.same, "same"),
            (counts.skipped, "skipped"),
            (counts.failed, "failed"),
            (counts.parked, "parked"),
            (counts.running, "running"),
            (counts.retrying, "retrying"),
            (counts.cancelled, "stopped"),
            (counts.undone, "undone"),
            (counts.pending, "not started"),
        ]);
        let text = if parts.is_empty() { "done".to_owned() } else { parts };
        sheet.push_fit(Line::new().text(format!(
            "  {}  {}  {text}",
            words::pad(&lane.name, name_width),
            words::pad_left(&done(at), done_width)
        )));
    }
}

/// Steps that are under way or need somebody.
fn attention(sheet: &mut Sheet<'_>, step: &StepView, view: &RunView, life: Life, now: Timestamp, suggest: &Suggest) {
    let head = |word: Word, text: String| {
        Line::new()
            .with(word.style(), words::pad(word.text(), 5))
            .text(" ")
            .with(Style::Strong, view.label(step))
            .text(format!("  {text}"))
    };
    match step.state {
        StepState::Pending | StepState::Succeeded { .. } | StepState::Skipped | StepState::Undone => {}
        StepState::Running if life == Life::Gone => {
            sheet.push_fit(head(Word::Stop, "was under way when its engine ended; a resume finds out".into()));
        }
        StepState::Running => {
            let reason = step.waiting.as_ref().map(|waiting| {
                format!("  {} ({})", words::clean(&waiting.reason), words::age(now.since(waiting.since)))
            });
            sheet.push_fit(head(Word::Run, format!("{}{}", words::age(step.took_ms(now)), reason.unwrap_or_default())));
        }
        StepState::Retrying { until } => {
            let error = step.error.as_ref().map(entry::error_line).unwrap_or_default();
            let when = if until > now {
                format!("in {}", words::age(until.since(now)))
            } else {
                "when the run goes on".to_owned()
            };
            sheet.push_fit(head(
                Word::Retry,
                format!("attempt {} of {} {when}: {error}", step.attempt + 1, step.attempts_max),
            ));
        }
        StepState::Failed => {
            let why = step.error.as_ref().map_or_else(|| words::clean(&step.reason).into_owned(), entry::error_line);
            sheet.push_fit(head(Word::Fail, why));
            sheet.command("logs", Style::Normal, &suggest.logs(&view.run, &step.id));
        }
        StepState::Parked => {
            let since = step.ended.map(|ended| format!("for {}: ", words::age(now.since(ended)))).unwrap_or_default();
            sheet.push(head(Word::Park, format!("{since}{}", words::clean(&step.reason))));
            for (label, answer) in [("again", Answer::Again), ("done", Answer::Done), ("skip", Answer::Skip)] {
                sheet.command(label, Style::Normal, &suggest.settle(&view.run, answer, &step.id));
            }
        }
        StepState::Cancelled => sheet.push_fit(head(Word::Stop, words::clean(&step.reason).into_owned())),
    }
}

/// `engine.status/v1`.
pub fn json(view: &RunView, life: Life) -> Value {
    let mut json = head_json(view, life);
    let steps: Vec<Value> = view.steps.iter().map(|step| step_json(step, life)).collect();
    json.insert("steps".into(), Value::Array(steps));
    Value::Object(json)
}

/// What `runs` shows of each run.
pub(super) fn head_json(view: &RunView, life: Life) -> Map<String, Value> {
    let outcome = match (view.outcome, life) {
        (_, Life::Alive) => "running",
        (Some(outcome), Life::Gone) => super::json::outcome_name(outcome),
        (None, Life::Gone) => "interrupted",
    };
    let holds: Vec<Value> = view
        .holds
        .iter()
        .map(|hold| json!({ "step": hold.step, "name": hold.name, "cluster": hold.cluster, "since": words::rfc3339(hold.since) }))
        .collect();
    let mut json = Map::new();
    json.insert("schema".into(), json!("engine.status/v1"));
    json.insert("run".into(), json!(view.run));
    json.insert("workflow".into(), json!(view.workflow));
    json.insert("outcome".into(), json!(outcome));
    json.insert("holds".into(), Value::Array(holds));
    json
}

fn step_json(step: &StepView, life: Life) -> Value {
    let state = if step.state == StepState::Running && life == Life::Gone { "unknown" } else { step.state.name() };
    let text = |text: &str| if text.is_empty() { Value::Null } else { json!(text) };
    json!({
        "id": step.id,
        "cluster": step.cluster,
        "state": state,
        "attempts": step.attempt,
        "summary": text(&step.summary),
        "reason": text(&reason(step)),
        "started": step.started.map(words::rfc3339),
        "ended": step.ended.map(words::rfc3339),
    })
}

/// Why the step is where it is, whatever its state keeps that in.
fn reason(step: &StepView) -> String {
    match (&step.state, &step.error, &step.waiting) {
        (StepState::Failed | StepState::Retrying { .. }, Some(error), _) => entry::error_line(error),
        (StepState::Running, _, Some(waiting)) => waiting.reason.clone(),
        (StepState::Succeeded { same: true }, ..) if step.reason.is_empty() => "same".to_owned(),
        _ => step.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::*;
    use engine_core::run::Event;

    fn shown(notices: &[super::super::Notice], life: Life, now: u64) -> String {
        let text = text(&after(notices), life, at(now), &Suggest::default(), &Look::plain());
        assert_fits(&text);
        text
    }

    #[test]
    fn a_running_run_shows_what_it_waits_for() {
        insta::assert_snapshot!(shown(&failing()[..9], Life::Alive, 62_430));
    }

    #[test]
    fn a_failed_run_shows_why_and_how_it_goes_on() {
        insta::assert_snapshot!(shown(&failing(), Life::Gone, 900_000));
    }

    #[test]
    fn a_run_whose_engine_died_does_not_pretend_to_know() {
        let text = shown(&failing()[..9], Life::Gone, 900_000);
        assert!(text.contains("STOP") && text.contains("interrupted"), "{text}");
        assert!(text.contains("STOP  hub/etcd  was under way when its engine ended"), "{text}");
        let json = json(&after(&failing()[..9]), Life::Gone);
        assert_eq!((&json["outcome"], &json["steps"][2]["state"]), (&"interrupted".into(), &"unknown".into()));
    }

    #[test]
    fn parked_steps_and_holds_are_shown_with_the_way_out() {
        let mut tape = Tape::default();
        let notices = [
            tape.record(0, run_started()),
            tape.record(10, started("ns", 1)),
            tape.record(20, Event::HoldTaken { step: id("ns"), name: "scale".into(), data: Value::Null }),
            tape.record(30, Event::StepParked { step: id("ns"), why: "it cannot be told whether it happened".into() }),
            tape.record(40, Event::RunFinished { outcome: RunOutcome::Parked }),
        ];
        insta::assert_snapshot!(shown(&notices, Life::Gone, 600_030));
    }

    #[test]
    fn json_has_exactly_the_fields_of_the_schema() {
        let json = json(&after(&failing()), Life::Gone);
        assert_eq!(
            json.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["schema", "run", "workflow", "outcome", "holds", "steps"]
        );
        assert_eq!(
            (&json["schema"], &json["run"], &json["outcome"]),
            (&"engine.status/v1".into(), &"zheng-7f3a".into(), &"failed".into())
        );
        for step in json["steps"].as_array().unwrap() {
            let fields: Vec<&String> = step.as_object().unwrap().keys().collect();
            assert_eq!(fields, ["id", "cluster", "state", "attempts", "summary", "reason", "started", "ended"]);
        }
        let etcd = &json["steps"][2];
        assert_eq!((&etcd["state"], &etcd["attempts"], &etcd["cluster"]), (&"failed".into(), &2.into(), &"hub".into()));
        assert!(etcd["reason"].as_str().unwrap().starts_with("error[K204]"));
        assert_eq!(
            (&etcd["started"], &etcd["ended"]),
            (&"2026-11-24T14:02:11.430Z".into(), &"2026-11-24T14:07:11.430Z".into())
        );
        let same = &json["steps"][3];
        assert_eq!((&same["reason"], &same["state"]), (&"same".into(), &"succeeded".into()));
        assert_eq!((&json["steps"][4]["started"], &json["steps"][4]["state"]), (&Value::Null, &"pending".into()));
    }
}
