//! Refuses a hostile text before the KDL parser sees it: size, nesting of blocks, of `/-` and of comments.
//!
//! The parser recurses for blocks and comments, so that depth becomes stack, and it reads what stands under `/-` several times, so
//! that depth becomes time: 132 bytes kept it busy for 108 seconds, 2 KiB of nested blocks ended the process. The scan here is
//! linear, knows strings and comments, and its answer lies on the token that goes too far.

use crate::diagnostic::{Place, Problem, SourceId};
use crate::limits::{COMMENT_NESTING_MAX, NESTING_MAX, SLASHDASH_NESTING_MAX, SOURCE_BYTES_MAX};

use super::token::{Token, TokenKind, tokens};

/// The tokens of a text that is within the limits; otherwise the first of them that is not.
pub fn scan(id: SourceId, source: &str) -> Result<Vec<Token>, Box<Problem>> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the file has {} bytes, at most {SOURCE_BYTES_MAX} are read", source.len());
        let start = source.ceil_char_boundary(SOURCE_BYTES_MAX);
        let end = source.ceil_char_boundary(start + 1);
        return Err(Box::new(
            Problem::error("L001", Place::new(id, start, end), message)
                .label("the limit lies here")
                .help("split the workflow with `include`, and keep manifests in files of their own"),
        ));
    }
    let tokens = tokens(source, COMMENT_NESTING_MAX);
    let mut depths = Depths::default();
    for token in &tokens {
        if let Err((code, message, at)) = depths.step(token) {
            return Err(Box::new(Problem::error(code, Place::new(id, at, at + token_width(token)), message)
                .label("one level too many")
                .help(
                    "real workflows nest a few levels; write the inner part as a `template`, or take the comment out",
                )));
        }
    }
    Ok(tokens)
}

fn token_width(token: &Token) -> usize {
    match token.kind {
        TokenKind::Open => 1,
        _ => 2,
    }
}

/// How deep the scan is.
#[derive(Default)]
struct Depths {
    /// For every open block: how many `/-` it stands under.
    blocks: Vec<usize>,
    /// The next thing is commented out.
    is_pending: bool,
    /// The node being read is commented out.
    is_node_slashed: bool,
    /// A name has been read since the last end of a node.
    has_name: bool,
}

type Refusal = (&'static str, String, usize);

impl Depths {
    fn step(&mut self, token: &Token) -> Result<(), Refusal> {
        match token.kind {
            TokenKind::BlockComment { too_deep: Some(at), .. } => {
                return Err(("L004", format!("comments are nested deeper than {COMMENT_NESTING_MAX} levels"), at));
            }
            TokenKind::Slashdash => {
                self.is_pending = true;
                if self.slashed() + 1 > SLASHDASH_NESTING_MAX {
                    let message = format!("`/-` is nested deeper than {SLASHDASH_NESTING_MAX} levels");
                    return Err(("L003", message, token.start));
                }
            }
            TokenKind::Open => {
                if self.blocks.len() == NESTING_MAX {
                    return Err(("L002", format!("blocks are nested deeper than {NESTING_MAX} levels"), token.start));
                }
                let slashed = self.slashed() + usize::from(self.is_pending || self.is_node_slashed);
                self.blocks.push(slashed);
                self.end_node();
            }
            TokenKind::Close => {
                self.blocks.pop();
                // What follows on the line still belongs to the node whose block ended.
                self.end_node();
                self.has_name = true;
            }
            TokenKind::Newline if self.is_pending => {}
            TokenKind::Newline | TokenKind::Semicolon => self.end_node(),
            TokenKind::Word | TokenKind::Text(_) => {
                if !self.has_name {
                    self.is_node_slashed = self.is_pending;
                    self.has_name = true;
                }
                self.is_pending = false;
            }
            TokenKind::ParenOpen | TokenKind::ParenClose | TokenKind::Equals => {}
            TokenKind::LineComment | TokenKind::BlockComment { .. } | TokenKind::Continuation => {}
        }
        Ok(())
    }

    fn slashed(&self) -> usize {
        self.blocks.last().copied().unwrap_or(0)
    }

    fn end_node(&mut self) {
        self.is_pending = false;
        self.is_node_slashed = false;
        self.has_name = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code and the marked text, or nothing when the text may be read.
    fn refusal(source: &str) -> Option<(&'static str, &str, usize)> {
        let problem = scan(SourceId(0), source).err()?;
        let at = problem.at.expect("a refusal has a place");
        Some((problem.code, &source[at.start..at.end], at.start))
    }

    #[test]
    fn what_goes_too_deep_is_refused_on_the_token_that_does() {
        let nested = |open: &str, times: usize, close: &str| format!("{}{}", open.repeat(times), close.repeat(times));
        type Refused = Option<(&'static str, &'static str, usize)>;
        let cases: Vec<(String, Refused)> = vec![
            (nested("a {", 64, "}"), None),
            (nested("a {", 65, "}"), Some(("L002", "{", 64 * 3 + 2))),
            (nested("a {", 350, "}"), Some(("L002", "{", 64 * 3 + 2))),
            (nested("a {", 1_500, "}"), Some(("L002", "{", 64 * 3 + 2))),
            ("a {".repeat(65), Some(("L002", "{", 64 * 3 + 2))),
            (nested("/*", 8, "*/"), None),
            (nested("/*", 9, "*/"), Some(("L004", "/*", 16))),
            (nested("/*", 900, "*/"), Some(("L004", "/*", 16))),
            ("/*".repeat(900), Some(("L004", "/*", 16))),
            (nested("a /-{", 3, "}"), None),
            (nested("a /-{", 4, "}"), Some(("L003", "/-", 17))),
            ("a /-{".repeat(22), Some(("L003", "/-", 17))),
            (nested("/-a {\n", 4, "}\n"), Some(("L003", "/-", 18))),
            // Strings and comments are not counted.
            (format!("a \"{}\"", "{".repeat(100)), None),
            (format!("a #\"{}\"#", "\"{".repeat(100)), None),
            (format!("a \"\"\"\n{}\n\"\"\"", "{\n".repeat(100)), None),
            (format!("// {}", "/-{".repeat(100)), None),
            (format!("/* {} */", "{".repeat(100)), None),
            // Many, but side by side; a slashed argument nests nothing.
            ("a { b; }\n".repeat(1_000), None),
            ("/-a { b }\n".repeat(1_000), None),
            (nested("a /-b {\n", 10, "}\n"), None),
        ];
        for (source, expected) in cases {
            assert_eq!(refusal(&source), expected, "{:.60}", source);
        }
    }

    #[test]
    fn a_file_over_the_limit_is_refused_unread() {
        let source = "é".repeat(SOURCE_BYTES_MAX / 2 + 1);
        assert_eq!(refusal(&source), Some(("L001", "é", SOURCE_BYTES_MAX)));
        assert_eq!(refusal(&"a".repeat(SOURCE_BYTES_MAX)), None);
    }
}
