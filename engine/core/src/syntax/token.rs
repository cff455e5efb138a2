//! Cuts a text into tokens: linear, never recursive, and it never fails.
//!
//! It follows KDL 2 on everything that KDL accepts, and is wider where people slip: `oci://host/x`, `api.${d}`, `a["k"]` and
//! `5m` are one token each, so that the traps can speak of what was meant. What every token says of itself is enough for the
//! pre-scan (depths), the traps (what is wrong with it) and the tree (its exact place).

/// A piece of the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Anything without quotes: a name, a number, a keyword, and what only looks like one.
    Word,
    Text(TextToken),
    Open,
    Close,
    ParenOpen,
    ParenClose,
    Equals,
    Semicolon,
    Newline,
    Slashdash,
    LineComment,
    /// `/* … */`. `too_deep`: the byte where nesting passes the limit.
    BlockComment {
        is_closed: bool,
        too_deep: Option<usize>,
    },
    /// `\` before a line break: the node goes on.
    Continuation,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextToken {
    /// Number of `#`; 0 for a quoted string.
    pub hashes: usize,
    pub form: TextForm,
    pub is_closed: bool,
    /// Written as KDL 1 did: `r"…"`, `r#"…"#`.
    pub is_old_raw: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextForm {
    /// `"…"`.
    Line,
    /// `"…` with a line break in it, which KDL 1 allowed.
    BrokenLine,
    /// `"""`, a line break, lines, `"""`.
    Lines,
    /// `"""` with text on the same line, which KDL refuses.
    LinesWithoutBreak,
}

impl Token {
    pub fn text<'a>(&self, source: &'a str) -> &'a str {
        &source[self.start..self.end]
    }

    /// Comments and continued lines: nothing for the tree.
    pub fn is_trivia(&self) -> bool {
        matches!(self.kind, TokenKind::LineComment | TokenKind::BlockComment { .. } | TokenKind::Continuation)
    }

    /// Can be a name or a value.
    pub fn is_value(&self) -> bool {
        matches!(self.kind, TokenKind::Word | TokenKind::Text(_))
    }
}

pub fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{b}' | '\u{c}' | '\u{2028}' | '\u{2029}')
}

