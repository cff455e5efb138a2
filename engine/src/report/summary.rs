//! The first and the last words of a run.

use engine_core::id::Timestamp;
use engine_core::run::RunOutcome;
use steps_sdk::{Secret, Value};

use super::failure;
use super::line::Line;
use super::look::Style;
use super::setting::{Pin, Setting};
use super::sheet::Sheet;
use super::suggest::Answer;
use super::word::Word;
use super::{RunView, words};

/// What is known only when a run is over, or when this process leaves it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    pub at: Timestamp,
    /// The workflow's outputs in the order of the file; empty unless it succeeded.
    pub outputs: Vec<Output>,
    /// Why this process stopped before the run was over, if it did: "interrupted", "the journal could not be written".
    pub stopped: Option<String>,
}

/// One output of the workflow.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    pub name: String,
    pub value: OutputValue,
}

#[derive(Debug, Clone, PartialEq)]
pub enum OutputValue {
    Open(Value),
    /// Where it is; never what it is.
    Secret(Secret),
    /// Marked `secret=#true` although it has no place of its own.
    Hidden,
}

/// Which run, of which plan, over which clusters. Shown when a run starts and when it is resumed.
pub fn heading(view: &RunView, setting: &Setting) -> String {
    heading_lines(view, setting).iter().map(|line| line.render(&setting.look) + "\n").collect()
}

/// The same as lines, for a view that fits them to its terminal.
pub fn heading_lines(view: &RunView, setting: &Setting) -> Vec<Line> {
    let mut sheet = Sheet::new(&setting.look);
    let verb = if view.sessions > 1 { "resume" } else { "run" };
    let mut head = Line::new()
        .with(Style::Strong, view.workflow.clone())
        .text(format!("  {verb} "))
        .with(Style::Strong, view.run.as_str());
    let clusters = view.clusters.len();
    if clusters > 0 {
        head = head.text(format!("  {}", words::count(clusters, "cluster")));
    }
    head = head.text(format!("  {}  plan {}", words::count(view.counts.total, "step"), view.plan.short()));
    if let Some(session) = view.session {
        head = head.text(format!("  {}", words::clock(session)));
    }
    sheet.push(head);
    let name_width = setting.identities.iter().map(|identity| words::width(&identity.cluster.0)).max().unwrap_or(0);
    for identity in &setting.identities {
        let how = match identity.pin {
            Pin::File => "pinned",
            Pin::Kept => "known",
            Pin::FirstUse => "first use",
        };
        let (name, context, uid) =
            (words::pad(&identity.cluster.0, name_width), words::clean(&identity.context), words::clean(&identity.uid));
        sheet.push(Line::new().text(format!("  {name} = {context}  ")).with(Style::Quiet, format!("uid {uid}  {how}")));
    }
    sheet.gap();
    sheet.into_lines()
}

/// How it ended: counts and outputs, or failures, parked steps, open holds, and how to go on.
pub fn text(view: &RunView, ending: &Ending, setting: &Setting) -> String {
    let mut sheet = Sheet::new(&setting.look);
    let mut failures = view.failures();
    if let Some(root) = failures.next() {
        failure::tell(&mut sheet, root, view, setting);
        sheet.gap();
        for other in failures {
            sheet.push_fit(failure::one_line(other, view));
        }
        sheet.gap();
    }
    parked(&mut sheet, view, setting);
    let (verdict, time) = verdict(view, ending);
    if verdict.width() + time.width() <= setting.look.width {
        sheet.push(verdict.join(time));
    } else {
        sheet.push(verdict);
        sheet.push(time);
    }
    outputs(&mut sheet, ending);
    if view.outcome != Some(RunOutcome::Succeeded) || !view.holds.is_empty() {
        next(&mut sheet, view, setting);
    }
    sheet.render()
}

/// `zheng  OK  31 steps (5 same, 1 skipped)` and `  took 6m12s`.
fn verdict(view: &RunView, ending: &Ending) -> (Line, Line) {
    let counts = &view.counts;
    let word = verdict_word(view);
    let steps = match word {
        Word::Ok => words::count(counts.total, "step"),
        _ => format!("{} of {}", counts.done(), words::count(counts.total, "step")),
    };
    let parts = words::tally([
        (counts.same, "same"),
        (counts.skipped, "skipped"),
        (counts.failed, "failed"),
        (counts.parked, "parked"),
        (counts.cancelled, "stopped"),
        (counts.running + counts.retrying, "without outcome"),
        (counts.undone, "undone"),
        (counts.pending, "not started"),
    ]);
    let detail = if parts.is_empty() { String::new() } else { format!(" ({})", parts) };
    let took = view.session.map_or(0, |session| ending.at.since(session));
    let verdict = Line::new()
        .with(Style::Strong, view.workflow.clone())
        .text("  ")
        .with(word.style(), word.text())
        .text(format!("  {steps}{detail}"));
    let since = if view.sessions > 1 { " since the resume" } else { "" };
    let mut time = Line::new().text(format!("  took {}{since}", words::duration(took)));
    if let Some(why) = &ending.stopped {
        time = time.text(format!("  {}", words::clean(why)));
    }
    (verdict, time)
}

fn verdict_word(view: &RunView) -> Word {
    match view.outcome {
        Some(RunOutcome::Succeeded) => Word::Ok,
        Some(RunOutcome::Failed) => Word::Fail,
        Some(RunOutcome::Parked) => Word::Park,
        Some(RunOutcome::Cancelled) | None => Word::Stop,
    }
}

