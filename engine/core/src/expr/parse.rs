//! From a text to a tree: the grammar of CEL, by precedence.
//!
//! Depth is bounded while reading, so that no text overflows a stack here or in any later walk. Why the parser is ours is in
//! docs/decisions/0003-cel-bounds.md.

use std::ops::Range;

use crate::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX};

use super::ExprError;
use super::lex::{Token, TokenKind, tokens};
use super::tree::{Kind, Node, Operator};

/// Words that CEL keeps for itself; none can be a name, though fields may be called so.
pub(super) const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

pub fn parse(text: &str) -> Result<Node, ExprError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        let message = format!("the expression has {} bytes, at most {EXPRESSION_BYTES_MAX} are read", text.len());
        return Err(ExprError::new("L102", 0..text.len(), message).help("put the data into an input or a file"));
    }
    if let Some(path) = plain_path(text) {
        return Ok(path);
    }
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0, depth: 0 };
    if parser.peek() == &TokenKind::End {
        return Err(
            ExprError::syntax(0..text.len(), "the expression is empty").help("write a value, such as `inputs.name`")
        );
    }
    let node = parser.expression()?;
    match parser.peek() {
        TokenKind::End => Ok(node),
        _ => Err(parser.unexpected()),
    }
}

/// `root.address`: the most frequent expression by far needs no tokens.
fn plain_path(text: &str) -> Option<Node> {
    let mut node: Option<Node> = None;
    let mut at = 0;
    for name in text.split('.') {
        let is_word = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !matches!(name, "true" | "false" | "null" | "in");
        if !is_word {
            return None;
        }
        let end = at + name.len();
        node = Some(match node {
            None if RESERVED.contains(&name) => return None,
            None => Node::new(Kind::Name(name.to_owned()), at..end),
            Some(of) if of.height >= EXPRESSION_DEPTH_MAX => return None,
            Some(of) => Node::new(Kind::Field { of: Box::new(of), name: name.to_owned(), at: at..end }, 0..end),
        });
        at = end + 1;
    }
    node
}

pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    pub(super) at: usize,
    depth: usize,
}

