//! What a run would do, as text: each step with its change and how sure it is, the totals, and the command that does it.

use engine_core::plan::{Expectation, Forecast, PlannedStep, StepForecast};
use steps_sdk::outcome::{Certainty, Change, ChangeAction, Preview};
use steps_sdk::{StepError, Value};

use super::custom;
use super::line::Line;
use super::look::{Look, Style};
use super::plan_json::Totals;
use super::setting::Identity;
use super::sheet::Sheet;
use super::suggest::Suggest;
use super::words;

/// What a plan's text needs beside the forecast.
#[derive(Debug, Clone)]
pub struct PlanSetting {
    pub look: Look,
    pub suggest: Suggest,
    pub identities: Vec<Identity>,
    /// What follows `engine run` to carry this plan out: the file, its inputs and clusters, as the person gave them.
    pub run: Vec<String>,
    /// Every step and every field; otherwise the view is kept to a screen.
    pub full: bool,
}

/// Rows of the table, and fields of one change, beyond which `--full` is needed.
const ROWS_MAX: usize = 40;
const FIELDS_MAX: usize = 4;

pub fn text(forecast: &Forecast, setting: &PlanSetting) -> String {
    let mut sheet = Sheet::new(&setting.look);
    head(&mut sheet, forecast, setting);
    table(&mut sheet, forecast, setting);
    errors(&mut sheet, forecast);
    sums(&mut sheet, forecast);
    sheet.gap();
    sheet.command("next", Style::Strong, &setting.suggest.run(&setting.run));
    sheet.render()
}

fn head(sheet: &mut Sheet<'_>, forecast: &Forecast, setting: &PlanSetting) {
    let plan = &forecast.plan;
    sheet.push(Line::new().with(Style::Strong, format!("Plan {} for {}", plan.digest.short(), plan.workflow)));
    for (name, value) in &plan.inputs {
        sheet.push_fit(Line::new().with(Style::Quiet, "  input    ").text(format!("{name} = {}", value_text(value))));
    }
    for cluster in &plan.clusters {
        let known = setting.identities.iter().find(|identity| identity.cluster == cluster.name);
        let text = match known {
            Some(identity) => {
                format!("{} = {}, uid {}", cluster.name, words::clean(&identity.context), words::clean(&identity.uid))
            }
            None if cluster.is_late() => {
                let steps: Vec<String> =
                    cluster.made_by().iter().map(|step| words::clean(step.as_str()).into_owned()).collect();
                format!("{}, made by {}", cluster.name, steps.join(", "))
            }
            None if cluster.from.is_some() => format!("{}, opened when it is first needed", cluster.name),
            None => format!("{}, not asked", cluster.name),
        };
        sheet.push_fit(Line::new().with(Style::Quiet, "  cluster  ").text(text));
    }
    sheet.gap();
    custom::section(sheet, &custom::of_plan(plan));
}

/// Widths that hold for all rows.
struct Columns {
    lane: usize,
    step: usize,
    object: usize,
}

/// A sign and a word: `~ update`.
const ACTION: usize = 10;
const CERTAINTY: usize = 9;

impl Columns {
    fn of(forecast: &Forecast, look: &Look) -> Columns {
        let steps = &forecast.plan.steps;
        let lane = steps.iter().map(|step| words::width(&lane(step))).max().unwrap_or(0).min(10);
        let step = steps
            .iter()
            .map(|step| words::width(step.id.as_str()))
            .max()
            .unwrap_or(0)
            .clamp(4, (look.width / 4).max(12));
        // The margin, four gaps, and the certainty at the end.
        let fixed = 1 + lane + 1 + ACTION + 2 + step + 2 + 2 + CERTAINTY;
        Columns { lane, step, object: look.width.saturating_sub(fixed).max(8) }
    }
}

/// One row of the table.
struct Row {
    sign: char,
    word: &'static str,
    style: Style,
    object: String,
    certainty: &'static str,
}

