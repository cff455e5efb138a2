//! SIGKILL at random moments of a run without a cluster, then `resume`: nothing that was acknowledged runs again, nothing is forgotten.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// Six steps that append a line to a file each, in a chain with a fork. `exec.run` with effect `converge` may run again after a crash,
/// but only when its outcome was not acknowledged.
const WORKFLOW: &str = r#"
workflow kills
step a uses=exec.run { program "sh" "-c" "echo a >> effects; sleep 0.12"; effect converge }
step b uses=exec.run needs=a { program "sh" "-c" "echo b >> effects; sleep 0.12"; effect converge }
step c uses=exec.run needs=a { program "sh" "-c" "echo c >> effects; sleep 0.15"; effect converge }
step d uses=file.write { needs b c; path "d.txt"; content "d" }
step e uses=exec.run needs=d { program "sh" "-c" "echo e >> effects; sleep 0.12"; effect converge }
step f uses=value.set needs=e { n 1 }
"#;

fn engine(place: &Path) -> Command {
    let mut command = Command::new(engine_tests::program());
    command.current_dir(place).env_remove("ENGINE_STATE").arg("--state").arg(place.join("state")).stdin(Stdio::null());
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
    let mut interrupted = 0;
    for round in 0..20_u64 {
        let place = tempfile::tempdir().unwrap();
        let place = place.path();
        std::fs::write(place.join("kills.kdl"), WORKFLOW).unwrap();
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
        let effects = std::fs::read_to_string(place.join("effects")).unwrap();
        for step in ["a", "b", "c", "e"] {
            let starts = steps_of(&events, "step-started").iter().filter(|s| *s == step).count();
            let seen = effects.lines().filter(|line| *line == step).count();
            assert!((1..=starts).contains(&seen), "round {round}: {step} had {seen} effects in {starts} starts");
        }
    }
    assert!(interrupted >= 5, "only {interrupted} of 20 rounds were interrupted: the moments are badly spread");
}
