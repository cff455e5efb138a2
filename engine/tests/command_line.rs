//! The real program from outside, without a cluster: exit codes, and what stands on which stream.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

use std::path::Path;
use std::process::{Command, Output};

fn engine(place: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_engine"));
    command.env_clear().env("HOME", place).env("PATH", "/usr/bin:/bin").current_dir(place).args(arguments);
    command.output().unwrap()
}

fn written(text: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("w.kdl"), text).unwrap();
    place
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn mistakes_are_told_all_at_once_and_nothing_is_made() {
    let place = written("workflow w\nstep a uses=value.sett { n 1 }\nstep b uses=value.set { n \"${c.n}\" }\n");
    let output = engine(place.path(), &["run", "w.kdl"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(stderr(&output).contains("value.set") && stderr(&output).contains("w.kdl:3"), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "no state was made");
}

#[test]
fn a_run_that_fails_says_how_to_go_on_and_a_resume_repeats_only_what_failed() {
    let place = written(
        "workflow w\nstep a uses=value.set { n 1 }\nstep b uses=exec.run needs=a { program \"test\" \"-e\" \"ready\"; effect converge; retry attempts=1 }\n",
    );
    let first = engine(place.path(), &["run", "w.kdl", "--id", "r"]);
    assert_eq!(first.status.code(), Some(5), "{}", stderr(&first));
    assert!(stderr(&first).contains("engine resume r"), "{}", stderr(&first));
    std::fs::write(place.path().join("ready"), "").unwrap();
    let second = engine(place.path(), &["resume"]);
    assert_eq!(second.status.code(), Some(0), "{}", stderr(&second));
    assert!(stderr(&second).contains("kept") && stderr(&second).contains("failed last time"), "{}", stderr(&second));
    let third = engine(place.path(), &["resume"]);
    assert_eq!(third.status.code(), Some(2), "nothing is left to resume: {}", stderr(&third));
}

#[test]
fn progress_as_json_is_data_on_stdout_and_status_agrees_with_it() {
    let place = written("workflow w\nstep a uses=value.set { n 1 }\noutput n \"${a.n}\"\n");
    let output = engine(place.path(), &["run", "w.kdl", "--id", "r", "--progress", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let names: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["run-started", "step-started", "step-succeeded", "run-finished"]);
    let status = engine(place.path(), &["status", "r", "-o", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(
        (status["outcome"].as_str(), status["steps"][0]["state"].as_str()),
        (Some("succeeded"), Some("succeeded"))
    );
}

#[test]
fn a_named_seal_key_that_is_missing_is_told_before_anything_begins() {
    let place = written("workflow w\nstep a uses=pki.ca { common-name \"x\" }\n");
    let output = engine(place.path(), &["run", "w.kdl", "--seal-key", "absent", "--state", "state"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert_eq!(std::fs::read_dir(place.path().join("state/runs")).unwrap().count(), 0);
}

#[test]
fn usage_is_two_and_a_word_of_another_tool_is_understood() {
    let place = tempfile::tempdir().unwrap();
    let output = engine(place.path(), &["apply", "w.kdl"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("engine run FILE"), "{}", stderr(&output));
    assert_eq!(engine(place.path(), &["explain", "value.sett"]).status.code(), Some(2));
    assert_eq!(engine(place.path(), &["explain", "value.set"]).status.code(), Some(0));
    assert_eq!(engine(place.path(), &["status"]).status.code(), Some(2), "there are no runs");
}
