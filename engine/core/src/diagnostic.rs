//! A problem in what a person wrote: code, place, message, help and, where it is certain, a fix.
//!
//! Every stage of the language collects [`Problem`]s; none stops at the first. How they are drawn is decided in `report`.

use serde::{Deserialize, Serialize};

/// Which of the loaded files, in the order in which they were loaded; 0 is the workflow itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceId(pub u32);

/// Bytes `start..end` of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    pub source: SourceId,
    pub start: usize,
    pub end: usize,
}

impl Place {
    pub fn new(source: SourceId, start: usize, end: usize) -> Self {
        Place { source, start, end }
    }

    /// A part of this place, `start..end` counted from its own start.
    pub fn part(self, start: usize, end: usize) -> Place {
        Place { source: self.source, start: (self.start + start).min(self.end), end: (self.start + end).min(self.end) }
    }

    /// From the start of this to the end of `other`.
    pub fn to(self, other: Place) -> Place {
        Place { source: self.source, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// Something with the place where it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spanned<T> {
    pub value: T,
    pub at: Place,
}

impl<T> Spanned<T> {
    pub fn new(value: T, at: Place) -> Self {
        Spanned { value, at }
    }
}

/// One file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// As the person named it.
    pub name: String,
    pub text: String,
}

/// Line and column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineColumn {
    pub line: usize,
    pub column: usize,
}

impl Source {
    pub fn line_column(&self, byte: usize) -> LineColumn {
        let mut end = byte.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &self.text[..end];
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        LineColumn { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// Replaces a place by a text; several belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub at: Place,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Has a section in docs/errors.md: `L012`.
    pub code: &'static str,
    pub severity: Severity,
    /// Lower case, no full stop.
    pub message: String,
    pub at: Option<Place>,
    /// What stands under the marked place; empty: nothing.
    pub label: String,
    /// Further places that explain it, such as a first definition.
    pub related: Vec<(Place, String)>,
    pub help: Option<String>,
    /// Certain to be right; applied all together.
    pub fix: Vec<Edit>,
}

impl Problem {
    pub fn error(code: &'static str, at: Place, message: impl Into<String>) -> Problem {
        Problem {
            code,
            severity: Severity::Error,
            message: message.into(),
            at: Some(at),
            label: String::new(),
            related: Vec::new(),
            help: None,
            fix: Vec::new(),
        }
    }

    pub fn warning(code: &'static str, at: Place, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..Problem::error(code, at, message) }
    }

    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn related(mut self, at: Place, label: impl Into<String>) -> Self {
        self.related.push((at, label.into()));
        self
    }

    #[must_use]
    pub fn fix(mut self, at: Place, text: impl Into<String>) -> Self {
        self.fix.push(Edit { at, text: text.into() });
        self
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// The nearest of the known names, if it is near enough to be a slip of the finger.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(written, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.chars().count().max(written.chars().count()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let source = Source { name: "a.kdl".into(), text: "äö x\nsecond".into() };
        assert_eq!(source.line_column(0), LineColumn { line: 1, column: 1 });
        assert_eq!(source.line_column(5), LineColumn { line: 1, column: 4 });
        assert_eq!(source.line_column(source.text.len()), LineColumn { line: 2, column: 7 });
        assert_eq!(source.line_column(1), LineColumn { line: 1, column: 1 }, "inside a character");
    }

    #[test]
    fn near_names_are_offered_and_far_ones_are_not() {
        let known = ["timeout", "retry", "needs"];
        assert_eq!(nearest("tiemout", known), Some("timeout"));
        assert_eq!(nearest("need", known), Some("needs"));
        assert_eq!(nearest("object", known), None);
    }
}
