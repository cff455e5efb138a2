//! What is wrong with one word or one string, looked at by itself.

use std::ops::Range;

use crate::diagnostic::{Place, Problem, SourceId, nearest};

use super::mend::Mend;
use super::text::{self, FlawKind};
use super::token::{TextForm, TextToken, Token, TokenKind, is_forbidden, is_word_char};
use super::tree::Scalar;

/// Where a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The name of a node or of a property.
    Name,
    Value,
}

/// A problem, and what to read in place of the token.
pub struct Found {
    pub problems: Vec<Problem>,
    pub mend: Mend,
}

const KEYWORDS: [&str; 6] = ["#true", "#false", "#null", "#inf", "#-inf", "#nan"];

/// What is wrong with a word or string; `None` when it can be read as it is.
pub fn check(id: SourceId, source: &str, token: Token, role: Role) -> Option<Found> {
    match token.kind {
        TokenKind::Word => word(id, source, token.start..token.end, role),
        TokenKind::Text(kind) => text(id, source, token, kind),
        _ => None,
    }
}

/// Several words and strings without space between them.
pub fn run_together(id: SourceId, source: &str, at: Range<usize>) -> Found {
    let written = &source[at.clone()];
    let place = Place::new(id, at.start, at.end);
    let problem = Problem::error("L020", place, format!("`{written}` runs several values together"))
        .label("no space between them")
        .help("put the whole in quotes, or a space between the values");
    Found { problems: vec![problem], mend: Mend::value(at.clone(), Scalar::Text(text::bare(source, at))) }
}

fn word(id: SourceId, source: &str, at: Range<usize>, role: Role) -> Option<Found> {
    let written = &source[at.clone()];
    let place = Place::new(id, at.start, at.end);
    let as_text = || Scalar::Text(text::bare(source, at.clone()));
    let (problem, meaning) = if let Some(problem) = interpolation(written, place) {
        (problem, as_text())
    } else if written.contains("://") {
        let cut = written.find("//").unwrap_or(0);
        let problem = Problem::error(
            "L010",
            place,
            format!("`{written}` has no quotes: KDL cuts it at `//` and takes the rest for a comment"),
        )
        .label("needs quotes")
        .related(place.part(cut, written.len()), "lost without a word")
        .help(format!("write {}", text::quoted(written)))
        .fix(place, text::quoted(written));
        (problem, as_text())
    } else if let Some((problem, value)) = keyword(written, place, role) {
        (problem, value)
    } else if let Some((problem, value)) = number(written, place, role) {
        (problem, value.unwrap_or_else(as_text))
    } else if written.contains(is_forbidden) {
        return Some(Found { problems: Vec::new(), mend: Mend::value(at.clone(), as_text()) });
    } else if let Some(odd) = written.chars().find(|c| !is_word_char(*c)).filter(|_| !KEYWORDS.contains(&written)) {
        let problem = Problem::error("L020", place, format!("a word without quotes cannot contain `{odd}`"))
            .label("needs quotes")
            .help(format!("write {}", text::quoted(written)))
            .fix(place, text::quoted(written));
        (problem, as_text())
    } else {
        return None;
    };
    Some(Found { problems: vec![problem], mend: Mend::value(at, meaning) })
}

/// `${…}` and `$x{…}` outside of quotes, which KDL takes for a word and a block.
fn interpolation(written: &str, place: Place) -> Option<Problem> {
    let brace = written.find('{')?;
    let dollar = written[..brace].rfind('$')?;
    let name = &written[dollar + 1..brace];
    if name.is_empty() {
        return Some(
            Problem::error(
                "L011",
                place,
                format!("`{written}` has no quotes: KDL takes `$` for a value and `{{…}}` for a block"),
            )
            .label("needs quotes")
            .help(format!("write {}", text::quoted(written)))
            .fix(place, text::quoted(written)),
        );
    }
    let problem = Problem::error("L012", place.part(dollar, brace + 1), format!("`${name}{{` is no interpolation"))
        .label("the brace comes right after `$`")
        .help(format!("values are put into a string with \"${{{name}}}\", in quotes"));
    Some(problem)
}

