//! The step of the conformance suite, in Rust. It is the same in every language: `../cases` says what it does.

wit_bindgen::generate!({ world: "step", path: "wit" });

use crate::engine::step::types::*;
use crate::engine::step::{clock, dns, hold, http, kubernetes, memo, random, report};
use exports::engine::step::handler::Guest;
use serde_json::{json, Value};

const SAY_INPUTS: &str = r#"{
    "type": "object",
    "required": ["text"],
    "properties": {
        "text": { "type": "string", "description": "What is said." },
        "mode": { "enum": ["free", "steady", "single"], "default": "steady", "description": "Decides the effect." },
        "pause": { "type": "integer", "default": 0, "description": "Milliseconds of sleep." },
        "fail": { "enum": ["transient", "permanent", "needs-person"], "description": "How it fails." },
        "find": { "enum": ["done", "intact", "drifted", "gone", "unknown"], "default": "intact", "description": "What verify finds." }
    }
}"#;

const SAY_OUTPUTS: &str = r#"{
    "type": "object",
    "required": ["text", "attempt", "times", "slept", "random", "forward", "clusters"],
    "properties": {
        "text": { "type": "string", "description": "What was said." },
        "attempt": { "type": "integer", "description": "The attempt." },
        "times": { "type": "integer", "description": "How often this run has said it." },
        "slept": { "type": "boolean", "description": "Whether the pause was not cut short." },
        "random": { "type": "integer", "description": "How many random bytes came." },
        "forward": { "type": "boolean", "description": "Whether time did not go back." },
        "clusters": { "type": "integer", "description": "How many clusters the step names." }
    }
}"#;

const ASK_INPUTS: &str = r#"{
    "type": "object",
    "required": ["what"],
    "properties": {
        "what": { "enum": ["http", "get", "list", "apply", "delete", "wait", "dns"], "description": "What the host is asked for." },
        "url": { "type": "string", "description": "http." },
        "method": { "type": "string", "default": "GET", "description": "http." },
        "body": { "type": "string", "description": "http." },
        "api-version": { "type": "string", "default": "v1", "description": "kubernetes." },
        "kind": { "type": "string", "default": "ConfigMap", "description": "kubernetes." },
        "namespace": { "type": "string", "description": "kubernetes." },
        "label": { "type": "string", "description": "kubernetes." },
        "uid": { "type": "string", "description": "kubernetes." },
        "until": { "type": "string", "default": "true", "description": "kubernetes." },
        "name": { "type": "string", "default": "a", "description": "kubernetes, dns." },
        "record-type": { "type": "string", "default": "A", "description": "dns." },
        "sure": { "type": "boolean", "default": false, "description": "kubernetes: by force. dns: at the authoritative servers." }
    }
}"#;

const ASK_OUTPUTS: &str = r#"{
    "type": "object",
    "properties": {
        "answer": { "type": "string", "description": "What the host answered." },
        "refused": { "type": "string", "description": "The host's error." }
    }
}"#;

struct Step;
export!(Step);

impl Guest for Step {
    fn describe() -> Vec<Kind> {
        let effects = vec![("free".into(), Effect::Pure), ("steady".into(), Effect::Converge), ("single".into(), Effect::Once)];
        let asked = vec![
            Permission::Http(HttpAsk {
                origin: Some("https://api.example".into()),
                methods: vec!["GET".into(), "PUT".into()],
                path: Some("/v1/*".into()),
            }),
            Permission::Kubernetes(KubernetesAsk {
                verbs: ["get", "list", "watch", "apply", "delete"].map(String::from).to_vec(),
                kinds: vec!["ConfigMap".into()],
            }),
            Permission::Dns(DnsAsk { domains: vec!["example".into()] }),
        ];
        vec![
            Kind {
                verb: "say".into(),
                version: 3,
                accepts_from: 2,
                doc: "Says something.\n\nIt also notes, holds and waits.".into(),
                inputs: SAY_INPUTS.into(),
                outputs: SAY_OUTPUTS.into(),
                effect: EffectOf::FromInput(EffectByInput { input: "mode".into(), effects }),
                undo: UndoDefault::Ask,
                time_limit: TimeLimit::Action(90_000),
                on: OnCluster::Refused,
                asks: vec![],
            },
            Kind {
                verb: "ask".into(),
                version: 1,
                accepts_from: 1,
                doc: "Asks the host for something.".into(),
                inputs: ASK_INPUTS.into(),
                outputs: ASK_OUTPUTS.into(),
                effect: EffectOf::Fixed(Effect::Converge),
                undo: UndoDefault::Delete,
                time_limit: TimeLimit::Wait(600_000),
                on: OnCluster::Optional,
                asks: asked.into_iter().map(|what| Ask { what, why: "to show that it can".into() }).collect(),
            },
        ]
    }

