//! How a step's body becomes its inputs.

use serde_json::{Value, json};

use super::{check, workflow};

/// The literal inputs that a body gives.
fn inputs(kind: &str, body: &str) -> Value {
    let on = if kind == "k.apply" { "on=eu " } else { "" };
    let text = format!(
        "workflow t\ncluster eu\ncluster us\nsecret token {{ from env=T }}\nstep z uses=t.local\nstep a uses={kind} {on}{{ {body} }}"
    );
    let workflow = workflow(&text);
    workflow.steps[1].body.as_literal().unwrap_or_else(|| panic!("not only literals: {body}"))
}

#[test]
fn scalars_fill_fields_by_their_type() {
    for (body, field, value) in [
        ("count 3", "count", json!(3)),
        ("ratio 1", "ratio", json!(1)),
        ("ratio 0.5", "ratio", json!(0.5)),
        ("flag", "flag", json!(true)),
        ("flag #false", "flag", json!(false)),
        ("mode fast", "mode", json!("fast")),
        ("text word", "text", json!("word")),
        ("text \"two words\"", "text", json!("two words")),
        ("text \"$${x}\"", "text", json!("${x}")),
        ("text #\"${x}\"#", "text", json!("${x}")),
        ("span \"1h30m\"", "span", json!("1h30m")),
        ("target eu", "target", json!("eu")),
        ("targets eu us", "targets", json!(["eu", "us"])),
        ("targets eu", "targets", json!(["eu"])),
        ("targets { - eu; - us }", "targets", json!(["eu", "us"])),
        ("targets eu; targets us", "targets", json!(["eu", "us"])),
        ("counts 1 2; counts 3", "counts", json!([1, 2, 3])),
        ("env { A x; B y }", "env", json!({ "A": "x", "B": "y" })),
        ("env A=x { B y }", "env", json!({ "A": "x", "B": "y" })),
        ("env {}", "env", json!({})),
        ("optional #null", "optional", json!(null)),
    ] {
        assert_eq!(inputs("t.every", body), json!({ field: value }), "{body}");
    }
}

#[test]
fn values_without_a_schema_follow_json_in_kdl() {
    for (body, value) in [
        ("free 1", json!(1)),
        ("free #null", json!(null)),
        ("free a b", json!(["a", "b"])),
        ("free { - a }", json!(["a"])),
        ("free { - x=1; - y=2 { z 3 } }", json!([{ "x": 1 }, { "y": 2, "z": 3 }])),
        ("free { - 1 2; - { - 3 } }", json!([[1, 2], [3]])),
        ("free {}", json!({})),
        ("free x=1 { y { z 2; empty {} } }", json!({ "x": 1, "y": { "z": 2, "empty": {} } })),
        (
            "free { ports { - containerPort=8443 name=https } }",
            json!({ "ports": [{ "containerPort": 8443, "name": "https" }] }),
        ),
        ("free { args \"a\" \"b\"; \"key/with.dots\" v }", json!({ "args": ["a", "b"], "key/with.dots": "v" })),
        ("free 9223372036854775807", json!(i64::MAX)),
    ] {
        assert_eq!(inputs("t.every", body), json!({ "free": value }), "{body}");
    }
}

#[test]
fn arguments_properties_and_children_fill_the_same_fields() {
    let wanted = json!({ "zone": { "name": "a.b", "server": "s" }, "record": [{ "type": "A", "name": "x.y", "value": "1", "ttl": 60 }] });
    for body in [
        "zone \"a.b\" server=s; record A \"x.y\" \"1\" ttl=60",
        "zone name=\"a.b\" server=s; record A name=\"x.y\" value=\"1\" ttl=60",
        "zone { name \"a.b\"; server s }; record { type A; name \"x.y\"; value \"1\"; ttl 60 }",
        "zone \"a.b\" { server s }; record { - A \"x.y\" \"1\" ttl=60 }",
    ] {
        assert_eq!(inputs("d.records", body), wanted, "{body}");
    }
}

