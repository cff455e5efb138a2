//! Storms of calls and lines, waits that never end, and runtimes that look for a system around them.

use std::sync::Arc;

use serde_json::{Value, json};
use steps_sdk::grant::{DnsGrant, Grants, HttpGrant};

use super::{Attack, Case, Outcome, case};
use crate::wasm::testing::{Do, Guest, Scripted, World};

pub(super) fn cases() -> Vec<Case> {
    [storms(), lines(), waits(), systems(), panics()].into_iter().flatten().collect()
}

fn call(interface: &'static str, function: &'static str, args: Vec<Value>) -> Do {
    Do::Call { interface, function, args, keep: Vec::new() }
}

/// The call again and again.
fn again(one: Do) -> Vec<Do> {
    vec![Do::Wat("(loop $l".into()), one, Do::Wat("(br $l))".into())]
}

fn run(doing: Vec<Do>) -> Attack {
    Attack::Run(Guest::new().on("run", doing).pack(), World::default())
}

fn log(message: &str) -> Do {
    call("report", "log", vec![json!("info"), json!(message), json!([])])
}

fn storms() -> Vec<Case> {
    let storms = [
        ("of times", call("clock", "now-ms", Vec::new())),
        ("of memos", call("memo", "get", vec![json!("kept")])),
        ("of lines", log("again")),
        ("of reasons", call("report", "waiting", vec![json!("for nothing")])),
        ("of system times", call("wasi:clocks/monotonic-clock@0.2.3", "now", Vec::new())),
        ("of things to wait for", call("wasi:clocks/monotonic-clock@0.2.3", "subscribe-duration", vec![json!(1)])),
    ];
    let mut cases: Vec<Case> = storms
        .into_iter()
        .map(|(name, one)| {
            case(format!("storm: {name}"), run(again(one)), Outcome::Fails("W107", "more than 100000 times"))
        })
        .collect();
    cases.push(case(
        "storm: all the random bytes there are",
        run(vec![call("random", "bytes", vec![json!(u32::MAX)])]),
        Outcome::Fails("W109", "random bytes at once"),
    ));
    cases.push(case(
        "storm: more random bytes than its memory",
        run(again(call("random", "bytes", vec![json!(65_536)]))),
        Outcome::Fails("W102", "its limit is 16 MiB"),
    ));
    cases
}

fn lines() -> Vec<Case> {
    let long = Do::Wat(
        "(drop (memory.grow (i32.const 200)))
         (loop $l (call $report.log (i32.const 2) (i32.const 131072) (i32.const 8000000) (i32.const 0) (i32.const 0))
           (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 20))))"
            .into(),
    );
    let longer = Do::Wat(
        "(drop (memory.grow (i32.const 300))) (call $report.log (i32.const 2) (i32.const 131072) (i32.const 19000000) (i32.const 0) (i32.const 0))".into(),
    );
    let roomy = |doing: Vec<Do>| {
        let mut world = World::default();
        world.limits.memory_bytes = 64 << 20;
        Attack::Run(Guest::new().on("run", doing).pack(), world)
    };
    vec![
        case("lines: long ones", roomy(vec![log("first"), long]), Outcome::Harmless { gets: "done", hides: "\u{0}" }),
        case("lines: one of 19 MB", roomy(vec![log("first"), longer]), Outcome::Fails("W106", "handed over more")),
        case(
            "lines: that a terminal would obey",
            run(vec![log("\u{1b}[2J\u{1b}]0;x\u{7}\rall steps done")]),
            Outcome::Harmless { gets: "done", hides: "\u{1b}" },
        ),
        case(
            "lines: of no level",
            run(vec![log("first"), Do::Wat("(call $report.log (i32.const 77) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))".into())]),
            Outcome::Fails("W109", "broke the contract"),
        ),
        case(
            "lines: from outside of its memory",
            run(vec![log("first"), Do::Wat("(call $report.log (i32.const 2) (i32.const -16) (i32.const 64) (i32.const 0) (i32.const 0))".into())]),
            Outcome::Fails("W109", "broke the contract"),
        ),
        case(
            "lines: that are not UTF-8",
            run(vec![log("first"), Do::Wat("(i32.store (i32.const 60000) (i32.const 0xfefffefd)) (call $report.log (i32.const 2) (i32.const 60000) (i32.const 4) (i32.const 0) (i32.const 0))".into())]),
            Outcome::Fails("W109", "broke the contract"),
        ),
    ]
}

