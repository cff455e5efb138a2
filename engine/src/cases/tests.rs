//! Cases over a native step that asks the host as a custom step would.

use std::sync::Arc;

use async_trait::async_trait;
use engine_core::diagnostic::{Problem, Source, SourceId};
use engine_core::id::Digest;
use serde_json::json;
use steps_sdk::context::StepContext;
use steps_sdk::grant::{Ask, Permission};
use steps_sdk::host::{Host, HttpError, HttpRequest};
use steps_sdk::native::StepHandler;
use steps_sdk::outcome::{Certainty, Change, ChangeAction};
use steps_sdk::schema::SchemaError;
use steps_sdk::spec::{About, OnCluster, SpecSource};
use steps_sdk::{Outcome, Preview, StepError, StepKind, StepSpec, Value, Verdict};

use super::judge::{Mismatch, judge};
use super::*;

/// Asks a server for a zone's serial, and waits an hour of it when the server is not there.
struct Serial(Option<Host>);

fn spec() -> StepSpec {
    let mut about = About::converging("web.serial", "Reads a serial.");
    about.on = OnCluster::Optional;
    about.asks = vec![Ask {
        what: Permission::Http {
            origin: Some("https://api.example".into()),
            methods: vec!["GET".into(), "PUT".into()],
            path: None,
        },
        why: "the serial is there".into(),
    }];
    let inputs = json!({ "type": "object", "required": ["zone"], "properties": {
        "zone": { "type": "string", "format": "hostname" },
        "ttl": { "type": "string", "format": "duration", "default": "5m" },
        "names": { "type": "array", "items": { "type": "string" } },
    } });
    let outputs = json!({ "type": "object", "required": ["serial"], "properties": {
        "serial": { "type": "integer" }, "names": { "type": "array", "items": { "type": "string" } },
    } });
    StepSpec::new(about, SpecSource { inputs, outputs }).unwrap()
}

impl Serial {
    async fn get(&self, zone: &str) -> Result<Value, StepError> {
        let request = HttpRequest {
            method: "GET".into(),
            url: format!("https://api.example/zones/{zone}"),
            headers: vec![("accept".into(), "application/json".into())],
            secret_header: None,
            body: Vec::new(),
            timeout: std::time::Duration::from_secs(10),
            private: true,
            response_bytes_max: 1 << 20,
        };
        let host = self.0.as_ref().unwrap();
        match host.http.send(request).await {
            Ok(response) => Ok(serde_json::from_slice(&response.body).unwrap_or(Value::Null)),
            Err(HttpError::Timeout) => Err(StepError::transient("WEB1", "the server does not answer").help("wait")),
            Err(error) => Err(StepError::permanent("WEB2", error.to_string())),
        }
    }
}

#[async_trait]
impl StepHandler for Serial {
    fn kind(&self) -> StepKind {
        spec().kind
    }

    fn describe(&self) -> Result<StepSpec, SchemaError> {
        Ok(spec())
    }

    async fn preview(&self, _: &StepContext, _: Value) -> Result<Preview, StepError> {
        Ok(Preview::Changes(vec![Change {
            object: "zone example.io".into(),
            action: ChangeAction::Update,
            certainty: Certainty::Schema,
            fields: Vec::new(),
            conflict: None,
            waits_for: None,
        }]))
    }

    async fn run(&self, cx: &StepContext, inputs: Value) -> Result<Outcome, StepError> {
        let zone = inputs["zone"].as_str().unwrap().to_owned();
        loop {
            let answer = self.get(&zone).await?;
            if let Some(serial) = answer["serial"].as_i64() {
                cx.memo.put("serial", json!(serial)).await?;
                let outputs = json!({ "serial": serial, "names": inputs["names"] });
                return Ok(Outcome { outputs, summary: format!("{zone} has serial {serial}"), same: true });
            }
            cx.progress.waiting(format!("{zone} has no serial"));
            cx.clock.sleep(std::time::Duration::from_secs(60), &cx.cancel).await?;
        }
    }

    async fn verify(&self, _: &StepContext, _: Value, outputs: Option<Value>) -> Result<Verdict, StepError> {
        Ok(match outputs {
            Some(_) => Verdict::Intact,
            None => Verdict::Gone("nothing was recorded".into()),
        })
    }

    async fn release(&self, _: &StepContext, name: &str, _: Value) -> Result<(), StepError> {
        Err(StepError::permanent("WEB3", format!("there is no hold {name}")))
    }

    async fn undo(&self, _: &StepContext, _: Value, _: Option<Value>) -> Result<String, StepError> {
        Ok("nothing to take back".into())
    }
}

