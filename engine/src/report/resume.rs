//! What a resume is going to do with each step, shown before it does it: nobody trusts a resume that does not say why.

use engine_core::id::{RunId, StepId};
use steps_sdk::value::ClusterName;

use super::line::Line;
use super::look::{Look, Style};
use super::sheet::Sheet;
use super::words;

/// One step and why it is treated so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeLine {
    pub step: StepId,
    pub cluster: Option<ClusterName>,
    pub fate: Fate,
    /// In words; never empty.
    pub reason: String,
}

/// What a resume does with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// Finished, and its outcome stands as recorded.
    Kept,
    /// Its `verify` is asked first: whether it happened, or whether it still stands.
    Asked,
    /// Started or finished before, and starts again.
    Again,
    /// Waits for a person.
    Parked,
    /// Has not been started yet.
    NotStarted,
}

impl Fate {
    fn text(self) -> &'static str {
        match self {
            Fate::Kept => "kept",
            Fate::Asked => "check",
            Fate::Again => "run again",
            Fate::Parked => "parked",
            Fate::NotStarted => "not started",
        }
    }

    fn style(self) -> Style {
        match self {
            Fate::Kept => Style::Good,
            Fate::Asked | Fate::Again | Fate::Parked => Style::Attention,
            Fate::NotStarted => Style::Quiet,
        }
    }
}

/// Beyond this many steps, those with the same fate and reason are counted together.
const LINES_MAX: usize = 40;
/// Names that a counted line gives as examples.
const EXAMPLES_MAX: usize = 3;
const FATE_WIDTH: usize = 11;

/// One line per step in the order of the plan, or one per reason when there are many; then what else has changed.
pub fn text(run: &RunId, lines: &[ResumeLine], notes: &[String], look: &Look) -> String {
    let mut sheet = Sheet::new(look);
    sheet.push(
        Line::new()
            .text("resume ")
            .with(Style::Strong, run.as_str())
            .text(format!("  {}", words::count(lines.len(), "step"))),
    );
    if lines.len() <= LINES_MAX {
        let width = lines.iter().map(|line| words::width(&label(line))).max().unwrap_or(0).min(look.width / 2);
        for line in lines {
            let name = words::pad(&words::fit(&label(line), width, look.glyphs().ellipsis), width);
            sheet.push_fit(fate(line.fate).text(format!("{name}  {}", words::clean(&line.reason))));
        }
    } else {
        for group in groups(lines) {
            let mut names: Vec<String> = group.lines.iter().take(EXAMPLES_MAX).map(|line| label(line)).collect();
            if group.lines.len() > EXAMPLES_MAX {
                names.push(look.glyphs().ellipsis.to_owned());
            }
            let number = words::pad_left(&group.lines.len().to_string(), lines.len().to_string().len());
            sheet.push_fit(fate(group.fate).text(format!(
                "{number}  {}: {}",
                words::clean(group.reason),
                names.join(", ")
            )));
        }
    }
    for note in notes {
        sheet.labelled("note", Style::Normal, note);
    }
    sheet.render()
}

fn fate(fate: Fate) -> Line {
    Line::new().text(" ").with(fate.style(), words::pad(fate.text(), FATE_WIDTH)).text("  ")
}

fn label(line: &ResumeLine) -> String {
    match &line.cluster {
        Some(cluster) => format!("{cluster}/{}", line.step),
        None => line.step.to_string(),
    }
}

/// Steps that share a fate and its reason.
struct Group<'a> {
    fate: Fate,
    reason: &'a str,
    lines: Vec<&'a ResumeLine>,
}

fn groups(lines: &[ResumeLine]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for line in lines {
        match groups.iter_mut().find(|group| group.fate == line.fate && group.reason == line.reason) {
            Some(group) => group.lines.push(line),
            None => groups.push(Group { fate: line.fate, reason: &line.reason, lines: vec![line] }),
        }
    }
    groups.sort_by_key(|group| group.fate);
    groups
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assert_fits, id, run};
    use super::*;

    fn line(step: &str, fate: Fate, reason: &str) -> ResumeLine {
        ResumeLine { step: id(step), cluster: Some(ClusterName("hub".into())), fate, reason: reason.into() }
    }

    #[test]
    fn every_step_has_its_line_and_its_reason() {
        let lines = [
            ResumeLine { cluster: None, ..line("names", Fate::Kept, "finished; its outcome stands as recorded") },
            line("ns", Fate::Asked, "finished before the pause"),
            line("etcd", Fate::Again, "failed last time"),
            line("order", Fate::Parked, "it cannot be told whether the order was placed"),
            line("dns", Fate::NotStarted, "its turn comes"),
        ];
        let text = text(
            &run(),
            &lines,
            &["zheng.kdl has changed since the run began; it goes on with the pinned one".into()],
            &Look::plain(),
        );
        assert_fits(&text);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn many_steps_are_counted_by_reason() {
        let mut lines: Vec<ResumeLine> =
            (0..1_000).map(|n| line(&format!("step_{n}"), Fate::NotStarted, "its turn comes")).collect();
        lines.insert(500, line("etcd", Fate::Again, "failed last time"));
        let text = text(&run(), &lines, &[], &Look::plain());
        assert_fits(&text);
        insta::assert_snapshot!(text);
    }
}
