//! The whole way of a component: described, bound, called by every verb.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use steps_sdk::grant::{DnsGrant, GrantIndex, Grants, HttpGrant, KubernetesGrant, KubernetesVerb};
use steps_sdk::native::StepHandler;
use steps_sdk::value::ClusterName;
use steps_sdk::{ErrorClass, Outcome, Preview, StepError, Value, Verdict};
use tempfile::TempDir;

use super::testing::{Do, Guest, World, cluster, kind};
use super::{Compiler, Components, Settings, WasmError};

fn components(directory: &TempDir) -> Components {
    let settings = Settings { cache: directory.path().join("cache"), compiler: Compiler::InProcess };
    Components::new(settings).unwrap()
}

fn step(component: &[u8], world: &World) -> Arc<dyn StepHandler> {
    let directory = tempfile::tempdir().unwrap();
    let component = components(&directory).component(component).unwrap();
    component.handlers("custom", world.bound()).remove(0)
}

#[tokio::test]
async fn every_verb_of_a_guest_is_called_and_answers() {
    let guest = Guest::new().on("run", [Do::Inputs]).answer("verify", json!({ "ok": "intact" })).answer(
        "preview",
        json!({ "ok": { "changes": [{
            "object": "A api.example.io", "action": "create", "certainty": "server",
            "fields": [{ "path": "ttl", "before": null, "after": "60" }], "conflict": "another" }] } }),
    );
    let world = World::default();
    let step = step(&guest.pack(), &world);
    assert_eq!(step.kind().as_str(), "custom.test");
    let spec = step.describe().unwrap();
    assert_eq!((spec.version, spec.doc.as_str()), (1, "Does what a test wants."));
    let inputs = json!({ "text": "hello" });
    let outcome = world.call(async |cx| step.run(cx, inputs.clone()).await).await.unwrap();
    assert_eq!((outcome.outputs, outcome.summary.as_str(), outcome.same), (inputs.clone(), "done", false));
    let preview = world.call(async |cx| step.preview(cx, inputs.clone()).await).await.unwrap();
    let Preview::Changes(changes) = preview else { panic!("changes") };
    assert_eq!(changes[0].fields[0].after, Some(Value::from(60)));
    let verdict = world.call(async |cx| step.verify(cx, inputs.clone(), Some(json!({}))).await).await.unwrap();
    assert_eq!(verdict, Verdict::Intact);
    let undone = world.call(async |cx| step.undo(cx, inputs.clone(), None).await).await.unwrap();
    assert_eq!(undone, "undone");
    world.call(async |cx| step.release(cx, "hold", json!({ "a": 1 })).await).await.unwrap();
}

#[test]
fn a_component_is_compiled_and_described_once() {
    let directory = tempfile::tempdir().unwrap();
    let guest = Guest::new().kinds(json!([kind("one"), kind("two")])).pack();
    let first = components(&directory);
    let described = first.describe(&guest).unwrap();
    assert_eq!(described.kinds.iter().map(|kind| kind.verb.as_str()).collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(described.specs("cdn").unwrap()[1].kind.as_str(), "cdn.two");
    assert_eq!(described.wit, "engine:step@0.1.0");
    assert_eq!(first.compilations(), 1);
    let second = components(&directory);
    assert_eq!(second.describe(&guest).unwrap(), described);
    second.component(&guest).unwrap();
    assert_eq!(second.compilations(), 0, "the compiled code is in the cache");
    for entry in std::fs::read_dir(directory.path().join("cache")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "code") {
            let mut code = std::fs::read(&path).unwrap();
            let middle = code.len() / 2;
            code[middle] ^= 1;
            std::fs::write(&path, code).unwrap();
        }
    }
    let third = components(&directory);
    assert_eq!(third.describe(&guest).unwrap(), described);
    assert_eq!(third.compilations(), 0, "a description needs no code");
    third.component(&guest).unwrap();
    assert_eq!(third.compilations(), 1, "damaged code is compiled again");
}

fn call(interface: &'static str, function: &'static str, args: Vec<Value>, keep: Vec<Vec<&'static str>>) -> Do {
    Do::Call { interface, function, args, keep }
}

async fn run(guest: &Guest, world: &World) -> Result<Outcome, StepError> {
    let step = step(&guest.pack(), world);
    world.call(async |cx| step.run(cx, json!({})).await).await
}

