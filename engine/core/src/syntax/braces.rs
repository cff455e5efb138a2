//! Blocks that are left open, and braces that close nothing.
//!
//! A missing `}` shows at the end of the file, but it is missing elsewhere. Where a person indents, the indentation says where: a
//! line that stands no deeper than the line of an open block does not belong to it. Indentation is asked only when the braces do
//! not balance, and believed only when it accounts for all of them.

use crate::diagnostic::{Place, Problem, SourceId};

use super::mend::Mend;
use super::token::{Token, TokenKind, is_newline};
use super::traps::Findings;

pub fn find(id: SourceId, source: &str, tokens: &[Token]) -> Findings {
    let mut found = Findings::default();
    let mut open: Vec<usize> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::Open => open.push(index),
            TokenKind::Close if open.pop().is_none() => {
                let at = Place::new(id, token.start, token.end);
                found.problem(
                    Problem::error("L008", at, "this `}` closes nothing")
                        .label("no block is open here")
                        .help("take it out, or look for a `}` too many above"),
                );
                found.mends.push(Mend::remove(token.start..token.end));
            }
            _ => {}
        }
    }
    if open.is_empty() {
        return found;
    }
    let by_indentation = left_open_by_indentation(source, tokens).filter(|left| left.len() == open.len());
    let is_certain = by_indentation.is_some();
    let left_open = by_indentation.unwrap_or_else(|| {
        let end = end_of_last(tokens);
        open.into_iter().rev().map(|open| LeftOpen { open, close_at: end, seen_at: None }).collect()
    });
    // Blocks around the innermost one close once it does, unless each has a line that says otherwise.
    for left in left_open.iter().take(if is_certain { usize::MAX } else { 1 }) {
        found.problem(left.problem(id, source, tokens));
    }
    found.mends.extend(left_open.iter().map(|left| Mend::insert(left.close_at, "}\n")));
    found
}

struct LeftOpen {
    /// Index of the `{`.
    open: usize,
    /// The byte where its `}` is missing.
    close_at: usize,
    /// The token that shows that the block ended before.
    seen_at: Option<usize>,
}

impl LeftOpen {
    fn problem(&self, id: SourceId, source: &str, tokens: &[Token]) -> Problem {
        let open = tokens[self.open];
        let at = Place::new(id, open.start, open.end);
        let message = format!("the block of {} is left open", block_name(source, tokens, self.open));
        let mut problem = Problem::error("L007", at, message).label("opened here, never closed");
        if let Some(seen) = self.seen_at.map(|index| tokens[index]) {
            problem = problem
                .related(Place::new(id, seen.start, seen.end), "by its indentation, this stands outside of the block");
        }
        problem.help("add the missing `}`")
    }
}

/// The blocks that lines with less indentation show to be open. `None`: the text is not indented in a way that says so.
fn left_open_by_indentation(source: &str, tokens: &[Token]) -> Option<Vec<LeftOpen>> {
    let mut left = Vec::new();
    // Every open block: its `{` and the indentation of its line.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut line_indent = 0;
    let mut line = 0;
    let mut block_lines: Vec<usize> = Vec::new();
    let mut last_end = 0;
    let mut line_start = 0;
    for (index, token) in tokens.iter().enumerate() {
        let begun_at = line_start;
        if let Some(at) = token.text(source).rfind(is_newline) {
            line_start = token.start + at + 1;
        }
        if token.is_trivia() || token.kind == TokenKind::Newline {
            continue;
        }
        let is_first = last_end <= begun_at;
        if is_first {
            line_indent = token.start - begun_at;
            line = begun_at;
            while let (Some(&(brace, indent)), Some(&opened)) = (open.last(), block_lines.last()) {
                let closes_it = token.kind == TokenKind::Close && indent == line_indent;
                if opened == line || closes_it || line_indent > indent {
                    break;
                }
                left.push(LeftOpen { open: brace, close_at: last_end, seen_at: Some(index) });
                open.pop();
                block_lines.pop();
            }
        }
        match token.kind {
            TokenKind::Open => {
                open.push((index, line_indent));
                block_lines.push(line);
            }
            TokenKind::Close => {
                block_lines.pop();
                open.pop()?;
            }
            _ => {}
        }
        last_end = token.end;
    }
    while let Some((brace, _)) = open.pop() {
        left.push(LeftOpen { open: brace, close_at: last_end, seen_at: None });
    }
    Some(left)
}

fn end_of_last(tokens: &[Token]) -> usize {
    tokens
        .iter()
        .rev()
        .find(|token| !token.is_trivia() && token.kind != TokenKind::Newline)
        .map_or(0, |token| token.end)
}

/// The head of the node that a `{` belongs to, shortened: `` `step ca` ``.
fn block_name(source: &str, tokens: &[Token], open: usize) -> String {
    let head: Vec<&str> = tokens[..open]
        .iter()
        .rev()
        .take_while(|token| token.is_value() || token.kind == TokenKind::Equals || token.is_trivia())
        .filter(|token| token.is_value() || token.kind == TokenKind::Equals)
        .map(|token| token.text(source))
        .collect();
    let mut words = head.into_iter().rev();
    match (words.next(), words.next()) {
        (None, _) => "a node".into(),
        (Some(name), Some(id)) if id != "=" && words.next() != Some("=") => format!("`{name} {id}`"),
        (Some(name), _) => format!("`{name}`"),
    }
}
