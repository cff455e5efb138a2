//! A guest that takes something away, carried out by the real program: whatever ends the run, what was taken is given back.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

mod guests;
#[path = "guests/server.rs"]
mod server;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use engine::wasm::testing::{Do, kind};
use guests::{call, careful, done, on_status, request, transient};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use server::Server;

/// Takes the hold, drains, and waits until the server is ready; its `release` undrains.
fn guest(origin: &str) -> Vec<u8> {
    let drained = format!("{origin}/drained");
    let waiting = vec![
        request("GET", &format!("{origin}/ready")),
        on_status(200, done("done", false)),
        call("clock", "sleep-ms", vec![json!(20)]),
        Do::AnswerIf { path: Vec::new(), is: Some(0), answer: transient() },
    ];
    let doing = [
        call("hold", "take", vec![json!("drained"), json!("{\"was\":3}")]),
        Do::AnswerIf { path: vec!["err"], is: None, answer: transient() },
        request("PUT", &drained),
        Do::Repeat(waiting),
    ];
    let giving_back =
        [request("DELETE", &drained), on_status(204, json!({ "ok": null })), on_status(404, json!({ "ok": null }))];
    let mut drain = kind("drain");
    drain["asks"] = json!([{
        "what": { "http": { "origin": null, "methods": ["GET", "PUT", "DELETE"], "path": null } }, "why": "it drains",
    }]);
    careful().kinds(json!([drain])).on("run", doing).on("release", giving_back).pack()
}

fn place(server: &Server) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("drain.wasm"), guest(&server.origin())).unwrap();
    let workflow = format!(
        "workflow holds\nuse \"./drain.wasm\" as=lb {{ grant {{ http \"{}\" {{ methods GET PUT DELETE; private }} }} }}\n\
         step drain uses=lb.drain\nstep after uses=value.set needs=drain {{ n 1 }}\n",
        server.origin()
    );
    std::fs::write(place.path().join("holds.kdl"), workflow).unwrap();
    place
}

fn engine(place: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(engine_tests::program());
    command.current_dir(place).env_remove("ENGINE_STATE").arg("--state").arg(place.join("state"));
    command.env("XDG_CACHE_HOME", place.join("cache")).args(args).stdin(Stdio::null());
    command
}

fn start(place: &Path) -> Child {
    let run = ["run", "holds.kdl", "--id", "r", "--progress", "plain"];
    engine(place, &run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn is_drained(server: &Server) -> bool {
    server.state().kept.contains_key("/drained")
}

/// The guest has drained and waits.
async fn drained(server: &Server, child: &mut Child) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_drained(server) {
        assert!(child.try_wait().unwrap().is_none() && Instant::now() < deadline, "nothing was drained");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn ended(child: Child) -> Output {
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn events(place: &Path, event: &str) -> usize {
    let journal = std::fs::read_to_string(place.join("state/runs/r/journal")).unwrap();
    let is_it = |line: &&str| line.contains(&format!("\"event\":\"{event}\""));
    journal.lines().filter(is_it).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_guest_took_is_given_back_when_its_run_ends_well() {
    let server = Server::new().await;
    let place = place(&server);
    let output = ended(start(place.path())).await;
    assert!(output.status.success(), "{}", text(&output));
    assert!(!is_drained(&server), "{}", text(&output));
    assert_eq!((events(place.path(), "hold-taken"), events(place.path(), "hold-released")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn and_when_a_person_stops_it() {
    let server = Server::new().await;
    server.state().unready = usize::MAX;
    let place = place(&server);
    let mut child = start(place.path());
    drained(&server, &mut child).await;
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = ended(child).await;
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    assert!(!is_drained(&server), "{}", text(&output));
    assert_eq!(events(place.path(), "hold-released"), 1);

    // The stopped run can be resumed, drains again, and gives back again.
    server.state().unready = 0;
    let resumed =
        ended(engine(place.path(), &["resume", "r", "--progress", "plain"]).stderr(Stdio::piped()).spawn().unwrap())
            .await;
    assert!(resumed.status.success(), "{}", text(&resumed));
    assert!(!is_drained(&server));
}

#[tokio::test(flavor = "multi_thread")]
async fn and_by_the_resume_when_the_engine_was_killed() {
    let server = Server::new().await;
    server.state().unready = usize::MAX;
    let place = place(&server);
    let mut child = start(place.path());
    drained(&server, &mut child).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(is_drained(&server), "a killed engine gives nothing back");

    server.state().unready = 0;
    let resumed =
        ended(engine(place.path(), &["resume", "r", "--progress", "plain"]).stderr(Stdio::piped()).spawn().unwrap())
            .await;
    assert!(resumed.status.success(), "{}", text(&resumed));
    let seen = server.state().seen.clone();
    assert!(!is_drained(&server), "{seen:?}\n{}", text(&resumed));
}
