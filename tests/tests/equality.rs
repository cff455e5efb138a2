//! The tests that every built-in step passes, over guests: each is bound to grants like one of a file and calls the real host; the
//! world outside is a server on loopback. What guests do to clusters is in `lab_custom.rs`.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

mod guests;
#[path = "guests/server.rs"]
mod server;

use std::sync::Arc;

use engine::wasm::testing::Do;
use guests::{bound, built, call, careful, done, http, on_status, request, transient};
use serde_json::{Value, json};
use server::Server;
use steps_sdk::Outcome;
use steps_sdk::native::StepHandler;
use steps_sdk::testing::{
    Rig, World, gives_back_after_kills, runs_twice, survives_failures, survives_kills, survives_refusals,
    survives_stops, undone_twice,
};

fn world(server: &Server, inputs: &Value) -> World<Server> {
    World { rig: Rig::new(), inputs: inputs.clone(), outside: server.anew() }
}

/// All that does not depend on what the step does.
async fn passes_the_tests_of_every_step(
    step: &dyn StepHandler,
    server: &Server,
    inputs: &Value,
    check: impl AsyncFn(&World<Server>, &Outcome),
) {
    let make = async || world(server, inputs);
    let world = make().await;
    let outcome = runs_twice(step, &world).await;
    check(&world, &outcome).await;
    survives_kills(step, make, &check).await;
    survives_stops(step, make, &check).await;
    survives_refusals(step, make, &check).await;
    survives_failures(step, make, &check).await;
}

#[tokio::test]
async fn a_guest_that_writes_over_http() {
    let server = Server::new().await;
    let marker = format!("{}/marker", server.origin());
    let guest = careful()
        .on("run", [request("PUT", &marker), on_status(201, done("made", false)), on_status(200, done("there", true))])
        .on(
            "undo",
            [
                request("DELETE", &marker),
                on_status(204, json!({ "ok": "taken away" })),
                on_status(404, json!({ "ok": "was gone" })),
            ],
        );
    let step = bound(&guest.pack(), http(&server.origin()));
    passes_the_tests_of_every_step(&*step, &server, &json!({}), async |world, _| {
        let state = world.outside.state();
        assert_eq!((state.names(), state.writes), (vec!["/marker"], 1));
    })
    .await;
    let told = undone_twice(&*step, &world(&server, &json!({}))).await;
    assert_eq!(told, ("taken away".to_owned(), "was gone".to_owned()));
    assert!(server.state().kept.is_empty());
}

#[tokio::test]
async fn a_guest_that_notes_what_it_began() {
    let server = Server::new().await;
    let marker = format!("{}/marker", server.origin());
    let doing = [
        call("memo", "get", vec![json!("made")]),
        Do::AnswerIf { path: vec!["some"], is: None, answer: done("was made", true) },
        request("PUT", &marker),
        // Neither of the two: no note is written, and the verb fails at its end.
        on_status(503, transient()),
        Do::AnswerIf { path: vec!["err"], is: None, answer: transient() },
        call("memo", "put", vec![json!("made"), json!("true")]),
        Do::AnswerIf { path: vec!["ok"], is: None, answer: done("made", false) },
        Do::AnswerIf { path: vec!["err"], is: None, answer: refused_question() },
    ];
    let step = bound(&careful().on("run", doing).pack(), http(&server.origin()));
    passes_the_tests_of_every_step(&*step, &server, &json!({}), async |world, _| {
        assert_eq!(world.rig.note("made"), Some(json!(true)));
        assert_eq!(world.outside.state().writes, 1);
    })
    .await;
}

/// What a guest says whose question to the engine failed, with the code that the generic tests look for.
fn refused_question() -> Value {
    let mut failure = transient();
    failure["err"]["transient"]["code"] = json!("E000");
    failure
}

