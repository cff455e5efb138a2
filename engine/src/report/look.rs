//! How a text may look: width, colour, the drawing characters. Asked of the terminal by `cli`, handed down as a value.

/// What the place that a text goes to can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Columns; texts are cut or wrapped to fit.
    pub width: usize,
    /// Rows; only the live view cares.
    pub height: usize,
    /// Colour is additional: every text reads the same without it.
    pub colour: bool,
    /// Box-drawing characters and arrows; otherwise ASCII stands for them.
    pub unicode: bool,
}

/// The narrowest width that anything is laid out for; a narrower terminal cuts lines.
pub const WIDTH_MIN: usize = 40;

impl Look {
    /// Where nothing is known about the reader: a file, a pipe, a CI log.
    pub fn plain() -> Look {
        Look { width: 80, height: 24, colour: false, unicode: false }
    }

    /// A terminal that can do everything.
    pub fn terminal(width: usize, height: usize) -> Look {
        Look { width, height, colour: true, unicode: true }
    }
}

/// The role of a piece of text; which colour that is, is decided here only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Normal,
    Strong,
    Quiet,
    Good,
    Attention,
    Bad,
    Place,
}

impl Style {
    /// The ANSI sequence that begins it; `None`: the text stands as it is.
    pub fn sequence(self) -> Option<&'static str> {
        match self {
            Style::Normal => None,
            Style::Strong => Some("\u{1b}[1m"),
            Style::Quiet => Some("\u{1b}[2m"),
            Style::Good => Some("\u{1b}[32m"),
            Style::Attention => Some("\u{1b}[33m"),
            Style::Bad => Some("\u{1b}[1;31m"),
            Style::Place => Some("\u{1b}[36m"),
        }
    }
}

/// Ends every style.
pub const RESET: &str = "\u{1b}[0m";

/// The characters that drawings are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glyphs {
    pub across: char,
    pub down: char,
    /// Left of a line that is not of the file: marks and labels.
    pub beside: char,
    /// Where lines of a file are left out.
    pub gap: char,
    pub underline: char,
    pub hook: char,
    pub frame_top: &'static str,
    pub frame_end: &'static str,
    pub label: &'static str,
    pub branch: &'static str,
    pub full: char,
    pub empty: char,
    pub arrow: &'static str,
    pub ellipsis: &'static str,
}

const UNICODE: Glyphs = Glyphs {
    across: '─',
    down: '│',
    beside: '·',
    gap: '⋮',
    underline: '─',
    hook: '┬',
    frame_top: "╭─",
    frame_end: "╰────",
    label: "╰── ",
    branch: "└─ ",
    full: '█',
    empty: '░',
    arrow: "→",
    ellipsis: "…",
};

const ASCII: Glyphs = Glyphs {
    across: '-',
    down: '|',
    beside: ':',
    gap: ':',
    underline: '^',
    hook: '|',
    frame_top: ",-",
    frame_end: "`----",
    label: "`-- ",
    branch: "`- ",
    full: '#',
    empty: '.',
    arrow: "->",
    ellipsis: "...",
};

impl Look {
    pub fn glyphs(&self) -> &'static Glyphs {
        if self.unicode { &UNICODE } else { &ASCII }
    }
}
