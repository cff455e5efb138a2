//! One line of pieces, each with its style: measured and cut as text, coloured only when it is written out.

use super::look::{Look, RESET, Style};
use super::words;

/// Pieces of text from left to right, without line break.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Line {
    pieces: Vec<(Style, String)>,
}

impl Line {
    pub fn new() -> Line {
        Line::default()
    }

    #[must_use]
    pub fn with(mut self, style: Style, text: impl Into<String>) -> Line {
        self.pieces.push((style, text.into()));
        self
    }

    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Line {
        self.with(Style::Normal, text)
    }

    /// This line and, behind it, the other.
    pub fn join(mut self, other: Line) -> Line {
        self.pieces.extend(other.pieces);
        self
    }

    pub fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| words::width(text)).sum()
    }

    /// At most `columns` wide; what does not fit is replaced by an ellipsis.
    #[must_use]
    pub fn fit(mut self, columns: usize, look: &Look) -> Line {
        if self.width() <= columns {
            return self;
        }
        let ellipsis = look.glyphs().ellipsis;
        let ellipsis = if words::width(ellipsis) <= columns { ellipsis } else { "" };
        let mut room = columns - words::width(ellipsis);
        let mut kept = 0;
        for (_, text) in &mut self.pieces {
            kept += 1;
            let own = words::width(text);
            if own > room {
                text.truncate(words::prefix_of_width(text, room));
                text.push_str(ellipsis);
                break;
            }
            room -= own;
        }
        self.pieces.truncate(kept);
        self
    }

    /// With colours if the look has them; spaces at the end are dropped.
    pub fn render(&self, look: &Look) -> String {
        let mut text = String::new();
        for (style, piece) in &self.pieces {
            match style.sequence().filter(|_| look.colour && !piece.trim().is_empty()) {
                Some(sequence) => {
                    text.push_str(sequence);
                    text.push_str(piece);
                    text.push_str(RESET);
                }
                None => text.push_str(piece),
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_over_the_borders_of_its_pieces() {
        let look = Look { colour: false, ..Look::terminal(80, 24) };
        let line = || Line::new().with(Style::Good, "OK").text("  ").text("世界 done");
        assert_eq!(line().width(), 13);
        for (columns, text) in [
            (13, "OK  世界 done"),
            (12, "OK  世界 do…"),
            (6, "OK  …"),
            (5, "OK  …"),
            (4, "OK …"),
            (3, "OK…"),
            (1, "…"),
            (0, ""),
        ] {
            let cut = line().fit(columns, &look);
            assert_eq!(cut.render(&look), text, "{columns}");
            assert!(cut.width() <= columns, "{columns}");
        }
    }

    #[test]
    fn colour_is_only_added() {
        let line = Line::new().with(Style::Bad, "FAIL").text(" a  ");
        assert_eq!(line.render(&Look::plain()), "FAIL a");
        assert_eq!(line.render(&Look::terminal(80, 24)), "\u{1b}[1;31mFAIL\u{1b}[0m a");
    }
}
