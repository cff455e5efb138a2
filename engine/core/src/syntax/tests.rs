//! Tests of the whole stage: what each text gives, and that no text does harm.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::diagnostic::Severity;

fn read(text: &str) -> (Document, Vec<Problem>) {
    parse(SourceId(0), &Source { name: "a.kdl".into(), text: text.into() })
}

fn clean(text: &str) -> Document {
    let (document, problems) = read(text);
    assert_eq!(problems, Vec::new(), "{text}");
    assert!(document.is_whole);
    document
}

fn with_fixes(text: &str, problems: &[Problem]) -> String {
    let mut edits: Vec<_> = problems.iter().flat_map(|problem| &problem.fix).collect();
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.at));
    let mut fixed = text.to_owned();
    for edit in edits {
        fixed.replace_range(edit.at.start..edit.at.end, &edit.text);
    }
    fixed
}

/// `«…»` in the text marks the offending tokens, in order.
fn marked(text: &str) -> (String, Vec<std::ops::Range<usize>>) {
    let mut clean = String::new();
    let mut marks = Vec::new();
    let mut open = Vec::new();
    for c in text.chars() {
        match c {
            '«' => open.push(clean.len()),
            '»' => marks.push(open.pop().expect("a mark is opened before it is closed")..clean.len()),
            c => clean.push(c),
        }
    }
    marks.sort_by_key(|mark| mark.start);
    (clean, marks)
}

struct Trap {
    text: &'static str,
    codes: &'static [&'static str],
    /// The text after the fixes; empty: no fix is certain.
    fixed: &'static str,
}

