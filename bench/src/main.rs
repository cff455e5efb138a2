//! Benchmarks: the real program against the bare limit of this machine, measured in the same minute.
//!
//! `cargo run --release -p engine-bench` builds nothing: it measures the `engine` that lies beside it in the target directory (or the
//! one that `ENGINE_PROGRAM` names). Arguments choose parts: `one`, `chain`, `wide`, `guests`. Absolute times travel badly, above all those of a flush, so every figure that has a target is
//! a ratio. The two sides of a ratio take turns, and medians over the rounds are compared. A target that is missed is told and makes
//! the exit code 1; tests assert nothing of this.

mod guests;
mod limits;
mod program;
mod rounds;
mod workflows;

use std::process::ExitCode;

use program::Program;
use rounds::{Measure, median};

/// Rounds of every measurement.
const ROUNDS: usize = 5;
const CHAIN: usize = 1_000;
const WIDE: usize = 10_000;
const CLIENTS: usize = 64;

fn main() -> ExitCode {
    match measure() {
        Ok(measures) => {
            let (table, all_met) = rounds::table(&measures);
            show(&table);
            if all_met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            show(&format!("error: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark's table is its output")]
fn show(text: &str) {
    print!("{text}");
}

/// What is measured: everything, or what the arguments name.
enum Part {
    One,
    Chain,
    Wide,
    Guests,
}

fn parts() -> Result<Vec<Part>, String> {
    let named = std::env::args().skip(1).map(|name| match name.as_str() {
        "one" => Ok(Part::One),
        "chain" => Ok(Part::Chain),
        "wide" => Ok(Part::Wide),
        "guests" => Ok(Part::Guests),
        _ => Err(format!("there is no part `{name}`: one, chain, wide, guests")),
    });
    match named.collect::<Result<Vec<_>, _>>()? {
        none if none.is_empty() => Ok(vec![Part::One, Part::Chain, Part::Wide, Part::Guests]),
        parts => Ok(parts),
    }
}

fn measure() -> Result<Vec<Measure>, Box<dyn std::error::Error>> {
    let program = Program::find()?;
    let directory = tempfile::tempdir_in(std::env::current_dir()?)?;
    let place = directory.path();
    let mut measures = Vec::new();
    for part in parts()? {
        match part {
            Part::One => measures.push(one_step(&program, place)?),
            Part::Chain => measures.extend(chain(&program, place)?),
            Part::Wide => measures.push(wide(&program, place)?),
            Part::Guests => measures.extend(guests::measure(&program, place)?),
        }
    }
    Ok(measures)
}

/// Process start to exit of a run of one step, in a fresh state directory.
fn one_step(program: &Program, place: &std::path::Path) -> Result<Measure, Box<dyn std::error::Error>> {
    let file = workflows::chain(place, 1)?;
    let mut walls = Vec::new();
    for _ in 0..ROUNDS * 4 {
        walls.push(program.run(&file, place)?.wall_s * 1_000.0);
    }
    Ok(Measure {
        name: "one-step run, start to exit",
        unit: "ms",
        found: median(&mut walls),
        target: 20.0,
        at_most: true,
        detail: String::new(),
    })
}

/// A chain: one durable step after the other. Its limit is a loop of append and fdatasync. As with the wide plan, what is compared is
/// the loop, from the first record of the journal to the last; the detail has what reading and checking the file took.
fn chain(program: &Program, place: &std::path::Path) -> Result<[Measure; 3], Box<dyn std::error::Error>> {
    let file = workflows::chain(place, CHAIN)?;
    let (mut ratios, mut memories) = (Vec::new(), Vec::new());
    let (mut bare, mut ours, mut reading) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let limit = limits::append_and_flush(place, CHAIN)?;
        let before = program.check(&file)?;
        let ran = program.run(&file, place)?;
        ratios.push(ran.loop_s / limit);
        memories.push(ran.peak_kib as f64 / 1_024.0);
        bare.push(limit * 1e6 / CHAIN as f64);
        ours.push(ran.loop_s * 1e6 / CHAIN as f64);
        reading.push(before * 1e3);
    }
    let flushes = program.flushes(&file, place)?;
    let detail = format!(
        "{:.0} µs a step, bare {:.0} µs; reading {:.0} ms",
        median(&mut ours),
        median(&mut bare),
        median(&mut reading)
    );
    Ok([
        Measure {
            name: "chain of 1,000, per step / bare append + fdatasync",
            unit: "×",
            found: median(&mut ratios),
            target: 1.5,
            at_most: true,
            detail,
        },
        Measure {
            name: "chain of 1,000, peak memory",
            unit: "MiB",
            found: median(&mut memories),
            target: 25.0,
            at_most: true,
            detail: String::new(),
        },
        match flushes {
            Some(flushes) => Measure {
                name: "chain of 1,000, flushes a step",
                unit: "",
                found: flushes as f64 / CHAIN as f64,
                target: 1.05,
                at_most: true,
                detail: String::new(),
            },
            None => Measure {
                name: "chain of 1,000, flushes a step",
                unit: "",
                found: f64::NAN,
                target: 1.05,
                at_most: true,
                detail: "left out: strace is not installed".into(),
            },
        },
    ])
}

/// Ten thousand independent steps, 64 at once. Its limit is 64 clients on one group committer.
fn wide(program: &Program, place: &std::path::Path) -> Result<Measure, Box<dyn std::error::Error>> {
    let file = workflows::wide(place, WIDE, CLIENTS)?;
    let mut ratios = Vec::new();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let limit = limits::group_commit(place, WIDE, CLIENTS)?;
        let ran = program.run(&file, place)?.loop_s;
        ratios.push(limit / ran);
        ours.push(WIDE as f64 / ran);
        bare.push(WIDE as f64 / limit);
    }
    let detail = format!("{:.0} steps/s, bare {:.0} records/s", median(&mut ours), median(&mut bare));
    Ok(Measure {
        name: "10,000 wide, 64 at once, rate / bare group commit",
        unit: "×",
        found: median(&mut ratios),
        target: 1.0 / 3.0,
        at_most: false,
        detail,
    })
}