/// `true` without `#`, and `#` before what is no keyword.
fn keyword(written: &str, place: Place, role: Role) -> Option<(Problem, Scalar)> {
    let value = match written {
        "true" => Scalar::Bool(true),
        "false" => Scalar::Bool(false),
        "null" => Scalar::Null,
        "inf" | "-inf" | "nan" | "#inf" | "#-inf" | "#nan" => {
            let problem = Problem::error("L018", place, format!("`{written}` is not a number that a workflow can use"))
                .label("out of range")
                .help("write the largest value that is meant, or put the word in quotes");
            return Some((problem, Scalar::Float(0.0)));
        }
        _ if written.starts_with('#') && !KEYWORDS.contains(&written) => {
            let offered = nearest(written, ["#true", "#false", "#null"]);
            let mut problem = Problem::error("L028", place, format!("`{written}` is not a keyword"))
                .label("unknown")
                .help(match offered {
                    Some(known) => format!("did you mean `{known}`?"),
                    None => {
                        format!("KDL has `#true`, `#false` and `#null`; text goes in quotes: {}", text::quoted(written))
                    }
                });
            if let Some(known) = offered {
                problem = problem.fix(place, known);
            }
            let value = match offered {
                Some("#true") => Scalar::Bool(true),
                Some("#false") => Scalar::Bool(false),
                _ => Scalar::Null,
            };
            return Some((problem, value));
        }
        _ => return None,
    };
    let instead = match role {
        Role::Name => format!("\"{written}\""),
        Role::Value => format!("#{written}"),
    };
    let problem = Problem::error("L016", place, format!("`{written}` is how KDL 1 wrote it"))
        .label(format!("KDL 2 writes `{instead}`"))
        .help(format!("write `{instead}`, or \"{written}\" in quotes if the word itself is meant"))
        .fix(place, instead);
    Some((problem, value))
}

/// Words that begin like a number. The value is given when it was a number after all.
fn number(written: &str, place: Place, role: Role) -> Option<(Problem, Option<Scalar>)> {
    let unsigned = written.strip_prefix(['+', '-']).unwrap_or(written);
    let begins_like_one = unsigned.starts_with(|c: char| c.is_ascii_digit())
        || unsigned.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if !begins_like_one {
        return None;
    }
    let out_of_range = |range: &str| {
        Problem::error("L018", place, format!("`{written}` is out of range"))
            .label(range.to_owned())
            .help("write a smaller number, or put it in quotes if it is text")
    };
    if role == Role::Value {
        match read_number(unsigned) {
            NumberForm::Int(radix, digits) => {
                let in_range = i128::from_str_radix(&digits, radix)
                    .ok()
                    .map(|n| if written.starts_with('-') { -n } else { n })
                    .is_some_and(|n| i64::try_from(n).is_ok());
                return (!in_range)
                    .then(|| (out_of_range("whole numbers have 64 bits"), Some(Scalar::Int(i128::from(i64::MAX)))));
            }
            NumberForm::Float(text) => {
                let in_range = text.parse::<f64>().is_ok_and(f64::is_finite);
                return (!in_range).then(|| {
                    (out_of_range("larger than any number with a fraction can be"), Some(Scalar::Float(f64::MAX)))
                });
            }
            NumberForm::None => {}
        }
    }
    if let Some(fraction) =
        unsigned.strip_prefix('.').filter(|rest| matches!(read_number(rest), NumberForm::Int(10, _)))
    {
        let sign = &written[..written.len() - unsigned.len()];
        let whole = format!("{sign}0.{fraction}");
        let value = whole.parse().ok().map(Scalar::Float);
        let problem = Problem::error("L017", place, format!("`{written}` has no digit before the point"))
            .label("not a number")
            .help(format!("write `{whole}`"))
            .fix(place, whole);
        return Some((problem, value));
    }
    let message = match read_number(unsigned) {
        NumberForm::None => format!("`{written}` begins like a number and is none"),
        NumberForm::Int(..) | NumberForm::Float(_) => format!("the number `{written}` stands where a name belongs"),
    };
    let problem = Problem::error("L017", place, message)
        .label("needs quotes")
        .help(format!("durations, sizes, versions and addresses go in quotes: {}", text::quoted(written)))
        .fix(place, text::quoted(written));
    Some((problem, None))
}

enum NumberForm {
    /// The radix, and the digits without `_`.
    Int(u32, String),
    Float(String),
    None,
}

