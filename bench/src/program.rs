//! The program that is measured, as a process from start to exit.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub struct Program(PathBuf);

/// One run of the program.
pub struct Ran {
    pub wall_s: f64,
    /// From the first record of its journal to the last, in milliseconds at best: the loop without reading, planning and exit.
    pub loop_s: f64,
    /// The largest resident set, in KiB, as `/usr/bin/time` would say it.
    pub peak_kib: u64,
}

impl Program {
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads its own settings")]
    pub fn find() -> Result<Program, String> {
        let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("engine")));
        let path = std::env::var_os("ENGINE_PROGRAM").map(PathBuf::from).or(beside).filter(|path| path.exists());
        path.map(Program).ok_or_else(|| {
            "there is no `engine` beside this program: cargo build --release -p engine, or set ENGINE_PROGRAM".into()
        })
    }

    /// A run in a state directory of its own, which is removed afterwards.
    pub fn run(&self, file: &Path, place: &Path) -> io::Result<Ran> {
        let state = tempfile::tempdir_in(place)?;
        let began = Instant::now();
        let child = self.command(file, state.path()).spawn()?;
        let (status, peak_kib) = wait_with_peak(child)?;
        let wall_s = began.elapsed().as_secs_f64();
        if !status.success() {
            return Err(io::Error::other(format!("the run of {} ended with {status}", file.display())));
        }
        let loop_s = between_records(&state.path().join("runs"))?;
        Ok(Ran { wall_s, loop_s, peak_kib })
    }

    /// Seconds to read, check and plan nothing more than the file.
    pub fn check(&self, file: &Path) -> io::Result<f64> {
        let began = Instant::now();
        let status =
            Command::new(&self.0).arg("graph").arg(file).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if !status.success() {
            return Err(io::Error::other(format!("the graph of {} ended with {status}", file.display())));
        }
        Ok(began.elapsed().as_secs_f64())
    }

    /// How often a run flushed, counted by strace; `None` without strace.
    pub fn flushes(&self, file: &Path, place: &Path) -> io::Result<Option<u64>> {
        let state = tempfile::tempdir_in(place)?;
        let counted = place.join("strace");
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", "trace=fdatasync,fsync", "-o"]).arg(&counted).arg(&self.0);
        command.arg("run").arg(file).arg("--progress").arg("quiet").arg("--state").arg(state.path());
        match command.stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            status => status?,
        };
        let text = std::fs::read_to_string(&counted)?;
        Ok(Some(text.lines().filter(|line| line.contains("sync(") && !line.contains("resumed")).count() as u64))
    }

    fn command(&self, file: &Path, state: &Path) -> Command {
        let mut command = Command::new(&self.0);
        command.arg("run").arg(file).arg("--progress").arg("quiet").arg("--state").arg(state);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// Seconds between the first and the last record of the only run in a state directory.
fn between_records(runs: &Path) -> io::Result<f64> {
    let unreadable = || io::Error::other("the journal of the run cannot be read");
    let run = std::fs::read_dir(runs)?.next().ok_or_else(unreadable)??;
    let text = std::fs::read_to_string(run.path().join("journal"))?;
    let time = |line: Option<&str>| -> Option<u64> {
        serde_json::from_str::<serde_json::Value>(line?).ok()?.get("time")?.as_u64()
    };
    let (first, last) = (time(text.lines().next()), time(text.lines().next_back()));
    Ok(Duration::from_millis(last.ok_or_else(unreadable)? - first.ok_or_else(unreadable)?).as_secs_f64())
}

/// Waits, reading the peak from /proc while the child lives: its last value before the end is the one that counts.
fn wait_with_peak(mut child: std::process::Child) -> io::Result<(std::process::ExitStatus, u64)> {
    let status_file = format!("/proc/{}/status", child.id());
    let watcher = std::thread::spawn(move || {
        let mut peak = 0;
        while let Ok(text) = std::fs::read_to_string(&status_file) {
            let found =
                text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().split(' ').next()?.parse().ok());
            match found {
                Some(kib) => peak = kib,
                None => break,
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        peak
    });
    let status = child.wait()?;
    Ok((status, watcher.join().unwrap_or(0)))
}