#[tokio::test]
async fn notes_holds_lines_and_reasons_reach_the_engine() {
    let guest = Guest::new().on(
        "run",
        [
            call("memo", "get", vec![json!("kept")], vec![vec!["some"]]),
            call("memo", "put", vec![json!("zone"), json!("{\"id\":7}")], Vec::new()),
            call("hold", "take", vec![json!("outage"), json!("[1]")], Vec::new()),
            call("report", "log", vec![json!("warn"), json!("slow"), json!([["ms", "12"]])], Vec::new()),
            call("report", "waiting", vec![json!("for the zone")], Vec::new()),
        ],
    );
    let world = World::default();
    let outcome = run(&guest, &world).await.unwrap();
    assert_eq!(outcome.summary, "\"from before\"");
    assert_eq!(
        world.said(),
        ["memo zone = {\"id\":7}", "hold outage = [1]", "Warn: slow ms=12", "waiting: for the zone"]
    );
}

#[tokio::test]
async fn a_failure_of_the_guest_keeps_its_class_and_words() {
    let guest = Guest::new().answer(
        "run",
        json!({ "err": { "needs-person": {
            "code": "CDN01", "message": "no zone `a`", "help": "make it", "causes": ["404"], "retry-after-ms": null,
            "not-started": true } } }),
    );
    let error = run(&guest, &World::default()).await.unwrap_err();
    let expected = StepError::needs_person("CDN01", "no zone `a`").help("make it").cause("404").not_started();
    assert_eq!(error, expected);
}

#[tokio::test]
async fn a_sleeping_guest_is_woken_by_a_stop_and_ends_by_itself() {
    let guest = Guest::new().on("run", [call("clock", "sleep-ms", vec![json!(1_000_000)], Vec::new())]);
    let world = World::default();
    let step = step(&guest.pack(), &world);
    let stop = world.cancel.clone();
    let running = world.call(async |cx| step.run(cx, json!({})).await);
    let stopping = async {
        tokio::task::yield_now().await;
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(running, stopping);
    assert_eq!(outcome.unwrap().summary, "done");
}

#[tokio::test]
async fn requests_within_the_grants_are_sent_and_counted() {
    let request = json!({ "method": "put", "url": "https://API.cdn.example:443/v1/zones/7", "headers": [["X-Id", "7"]],
        "body": [104, 105], "timeout-ms": 1000 });
    let object = r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"lb","namespace":"kcp"}}"#;
    let guest = Guest::new().on(
        "run",
        [
            call("http", "send", vec![request], vec![vec!["ok", "done", "body"]]),
            call("kubernetes", "apply", vec![json!("hub"), json!(object), json!(false)], Vec::new()),
            call("dns", "query", vec![json!("a.example.io"), json!("a"), json!(false)], Vec::new()),
        ],
    );
    let world = World {
        grants: Grants {
            http: vec![
                HttpGrant {
                    origin: "https://other.example".into(),
                    methods: vec!["PUT".into()],
                    paths: Vec::new(),
                    private: false,
                    inject: None,
                },
                HttpGrant {
                    origin: "https://api.cdn.example".into(),
                    methods: vec!["PUT".into()],
                    paths: vec!["/v1/zones/*".into()],
                    private: false,
                    inject: None,
                },
            ],
            kubernetes: vec![KubernetesGrant {
                cluster: ClusterName("hub".into()),
                namespace: Some("kcp".into()),
                verbs: vec![KubernetesVerb::Apply],
                kinds: vec!["Service".into()],
                names: vec!["lb".into()],
            }],
            dns: vec![DnsGrant { domain: "example.io".into() }],
        },
        clusters: vec![cluster("hub")],
        ..World::default()
    };
    let outcome = run(&guest, &world).await.unwrap();
    assert_eq!(outcome.summary, "x-id: 7hi");
    assert_eq!(
        world.host.seen(),
        ["PUT https://api.cdn.example/v1/zones/7", "apply \"lb\" on hub Real", "A a.example.io"]
    );
    let used: Vec<GrantIndex> = world.used.counts().into_keys().collect();
    assert_eq!(used, [GrantIndex::Http(1), GrantIndex::Kubernetes(0), GrantIndex::Dns(0)]);
}

#[tokio::test]
async fn a_trap_says_where_the_guest_was() {
    let guest = Guest::new()
        .items("(func $purge_zone (call $deeper)) (func $deeper unreachable)")
        .wat("run", "(call $purge_zone)");
    let error = run(&guest, &World::default()).await.unwrap_err();
    assert_eq!((error.code.as_str(), error.class), ("W101", ErrorClass::Permanent));
    assert!(error.message.starts_with("`run` of custom.test trapped"), "{error:?}");
    assert_eq!(error.causes[..2], ["in deeper", "in purge_zone"], "{error:?}");
}