#[test]
fn what_is_left_out_gets_its_default() {
    let wanted =
        json!({ "zone": { "name": "a.b" }, "record": [{ "type": "A", "name": "x.y", "value": "1", "ttl": 300 }] });
    assert_eq!(inputs("d.records", "zone \"a.b\"; record A \"x.y\" \"1\""), wanted);
    assert_eq!(
        inputs("k.apply", "object kind=Namespace"),
        json!({ "object": [{ "kind": "Namespace" }], "manifest": [], "take-ownership": false })
    );
}

#[test]
fn objects_of_a_list_repeat() {
    let two = inputs("k.apply", "object kind=A { metadata name=a }\nobject kind=B");
    assert_eq!(two["object"], json!([{ "kind": "A", "metadata": { "name": "a" } }, { "kind": "B" }]));
}

#[test]
fn a_choice_is_named_first_or_by_its_property() {
    let keep = |body: &str| inputs("p.leaf", &format!("common-name a; {body}"))["keep"].clone();
    assert_eq!(
        keep("keep secret on=eu namespace=n name=s"),
        json!({ "secret": { "on": "eu", "namespace": "n", "name": "s" } })
    );
    assert_eq!(keep("keep { secret on=eu name=s }"), json!({ "secret": { "on": "eu", "name": "s" } }));
    assert_eq!(keep("keep file=\"x\""), json!({ "file": "x" }));
    assert_eq!(keep("keep file \"x\""), json!({ "file": "x" }));
    let leaf = |body: &str| format!("step a uses=p.leaf {{ common-name a; {body} }}");
    check(&leaf("keep"), &[("L238", "keep")]);
    check(&leaf("keep vault=a"), &[("L238", "keep vault=a")]);
    check(&leaf("keep file=a { secret on=eu name=b }"), &[("L238", "keep file=a")]);
    check(&leaf("keep secret on=eu"), &[("L231", "keep")]);
    check(&leaf("keep secret on=mars name=s"), &[("L210", "mars")]);
    check(&leaf("keep secret on=eu name=S"), &[("L233", "S")]);
    check(&leaf("keep secret on=eu name=s nam=b"), &[("L230", "nam")]);
}

#[test]
fn a_value_that_does_not_fit_is_marked_itself() {
    let every = |body: &str| format!("step a uses=t.every {{ {body} }}");
    for (body, code, span) in [
        ("count 256", "L233", "256"),
        ("count -1", "L233", "-1"),
        ("count 1.5", "L232", "1.5"),
        ("count \"3\"", "L232", "\"3\""),
        ("count #true", "L232", "#true"),
        ("count", "L231", "count"),
        ("count 1 2", "L236", "2"),
        ("count #null", "L232", "#null"),
        ("count { a 1 }", "L232", "count"),
        ("count 1 x=1", "L230", "x"),
        ("ratio x", "L232", "x"),
        ("flag truly", "L232", "truly"),
        ("mode fats", "L234", "fats"),
        ("text 80", "L232", "80"),
        ("text #true", "L232", "#true"),
        ("host \"a..b\"", "L233", "\"a..b\""),
        ("label A", "L233", "A"),
        ("span \"5 minutes\"", "L233", "\"5 minutes\""),
        ("amount \"5MB\"", "L233", "\"5MB\""),
        ("version \"v1.0.0\"", "L233", "\"v1.0.0\""),
        ("address \"example.com\"", "L233", "\"example.com\""),
        ("target mars", "L210", "mars"),
        ("targets eu mars", "L210", "mars"),
        ("after nobody", "L212", "nobody"),
        ("counts 1 x", "L232", "x"),
        ("env { A 1 }", "L232", "1"),
        ("env { A x; A y }", "L235", "A"),
        ("env A", "L232", "A"),
        ("free", "L231", "free"),
        ("free 1 a=2", "L237", "1"),
        ("free { - 1; b 2 }", "L237", "-"),
        ("free { a 1; a 2 }", "L235", "a"),
        ("secret nothing", "L211", "nothing"),
        ("optional 1", "L232", "1"),
        ("tekst a", "L230", "tekst"),
        ("text a; text b", "L235", "text"),
    ] {
        check(&every(body), &[(code, span)]);
    }
}

