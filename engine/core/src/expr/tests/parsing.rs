//! What is an expression, and what is told of a text that is none.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::marked;
use crate::expr::{Expr, Scope, Values};

/// Texts that are no expressions: the code, and in the help what should be done.
const REFUSED: &[(&str, &str, &str)] = &[
    ("«»", "L101", "write a value"),
    ("«  »", "L101", "write a value"),
    ("a «=» b", "L101", "`==`"),
    ("a «&» b", "L101", "`a && b`"),
    ("a «|» b", "L101", "`a || b`"),
    ("a «and» b", "L101", "`&&`"),
    ("a «or» b", "L101", "`||`"),
    ("«$»{a}", "L101", "without `$`"),
    ("a.«`»b`", "L101", "a[\"b-c\"]"),
    ("a «#»", "L101", "quotes"),
    ("a «;»", "L101", "no statements"),
    ("a «// b»", "L101", "division"),
    ("a +«»", "L101", "missing at the end"),
    ("a.«»", "L101", "brackets"),
    ("a.«\"b\"»", "L101", "brackets"),
    ("a.«?»b", "L101", "has(a.b)"),
    ("a «b»", "L101", "operator or a comma"),
    ("a «1»", "L101", "operator or a comma"),
    ("size«(»a", "L101", "add the missing `)`"),
    ("«[»1, 2", "L101", "add the missing `]`"),
    ("«{»'a': 1", "L101", "add the missing `}`"),
    ("{'a'«»}", "L101", "{'key': value}"),
    ("a ? b«»", "L101", "if_true"),
    ("a «?» b", "L101", "if_true"),
    ("f(a «b»)", "L101", "operator or a comma"),
    ("«'abc»", "L101", "close it with `'`"),
    ("«\"a»\nb\"", "L101", "close it"),
    ("'a«\\d»'", "L101", "double the backslash"),
    ("'«\\u»d800'", "L101", "double the backslash"),
    ("«5m»", "L101", "'5m'"),
    ("«1u»", "L101", "write `1`"),
    ("«1.5x»", "L101", "text"),
    ("«99999999999999999999»", "L101", "64 bits"),
    ("«9223372036854775808»", "L101", "64 bits"),
    ("«-9223372036854775809»", "L101", "64 bits"),
    ("«1e999»", "L101", "smaller"),
    ("«b'»x'", "L101", "without `b`"),
    ("«for» + 1", "L101", "quotes"),
    ("a + «namespace»", "L101", "quotes"),
    ("Type«{»a: 1}", "L101", "'key': value"),
    ("has(«a»)", "L114", "has(a.b)"),
    ("«has»(a.b, c)", "L114", "has(a.b)"),
    ("a.«map»(x)", "L114", "a variable, a condition"),
    ("a.«filter»(x, y, z)", "L114", "list.filter(x, …)"),
    ("a.all(«b.c», d)", "L114", "list.all(x, …)"),
];

#[test]
fn what_is_no_expression_is_told_where_and_what_to_do() {
    for (text, code, help) in REFUSED {
        let (text, range) = marked(text);
        let error = Expr::parse(&text).expect_err(&text);
        let told = format!("{} {}", error.message, error.help.clone().unwrap_or_default());
        assert_eq!(error.code, *code, "{text}: {told}");
        // A mark around nothing stands for the place between two characters or for all that is left.
        let range = range.unwrap();
        if !range.is_empty() || error.range.is_empty() {
            assert_eq!(error.range, range, "{text}: {told}");
        }
        assert!(told.contains(help), "{text}: {told}");
        assert!(!error.message.ends_with('.') && error.help.is_some(), "{text}: {told}");
    }
}

#[test]
fn what_is_an_expression_is_read() {
    for text in [
        "a",
        "a.b.c",
        "_a1.B",
        "a.namespace.for",
        "a[0]",
        "a['k'].b",
        "a[b.c].d",
        "'x'",
        "\"x\"",
        "r'\\d'",
        "'''a'b'''",
        "\"\"\"a\n\"b\"\"\"",
        "'\\n\\x41\\u00e9\\U0001F600\\101\\'\\\"\\?'",
        "1",
        "-1",
        "- 1",
        "--1",
        "0x1F",
        "1.5",
        ".5",
        "1e3",
        "1.5E-3",
        "true",
        "null",
        "!a",
        "!!a",
        "-a.b",
        "a+b*c-d/e%f",
        "a == b && c != d || !e",
        "a < b == (c >= d)",
        "a in [1, 2]",
        "a in {'k': 1}",
        "a ? b : c ? d : e",
        "[]",
        "[1, 'a', [2],]",
        "{}",
        "{'a': 1, 'b': {},}",
        "f()",
        "f(a, b).c[0].d(e)",
        "a.map(x, x + 1)",
        "a.map(x, x > 1, x)",
        "a.filter(x, x.b == 'c').size() > 0",
        "has(a.b) && a.b",
        "exists(a.b['k'])",
        "((((a))))",
        "-9223372036854775808",
        " a ",
        "a\n+ b",
        "'é'.size()",
        "['root'] + inputs.shards.map(s, s.name)",
    ] {
        assert_eq!(Expr::parse(text).map(|expr| expr.text().to_owned()), Ok(text.to_owned()));
    }
}

