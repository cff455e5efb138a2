//! The list of runs, as text and as JSON.

use serde_json::json;
use steps_sdk::Value;

use super::line::Line;
use super::look::{Look, Style};
use super::sheet::Sheet;
use super::status::{self, Life};
use super::{RunView, words};

/// A table in the order of the caller; the note, which comes last, is what is cut on a narrow terminal.
pub fn text(runs: &[(RunView, Life)], look: &Look) -> String {
    let mut sheet = Sheet::new(look);
    if runs.is_empty() {
        sheet.push(Line::new().text("no runs here"));
        return sheet.render();
    }
    let widest = |of: &dyn Fn(&RunView) -> usize, least: usize, most: usize| {
        runs.iter().map(|(view, _)| of(view)).max().unwrap_or(0).clamp(least, most)
    };
    let run_width = widest(&|view| words::width(view.run.as_str()), 3, 64);
    let workflow_width = widest(&|view| words::width(&view.workflow), 8, 20);
    let steps = |view: &RunView| format!("{}/{}", view.counts.done(), view.counts.total);
    let steps_width = widest(&|view| steps(view).len(), 5, 20);
    let title = |name: &str, width: usize| words::pad(name, width) + "  ";
    sheet.push_fit(
        Line::new().with(
            Style::Quiet,
            [
                title("RUN", run_width),
                title("WORKFLOW", workflow_width),
                title("STARTED", 16),
                title("TOOK", 6),
                title("RESULT", 6),
                title("STEPS", steps_width),
                "NOTE".into(),
            ]
            .concat(),
        ),
    );
    for (view, life) in runs {
        let (word, _) = status::word(view, *life);
        let started = view.started.map(words::minute).unwrap_or_default();
        let took = match (view.started, view.latest) {
            (Some(started), Some(latest)) => words::age(latest.since(started)),
            _ => String::new(),
        };
        let workflow = words::fit(&view.workflow, workflow_width, look.glyphs().ellipsis).into_owned();
        sheet.push_fit(
            Line::new()
                .with(Style::Strong, title(view.run.as_str(), run_width))
                .text(title(&workflow, workflow_width))
                .text(title(&started, 16))
                .text(title(&took, 6))
                .with(word.style(), title(word.text(), 6))
                .text(title(&steps(view), steps_width))
                .text(note(view, *life)),
        );
    }
    sheet.render()
}

/// The one thing that somebody who looks for a run wants to know of it.
fn note(view: &RunView, life: Life) -> String {
    if !view.holds.is_empty() && life == Life::Gone {
        return format!("{} not given back: resume it", words::count(view.holds.len(), "hold"));
    }
    if let Some(step) = view.failures().next() {
        let error = step
            .error
            .as_ref()
            .map(|error| format!(": {} {}", words::clean(&error.code), words::clean(&error.message)));
        return format!("{}{}", view.label(step), error.unwrap_or_default());
    }
    if let Some(step) = view.parked().next() {
        return format!("{} waits for a person", view.label(step));
    }
    match (view.outcome, life) {
        (None, Life::Gone) => "interrupted: resume it".to_owned(),
        _ if view.counts.same > 0 => format!("{} same", view.counts.same),
        _ => String::new(),
    }
}

/// The heads of `engine.status/v1`, without steps.
pub fn json(runs: &[(RunView, Life)]) -> Value {
    let heads: Vec<Value> = runs
        .iter()
        .map(|(view, life)| {
            let mut head = status::head_json(view, *life);
            head.shift_remove("schema");
            Value::Object(head)
        })
        .collect();
    json!({ "schema": "engine.status/v1", "runs": heads })
}

#[cfg(test)]
mod tests {
    use super::super::sample::*;
    use super::*;

    fn runs() -> Vec<(RunView, Life)> {
        vec![
            (after(&failing()), Life::Gone),
            (after(&failing()[..9]), Life::Alive),
            (after(&failing()[..9]), Life::Gone),
            (after(&succeeding()), Life::Gone),
        ]
    }

    #[test]
    fn runs_are_a_table_with_the_reason_in_the_note() {
        let text = text(&runs(), &Look::plain());
        assert_fits(&text);
        insta::assert_snapshot!(text);
        assert_eq!(super::text(&[], &Look::plain()), "no runs here\n");
    }

    #[test]
    fn json_lists_heads_without_steps() {
        let json = json(&runs());
        assert_eq!(json["schema"], "engine.status/v1");
        let heads = json["runs"].as_array().unwrap();
        let outcomes: Vec<&str> = heads.iter().map(|head| head["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["failed", "running", "interrupted", "succeeded"]);
        assert_eq!(heads[0].as_object().unwrap().keys().collect::<Vec<_>>(), ["run", "workflow", "outcome", "holds"]);
    }
}
