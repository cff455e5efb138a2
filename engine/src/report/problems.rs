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
    let mut codes: Vec<&str> =
        checked.iter().flat_map(|one| in_order(one.problems)).map(|problem| problem.code).collect();
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
    let problems: Vec<Value> = checked
        .iter()
        .flat_map(|one| in_order(one.problems).into_iter().map(|problem| problem_json(problem, one.sources)))
        .collect();
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
    Some(
        json!({ "line": start.line, "column": start.column, "end_line": end.line, "end_column": end.column, "text": edit.text }),
    )
}

#[cfg(test)]
mod tests {
    use super::super::sample::assert_fits;
    use super::*;
    use engine_core::diagnostic::Place;

    const FILE: &str = "\
workflow zheng
step druid uses=helm.release on=hub {
    chart oci://registry.example/org/etcd-druid version=\"v0.33.0\"
    tiemout \"5m\"
}
input domain type=string
input domain type=hostname
";

    fn place(text: &str) -> Place {
        let start = FILE.find(text).unwrap();
        Place::new(SourceId(0), start, start + text.len())
    }

    fn sources() -> Vec<Source> {
        vec![Source { name: "zheng.kdl".into(), text: FILE.into() }]
    }

    fn problems() -> Vec<Problem> {
        let second = FILE.rfind("domain").unwrap();
        let address = "oci://registry.example/org/etcd-druid version=\"v0.33.0\"";
        vec![
            Problem::warning(
                "L040",
                Place::new(SourceId(0), second, second + 6),
                "input `domain` is declared twice, and the second declaration does not say the same as the first one",
            )
            .label("declared again here")
            .related(place("domain"), "first declared here"),
            Problem::error("L012", place(address), "this address is cut off at `//`")
                .label("KDL reads everything after `oci:` as a comment")
                .help("put it in quotes")
                .fix(place("oci://registry.example/org/etcd-druid"), "\"oci://registry.example/org/etcd-druid\""),
            Problem::error("L021", place("tiemout"), "unknown node `tiemout` in a step of kind `helm.release`")
                .label("did you mean `timeout`?")
                .help("fields of helm.release: chart, values"),
            Problem {
                at: None,
                ..Problem::error("P001", place("workflow"), "the input `domain` has no value")
                    .help("give it with `--var domain=…`")
            },
        ]
    }

    #[test]
    fn all_problems_are_told_in_the_order_of_the_file() {
        let (problems, sources) = (problems(), sources());
        let checked = [Checked { problems: &problems, sources: &sources }];
        for (name, unicode) in [("unicode", true), ("ascii", false)] {
            let text = text(&checked, &Look { unicode, ..Look::plain() });
            assert_fits(&text);
            insta::assert_snapshot!(format!("problems_{name}"), text);
        }
    }

    #[test]
    fn the_sum_names_the_files_that_have_problems() {
        let (problems, sources) = (problems(), sources());
        let other = vec![Source { name: "other.kdl".into(), text: String::new() }];
        let bad = Checked { problems: &problems[1..2], sources: &sources };
        let good = Checked { problems: &[], sources: &other };
        assert_eq!(sum(&[bad, good]), "1 error in zheng.kdl; no cluster was contacted");
        assert_eq!(
            sum(&[bad, Checked { sources: &other, ..bad }]),
            "2 errors in zheng.kdl and other.kdl; no cluster was contacted"
        );
        assert_eq!(text(&[good], &Look::plain()), "no problems in other.kdl; no cluster was contacted\n");
    }

    #[test]
    fn json_has_exactly_the_fields_of_the_schema() {
        let (problems, sources) = (problems(), sources());
        let json = json(&[Checked { problems: &problems, sources: &sources }]);
        assert_eq!(json["schema"], "engine.check/v1");
        let all = json["problems"].as_array().unwrap();
        assert_eq!(all.len(), 4);
        for problem in all {
            let fields: Vec<&String> = problem.as_object().unwrap().keys().collect();
            assert_eq!(
                fields,
                ["code", "severity", "message", "help", "file", "line", "column", "end_line", "end_column", "fix"]
            );
        }
        assert_eq!((&all[0]["line"], &all[0]["file"]), (&Value::Null, &Value::Null), "a problem without a place");
        let cut = &all[1];
        assert_eq!(
            (&cut["code"], &cut["severity"], &cut["file"]),
            (&"L012".into(), &"error".into(), &"zheng.kdl".into())
        );
        assert_eq!([&cut["line"], &cut["column"], &cut["end_line"], &cut["end_column"]], [3, 11, 3, 66]);
        assert_eq!(
            cut["fix"],
            json!([{ "line": 3, "column": 11, "end_line": 3, "end_column": 48, "text": "\"oci://registry.example/org/etcd-druid\"" }])
        );
        assert_eq!(all[3]["severity"], "warning");
    }

    #[test]
    fn a_fix_of_several_edits_is_shown_as_the_lines_that_it_makes() {
        let text = "a ${x} ${y}\nb\n";
        let sources = [Source { name: "a.kdl".into(), text: text.into() }];
        let at = |start, end| Place::new(SourceId(0), start, end);
        let problem = Problem::error("L013", at(2, 6), "unquoted").fix(at(7, 11), "\"${y}\"").fix(at(2, 6), "\"${x}\"");
        assert_eq!(fixed_lines(&problem, &sources), ["a \"${x}\" \"${y}\""]);
    }
}
