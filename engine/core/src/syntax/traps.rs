//! What KDL accepts and nobody means, and what KDL refuses in words that do not help: the traps of docs/language.md, found in the
//! tokens, before the parser. Each gives a problem on the offending token and a replacement, so that the rest is read.
//!
//! What can be seen only in the tree (properties given twice, words like `yes`) is in [`super::meaning`].

use std::ops::Range;

use crate::diagnostic::{Place, Problem, SourceId};

use super::items::{Item, ItemKind};
use super::mend::Mend;
use super::token::{Token, TokenKind, is_forbidden};
use super::words::{self, Role};

/// Problems, and what to replace so that the parser can read on.
#[derive(Default)]
pub struct Findings {
    pub problems: Vec<Problem>,
    pub mends: Vec<Mend>,
}

/// More problems than a person reads; a text of nothing but mistakes must not fill the memory.
pub const PROBLEMS_MAX: usize = 200;

impl Findings {
    pub fn problem(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    fn report(&mut self, problem: Problem, mend: Mend) {
        self.problem(problem);
        self.mends.push(mend);
    }
}

pub fn find(id: SourceId, source: &str, tokens: &[Token]) -> Findings {
    let mut finder = Finder { id, source, found: Findings::default() };
    finder.forbidden_characters(tokens);
    finder.comments(tokens);
    let significant: Vec<Token> = tokens.iter().filter(|token| !token.is_trivia()).copied().collect();
    let moved = finder.block_starts(tokens);
    let joined: Vec<Token> =
        significant.iter().filter(|token| !moved.iter().any(|gap| gap.contains(&token.start))).copied().collect();
    finder.lone_blocks(&joined);
    let mut start = 0;
    for (index, token) in significant.iter().enumerate() {
        if ends_node(token.kind) {
            finder.node(&significant[start..index], follows_block(&significant, start), token.kind == TokenKind::Open);
            start = index + 1;
        }
    }
    finder.node(&significant[start..], follows_block(&significant, start), false);
    finder.found
}

fn ends_node(kind: TokenKind) -> bool {
    matches!(kind, TokenKind::Newline | TokenKind::Semicolon | TokenKind::Open | TokenKind::Close)
}

fn follows_block(tokens: &[Token], start: usize) -> bool {
    start > 0 && tokens[start - 1].kind == TokenKind::Close
}

pub(super) struct Finder<'a> {
    id: SourceId,
    pub(super) source: &'a str,
    found: Findings,
}

