//! What a component says of itself, and is not so.

use serde_json::{Value, json};

use super::{Attack, Case, Outcome, case};
use crate::wasm::testing::{Guest, kind};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let schema = |fields: Value| json!({ "type": "object", "properties": fields }).to_string();
    for (name, field, value, word) in [
        ("a verb with a dot", "verb", json!("a.b"), "`a.b` is not a name"),
        ("a verb of another family", "verb", json!("k8s.apply"), "`k8s.apply`"),
        ("a verb with a way out", "verb", json!("../x"), "is not a name"),
        ("no verb", "verb", json!(""), "is not a name"),
        ("a verb in capitals", "verb", json!("Purge"), "is not a name"),
        ("a verb that a terminal would obey", "verb", json!("\u{1b}[2J"), "is not a name"),
        ("version 0", "version", json!(0), "accepts-from"),
        ("a version that it does not accept", "accepts-from", json!(2), "2 is not between 1 and the version"),
        ("accepting from 0", "accepts-from", json!(0), "0 is not between"),
        ("no words", "doc", json!(" \n"), "says nothing"),
        ("no time", "time-limit", json!({ "action": 0 }), "leaves no time"),
        ("no time to wait", "time-limit", json!({ "wait": 0 }), "leaves no time"),
        ("inputs that are no JSON", "inputs", json!("{"), "not JSON"),
        ("inputs that are nothing", "inputs", json!(""), "not JSON"),
        ("inputs that are a text", "inputs", json!("\"x\""), "kind `test`"),
        (
            "inputs that are a list",
            "inputs",
            json!(r#"{"type":"array","items":{"type":"string"}}"#),
            "inputs are an object",
        ),
        ("inputs of no type", "inputs", json!(schema(json!({ "a": { "type": "rocket" } }))), "kind `test`"),
        ("an input outside of the subset", "inputs", json!(schema(json!({ "a": { "not": {} } }))), "kind `test`"),
        ("an input called `needs`", "inputs", json!(schema(json!({ "needs": { "type": "string" } }))), "`needs`"),
        (
            "a reference to another file",
            "inputs",
            json!(schema(json!({ "a": { "$ref": "https://evil.example/x" } }))),
            "kind `test`",
        ),
        (
            "a reference to itself",
            "inputs",
            json!(r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"$ref":"#/$defs/a"}}}"##),
            "kind `test`",
        ),
        (
            "words that a terminal would obey",
            "inputs",
            json!(r#"{"type":"object","description":"\u001b[2J","properties":{}}"#),
            "control character",
        ),
        (
            "a schema without end",
            "inputs",
            json!(format!("{{\"a\":\"{}\"}}", "x".repeat(300_000))),
            "its limit of 256 KiB",
        ),
        ("outputs that are no JSON", "outputs", json!("nothing"), "not JSON"),
        (
            "outputs of no type",
            "outputs",
            json!(schema(json!({ "a": { "type": "number of rockets" } }))),
            "kind `test`",
        ),
        ("outputs that are its inputs", "outputs", json!(r#"{"x-same-as-inputs":true}"#), "not for components"),
        (
            "an effect of an input that is not there",
            "effect",
            json!({ "from-input": { "input": "mode", "effects": [] } }),
            "`mode`",
        ),
        (
            "asking for a verb that is none",
            "asks",
            json!([{ "what": { "kubernetes": { "verbs": ["escalate"], "kinds": ["Role"] } }, "why": "" }]),
            "`escalate`",
        ),
    ] {
        let mut claimed = kind("test");
        claimed[field] = value;
        cases.push(lie(name, json!([claimed]), word));
    }
    cases.push(lie("no kind", json!([]), "provides no kind"));
    cases.push(lie("one kind twice", json!([kind("a"), kind("a")]), "two of its kinds"));
    let many: Vec<Value> = (0..101).map(|n| kind(&format!("k{n}"))).collect();
    cases.push(lie("a hundred and one kinds", json!(many), "at most 100"));
    let deep = format!("{}{{}}{}", r#"{"type":"array","items":"#.repeat(40), "}".repeat(40));
    let mut claimed = kind("test");
    claimed["inputs"] = json!(format!(r#"{{"type":"object","properties":{{"a":{deep}}}}}"#));
    cases.push(lie("inputs that are nested deeply", json!([claimed]), "kind `test`"));
    cases
}

fn lie(name: &str, kinds: Value, word: &'static str) -> Case {
    let guest = Guest::new().memory("(memory (export \"memory\") 8)").kinds(kinds);
    case(format!("claim: {name}"), Attack::Load(guest.pack()), Outcome::Refused("W010", word))
}