#[tokio::test]
async fn what_a_runtime_writes_becomes_lines_of_the_log() {
    let (output, write) = ("wasi:cli/stdout@0.2.3", "[method]output-stream.blocking-write-and-flush");
    let guest = Guest::new().on(
        "run",
        [
            call(output, "get-stdout", Vec::new(), Vec::new()),
            // The handle, the first of this guest, is 1.
            call("wasi:io/streams@0.2.3", write, vec![json!(1), json!([33, 104, 105, 10, 111])], Vec::new()),
        ],
    );
    let world = World::default();
    run(&guest, &world).await.unwrap();
    assert_eq!(world.said(), ["Info: !hi", "Info: o"]);
}

#[tokio::test]
async fn nothing_of_a_call_is_there_in_the_next() {
    // It leaves marks in its memory, in what that grew by, in a table and in a global, and fails if there is one already.
    let mut marks = String::from("(drop (memory.grow (i32.const 8)))");
    for at in [60_000, 100_000, 600_000] {
        let mark =
            format!("(if (i32.load (i32.const {at})) (then unreachable)) (i32.store (i32.const {at}) (i32.const 1))");
        marks.push_str(&mark);
    }
    marks.push_str("(if (global.get $mark) (then unreachable)) (global.set $mark (i32.const 1))");
    marks.push_str("(if (i32.eqz (ref.is_null (table.get $marks (i32.const 3)))) (then unreachable))");
    marks.push_str("(table.set $marks (i32.const 3) (ref.func $marker))");
    let guest = Guest::new()
        .items("(global $mark (mut i32) (i32.const 0)) (table $marks 4 funcref) (func $marker) (elem declare func $marker)")
        .wat("run", &marks);
    let world = World::default();
    let step = step(&guest.pack(), &world);
    for _ in 0..70 {
        world.call(async |cx| step.run(cx, json!({})).await).await.unwrap();
    }
}

#[tokio::test]
async fn more_guests_than_the_pool_has_places_wait_at_once() {
    let guest = Guest::new().on("run", [call("clock", "sleep-ms", vec![json!(1_000_000)], Vec::new())]);
    let world = World::default();
    let step = step(&guest.pack(), &world);
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (step, (cx, answering)) = (Arc::clone(&step), world.context());
        calls.spawn(answering);
        calls.spawn(async move { assert_eq!(step.run(&cx, json!({})).await.unwrap().summary, "done") });
    }
    // Everyone who can run has run by then: each call is in its sleep.
    tokio::task::yield_now().await;
    world.cancel.cancel();
    while let Some(call) = calls.join_next().await {
        call.unwrap();
    }
}

#[tokio::test]
async fn a_guest_that_is_larger_than_a_place_of_the_pool_has_memory_of_its_own() {
    let grow = "(if (i32.lt_s (memory.grow (i32.const 3200)) (i32.const 0)) (then unreachable))";
    let mut world = World::default();
    world.limits.memory_bytes = 256 << 20;
    run(&Guest::new().wat("run", grow), &world).await.unwrap();
    let two_memories = Guest::new().items("(memory $other 1)").wat("run", "(drop (memory.grow $other (i32.const 1)))");
    run(&two_memories, &World::default()).await.unwrap();
}

#[test]
fn many_guests_that_compute_leave_a_core_to_the_engine() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut world = World::default();
    world.limits.cpu_ms = 60;
    let step = step(&Guest::new().wat("run", "(loop $l (br $l))").pack(), &world);
    let latest = runtime.block_on(async {
        let mut guests = tokio::task::JoinSet::new();
        for _ in 0..12 {
            let (step, (cx, answering)) = (Arc::clone(&step), world.context());
            guests.spawn(answering);
            guests.spawn(async move {
                assert_eq!(step.run(&cx, json!({})).await.unwrap_err().code, "W103");
            });
        }
        let mut heart = tokio::task::JoinSet::new();
        let (ended, mut end) = tokio::sync::oneshot::channel();
        heart.spawn(async move {
            let mut latest = Duration::ZERO;
            while end.try_recv().is_err() {
                let before = Instant::now();
                tokio::time::sleep(Duration::from_millis(5)).await;
                latest = latest.max(before.elapsed());
            }
            latest
        });
        while let Some(guest) = guests.join_next().await {
            guest.unwrap();
        }
        ended.send(()).unwrap();
        heart.join_next().await.unwrap().unwrap()
    });
    // Twelve guests in turn would each be a tick late; the rest is for a machine that runs other tests too.
    assert!(latest < Duration::from_millis(1_000), "{latest:?}");
}

#[test]
fn a_cache_that_others_can_write_to_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).unwrap();
    let refused = Components::new(Settings { cache, compiler: Compiler::InProcess });
    assert!(matches!(refused, Err(WasmError::CacheNotPrivate { .. })));
}