fn table(sheet: &mut Sheet<'_>, forecast: &Forecast, setting: &PlanSetting) {
    let look = &setting.look;
    let columns = Columns::of(forecast, look);
    let title = format!(
        " {} {}  {}  {}  certainty",
        words::pad("", columns.lane),
        words::pad("", ACTION),
        words::pad("step", columns.step),
        words::pad("object or effect", columns.object)
    );
    sheet.push_fit(Line::new().with(Style::Quiet, title));
    let mut lines = Vec::new();
    let mut left_out = 0;
    for (step, forecast) in forecast.plan.steps.iter().zip(&forecast.steps) {
        let rows = rows(forecast);
        if !setting.full && lines.len() + rows.len() > ROWS_MAX {
            left_out += 1;
            continue;
        }
        for (at, row) in rows.iter().enumerate() {
            let name = if at == 0 { step.id.as_str() } else { "" };
            let lane = if at == 0 { lane(step) } else { String::new() };
            lines.push(row_line(row, &lane, name, &columns, look));
            if let Some(change) = forecast.expected.changes().get(at) {
                let indent = 1 + columns.lane + 1 + ACTION + 2 + columns.step + 4;
                // However long the names of steps are, values keep some room.
                lines.extend(detail_lines(change, indent.min(look.width.saturating_sub(36)), setting));
            }
        }
    }
    sheet.extend(lines);
    if left_out > 0 {
        let text = format!(
            " {} {} and {}: --full",
            words::pad("", columns.lane),
            look.glyphs().ellipsis,
            words::count(left_out, "step") + " more"
        );
        sheet.push(Line::new().with(Style::Quiet, text));
    }
    sheet.gap();
}

fn row_line(row: &Row, lane: &str, step: &str, columns: &Columns, look: &Look) -> Line {
    let ellipsis = look.glyphs().ellipsis;
    let cell = |text: &str, width: usize| words::pad(&words::fit(text, width, ellipsis), width);
    Line::new()
        .text(format!(" {} ", cell(lane, columns.lane)))
        .with(row.style, words::pad(&format!("{} {}", row.sign, row.word), ACTION))
        .text(format!("  {}  ", cell(step, columns.step)))
        .text(format!("{}  ", cell(&row.object, columns.object)))
        .with(Style::Quiet, row.certainty)
        .fit(look.width, look)
}

fn rows(forecast: &StepForecast) -> Vec<Row> {
    let one = |sign, word, style, object: String, certainty| vec![Row { sign, word, style, object, certainty }];
    match &forecast.expected {
        Expectation::Previewed(Preview::Changes(changes)) if changes.is_empty() => {
            one('=', "same", Style::Quiet, "nothing to change".into(), "server")
        }
        Expectation::Previewed(Preview::Changes(changes)) => changes.iter().map(change_row).collect(),
        Expectation::Previewed(Preview::Later(why)) => {
            one('?', "later", Style::Attention, words::clean(why).into_owned(), "later")
        }
        Expectation::Later => one('?', "later", Style::Attention, waits_for(forecast), "later"),
        Expectation::Skipped { because } => {
            one('=', "skip", Style::Quiet, words::clean(because).into_owned(), "server")
        }
        Expectation::Failed(error) => one('!', "error", Style::Bad, error_text(error), "none"),
        Expectation::NotAsked => {
            one('?', "not asked", Style::Attention, "its clusters were not asked".into(), "schema")
        }
    }
}

fn error_text(error: &StepError) -> String {
    format!("[{}] {}", words::clean(&error.code), words::clean(&error.message))
}

fn waits_for(forecast: &StepForecast) -> String {
    let names: Vec<&str> = forecast.waits_for.iter().map(|step| step.as_str()).collect();
    if names.is_empty() { "its inputs come during the run".into() } else { format!("waits for {}", names.join(", ")) }
}