#[test]
fn fields_of_an_object_are_closed_and_complete() {
    let step = |body: &str| format!("step a uses=d.records {{ {body} }}");
    check("step a uses=d.records", &[("L231", "step")]);
    check(&step("zone"), &[("L231", "zone")]);
    check(&step("zone \"a.b\" servr=x"), &[("L230", "servr")]);
    check(&step("zone \"a.b\" { servr x }"), &[("L230", "servr")]);
    check(&step("zone \"a.b\" \"c.d\""), &[("L236", "\"c.d\"")]);
    check(&step("zone \"a.b\" name=\"c.d\""), &[("L235", "name")]);
    check(&step("zone \"a.b\" server=x { server y }"), &[("L235", "server")]);
    check(&step("zone \"a.b\" key=token"), &[]);
    check(&step("zone \"a.b\" key=tokne"), &[("L211", "tokne")]);
    check(&step("zone \"a.b\"; record A \"x.y\""), &[("L231", "record")]);
    check(&step("zone \"a.b\"; record AA \"x.y\" \"1\""), &[("L234", "AA")]);
    check(&step("zone \"a.b\"; record A \"x.y\" \"1\" ttl=0"), &[("L233", "0")]);
    check("step a uses=p.leaf", &[("L231", "step"), ("L231", "step")]);
    check("step a uses=p.leaf { common-name a; keep file=k; usage server cilent }", &[("L234", "cilent")]);
}

#[test]
fn children_repeat_where_a_list_is_filled() {
    let step = |body: &str| format!("step a uses=t.every {{ {body} }}");
    check(&step("for-each s in=\"inputs.list\" { text a }"), &[("L240", "for-each s in=\"inputs.list\"")]);
    check(&step("for-each s in=\"inputs.list\" { tekst a }"), &[("L230", "tekst")]);
    check(&step("for-each s in=\"inputs.list\" { counts 1 }"), &[]);
    check(&step("free { for-each s in=\"inputs.list\" { - 1 } }"), &[]);
    check(&step("free { for-each s in=\"inputs.list\" { a 1 } }"), &[("L240", "for-each s in=\"inputs.list\"")]);
    check(&step("for-each in=\"inputs.list\" { counts 1 }"), &[("L204", "for-each")]);
    check(&step("for-each s { counts 1 }"), &[("L204", "for-each")]);
    check(&step("for-each s in=\"inputs.list\" key=\"s\" { counts 1 }"), &[("L203", "key")]);
    check(&step("for-each token in=\"inputs.list\" { counts 1 }"), &[("L206", "token")]);
    check(&step("for-each a in=\"inputs.list\" { counts 1 }"), &[("L206", "a")]);
}

#[test]
fn outputs_of_value_set_can_be_named_by_expressions() {
    check("step a uses=value.set { api-url x }", &[("L205", "api-url")]);
    check("step a uses=value.set { apiUrl x }", &[("L205", "apiUrl")]);
    check("step a uses=value.set { api_url x }", &[]);
}

#[test]
fn many_mistakes_are_told_at_once_and_in_order() {
    check(
        "step a uses=t.every on=mars {\n  count 999\n  mode fats\n  tiemout \"5m\"\n}\nstep b uses=nothing.known needs=c\noutput x",
        &[
            ("L210", "mars"),
            ("L233", "999"),
            ("L234", "fats"),
            ("L230", "tiemout"),
            ("L209", "nothing.known"),
            ("L212", "c"),
            ("L231", "output"),
        ],
    );
}