#[test]
fn precedence_is_that_of_cel() {
    for (text, same) in [
        ("a + b * c", "a + (b * c)"),
        ("a - b - c", "(a - b) - c"),
        ("a || b && c", "a || (b && c)"),
        ("a == b && c", "(a == b) && c"),
        ("a + 1 < b", "(a + 1) < b"),
        ("!a.b", "!(a.b)"),
        ("-a.b * c", "(-(a.b)) * c"),
        ("a ? b : c ? d : e", "a ? b : (c ? d : e)"),
        ("a || b ? c : d", "(a || b) ? c : d"),
        ("a in b || c", "(a in b) || c"),
    ] {
        let shape = |text: &str| {
            // The places differ, the shape must not.
            let debug = format!("{:?}", Expr::parse(text).unwrap().node());
            let mut out = String::new();
            let mut rest = debug.as_str();
            while let Some(at) = rest.find("range: ").into_iter().chain(rest.find("at: ")).min() {
                let after = &rest[at..];
                let end = after.find([',', '}']).unwrap();
                out.push_str(&rest[..at]);
                rest = &after[end..];
            }
            out + rest
        };
        assert_eq!(shape(text), shape(same), "{text}");
    }
}

#[test]
fn deep_and_long_texts_are_refused_and_hurt_no_stack() {
    let texts: Vec<String> = [
        ("(", ")", "1"),
        ("[", "]", ""),
        ("f(", ")", "1"),
        ("a.map(x,", ")", "x"),
        ("{'a':", "}", "1"),
        ("!", "", "a"),
        ("-", "", "a"),
    ]
    .into_iter()
    .chain([("a?b:", "", "c"), ("1+", "", "1"), ("a.", "", "a"), ("", "[0]", "a"), ("a==", "", "a"), ("-!", "", "a")])
    .flat_map(|(open, close, middle)| {
        [60, 500, 5_000].map(|times| format!("{}{middle}{}", open.repeat(times), close.repeat(times)))
    })
    .chain(["a&&".repeat(5_000) + "a", "[".repeat(60_000), "a(".repeat(30_000), "1,".repeat(10_000), "'".repeat(1_001)])
    .collect();
    let reader = std::thread::Builder::new().stack_size(2 << 20);
    let thread = reader.spawn(move || {
        for text in texts {
            let begin = Instant::now();
            if let Ok(expr) = Expr::parse(&text) {
                expr.references();
                expr.check(&Scope::default());
                let _ = expr.evaluate(&Values::new());
                let _ = format!("{:?}", expr.node()).len();
            }
            assert!(begin.elapsed() < Duration::from_secs(2), "{:.30}", text);
        }
    });
    thread.unwrap().join().unwrap();
    assert_eq!(Expr::parse(&"(".repeat(500)).unwrap_err().code, "L102");
    assert_eq!(Expr::parse(&vec!["a"; 500].join(".")).unwrap_err().code, "L102");
    assert_eq!(Expr::parse(&"a".repeat(70_000)).unwrap_err().code, "L102");
    assert!(Expr::parse(&vec!["a"; 5_000].join(" && ")).is_ok(), "a long condition is not deep");
}

pub fn any_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "a", "b", "x", ".", "(", ")", "[", "]", "{", "}", ",", ":", "?", "+", "-", "*", "/", "%", "!", "==", "!=", "<", ">=", "&&", "||", " in ", "1",
            "2.5", "'k'", "\"v\"", "true", "null", ".map(x, ", ".filter(x, ", ".size()", "has(", "exists(", "size(", "'", "\\", "$", "é",
        ]).prop_map(str::to_owned),
        1 => "\\PC{1,3}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_and_every_range_lies_in_it(text in any_text()) {
        match Expr::parse(&text) {
            Err(error) => prop_assert!(text.get(error.range.clone()).is_some(), "{error:?}"),
            Ok(expr) => {
                for path in expr.references() {
                    prop_assert!(text.get(path.range.clone()).is_some(), "{path:?}");
                }
                for problem in expr.check(&Scope::default()).1 {
                    prop_assert!(text.get(problem.range.clone()).is_some(), "{problem:?}");
                }
                if let Err(error) = expr.evaluate(&Values::new()) {
                    prop_assert!(error.range.is_none_or(|range| text.get(range).is_some()));
                }
            }
        }
    }
}