fn kinds() -> Kinds {
    Kinds::new("web", Digest::of_bytes(b"web"), [Arc::new(spec())])
}

fn read_text(text: &str) -> (Vec<Case>, Vec<Problem>) {
    read(SourceId(0), &Source { name: "a.kdl".into(), text: text.into() }, &kinds())
}

fn cases(text: &str) -> Vec<Case> {
    let (cases, problems) = read_text(text);
    assert!(problems.is_empty(), "{problems:#?}");
    cases
}

/// Carries one case out in its own time.
fn carried(case: &Case) -> (Happened, Vec<Mismatch>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new(&case.answers);
        let stage = Stage {
            handler: Arc::new(Serial(Some(world.host()))),
            clusters: stand_ins(case).unwrap(),
            secrets: &stand_in_secret,
        };
        let happened = carry_out(case, stage).await;
        let mismatches = judge(case, &happened, &world.told());
        (happened, mismatches)
    })
}

/// What is not as the case says: code and message.
fn mismatches(text: &str) -> Vec<String> {
    let cases = cases(text);
    let (_, found) = carried(&cases[0]);
    found.iter().map(|mismatch| format!("{} {}", mismatch.code, mismatch.message)).collect()
}

fn blessed(text: &str) -> String {
    let mut edits = Vec::new();
    for case in &cases(text) {
        let (happened, found) = carried(case);
        edits.extend(bless::edits(text, case, &happened, &found));
    }
    bless::apply(text, edits)
}

const WHOLE: &str = r#"// a comment
case there {
    kind serial
    input { zone "example.io"; ttl "1h"; names a b }
    host {
        http GET "https://api.example/zones/example.io" {
            sends { header Accept "application/json" }
            json { serial 7 }
        }
    }
    expect outputs { serial 7; names a b }
    expect summary "example.io has serial 7"
    expect same
    expect memo serial 7
}
"#;

#[test]
fn a_case_is_read_carried_out_and_found_as_expected() {
    let case = &cases(WHOLE)[0];
    assert_eq!(case.inputs, json!({ "zone": "example.io", "ttl": "1h", "names": ["a", "b"] }));
    assert_eq!(case.grants.http[0].origin, "https://api.example");
    assert_eq!(mismatches(WHOLE), Vec::<String>::new());
}

#[test]
fn problems_have_codes_and_stand_where_the_mistake_is() {
    let check = |text: &str, code: &str, marked: &str| {
        let (_, problems) = read_text(text);
        let found: Vec<(&str, &str)> = problems
            .iter()
            .filter_map(|problem| problem.at.map(|at| (problem.code, text.get(at.start..at.end).unwrap_or("?"))))
            .collect();
        assert!(found.contains(&(code, marked)), "{text}\n{found:?}\n{problems:#?}");
    };
    check("step a", "A001", "step");
    check("case", "A002", "case");
    check("case a { kind serail; input { zone \"a.io\" } }", "A006", "serail");
    check("case a { verb rum; input { zone \"a.io\" } }", "A004", "rum");
    check("case a { input { zone \"a.io\" }; expekt same }", "A001", "expekt");
    check("case a { input { zone \"a.io\" }; expect outptus { serial 1 } }", "A004", "outptus");
    check("case a { input { zone \"a.io\" }; expect outputs { serial x } }", "L232", "x");
    check("case a { input { zone \"a.io\" }; expect outputs json=\"{\" }", "A003", "\"{\"");
    check("case a { input { zone \"a.io\" }; host { http GET \"https://x/\" { status 900 } } }", "A003", "900");
    check("case a { input { zone \"a.io\" }; host { kubernetes get Service lb } }", "A002", "kubernetes");
    check(
        "case a { input { zone \"a.io\" }; host { kubernetes get Service lb on=hub } }",
        "A002",
        "kubernetes get Service lb on=hub",
    );
    check("case a { input { zone \"a.io\" }; host { dns A a.io { fails gone } } }", "A004", "gone");
    check("case a { input { zone \"a.io\" }; recorded { serial 1 } }", "A001", "recorded");
    check("case a { verb release; input { zone \"a.io\" } }", "A002", "case");
    // The language's own problems, at their own places.
    check("case a { input { zone \"not a host\" } }", "L233", "\"not a host\"");
    check("case a { input { zone \"a.io\"; tll \"1m\" } }", "L230", "tll");
    check("case a { input { ttl \"1m\" } }", "L231", "input");
    check("case a { input { zone \"${inputs.x}\" } }", "L111", "x");
    check("case a { on hub; grant { k8s hub { verbs get; kinds Pod } }; input { zone \"a.io\" } }", "L249", "grant");
    let (_, twice) = read_text("case a { input { zone \"a.io\" } }\ncase a { input { zone \"a.io\" } }");
    assert_eq!(twice.iter().map(|problem| problem.code).collect::<Vec<_>>(), ["A005"]);
}