/// The number forms of KDL 2, without their sign.
fn read_number(unsigned: &str) -> NumberForm {
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = unsigned.strip_prefix(prefix) {
            let is_one = digits.starts_with(|c: char| c.is_digit(radix))
                && digits.chars().all(|c| c.is_digit(radix) || c == '_');
            return if is_one { NumberForm::Int(radix, digits.replace('_', "")) } else { NumberForm::None };
        }
    }
    let is_digits = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_digit() || c == '_')
    };
    if is_digits(unsigned) {
        return NumberForm::Int(10, unsigned.replace('_', ""));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let is_mantissa = match mantissa.split_once('.') {
        Some((whole, fraction)) => is_digits(whole) && is_digits(fraction),
        None => is_digits(mantissa),
    };
    if is_mantissa && exponent.is_none_or(is_digits) {
        NumberForm::Float(unsigned.replace('_', ""))
    } else {
        NumberForm::None
    }
}

fn text(id: SourceId, source: &str, token: Token, kind: TextToken) -> Option<Found> {
    let decoded = text::decode(source, token, kind);
    let place = Place::new(id, token.start, token.end);
    let first_line = source[token.start..token.end].find(super::token::is_newline).unwrap_or(token.end - token.start);
    let opening = place.part(0, first_line);
    let mut problems = Vec::new();
    if !kind.is_closed {
        problems.push(
            Problem::error("L022", opening, "the string is not closed")
                .label("opened here")
                .help(format!("close it with `{}`", closing(kind))),
        );
    } else if kind.form == TextForm::BrokenLine {
        problems.push(
            Problem::error("L023", opening, "a string in single quotes ends with its line")
                .label("goes on in the next line")
                .help("write several lines between `\"\"\"` and `\"\"\"`, each on a line of its own, or `\\n` for a line break"),
        );
    } else if kind.form == TextForm::LinesWithoutBreak {
        let open = kind.hashes + usize::from(kind.is_old_raw) + 3;
        problems.push(
            Problem::error("L023", place.part(0, open), "a line break must follow the opening `\"\"\"`")
                .label("text on the same line")
                .help("put the text on lines of its own, or use one `\"` on each side"),
        );
    }
    if kind.is_old_raw && kind.is_closed {
        let hashes = "#".repeat(kind.hashes.max(1));
        let open = 1 + kind.hashes;
        let content = &source[token.start + open..token.end - kind.hashes];
        problems.push(
            Problem::error("L021", place.part(0, 1), "`r\"…\"` is how KDL 1 wrote a raw string")
                .label("KDL 2 has no `r`")
                .help("write `#\"…\"#`")
                .fix(place, format!("{hashes}{content}{hashes}")),
        );
    }
    problems.extend(
        decoded.flaws.iter().map(|flaw| flaw_problem(source, Place::new(id, flaw.at.start, flaw.at.end), flaw.kind)),
    );
    let has_forbidden = source[token.start..token.end].contains(is_forbidden);
    if problems.is_empty() && !has_forbidden {
        return None;
    }
    Some(Found { problems, mend: Mend::value(token.start..token.end, Scalar::Text(decoded.text)) })
}

fn closing(kind: TextToken) -> String {
    let quotes = if matches!(kind.form, TextForm::Lines | TextForm::LinesWithoutBreak) { "\"\"\"" } else { "\"" };
    format!("{quotes}{}", "#".repeat(kind.hashes))
}

fn flaw_problem(source: &str, at: Place, kind: FlawKind) -> Problem {
    let written = &source[at.start..at.end.min(source.len())];
    match kind {
        FlawKind::Escape => Problem::error("L019", at, format!("`{written}` is not an escape"))
            .label("unknown escape")
            .help(format!("double the backslash, `\\{written}`, or write the string raw: `#\"…\"#`"))
            .fix(at, format!("\\{written}")),
        FlawKind::Unicode => Problem::error("L019", at, format!("`{written}` names no character"))
            .label("1 to 6 hex digits of a Unicode character")
            .help("write `\\u{e9}` for é"),
        FlawKind::Indent => Problem::error("L023", at, "the line is indented less than the closing `\"\"\"`")
            .label("must begin with the same white space")
            .help(
                "move the closing `\"\"\"` to the left, or this line to the right; tabs and spaces count as different",
            ),
        FlawKind::ClosingLine => Problem::error("L023", at, "the closing `\"\"\"` must stand on a line of its own")
            .label("text before it")
            .help("put it on the next line; its indentation is taken off every line"),
    }
}
