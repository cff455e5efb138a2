//! What a person gives for the inputs.

use serde_json::json;

use super::{refused, try_plan};

const TYPES: &str =
    "workflow t\ncluster eu\ntype region { name type=dns-label; cluster type=cluster; size type=u8 default=2 }\n";

#[test]
fn a_text_is_read_by_the_type_of_its_input() {
    for (ty, text, value) in [
        ("string", "5", json!("5")),
        ("hostname", "a.b", json!("a.b")),
        ("int", "-5", json!(-5)),
        ("u64", "18446744073709551615", json!(u64::MAX)),
        ("float", "2.5", json!(2.5)),
        ("bool", "true", json!(true)),
        ("duration", "5m", json!("5m")),
        ("cluster", "eu", json!("eu")),
        ("\"list<int>\"", "[1, 2]", json!([1, 2])),
        ("\"map<string>\"", "{\"a\": \"b\"}", json!({ "a": "b" })),
        (
            "\"list<region>\"",
            "[{\"name\": \"a\", \"cluster\": \"eu\"}]",
            json!([{ "name": "a", "cluster": "eu", "size": 2 }]),
        ),
    ] {
        let plan = try_plan(&format!("{TYPES}input x type={ty}"), &[("x", text)])
            .unwrap_or_else(|problems| panic!("{ty} {text}: {problems:?}"));
        assert_eq!(plan.inputs["x"], value, "{ty} {text}");
    }
}

#[test]
fn a_text_that_does_not_fit_is_refused_with_its_reason() {
    for (ty, text, reason) in [
        ("int", "five", "`five` is not a whole number"),
        ("u8", "256", "256, out of range"),
        ("bool", "yes", "neither `true` nor `false`"),
        ("hostname", "a_b", "is not a host name"),
        ("float", "inf", "not a number"),
        ("\"list<int>\"", "1, 2", "not JSON"),
        ("\"list<int>\"", "[1, \"2\"]", "`x[1]` is a whole number"),
        ("region", "{\"name\": \"a\"}", "needs `cluster`"),
        ("region", "{\"name\": \"a\", \"cluster\": \"eu\", \"colour\": 1}", "has no field `colour`"),
    ] {
        let found = refused(&format!("{TYPES}input x type={ty}"), &[("x", text)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].0 == "P003" && found[0].1.contains(reason), "{ty} {text}: {found:?}");
    }
    let found = refused(
        &format!("{TYPES}input x type=\"list<region>\""),
        &[("x", "[{\"name\": \"a\", \"cluster\": \"mars\"}]")],
    );
    assert_eq!(found[0].0, "P010", "{found:?}");
}

#[test]
fn what_is_missing_and_what_is_unknown_come_together() {
    let text = "workflow t\ninput domain type=hostname doc=\"The zone.\"\ninput count type=int";
    let problems = try_plan(text, &[("domian", "x")]).unwrap_err();
    let codes: Vec<&str> = problems.iter().map(|problem| problem.code).collect();
    assert_eq!(codes, ["P002", "P001", "P001"]);
    assert!(problems[0].help.as_ref().unwrap().contains("did you mean `domain`?"), "{problems:?}");
    assert_eq!(problems[1].help.as_deref(), Some("pass `--var domain=VALUE`: The zone."));
}

#[test]
fn checks_look_at_all_inputs() {
    let text = "workflow t\ninput a type=int { check \"inputs.a < inputs.b\" message=\"a must be below b\" }\ninput b type=int default=5";
    assert!(try_plan(text, &[("a", "4")]).is_ok());
    assert_eq!(refused(text, &[("a", "5")]), [("P004", "input `a`: a must be below b".to_owned())]);
    let text = "workflow t\ninput a type=\"list<int>\" { check \"inputs.a[0] > 0\" }";
    assert_eq!(refused(text, &[("a", "[]")])[0].0, "P007");
    assert_eq!(refused(text, &[("a", "[0]")]), [("P004", "input `a`: `inputs.a[0] > 0` does not hold".to_owned())]);
}

#[test]
fn an_identity_may_be_left_out_but_not_be_empty() {
    let text = "workflow t\ninput uid type=string default=#null\ncluster eu { identity uid=\"${inputs.uid}\" }";
    assert_eq!(try_plan(text, &[]).unwrap().clusters[0].identity, None);
    assert_eq!(try_plan(text, &[("uid", "1-2")]).unwrap().clusters[0].identity.as_deref(), Some("1-2"));
    assert_eq!(refused(text, &[("uid", "")])[0].0, "P011");
}
