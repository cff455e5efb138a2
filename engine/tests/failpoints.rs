//! The process dies, or a call fails, at each named place around a durable step: what was acknowledged is there afterwards, and what
//! is found can be continued. Needs the feature `failpoints`.

#![allow(clippy::unwrap_used, reason = "all of this file is a test; clippy knows only the marked functions as such")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use engine::journal;
use engine::journal::{FileJournal, HeldLock, Holder, Journal as _, JournalError, Reader, StateDir, values};
use engine::seal::{Keystore, SealKeySource};
use engine_core::id::{StepId, Timestamp};
use engine_core::limits::OUTPUT_INLINE_BYTES_MAX;
use engine_core::run::{Event, Outputs};
use serde_json::json;
use steps_sdk::context::SecretBytes;

/// The places in `engine::disk`. One that is not there any more fails the test, because nothing passes it.
const DISK: [&str; 5] =
    ["disk-write-before", "disk-sync-before", "disk-rename-before", "disk-rename-after", "disk-directory-after"];

const BATCHES: u64 = 6;
/// Names the failpoint and what it does; the child works only where this file lies.
const ORDER: &str = "order";

fn places() -> impl Iterator<Item = &'static str> {
    journal::FAILPOINTS.iter().chain(&DISK).copied()
}

/// Each place, at its first, second and fifth passing: the state is continued until nothing more dies, and everything is there.
#[test]
fn a_death_at_any_place_loses_nothing_that_was_acknowledged() {
    let mut deaths = BTreeMap::new();
    for place in places() {
        for passings in [0, 1, 4] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(ORDER), format!("{place} {passings}*off->return(abort)")).unwrap();
            // A torn tail from the start, so that the cut is one of the places that are passed.
            let mut said = acknowledged_by(&mut child(dir.path()));
            *deaths.entry(place).or_insert(0) += usize::from(!said.ended);
            std::fs::write(dir.path().join(ORDER), "none off").unwrap();
            let then = acknowledged_by(&mut child(dir.path()));
            assert!(then.ended, "{place} after {passings}: the state could not be continued");
            said.lines.extend(then.lines);
            assert_all_there(dir.path(), &said.lines);
        }
    }
    let never: Vec<_> = deaths.iter().filter(|(_, deaths)| **deaths == 0).collect();
    assert!(never.is_empty(), "nothing ever passed {never:?}");
}

/// A failed call is an error and no death: nothing is acknowledged after it, and the state can be continued.
#[test]
fn a_failure_at_any_place_acknowledges_nothing_that_is_not_there() {
    for place in places() {
        for passings in [0, 1, 4] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(ORDER), format!("{place} {passings}*off->return(EIO)")).unwrap();
            let mut said = acknowledged_by(&mut child(dir.path()));
            std::fs::write(dir.path().join(ORDER), "none off").unwrap();
            said.lines.extend(acknowledged_by(&mut child(dir.path())).lines);
            assert_all_there(dir.path(), &said.lines);
        }
    }
}

/// What a child said before it ended or died.
struct Said {
    lines: Vec<String>,
    ended: bool,
}

fn child(directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "worker_child", "--ignored", "--nocapture", "--test-threads=1"])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn acknowledged_by(child: &mut Command) -> Said {
    let output = child.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("done ").map(str::to_owned)).collect();
    Said { ended: lines.iter().any(|line| line == "all"), lines }
}

fn assert_all_there(directory: &Path, said: &[String]) {
    let state = StateDir::at(directory.join("state"));
    let run = state.run(&"r".parse().unwrap());
    let keystore = keystore(directory);
    let records: Vec<_> = match Reader::open(&run) {
        Ok(reader) => reader.map(Result::unwrap).collect(),
        Err(_) => Vec::new(),
    };
    let mut looked = 0;
    for line in said {
        match line.split_once(' ') {
            Some(("record", n)) => {
                let n: usize = n.parse().unwrap();
                assert!(records.len() >= n, "{n} was acknowledged, {} are there", records.len());
                let Event::StepSucceeded { outputs: Outputs::File { digest, .. }, .. } = &records[n - 1].event else {
                    panic!("record {n} is {:?}", records[n - 1].event);
                };
                assert_eq!(values::load(&run, digest).unwrap()["n"], json!(n));
            }
            Some(("key", name)) => {
                assert_eq!(keystore.kept("owner", name).unwrap(), Some(SecretBytes::new(name.as_bytes().to_vec())));
            }
            _ => continue,
        }
        looked += 1;
    }
    assert!(looked > 0 || said.is_empty());
}

fn keystore(directory: &Path) -> Keystore {
    Keystore::new(directory.join("state/keys"), SealKeySource::Default { directory: directory.join("data") }, |_| ())
}

#[test]
#[ignore = "the child of the other tests"]
fn worker_child() {
    let Ok(order) = std::fs::read_to_string(ORDER) else {
        return;
    };
    let scenario = fail::FailScenario::setup();
    let (place, action) = order.split_once(' ').unwrap();
    fail::cfg(place, action).unwrap();
    if work(Path::new(".")).is_some() {
        say("all");
    }
    scenario.teardown();
}

/// Opens or makes a run, adds to it until it has so many batches, and says what is durable. `None`: a call failed.
fn work(directory: &Path) -> Option<()> {
    let state = StateDir::open(directory.join("state")).ok()?;
    let run = state.run(&"r".parse().unwrap());
    let lock = HeldLock::take(&state, "r", &Holder::this_process("r".parse().unwrap(), Timestamp(1))).ok()?;
    let keystore = keystore(directory);
    let (mut journal, last) = match FileJournal::open(&run, &lock, |state| Ok(state.to_vec())) {
        Ok((journal, found)) => (journal, found.last.map_or(0, |last| last.sequence.0)),
        Err(JournalError::NoSuchRun { .. }) => {
            match run.create() {
                Ok(()) | Err(JournalError::Exists { .. }) => {}
                Err(_) => return None,
            }
            // Directories that a death kept from being made.
            ["source", "values", "logs"]
                .iter()
                .try_for_each(|part| std::fs::create_dir_all(run.path().join(part)))
                .ok()?;
            (FileJournal::create(&run, &lock).ok()?, 0)
        }
        Err(_) => return None,
    };
    for n in last + 1..=BATCHES {
        let outputs = values::store(&run, json!({ "n": n, "filling": "x".repeat(OUTPUT_INLINE_BYTES_MAX) })).ok()?;
        let event = Event::StepSucceeded { step: StepId::new("a"), outputs, summary: String::new(), same: false };
        let sequence = journal.append(&[event], Timestamp(n)).wait().ok()?;
        say(&format!("record {}", sequence.0));
        let name = format!("k{n}");
        keystore.keep("owner", &name, &SecretBytes::new(name.clone().into_bytes())).ok()?;
        say(&format!("key {name}"));
        journal.checkpoint(n.to_string().into_bytes());
    }
    drop(journal);
    // Half a record, as a killed write leaves it: the next opening cuts it.
    let mut file = std::fs::OpenOptions::new().append(true).open(run.journal()).unwrap();
    file.write_all(br#"{"format":1,"se"#).unwrap();
    drop(FileJournal::open(&run, &lock, |state| Ok(state.to_vec())).ok()?);
    Some(())
}

fn say(what: &str) {
    // The test program leaves the name of the test on an open line.
    writeln!(std::io::stdout(), "\ndone {what}").unwrap();
}