    fn preview(call: Call) -> Result<Previewed, Failure> {
        let inputs = inputs(&call);
        if call.kind == "ask" {
            let (action, object) = match ask(&call, &inputs) {
                Ok(answer) => (ChangeAction::Update, answer),
                Err(refused) => (ChangeAction::Unknown, refused),
            };
            return Ok(Previewed::Changes(vec![change(&object, action, Certainty::Server)]));
        }
        if text(&inputs, "text") == "later" {
            return Ok(Previewed::Later("an earlier step".into()));
        }
        let mut created = change("create", ChangeAction::Create, Certainty::Server);
        created.fields.push(FieldChange { path: "spec.a".into(), before: None, after: Some("1".into()) });
        let mut updated = change("update", ChangeAction::Update, Certainty::Schema);
        updated.fields.push(FieldChange { path: "spec.b".into(), before: Some("\"x\"".into()), after: Some("\"y\"".into()) });
        updated.fields.push(FieldChange { path: "spec.c".into(), before: Some("true".into()), after: None });
        updated.conflict = Some("owned by somebody else".into());
        Ok(Previewed::Changes(vec![
            created,
            updated,
            change("same", ChangeAction::Same, Certainty::Later),
            change("delete", ChangeAction::Delete, Certainty::Server),
            change("run", ChangeAction::Run, Certainty::Schema),
            change("unknown", ChangeAction::Unknown, Certainty::Later),
        ]))
    }

    fn run(call: Call) -> Result<Outcome, Failure> {
        let inputs = inputs(&call);
        if call.kind == "ask" {
            let (key, words) = match ask(&call, &inputs) {
                Ok(answer) => ("answer", answer),
                Err(refused) => ("refused", refused),
            };
            return Ok(Outcome { outputs: json!({ key: words }).to_string(), summary: words, same: key == "refused" });
        }
        say(&call, &inputs)
    }

    fn verify(call: Call, outputs: Option<Json>) -> Result<Verdict, Failure> {
        let inputs = inputs(&call);
        Ok(match text(&inputs, "find") {
            "done" => Verdict::Done(Outcome {
                outputs: outputs.unwrap_or_else(|| "{}".into()),
                summary: "it had happened".into(),
                same: false,
            }),
            "intact" => Verdict::Intact,
            "drifted" => Verdict::Drifted(vec![change("update", ChangeAction::Update, Certainty::Server)]),
            "gone" => Verdict::Gone("it is gone".into()),
            _ => Verdict::Unknown("nobody knows".into()),
        })
    }

    fn undo(call: Call, outputs: Option<Json>) -> Result<String, Failure> {
        let record = if outputs.is_some() { "with" } else { "without" };
        Ok(format!("took back `{}`, {record} a record", text(&inputs(&call), "text")))
    }

    fn release(_call: Call, name: String, data: Json) -> Result<(), Failure> {
        if name != "breath" {
            return Err(Failure::Permanent(problem("SAY9", format!("`{name}` is not held"))));
        }
        let data: Value = serde_json::from_str(&data).expect("the engine hands JSON in");
        report::log(report::Level::Info, &format!("gave back `{}`", text(&data, "text")), &[]);
        Ok(())
    }
}

fn say(call: &Call, inputs: &Value) -> Result<Outcome, Failure> {
    let said = text(inputs, "text");
    for (level, name) in [
        (report::Level::Error, "error"),
        (report::Level::Warn, "warn"),
        (report::Level::Info, "info"),
        (report::Level::Debug, "debug"),
    ] {
        report::log(level, &format!("{name}: {said}"), &[("step".into(), call.step.clone()), ("level".into(), name.into())]);
    }
    if let Some(how) = inputs["fail"].as_str() {
        return Err(failed(how, said));
    }
    let times = memo::get("times").and_then(|times| times.parse::<u64>().ok()).unwrap_or(0) + 1;
    memo::put("times", &times.to_string()).map_err(|why| Failure::Transient(problem("SAY1", why)))?;
    hold::take("breath", &json!({ "text": said }).to_string()).map_err(|why| Failure::Transient(problem("SAY2", why)))?;
    let before = clock::now_ms();
    let pause = inputs["pause"].as_u64().unwrap_or(0);
    report::waiting(&format!("a pause of {pause} ms"));
    let slept = clock::sleep_ms(pause);
    let outputs = json!({
        "text": said,
        "attempt": call.attempt,
        "times": times,
        "slept": slept,
        "random": random::bytes(16).len(),
        "forward": clock::now_ms() >= before,
        "clusters": call.clusters.len(),
    });
    Ok(Outcome { outputs: outputs.to_string(), summary: format!("said `{said}`"), same: pause == 0 })
}

fn failed(how: &str, said: &str) -> Failure {
    let mut problem = problem("SAY3", format!("did not say `{said}`"));
    problem.help = Some("say something else".into());
    problem.causes = vec!["the nearest cause".into(), "the root".into()];
    match how {
        "transient" => {
            problem.retry_after_ms = Some(1500);
            Failure::Transient(problem)
        }
        "permanent" => {
            problem.not_started = true;
            Failure::Permanent(problem)
        }
        _ => Failure::NeedsPerson(problem),
    }
}

