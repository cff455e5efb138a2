//! Problems in a workflow, all at once, as text and as `engine.check/v1`.

use engine_core::diagnostic::{Edit, Problem, Severity, Source, SourceId};
use serde_json::json;
use steps_sdk::Value;

use super::line::Line;
use super::look::{Look, Style};
use super::sheet::Sheet;
use super::snippet::{self, Mark};
use super::words;

/// One workflow that was checked, with the files it is made of.
#[derive(Debug, Clone, Copy)]
pub struct Checked<'a> {
    pub problems: &'a [Problem],
    /// The workflow itself first.
    pub sources: &'a [Source],
}

/// All problems in the order of the file, the sum of them in one line, and where to read more.
pub fn text(checked: &[Checked<'_>], look: &Look) -> String {
    let mut sheet = Sheet::new(look);
    for one in checked {
        for problem in in_order(one.problems) {
            tell(&mut sheet, problem, one.sources);
            sheet.gap();
        }
    }
    sheet.push(Line::new().with(sum_style(checked), sum(checked)));
    let mut codes: Vec<&str> = checked.iter().flat_map(|one| in_order(one.problems)).map(|problem| problem.code).collect();
    let mut seen = std::collections::BTreeSet::new();
    codes.retain(|code| seen.insert(*code));
    if let Some(first) = codes.first() {
        sheet.gap();
        let others = if codes.len() > 1 { format!(" (and {})", codes[1..].join(", ")) } else { String::new() };
        sheet.labelled("more", Style::Quiet, &format!("engine explain {first}{others}"));
    }
    sheet.render()
}

/// One problem alone, for instance in the inputs of a run.
pub fn one(problem: &Problem, sources: &[Source], look: &Look) -> String {
    let mut sheet = Sheet::new(look);
    tell(&mut sheet, problem, sources);
    sheet.render()
}

/// Stages report in their own order; a person reads the file from top to bottom.
fn in_order(problems: &[Problem]) -> Vec<&Problem> {
    let mut problems: Vec<&Problem> = problems.iter().collect();
    problems.sort_by_key(|problem| problem.at.map(|at| (at.source, at.start)));
    problems
}

fn tell(sheet: &mut Sheet<'_>, problem: &Problem, sources: &[Source]) {
    let look = *sheet.look();
    let (name, style) = match problem.severity {
        Severity::Error => ("error", Style::Bad),
        Severity::Warning => ("warning", Style::Attention),
    };
    let code = format!("{name}[{}]", problem.code);
    let room = look.width.max(words::width(&code) + 22) - words::width(&code) - 2;
    for (row, text) in words::wrap(&words::clean(&problem.message), room).into_iter().enumerate() {
        match row {
            0 => sheet.push(Line::new().with(style, code.clone()).text(": ").with(Style::Strong, text)),
            _ => sheet.push(Line::new().text("  ").with(Style::Strong, text)),
        }
    }
    let mut marks: Vec<Mark<'_>> = problem.at.iter().map(|at| Mark { at: *at, label: &problem.label, style }).collect();
    marks.extend(problem.related.iter().map(|(at, label)| Mark { at: *at, label, style: Style::Place }));
    sheet.extend(snippet::draw(sources, &marks, &look));
    if let Some(help) = &problem.help {
        sheet.labelled("help", Style::Normal, help);
    }
    for line in fixed_lines(problem, sources) {
        let room = look.width.saturating_sub(11);
        sheet.labelled_as_is("fix", &words::fit(&line, room, look.glyphs().ellipsis));
    }
}

/// The lines of the file as the fix would make them.
fn fixed_lines(problem: &Problem, sources: &[Source]) -> Vec<String> {
    let Some(first) = problem.fix.first() else { return Vec::new() };
    let id = first.at.source;
    let Some(source) = sources.get(id.0 as usize) else { return Vec::new() };
    let mut edits: Vec<&Edit> = problem.fix.iter().filter(|edit| edit.at.source == id).collect();
    edits.sort_by_key(|edit| (edit.at.start, edit.at.end));
    let start = edits.iter().map(|edit| edit.at.start).min().unwrap_or(0);
    let end = edits.iter().map(|edit| edit.at.end).max().unwrap_or(start);
    let Some(before) = source.text.get(..start) else { return Vec::new() };
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let line_end = source.text.get(end..).and_then(|rest| rest.find('\n')).map_or(source.text.len(), |at| end + at);
    let mut text = String::new();
    let mut at = line_start;
    for edit in edits {
        // Overlapping edits do not belong to one fix; the first holds.
        let Some(kept) = source.text.get(at..edit.at.start) else { continue };
        text.push_str(kept);
        text.push_str(&edit.text);
        at = edit.at.end;
    }
    text.push_str(source.text.get(at..line_end).unwrap_or_default());
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| words::clean(line.trim()).into_owned()).collect()
}