fn outputs(sheet: &mut Sheet<'_>, ending: &Ending) {
    let name_width = ending.outputs.iter().map(|output| words::width(&output.name)).max().unwrap_or(0);
    for output in &ending.outputs {
        let value = match &output.value {
            OutputValue::Open(Value::String(text)) => words::clean(text).into_owned(),
            OutputValue::Open(value) => words::clean(&value.to_string()).into_owned(),
            OutputValue::Secret(place) => format!("(secret: {})", words::clean(&place.to_string())),
            OutputValue::Hidden => "(secret)".to_owned(),
        };
        // Not cut: an output is there to be used.
        sheet.push(
            Line::new()
                .with(Style::Quiet, format!("  {}", words::pad(&output.name, name_width)))
                .text("  ")
                .text(value),
        );
    }
}

fn parked(sheet: &mut Sheet<'_>, view: &RunView, setting: &Setting) {
    for step in view.parked() {
        sheet.push(
            Line::new().with(Word::Park.style(), Word::Park.text()).text("  ").with(Style::Strong, view.label(step)),
        );
        sheet.labelled("why", Style::Normal, &step.reason);
        for (label, answer) in [("again", Answer::Again), ("done", Answer::Done), ("skip", Answer::Skip)] {
            sheet.command(label, Style::Normal, &setting.suggest.settle(&view.run, answer, &step.id));
        }
        sheet.gap();
    }
}

/// What is still taken away, then the command that gives it back and goes on.
fn next(sheet: &mut Sheet<'_>, view: &RunView, setting: &Setting) {
    for hold in &view.holds {
        let cluster = hold.cluster.as_ref().map(|cluster| format!(" on {cluster}")).unwrap_or_default();
        let text = format!(
            "{}{cluster}, taken by {} at {} and not given back",
            hold.name,
            hold.step,
            words::clock(hold.since)
        );
        sheet.labelled(&Word::Hold.text().to_lowercase(), Word::Hold.style(), &text);
    }
    sheet.command("next", Style::Strong, &setting.suggest.resume(&view.run));
    let counts = &view.counts;
    let mut parts = Vec::new();
    if !view.holds.is_empty() {
        parts.push(format!("gives back {} first", words::count(view.holds.len(), "hold")));
    }
    parts.push(format!("keeps {}", words::count(counts.done(), "finished step")));
    parts.push(format!("{} to go", counts.total - counts.done()));
    sheet.labelled("", Style::Normal, &parts.join(", "));
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::super::{Look, Suggest};
    use super::*;
    use engine_core::run::Event;
    use serde_json::json;
    use steps_sdk::StepError;

    fn unicode() -> Look {
        Look { colour: false, ..Look::terminal(80, 24) }
    }

    #[test]
    fn a_success_ends_with_counts_and_outputs_and_without_secrets() {
        let output = |name: &str, value| Output { name: name.into(), value };
        let place = Secret::K8s {
            cluster: "hub".into(),
            namespace: "kcp".into(),
            name: "admin".into(),
            key: "kubeconfig".into(),
        };
        let outputs = vec![
            output("api", OutputValue::Open(json!("https://api.zheng.example.io:6443"))),
            output("shards", OutputValue::Open(json!(["root", "alpha"]))),
            output("kubeconfig", OutputValue::Secret(place)),
            output("token", OutputValue::Hidden),
        ];
        let text = text(&after(&succeeding()), &Ending { outputs, ..ending(372_000) }, &setting(unicode()));
        assert_fits(&text);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn failures_come_once_root_first_then_how_to_go_on() {
        let mut notices = failing();
        notices.pop();
        let mut tape = Tape::default();
        notices.push(tape.record(
            301_000,
            failed(
                "region[alpha].deploy",
                StepError::permanent("K301", "field `spec.replicas` belongs to argocd"),
                None,
            ),
        ));
        notices.push(tape.record(301_000, Event::RunFinished { outcome: RunOutcome::Failed }));
        let text = text(&after(&notices), &ending(301_000), &setting(unicode()));
        assert_fits(&text);
        assert_eq!(text.matches("error[K204]").count(), 1);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn parked_steps_name_their_three_answers_and_open_holds_the_way_back() {
        let mut tape = Tape::default();
        let notices = [
            tape.record(0, run_started()),
            tape.record(10, started("region[alpha].ns", 1)),
            tape.record(
                20,
                Event::HoldTaken { step: id("region[alpha].ns"), name: "replicas of root-kcp".into(), data: json!({}) },
            ),
            tape.record(
                900,
                Event::StepParked {
                    step: id("region[alpha].ns"),
                    why: "it cannot be told whether the order was placed: look for order 4711 at the registrar".into(),
                },
            ),
            tape.record(1_000, Event::RunFinished { outcome: RunOutcome::Parked }),
        ];
        let mut setting = setting(unicode());
        setting.suggest = Suggest::new(["--state".into(), "./state".into()]);
        let text = text(&after(&notices), &ending(1_000), &setting);
        assert_fits(&text);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn an_interrupted_run_says_so_and_how_it_goes_on() {
        let ending = Ending { stopped: Some("interrupted".into()), ..ending(3_000) };
        let text = text(&after(&failing()[..9]), &ending, &setting(unicode()));
        assert_eq!(
            text,
            "zheng  STOP  3 of 6 steps (1 same, 1 without outcome, 2 not started)\n\
             \u{20} took 3.0s  interrupted\n\
             \u{20} next     engine resume zheng-7f3a\n\
             \u{20}          keeps 3 finished steps, 3 to go\n"
        );
    }

    #[test]
    fn the_heading_names_the_run_and_every_cluster() {
        let text = heading(&after(&failing()[..1]), &setting(unicode()));
        assert_fits(&text);
        insta::assert_snapshot!(text);
    }
}