#[test]
fn what_is_not_as_expected_is_said() {
    let base = "case a { input { zone \"a.io\" }; host { http GET \"https://api.example/zones/a.io\" { json { serial 7 } } }; ";
    let found = |rest: &str| mismatches(&format!("{base}{rest} }}"));
    assert_eq!(found("expect outputs { serial 7 }"), ["A103 the outputs differ"], "names is null there");
    assert_eq!(found("expect outputs partly=#true { serial 7 }"), [""; 0]);
    assert_eq!(found("expect outputs partly=#true { serial 8 }"), ["A103 the outputs differ"]);
    assert_eq!(found("expect failure code=X"), ["A102 it did not fail"]);
    assert_eq!(found("expect waiting \"serial\""), ["A107 it never waited for `serial`"]);
    assert_eq!(found("expect hold x { a 1 }"), ["A107 it took no hold `x`"]);
    assert_eq!(found("expect memo serial 8"), ["A103 what was said differs"]);
    assert_eq!(found("verb preview"), ["A105 nobody asked for `http GET \"https://api.example/zones/a.io\"`"]);
}

#[test]
fn a_request_that_no_answer_fits_fails_the_case_and_says_what_to_add() {
    let case = &cases("case a { input { zone \"a.io\" }; expect failure code=WEB2 }")[0];
    let (_, found) = carried(case);
    assert_eq!(found[0].message, "the case does not answer `http GET \"https://api.example/zones/a.io\"`");
    assert_eq!(
        found[0].notes,
        ["to answer it, add to `host`:\n    http GET \"https://api.example/zones/a.io\" {\n        status 200\n    }"]
    );
}

#[test]
fn equal_requests_are_answered_in_the_order_of_the_file_and_time_passes_by_itself() {
    let url = "http GET \"https://api.example/zones/a.io\"";
    let text = format!(
        "case a {{\n input {{ zone \"a.io\" }}\n host {{\n {url} {{ json {{ none 1 }} }}\n {url} {{ json {{ serial 9 }} }}\n }}\n \
         expect waiting \"a.io has no serial\"\n expect outputs partly=#true {{ serial 9 }}\n}}\n"
    );
    let began = std::time::Instant::now();
    assert_eq!(mismatches(&text), Vec::<String>::new());
    assert!(began.elapsed() < std::time::Duration::from_secs(30), "a minute was slept in real time");
}

#[test]
fn a_failure_is_compared_by_what_the_case_says_of_it() {
    let host = "host { http GET \"https://api.example/zones/a.io\" { fails timeout } }";
    let found = |rest: &str| mismatches(&format!("case a {{ input {{ zone \"a.io\" }}; {host}; {rest} }}"));
    assert_eq!(found("expect failure"), [""; 0]);
    assert_eq!(found("expect failure class=transient code=WEB1 message-has=\"not answer\""), [""; 0]);
    assert_eq!(found("expect failure class=permanent"), ["A103 the failure differs"]);
    assert_eq!(found("expect summary \"x\""), ["A101 it failed with WEB1: the server does not answer"]);
}

#[test]
fn every_verb_can_be_called() {
    let none = Vec::<String>::new();
    assert_eq!(
        mismatches("case a { verb verify; input { zone \"a.io\" }; recorded { serial 1 }; expect verdict intact }"),
        none
    );
    assert_eq!(mismatches("case a { verb verify; input { zone \"a.io\" }; expect verdict gone recorded }"), none);
    assert_eq!(
        mismatches("case a { verb undo; input { zone \"a.io\" }; expect undone \"nothing to take back\" }"),
        none
    );
    assert_eq!(
        mismatches("case a { verb release; hold out { a 1 }; input { zone \"a.io\" }; expect failure code=WEB3 }"),
        none
    );
    assert_eq!(
        mismatches(
            "case a { verb preview; input { zone \"a.io\" }; expect preview { update \"zone example.io\" certainty=schema } }"
        ),
        none
    );
    assert_eq!(
        mismatches("case a { verb preview; input { zone \"a.io\" }; expect preview { update \"zone example.io\" } }"),
        ["A103 the changes differ"]
    );
}

