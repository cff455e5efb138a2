//! What a string token says: its value, where each character of it was written, and what is wrong with it.

use std::ops::Range;

use super::token::{TextForm, TextToken, Token, is_forbidden, is_newline, is_space};
use super::tree::{Run, Text, TextStyle};

/// A string token, decoded as far as it can be.
pub struct Decoded {
    pub text: Text,
    pub flaws: Vec<Flaw>,
}

/// Something wrong inside a string, in bytes of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    pub at: Range<usize>,
    pub kind: FlawKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlawKind {
    /// `\d`.
    Escape,
    /// `\u{…}` that is no character.
    Unicode,
    /// A line of a multi-line string that does not begin with the white space of its last line.
    Indent,
    /// Text before the closing `"""` on its line.
    ClosingLine,
}

pub fn decode(source: &str, token: Token, kind: TextToken) -> Decoded {
    let open = kind.hashes + if kind.is_old_raw { 1 } else { 0 } + if is_lines(kind.form) { 3 } else { 1 };
    let close = if kind.is_closed { kind.hashes + if is_lines(kind.form) { 3 } else { 1 } } else { 0 };
    let content = (token.start + open).min(token.end)..(token.end - close).max((token.start + open).min(token.end));
    let is_raw = kind.hashes > 0 || kind.is_old_raw;
    let mut builder = Builder { source, is_raw, value: String::new(), runs: Vec::new(), flaws: Vec::new() };
    if kind.form == TextForm::Lines && kind.is_closed {
        builder.lines(content);
    } else {
        builder.characters(content);
    }
    let style = if is_raw { TextStyle::Raw } else { TextStyle::Quoted };
    Decoded { text: Text::new(builder.value, style, builder.runs), flaws: builder.flaws }
}

/// A word as a text.
pub fn bare(source: &str, at: Range<usize>) -> Text {
    let value = source[at.clone()].to_owned();
    let run = Run { value: 0..value.len(), source: at };
    Text::new(value, TextStyle::Bare, vec![run])
}

fn is_lines(form: TextForm) -> bool {
    matches!(form, TextForm::Lines | TextForm::LinesWithoutBreak)
}

struct Builder<'a> {
    source: &'a str,
    is_raw: bool,
    value: String,
    runs: Vec<Run>,
    flaws: Vec<Flaw>,
}

impl Builder<'_> {
    /// The characters of a range, escapes decoded.
    fn characters(&mut self, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            at = self.one(at, range.end);
        }
    }

    /// The lines of `"""`, without the white space that all have in common. The range begins with the line break after the opening
    /// quotes and ends before the closing ones.
    fn lines(&mut self, range: Range<usize>) {
        let source = self.source;
        let body = &source[range.clone()];
        let last_line = body.rfind(is_newline).map_or(range.start, |at| range.start + at + newline_len(&body[at..]));
        let indent = &source[last_line..range.end];
        if !indent.chars().all(is_space) {
            self.flaws.push(Flaw { at: range.end..range.end + 3, kind: FlawKind::ClosingLine });
            return self.characters(range);
        }
        let mut at = range.start + newline_len(body);
        let mut is_first = true;
        while at < last_line {
            if !is_first {
                let before = at;
                self.push("\n", self.line_break_before(before)..before);
            }
            is_first = false;
            at = self.one_line(at, last_line, indent);
        }
    }

    /// One line of a multi-line string from its first byte; gives the first byte of the next.
    fn one_line(&mut self, start: usize, end: usize, indent: &str) -> usize {
        let line = &self.source[start..end];
        let text_start = line.find(|c| !is_space(c)).unwrap_or(line.len());
        let is_blank = line[text_start..].is_empty() || line[text_start..].starts_with(is_newline);
        let mut at = if is_blank {
            start + text_start
        } else if line.starts_with(indent) {
            start + indent.len()
        } else {
            self.flaws.push(Flaw { at: start..start + text_start.max(1), kind: FlawKind::Indent });
            start + text_start
        };
        while at < end {
            let rest = &self.source[at..end];
            if rest.starts_with(is_newline) {
                return at + newline_len(rest);
            }
            at = self.one(at, end);
        }
        at
    }

    /// The first byte of the line break that ends right before this byte.
    fn line_break_before(&self, byte: usize) -> usize {
        let before = &self.source[..byte];
        let len = if before.ends_with("\r\n") { 2 } else { before.chars().next_back().map_or(0, char::len_utf8) };
        byte - len
    }

    /// One character or escape at `at`; gives the byte after it.
    fn one(&mut self, at: usize, end: usize) -> usize {
        let rest = &self.source[at..end];
        let Some(c) = rest.chars().next() else { return end };
        if c != '\\' || self.is_raw {
            let after = at + c.len_utf8();
            self.push(&rest[..c.len_utf8()], at..after);
            return after;
        }
        self.escape(at, &rest[1..])
    }

    /// An escape whose `\` stands at `at`.
    fn escape(&mut self, at: usize, rest: &str) -> usize {
        let Some(c) = rest.chars().next() else {
            self.push("\\", at..at + 1);
            return at + 1;
        };
        let simple = match c {
            '\\' => Some("\\"),
            '"' => Some("\""),
            'b' => Some("\u{8}"),
            'f' => Some("\u{c}"),
            'n' => Some("\n"),
            'r' => Some("\r"),
            't' => Some("\t"),
            's' => Some(" "),
            _ => None,
        };
        if let Some(text) = simple {
            self.push(text, at..at + 2);
            return at + 2;
        }
        if is_space(c) || is_newline(c) {
            // A `\` before white space takes all of it away.
            return at + 1 + rest.find(|c| !(is_space(c) || is_newline(c))).unwrap_or(rest.len());
        }
        if let Some(body) = rest.strip_prefix("u{") {
            let digits = &body[..body.find('}').unwrap_or(0)];
            let is_hex = (1..=6).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_hexdigit());
            let decoded = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
            let after = at + "\\u{}".len() + digits.len();
            match decoded {
                Some(c) if is_hex => self.push(c.encode_utf8(&mut [0; 4]), at..after),
                _ => {
                    let end = if body.contains('}') { after } else { at + "\\u{".len() };
                    self.flaws.push(Flaw { at: at..end, kind: FlawKind::Unicode });
                    let written = &self.source[at..end];
                    self.push(written, at..end);
                    return end;
                }
            }
            return after;
        }
        let after = at + 1 + c.len_utf8();
        self.flaws.push(Flaw { at: at..after, kind: FlawKind::Escape });
        let written = &self.source[at..after];
        self.push(written, at..after);
        after
    }

    fn push(&mut self, text: &str, source: Range<usize>) {
        let start = self.value.len();
        self.value.push_str(text);
        let run = Run { value: start..self.value.len(), source };
        let is_plain = self.source[run.source.clone()] == *text;
        match self.runs.last_mut() {
            Some(last) if is_plain && last.source.end == run.source.start && last.source.len() == last.value.len() => {
                last.source.end = run.source.end;
                last.value.end = run.value.end;
            }
            _ => self.runs.push(run),
        }
    }
}

fn newline_len(text: &str) -> usize {
    if text.starts_with("\r\n") { 2 } else { text.chars().next().map_or(0, char::len_utf8) }
}

/// A text as it is written in quotes.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_forbidden(c) || is_newline(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A text of which only the whole place is known.
pub fn opaque(value: &str, source: Range<usize>) -> Text {
    let run = Run { value: 0..value.len(), source };
    Text::new(value.to_owned(), TextStyle::Quoted, vec![run])
}