fn change_row(change: &Change) -> Row {
    let object = words::clean(&change.object);
    let certainty = certainty_name(change.certainty);
    if let Some(conflict) = &change.conflict {
        let object = format!("{object}: {}", words::clean(conflict));
        return Row { sign: '!', word: "conflict", style: Style::Bad, object, certainty };
    }
    let (sign, word, style) = match change.action {
        ChangeAction::Create => ('+', "create", Style::Good),
        ChangeAction::Update => ('~', "update", Style::Attention),
        ChangeAction::Same => ('=', "same", Style::Quiet),
        ChangeAction::Delete => ('-', "delete", Style::Bad),
        ChangeAction::Run => ('>', "run", Style::Normal),
        ChangeAction::Unknown => ('?', "unknown", Style::Attention),
    };
    let object = object.into_owned();
    Row { sign, word, style, object, certainty }
}

/// What the change waits for; then each field, the value before and the value after it.
fn detail_lines(change: &Change, indent: usize, setting: &PlanSetting) -> Vec<Line> {
    let look = &setting.look;
    let fields = &change.fields;
    let shown = if setting.full { fields.len() } else { fields.len().min(FIELDS_MAX) };
    let margin = " ".repeat(indent);
    let mut lines = Vec::new();
    if let Some(what) = &change.waits_for {
        lines.push(Line::new().with(Style::Quiet, format!("{margin}waits for {}", words::clean(what))));
    }
    for field in &fields[..shown] {
        lines.push(Line::new().text(format!("{margin}{}", words::clean(&field.path))));
        if let Some(before) = &field.before {
            lines.push(Line::new().text(margin.clone()).with(Style::Bad, format!("  - {}", value_text(before))));
        }
        if let Some(after) = &field.after {
            lines.push(Line::new().text(margin.clone()).with(Style::Good, format!("  + {}", value_text(after))));
        }
    }
    if shown < fields.len() {
        lines.push(Line::new().with(
            Style::Quiet,
            format!("{margin}{} {} more: --full", look.glyphs().ellipsis, words::count(fields.len() - shown, "field")),
        ));
    }
    lines.into_iter().map(|line| line.fit(look.width, look)).collect()
}

fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => words::clean(text).into_owned(),
        other => words::clean(&other.to_string()).into_owned(),
    }
}

pub(super) fn certainty_name(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Server => "server",
        Certainty::Schema => "schema",
        Certainty::Later => "later",
    }
}

/// Where the step works: its cluster, `several`, or `local`.
fn lane(step: &PlannedStep) -> String {
    match (&step.on, step.clusters.as_slice()) {
        (Some(name), _) => name.to_string(),
        (None, [only]) => only.to_string(),
        (None, []) => "local".to_owned(),
        (None, _) => "several".to_owned(),
    }
}

/// Errors and conflicts in full: the table has room for their beginning only.
fn errors(sheet: &mut Sheet<'_>, forecast: &Forecast) {
    for (step, forecast) in forecast.plan.steps.iter().zip(&forecast.steps) {
        let conflicts = || forecast.expected.changes().iter().filter(|change| change.conflict.is_some());
        let failed = matches!(forecast.expected, Expectation::Failed(_));
        if failed || conflicts().next().is_some() {
            sheet.push_fit(Line::new().with(Style::Bad, "!").text(" ").with(Style::Strong, step.id.as_str()));
        }
        if let Expectation::Failed(error) = &forecast.expected {
            sheet.labelled("error", Style::Normal, &error_text(error));
            sheet.tree("cause", &error.causes);
            if let Some(help) = &error.help {
                sheet.labelled("help", Style::Normal, help);
            }
        }
        for change in conflicts() {
            sheet.labelled(
                "conflict",
                Style::Normal,
                &format!("{}: {}", change.object, change.conflict.as_deref().unwrap_or_default()),
            );
        }
        sheet.gap();
    }
}