/// `3 errors, 1 warning in zheng.kdl; no cluster was contacted`.
fn sum(checked: &[Checked<'_>]) -> String {
    let (errors, warnings) = totals(checked);
    let mut parts = Vec::new();
    if errors > 0 {
        parts.push(words::count(errors, "error"));
    }
    if warnings > 0 {
        parts.push(words::count(warnings, "warning"));
    }
    if parts.is_empty() {
        parts.push("no problems".to_owned());
    }
    let names: Vec<&str> = checked
        .iter()
        .filter(|one| errors + warnings == 0 || !one.problems.is_empty())
        .filter_map(|one| one.sources.first().map(|source| source.name.as_str()))
        .collect();
    let place = match names.as_slice() {
        [] => String::new(),
        [one] => format!(" in {one}"),
        [one, two] => format!(" in {one} and {two}"),
        more => format!(" in {} files", more.len()),
    };
    format!("{}{place}; no cluster was contacted", parts.join(", "))
}

fn sum_style(checked: &[Checked<'_>]) -> Style {
    match totals(checked) {
        (0, 0) => Style::Good,
        (0, _) => Style::Attention,
        _ => Style::Bad,
    }
}

fn totals(checked: &[Checked<'_>]) -> (usize, usize) {
    let all = || checked.iter().flat_map(|one| one.problems);
    let errors = all().filter(|problem| problem.is_error()).count();
    (errors, all().count() - errors)
}

/// `engine.check/v1`. Lines and columns from 1, columns in characters; a problem without a place has null in their stead.
pub fn json(checked: &[Checked<'_>]) -> Value {
    let problems: Vec<Value> =
        checked.iter().flat_map(|one| in_order(one.problems).into_iter().map(|problem| problem_json(problem, one.sources))).collect();
    json!({ "schema": "engine.check/v1", "problems": problems })
}

fn problem_json(problem: &Problem, sources: &[Source]) -> Value {
    let place = problem.at.and_then(|at| sources.get(at.source.0 as usize).map(|source| (source, at)));
    let (start, end) = match place {
        Some((source, at)) => (Some(source.line_column(at.start)), Some(source.line_column(at.end))),
        None => (None, None),
    };
    let fix: Vec<Value> = problem.fix.iter().filter_map(|edit| edit_json(edit, sources)).collect();
    json!({
        "code": problem.code,
        "severity": problem.severity,
        "message": problem.message,
        "help": problem.help,
        "file": place.map(|(source, _)| source.name.as_str()),
        "line": start.map(|at| at.line),
        "column": start.map(|at| at.column),
        "end_line": end.map(|at| at.line),
        "end_column": end.map(|at| at.column),
        "fix": fix,
    })
}

fn edit_json(edit: &Edit, sources: &[Source]) -> Option<Value> {
    let SourceId(id) = edit.at.source;
    let source = sources.get(id as usize)?;
    let (start, end) = (source.line_column(edit.at.start), source.line_column(edit.at.end));
    Some(json!({ "line": start.line, "column": start.column, "end_line": end.line, "end_column": end.column, "text": edit.text }))
}
