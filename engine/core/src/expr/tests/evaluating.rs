//! What expressions give.

use serde_json::json;
use steps_sdk::Value;

use crate::expr::{Binding, EvalErrorKind, Expr, StepOutcome, Values, predicate};

fn world() -> Value {
    json!({
        "inputs": { "zone": "example.org", "n": 3, "ratio": 0.5, "on": true, "none": null, "big": 9_007_199_254_740_993_i64,
            "shards": [{ "name": "alpha", "cluster": "eu", "replicas": 2 }, { "name": "beta", "cluster": "us", "replicas": 3 }],
            "labels": { "app": "web", "a/b": "c" }, "empty": [] },
        "root": { "address": "203.0.113.7", "ports": [80, 443] },
    })
}

fn evaluate(text: &str) -> Result<Value, (EvalErrorKind, String)> {
    let world = world();
    let mut values = Values::new();
    for (name, value) in world.as_object().unwrap() {
        values.bind(name.clone(), Binding::Borrowed(value));
    }
    values.set_outcome("root", StepOutcome::Succeeded);
    values.set_outcome("ha", StepOutcome::Failed);
    values.set_outcome("cdn", StepOutcome::Skipped);
    values.set_outcome("region[alpha].deploy", StepOutcome::Succeeded);
    let expr = Expr::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    expr.evaluate(&values).map_err(|error| (error.kind, error.message))
}

const CHAIN: &str = "-----BEGIN CERTIFICATE-----\\nAQID\\n-----END CERTIFICATE-----\\nx\\n-----BEGIN CERTIFICATE-----\\nBAUG\\nBwgJ\\n-----END CERTIFICATE-----\\n";