#[tokio::test]
async fn a_guest_that_takes_a_hold() {
    let server = Server::new().await;
    let drained = format!("{}/drained", server.origin());
    let guest = careful()
        .on(
            "run",
            [
                call("hold", "take", vec![json!("drained"), json!("{\"was\":3}")]),
                Do::AnswerIf { path: vec!["err"], is: None, answer: refused_question() },
                request("PUT", &drained),
                on_status(201, done("drained", false)),
                on_status(200, done("is drained", true)),
            ],
        )
        .on(
            "release",
            [request("DELETE", &drained), on_status(204, json!({ "ok": null })), on_status(404, json!({ "ok": null }))],
        );
    let step = bound(&guest.pack(), http(&server.origin()));
    passes_the_tests_of_every_step(&*step, &server, &json!({}), async |world, _| {
        assert_eq!(world.rig.holds().into_iter().collect::<Vec<_>>(), [("drained".to_owned(), json!({ "was": 3 }))]);
        assert!(world.outside.state().kept.contains_key("/drained"));
    })
    .await;
    let make = async || world(&server, &json!({}));
    gives_back_after_kills(&*step, make, async |world| {
        assert!(world.outside.state().kept.is_empty(), "something is still taken away");
    })
    .await;
}

#[tokio::test]
async fn a_guest_that_waits() {
    let server = Server::new().await;
    let ready = format!("{}/ready", server.origin());
    let question = vec![
        request("GET", &ready),
        on_status(200, done("ready", true)),
        // A failed question is asked again; only being stopped ends the wait.
        call("report", "waiting", vec![json!("for the server to be ready")]),
        call("clock", "sleep-ms", vec![json!(5)]),
        Do::AnswerIf { path: Vec::new(), is: Some(0), answer: transient() },
    ];
    let step = bound(&careful().on("run", [Do::Repeat(question)]).pack(), http(&server.origin()));
    let make = async || {
        let world = world(&server, &json!({}));
        world.outside.state().unready = 2;
        world
    };
    let check = async |world: &World<Server>, _: &Outcome| assert_eq!(world.outside.state().unready, 0);
    let first = make().await;
    runs_twice(&*step, &first).await;
    assert_eq!(first.rig.waits(), ["for the server to be ready", "for the server to be ready"]);
    survives_kills(&*step, make, check).await;
    survives_stops(&*step, make, check).await;
    survives_failures(&*step, make, check).await;
}

#[tokio::test]
async fn a_guest_that_writes_records_at_a_dns_provider() {
    let Some(component) = built("dnsapi") else { return };
    let server = Server::new().await;
    let inputs = json!({ "endpoint": server.origin(), "zone": "demo.test", "name": "www.demo.test", "type": "A", "value": ["203.0.113.7"] });
    let step = bound(&component, http(&server.origin()));
    passes_the_tests_of_every_step(&*step, &server, &inputs, async |world, outcome| {
        let state = world.outside.state();
        assert_eq!((state.names(), state.writes), (vec!["www.demo.test"], 1));
        assert_eq!(outcome.outputs["values"], json!(["203.0.113.7"]));
    })
    .await;
    let (first, second) = undone_twice(&*step, &world(&server, &inputs)).await;
    assert_eq!((first.as_str(), second.as_str()), ("A www.demo.test deleted", "A www.demo.test was gone already"));
    assert!(server.state().kept.is_empty());
}

/// A thousand steps that wait for a server at once: all of them end, and whoever else is there has their turn meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_guests_in_a_call_of_the_host_at_once() {
    const GUESTS: usize = 1_000;
    let server = Server::new().await;
    let guest = careful().on(
        "run",
        [
            call("clock", "sleep-ms", vec![json!(1_000)]),
            Do::AnswerIf { path: Vec::new(), is: Some(1), answer: done("slept", true) },
        ],
    );
    let step = bound(&guest.pack(), http(&server.origin()));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..GUESTS {
        let step = Arc::clone(&step);
        running.spawn(async move { Rig::new().run(&*step, &json!({})).await });
    }
    let mut slept = 0;
    while let Some(outcome) = running.join_next().await {
        assert_eq!(outcome.unwrap().unwrap().summary, "slept");
        slept += 1;
    }
    assert_eq!(slept, GUESTS);
    let other = careful()
        .on("run", [request("PUT", &format!("{}/after", server.origin())), on_status(201, done("made", false))]);
    let outcome = Rig::new().run(&*bound(&other.pack(), http(&server.origin())), &json!({})).await;
    assert_eq!(outcome.unwrap().summary, "made");
}
