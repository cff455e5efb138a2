//! SIGKILL at random moments: a child process, which is this test program started again, appends and says what was acknowledged;
//! it is killed; everything that it said must be there.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use engine_core::id::Timestamp;

use super::testing::{assert_records, events, time};
use super::{FileJournal, HeldLock, Holder, Journal as _, Reader, StateDir};

const KILLS: u64 = 250;
/// Kills of one run, so that recoveries are killed too.
const KILLS_PER_RUN: u64 = 10;
/// The child writes only where this file lies: it is an ignored test, which a person might start by accident.
const MARK: &str = "kill-test";
/// And stores checkpoints where this one lies.
const CHECKPOINTS: &str = "with-checkpoints";

#[test]
fn nothing_acknowledged_is_lost_to_250_kills() {
    let dir = tempfile::tempdir().unwrap();
    let runs: Vec<u64> = (0..KILLS / KILLS_PER_RUN).collect();
    // Several at once, because a child mostly waits for the disk.
    let (acknowledged, epochs) = std::thread::scope(|scope| {
        let workers: Vec<_> = runs
            .chunks(runs.len().div_ceil(4))
            .map(|runs| scope.spawn(|| runs.iter().map(|number| kill_one_run(dir.path(), *number)).collect::<Vec<_>>()))
            .collect();
        let ends = workers.into_iter().flat_map(|worker| worker.join().unwrap());
        ends.fold((0, 0), |total, end| (total.0 + end.0, total.1 + end.1))
    });
    assert!(acknowledged > KILLS, "the children did hardly anything: {acknowledged} records");
    assert!(epochs > KILLS / 2, "the children hardly ever got past the opening: {epochs} epochs");
}

/// Returns how many records were acknowledged at last, and in how many openings.
fn kill_one_run(directory: &Path, number: u64) -> (u64, u64) {
    let state_path = directory.join(format!("state-{number}"));
    let state = StateDir::open(&state_path).unwrap();
    std::fs::write(state_path.join(MARK), "").unwrap();
    if number.is_multiple_of(2) {
        std::fs::write(state_path.join(CHECKPOINTS), "").unwrap();
    }
    let run = state.run(&"killed".parse().unwrap());
    run.create().unwrap();
    drop(FileJournal::create(&run, &take(&state)).unwrap());
    let mut random = 0x9E37_79B9_7F4A_7C15 ^ (number + 1);
    let mut acknowledged = 0;
    for _ in 0..KILLS_PER_RUN {
        random = next(random);
        acknowledged = killed_after(&state_path, random % 40).max(acknowledged);
        let records: Vec<_> = Reader::open(&run).unwrap().map(Result::unwrap).collect();
        assert_records(1, &records);
        assert!(records.len() as u64 >= acknowledged, "{} of {acknowledged} acknowledged", records.len());
    }
    let (journal, found) = FileJournal::open(&run, &take(&state), |state| Ok(state.to_vec())).unwrap();
    assert!(found.notes.is_empty(), "{:?}", found.notes);
    assert_records(found.checkpoint.map_or(1, |state| count(&state) + 1), &found.events);
    assert!(found.last.unwrap().sequence.0 >= acknowledged);
    (acknowledged, journal.epoch().0)
}

/// Starts a child, kills it when it has acknowledged so many batches, and returns the last record that it called durable.
fn killed_after(state: &Path, batches: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "journal::kill_tests::writer_child", "--ignored", "--nocapture", "--test-threads=1"])
        .current_dir(state)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let durable = |line: String| line.strip_prefix("durable ").map(|number| number.parse::<u64>().unwrap());
    let mut last = 0;
    // The first lines are the test program's own.
    for number in lines.by_ref().filter_map(durable).take(batches as usize) {
        last = number;
    }
    child.kill().unwrap();
    // What it said before it died counts too. A last line may be cut off, even within its number.
    let rest: Vec<String> = lines.collect();
    let whole = rest.len().saturating_sub(1);
    let last = rest.into_iter().take(whole).filter_map(durable).next_back().unwrap_or(last);
    assert!(!child.wait().unwrap().success());
    last
}

#[test]
#[ignore = "the child of nothing_acknowledged_is_lost_to_250_kills"]
fn writer_child() {
    if !Path::new(MARK).exists() {
        return;
    }
    let state = StateDir::open(".").unwrap();
    let run = state.run(&"killed".parse().unwrap());
    let lock = take(&state);
    let (mut journal, found) = FileJournal::open(&run, &lock, |state| Ok(count(state))).unwrap();
    let mut last = found.last.map_or(0, |last| last.sequence.0);
    assert_eq!(found.checkpoint.unwrap_or(0) + found.events.len() as u64, last);
    let mut stdout = std::io::stdout();
    loop {
        let batch = events(last + 1, last + 1 + last % 4);
        let receipt = match last % 2 {
            0 => journal.append(&batch, time(last)),
            _ => journal.append_here(&batch, time(last)),
        };
        last = receipt.wait().unwrap().0;
        writeln!(stdout, "durable {last}").unwrap();
        // In every second run: opening sled takes longer than all the rest of a child.
        if last % 5 == 0 && state.path().join(CHECKPOINTS).exists() {
            journal.checkpoint(format!("{last} {}", "x".repeat(3000)).into_bytes());
        }
    }
}

/// The state that the child folds: how many records there were.
fn count(state: &[u8]) -> u64 {
    std::str::from_utf8(state).unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn take(state: &StateDir) -> HeldLock {
    HeldLock::take(state, "killed", &Holder::this_process("killed".parse().unwrap(), Timestamp(1))).unwrap()
}

/// xorshift, so that a failure can be repeated.
fn next(mut random: u64) -> u64 {
    random ^= random << 13;
    random ^= random >> 7;
    random ^ (random << 17)
}
