//! The part of the checker that looks at operators: which types go together, and what comes of them.

use std::ops::Range;

use crate::diagnostic::nearest;

use super::check::Checker;
use super::tree::{Kind, Node, Operator};
use super::types::Type;

impl<'a> Checker<'a> {
    pub(super) fn binary(&mut self, operator: Operator, left: &'a Node, right: &'a Node, at: &Range<usize>) -> Type {
        if operator == Operator::Subtract
            && let Some(ty) = self.hyphenated(left, right)
        {
            return ty;
        }
        let (l, r) = (self.value(left), self.value(right));
        for (ty, node) in [(&l, left), (&r, right)] {
            if ty.has_secret() {
                return self.secret(&node.range);
            }
        }
        match operator {
            Operator::Equal | Operator::NotEqual => self.equality(operator, (left, &l), (right, &r), at),
            Operator::In => self.membership(&l, &r, right),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                if !is_ordered(l.present(), r.present()) {
                    self.do_not_go(operator, &l, &r, at);
                }
                Type::Bool
            }
            Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => {
                match calculated(operator, l.present(), r.present()) {
                    Some(ty) => ty,
                    None => self.do_not_go(operator, &l, &r, at),
                }
            }
        }
    }

    /// `inputs.front-proxy`: a field with a hyphen, which reads as a difference.
    fn hyphenated(&mut self, left: &'a Node, right: &Node) -> Option<Type> {
        let (Kind::Field { of, name, at }, Kind::Name(tail)) = (&left.kind, &right.kind) else { return None };
        let known = self.problems.len();
        let owner = self.node(of);
        self.problems.truncate(known);
        let fields = match owner.present() {
            Type::Object(fields) => fields,
            Type::Step(outputs) => match outputs.as_ref() {
                Type::Object(fields) => fields,
                _ => return None,
            },
            _ => return None,
        };
        let whole = format!("{name}-{tail}");
        let field = fields.iter().find(|field| field.name == whole)?;
        let help = format!("a name with a hyphen is written in brackets: [\"{whole}\"]");
        self.report(
            "L111",
            &(at.start..right.range.end),
            format!("`{whole}` is read as `{name}` minus `{tail}`"),
            Some(help),
        );
        Some(field.ty.clone())
    }

    /// Values of types that have nothing in common are never equal: a slip, not a question.
    fn equality(&mut self, operator: Operator, left: (&Node, &Type), right: (&Node, &Type), at: &Range<usize>) -> Type {
        let always = if operator == Operator::Equal { "false" } else { "true" };
        for ((node, _), (_, other)) in [(left, right), (right, left)] {
            if let (Kind::Text(word), Type::Enum(words)) = (&node.kind, other.present())
                && !words.contains(word)
            {
                let help = match nearest(word, words.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean '{near}'?"),
                    None => format!("it is one of: {}", words.join(", ")),
                };
                self.report(
                    "L119",
                    &node.range,
                    format!("'{word}' is not one of the values, so this is always {always}"),
                    Some(help),
                );
                return Type::Bool;
            }
        }
        let (l, r) = (left.1, right.1);
        let may_be = |a: &Type, b: &Type| a.accepts(b) || b.accepts(a);
        let are_null = *l == Type::Null || *r == Type::Null;
        if !may_be(l, r) && !are_null {
            let message = format!("{l} and {r} are never equal, so this is always {always}");
            self.report("L119", at, message, Some("compare values of one type; `int()` and `string()` convert".into()));
        }
        Type::Bool
    }

    fn membership(&mut self, part: &Type, whole: &Type, node: &Node) -> Type {
        match whole.present() {
            Type::Any | Type::Object(_) => {}
            Type::List(items) => {
                if !items.accepts(part) && !part.accepts(items) {
                    let message = format!("the list has elements of type {items}, never one of type {part}");
                    self.report("L119", &node.range, message, None);
                }
            }
            Type::Map(_) => {
                if !Type::TEXT.accepts(part) {
                    self.report("L119", &node.range, format!("keys are strings, never of type {part}"), None);
                }
            }
            other => {
                let message = format!("`in` looks into a list or a map, this is of type {other}");
                let help = "whether a text is in another: `text.contains('part')`";
                self.report("L112", &node.range, message, Some(help.into()));
            }
        }
        Type::Bool
    }

    fn do_not_go(&mut self, operator: Operator, left: &Type, right: &Type, at: &Range<usize>) -> Type {
        let help = match (operator, left.present(), right.present()) {
            (Operator::Add, Type::String(_) | Type::Enum(_), _)
            | (Operator::Add, _, Type::String(_) | Type::Enum(_)) => {
                "make a text of the other with `string()`, or write \"${a}${b}\""
            }
            (Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual, ..) => {
                "numbers, strings and versions have an order; versions are compared with `semver(a) < semver(b)`"
            }
            (_, Type::Int, Type::Float) | (_, Type::Float, Type::Int) => {
                "convert one of them with `double()` or `int()`"
            }
            _ => "it takes numbers; `+` also joins two strings or two lists",
        };
        let message = format!("`{}` does not go with {left} and {right}", operator.sign());
        self.report("L112", at, message, Some(help.into()));
        Type::Any
    }

    pub(super) fn operand(&mut self, sign: &str, ty: &Type, node: &Node, wanted: &str) -> Type {
        if ty.has_secret() {
            return self.secret(&node.range);
        }
        self.report("L112", &node.range, format!("`{sign}` takes {wanted}, this is of type {ty}"), None);
        Type::Any
    }
}

/// Whether two types have an order between them; what may turn out so counts.
fn is_ordered(left: &Type, right: &Type) -> bool {
    match (left, right) {
        (Type::Any, Type::Any) => true,
        (Type::Any, other) | (other, Type::Any) => {
            matches!(other, Type::Bool | Type::Int | Type::Float | Type::String(_) | Type::Enum(_) | Type::Version)
        }
        (Type::Int | Type::Float, Type::Int | Type::Float) => true,
        (Type::String(_) | Type::Enum(_), Type::String(_) | Type::Enum(_)) => true,
        (Type::Bool, Type::Bool) | (Type::Version, Type::Version) => true,
        _ => false,
    }
}

/// The type of a sum or product; `None`: it has none.
fn calculated(operator: Operator, left: &Type, right: &Type) -> Option<Type> {
    let adds = operator == Operator::Add;
    match (left, right) {
        (Type::Any, Type::Any) => Some(Type::Any),
        (Type::Any, Type::Int | Type::Float) | (Type::Int | Type::Float, Type::Any) => Some(Type::Any),
        (Type::Any, Type::String(_) | Type::Enum(_)) | (Type::String(_) | Type::Enum(_), Type::Any) if adds => {
            Some(Type::TEXT)
        }
        (Type::Any, Type::List(_)) | (Type::List(_), Type::Any) if adds => Some(Type::List(Box::new(Type::Any))),
        (Type::Int, Type::Int) => Some(Type::Int),
        (Type::Float, Type::Float) if operator != Operator::Remainder => Some(Type::Float),
        (Type::String(_) | Type::Enum(_), Type::String(_) | Type::Enum(_)) if adds => Some(Type::TEXT),
        (Type::List(a), Type::List(b)) if adds => {
            Some(Type::List(Box::new(a.as_ref().clone().common(b.as_ref().clone()))))
        }
        _ => None,
    }
}