fn waits() -> Vec<Case> {
    let deaf = || {
        let mut world = World {
            host: Arc::new(Scripted { is_deaf: true, ..Scripted::default() }),
            grants: Grants {
                http: vec![HttpGrant {
                    origin: "https://a.example".into(),
                    methods: vec!["GET".into()],
                    paths: Vec::new(),
                    private: false,
                    inject: None,
                }],
                kubernetes: Vec::new(),
                dns: vec![DnsGrant { domain: "*".into() }],
            },
            ..World::default()
        };
        world.limits.wall_ms = 200;
        world
    };
    let late = |name: &str, one: Do| {
        let guest = Guest::new().on("run", [one]);
        case(format!("wait: {name}"), Attack::Run(guest.pack(), deaf()), Outcome::Fails("W104", "limits wall="))
    };
    let request = json!({ "method": "GET", "url": "https://a.example/", "headers": [], "body": null, "timeout-ms": 4_000_000_000u32 });
    let stopped = {
        let world = World::default();
        world.cancel.cancel();
        world
    };
    let sleeping = Guest::new().on("run", [call("clock", "sleep-ms", vec![json!(1_000_000)])]);
    vec![
        late("for ever", call("clock", "sleep-ms", vec![json!(u64::MAX)])),
        late("in short pieces", Do::Wat("(nop)".into()))
            .with(again(call("clock", "sleep-ms", vec![json!(20)])), deaf()),
        late("for a server that does not answer", call("http", "send", vec![request])),
        late("for a name", call("dns", "query", vec![json!("a.example"), json!("A"), json!(true)])),
        case(
            "wait: that is to stop",
            Attack::Run(sleeping.pack(), stopped),
            Outcome::Harmless { gets: "done", hides: "" },
        ),
    ]
}

impl Case {
    fn with(self, doing: Vec<Do>, world: World) -> Case {
        Case { attack: Attack::Run(Guest::new().on("run", doing).pack(), world), ..self }
    }
}

fn systems() -> Vec<Case> {
    let of = |name: &str, doing: Vec<Do>, outcome: Outcome| case(format!("system: {name}"), run(doing), outcome);
    let lists = "(if (i32.load offset=4 (i32.const 0)) (then unreachable))";
    vec![
        of(
            "its environment is empty",
            vec![call("wasi:cli/environment@0.2.3", "get-environment", Vec::new()), Do::Wat(lists.into())],
            Outcome::Harmless { gets: "done", hides: "" },
        ),
        of(
            "it has no arguments",
            vec![call("wasi:cli/environment@0.2.3", "get-arguments", Vec::new())],
            Outcome::Harmless { gets: "done", hides: "" },
        ),
        of(
            "it ends itself",
            vec![call("wasi:cli/exit@0.2.3", "exit", vec![json!(1)])],
            Outcome::Fails("W110", "exit code 1"),
        ),
        of(
            "it connects",
            vec![call("test:system/sockets@0.1.0", "connect", vec![json!("10.0.0.1:22")])],
            Outcome::Fails("W111", "test:system/sockets@0.1.0#connect"),
        ),
        of(
            "it asks for random bytes",
            vec![call("wasi:random/random@0.2.3", "get-random-bytes", vec![json!(16)])],
            Outcome::Harmless { gets: "done", hides: "" },
        ),
        of(
            "it asks for too many",
            vec![call("wasi:random/random@0.2.3", "get-random-bytes", vec![json!(1u64 << 40)])],
            Outcome::Fails("W109", "random bytes at once"),
        ),
        of(
            "it asks for the time",
            vec![call("wasi:clocks/wall-clock@0.2.3", "now", Vec::new())],
            Outcome::Harmless { gets: "done", hides: "" },
        ),
        case(
            "system: it looks for its step while it is described",
            Attack::Load(Guest::new().on("describe", [call("memo", "get", vec![json!("kept")])]).pack()),
            Outcome::Refused("W009", "memo.get"),
        ),
        case(
            "system: it sleeps while it is described",
            Attack::Load(Guest::new().on("describe", [call("clock", "sleep-ms", vec![json!(5)])]).pack()),
            Outcome::Refused("W009", "clock.sleep-ms"),
        ),
    ]
}

fn panics() -> Vec<Case> {
    let panic = |message: &str| {
        vec![call("report", "log", vec![json!("error"), json!(message), json!([])]), Do::Wat("unreachable".into())]
    };
    vec![
        case(
            "panic: its words are told",
            run(panic("panicked at src/lib.rs:14:21: no zone")),
            Outcome::Fails("W101", "src/lib.rs:14:21: no zone"),
        ),
        case(
            "panic: its words obey no one",
            run(panic("panicked at \u{1b}[2J")),
            Outcome::Fails("W101", "\u{fffd}[2J"),
        ),
        case(
            "panic: its words are cut",
            run(panic(&format!("panicked at {}", "x".repeat(100_000)))),
            Outcome::Fails("W101", "…"),
        ),
    ]
}
