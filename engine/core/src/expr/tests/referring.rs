//! What expressions take from outside.

use crate::expr::{Expr, Guard, PathRef, Segment};

/// `root.a[0]`, with `?exists` behind the argument of a question and `!` behind what is protected.
fn told(path: &PathRef, text: &str) -> String {
    let mut out = path.root.clone();
    for segment in &path.segments {
        match segment {
            Segment::Field(name) => out.push_str(&format!(".{name}")),
            Segment::Index(value) => out.push_str(&format!("[{value}]")),
            Segment::Dynamic(range) => out.push_str(&format!("[<{}>]", &text[range.clone()])),
        }
    }
    match path.guard {
        Some(Guard::Exists) => out.push_str(" ?exists"),
        Some(Guard::Succeeded) => out.push_str(" ?succeeded"),
        Some(Guard::Failed) => out.push_str(" ?failed"),
        Some(Guard::Skipped) => out.push_str(" ?skipped"),
        None => {}
    }
    if path.is_protected {
        out.push_str(" !");
    }
    out
}

#[test]
fn references_are_the_free_paths_of_an_expression() {
    let cases: &[(&str, &[&str])] = &[
        ("1 + 2", &[]),
        ("root", &["root"]),
        ("root.address", &["root.address"]),
        ("a.b['k'].c[0]", &["a.b[\"k\"].c[0]"]),
        ("export[shard.name].declare.ref", &["export[<shard.name>].declare.ref", "shard.name"]),
        ("a + b.c * f(d.e)", &["a", "b.c", "d.e"]),
        ("a ? b : c", &["a", "b", "c"]),
        ("[a, {'k': b, c: d}]", &["a", "b", "c", "d"]),
        ("has(a.b.c)", &["a.b.c"]),
        ("f(a).b", &["a"]),
        ("a.b.join(', ')", &["a.b"]),
        ("a.b().c", &["a"]),
        ("'a.b' + \"c\"", &[]),
        // Variables of comprehensions are not references; what they hide is not either.
        ("inputs.shards.map(s, s.name)", &["inputs.shards"]),
        ("inputs.shards.filter(s, s.name == root.name)", &["inputs.shards", "root.name"]),
        ("a.map(x, b.map(y, x + y + z))", &["a", "b", "z"]),
        ("x.map(x, x.y)", &["x"]),
        ("a.map(x, x) + [x]", &["a", "x"]),
        ("a.map(x, x.ok, b[x])", &["a", "b[<x>]"]),
        ("a.all(s, s.name != 'root')", &["a"]),
        // Questions about steps.
        ("exists(ha)", &["ha ?exists"]),
        ("failed(ha) || succeeded(ha) || skipped(a.b)", &["ha ?failed", "ha ?succeeded", "a.b ?skipped"]),
        ("exists(region[key].deploy)", &["region[<key>].deploy ?exists", "key"]),
        ("l.exists(x, x.a)", &["l"]),
        // What stands under `exists` or `succeeded` is protected, and nothing else.
        ("exists(ha) ? ha.table : []", &["ha ?exists", "ha.table !"]),
        ("exists(ha) ? 1 : ha.table", &["ha ?exists", "ha.table"]),
        ("!exists(ha) ? [] : ha.table", &["ha ?exists", "ha.table !"]),
        ("exists(ha) && ha.ok", &["ha ?exists", "ha.ok !"]),
        ("ha.ok && exists(ha)", &["ha.ok", "ha ?exists"]),
        ("!exists(ha) || ha.ok", &["ha ?exists", "ha.ok !"]),
        ("exists(ha) || ha.ok", &["ha ?exists", "ha.ok"]),
        ("exists(a) && exists(b) ? a.x + b.y + c.z : 0", &["a ?exists", "b ?exists", "a.x !", "b.y !", "c.z"]),
        ("exists(a) && (b || a.x)", &["a ?exists", "b", "a.x !"]),
        ("succeeded(a) ? a.x : 0", &["a ?succeeded", "a.x !"]),
        ("failed(a) ? a.x : 0", &["a ?failed", "a.x"]),
        ("skipped(a) ? 0 : a.x", &["a ?skipped", "a.x"]),
        ("exists(r['k'].d) ? r['k'].d.x + r['j'].d.x : 0", &["r[\"k\"].d ?exists", "r[\"k\"].d.x !", "r[\"j\"].d.x"]),
        ("exists(r[k].d) ? r[k].d.x : 0", &["r[<k>].d ?exists", "k", "r[<k>].d.x !", "k"]),
        ("exists(a) ? ax.b : 0", &["a ?exists", "ax.b"]),
        ("l.map(x, exists(a), a.b)", &["l", "a ?exists", "a.b !"]),
    ];
    for (text, expected) in cases {
        let found: Vec<String> = Expr::parse(text).unwrap().references().iter().map(|path| told(path, text)).collect();
        assert_eq!(found, *expected, "{text}");
    }
}

#[test]
fn a_reference_says_where_it_stands() {
    let text = "'x' + a.b['k'].c + size(d.e)";
    let found: Vec<&str> = Expr::parse(text).unwrap().references().into_iter().map(|path| &text[path.range]).collect();
    assert_eq!(found, ["a.b['k'].c", "d.e"]);
}
