//! Lines of a file with marked places, for problems and failures alike.
//!
//! Long lines are shown through a window around the mark, tabs as four spaces, control characters as a sign: what is drawn
//! never wraps and never moves the cursor. A place of several lines is marked on its first.

use engine_core::diagnostic::{Place, Source, SourceId};
use engine_core::terminal::is_obeyed;

use super::line::Line;
use super::look::{Look, Style};
use super::words;

/// A place and what stands under it; an empty label leaves the line alone.
#[derive(Debug, Clone, Copy)]
pub struct Mark<'a> {
    pub at: Place,
    pub label: &'a str,
    pub style: Style,
}

/// A label narrower than this is not worth reading: the window moves instead.
const LABEL_ROOM: usize = 28;

/// Draws the marks, grouped by file; the first mark's file comes first and its place is named in the frame.
pub fn draw(sources: &[Source], marks: &[Mark<'_>], look: &Look) -> Vec<Line> {
    let mut files: Vec<SourceId> = Vec::new();
    for mark in marks {
        if !files.contains(&mark.at.source) {
            files.push(mark.at.source);
        }
    }
    let mut lines = Vec::new();
    for file in files {
        // A stored plan may name a file that is not at hand; its place is then told elsewhere, in words.
        if let Some(source) = sources.get(file.0 as usize) {
            let marks: Vec<Mark<'_>> = marks.iter().filter(|mark| mark.at.source == file).copied().collect();
            Frame::new(source, &marks, look).draw(&mut lines);
        }
    }
    lines
}

/// One file's part of a drawing.
struct Frame<'a> {
    source: &'a Source,
    texts: Vec<&'a str>,
    /// With the number of its line, from 0.
    marks: Vec<(usize, Mark<'a>)>,
    look: &'a Look,
    /// Columns of the line numbers.
    gutter: usize,
    /// Columns that are left for the text.
    room: usize,
}

impl<'a> Frame<'a> {
    fn new(source: &'a Source, marks: &[Mark<'a>], look: &'a Look) -> Frame<'a> {
        let marks: Vec<_> = marks.iter().map(|mark| (source.line_column(mark.at.start).line - 1, *mark)).collect();
        let last = marks.iter().map(|(line, _)| *line).max().unwrap_or(0);
        let gutter = (last + 1).to_string().len().max(2);
        let room = look.width.saturating_sub(gutter + 4).max(20);
        Frame { source, texts: source.text.split('\n').collect(), marks, look, gutter, room }
    }

    fn draw(&self, out: &mut Vec<Line>) {
        let glyphs = self.look.glyphs();
        let place = self.source.line_column(self.marks[0].1.at.start);
        let title = format!("{}:{}:{}", words::clean(&self.source.name), place.line, place.column);
        let margin = " ".repeat(self.gutter + 2);
        out.push(
            Line::new()
                .with(Style::Quiet, format!("{margin}{}[", glyphs.frame_top))
                .with(Style::Place, title)
                .with(Style::Quiet, "]")
                .fit(self.look.width, self.look),
        );
        let mut before = None;
        for line in self.lines_shown() {
            if before.is_some_and(|before| line > before + 1) {
                out.push(Line::new().with(Style::Quiet, format!("{margin}{}", glyphs.gap)));
            }
            before = Some(line);
            self.draw_line(line, out);
        }
        out.push(Line::new().with(Style::Quiet, format!("{margin}{}", glyphs.frame_end)));
    }

    /// The marked lines, and before the first mark's the line that it belongs to: the nearest one above that is indented less.
    fn lines_shown(&self) -> Vec<usize> {
        let indent = |line: usize| {
            let text = self.texts[line];
            (!text.trim().is_empty()).then(|| text.len() - text.trim_start().len())
        };
        let mut lines: Vec<usize> = self.marks.iter().map(|(line, _)| *line).collect();
        let first = self.marks[0].0;
        if let Some(own) = indent(first).filter(|own| *own > 0) {
            lines.extend((0..first).rev().find(|line| indent(*line).is_some_and(|indent| indent < own)));
        }
        lines.sort_unstable();
        lines.dedup();
        lines
    }

    fn draw_line(&self, line: usize, out: &mut Vec<Line>) {
        let glyphs = self.look.glyphs();
        let text = self.texts[line].trim_end_matches('\r');
        let mut marks: Vec<Marked<'_>> = Vec::new();
        for (_, mark) in self.marks.iter().filter(|(at, _)| *at == line) {
            marks.push(self.columns(text, mark));
        }
        let from = marks.first().map_or(0, |mark| self.window(mark));
        let number = words::pad_left(&(line + 1).to_string(), self.gutter);
        let shown = window(&shown(text), from, self.room, glyphs.ellipsis);
        out.push(Line::new().with(Style::Quiet, format!(" {number} {} ", glyphs.down)).text(shown));
        marks.sort_by_key(|mark| mark.start);
        for mark in marks {
            self.draw_mark(&mark, from, out);
        }
    }

    fn draw_mark(&self, mark: &Marked<'_>, from: usize, out: &mut Vec<Line>) {
        let glyphs = self.look.glyphs();
        let start = mark.start.saturating_sub(from).min(self.room - 1);
        let end = mark.end.saturating_sub(from).clamp(start + 1, self.room);
        let label = words::clean(mark.label);
        let middle = start + (end - start - 1) / 2;
        // From the middle, or as far left as the label needs to stay on its line.
        let hook = middle.min(self.room.saturating_sub(words::width(glyphs.label) + words::width(&label))).max(start);
        let beside = format!("{} {} ", " ".repeat(self.gutter + 1), glyphs.beside);
        let line: String = (start..end)
            .map(|at| if at == hook && !label.is_empty() { glyphs.hook } else { glyphs.underline })
            .collect();
        out.push(Line::new().with(Style::Quiet, beside.clone()).text(" ".repeat(start)).with(mark.style, line));
        if label.is_empty() {
            return;
        }
        let room = self.room.saturating_sub(hook + words::width(glyphs.label)).max(LABEL_ROOM / 2);
        for (row, text) in words::wrap(&label, room).into_iter().enumerate() {
            let lead = if row == 0 { glyphs.label.to_owned() } else { " ".repeat(words::width(glyphs.label)) };
            let line =
                Line::new().with(Style::Quiet, beside.clone()).text(" ".repeat(hook)).with(mark.style, lead + &text);
            out.push(line.fit(self.look.width.max(self.gutter + 24), self.look));
        }
    }

    /// Where a mark begins and ends on its line, in columns of what is shown.
    fn columns(&self, text: &str, mark: &Mark<'a>) -> Marked<'a> {
        let line_start = text.as_ptr() as usize - self.source.text.as_ptr() as usize;
        let column = |byte: usize| {
            let at = text.floor_char_boundary(byte.saturating_sub(line_start));
            words::width(&shown(&text[..at]))
        };
        let start = column(mark.at.start);
        Marked { start, end: column(mark.at.end).max(start + 1), label: mark.label, style: mark.style }
    }

    /// The first column to show, so that the mark and some of its label are seen.
    fn window(&self, mark: &Marked<'_>) -> usize {
        let label = (words::width(mark.label) + 4).min(LABEL_ROOM);
        let is_seen = mark.end <= self.room && mark.start + label <= self.room;
        if is_seen { 0 } else { mark.start.saturating_sub(self.room / 3) }
    }
}

/// A mark in columns.
struct Marked<'a> {
    start: usize,
    end: usize,
    label: &'a str,
    style: Style,
}

/// What a line of a file looks like on a terminal.
fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => shown.push_str("    "),
            control if is_obeyed(control) => shown.push('\u{fffd}'),
            plain => shown.push(plain),
        }
    }
    shown
}