impl Parser<'_> {
    pub(super) fn peek(&self) -> &TokenKind {
        &self.tokens[self.at].kind
    }

    pub(super) fn range(&self) -> Range<usize> {
        self.tokens[self.at].range.clone()
    }

    /// Where the token before this one ended.
    pub(super) fn last_end(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |before| self.tokens[before].range.end)
    }

    pub(super) fn takes(&mut self, sign: &'static str) -> bool {
        let is_it = *self.peek() == TokenKind::Sign(sign);
        self.at += usize::from(is_it);
        is_it
    }

    pub(super) fn expect(&mut self, sign: &'static str, opened: Range<usize>) -> Result<(), ExprError> {
        if self.takes(sign) {
            return Ok(());
        }
        if *self.peek() == TokenKind::End {
            let open = &self.text[opened.clone()];
            return Err(
                ExprError::syntax(opened, format!("`{open}` is not closed")).help(format!("add the missing `{sign}`"))
            );
        }
        let error = self.unexpected();
        let help = error.help.clone().unwrap_or_else(|| format!("a `{sign}` or `,` is missing before it"));
        Err(error.help(help))
    }

    pub(super) fn unexpected(&self) -> ExprError {
        let range = self.range();
        match self.peek() {
            TokenKind::End => {
                ExprError::syntax(range, "the expression ends too early").help("a value is missing at the end")
            }
            TokenKind::Name(name) => {
                let error = ExprError::syntax(range, format!("`{name}` cannot stand here"));
                match name.as_str() {
                    "and" => error.help("write `&&`"),
                    "or" => error.help("write `||`"),
                    "not" => error.help("write `!`"),
                    "is" => error.help("write `==`"),
                    _ => error.help("an operator or a comma is missing before it; text goes in quotes: 'like this'"),
                }
            }
            TokenKind::Sign(sign) => ExprError::syntax(range, format!("`{sign}` cannot stand here")),
            TokenKind::Int(_) | TokenKind::Float(_) | TokenKind::Text(_) => {
                let written = &self.text[range.clone()];
                ExprError::syntax(range, format!("`{written}` cannot stand here"))
                    .help("an operator or a comma is missing before it")
            }
        }
    }

    /// Makes a node, unless the tree gets deeper than it may.
    pub(super) fn node(&self, kind: Kind, start: usize) -> Result<Node, ExprError> {
        let node = Node::new(kind, start..self.last_end());
        if node.height > EXPRESSION_DEPTH_MAX { Err(too_deep(node.range)) } else { Ok(node) }
    }

    /// `or ('?' or ':' expression)?`
    pub(super) fn expression(&mut self) -> Result<Node, ExprError> {
        self.depth += 1;
        if self.depth > EXPRESSION_DEPTH_MAX / 2 {
            return Err(too_deep(self.range()));
        }
        let start = self.range().start;
        let mut node = self.chain("||")?;
        if self.takes("?") {
            let question = self.last_end() - 1..self.last_end();
            let yes = self.chain("||")?;
            if !self.takes(":") {
                return Err(match self.peek() {
                    TokenKind::End => ExprError::syntax(question, "the choice has no second value")
                        .help("write `condition ? if_true : if_false`"),
                    _ => self.unexpected(),
                });
            }
            let no = self.expression()?;
            let kind = Kind::Choice { condition: Box::new(node), yes: Box::new(yes), no: Box::new(no) };
            node = self.node(kind, start)?;
        }
        self.depth -= 1;
        Ok(node)
    }

    /// Terms joined by `||`, each of terms joined by `&&`.
    fn chain(&mut self, sign: &'static str) -> Result<Node, ExprError> {
        let start = self.range().start;
        let mut terms = Vec::new();
        loop {
            terms.push(if sign == "||" { self.chain("&&")? } else { self.binary(0)? });
            if !self.takes(sign) {
                break;
            }
        }
        if terms.len() > 1 {
            return self.node(if sign == "||" { Kind::Any(terms) } else { Kind::All(terms) }, start);
        }
        terms.pop().ok_or_else(|| self.unexpected())
    }

    fn operator(&self, level: usize) -> Option<Operator> {
        let sign = match self.peek() {
            TokenKind::Sign(sign) => sign,
            TokenKind::Name(name) if name == "in" => "in",
            _ => return None,
        };
        LEVELS[level].iter().copied().find(|operator| operator.sign() == sign)
    }

    /// Comparisons, then sums, then products.
    fn binary(&mut self, level: usize) -> Result<Node, ExprError> {
        if level == LEVELS.len() {
            return self.unary();
        }
        let start = self.range().start;
        let mut left = self.binary(level + 1)?;
        while let Some(operator) = self.operator(level) {
            let at = self.range();
            self.at += 1;
            let right = self.binary(level + 1)?;
            let kind = Kind::Binary { operator, left: Box::new(left), right: Box::new(right), at };
            left = self.node(kind, start)?;
        }
        Ok(left)
    }

    /// `!` and `-`, any number of them.
    fn unary(&mut self) -> Result<Node, ExprError> {
        let mut signs = Vec::new();
        while let TokenKind::Sign(sign @ ("!" | "-")) = *self.peek() {
            signs.push((sign, self.range().start));
            self.at += 1;
            if signs.len() > EXPRESSION_DEPTH_MAX {
                return Err(too_deep(self.range()));
            }
        }
        let mut node = match (signs.last(), self.peek()) {
            (Some(("-", start)), TokenKind::Int(magnitude)) => {
                let (start, magnitude) = (*start, *magnitude);
                signs.pop();
                let value = 0_i64.checked_sub_unsigned(magnitude);
                self.at += 1;
                let value = value.ok_or_else(|| out_of_range(start..self.last_end()))?;
                let node = self.node(Kind::Int(value), start)?;
                self.members(node)?
            }
            _ => {
                let primary = self.primary()?;
                self.members(primary)?
            }
        };
        for (sign, start) in signs.into_iter().rev() {
            let of = Box::new(node);
            node = self.node(if sign == "!" { Kind::Not(of) } else { Kind::Negate(of) }, start)?;
        }
        Ok(node)
    }
}

const LEVELS: [&[Operator]; 3] = [
    &[
        Operator::Equal,
        Operator::NotEqual,
        Operator::LessOrEqual,
        Operator::GreaterOrEqual,
        Operator::Less,
        Operator::Greater,
        Operator::In,
    ],
    &[Operator::Add, Operator::Subtract],
    &[Operator::Multiply, Operator::Divide, Operator::Remainder],
];

fn too_deep(range: Range<usize>) -> ExprError {
    ExprError::new("L102", range, format!("the expression is nested deeper than {EXPRESSION_DEPTH_MAX} levels"))
        .help("compute parts of it in a `value.set` step and use their names")
}

pub(super) fn out_of_range(range: Range<usize>) -> ExprError {
    ExprError::syntax(range, "the number is out of range").help("whole numbers have 64 bits")
}