pub fn is_space(c: char) -> bool {
    matches!(c, '\t' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

/// Characters that KDL forbids everywhere: control characters and those that change the direction of writing, by which a text can
/// read otherwise than it is.
pub fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Characters that end or cannot stand in a word without quotes.
pub fn is_word_char(c: char) -> bool {
    !(is_space(c) || is_newline(c) || is_forbidden(c) || "\\/(){};[]\"#=".contains(c))
}

/// All tokens of a text, in order. Spaces are left out.
pub fn tokens(source: &str, comment_nesting_max: usize) -> Vec<Token> {
    let mut cutter = Cutter { source, at: 0, comment_nesting_max, searches_left: FAILED_SEARCHES_MAX, out: Vec::new() };
    if source.starts_with('\u{feff}') {
        cutter.at = '\u{feff}'.len_utf8();
    }
    while let Some(c) = cutter.peek(0) {
        let start = cutter.at;
        if let Some(kind) = cutter.token(c) {
            cutter.out.push(Token { kind, start, end: cutter.at });
        }
    }
    cutter.out
}

struct Cutter<'a> {
    source: &'a str,
    at: usize,
    comment_nesting_max: usize,
    /// Searches for a closing bracket that may still fail, so that a text of nothing but `${` costs no more than its length.
    searches_left: usize,
    out: Vec<Token>,
}

const SEARCH_CHARS_MAX: usize = 4_096;
const FAILED_SEARCHES_MAX: usize = 1_000;

impl Cutter<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    /// The character `ahead` characters from here.
    fn peek(&self, ahead: usize) -> Option<char> {
        self.rest().chars().nth(ahead)
    }

    fn starts_with(&self, text: &str) -> bool {
        self.rest().starts_with(text)
    }

    fn skip(&mut self, c: char) {
        self.at += c.len_utf8();
    }

    fn skip_while(&mut self, matches: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !matches(c)).unwrap_or(rest.len());
    }

    /// Reads one token that begins with `c`; `None` for spaces.
    fn token(&mut self, c: char) -> Option<TokenKind> {
        if is_space(c) {
            self.skip_while(is_space);
            return None;
        }
        if is_newline(c) {
            let is_pair = self.starts_with("\r\n");
            self.at += if is_pair { 2 } else { c.len_utf8() };
            return Some(TokenKind::Newline);
        }
        let single = match c {
            '{' => Some(TokenKind::Open),
            '}' => Some(TokenKind::Close),
            '(' => Some(TokenKind::ParenOpen),
            ')' => Some(TokenKind::ParenClose),
            '=' => Some(TokenKind::Equals),
            ';' => Some(TokenKind::Semicolon),
            _ => None,
        };
        if single.is_some() {
            self.skip(c);
            return single;
        }
        Some(match c {
            '/' if self.starts_with("//") => {
                self.skip_while(|c| !is_newline(c));
                TokenKind::LineComment
            }
            '/' if self.starts_with("/*") => self.block_comment(),
            '/' if self.starts_with("/-") => {
                self.at += 2;
                TokenKind::Slashdash
            }
            '\\' if self.is_continuation() => {
                self.skip(c);
                self.skip_while(is_space);
                if self.starts_with("//") {
                    self.skip_while(|c| !is_newline(c));
                }
                if let Some(c) = self.peek(0) {
                    let is_pair = self.starts_with("\r\n");
                    self.at += if is_pair { 2 } else { c.len_utf8() };
                }
                TokenKind::Continuation
            }
            _ => self.text_token().unwrap_or_else(|| self.word()),
        })
    }

    /// Whether the `\` here ends its line.
    fn is_continuation(&self) -> bool {
        let after = self.rest()[1..].trim_start_matches(is_space);
        after.is_empty() || after.starts_with(is_newline) || after.starts_with("//")
    }

    fn block_comment(&mut self) -> TokenKind {
        let mut depth = 0_usize;
        let mut too_deep = None;
        while self.at < self.source.len() {
            if self.starts_with("/*") {
                depth += 1;
                if depth > self.comment_nesting_max && too_deep.is_none() {
                    too_deep = Some(self.at);
                }
                self.at += 2;
            } else if self.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return TokenKind::BlockComment { is_closed: true, too_deep };
                }
            } else if let Some(c) = self.peek(0) {
                self.skip(c);
            }
        }
        TokenKind::BlockComment { is_closed: false, too_deep }
    }

    /// A string, when one begins here: `"`, `#"`, `r"`, `r#"`.
    fn text_token(&mut self) -> Option<TokenKind> {
        let rest = self.rest();
        let is_old_raw = rest.starts_with("r\"") || rest.starts_with("r#");
        let after_r = &rest[usize::from(is_old_raw)..];
        let hashes = after_r.len() - after_r.trim_start_matches('#').len();
        if !after_r[hashes..].starts_with('"') {
            return None;
        }
        let is_raw = is_old_raw || hashes > 0;
        self.at += usize::from(is_old_raw) + hashes;
        let (form, is_closed) =
            if self.starts_with("\"\"\"") { self.lines(hashes, is_raw) } else { self.line(hashes, is_raw) };
        Some(TokenKind::Text(TextToken { hashes, form, is_closed, is_old_raw }))
    }

    /// A string in `"`; from the opening quote.
    fn line(&mut self, hashes: usize, is_raw: bool) -> (TextForm, bool) {
        self.at += 1;
        let close = format!("\"{}", "#".repeat(hashes));
        let content = self.at;
        while let Some(c) = self.peek(0) {
            if self.starts_with(&close) {
                self.at += close.len();
                return (TextForm::Line, true);
            }
            if is_newline(c) {
                return self.broken_line(content, &close, is_raw);
            }
            self.skip_one(c, is_raw);
        }
        (TextForm::Line, false)
    }

    /// One character of a string; an escape with what it escapes.
    fn skip_one(&mut self, c: char, is_raw: bool) {
        self.skip(c);
        if c == '\\' && !is_raw {
            match self.peek(0) {
                Some(next) if is_space(next) || is_newline(next) => self.skip_while(|c| is_space(c) || is_newline(c)),
                Some(next) => self.skip(next),
                None => {}
            }
        }
    }

    /// The line ended before its string did. When the next line that has a quote has an odd number of them, the string was meant to
    /// go on until there; otherwise a quote was forgotten, and the string ends with its line.
    fn broken_line(&mut self, content: usize, close: &str, is_raw: bool) -> (TextForm, bool) {
        let rest = self.rest();
        let next_line = rest.split_inclusive(is_newline).find(|line| line.contains('"'));
        let quotes = next_line.map_or(0, |line| line.replace("\\\"", "").matches('"').count());
        if quotes % 2 == 0 {
            return (TextForm::Line, false);
        }
        self.at = content;
        while let Some(c) = self.peek(0) {
            if self.starts_with(close) {
                self.at += close.len();
                return (TextForm::BrokenLine, true);
            }
            self.skip_one(c, is_raw);
        }
        (TextForm::BrokenLine, false)
    }

    /// A string in `"""`; from the opening quotes.
    fn lines(&mut self, hashes: usize, is_raw: bool) -> (TextForm, bool) {
        self.at += 3;
        let form = if self.peek(0).is_some_and(is_newline) { TextForm::Lines } else { TextForm::LinesWithoutBreak };
        let close = format!("\"\"\"{}", "#".repeat(hashes));
        if form == TextForm::LinesWithoutBreak {
            let line_end = self.at + self.rest().find(is_newline).unwrap_or(self.rest().len());
            // Without `#` the next `"""` is taken wherever it is; with `#` it could be searched for again and again.
            if hashes > 0 && !self.source[self.at..line_end].contains(&close) {
                self.at = line_end;
                return (form, false);
            }
        }
        while let Some(c) = self.peek(0) {
            if self.starts_with(&close) {
                self.at += close.len();
                return (form, true);
            }
            self.skip_one(c, is_raw);
        }
        (form, false)
    }

    fn word(&mut self) -> TokenKind {
        let start = self.at;
        let mut word = WordState::default();
        while let Some(c) = self.peek(0) {
            let Some(end) = self.goes_on(c, start, &mut word) else { break };
            word.is_odd |= !is_word_char(c);
            word.has_dollar |= c == '$';
            self.at = end;
        }
        if self.at == start {
            // A lone `)` or the like never gets here; what does is one character that begins no token at all.
            self.at += self.peek(0).map_or(1, char::len_utf8);
        }
        TokenKind::Word
    }

    /// Where the word that began at `start` is after `c`; `None` when `c` does not belong to it.
    fn goes_on(&mut self, c: char, start: usize, word: &mut WordState) -> Option<usize> {
        let after = self.at + c.len_utf8();
        let belongs = match c {
            _ if is_space(c) || is_newline(c) => false,
            ';' | '}' | ')' => false,
            // A quote in brackets belongs to an index: `a["k"]`.
            '"' if self.source[start..self.at].ends_with('[') => return self.closing(c, c),
            '"' => false,
            '{' if word.has_dollar => return self.closing('{', '}'),
            '{' => false,
            '(' => return self.closing('(', ')'),
            '=' => word.is_address,
            '/' if self.starts_with("//") => {
                word.is_address |= self.source[start..self.at].ends_with(':');
                word.is_address || word.is_odd
            }
            '/' if self.starts_with("/*") => word.is_odd,
            '\\' => !self.is_continuation(),
            _ => true,
        };
        belongs.then_some(after)
    }

    /// The byte after the `close` that belongs to the `open` here, if it stands on the same line and near.
    fn closing(&mut self, open: char, close: char) -> Option<usize> {
        if self.searches_left == 0 {
            return None;
        }
        let mut depth = 0_usize;
        let mut quote = None;
        for (offset, c) in self.rest().char_indices().take(SEARCH_CHARS_MAX) {
            let end = self.at + offset + c.len_utf8();
            match (quote, c) {
                _ if is_newline(c) => break,
                _ if open == close && offset > 0 && c == close => return Some(end),
                _ if open == close => {}
                (Some(opened), _) if c == opened => quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') => quote = Some(c),
                (None, _) if c == open => depth += 1,
                (None, _) if c == close => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(end);
                    }
                }
                (None, _) => {}
            }
        }
        self.searches_left -= 1;
        None
    }
}

/// What is known of a word while it is read.
#[derive(Default)]
struct WordState {
    /// Holds a character that KDL forbids in words; then `//` in it is no comment.
    is_odd: bool,
    /// Has `://`.
    is_address: bool,
    has_dollar: bool,
}
