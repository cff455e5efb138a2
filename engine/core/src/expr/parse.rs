//! From a text to a tree: the grammar of CEL, by precedence.
//!
//! Depth is bounded while reading, so that no text overflows a stack here or in any later walk. Why the parser is ours is in
//! docs/decisions/0003-cel-bounds.md.

use std::ops::Range;

use crate::limits::{EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX};

use super::ExprError;
use super::lex::{Token, TokenKind, tokens};
use super::tree::{Call, Comprehension, Kind, Macro, Node, Operator};

/// Words that CEL keeps for itself; none can be a name, though fields may be called so.
const RESERVED: [&str; 17] = [
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

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> &TokenKind {
        &self.tokens[self.at].kind
    }

    fn range(&self) -> Range<usize> {
        self.tokens[self.at].range.clone()
    }

    /// Where the token before this one ended.
    fn last_end(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |before| self.tokens[before].range.end)
    }

    fn takes(&mut self, sign: &'static str) -> bool {
        let is_it = *self.peek() == TokenKind::Sign(sign);
        self.at += usize::from(is_it);
        is_it
    }

    fn expect(&mut self, sign: &'static str, opened: Range<usize>) -> Result<(), ExprError> {
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

    fn unexpected(&self) -> ExprError {
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
    fn node(&self, kind: Kind, start: usize) -> Result<Node, ExprError> {
        let node = Node::new(kind, start..self.last_end());
        if node.height > EXPRESSION_DEPTH_MAX { Err(too_deep(node.range)) } else { Ok(node) }
    }

    /// `or ('?' or ':' expression)?`
    fn expression(&mut self) -> Result<Node, ExprError> {
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

    /// `.name`, `.name(…)` and `[…]` after a value.
    fn members(&mut self, mut node: Node) -> Result<Node, ExprError> {
        let start = node.range.start;
        loop {
            if self.takes(".") {
                let at = self.range();
                let TokenKind::Name(name) = self.peek().clone() else {
                    return Err(match self.peek() {
                        TokenKind::Sign("?") => {
                            ExprError::syntax(at, "`.?` is not supported").help("write `has(a.b) ? a.b : …`")
                        }
                        _ => ExprError::syntax(at, "a field's name must follow the point")
                            .help("other keys than names are written in brackets: `a[\"b-c\"]`, `a[0]`"),
                    });
                };
                self.at += 1;
                node = if *self.peek() == TokenKind::Sign("(") {
                    let args = self.arguments()?;
                    let kind = self.member_call(node, name, at, args)?;
                    self.node(kind, start)?
                } else {
                    self.node(Kind::Field { of: Box::new(node), name, at }, start)?
                };
            } else if *self.peek() == TokenKind::Sign("[") {
                let opened = self.range();
                self.at += 1;
                let index = self.expression()?;
                self.expect("]", opened)?;
                node = self.node(Kind::Index { of: Box::new(node), index: Box::new(index) }, start)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn member_call(&self, target: Node, name: String, at: Range<usize>, args: Vec<Node>) -> Result<Kind, ExprError> {
        let Some(macro_) = Macro::by_name(&name) else {
            return Ok(Kind::Call(Call { name, at, target: Some(Box::new(target)), args }));
        };
        let usage = || {
            let three = if macro_ == Macro::Map { " (or a variable, a condition and an expression)" } else { "" };
            ExprError::new(
                "L114",
                at.clone(),
                format!("`{name}` takes a variable and an expression{three}, not {}", arguments(args.len())),
            )
            .help(format!("write `list.{name}(x, …)`"))
        };
        let (condition, variable, body) = match (<[Node; 2]>::try_from(args.clone()), macro_) {
            (Ok([variable, body]), _) => (None, variable, body),
            (Err(args), Macro::Map) => match <[Node; 3]>::try_from(args) {
                Ok([variable, condition, body]) => (Some(condition), variable, body),
                Err(_) => return Err(usage()),
            },
            (Err(_), _) => return Err(usage()),
        };
        let Kind::Name(variable) = variable.kind else {
            return Err(ExprError::new(
                "L114",
                variable.range,
                format!("the first argument of `{name}` is the name of a variable"),
            )
            .help(format!("write `list.{name}(x, …)` and use `x` in the second argument")));
        };
        Ok(Kind::Comprehension(Box::new(Comprehension { macro_, over: target, variable, condition, body })))
    }

    /// From the opening bracket to the closing one.
    fn arguments(&mut self) -> Result<Vec<Node>, ExprError> {
        let opened = self.range();
        self.at += 1;
        let mut args = Vec::new();
        if self.takes(")") {
            return Ok(args);
        }
        loop {
            args.push(self.expression()?);
            if !self.takes(",") {
                break;
            }
        }
        self.expect(")", opened)?;
        Ok(args)
    }

    fn primary(&mut self) -> Result<Node, ExprError> {
        let range = self.range();
        let kind = match self.peek().clone() {
            TokenKind::Name(name) => return self.name(name),
            TokenKind::Int(magnitude) => Kind::Int(i64::try_from(magnitude).map_err(|_| out_of_range(range.clone()))?),
            TokenKind::Float(number) => Kind::Float(number),
            TokenKind::Text(text) => Kind::Text(text),
            TokenKind::Sign("(") => {
                self.at += 1;
                let inner = self.expression()?;
                self.expect(")", range.clone())?;
                // The brackets belong to the place, so that what is marked is what was written.
                return Ok(Node { range: range.start..self.last_end(), ..inner });
            }
            TokenKind::Sign("[") => return self.list(),
            TokenKind::Sign("{") => return self.map(),
            TokenKind::Sign(_) | TokenKind::End => return Err(self.unexpected()),
        };
        self.at += 1;
        self.node(kind, range.start)
    }

    fn name(&mut self, name: String) -> Result<Node, ExprError> {
        let at = self.range();
        let kind = match name.as_str() {
            "null" => Kind::Null,
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            "in" => return Err(self.unexpected()),
            word if RESERVED.contains(&word) => {
                return Err(ExprError::syntax(at, format!("`{word}` is a reserved word and no name"))
                    .help("text goes in quotes: 'like this'"));
            }
            _ => {
                self.at += 1;
                if *self.peek() != TokenKind::Sign("(") {
                    if *self.peek() == TokenKind::Sign("{") {
                        return Err(ExprError::syntax(self.range(), "records of a named type do not exist")
                            .help("a map is written `{'key': value}`"));
                    }
                    return self.node(Kind::Name(name), at.start);
                }
                let args = self.arguments()?;
                let kind = if name == "has" {
                    has(args, &at)?
                } else {
                    Kind::Call(Call { name, at: at.clone(), target: None, args })
                };
                return self.node(kind, at.start);
            }
        };
        self.at += 1;
        self.node(kind, at.start)
    }

    fn list(&mut self) -> Result<Node, ExprError> {
        let opened = self.range();
        self.at += 1;
        let mut items = Vec::new();
        while *self.peek() != TokenKind::Sign("]") {
            items.push(self.expression()?);
            if !self.takes(",") {
                break;
            }
        }
        self.expect("]", opened.clone())?;
        self.node(Kind::List(items), opened.start)
    }

    fn map(&mut self) -> Result<Node, ExprError> {
        let opened = self.range();
        self.at += 1;
        let mut entries = Vec::new();
        while *self.peek() != TokenKind::Sign("}") {
            let key = self.expression()?;
            if !self.takes(":") {
                return Err(match self.peek() {
                    TokenKind::End => {
                        ExprError::syntax(opened, "`{` is not closed").help("a map is written `{'key': value}`")
                    }
                    _ => self.unexpected().help("a map is written `{'key': value}`"),
                });
            }
            entries.push((key, self.expression()?));
            if !self.takes(",") {
                break;
            }
        }
        self.expect("}", opened.clone())?;
        self.node(Kind::Map(entries), opened.start)
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

fn has(args: Vec<Node>, at: &Range<usize>) -> Result<Kind, ExprError> {
    let count = args.len();
    match <[Node; 1]>::try_from(args) {
        Ok([Node { kind: Kind::Field { of, name, at }, .. }]) => Ok(Kind::Has { of, name, at }),
        Ok([other]) => Err(ExprError::new("L114", other.range, "`has` asks for a field of something")
            .help("write `has(a.b)`; for a key: `'k' in a`")),
        Err(_) => Err(ExprError::new("L114", at.clone(), format!("`has` takes one argument, not {count}"))
            .help("write `has(a.b)`")),
    }
}

fn arguments(count: usize) -> String {
    match count {
        0 => "nothing".into(),
        1 => "one argument".into(),
        n => format!("{n} arguments"),
    }
}

fn too_deep(range: Range<usize>) -> ExprError {
    ExprError::new("L102", range, format!("the expression is nested deeper than {EXPRESSION_DEPTH_MAX} levels"))
        .help("compute parts of it in a `value.set` step and use their names")
}

fn out_of_range(range: Range<usize>) -> ExprError {
    ExprError::syntax(range, "the number is out of range").help("whole numbers have 64 bits")
}
