//! A text of lines under construction: labelled paragraphs, wrapped to the look, joined at the end.

use super::line::Line;
use super::look::{Look, Style};
use super::words;

/// Columns of a label with its margin: `  cluster  `.
const LABEL: usize = 11;

/// Lines in the order in which they are read.
#[derive(Debug)]
pub struct Sheet<'a> {
    look: &'a Look,
    lines: Vec<Line>,
}

impl<'a> Sheet<'a> {
    pub fn new(look: &'a Look) -> Sheet<'a> {
        Sheet { look, lines: Vec::new() }
    }

    pub fn look(&self) -> &'a Look {
        self.look
    }

    /// A line as it is; it may be wider than the look when cutting it would harm, such as a command.
    pub fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// A line that is cut to the look.
    pub fn push_fit(&mut self, line: Line) {
        self.lines.push(line.fit(self.look.width, self.look));
    }

    pub fn extend(&mut self, lines: impl IntoIterator<Item = Line>) {
        self.lines.extend(lines);
    }

    /// An empty line, unless there is one already or nothing before it.
    pub fn gap(&mut self) {
        if self.lines.last().is_some_and(|line| line.width() > 0) {
            self.lines.push(Line::new());
        }
    }

    /// A label and its text, broken at spaces and aligned under itself.
    pub fn labelled(&mut self, label: &str, style: Style, text: &str) {
        let room = self.look.width.saturating_sub(LABEL).max(20);
        let mut label = format!("  {label}");
        for paragraph in text.lines() {
            for row in words::wrap(&words::clean(paragraph), room) {
                self.lines.push(Line::new().with(Style::Quiet, words::pad(&label, LABEL)).with(style, row));
                label.clear();
            }
        }
    }

    /// A label and a line that must not be broken, such as a line of a file.
    pub fn labelled_as_is(&mut self, label: &str, text: &str) {
        self.lines.push(Line::new().with(Style::Quiet, words::pad(&format!("  {label}"), LABEL)).text(text));
    }

    /// A command to copy: never broken, never cut.
    pub fn command(&mut self, label: &str, style: Style, command: &str) {
        self.lines.push(Line::new().with(Style::Quiet, words::pad(&format!("  {label}"), LABEL)).with(style, command));
    }

    /// A paragraph of its own.
    pub fn indented(&mut self, columns: usize, text: &str) {
        let room = self.look.width.saturating_sub(columns).max(20);
        for row in text.lines().flat_map(|line| words::wrap(&words::clean(line), room)) {
            self.lines.push(Line::new().text(format!("{}{row}", " ".repeat(columns))));
        }
    }

    /// A name in a column of its own, and what it means beside it.
    pub fn table_row(&mut self, name: &str, columns: usize, text: &str) {
        let room = self.look.width.saturating_sub(columns + 4).max(20);
        let mut name = name.to_owned();
        for row in words::wrap(&words::clean(text), room) {
            self.lines.push(Line::new().text("  ").with(Style::Place, words::pad(&name, columns)).text("  ").text(row));
            name.clear();
        }
    }

    /// From the nearest cause to the root, each under the one that it explains.
    pub fn tree(&mut self, label: &str, causes: &[String]) {
        let branch = self.look.glyphs().branch;
        // Deeper ones stay in one column: a chain of twenty would run out of the line.
        const DEPTH_MAX: usize = 5;
        for (depth, cause) in causes.iter().enumerate() {
            let step = words::width(branch);
            let indent = depth.min(DEPTH_MAX) * step;
            let room = self.look.width.saturating_sub(LABEL + indent).max(20);
            for (row, text) in words::wrap(&words::clean(cause), room).into_iter().enumerate() {
                let label = if depth == 0 && row == 0 { format!("  {label}") } else { String::new() };
                let lead = match (depth, row) {
                    (0, _) => String::new(),
                    (_, 0) => format!("{}{branch}", " ".repeat(indent - step)),
                    _ => " ".repeat(indent),
                };
                self.lines.push(Line::new().with(Style::Quiet, words::pad(&label, LABEL) + &lead).text(text));
            }
        }
    }

    pub fn into_lines(self) -> Vec<Line> {
        self.lines
    }

    pub fn render(&self) -> String {
        self.lines.iter().map(|line| line.render(self.look) + "\n").collect()
    }
}
