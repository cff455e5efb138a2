//! Strings with `${…}`.

use serde_json::json;

use super::marked;
use crate::expr::{EvalErrorKind, Expr, Part, Scope, Template, Type, TypeField, Values};

fn parts(text: &str) -> Vec<String> {
    let template = Template::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    template
        .parts()
        .iter()
        .map(|part| match part {
            Part::Literal(literal) => literal.clone(),
            Part::Expr { expr, range } => {
                assert_eq!(&text[range.clone()], expr.text());
                format!("<{}>", expr.text())
            }
        })
        .collect()
}

#[test]
fn strings_are_taken_apart() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("plain", &["plain"]),
        ("${a}", &["<a>"]),
        ("x${a.b}y", &["x", "<a.b>", "y"]),
        ("${a}${b}", &["<a>", "<b>"]),
        ("${ a }", &["< a >"]),
        ("$${a}", &["${a}"]),
        ("$$${a}", &["$${a}"]),
        ("x$${a}${b}", &["x${a}", "<b>"]),
        ("a $ b $1 {c} } $", &["a $ b $1 {c} } $"]),
        ("${'}'}", &["<'}'>"]),
        ("${\"}\" + '{'}", &["<\"}\" + '{'>"]),
        ("${'\\'}'}!", &["<'\\'}'>", "!"]),
        ("${r'\\'}!", &["<r'\\'>", "!"]),
        ("${'''}'''}", &["<'''}'''>"]),
        ("${{'a': {'b': 1}}.a.b}", &["<{'a': {'b': 1}}.a.b>"]),
        ("é${a}ü", &["é", "<a>", "ü"]),
    ];
    for (text, expected) in cases {
        assert_eq!(parts(text), *expected, "{text}");
    }
    assert!(Template::parse("${a}").unwrap().single().is_some());
    assert!(Template::parse(" ${a}").unwrap().single().is_none());
    assert_eq!(Template::parse("$${a}").unwrap().literal(), Some("${a}"));
    assert_eq!(Template::parse("").unwrap().literal(), Some(""));
}

#[test]
fn what_cannot_be_taken_apart_is_told_in_the_whole_string() {
    for (text, code) in [
        ("x «${»a", "L103"),
        ("x «${»'a}", "L103"),
        ("${a} «${»{", "L103"),
        ("é ${a «=» b}", "L101"),
        ("${a}${b «c»}", "L101"),
        ("x${«»}", "L101"),
    ] {
        let (text, range) = marked(text);
        let error = Template::parse(&text).expect_err(&text);
        assert_eq!((error.code, Some(error.range)), (code, range), "{text}");
        assert!(error.help.is_some());
    }
}

#[test]
fn a_string_that_is_one_expression_keeps_the_type_of_its_value() {
    let world = json!({ "n": 3, "list": [1, 2], "s": "${n}", "none": null, "map": {} });
    let values = Values::new().with("w", &world);
    let evaluate = |text: &str| Template::parse(text).unwrap().evaluate(&values);
    for (text, expected) in [
        ("${w.n}", json!(3)),
        ("${w.list}", json!([1, 2])),
        ("${w.none}", json!(null)),
        ("n is ${w.n}", json!("n is 3")),
        ("${w.n}${w.n}", json!("33")),
        ("${w.n} $${w.n}", json!("3 ${w.n}")),
        ("plain", json!("plain")),
        // A value is never read as an expression again.
        ("${w.s}", json!("${n}")),
        ("<${w.s}>", json!("<${n}>")),
        ("${w.n > 2 ? '}' : '{'}!", json!("}!")),
    ] {
        assert_eq!(evaluate(text), Ok(expected), "{text}");
    }
    for (text, kind) in [
        ("x ${w.list}", EvalErrorKind::Invalid),
        ("x ${w.map}", EvalErrorKind::Invalid),
        ("x ${w.none}", EvalErrorKind::Invalid),
        ("x ${w.absent}", EvalErrorKind::Absent),
    ] {
        let error = evaluate(text).expect_err(text);
        assert_eq!(error.kind, kind, "{text}");
        assert!(error.range.is_some_and(|range| range.start >= 4 && range.end < text.len()), "{text}");
    }
}

#[test]
fn types_and_problems_are_those_of_the_whole_string() {
    let fields = vec![
        TypeField::new("n", Type::Int),
        TypeField::new("list", Type::List(Box::new(Type::TEXT))),
        TypeField::new("key", Type::Secret),
    ];
    let scope = Scope { names: [("w".to_owned(), Type::Object(fields))].into() };
    for (text, ty, codes) in [
        ("${w.n}", "int", &[][..]),
        ("${w.list}", "list<string>", &[]),
        ("${w.key}", "secret", &[]),
        ("x ${w.n}", "string", &[]),
        ("x ${«w.list»}", "string", &["L121"]),
        ("x ${«w.key»}", "string", &["L116"]),
        ("${w.n}${w.«m»}", "string", &["L111"]),
        ("${w.n + «w.key»}", "any", &["L116"]),
    ] {
        let (text, range) = marked(text);
        let (found, problems) = Template::parse(&text).unwrap().check(&scope);
        assert_eq!(found.to_string(), ty, "{text}");
        assert_eq!(problems.iter().map(|problem| problem.code).collect::<Vec<_>>(), codes, "{text}");
        assert_eq!(problems.first().map(|problem| problem.range.clone()), range, "{text}");
    }
}

#[test]
fn references_are_placed_in_the_whole_string() {
    let text = "a ${b.c} ${d[e].f}";
    let paths = Template::parse(text).unwrap().references();
    assert_eq!(paths.iter().map(|path| &text[path.range.clone()]).collect::<Vec<_>>(), ["b.c", "d[e].f", "e"]);
    let crate::expr::Segment::Dynamic(range) = &paths[1].segments[0] else { panic!("{paths:?}") };
    assert_eq!(&text[range.clone()], "e");
    assert!(Expr::parse(&text[range.clone()]).is_ok());
}