/// What the host answers, or its error, both in words.
fn ask(call: &Call, inputs: &Value) -> Result<String, String> {
    let (cluster, kind) = (call.on.clone().unwrap_or_default(), text(inputs, "kind").to_owned());
    let (api_version, namespace) = (text(inputs, "api-version").to_owned(), optional(inputs, "namespace"));
    let (name, sure) = (text(inputs, "name").to_owned(), inputs["sure"].as_bool().unwrap_or(false));
    let target = kubernetes::Target {
        cluster: cluster.clone(),
        api_version: api_version.clone(),
        kind: kind.clone(),
        namespace: namespace.clone(),
        name: name.clone(),
    };
    match text(inputs, "what") {
        "http" => send(inputs),
        "get" => kubernetes::get(&target).map(|object| object_words(&object)).map_err(kubernetes_words),
        "list" => {
            let label_selector = optional(inputs, "label");
            let list = kubernetes::list_objects(&kubernetes::Selection { cluster, api_version, kind, namespace, label_selector });
            let words = |objects: Vec<Json>| objects.iter().map(|o| object_words(o)).collect::<Vec<_>>().join(", ");
            list.map(words).map_err(kubernetes_words)
        }
        "apply" => {
            let object = json!({ "apiVersion": api_version, "kind": kind, "metadata": { "name": name, "namespace": namespace } });
            kubernetes::apply(&cluster, &object.to_string(), sure).map(written_words).map_err(kubernetes_words)
        }
        "delete" => kubernetes::delete(&target, optional(inputs, "uid").as_deref()).map(written_words).map_err(kubernetes_words),
        "wait" => kubernetes::wait(&target, text(inputs, "until"), 30_000).map(|object| object_words(&object)).map_err(kubernetes_words),
        _ => query(&name, text(inputs, "record-type"), sure),
    }
}

fn send(inputs: &Value) -> Result<String, String> {
    let request = http::Request {
        method: text(inputs, "method").into(),
        url: text(inputs, "url").into(),
        headers: vec![("x-from".into(), "conformance".into())],
        body: optional(inputs, "body").map(String::into_bytes),
        timeout_ms: Some(10_000),
    };
    match http::send(&request) {
        Ok(http::Answer::Done(response)) => {
            let etag = response.headers.iter().find(|(name, _)| name == "etag").map_or("none", |(_, value)| value);
            Ok(format!("{} etag={etag} {}", response.status, String::from_utf8_lossy(&response.body)))
        }
        Ok(http::Answer::WouldDo) => Ok("would-do".into()),
        Err(error) => Err(match error {
            http::Error::NotGranted(why) => format!("not-granted: {why}"),
            http::Error::Timeout => "timeout".into(),
            http::Error::Dns(why) => format!("dns: {why}"),
            http::Error::Connect(why) => format!("connect: {why}"),
            http::Error::Tls(why) => format!("tls: {why}"),
            http::Error::TooLarge(bytes) => format!("too-large: {bytes}"),
            http::Error::Other(why) => format!("other: {why}"),
        }),
    }
}

fn query(name: &str, record_type: &str, authoritative: bool) -> Result<String, String> {
    let words = |a: &dns::Answer| format!("{} {} {} {}", a.name, a.record_type, a.ttl, a.value);
    match dns::query(name, record_type, authoritative) {
        Ok(answers) => Ok(answers.iter().map(words).collect::<Vec<_>>().join(", ")),
        Err(error) => Err(match error {
            dns::Error::NotGranted(why) => format!("not-granted: {why}"),
            dns::Error::NoSuchName => "no-such-name".into(),
            dns::Error::ServerFailure => "server-failure".into(),
            dns::Error::Timeout => "timeout".into(),
            dns::Error::Other(why) => format!("other: {why}"),
        }),
    }
}

fn kubernetes_words(error: kubernetes::Error) -> String {
    match error {
        kubernetes::Error::NotGranted(why) => format!("not-granted: {why}"),
        kubernetes::Error::NotFound => "not-found".into(),
        kubernetes::Error::Conflict(why) => format!("conflict: {why}"),
        kubernetes::Error::Forbidden(why) => format!("forbidden: {why}"),
        kubernetes::Error::Unavailable(why) => format!("unavailable: {why}"),
        kubernetes::Error::Invalid(why) => format!("invalid: {why}"),
        kubernetes::Error::Other(why) => format!("other: {why}"),
    }
}

fn written_words(written: kubernetes::Written) -> String {
    match written {
        kubernetes::Written::Done(object) => format!("done {}", object_words(&object)),
        kubernetes::Written::WouldDo(object) => format!("would-do {}", object_words(&object)),
    }
}

fn object_words(object: &str) -> String {
    let object: Value = serde_json::from_str(object).expect("the host answers with JSON");
    format!("{} {}", text(&object, "kind"), text(&object["metadata"], "name"))
}

fn change(object: &str, action: ChangeAction, certainty: Certainty) -> Change {
    Change { object: object.into(), action, certainty, fields: vec![], conflict: None }
}

fn inputs(call: &Call) -> Value {
    serde_json::from_str(&call.inputs).expect("the engine hands JSON in")
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_default()
}

fn optional(object: &Value, key: &str) -> Option<String> {
    object[key].as_str().map(String::from)
}

fn problem(code: &str, message: String) -> Problem {
    Problem { code: code.into(), message, help: None, causes: vec![], retry_after_ms: None, not_started: false }
}
