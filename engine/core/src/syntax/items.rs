//! What stands on one node: values, `=` signs, and expressions that somebody wrote over several arguments.

use std::ops::Range;

use crate::diagnostic::Problem;

use super::mend::Mend;
use super::text;
use super::token::{Token, TokenKind};
use super::traps::Finder;
use super::tree::Scalar;

/// One argument, name, value or sign of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    pub kind: ItemKind,
    pub start: usize,
    pub end: usize,
    /// The token, when the item is one.
    pub token: Option<Token>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    Value,
    Equals,
    /// Two `=` side by side.
    DoubleEquals,
    /// `(…)`.
    Annotation,
}

const COMPARISONS: [&str; 9] = ["&&", "||", "!", "!=", ">", "<", ">=", "<=", "?"];
/// They join an expression that a comparison has shown to be one.
const JOINTS: [&str; 6] = ["+", "-", "*", "%", "/", ":"];

impl Finder<'_> {
    /// Joins what stands together without space.
    pub(super) fn items(&self, tokens: &[Token]) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::new();
        let mut annotation_from: Option<usize> = None;
        for token in tokens {
            let kind = match token.kind {
                TokenKind::Slashdash => continue,
                TokenKind::ParenOpen => {
                    annotation_from = Some(token.start);
                    continue;
                }
                TokenKind::ParenClose => match annotation_from.take() {
                    Some(start) => {
                        items.retain(|item| item.start < start);
                        items.push(Item { kind: ItemKind::Annotation, start, end: token.end, token: None });
                        continue;
                    }
                    None => ItemKind::Value,
                },
                TokenKind::Equals => ItemKind::Equals,
                _ => ItemKind::Value,
            };
            match items.last_mut() {
                Some(last) if last.end == token.start && last.kind == kind && kind == ItemKind::Value => {
                    (last.end, last.token) = (token.end, None);
                }
                Some(last) if last.end == token.start && last.kind == ItemKind::Equals && kind == ItemKind::Equals => {
                    (last.end, last.kind) = (token.end, ItemKind::DoubleEquals);
                }
                _ => items.push(Item { kind, start: token.start, end: token.end, token: Some(*token) }),
            }
        }
        items
    }

    fn written(&self, item: &Item) -> &str {
        &self.source[item.start..item.end]
    }

    fn is_comparison(&self, items: &[Item], index: usize) -> bool {
        let item = &items[index];
        match item.kind {
            ItemKind::DoubleEquals => true,
            ItemKind::Value => {
                item.token.is_some_and(|token| token.kind == TokenKind::Word)
                    && COMPARISONS.contains(&self.written(item))
            }
            ItemKind::Equals | ItemKind::Annotation => false,
        }
    }

    /// `>` and `=` side by side are one sign.
    fn is_tail_of_sign(&self, items: &[Item], index: usize) -> bool {
        index > 0
            && items[index].kind == ItemKind::Equals
            && items[index - 1].end == items[index].start
            && self.is_comparison(items, index - 1)
    }

    fn is_sign(&self, items: &[Item], index: usize) -> bool {
        let is_joint = items[index].kind == ItemKind::Value && JOINTS.contains(&self.written(&items[index]));
        is_joint || self.is_comparison(items, index) || self.is_tail_of_sign(items, index)
    }

    /// Expressions written without quotes over several arguments: `when a && b`. Gives the items that each takes.
    pub(super) fn expressions(&mut self, items: &[Item]) -> Vec<Range<usize>> {
        let mut taken: Vec<Range<usize>> = Vec::new();
        for index in 1..items.len() {
            if taken.last().is_some_and(|range| range.end > index) || !self.is_comparison(items, index) {
                continue;
            }
            let floor = taken.last().map_or(1, |range| range.end);
            let mut start = index;
            while start > floor
                && items[start - 1].kind == ItemKind::Value
                && (self.is_sign(items, start) || self.is_sign(items, start - 1))
            {
                start -= 1;
            }
            let mut end = index + 1;
            while end < items.len()
                && items[end].kind != ItemKind::Annotation
                && (self.is_sign(items, end) || self.is_sign(items, end - 1))
            {
                end += 1;
            }
            let sign_end = if index + 1 < end && self.is_tail_of_sign(items, index + 1) {
                items[index + 1].end
            } else {
                items[index].end
            };
            self.expression(items[start].start..items[end - 1].end, items[index].start..sign_end);
            taken.push(start..end);
        }
        taken
    }

    fn expression(&mut self, whole: Range<usize>, sign: Range<usize>) {
        let written = &self.source[whole.clone()];
        let at = self.place(whole.clone());
        let sign_text = &self.source[sign.clone()];
        let mut problem =
            Problem::error("L013", self.place(sign), format!("KDL takes `{sign_text}` for an argument of its own"))
                .label("part of an expression")
                .related(at, "the whole expression needs quotes");
        problem = if written.contains('"') {
            problem.help("put the whole expression in one pair of quotes; strings inside it are written with '…'")
        } else {
            problem.help(format!("write {}", text::quoted(written))).fix(at, text::quoted(written))
        };
        let meaning = Scalar::Text(text::bare(self.source, whole.clone()));
        self.report(problem, Mend::value(whole, meaning));
    }

    pub(super) fn stray_comparison(&mut self, item: &Item) {
        let problem = Problem::error("L013", self.place(item.start..item.end), "KDL takes `==` for two `=`")
            .label("part of an expression")
            .help("put the whole expression in quotes");
        self.report(problem, Mend::remove(item.start..item.end));
    }
}