const fn trap(text: &'static str, codes: &'static [&'static str], fixed: &'static str) -> Trap {
    Trap { text, codes, fixed }
}

const TRAPS: &[Trap] = &[
    // An address without quotes is cut at `//`.
    trap("chart «oci://h/x» version=v1", &["L010"], "chart \"oci://h/x\" version=v1"),
    trap("url«=»«https://a.b/c?d=e» x", &["L026", "L010"], "url=\"https://a.b/c?d=e\" x"),
    trap("a b=c«=»d", &["L026"], ""),
    trap("a url=«https://a.b/c?d=e» { b 1; }", &["L010"], "a url=\"https://a.b/c?d=e\" { b 1; }"),
    trap("a «https://${inputs.d}:6443/x»", &["L011"], "a \"https://${inputs.d}:6443/x\""),
    // An interpolation without quotes is a word and a block.
    trap("dns «${inputs.d}»", &["L011"], "dns \"${inputs.d}\""),
    trap("dns name=«api.${x}.org» b=1", &["L011"], "dns name=\"api.${x}.org\" b=1"),
    trap("dns «${a[\"k\"]}»", &["L011"], "dns \"${a[\\\"k\\\"]}\""),
    trap("a «$x{»b}", &["L012"], ""),
    // Expressions without quotes are several arguments.
    trap("when a «&&» b", &["L013"], "when \"a && b\""),
    trap("when \"a > 1\" «&&» \"b\"", &["L013"], ""),
    trap("step x when=a «&&» b uses=c", &["L013"], "step x when=\"a && b\" uses=c"),
    trap("check inputs.n «>=» 3 message=x", &["L013"], "check \"inputs.n >= 3\" message=x"),
    trap("check size(inputs.n) + 1 «==» 3", &["L013"], "check \"size(inputs.n) + 1 == 3\""),
    trap("check a «!=» b || c", &["L013"], "check \"a != b || c\""),
    trap("when a «?» b : c", &["L013"], "when \"a ? b : c\""),
    trap("when «!» a", &["L013"], "when \"! a\""),
    // A property that is given twice.
    trap("a x=1 «x»=2", &["L014"], ""),
    trap("a x=1 «x»=2 «x»=3", &["L014", "L014"], ""),
    // Words for truth values.
    trap("a wait=«yes»", &["L015"], ""),
    trap("a «on»; b «off»; c x=«no»", &["L015", "L015", "L015"], ""),
    // KDL 1.
    trap("a wait=«true»", &["L016"], "a wait=#true"),
    trap("a «null» «false»", &["L016", "L016"], "a #null #false"),
    trap("«true» 1", &["L016"], "\"true\" 1"),
    trap("a «r»\"x\\d\"", &["L021"], "a #\"x\\d\"#"),
    trap("a «r»##\"x\"#y\"##", &["L021"], "a ##\"x\"#y\"##"),
    trap("a «(u8)»5", &["L027"], "a 5"),
    trap("«(t)»a b=«(u8)»5", &["L027", "L027"], "a b=5"),
    // What begins like a number.
    trap("timeout «5m»", &["L017"], "timeout \"5m\""),
    trap("version «1.4.0»", &["L017"], "version \"1.4.0\""),
    trap("a «203.0.113.1» b=«10.0.0.0/8»", &["L017", "L017"], "a \"203.0.113.1\" b=\"10.0.0.0/8\""),
    trap("a x=«-5s» {\n  b «64MiB»\n}", &["L017", "L017"], "a x=\"-5s\" {\n  b \"64MiB\"\n}"),
    trap("a «.5»", &["L017"], "a 0.5"),
    trap("a «0x»", &["L017"], "a \"0x\""),
    trap("«5m» 1", &["L017"], "\"5m\" 1"),
    trap("«12» 1", &["L017"], "\"12\" 1"),
    // Numbers out of range.
    trap("p «1e400»", &["L018"], ""),
    trap("p «9223372036854775808» x=«-9223372036854775809»", &["L018", "L018"], ""),
    trap("p «0xffffffffffffffffffffffffffffffffffff»", &["L018"], ""),
    trap("p «#inf» «#nan» «inf»", &["L018", "L018", "L018"], ""),
    // Escapes.
    trap("m \"^a«\\d»+$\"", &["L019"], "m \"^a\\\\d+$\""),
    trap("m \"«\\/»a«\\.»\"", &["L019", "L019"], "m \"\\\\/a\\\\.\""),
    trap("m \"«\\u{d800}»\"", &["L019"], ""),
    trap("m \"\"\"\n  «\\d»\n  \"\"\"", &["L019"], "m \"\"\"\n  \\\\d\n  \"\"\""),
    // Words with characters that need quotes.
    trap("path «/etc/x» «a/b»", &["L020", "L020"], "path \"/etc/x\" \"a/b\""),
    trap("a «b[0].c» «d[\"k\"]»", &["L020", "L020"], "a \"b[0].c\" \"d[\\\"k\\\"]\""),
    trap("a «f(x, y)»", &["L020"], "a \"f(x, y)\""),
    trap("path «/v1/zones/*» b", &["L020"], "path \"/v1/zones/*\" b"),
    trap("a «C:\\x»", &["L020"], "a \"C:\\\\x\""),
    trap("a «\"b\"c»", &["L020"], ""),
    trap("a «\"b\"\"c\"»", &["L020"], ""),
    trap("a «#ture» «#x»", &["L028", "L028"], "a #true #x"),
    // Strings that do not end.
    trap("a «\"b»\nc 1\n", &["L022"], ""),
    trap("a «\"b {»\nc 1\n", &["L022"], ""),
    trap("a «\"\"\"»\nb\n", &["L022"], ""),
    trap("a «#\"b»", &["L022"], ""),
    trap("a «\"b»\nc\" 1\nd 2", &["L023"], ""),
    trap("a «\"\"\"»b\"\"\"", &["L023"], ""),
    trap("a \"\"\"\n  b\n« »c\n  \"\"\"", &["L023"], ""),
    trap("a \"\"\"\n  b«\"\"\"»\n", &["L023"], ""),
    trap("a «/*» b", &["L029"], ""),
    // Blocks.
    trap("a\n«{»\n  b\n}", &["L024"], "a {\n  b\n}"),
    trap("a // c\n«{»\n  b\n}", &["L024"], ""),
    trap("a { b; } «c» 1", &["L025"], "a { b; } ; c 1"),
    trap("a b«=»", &["L026"], ""),
    trap("a «=»b", &["L026"], ""),
    trap("a «/-» /- b c", &["L030"], "a  /- b c"),
    trap("a b «/-»", &["L030"], "a b "),
    trap("«{» b; }", &["L006"], ""),
    // Braces.
    trap("step a «{»\n    b 1\n\nstep c {\n    d 1\n}\n", &["L007"], ""),
    trap("step a {\n    b «{»\n        c 1\n}\nd 1\n", &["L007"], ""),
    trap("a «{» b { c 1; }", &["L007"], ""),
    trap("a «{»", &["L007"], ""),
    trap("a { b 1; }\n«}»\nc 1", &["L008"], ""),
    // Characters that cannot be seen.
    trap("a \"b«\u{202e}»c\"", &["L005"], ""),
    trap("a b«\u{7}»c // «\u{200f}»", &["L005", "L005"], ""),
    // What no rule names.
    trap("a {} «{»}", &["L006"], ""),
];

#[test]
fn every_trap_is_told_on_its_token_and_its_fix_is_right() {
    for case in TRAPS {
        let (text, marks) = marked(case.text);
        let (_, problems) = read(&text);
        let told: Vec<_> = problems.iter().map(|p| (p.code, &text[p.at.unwrap().start..p.at.unwrap().end])).collect();
        let expected: Vec<_> = case.codes.iter().copied().zip(marks.iter().map(|mark| &text[mark.clone()])).collect();
        assert_eq!(told, expected, "{text}\n{problems:#?}");
        let places: Vec<_> = problems.iter().map(|p| p.at.unwrap().start).collect();
        assert_eq!(places, marks.iter().map(|mark| mark.start).collect::<Vec<_>>(), "{text}");
        for problem in &problems {
            assert!(problem.help.is_some() && !problem.message.ends_with('.'), "{problem:?}");
            assert!(
                !problem.message.trim_start_matches("KDL").starts_with(|c: char| c.is_ascii_uppercase()),
                "{problem:?}"
            );
        }
        let fixed = with_fixes(&text, &problems);
        if case.fixed.is_empty() {
            assert_eq!(fixed, text, "no fix was expected");
        } else {
            assert_eq!(fixed, case.fixed);
            if !problems.iter().any(|problem| problem.fix.is_empty()) {
                clean(&fixed);
            }
        }
    }
}

#[test]
fn what_looks_like_a_trap_and_is_none_stays_silent() {
    for text in [
        "",
        "\u{feff}a 1",
        "// only a comment",
        "a",
        "a;b;c",
        "a {}",
        "a { b; c 1 }",
        "- 1\n- 2",
        "a -",
        "a - b",
        "a + b",
        "a \"x // y\" #\"/* \"#",
        "a /* { */ b // }\nc",
        "a /- b c",
        "/- a {\n b\n}\nc",
        "a /- { b } { c }",
        "a 1 0x1F 0o7 0b1 1_000 -1.5e-3 +2",
        "a #true #false #null",
        "a \"${b}\" \"$${c}\" x=\"${d[\\\"k\\\"]}\"",
        "a \"yes\" \"on\"",
        "a on=hub off=1",
        "on 1\nyes 2",
        "param on type=cluster",
        "a no yes",
        "a \"\"\"\n  b\n    c\n\n  \"\"\"",
        "a #\"\"\"\n  \\d\n  \"\"\"#",
        "a \"x \\\n     y\"",
        "a \\\n  b \\ // c\n  d",
        "a b = 1",
        "a.b c:d <e> f*",
        "a 'b'",
        "a \"\\u{e9}\\s\\\\\\\"\"",
        "n $ x",
        "a b { c }\n\n\n\td",
        "a b:c=d",
        "r 1",
        "a r",
        "a \"b\"; c",
        "/*****************/ a /*/*x*/*/ b",
    ] {
        clean(text);
    }
}

const WORKFLOW: &str = r##"
// Two regions behind one name.
workflow regions version="0.3.0" {
    doc "One certificate authority, a service per region."
    limits parallel=8 per-cluster=2
}
input zone type=hostname
input regions type="list<region>" {
    default {
        - name=north cluster=n   // in this order
        - name=south cluster=s
    }
    check "inputs.regions.all(r, r.name != 'root')" message="root is taken"
}
secret tsig { from env=TSIG_KEY }
cluster n { kubeconfig context=north; identity uid="0b9c2e11-aaaa-4bbb-8ccc-000000000001" }

step ca uses=pki.ca { common-name "ca of ${inputs.zone}"; valid "8760h" }
for-each r in="inputs.regions" key="r.name" as=region parallel=2 {
    step deploy uses=k8s.apply on="${r.cluster}" needs=ca {
        object apiVersion="apps/v1" kind=Deployment {
            metadata name=web
            spec replicas=2 { template { spec { volumes { - name=tmp { emptyDir {} } } } } }
        }
    }
}
step names uses=value.set when="size(inputs.regions) > 1" {
    all "${inputs.regions.map(r, r.name + '.' + inputs.zone)}"
    pattern #"^[a-z]\d+$"#
    text """
        several
          lines
        """
}
output zone "${inputs.zone}" secret=#false
"##;

#[test]
fn a_whole_workflow_is_read_without_a_word() {
    let document = clean(WORKFLOW);
    let names = document.nodes_named("step").find(|step| step.args[0].as_str() == Some("names")).unwrap();
    let arg = |name: &str| names.child(name).unwrap().args[0].as_str().unwrap().to_owned();
    assert_eq!(arg("all"), "${inputs.regions.map(r, r.name + '.' + inputs.zone)}");
    assert_eq!(arg("pattern"), r"^[a-z]\d+$");
    assert_eq!(arg("text"), "several\n  lines");
    let default = document.nodes_named("input").nth(1).unwrap().child("default").unwrap();
    assert_eq!(default.children()[1].prop("cluster").unwrap().value.as_str(), Some("s"));
}

#[test]
fn all_problems_come_at_once_and_the_rest_is_read() {
    let text =
        "step a {\n    timeout 5m\n    chart oci://h/x version=v1\n}\nstep b wait=true x=1 x=2 {\n    m \"\\d\"\n}\n";
    let (document, problems) = read(text);
    let codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["L017", "L010", "L016", "L014", "L019"]);
    assert!(document.is_whole, "nothing was lost");
    let value = |step: usize, child: &str| document.nodes[step].child(child).unwrap().args[0].clone();
    assert_eq!(value(0, "timeout").as_str(), Some("5m"));
    assert_eq!(value(0, "chart").as_str(), Some("oci://h/x"));
    assert_eq!(document.nodes[0].child("chart").unwrap().prop("version").unwrap().value.as_str(), Some("v1"));
    assert_eq!(document.nodes[1].prop("wait").unwrap().value.value, Scalar::Bool(true));
    assert_eq!(value(1, "m").as_str(), Some("\\d"));
}

