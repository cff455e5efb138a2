//! A failed step, told once: what and after how long, where in the file, why, what was done, what to do.

use steps_sdk::ErrorClass;

use super::RunView;
use super::codes;
use super::line::Line;
use super::look::Style;
use super::setting::Setting;
use super::sheet::Sheet;
use super::snippet::{self, Mark};
use super::step_view::StepView;
use super::word::Word;
use super::{entry, words};

/// The whole story of one failed step.
pub fn text(step: &StepView, view: &RunView, setting: &Setting) -> String {
    let mut sheet = Sheet::new(&setting.look);
    tell(&mut sheet, step, view, setting);
    sheet.render()
}

/// The same, as a part of a longer text.
pub fn tell(sheet: &mut Sheet<'_>, step: &StepView, view: &RunView, setting: &Setting) {
    sheet.push_fit(head(step, view));
    sheet.gap();
    let label = match &step.last_seen {
        Some(reason) => format!("last seen: {}", words::clean(reason)),
        None => format!("a step of kind {}", step.kind),
    };
    let marks = [Mark { at: step.at, label: &label, style: Style::Bad }];
    if let Some(error) = &step.error {
        let code = format!("error[{}]", words::clean(&error.code));
        let room = setting.look.width.max(words::width(&code) + 22) - words::width(&code) - 2;
        for (row, text) in words::wrap(&words::clean(&error.message), room).into_iter().enumerate() {
            match row {
                0 => sheet.push(Line::new().with(Style::Bad, code.clone()).text(": ").with(Style::Strong, text)),
                _ => sheet.push(Line::new().text("  ").with(Style::Strong, text)),
            }
        }
    }
    let drawing = snippet::draw(&setting.sources, &marks, &setting.look);
    if drawing.is_empty() {
        sheet.labelled(
            "step",
            Style::Normal,
            &format!("{} ({}), declared in a file that is not at hand", step.id, step.kind),
        );
    }
    sheet.extend(drawing);
    if let Some(cluster) = cluster(step, view, setting) {
        sheet.labelled("cluster", Style::Normal, &cluster);
    }
    if let Some(error) = &step.error {
        sheet.tree("cause", &error.causes);
    } else if !step.reason.is_empty() {
        sheet.labelled("reason", Style::Normal, &step.reason);
    }
    sheet.labelled("done", Style::Normal, &done(view));
    if let Some(error) = &step.error {
        // A custom step has codes of its own, which this binary cannot explain.
        let more =
            codes::section(&error.code).map(|section| format!("more: {}", setting.suggest.explain(section.code)));
        let lines: Vec<&str> = error.help.as_deref().into_iter().chain(more.as_deref()).collect();
        if !lines.is_empty() {
            sheet.labelled("help", Style::Normal, &lines.join("\n"));
        }
    }
    sheet.command("logs", Style::Normal, &setting.suggest.logs(&view.run, &step.id));
}

fn head(step: &StepView, view: &RunView) -> Line {
    let mut when = String::new();
    if let (Some(started), Some(ended)) = (step.started, step.ended) {
        when = format!("  after {}", words::duration(ended.since(started)));
    }
    if step.attempt > 0 {
        let vain = step.error.as_ref().is_some_and(|error| error.class == ErrorClass::Permanent)
            && step.attempt < step.attempts_max;
        let rest = if vain { ", another would fail alike" } else { "" };
        when.push_str(&format!(" (attempt {} of {}{rest})", step.attempt, step.attempts_max.max(step.attempt)));
    } else {
        when.push_str("  before its first attempt");
    }
    Line::new().with(Word::Fail.style(), Word::Fail.text()).text("  ").with(Style::Strong, view.label(step)).text(when)
}

/// `hub = kind-hub, uid 9d1c…`.
fn cluster(step: &StepView, view: &RunView, setting: &Setting) -> Option<String> {
    let name = step.cluster.as_ref()?;
    if let Some(known) = setting.identities.iter().find(|identity| identity.cluster == *name) {
        return Some(format!("{name} = {}, uid {}", known.context, known.uid));
    }
    let context =
        view.clusters.iter().find(|cluster| cluster.name == *name).and_then(|cluster| cluster.context.as_ref());
    Some(context.map_or_else(|| name.to_string(), |context| format!("{name} = {context}")))
}

/// `9 steps finished (3 same, 1 skipped), 20 not started; nothing was undone`.
fn done(view: &RunView) -> String {
    let counts = &view.counts;
    let mut text = format!("{} finished{}", words::count(counts.done(), "step"), detail(view));
    if counts.pending > 0 {
        text.push_str(&format!(", {} not started", counts.pending));
    }
    match counts.undone {
        0 => text.push_str("; nothing was undone"),
        undone => text.push_str(&format!("; {} undone", words::count(undone, "step"))),
    }
    text
}

fn detail(view: &RunView) -> String {
    let parts: Vec<String> = [(view.counts.same, "same"), (view.counts.skipped, "skipped")]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, name)| format!("{number} {name}"))
        .collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// A further failure in one line: the whole story is told of the first only, which most likely caused the others.
pub fn one_line(step: &StepView, view: &RunView) -> Line {
    let error = step.error.as_ref().map(entry::error_line).unwrap_or_else(|| words::clean(&step.reason).into_owned());
    Line::new()
        .with(Word::Fail.style(), Word::Fail.text())
        .text("  ")
        .with(Style::Strong, view.label(step))
        .text("  ")
        .text(error)
}

#[cfg(test)]
mod tests {
    use super::super::Look;
    use super::super::sample::*;
    use super::*;

    #[test]
    fn a_failure_tells_where_why_and_what_to_do() {
        let view = after(&failing());
        let step = view.failures().next().unwrap();
        for (name, unicode) in [("unicode", true), ("ascii", false)] {
            let look = Look { unicode, ..Look::plain() };
            let text = text(step, &view, &setting(look));
            assert_fits(&text);
            insta::assert_snapshot!(format!("failure_{name}"), text);
        }
    }

    #[test]
    fn a_step_whose_file_is_gone_is_still_told() {
        let view = after(&failing());
        let mut setting = setting(Look::plain());
        setting.sources.clear();
        setting.identities.clear();
        let text = text(view.failures().next().unwrap(), &view, &setting);
        assert!(text.contains("etcd (k8s.wait), declared in a file that is not at hand"), "{text}");
        assert!(text.contains("hub = kind-hub"), "{text}");
    }

    #[test]
    fn what_servers_say_cannot_steer_the_terminal() {
        let mut notices = failing();
        notices.pop();
        let mut tape = Tape::default();
        let error = steps_sdk::StepError::permanent("K1", "bad\u{1b}[2J\nforged line")
            .cause("\u{1b}]0;title\u{7}")
            .help("a\u{202e}b");
        notices.push(tape.record(301_000, failed("etcd", error, None)));
        let view = after(&notices);
        let text = text(view.failures().next().unwrap(), &view, &setting(Look::plain()));
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
        assert!(!text.lines().any(|line| line.starts_with("forged")), "{text}");
    }
}