fn sums(sheet: &mut Sheet<'_>, forecast: &Forecast) {
    let totals = Totals::of(forecast);
    let objects = [
        ("+", totals.create),
        ("~", totals.update),
        ("=", totals.same),
        ("-", totals.delete),
        (">", totals.run),
        ("?", totals.unknown),
    ];
    let signs: Vec<String> = objects
        .iter()
        .filter(|(sign, number)| *number > 0 || "+~=-".contains(sign))
        .map(|(sign, number)| format!("{sign}{number}"))
        .collect();
    let number = objects.iter().map(|(_, number)| number).sum();
    let mut text =
        format!("{}, {}: {}", words::count(totals.steps, "step"), words::count(number, "change"), signs.join(" "));
    for (number, name) in
        [(totals.skipped, "skipped"), (totals.conflicts, "conflicting"), (totals.failed, "failed to answer")]
    {
        if number > 0 {
            text.push_str(&format!(", {number} {name}"));
        }
    }
    sheet.labelled("total", Style::Normal, &text);
    let certainty = format!("{} server, {} schema, {} later", totals.server, totals.schema, totals.later);
    sheet.labelled("sure", Style::Normal, &certainty);
    if !forecast.has_changes() {
        sheet.labelled("", Style::Good, "nothing would change");
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{assert_fits, forecast, plan_with_cdn, setting, wide_plan};
    use super::*;

    fn plan_setting(look: Look, full: bool) -> PlanSetting {
        PlanSetting {
            look,
            suggest: Suggest::default(),
            identities: setting(look).identities,
            run: vec!["zheng.kdl".into()],
            full,
        }
    }

    #[test]
    fn a_plan_shows_each_change_and_how_sure_it_is() {
        for (name, unicode) in [("unicode", true), ("ascii", false)] {
            let text = text(&forecast(), &plan_setting(Look { unicode, ..Look::plain() }, false));
            assert_fits(&text);
            insta::assert_snapshot!(format!("plan_{name}"), text);
        }
    }

    #[test]
    fn a_plan_shows_what_its_custom_steps_may_do_before_what_changes() {
        let forecast = Forecast { plan: plan_with_cdn(), ..forecast() };
        let text = text(&forecast, &plan_setting(Look::plain(), false));
        assert_fits(&text);
        let paragraphs: Vec<&str> = text.split("\n\n").take(2).collect();
        insta::assert_snapshot!(paragraphs.join("\n\n"));
    }

    #[test]
    fn a_long_plan_is_kept_to_a_screen_unless_it_is_asked_for_in_full() {
        let plan = wide_plan(100, 3);
        let steps =
            plan.steps.iter().map(|_| StepForecast { expected: Expectation::Later, waits_for: Vec::new() }).collect();
        let forecast = Forecast { plan, steps };
        let short = text(&forecast, &plan_setting(Look::plain(), false));
        assert!(short.contains("and 60 steps more: --full"), "{short}");
        let full = text(&forecast, &plan_setting(Look::plain(), true));
        assert_eq!(full.matches("? later").count(), 100);
        assert!(!full.contains("--full"));
    }

    #[test]
    fn pure_and_skipped_steps_are_no_changes_and_unknown_ones_are() {
        let mut forecast = forecast();
        for (step, expected) in forecast.plan.steps.iter().zip(&mut forecast.steps) {
            let is_pure = step.kind.as_str() == "value.set";
            expected.expected = if is_pure {
                Expectation::Later
            } else {
                Expectation::Skipped { because: "`inputs.on` is false".into() }
            };
        }
        assert!(!forecast.has_changes());
        for expected in
            [Expectation::Later, Expectation::NotAsked, Expectation::Previewed(Preview::Later("its namespace".into()))]
        {
            forecast.steps[1].expected = expected;
            assert!(forecast.has_changes());
        }
    }

    #[test]
    fn a_plan_without_changes_says_so() {
        let mut forecast = forecast();
        for step in &mut forecast.steps {
            step.expected = Expectation::Previewed(Preview::Changes(Vec::new()));
        }
        let text = text(&forecast, &plan_setting(Look::plain(), false));
        assert!(text.contains("nothing would change"), "{text}");
        assert!(!text.contains("later,"), "{text}");
    }
}