#[test]
fn bless_rewrites_what_is_expected_and_keeps_the_rest() {
    let before = WHOLE.replace("serial 7; names a b }", "serial 8 }").replace("has serial 7\"", "has serial 8\"");
    let after = blessed(&before);
    assert!(after.starts_with("// a comment\ncase there {\n    kind serial\n"), "{after}");
    assert!(
        after.contains("    expect outputs {\n        serial 7\n        names \"a\" \"b\"\n    }\n    expect summary \"example.io has serial 7\"\n    expect same\n"),
        "{after}"
    );
    assert_eq!(mismatches(&after), Vec::<String>::new());
    assert_eq!(blessed(&after), after, "what is as expected stays as it is");
}

#[test]
fn bless_teaches_a_case_that_expects_nothing() {
    for text in [
        "case a {\n    input { zone \"a.io\"; names x }\n    host {\n        http GET \"https://api.example/zones/a.io\" { json { serial 7 } }\n    }\n}\n",
        "case a { input { zone \"a.io\"; names x }; host { http GET \"https://api.example/zones/a.io\" { json { serial 7 } } } }",
        "case a { input { zone \"a.io\" }; host { http GET \"https://api.example/zones/a.io\" { fails timeout } } }",
        "case a { verb preview; input { zone \"a.io\" } }\n",
    ] {
        let after = blessed(text);
        assert!(after.contains("expect "), "{after}");
        assert_eq!(mismatches(&after), Vec::<String>::new(), "{after}");
        assert_eq!(blessed(&after), after);
    }
}

#[test]
fn bless_turns_a_success_into_a_failure_and_back() {
    let succeeds = "case a {\n    input { zone \"a.io\"; names x }\n    host {\n        http GET \"https://api.example/zones/a.io\" {\n            fails timeout\n        }\n    }\n    expect outputs partly=#true { serial 7 }\n    expect same\n}\n";
    let after = blessed(succeeds);
    assert!(after.contains("expect failure class=transient code=WEB1"), "{after}");
    assert!(!after.contains("expect same"), "{after}");
    assert_eq!(mismatches(&after), Vec::<String>::new(), "{after}");
    let back = blessed(&after.replace("fails timeout", "json { serial 3 }"));
    assert!(back.contains("expect outputs") && !back.contains("expect failure"), "{back}");
    assert_eq!(mismatches(&back), Vec::<String>::new(), "{back}");
}

#[test]
fn every_value_survives_being_written() {
    let written = |value: Value| {
        let text = format!(
            "case a {{\n    input {{ zone \"a.io\" }}\n    {}\n}}\n",
            kdl::expectation(&What::Memo { key: "k".into(), value: value.clone() })
        );
        match &cases(&text)[0].expected[0].what {
            What::Memo { value: read, .. } => assert_eq!(*read, value, "{text}"),
            other => panic!("{other:?}"),
        }
    };
    for value in [
        json!(null),
        json!(true),
        json!(-3),
        json!(2.5),
        json!(1e300),
        json!(""),
        json!("true"),
        json!("a \"b\"\n\\ ${x} #"),
        json!([]),
        json!([1]),
        json!([1, "2"]),
        json!([[1], {}]),
        json!({}),
        json!({ "a": { "b c": [{ "d": null }] } }),
        json!({ "-": 1 }),
        json!({ "for-each": 1 }),
        json!({ "json": "x" }),
        json!({ "a": [] }),
        json!("\"#"),
        json!({ "1": 2, "true": 3, "": 4 }),
        json!(u64::MAX),
    ] {
        written(value);
    }
}

#[test]
fn what_is_recorded_is_without_secrets_and_can_be_played_back() {
    let text = "case a {\n    input { zone \"a.io\" }\n}\n";
    let case = &cases(text)[0];
    let real = cases(
        "case r { input { zone \"a.io\" }; host { http GET \"https://api.example/zones/a.io\" { header Set-Cookie s; header x-token \"abc hunter2\"; json { serial 5; echo \"hunter2\" } } } }",
    );
    let recorder = record::Recorder::over(World::new(&real[0].answers).host());
    recorder.knows(&steps_sdk::context::SecretBytes::new(b"hunter2".to_vec()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stage = Stage {
            handler: Arc::new(Serial(Some(recorder.host()))),
            clusters: stand_ins(case).unwrap(),
            secrets: &stand_in_secret,
        };
        carry_out(case, stage).await.ended.unwrap();
    });
    let after = bless::apply(text, recorder.edit(text, case).into_iter().collect());
    assert!(after.contains("serial 5") && !after.contains("hunter2") && !after.contains("cookie"), "{after}");
    assert_eq!(mismatches(&after), Vec::<String>::new(), "{after}");
}