impl Finder<'_> {
    pub(super) fn place(&self, range: Range<usize>) -> Place {
        Place::new(self.id, range.start, range.end)
    }

    pub(super) fn report(&mut self, problem: Problem, mend: Mend) {
        self.found.report(problem, mend);
    }

    fn forbidden_characters(&mut self, tokens: &[Token]) {
        let start = if self.source.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        for (offset, c) in self.source[start..].char_indices().filter(|(_, c)| is_forbidden(*c)) {
            let at = start + offset..start + offset + c.len_utf8();
            let problem = Problem::error(
                "L005",
                self.place(at),
                format!("the invisible character U+{:04X} is not allowed", c as u32),
            )
            .label("stands here")
            .help(format!("take it out; inside a string it can be written `\\u{{{:x}}}`", c as u32));
            self.found.problem(problem);
        }
        let in_comments = tokens
            .iter()
            .filter(|token| token.kind == TokenKind::LineComment && token.text(self.source).contains(is_forbidden));
        self.found.mends.extend(in_comments.map(|token| Mend::remove(token.start..token.end)));
    }

    /// The parser recurses once for every `*` and `/` of a block comment, so it is given none.
    fn comments(&mut self, tokens: &[Token]) {
        for token in tokens {
            if let TokenKind::BlockComment { is_closed, .. } = token.kind {
                self.found.mends.push(Mend::remove(token.start..token.end));
                if !is_closed {
                    let problem =
                        Problem::error("L029", self.place(token.start..token.start + 2), "the comment is not closed")
                            .label("opened here")
                            .help("close it with `*/`; comments nest, so each `/*` inside needs its own");
                    self.found.problem(problem);
                }
            }
        }
    }

    /// `{` at the start of a line: KDL takes it for a node without a name. Gives what stands between it and its node.
    fn block_starts(&mut self, tokens: &[Token]) -> Vec<Range<usize>> {
        let mut gaps = Vec::new();
        for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == TokenKind::Open) {
            let is_between = |token: &Token| token.is_trivia() || token.kind == TokenKind::Newline;
            let Some(before) = tokens[..index].iter().rposition(|token| !is_between(token)) else { continue };
            let (head, between) = (tokens[before], &tokens[before + 1..index]);
            if !head.is_value() || between.iter().all(Token::is_trivia) {
                continue;
            }
            let mut problem =
                Problem::error("L024", self.place(token.start..token.end), "the block begins on a line of its own")
                    .label("KDL takes it for a node without a name")
                    .help("write `{` at the end of the line above");
            if !between.iter().any(Token::is_trivia) {
                problem = problem.fix(self.place(head.end..token.start), " ");
            }
            self.report(problem, Mend::remove(head.end..token.start));
            gaps.push(head.end..token.start);
        }
        gaps
    }

    /// `{` that belongs to no node, or is the second of one. Nothing of such a block is read.
    fn lone_blocks(&mut self, tokens: &[Token]) {
        // Every open block: where it begins, whether it is commented out, whether it belongs to no node.
        let mut open: Vec<(usize, bool, bool)> = Vec::new();
        let mut closed_is_slashed = false;
        for (index, token) in tokens.iter().enumerate() {
            match token.kind {
                TokenKind::Open => {
                    let is_slashed = index > 0 && tokens[index - 1].kind == TokenKind::Slashdash;
                    let owner = tokens[..index]
                        .iter()
                        .rev()
                        .find(|token| token.kind != TokenKind::Slashdash)
                        .map(|token| token.kind);
                    let message = match owner {
                        None | Some(TokenKind::Newline | TokenKind::Semicolon | TokenKind::Open) => {
                            Some("this block belongs to no node")
                        }
                        Some(TokenKind::Close) if !is_slashed && !closed_is_slashed => Some("a node has one block"),
                        Some(_) => None,
                    };
                    if let Some(message) = message {
                        let at = self.place(token.start..token.end);
                        let problem = Problem::error("L006", at, message)
                            .label("not read")
                            .help("write a name before it: `name { … }`");
                        self.found.problem(problem);
                    }
                    open.push((token.start, is_slashed, message.is_some()));
                }
                TokenKind::Close => {
                    let Some((start, is_slashed, is_lone)) = open.pop() else { continue };
                    closed_is_slashed = is_slashed;
                    if is_lone {
                        self.found.mends.push(Mend::remove(start..token.end));
                    }
                }
                _ => {}
            }
        }
    }

    /// One node: its name and what stands on it, up to its block or its end.
    fn node(&mut self, tokens: &[Token], follows_block: bool, is_before_block: bool) {
        if follows_block {
            self.missing_break(tokens);
        }
        self.slashdashes(tokens, is_before_block);
        let items = self.items(tokens);
        let items = self.annotations(items);
        let expressions = self.expressions(&items);
        for (index, item) in items.iter().enumerate() {
            if expressions.iter().any(|range| range.contains(&index)) {
                continue;
            }
            let next = items.get(index + 1).map(|next| next.kind);
            match item.kind {
                ItemKind::Value => {
                    let is_name = index == 0 || next == Some(ItemKind::Equals);
                    self.value(item, if is_name { Role::Name } else { Role::Value });
                }
                ItemKind::Equals => self.equals(&items, index),
                ItemKind::DoubleEquals => self.stray_comparison(item),
                ItemKind::Annotation => {}
            }
        }
    }

    /// `a { } b`: a node goes on after its block.
    fn missing_break(&mut self, tokens: &[Token]) {
        let Some(first) = tokens.first().filter(|_| tokens.iter().any(Token::is_value)) else { return };
        let at = self.place(first.start..first.end);
        let before = self.place(first.start..first.start);
        let problem = Problem::error("L025", at, "a node stands on the line where a block ends")
            .label("begins a new node")
            .help("put it on a line of its own, or `;` before it")
            .fix(before, "; ");
        self.report(problem, Mend::insert(first.start, ";"));
    }

    /// `/-` that has nothing to take away.
    fn slashdashes(&mut self, tokens: &[Token], is_before_block: bool) {
        for (index, token) in tokens.iter().enumerate().filter(|(_, token)| token.kind == TokenKind::Slashdash) {
            let after_equals = index > 0 && tokens[index - 1].kind == TokenKind::Equals;
            let has_object = match tokens.get(index + 1) {
                Some(next) => next.is_value() || next.kind == TokenKind::ParenOpen,
                None => is_before_block,
            };
            if has_object && !after_equals {
                continue;
            }
            let at = self.place(token.start..token.end);
            let problem = Problem::error("L030", at, "`/-` takes nothing away here")
                .label("nothing follows that it could take")
                .help("write one `/-` before each node, value or block that is to be left out")
                .fix(at, "");
            self.report(problem, Mend::remove(token.start..token.end));
        }
    }

    /// `(u8)5`: the kinds of steps know their types.
    fn annotations(&mut self, items: Vec<Item>) -> Vec<Item> {
        for item in items.iter().filter(|item| item.kind == ItemKind::Annotation) {
            let at = self.place(item.start..item.end);
            let problem = Problem::error(
                "L027",
                at,
                format!("`{}` is a type annotation, which workflows do not have", &self.source[item.start..item.end]),
            )
            .label("not used")
            .help("take it out: every input already has a type")
            .fix(at, "");
            self.report(problem, Mend::remove(item.start..item.end));
        }
        items.into_iter().filter(|item| item.kind != ItemKind::Annotation).collect()
    }

    fn value(&mut self, item: &Item, role: Role) {
        let found = match item.token {
            Some(token) if token.is_value() => words::check(self.id, self.source, token, role),
            _ => Some(words::run_together(self.id, self.source, item.start..item.end)),
        };
        if let Some(found) = found {
            found.problems.into_iter().for_each(|problem| self.found.problem(problem));
            self.found.mends.push(found.mend);
        }
    }

    /// `a=`, `=b`, `a=b=c`, and `a=b` where a node begins.
    fn equals(&mut self, items: &[Item], index: usize) {
        let item = items[index];
        let is_value = |item: Option<&Item>| item.is_some_and(|item| item.kind == ItemKind::Value);
        let before = index.checked_sub(1).and_then(|before| items.get(before));
        let has_value = is_value(items.get(index + 1));
        let is_second = index >= 2 && items[index - 2].kind == ItemKind::Equals;
        let (message, help) = match (is_value(before), is_second) {
            (true, false) if index > 1 && has_value => return,
            (true, true) => ("a property has one value", "put the value in quotes if it contains `=`"),
            (true, false) if index == 1 => (
                "a property stands where the name of a node belongs",
                "write the node's name before it: `name key=value`",
            ),
            (true, false) => ("the value is missing after `=`", "write `name=value`; an empty text is `\"\"`"),
            (false, _) => ("the name is missing before `=`", "write `name=value`"),
        };
        let problem =
            Problem::error("L026", self.place(item.start..item.end), message).label("half a property").help(help);
        let start = before.filter(|_| !has_value && index > 1 && !is_second).map_or(item.start, |before| before.start);
        self.report(problem, Mend::remove(start..item.end));
    }
}
