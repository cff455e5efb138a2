//! Rewrites what a case expects, and leaves the rest of the file as it was: comments, order and blank lines are the author's.

use engine_core::diagnostic::Place;

use super::call::Happened;
use super::case::Case;
use super::judge::{self, Mismatch, Repair};
use super::kdl;

/// One change of a file's text: bytes `at` become `text`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub start: usize,
    pub end: usize,
    pub text: String,
}

/// What has to be changed so that the case expects what happened. A case that expects nothing yet learns all of it.
pub fn edits(text: &str, case: &Case, happened: &Happened, mismatches: &[Mismatch]) -> Vec<Edit> {
    let repairs = mismatches.iter().filter_map(|mismatch| mismatch.repair.as_ref());
    let mut edits: Vec<Edit> = repairs
        .map(|repair| match repair {
            Repair::Replace { at, text: new } => replaced(text, *at, new),
            Repair::Remove { at } => remove(text, *at),
        })
        .collect();
    if case.expected.is_empty() {
        let lines: Vec<String> = judge::answered(happened).iter().map(kdl::expectation).collect();
        edits.extend(append(text, case.at, &lines));
    }
    edits
}

/// The text with all edits made.
pub fn apply(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| std::cmp::Reverse((edit.start, edit.end)));
    let mut text = text.to_owned();
    for edit in edits {
        text.replace_range(edit.start..edit.end, &edit.text);
    }
    text
}

/// The white space before the first word of the line that a byte is in.
fn indent_at(text: &str, byte: usize) -> &str {
    let line = text[..byte].rfind('\n').map_or(0, |at| at + 1);
    let rest = &text[line..byte];
    &rest[..rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len())]
}

fn with_indent(new: &str, indent: &str) -> String {
    new.lines().collect::<Vec<_>>().join(&format!("\n{indent}"))
}

/// A node, written anew.
pub fn replaced(text: &str, at: Place, new: &str) -> Edit {
    let end = node_end(text, at);
    Edit { start: at.start, end, text: with_indent(new, indent_at(text, at.start)) }
}

/// Where the node's own text ends: without the line break that may belong to it.
fn node_end(text: &str, at: Place) -> usize {
    at.start + text[at.start..at.end].trim_end_matches(|c: char| c.is_whitespace() || c == ';').len()
}

/// With its line, when nothing else stands on it.
fn remove(text: &str, at: Place) -> Edit {
    let end = node_end(text, at);
    let line = text[..at.start].rfind('\n').map_or(0, |start| start + 1);
    let rest = text[end..].find('\n').map_or(text.len(), |found| end + found + 1);
    let is_alone = text[line..at.start].trim().is_empty() && text[end..rest].trim().is_empty();
    let (start, end) = if is_alone { (line, rest) } else { (at.start, end) };
    Edit { start, end, text: String::new() }
}

/// New nodes before the `}` that closes a node; a node without a block gets one.
pub fn append(text: &str, at: Place, nodes: &[String]) -> Option<Edit> {
    if nodes.is_empty() {
        return None;
    }
    let end = node_end(text, at);
    let outer = indent_at(text, at.start).to_owned();
    let inner = format!("{outer}    ");
    let lines: String = nodes.iter().map(|node| format!("{inner}{}\n", with_indent(node, &inner))).collect();
    if !text[at.start..end].ends_with('}') {
        return Some(Edit { start: end, end, text: format!(" {{\n{lines}{outer}}}") });
    }
    let close = end - 1;
    let line = text[..close].rfind('\n').map_or(0, |start| start + 1);
    // `case a { kind x }` on one line: the block is opened up before its end.
    Some(if text[line..close].trim().is_empty() {
        Edit { start: line, end: line, text: lines }
    } else {
        let kept = text[..close].trim_end().len();
        Edit { start: kept, end: close, text: format!("\n{lines}{outer}") }
    })
}