#[test]
fn a_missing_brace_costs_one_problem_and_no_node() {
    let text = "step a {\n    wait {\n        ready 1\n    }\n    other 2\n\nstep b {\n    c 1\n}\n// end\nstep d\n";
    let (document, problems) = read(text);
    assert_eq!(problems.iter().map(|p| p.code).collect::<Vec<_>>(), ["L007"]);
    assert_eq!(problems[0].message, "the block of `step a` is left open");
    assert_eq!(problems[0].at.unwrap().start, 7);
    let seen = problems[0].related[0].0;
    assert_eq!(
        &text[seen.start..],
        "step b {\n    c 1\n}\n// end\nstep d\n".get(..4).map(|_| &text[seen.start..]).unwrap()
    );
    assert_eq!(seen.start, text.find("step b").unwrap());
    let ids: Vec<_> = document.nodes.iter().map(|node| node.args[0].as_str().unwrap()).collect();
    assert_eq!(ids, ["a", "b", "d"]);
    assert_eq!(document.nodes[0].children().len(), 2);
    assert!(!document.is_whole);
}

#[test]
fn a_block_without_a_node_is_left_out_and_nothing_else() {
    let (document, problems) = read("a 1\nb {} { x; }\nc 2\n");
    assert_eq!(problems.iter().map(|p| (p.code, p.at.unwrap().start)).collect::<Vec<_>>(), [("L006", 9)]);
    assert_eq!(document.nodes.iter().map(|node| node.name.value.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(!document.is_whole);
}

#[test]
fn what_no_rule_names_takes_its_own_top_level_node_away_and_no_other() {
    let text = "a 1\nb { c 1; }\nd 2\n";
    let at = text.find("c").unwrap();
    // As if a rule had missed it: a token that cannot stand where it does.
    let broken = mend::Mend { at: at..at + 1, with: "=".into(), value: None };
    let (document, problems) = read::read(SourceId(0), text, vec![broken]);
    assert_eq!(problems.iter().map(|p| (p.code, p.at.unwrap().start)).collect::<Vec<_>>(), [("L006", at)]);
    assert_eq!(document.nodes.iter().map(|node| node.name.value.as_str()).collect::<Vec<_>>(), ["a", "d"]);
    assert!(!document.is_whole);
}

#[test]
fn places_are_those_of_the_file() {
    let text = "é a=\"x\\\"y\" /* c */ (t)5m {\n  b 1 \\\n    k = #true // c\n  emptyDir {}\n}\n";
    let (document, _) = read(text);
    let at = |place: crate::diagnostic::Place| &text[place.start..place.end];
    let node = &document.nodes[0];
    assert_eq!(at(node.name.at), "é");
    assert_eq!(at(node.props[0].name.at), "a");
    assert_eq!(at(node.props[0].value.at), "\"x\\\"y\"");
    assert_eq!(at(node.props[0].at()), "a=\"x\\\"y\"");
    assert_eq!(at(node.args[0].at), "5m");
    assert_eq!(at(node.at), text.trim_end());
    assert_eq!(at(node.head()), "é a=\"x\\\"y\" /* c */ (t)5m");
    let b = node.child("b").unwrap();
    assert_eq!((at(b.args[0].at), at(b.props[0].name.at), at(b.props[0].value.at)), ("1", "k", "#true"));
    assert_eq!(at(b.at), "b 1 \\\n    k = #true");
    assert_eq!(b.children, None);
    assert_eq!(node.child("emptyDir").unwrap().children, Some(Vec::new()), "an empty block is not no block");
}

#[test]
fn a_place_in_a_string_is_told_through_its_escapes() {
    for (text, part, written) in [
        ("a \"b ${x.y} c\"", "x.y", "x.y"),
        ("a \"é\\n\\\"${x.y} c\"", "x.y", "x.y"),
        ("a \"${a[\\\"k\\\"]}\"", "a[\"k\"]", "a[\\\"k\\\"]"),
        ("a \"${a[\\\"k\\\"]}\"", "\"k\"", "\\\"k\\\""),
        ("a \"\\u{e9}b\"", "é", "\\u{e9}"),
        ("a \"x\\\n    y\"", "y", "y"),
        ("a \"\"\"\n    one\n      ${two}\r\n\n    three\n    \"\"\"", "two", "two"),
        ("a \"\"\"\n    one\n      ${two}\r\n\n    three\n    \"\"\"", "three", "three"),
        ("a #\"\\d${x}\"#", "x", "x"),
        ("a bare", "are", "are"),
        ("/* é */ a 5m \"${x}\"", "x", "x"),
    ] {
        let (document, _) = read(text);
        let arg = document.nodes[0].args.last().unwrap();
        let value = arg.as_str().unwrap();
        let start = value.find(part).unwrap_or_else(|| panic!("{part:?} is in {value:?}"));
        let place = arg.inside(start..start + part.len());
        assert_eq!(&text[place.start..place.end], written, "{text}");
    }
}

#[test]
fn hostile_texts_are_answered_in_milliseconds() {
    let nested = |open: &str, times: usize, close: &str| format!("{}{}", open.repeat(times), close.repeat(times));
    for text in [
        "a /-{".repeat(18),
        "a /-{".repeat(22),
        nested("a /-{", 16, "}"),
        nested("a /-{", 18, "}"),
        nested("a {", 350, "}"),
        nested("a {", 1_500, "}"),
        nested("/*", 900, "*/"),
        "a { /-".repeat(10_000),
        "/-".repeat(20_000),
        "{".repeat(20_000),
        format!("/*{}*/ a", "*".repeat(100_000)),
        format!("a {}", "${".repeat(50_000)),
        format!("a {}", "#".repeat(50_000)),
        format!("a {}", "\"\n".repeat(4_000)),
        format!("a {}", "#\"\"\"x\n".repeat(2_000)),
        format!("a {}", "1".repeat(100_000)),
        "\0".repeat(100_000),
        "}".repeat(50_000),
        "a=".repeat(5_000),
        "(".repeat(50_000),
        "\r".repeat(5_000),
    ] {
        let begin = Instant::now();
        let (_, problems) = read(&text);
        let took = begin.elapsed();
        // A debug build on a busy machine: the texts that hurt took minutes or the process.
        assert!(took < Duration::from_secs(5), "{:.40}… took {took:?}", text);
        assert!(problems.len() <= 4 * traps::PROBLEMS_MAX, "{:.40}…", text);
    }
}

#[test]
fn the_greatest_depth_that_is_allowed_fits_a_small_stack() {
    let deep = format!("{}{}", "a {".repeat(63), "}".repeat(63));
    let slashed = format!("{}a /-{{ b; }}{}", "a /-{".repeat(2), "}".repeat(2));
    let reader = std::thread::Builder::new().stack_size(2 << 20);
    let thread = reader.spawn(move || {
        for text in [
            deep,
            slashed,
            "a {".repeat(64),
            format!("/*{}*/a", "/*x*/".repeat(100)),
            format!("a /*{}*/", "*".repeat(20_000)),
        ] {
            read(&text);
        }
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn a_refused_text_gives_an_empty_tree() {
    let (document, problems) = read(&"a {".repeat(100));
    assert_eq!(document, Document::default());
    assert_eq!((problems.len(), problems[0].severity), (1, Severity::Error));
}

fn any_text() -> impl Strategy<Value = String> {
    // Characters that mean something to KDL, often side by side.
    let piece = prop_oneof![
        3 => "[ \\n;{}()=\"#/\\\\*$-]{1,4}",
        2 => "[a-z0-9._]{1,4}",
        1 => "\\PC{1,3}",
        1 => prop::sample::select(vec!["\"\"\"", "/-", "/*", "*/", "//", "#\"", "\"#", "${", "#true", "r\"", "\\u{", "\r\n", "\u{202e}", "&&", "=="]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics_and_every_place_lies_in_it(text in any_text()) {
        let (document, problems) = read(&text);
        for problem in &problems {
            let at = problem.at.unwrap();
            prop_assert!(text.get(at.start..at.end).is_some(), "{problem:?}");
            for edit in &problem.fix {
                prop_assert!(text.get(edit.at.start..edit.at.end).is_some(), "{problem:?}");
            }
        }
        let mut left: Vec<&Node> = document.nodes.iter().collect();
        while let Some(node) = left.pop() {
            prop_assert!(text.get(node.at.start..node.at.end).is_some(), "{node:?}");
            for arg in node.args.iter().chain(node.props.iter().map(|prop| &prop.value)) {
                prop_assert!(text.get(arg.at.start..arg.at.end).is_some(), "{arg:?}");
                if let Some(value) = arg.as_str() {
                    for (start, c) in value.char_indices() {
                        let place = arg.inside(start..start + c.len_utf8());
                        prop_assert!(text.get(place.start..place.end).is_some(), "{arg:?}");
                    }
                }
            }
            left.extend(node.children());
        }
    }

    /// What KDL accepts is refused only by a rule of ours, and what is told without one is what KDL reads.
    #[test]
    fn a_text_without_problems_is_what_the_parser_reads(text in any_text()) {
        let (document, problems) = read(&text);
        let parsed = kdl::KdlDocument::parse_v2(&text);
        match parsed {
            Ok(parsed) if problems.is_empty() => prop_assert!(same(&document.nodes, &parsed), "{document:#?}\n{parsed:#?}"),
            Ok(_) => {}
            Err(error) => prop_assert!(!problems.is_empty(), "{error:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read_back(nodes in prop::collection::vec(any_node(), 0..6)) {
        let text = written(&nodes, 0);
        let (document, problems) = read(&text);
        prop_assert!(problems.iter().all(|problem| problem.code == "L014"), "{text}\n{problems:#?}");
        prop_assert_eq!(plain(&document.nodes), nodes, "{}", text);
    }
}

fn same(nodes: &[Node], document: &kdl::KdlDocument) -> bool {
    let same_value = |arg: &Arg, value: &kdl::KdlValue| match (&arg.value, value) {
        (Scalar::Text(text), kdl::KdlValue::String(other)) => text.value == *other,
        (Scalar::Int(a), kdl::KdlValue::Integer(b)) => a == b,
        (Scalar::Float(a), kdl::KdlValue::Float(b)) => a == b,
        (Scalar::Bool(a), kdl::KdlValue::Bool(b)) => a == b,
        (Scalar::Null, kdl::KdlValue::Null) => true,
        _ => false,
    };
    nodes.len() == document.nodes().len()
        && nodes.iter().zip(document.nodes()).all(|(node, other)| {
            let args: Vec<_> = other.entries().iter().filter(|entry| entry.name().is_none()).collect();
            let props: Vec<_> = other.entries().iter().filter(|entry| entry.name().is_some()).collect();
            node.name.value == other.name().value()
                && node.args.len() == args.len()
                && node.args.iter().zip(args).all(|(arg, entry)| same_value(arg, entry.value()))
                && node.props.len() == props.len()
                && node.props.iter().zip(props).all(|(prop, entry)| {
                    Some(prop.name.value.as_str()) == entry.name().map(kdl::KdlIdentifier::value)
                        && same_value(&prop.value, entry.value())
                })
                && node.children.is_some() == other.children().is_some()
                && other.children().is_none_or(|children| same(node.children(), children))
        })
}

/// A node without places.
#[derive(Debug, Clone, PartialEq)]
struct Plain {
    name: String,
    args: Vec<Value>,
    props: Vec<(String, Value)>,
    children: Option<Vec<Plain>>,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e12..1e12_f64).prop_map(Value::Float),
        "\\PC{0,12}".prop_map(Value::Text),
        "[a\\n\\r\\t\"\\\\{}/#${]{0,8}".prop_map(Value::Text),
    ]
}

fn any_node() -> impl Strategy<Value = Plain> {
    let leaf =
        (any_name(), prop::collection::vec(any_value(), 0..4), prop::collection::vec((any_name(), any_value()), 0..4))
            .prop_map(|(name, args, props)| Plain { name, args, props, children: None });
    leaf.prop_recursive(4, 24, 4, |inner| {
        (any_name(), prop::collection::vec(any_value(), 0..3), prop::option::of(prop::collection::vec(inner, 0..4)))
            .prop_map(|(name, args, children)| Plain { name, args, props: Vec::new(), children })
    })
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-z][a-z0-9_-]{0,6}", 1 => "\\PC{0,6}"]
}

fn written(nodes: &[Plain], depth: usize) -> String {
    let mut out = String::new();
    for node in nodes {
        out.push_str(&"    ".repeat(depth));
        out.push_str(&quoted(&node.name));
        for arg in &node.args {
            out.push(' ');
            out.push_str(&written_value(arg));
        }
        for (name, value) in &node.props {
            out.push_str(&format!(" {}={}", quoted(name), written_value(value)));
        }
        if let Some(children) = &node.children {
            out.push_str(&format!(" {{\n{}{}}}", written(children, depth + 1), "    ".repeat(depth)));
        }
        out.push('\n');
    }
    out
}

fn written_value(value: &Value) -> String {
    match value {
        Value::Null => "#null".into(),
        Value::Bool(value) => format!("#{value}"),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format!("{value:?}"),
        Value::Text(value) => quoted(value),
    }
}

fn plain(nodes: &[Node]) -> Vec<Plain> {
    let value = |arg: &Arg| match &arg.value {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => Value::Bool(*value),
        Scalar::Int(value) => Value::Int(i64::try_from(*value).unwrap()),
        Scalar::Float(value) => Value::Float(*value),
        Scalar::Text(text) => Value::Text(text.value.clone()),
    };
    nodes
        .iter()
        .map(|node| Plain {
            name: node.name.value.clone(),
            args: node.args.iter().map(value).collect(),
            props: node.props.iter().map(|prop| (prop.name.value.clone(), value(&prop.value))).collect(),
            children: node.children.as_deref().map(plain),
        })
        .collect()
}
