//! `lab trust`: a fresh lab, the workflow region-trust twice and once with kills, and one line that says how it went.

use std::io;
use std::time::Instant;

use serde_json::Value;

use crate::lab::{Lab, LabError, REGIONS};
use crate::rollout::{Rollout, moments, steps_of};

const KILLS: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error("a process could not be started or read")]
    Io(#[from] io::Error),
    /// What was expected of the rollout and did not come true; the engine's own words are in it.
    #[error("{what}\n{output}")]
    Broken { what: &'static str, output: String },
}

/// Brings the lab up in a directory of its own, ends it, and returns the line.
pub fn trust(program: std::path::PathBuf) -> Result<String, TrustError> {
    let place = tempfile::tempdir()?;
    let lab = Lab::up(&place.path().join("lab"), &REGIONS)?;
    let rollout = Rollout::new(&lab, program.clone(), &made(place.path().join("twice"))?, "trust");
    let began = Instant::now();
    let first = rollout.run("first")?;
    let seconds = began.elapsed().as_secs_f32();
    expect(first.status.success(), "the first run did not succeed", &first)?;
    let second = rollout.run("second")?;
    expect(second.status.success(), "the second run did not succeed", &second)?;
    let steps = ended(&rollout.events("first"));
    let events = rollout.events("second");
    let same = events.iter().filter(|e| e["event"] == "step-succeeded" && e["same"] == true).count()
        + steps_of(&events, "step-skipped").len();

    let mut kills = 0;
    for round in 0_u64.. {
        if kills >= KILLS || round == 10 {
            break;
        }
        let rollout = Rollout::new(
            &lab,
            program.clone(),
            &made(place.path().join(format!("killed-{round}")))?,
            &format!("killed-{round}"),
        );
        let killed = rollout.run_with_kills("r", moments(KILLS - kills, 40, 700, 41 + round))?;
        if !killed.repeated.is_empty() || !killed.succeeded {
            let output = format!("{killed:?}\n{:?}", rollout.events("r").last());
            return Err(TrustError::Broken { what: "a killed run was not finished as it should", output });
        }
        kills += killed.kills;
    }
    Ok(format!("region-trust: {steps} steps, {seconds:.1} s, second run {same} same, {kills} kills survived"))
}

fn ended(events: &[Value]) -> usize {
    steps_of(events, "step-succeeded").len() + steps_of(events, "step-skipped").len()
}

fn made(directory: std::path::PathBuf) -> io::Result<std::path::PathBuf> {
    std::fs::create_dir(&directory)?;
    Ok(directory)
}

fn expect(holds: bool, what: &'static str, output: &std::process::Output) -> Result<(), TrustError> {
    let text = || String::from_utf8_lossy(&output.stderr).into_owned();
    if holds { Ok(()) } else { Err(TrustError::Broken { what, output: text() }) }
}