#[test]
fn expressions_have_these_values() {
    let cases: Vec<(&str, Value)> = vec![
        // Paths.
        ("root.address", json!("203.0.113.7")),
        ("inputs.shards[1].name", json!("beta")),
        ("inputs['zone']", json!("example.org")),
        ("inputs.labels['a/b']", json!("c")),
        ("root", json!({ "address": "203.0.113.7", "ports": [80, 443] })),
        ("inputs.none", json!(null)),
        ("inputs.big", json!(9_007_199_254_740_993_i64)),
        ("inputs.big + 1", json!(9_007_199_254_740_994_i64)),
        // Numbers stay what they are.
        ("1 + 2 * 3", json!(7)),
        ("7 / 2", json!(3)),
        ("-7 / 2", json!(-3)),
        ("7 % 4 - 1", json!(2)),
        ("7.0 / 2.0", json!(3.5)),
        ("inputs.ratio * 4.0", json!(2.0)),
        ("-inputs.n", json!(-3)),
        ("1 == 1.0", json!(true)),
        ("1 < 1.5", json!(true)),
        ("9007199254740993 == 9007199254740992.0", json!(false)),
        ("2.5 >= 2", json!(true)),
        // Text.
        ("'a' + \"b\"", json!("ab")),
        ("'a' < 'b'", json!(true)),
        ("'héllo'.size()", json!(5)),
        ("size('')", json!(0)),
        ("'abc'.contains('bc') && 'abc'.startsWith('a') && 'abc'.endsWith('c')", json!(true)),
        ("'abc'.matches('^a.c$') && matches('x1', r'\\d')", json!(true)),
        ("'\\u00e9\\n'", json!("é\n")),
        // Conditions; a term that decides counts whichever stands first.
        ("true && !false", json!(true)),
        ("inputs.n > 2 ? 'many' : 'few'", json!("many")),
        ("false && absent", json!(false)),
        ("absent && false", json!(false)),
        ("true || 1 / 0 == 1", json!(true)),
        ("1 / 0 == 1 || true", json!(true)),
        ("has(inputs.zone) && !has(inputs.zona)", json!(true)),
        ("has(inputs.none)", json!(true)),
        // Lists and maps.
        ("[1, 2] + [3]", json!([1, 2, 3])),
        ("2 in [1, 2]", json!(true)),
        ("'app' in inputs.labels", json!(true)),
        ("'eu' in inputs.shards.map(s, s.cluster)", json!(true)),
        ("size(inputs.shards) + size(inputs.labels)", json!(4)),
        ("{'a': 1, 'b': [inputs.n]}", json!({ "a": 1, "b": [3] })),
        ("{'a': 1}.a", json!(1)),
        ("[1, [2, 3]][1][0]", json!(2)),
        ("[{'a': 1}] == [{'a': 1.0}]", json!(true)),
        ("{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", json!(true)),
        ("null == inputs.none", json!(true)),
        ("1 == '1'", json!(false)),
        ("[] == {}", json!(false)),
        // Comprehensions.
        ("['root'] + inputs.shards.map(s, s.name)", json!(["root", "alpha", "beta"])),
        ("inputs.shards.map(s, s.replicas > 2, s.name)", json!(["beta"])),
        ("inputs.shards.filter(s, s.name != 'alpha')", json!([{ "name": "beta", "cluster": "us", "replicas": 3 }])),
        ("inputs.shards.all(s, s.replicas > 1)", json!(true)),
        ("inputs.shards.exists(s, s.cluster == 'us')", json!(true)),
        ("inputs.shards.exists_one(s, s.replicas >= 2)", json!(false)),
        ("inputs.shards.all(s, s.absent == 1 || true)", json!(true)),
        ("inputs.shards.exists(s, s.name == 'alpha' || s.absent)", json!(true)),
        ("inputs.empty.all(x, false) && !inputs.empty.exists(x, true)", json!(true)),
        ("inputs.labels.map(k, k)", json!(["app", "a/b"])),
        ("[1, 2].map(x, [10, 20].map(y, x * y))", json!([[10, 20], [20, 40]])),
        ("[1].map(x, [2].map(x, x))", json!([[2]])),
        // Functions of ours.
        ("join(inputs.shards.map(s, s.name), ', ')", json!("alpha, beta")),
        ("[1, true, 'x'].join('-')", json!("1-true-x")),
        ("split('a,b,,c', ',')", json!(["a", "b", "", "c"])),
        ("'añb'.split('')", json!(["a", "ñ", "b"])),
        ("'%s has %d of %.1f%% (%x)'.format(['a', 2, 50, 255])", json!("a has 2 of 50.0% (ff)")),
        ("format('%s', [semver('v1.2.3')])", json!("1.2.3")),
        ("sha256('abc')", json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")),
        ("base64('é')", json!("w6k=")),
        ("semver('1.10.0') > semver('1.9.3')", json!(true)),
        ("semver('1.0.0-rc.2') < semver('1.0.0')", json!(true)),
        ("semver('1.0.0-rc.2') < semver('1.0.0-rc.10')", json!(true)),
        ("semver('v2.3.4-a+b').major + semver('2.3.4').patch", json!(6)),
        ("semver('2.3.4-a.1').pre", json!("a.1")),
        ("semver('1.2.3+x') == semver('v1.2.3+x')", json!(true)),
        ("semver('v1.2.3')", json!("1.2.3")),
        ("cidr('10.1.2.3/8').contains('10.200.0.1')", json!(true)),
        ("cidr('10.0.0.0/8').contains('11.0.0.1') || cidr('10.0.0.0/8').contains('::1')", json!(false)),
        ("cidr('10.0.0.0/8').contains('10.1.0.0/16') && !cidr('10.1.0.0/16').contains('10.0.0.0/8')", json!(true)),
        ("cidr('10.1.2.3/8').network + ' ' + string(cidr('10.1.2.3/8').prefix)", json!("10.0.0.0 8")),
        ("cidr('2001:db8::5/32').family", json!(6)),
        ("cidr('0.0.0.0/0').contains('255.255.255.255') && cidr('::/0').contains('::1')", json!(true)),
        ("cidr('10.0.0.1')", json!("10.0.0.1/32")),
        ("string(1) + string(1.5) + string(true)", json!("11.5true")),
        ("int('12') + int(1.9) + int(3)", json!(16)),
        ("double('1.5') + double(1)", json!(2.5)),
        ("bool('true') && !bool('false')", json!(true)),
        (
            "type(1) + type('a') + type([]) + type({}) + type(null) + type(1.5)",
            json!("intstringlistmapnull_typedouble"),
        ),
        // Outcomes of steps.
        ("exists(root) && succeeded(root) && !failed(root)", json!(true)),
        ("failed(ha) && !exists(ha) && skipped(cdn)", json!(true)),
        ("exists(region['alpha'].deploy)", json!(true)),
        ("inputs.shards.map(s, exists(region[s.name].deploy))", json!([true, false])),
        ("exists(never) || failed(never) || skipped(never)", json!(false)),
        ("exists(ha) ? ha.table : []", json!([])),
    ];
    for (text, expected) in cases {
        assert_eq!(evaluate(text), Ok(expected), "{text}");
    }
    let pem = evaluate(&format!("pem('{CHAIN}')"));
    assert_eq!(
        pem,
        Ok(json!([{ "label": "CERTIFICATE", "der": "AQID" }, { "label": "CERTIFICATE", "der": "BAUGBwgJ" }]))
    );
}

#[test]
fn what_has_no_value_says_why() {
    use EvalErrorKind::{Absent, Invalid};
    for (text, kind, message) in [
        ("absent", Absent, "`absent` has no value"),
        ("inputs.zona", Absent, "no field `zona`"),
        ("inputs.none.a", Absent, "no field `a`"),
        ("inputs.none[0]", Absent, "null has no elements"),
        ("inputs['x']", Absent, "no key `x`"),
        ("inputs.shards[2]", Absent, "the list has 2, counted from 0"),
        ("inputs.shards[-1]", Absent, "no element -1"),
        ("true && absent", Absent, "`absent`"),
        ("has(absent.a)", Absent, "`absent`"),
        ("inputs.zone.a", Invalid, "a string has no fields"),
        ("inputs.zone[0]", Invalid, "no element under an int"),
        ("inputs.shards['a']", Invalid, "no element under a string"),
        ("has(inputs.zone.a)", Invalid, "has no fields"),
        ("1 / 0", Invalid, "divided by zero"),
        ("1 % 0", Invalid, "divided by zero"),
        ("9223372036854775807 + 1", Invalid, "out of the range"),
        ("-9223372036854775808 - 1", Invalid, "out of the range"),
        ("-(-9223372036854775808)", Invalid, "out of the range"),
        ("-9223372036854775808 / -1", Invalid, "out of the range"),
        ("inputs.n * 4611686018427387904", Invalid, "out of the range"),
        ("1 + 1.5", Invalid, "double()"),
        ("'a' + 1", Invalid, "`+` does not go with a string and an int"),
        ("'a' < 1", Invalid, "`<` does not go with"),
        ("[1] < [2]", Invalid, "`<` does not go with a list"),
        ("1 in 'abc'", Invalid, "`in` looks into a list or a map"),
        ("!1", Invalid, "true or false, not an int"),
        ("1 ? 2 : 3", Invalid, "true or false"),
        ("-'a'", Invalid, "`-` takes a number"),
        ("{'a': 1, 'a': 2}", Invalid, "there twice"),
        ("{1: 2}", Invalid, "a key is a string"),
        ("1.map(x, x)", Invalid, "walks through a list or a map"),
        ("nosuch(1)", Invalid, "no function `nosuch`"),
        ("join('a', 'b')", Invalid, "`join` takes a list"),
        ("join([[]], 'b')", Invalid, "element 0 is a list"),
        ("size(1)", Invalid, "`size` takes a string, a list or a map"),
        ("int('1.5')", Invalid, "not a whole number"),
        ("int(1e300)", Invalid, "out of the range"),
        ("bool('yes')", Invalid, "neither true nor false"),
        ("semver('1.2')", Invalid, "not a version"),
        ("cidr('10.0.0.0/33')", Invalid, "0 to 32"),
        ("cidr('10.0.0.256')", Invalid, "no IP address"),
        ("cidr('10.0.0.0/8').contains('x')", Invalid, "not an address"),
        ("pem('x')", Invalid, "no PEM block"),
        ("pem('-----BEGIN PRIVATE KEY-----\\nAA==\\n-----END PRIVATE KEY-----')", Invalid, "private key"),
        ("pem('-----BEGIN X-----\\nAA==')", Invalid, "has no `-----END X-----`"),
        ("'%d'.format(['a'])", Invalid, "`%d` takes a whole number"),
        ("'%s %s'.format(['a'])", Invalid, "more verbs than values"),
        ("'%s'.format(['a', 'b'])", Invalid, "1 more values than verbs"),
        ("'%y'.format([1])", Invalid, "`%y` is not a verb"),
        ("'%'.format([])", Invalid, "ends with `%`"),
        ("'a'.matches('(')", Invalid, "not a regular expression"),
        ("exists(1)", Invalid, "by its name"),
        ("exists('root')", Invalid, "by its name"),
    ] {
        let (found, told) = evaluate(text).expect_err(text);
        assert_eq!(found, kind, "{text}: {told}");
        assert!(told.contains(message), "{text}: {told}");
    }
}

#[test]
fn errors_say_where() {
    for (text, part) in [
        ("root.address + inputs.zona", "zona"),
        ("1 + (2 / 0)", "/"),
        ("[1, 2].map(x, x.y)", "y"),
        ("inputs.shards[7].name", "inputs.shards[7]"),
        ("'a' + int('b')", "int('b')"),
    ] {
        let world = world();
        let values = Values::new().with("inputs", &world["inputs"]).with("root", &world["root"]);
        let error = Expr::parse(text).unwrap().evaluate(&values).expect_err(text);
        assert_eq!(error.range.map(|range| &text[range]), Some(part), "{text}");
    }
}

#[test]
fn work_and_size_are_bounded() {
    let numbers: Vec<i64> = (0..1_000).collect();
    let text = "x".repeat(200_000);
    let world = json!({ "n": numbers, "t": text, "words": vec![text.clone(); 4] });
    let values = Values::new().with("w", &world);
    for text in [
        "w.n.map(a, w.n.map(b, w.n.map(c, a)))",
        "w.n.all(a, w.n.all(b, a + b >= 0))",
        "w.n.map(a, w.t + w.t)",
        "w.n.map(a, w.n)",
        "w.n.map(a, w.n + w.n)",
        "w.n.filter(a, w.t == w.t)",
        "w.n.filter(a, w.n == w.n)",
        "w.n.filter(a, w.t.contains('y'))",
        "w.n.filter(a, -1 in w.n)",
        "w.t + w.t + w.t + w.t + w.t + w.t",
        "w.words + w.words",
        "w.n.map(a, sha256(w.t))",
    ] {
        let begin = std::time::Instant::now();
        let error = Expr::parse(text).unwrap().evaluate(&values).expect_err(text);
        assert_eq!(error.kind, EvalErrorKind::TooLarge, "{text}");
        assert!(begin.elapsed() < std::time::Duration::from_secs(5), "{text} took {:?}", begin.elapsed());
    }
    let allowed = Expr::parse("w.n.map(a, a * 2).filter(a, a > 10).size()").unwrap();
    assert_eq!(allowed.evaluate(&values), Ok(json!(994)));
}

#[test]
fn groups_are_read_as_records_of_steps() {
    let (alpha, beta) = (json!({ "ref": "a-1" }), json!({ "ref": "b-2" }));
    let fields = |name: &str, value| Binding::Fields([(name.to_owned(), Binding::Borrowed(value))].into());
    let mut values = Values::new();
    values.bind(
        "region",
        Binding::Fields(
            [("alpha".to_owned(), fields("deploy", &alpha)), ("beta".to_owned(), fields("deploy", &beta))].into(),
        ),
    );
    values.bind("key", Binding::Owned(json!("beta")));
    for (text, expected) in [
        ("region['alpha'].deploy.ref", json!("a-1")),
        ("region[key].deploy.ref", json!("b-2")),
        ("region.map(k, region[k].deploy.ref)", json!(["a-1", "b-2"])),
        ("size(region)", json!(2)),
        ("has(region.alpha)", json!(true)),
        ("region", json!({ "alpha": { "deploy": { "ref": "a-1" } }, "beta": { "deploy": { "ref": "b-2" } } })),
    ] {
        assert_eq!(Expr::parse(text).unwrap().evaluate(&values), Ok(expected), "{text}");
    }
}

#[test]
fn a_condition_over_an_object_treats_what_is_not_there_as_not_true() {
    let object = json!({ "status": { "phase": "Ready", "conditions": [{ "type": "Available", "status": "True" }] }, "spec": { "replicas": 2 } });
    for (text, expected) in [
        ("object.status.phase == 'Ready'", Ok(true)),
        ("object.status.readyReplicas == object.spec.replicas", Ok(false)),
        ("object.status.conditions.exists(c, c.type == 'Available' && c.status == 'True')", Ok(true)),
        ("object.status.loadBalancer.ingress[0].ip != ''", Ok(false)),
        ("has(object.status.phase)", Ok(true)),
        ("!has(object.status.absent)", Ok(true)),
        ("object.spec.replicas == 'two'", Ok(false)),
        ("object.spec.replicas > 'two'", Err(EvalErrorKind::Invalid)),
    ] {
        let condition = predicate::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(predicate::holds(&condition, &object).map_err(|error| error.kind), expected, "{text}");
    }
    for (text, code, help) in [
        ("status.phase == 'Ready'", "L110", "object.status.phase"),
        ("object.status.phase = 'Ready'", "L101", "=="),
        ("'x' + 'y'", "L112", "compare"),
        ("size(object", "L101", "add the missing"),
    ] {
        let error = predicate::parse(text).expect_err(text);
        assert_eq!(error.code, code, "{text}");
        assert!(error.help.as_deref().unwrap_or_default().contains(help), "{text}: {error:?}");
    }
}

#[test]
fn a_plain_path_costs_microseconds() {
    let world = world();
    let values = Values::new().with("root", &world["root"]).with("inputs", &world["inputs"]);
    let expr = Expr::parse("root.address").unwrap();
    let begin = std::time::Instant::now();
    for _ in 0..10_000 {
        assert!(expr.evaluate(&values).is_ok());
    }
    // In a debug build on a busy machine a few microseconds each; parsing again would cost many times that.
    assert!(begin.elapsed() < std::time::Duration::from_millis(500), "{:?}", begin.elapsed());
}
