//! SIGKILL at random moments of a run without a cluster, then `resume`: nothing that was acknowledged runs again, nothing is forgotten.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::wasm::testing::{Do, Guest};
use serde_json::{Value, json};

/// Six steps that leave a mark outside each, in a chain with a fork. `exec.run` with effect `converge` may run again after a crash,
/// but only when its outcome was not acknowledged.
const NATIVE: &str = r#"
workflow kills
step a uses=exec.run { program "sh" "-c" "echo a >> effects; sleep 0.12"; effect converge }
step b uses=exec.run needs=a { program "sh" "-c" "echo b >> effects; sleep 0.12"; effect converge }
step c uses=exec.run needs=a { program "sh" "-c" "echo c >> effects; sleep 0.15"; effect converge }
step d uses=file.write { needs b c; path "d.txt"; content "d" }
step e uses=exec.run needs=d { program "sh" "-c" "echo e >> effects; sleep 0.12"; effect converge }
step f uses=value.set needs=e { n 1 }
"#;

/// The same with guests in place of programs: each tells a server that it was there, keeps a note, and sleeps.
fn guests(port: u16) -> String {
    let mut text = String::from("workflow kills\n");
    for family in ["a", "b", "c", "e"] {
        text.push_str(&format!(
            "use \"{family}.wasm\" as=guest_{family} {{ grant {{ http \"http://127.0.0.1:{port}\" {{ methods POST; private #true }} }} }}\n"
        ));
    }
    text.push_str(
        r#"
step a uses=guest_a.test
step b uses=guest_b.test needs=a
step c uses=guest_c.test needs=a
step d uses=file.write { needs b c; path "d.txt"; content "d" }
step e uses=guest_e.test needs=d
step f uses=value.set needs=e { n 1 }
"#,
    );
    text
}

fn guest(port: u16, step: &str) -> Vec<u8> {
    let call = |interface, function, args| Do::Call { interface, function, args, keep: Vec::new() };
    let request = json!({
        "method": "POST", "url": format!("http://127.0.0.1:{port}/{step}"), "headers": [], "body": null, "timeout-ms": null,
    });
    let doing = [
        call("http", "send", vec![request]),
        call("memo", "put", vec![json!("noted"), json!("1")]),
        call("clock", "sleep-ms", vec![json!(120)]),
    ];
    let asks = json!([{ "what": { "http": { "origin": null, "methods": ["POST"], "path": null } }, "why": "it leaves its mark" }]);
    let mut kind = engine::wasm::testing::kind("test");
    kind["asks"] = asks;
    Guest::new().kinds(json!([kind])).on("run", doing).pack()
}

/// A server that keeps the path of each request.
fn marks() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    // It ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut first = String::new();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            // A killed engine may leave half a request.
            if reader.read_line(&mut first).is_err() || !first.ends_with("HTTP/1.1\r\n") {
                continue;
            }
            let path = first.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
            keep.lock().unwrap().push(path);
            while reader.by_ref().lines().next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
        }
    });
    (port, seen)
}

fn engine(place: &Path) -> Command {
    let mut command = Command::new(engine_tests::program());
    command.current_dir(place).env_remove("ENGINE_STATE").arg("--state").arg(place.join("state")).stdin(Stdio::null());
    // Beside the rounds, so that guests are compiled once.
    command.env("XDG_CACHE_HOME", place.parent().unwrap().join("cache"));
    command
}

fn journal(place: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(place.join("state/runs/r/journal")).unwrap_or_default();
    // The last line may be the one that the kill tore.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn steps_of(events: &[Value], event: &str) -> Vec<String> {
    events.iter().filter(|e| e["event"] == event).map(|e| e["step"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_killed_run_is_finished_by_resume_and_repeats_nothing_that_was_acknowledged() {
    let room = tempfile::tempdir().unwrap();
    kill_and_resume(
        room.path(),
        NATIVE,
        |_| {},
        |place| {
            let effects = std::fs::read_to_string(place.join("effects")).unwrap();
            effects.lines().map(str::to_owned).collect()
        },
    );
}

#[test]
fn so_is_one_of_guests() {
    let room = tempfile::tempdir().unwrap();
    let (port, seen) = marks();
    let components = ["a", "b", "c", "e"].map(|step| (step, guest(port, step)));
    let prepare = |place: &Path| {
        for (step, bytes) in &components {
            std::fs::write(place.join(format!("{step}.wasm")), bytes).unwrap();
        }
        seen.lock().unwrap().clear();
    };
    // Compiled before the first moment counts.
    let first = room.path().join("first");
    std::fs::create_dir(&first).unwrap();
    prepare(&first);
    std::fs::write(first.join("kills.kdl"), guests(port)).unwrap();
    let checked = engine(&first).args(["run", "kills.kdl", "--progress", "plain"]).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    kill_and_resume(room.path(), &guests(port), prepare, |_| seen.lock().unwrap().clone());
}

/// Twenty rounds. `prepare` furnishes the directory of each, `effects` gives the marks that its steps left, by step.
fn kill_and_resume(room: &Path, workflow: &str, prepare: impl Fn(&Path), effects: impl Fn(&Path) -> Vec<String>) {
    let mut interrupted = 0;
    for round in 0..20_u64 {
        let place = &room.join(format!("round-{round}"));
        std::fs::create_dir(place).unwrap();
        prepare(place);
        std::fs::write(place.join("kills.kdl"), workflow).unwrap();
        let mut child = engine(place)
            .args(["run", "kills.kdl", "--id", "r", "--progress", "quiet"])
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A spread of moments from the first milliseconds to past the end; which moment it is must not matter.
        std::thread::sleep(Duration::from_millis(5 + round * 24));
        child.kill().unwrap();
        child.wait().unwrap();

        let before = journal(place);
        let acknowledged = steps_of(&before, "step-succeeded");
        let finished = before.iter().any(|e| e["event"] == "run-finished");
        if !place.join("state/runs/r/journal").exists() || finished {
            continue;
        }
        interrupted += 1;
        let resumed = engine(place).args(["resume", "r", "--progress", "plain"]).output().unwrap();
        assert!(resumed.status.success(), "round {round}: {}", String::from_utf8_lossy(&resumed.stderr));

        let events = journal(place);
        let again: Vec<_> = steps_of(&events[before.len()..], "step-started")
            .into_iter()
            .filter(|step| acknowledged.contains(step))
            .collect();
        assert_eq!(again, Vec::<String>::new(), "round {round}: acknowledged steps ran again");
        let mut outcomes = BTreeMap::new();
        for step in steps_of(&events, "step-succeeded") {
            *outcomes.entry(step).or_insert(0) += 1;
        }
        assert_eq!(
            outcomes,
            BTreeMap::from(["a", "b", "c", "d", "e", "f"].map(|s| (s.to_owned(), 1))),
            "round {round}"
        );
        let effects = effects(place);
        for step in ["a", "b", "c", "e"] {
            let starts = steps_of(&events, "step-started").iter().filter(|s| *s == step).count();
            let seen = effects.iter().filter(|mark| *mark == step).count();
            assert!((1..=starts).contains(&seen), "round {round}: {step} had {seen} effects in {starts} starts");
        }
    }
    assert!(interrupted >= 5, "only {interrupted} of 20 rounds were interrupted: the moments are badly spread");
}