/// `columns` of a text from column `from` on, with a sign on each side where something is left out.
fn window(text: &str, from: usize, columns: usize, ellipsis: &str) -> String {
    if from == 0 {
        return words::fit(text, columns, ellipsis).into_owned();
    }
    let hidden = words::prefix_of_width(text, from + words::width(ellipsis));
    // A wide character on the border leaves a column over.
    let skipped = words::width(&text[..hidden]);
    let gap = " ".repeat((from + words::width(ellipsis)).saturating_sub(skipped));
    words::fit(&format!("{ellipsis}{gap}{}", &text[hidden..]), columns, ellipsis).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drawn(text: &str, marks: &[(usize, usize, &str)], width: usize, unicode: bool) -> String {
        let sources = [Source { name: "zheng.kdl".into(), text: text.into() }];
        let marks: Vec<Mark<'_>> = marks
            .iter()
            .map(|(start, end, label)| Mark { at: Place::new(SourceId(0), *start, *end), label, style: Style::Bad })
            .collect();
        let look = Look { width, height: 24, colour: false, unicode };
        draw(&sources, &marks, &look).iter().map(|line| line.render(&look) + "\n").collect()
    }

    #[test]
    fn a_mark_is_drawn_under_its_token_with_what_it_belongs_to() {
        let text = "step ready uses=k8s.wait {\n    doc \"…\"\n\n    for \"Etcd/root\" timeout=\"5m\"\n}\n";
        let start = text.find("for").unwrap();
        insta::assert_snapshot!(drawn(text, &[(start, start + 15, "last seen Ready=False")], 80, true));
        insta::assert_snapshot!(drawn(text, &[(start, start + 15, "last seen Ready=False")], 80, false));
    }

    #[test]
    fn several_marks_far_apart_share_a_frame() {
        let text = "input a type=string\n\n\n\n\ninput a type=bool\n";
        let second = text.rfind('a').unwrap();
        insta::assert_snapshot!(drawn(
            text,
            &[(second, second + 1, "defined again here"), (6, 7, "first defined here")],
            80,
            true
        ));
    }

    #[test]
    fn long_lines_tabs_and_wide_characters_are_shown_through_a_window() {
        let text = format!("\tdata 世界=\"{}\" tiemout \"5m\"", "x".repeat(120));
        let start = text.find("tiemout").unwrap();
        insta::assert_snapshot!(drawn(&text, &[(start, start + 7, "did you mean `timeout`?")], 60, true));
    }

    proptest! {
        #[test]
        fn nothing_is_drawn_wider_than_the_look(text in "\\PC{0,200}|[ -~\t\n世]{0,300}", start in 0usize..300, length in 0usize..80, label in "[a-z ]{0,60}", width in 40usize..120) {
            for line in drawn(&text, &[(start, start + length, &label)], width, true).lines() {
                prop_assert!(words::width(line) <= width, "{line:?}");
            }
        }
    }
}
