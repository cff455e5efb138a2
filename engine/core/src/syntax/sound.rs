//! Whether a text has the form that the KDL parser takes: the last gate before it.
//!
//! The parser recovers from an error by calling itself, so that a text of nothing but errors costs a stack frame for each:
//! 10,000 times `a=` end the process. The traps have replaced every form that people write; whatever is still not sound is found
//! here, in one pass, and never reaches the parser.

use super::token::{TextForm, Token, TokenKind, is_word_char};

/// Indices of the tokens that stand where they cannot.
pub fn misplaced(source: &str, tokens: &[Token]) -> Vec<usize> {
    let mut form = Form { state: State::Start, blocks: Vec::new(), last_end: 0 };
    let mut wrong = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if !form.takes(source, token) {
            wrong.push(index);
            form.state = State::Entries;
        }
        form.last_end = token.end;
    }
    if !form.blocks.is_empty() || matches!(form.state, State::Value | State::Slashed | State::SlashedStart) {
        wrong.extend(tokens.len().checked_sub(1));
    }
    wrong
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A name may come, or nothing.
    Start,
    /// `/-` before a node: its name must come.
    SlashedStart,
    /// After a name, argument or property: another, a block or the end.
    Entries,
    /// After an argument that an `=` makes the name of a property.
    Argument,
    /// After `=`.
    Value,
    /// `/-` before an entry or a block.
    Slashed,
    /// After a block: the end, or `/-` and another block.
    AfterBlock,
    /// After a block that is commented out: the same, or the block that counts.
    AfterSlashedBlock,
    SlashedAfterBlock,
}

struct Form {
    state: State,
    /// For every open block: whether it is commented out.
    blocks: Vec<bool>,
    last_end: usize,
}

impl Form {
    fn takes(&mut self, source: &str, token: &Token) -> bool {
        use State::{
            AfterBlock, AfterSlashedBlock, Argument, Entries, Slashed, SlashedAfterBlock, SlashedStart, Start, Value,
        };
        let next = match (self.state, token.kind) {
            (state, TokenKind::LineComment) if matches!(state, Entries | Argument | AfterBlock | AfterSlashedBlock) => {
                state
            }
            (state, TokenKind::LineComment | TokenKind::Continuation) if state != Value => state,
            (Start | SlashedStart | Slashed | SlashedAfterBlock, TokenKind::Newline) => self.state,
            (
                Start | Entries | Argument | AfterBlock | AfterSlashedBlock,
                TokenKind::Newline | TokenKind::Semicolon,
            ) => Start,
            (Start, TokenKind::Slashdash) => SlashedStart,
            (Entries | Argument, TokenKind::Slashdash) => Slashed,
            (AfterBlock | AfterSlashedBlock, TokenKind::Slashdash) => SlashedAfterBlock,
            (Start | SlashedStart, TokenKind::Word | TokenKind::Text(_)) => Entries,
            (Entries | Argument | Slashed, TokenKind::Word | TokenKind::Text(_)) => Argument,
            (Argument, TokenKind::Equals) => Value,
            (Value, TokenKind::Word | TokenKind::Text(_)) => Entries,
            (Entries | Argument | Slashed | SlashedAfterBlock | AfterSlashedBlock, TokenKind::Open) => {
                self.blocks.push(matches!(self.state, Slashed | SlashedAfterBlock));
                Start
            }
            (Start | Entries | Argument | AfterBlock | AfterSlashedBlock, TokenKind::Close) => {
                match self.blocks.pop() {
                    Some(true) => AfterSlashedBlock,
                    Some(false) => AfterBlock,
                    None => return false,
                }
            }
            _ => return false,
        };
        let touches = self.last_end == token.start && token.is_value() && matches!(self.state, Entries | Argument);
        self.state = next;
        !touches && is_legal(source, token)
    }
}

/// Whether the token itself is one that KDL knows.
fn is_legal(source: &str, token: &Token) -> bool {
    match token.kind {
        TokenKind::Text(text) => {
            text.is_closed && !text.is_old_raw && matches!(text.form, TextForm::Line | TextForm::Lines)
        }
        TokenKind::Word => {
            let written = token.text(source);
            written.strip_prefix('#').unwrap_or(written).chars().all(is_word_char)
        }
        _ => true,
    }
}
