//! The part of the checker that looks at calls: whether the function exists, is called the right way, and gets what it takes.

use std::ops::Range;

use crate::diagnostic::nearest;

use super::check::Checker;
use super::evaluate::compile;
use super::functions::{self, Form, Function, Takes};
use super::tree::{Call, Kind, Macro, Node};
use super::types::Type;

pub fn call<'a>(checker: &mut Checker<'a>, call: &'a Call, range: &Range<usize>) -> Type {
    let nodes: Vec<&'a Node> = call.target.as_deref().into_iter().chain(&call.args).collect();
    let Some(function) = functions::by_name(&call.name) else {
        nodes.iter().for_each(|node| {
            checker.value(node);
        });
        return unknown(checker, call);
    };
    if function.takes.len() != nodes.len() || !function.may_be_called(call.target.is_some()) {
        nodes.iter().for_each(|node| {
            checker.value(node);
        });
        return wrong_call(checker, call, function, nodes.len(), range);
    }
    for (node, takes) in nodes.iter().zip(function.takes) {
        let ty = checker.value(node);
        if ty.has_secret() {
            checker.secret(&node.range);
        } else if !accepts(*takes, ty.present()) {
            let message = format!("`{}` takes {}, this is of type {ty}", function.name, takes.described());
            checker.report("L115", &node.range, message, Some(format!("write `{}`", function.usage())));
        }
    }
    literals(checker, function, &nodes);
    function.result()
}

fn unknown(checker: &mut Checker<'_>, call: &Call) -> Type {
    let as_member = call.target.is_some();
    let callable =
        functions::TABLE.iter().filter(|function| function.may_be_called(as_member)).map(|function| function.name);
    let macros = ["map", "filter", "all", "exists", "exists_one"].into_iter().filter(|_| as_member);
    let known: Vec<&str> = callable.chain(macros).collect();
    let help = match (nearest(&call.name, known.iter().copied()), Macro::by_name(&call.name)) {
        (Some(near), _) => format!("did you mean `{near}`?"),
        (None, Some(_)) => format!("write `list.{}(x, …)`", call.name),
        (None, None) => format!("there is: {}", known.join(", ")),
    };
    checker.report("L113", &call.at, format!("there is no function `{}`", call.name), Some(help));
    Type::Any
}

fn wrong_call(checker: &mut Checker<'_>, call: &Call, function: &Function, given: usize, range: &Range<usize>) -> Type {
    let message = match (function.may_be_called(call.target.is_some()), function.form) {
        (true, _) => {
            let own = usize::from(call.target.is_some());
            let (wanted, given) = (function.takes.len() - own, given - own);
            let noun = if wanted == 1 { "argument" } else { "arguments" };
            format!("`{}` takes {wanted} {noun}, not {given}", function.name)
        }
        (false, Form::Member) => format!("`{}` is called on its first argument", function.name),
        (false, _) => format!("`{}` is called by its name alone", function.name),
    };
    checker.report("L114", range, message, Some(format!("write `{}`", function.usage())));
    function.result()
}

fn accepts(takes: Takes, ty: &Type) -> bool {
    let is_text = |ty: &Type| matches!(ty, Type::String(_) | Type::Enum(_) | Type::Cluster | Type::Any);
    let is_scalar =
        |ty: &Type| is_text(ty) || matches!(ty, Type::Bool | Type::Int | Type::Float | Type::Version | Type::Network);
    match takes {
        Takes::Text => is_text(ty),
        Takes::TextOrNetwork => is_text(ty) || *ty == Type::Network,
        Takes::Scalar => is_scalar(ty),
        Takes::ListOfScalars => match ty {
            Type::List(items) => is_scalar(items.present()),
            other => *other == Type::Any,
        },
        Takes::List => matches!(ty, Type::List(_) | Type::Any),
        Takes::Sized => is_text(ty) || matches!(ty, Type::List(_) | Type::Map(_) | Type::Object(_)),
        Takes::Anything => true,
        Takes::Step => matches!(ty, Type::Step(_) | Type::Any),
    }
}

/// Arguments that are written out can be looked at now.
fn literals(checker: &mut Checker<'_>, function: &Function, nodes: &[&Node]) {
    let text = |index: usize| match nodes.get(index).map(|node| &node.kind) {
        Some(Kind::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let (index, why) = match function.name {
        "matches" => (1, text(1).and_then(|pattern| compile(pattern).err())),
        "semver" | "cidr" => {
            let Some(written) = text(0) else { return };
            (0, functions::apply(function, &[super::val::Val::Text(written.into())]).err())
        }
        _ => return,
    };
    if let Some(why) = why {
        checker.report("L115", &nodes[index].range, why, None);
    }
}
