//! The part of the parser that reads operands: literals, names, calls, lists, maps, and what follows them.

use std::ops::Range;

use super::ExprError;
use super::lex::TokenKind;
use super::parse::{Parser, RESERVED, out_of_range};
use super::tree::{Call, Comprehension, Kind, Macro, Node};

impl Parser<'_> {
    /// `.name`, `.name(…)` and `[…]` after a value.
    pub(super) fn members(&mut self, mut node: Node) -> Result<Node, ExprError> {
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

    pub(super) fn primary(&mut self) -> Result<Node, ExprError> {
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
