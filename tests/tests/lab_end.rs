//! How a lab ends, and what it takes to end: each test has a small lab of its own.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

#[allow(dead_code, reason = "its other functions serve the other tests of the lab")]
mod objects;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use engine_tests::lab::process::Process;
use engine_tests::lab::shared::say_left_out;
use engine_tests::lab::{Lab, LabError};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use objects::{client, create, eventually, netexec};
use serde_json::json;

const CLUSTERS: [&str; 1] = ["solo"];

/// A small lab in a directory, unless there can be none here.
fn lab(dir: &Path) -> Option<Lab> {
    if let Err(missing) = Lab::available() {
        say_left_out(&missing);
        return None;
    }
    Some(Lab::up(dir, &CLUSTERS).unwrap())
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_lab_that_was_dropped_leaves_no_process() {
    let dir = tempfile::tempdir().unwrap();
    let Some(lab) = lab(dir.path()) else { return };
    let processes = lab.processes();
    assert_eq!(processes.len(), 5);
    assert!(processes.iter().all(Process::is_running));
    assert!(matches!(Lab::up(dir.path(), &CLUSTERS), Err(LabError::AlreadyUp { .. })));
    drop(lab);
    assert!(!processes.iter().any(Process::is_running));
    assert!(Lab::open(dir.path()).unwrap().processes().is_empty());
}

#[tokio::test]
async fn the_processes_of_pods_end_with_the_lab() {
    let dir = tempfile::tempdir().unwrap();
    let Some(lab) = lab(dir.path()) else { return };
    let pods = Api::<Pod>::default_namespaced(client(&lab, CLUSTERS[0]).await);
    // A word in its arguments that no other process of this machine has.
    let word = format!("--http-override={}", dir.path().display());
    create(pods, json!({ "metadata": { "name": "web" }, "spec": { "containers": [netexec(&[&word])] } })).await;
    eventually("the pod's process runs", || async {
        has_process_with(&word).then_some(()).ok_or_else(|| "no process".to_owned())
    })
    .await;
    drop(lab);
    assert!(!has_process_with(&word));
}

/// Whether a process has a word among its arguments.
fn has_process_with(word: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| line.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes()))
}

#[test]
fn an_api_server_goes_and_comes_back_as_itself() {
    let dir = tempfile::tempdir().unwrap();
    let Some(lab) = lab(dir.path()) else { return };
    let at = SocketAddr::V4(lab.cluster(0).apiserver);
    let connects = || TcpStream::connect_timeout(&at, Duration::from_secs(2)).is_ok();
    let before = lab.processes();

    lab.stop_apiserver(0).unwrap();
    assert!(!connects());
    assert!(matches!(lab.stop_apiserver(0), Err(LabError::NoProcess { .. })));
    lab.start_apiserver(0).unwrap();
    assert!(connects());

    lab.freeze_apiserver(0).unwrap();
    assert!(connects(), "the kernel accepts for a process that is frozen");
    lab.thaw_apiserver(0).unwrap();

    let after = lab.processes();
    let stayed = after.iter().filter(|process| before.iter().any(|other| other.id == process.id)).count();
    assert_eq!((after.len(), stayed), (5, 4), "only the API server is another process");
    assert!(after.iter().all(Process::is_running));
}

#[test]
fn a_lab_ends_with_the_process_that_guards_it() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("lab");
    let Some(lab) = lab(&dir) else { return };
    let processes = lab.processes();
    lab.leave_up();
    let mut guard =
        Command::new(env!("CARGO_BIN_EXE_lab")).arg("guard").arg(&dir).stdin(Stdio::piped()).spawn().unwrap();
    assert!(processes.iter().all(Process::is_running), "it outlives its owner");

    drop(guard.stdin.take());
    assert!(guard.wait().unwrap().success());
    // They are the children of this process, which has not waited for them: ended is what counts.
    wait_until("a process stays", || !processes.iter().any(Process::is_running));
    assert!(!fs::exists(&dir).unwrap());
}
