//! Strings with `${…}` in them. Only quoted strings are read so: what a value contains is never looked at again, so that no
//! value can bring an expression in.

use std::ops::Range;

use steps_sdk::Value;

use crate::limits::VALUE_BYTES_MAX;

use super::evaluate::evaluate_text;
use super::references::Segment;
use super::{EvalError, Expr, ExprError, PathRef, Scope, Type, TypeProblem, Values};

/// A string that was taken apart. Ranges count bytes from the start of the string's value.
#[derive(Debug, Clone)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
pub enum Part {
    /// Literal text, `$${` already made `${`.
    Literal(String),
    Expr {
        expr: Expr,
        /// Of the expression alone, without `${` and `}`.
        range: Range<usize>,
    },
}

impl Template {
    pub fn parse(text: &str) -> Result<Template, ExprError> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut at = 0;
        while let Some(dollar) = text[at..].find("${").map(|offset| at + offset) {
            // `$${` is the text `${`; any other `$` stands for itself.
            if text[at..dollar].ends_with('$') {
                literal.push_str(&text[at..dollar - 1]);
                literal.push_str("${");
                at = dollar + 2;
                continue;
            }
            literal.push_str(&text[at..dollar]);
            let start = dollar + 2;
            let end = closing_brace(text, start).ok_or_else(|| {
                ExprError::new("L103", dollar..start, "`${` is not closed")
                    .help("close the expression with `}`; the text `${` itself is written `$${`")
            })?;
            let expr = Expr::parse(&text[start..end]).map_err(|error| error.moved(start))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(Part::Expr { expr, range: start..end });
            at = end + 1;
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        Ok(Template { parts })
    }

    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The text, when there is no expression in it.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The expression, when the string is nothing else: then its value keeps its type.
    pub fn single(&self) -> Option<&Expr> {
        match self.parts.as_slice() {
            [Part::Expr { expr, .. }] => Some(expr),
            _ => None,
        }
    }

    fn exprs(&self) -> impl Iterator<Item = (&Expr, &Range<usize>)> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Expr { expr, range } => Some((expr, range)),
        })
    }

    /// References of all expressions, with ranges of the whole string.
    pub fn references(&self) -> Vec<PathRef> {
        let mut all = Vec::new();
        for (expr, range) in self.exprs() {
            all.extend(expr.references().into_iter().map(|path| moved_path(path, range.start)));
        }
        all
    }

    /// The type of the result and the problems, with ranges of the whole string.
    pub fn check(&self, scope: &Scope) -> (Type, Vec<TypeProblem>) {
        let mut problems = Vec::new();
        let is_single = self.single().is_some();
        let mut single = Type::TEXT;
        for (expr, range) in self.exprs() {
            let (ty, found) = expr.check(scope);
            let is_sound = found.is_empty();
            problems.extend(
                found.into_iter().map(|problem| TypeProblem { range: moved(&problem.range, range.start), ..problem }),
            );
            if is_single {
                single = ty;
            } else if is_sound && let Some((code, message, help)) = unfit_for_text(&ty) {
                problems.push(TypeProblem { code, message, range: range.clone(), help: Some(help.into()) });
            }
        }
        (single, problems)
    }

    pub fn evaluate(&self, values: &Values<'_>) -> Result<Value, EvalError> {
        let place = |error: EvalError, start: usize| EvalError {
            range: error.range.map(|range| moved(&range, start)),
            ..error
        };
        if let (Some(expr), Some((_, range))) = (self.single(), self.exprs().next()) {
            return expr.evaluate(values).map_err(|error| place(error, range.start));
        }
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Expr { expr, range } => {
                    text.push_str(&evaluate_text(expr.node(), values).map_err(|error| place(error, range.start))?);
                }
            }
            if text.len() > VALUE_BYTES_MAX {
                return Err(EvalError::too_large());
            }
        }
        Ok(Value::String(text))
    }
}

/// The `}` that ends the expression which begins at `start`: strings and braces inside it are stepped over.
fn closing_brace(text: &str, start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut rest = text[start..].char_indices().peekable();
    while let Some((offset, c)) = rest.next() {
        match c {
            '"' | '\'' => {
                let is_raw = text[..start + offset].ends_with(['r', 'R']) && offset > 0;
                skip_text(&text[start + offset..], c, is_raw)
                    .map(|len| while rest.next_if(|(at, _)| *at < offset + len).is_some() {})?;
            }
            '{' => depth += 1,
            '}' if depth == 0 => return Some(start + offset),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The length of the string that `rest` begins with.
fn skip_text(rest: &str, quote: char, is_raw: bool) -> Option<usize> {
    let triple = quote.to_string().repeat(3);
    let close = if rest.starts_with(&triple) { triple } else { quote.to_string() };
    let mut at = close.len();
    loop {
        let left = &rest[at..];
        if left.starts_with(&close) {
            return Some(at + close.len());
        }
        let mut chars = left.chars();
        let c = chars.next()?;
        at += c.len_utf8();
        if c == '\\' && !is_raw {
            at += chars.next()?.len_utf8();
        }
    }
}

/// Why a value of this type cannot stand inside a text.
fn unfit_for_text(ty: &Type) -> Option<(&'static str, String, &'static str)> {
    if ty.has_secret() {
        let message = "a secret cannot be put into a text".to_owned();
        return Some(("L116", message, "pass it on as a whole, to a place that takes a secret"));
    }
    let help = match ty.present() {
        Type::List(_) => {
            "join its elements: `join(list, ', ')`; or leave the quotes to the expression alone to keep the list"
        }
        Type::Map(_) | Type::Object(_) => {
            "name one of its fields; or let the string be nothing but the expression to keep the map"
        }
        Type::Null => "null has no text; write `a == null ? '' : a`",
        _ => return None,
    };
    Some(("L121", format!("a value of type {ty} cannot stand in a text"), help))
}

fn moved(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

fn moved_path(mut path: PathRef, by: usize) -> PathRef {
    path.range = moved(&path.range, by);
    for segment in &mut path.segments {
        if let Segment::Dynamic(range) = segment {
            *range = moved(range, by);
        }
    }
    path
}
