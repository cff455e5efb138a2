//! How the end of a case is told.

use similar::{ChangeTag, TextDiff};

use crate::cases::judge::{Mismatch, Sides};
use crate::report::Look;
use crate::report::line::Line;
use crate::report::look::Style;
use crate::report::sheet::Sheet;
use crate::report::words;

/// One case that was carried out.
pub struct Told<'c> {
    pub name: &'c str,
    pub ms: u64,
    /// Requests that were made, each as a case writes it.
    pub asked: Vec<String>,
    pub mismatches: &'c [Mismatch],
    /// `tests/check.kdl:12`
    pub place: &'c dyn Fn(&Mismatch) -> Option<String>,
}

/// The line of the case, and of one that failed everything that is not as expected.
pub fn case(told: &Told<'_>, width: usize, look: &Look) -> String {
    let mut sheet = Sheet::new(look);
    let failed = !told.mismatches.is_empty();
    let (word, style) = if failed { ("FAIL", Style::Bad) } else { ("OK", Style::Good) };
    let calls = match told.asked.len() {
        0 => String::new(),
        calls => words::count(calls, "host call"),
    };
    let name = words::pad(&words::clean(told.name), width);
    let ms = words::pad_left(&format!("{} ms", told.ms), 8);
    sheet.push_fit(Line::new().text(" ").with(style, words::pad(word, 5)).text(format!(" {name} {ms}   {calls}")));
    for mismatch in told.mismatches {
        let place = (told.place)(mismatch).map(|place| format!(" ({place})")).unwrap_or_default();
        sheet.indented(3, &format!("error[{}]: {}{place}", mismatch.code, mismatch.message));
        if let Some(sides) = &mismatch.sides {
            difference(&mut sheet, sides);
        }
        for line in mismatch.notes.iter().flat_map(|note| note.lines()) {
            match line.starts_with(' ') {
                // Lines to copy into a case.
                true => sheet.push_fit(Line::new().text(format!("     {}", words::clean(line)))),
                false => sheet.indented(5, line),
            }
        }
    }
    if failed {
        for (number, asked) in told.asked.iter().enumerate() {
            let label = if number == 0 { "host calls" } else { "" };
            let asked = words::clean(asked);
            sheet.push_fit(Line::new().text(format!("   {} {:>2} {asked}", words::pad(label, 10), number + 1)));
        }
    }
    sheet.render()
}

/// What the case says with `-`, what happened with `+`.
fn difference(sheet: &mut Sheet<'_>, sides: &Sides) {
    let diff = TextDiff::from_lines(&sides.expected, &sides.found);
    for change in diff.iter_all_changes() {
        let (sign, style) = match change.tag() {
            ChangeTag::Delete => ("-", Style::Bad),
            ChangeTag::Insert => ("+", Style::Good),
            ChangeTag::Equal => (" ", Style::Normal),
        };
        let line = change.value().trim_end_matches('\n');
        sheet.push_fit(Line::new().text("     ").with(style, format!("{sign} {}", words::clean(line))));
    }
}

/// `2 cases passed`, `1 of 2 failed`.
pub fn sum(passed: usize, failed: usize, look: &Look) -> String {
    let mut sheet = Sheet::new(look);
    sheet.push(match failed {
        0 => Line::new().with(Style::Good, format!("{} passed", words::count(passed, "case"))),
        _ => Line::new().with(Style::Bad, format!("{failed} of {} failed", passed + failed)),
    });
    sheet.render()
}
