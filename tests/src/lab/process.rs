//! One process of a lab: start it, know it again, end it. A process id is used again after its process has ended, so nothing is sent
//! to a bare id: a process is known by its id and the moment it started, and signals go through a handle that can not change hands.

use std::fs::{self, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid};
use serde::{Deserialize, Serialize};

use super::error::LabError;

/// How much of a log an error shows.
const TAIL_LINES: usize = 12;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    pub name: String,
    pub id: u32,
    /// In clock ticks since the machine started, as the kernel counts.
    started: u64,
    pub log: PathBuf,
}

impl Process {
    /// Starts a process that lives on when this one ends, and does not hear what is typed at its terminal.
    pub fn start(name: &str, command: &mut Command, dir: &Path, log: &Path) -> Result<Process, LabError> {
        let what = || format!("start {name} ({})", command_name(command));
        let open = || OpenOptions::new().create(true).append(true).open(log);
        let (out, err) = open().and_then(|out| Ok((out.try_clone()?, out))).map_err(LabError::file(what()))?;
        let error = LabError::file(what());
        let child = command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .map_err(error)?;
        // It is our child and not waited for: even if it has ended already, the kernel still tells its start.
        let started = stat(child.id()).map(|stat| stat.started).ok_or_else(|| ended(name, log))?;
        Ok(Process { name: name.to_owned(), id: child.id(), started, log: log.to_owned() })
    }

    /// Whether it runs, or was stopped and can go on.
    pub fn is_running(&self) -> bool {
        stat(self.id).is_some_and(|stat| stat.started == self.started && !stat.ended)
    }

    /// Memory that is in use, in bytes, a page that several processes share counted in parts: most of them run one program. `None` if
    /// it has ended.
    pub fn memory(&self) -> Option<u64> {
        let text = self.is_running().then(|| fs::read_to_string(format!("/proc/{}/smaps_rollup", self.id)).ok())??;
        let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    }

    /// The error to give when it has ended by itself.
    pub fn ended(&self) -> LabError {
        ended(&self.name, &self.log)
    }

    /// Stops it where it is: it keeps its connections and answers nothing.
    pub fn freeze(&self) -> Result<(), LabError> {
        self.signal(Signal::STOP)
    }

    pub fn thaw(&self) -> Result<(), LabError> {
        self.signal(Signal::CONT)
    }

    fn signal(&self, signal: Signal) -> Result<(), LabError> {
        let no_process = || LabError::NoProcess { what: self.name.clone(), process: self.id.to_string() };
        let handle = self.handle().ok_or_else(no_process)?;
        pidfd_send_signal(handle, signal).map_err(|error| LabError::file(format!("signal {}", self.name))(error.into()))
    }

    /// A handle on the process, if it still is the one that was started. The order matters: the handle is taken first and then
    /// looked at, so that it can not be that of a process which got the id in between.
    fn handle(&self) -> Option<OwnedFd> {
        let handle = pidfd_open(Pid::from_raw(i32::try_from(self.id).ok()?)?, PidfdFlags::empty()).ok()?;
        self.is_running().then_some(handle)
    }
}

/// Ends processes together: asks all, and uses force with those that are still there after the grace time.
pub fn end(processes: &[Process], grace: Duration) -> Result<(), LabError> {
    let handles: Vec<(&Process, OwnedFd)> = processes.iter().filter_map(|p| Some((p, p.handle()?))).collect();
    for (_, handle) in &handles {
        // A process that has ended in the meantime can not be signalled, which is what is wanted of it.
        let _ = pidfd_send_signal(handle, Signal::TERM);
        let _ = pidfd_send_signal(handle, Signal::CONT);
    }
    let mut left = Vec::new();
    let deadline = Instant::now() + grace;
    for (process, handle) in &handles {
        if !ends_before(handle, deadline) {
            let _ = pidfd_send_signal(handle, Signal::KILL);
            if !ends_before(handle, Instant::now() + Duration::from_secs(10)) {
                left.push(process.name.clone());
            }
        }
        reap(process.id);
    }
    if left.is_empty() { Ok(()) } else { Err(LabError::Immortal { names: left }) }
}

/// Waits for the end of a process; its handle can be read from then on.
fn ends_before(handle: &OwnedFd, deadline: Instant) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(handle, PollFlags::IN)], Some(&limit)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Takes note of the end of a process that is our child. It is not when another process brought the lab up.
fn reap(id: u32) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

struct Stat {
    ended: bool,
    started: u64,
}

/// What the kernel says of a process.
fn stat(id: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// The second field is the name in parentheses, which may hold spaces and parentheses itself; the others are counted from its end.
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?; // the third field
    let started = fields.nth(18)?.parse().ok()?; // the twenty-second
    Some(Stat { ended: matches!(state, "Z" | "X"), started })
}

fn ended(name: &str, log: &Path) -> LabError {
    LabError::Ended { process: name.to_owned(), log: log.to_owned(), tail: tail(log) }
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

fn command_name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(dir: &Path, script: &str) -> Process {
        Process::start("it", Command::new("sh").args(["-c", script]), dir, &dir.join("log")).unwrap()
    }

    #[test]
    fn a_process_that_does_not_listen_is_ended_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let process = start(dir.path(), "trap '' TERM; echo there; while :; do sleep 0.02; done");
        let deadline = Instant::now() + Duration::from_secs(10);
        while tail(&process.log) != "there" {
            assert!(Instant::now() < deadline, "it does not start");
            std::thread::yield_now();
        }
        end(std::slice::from_ref(&process), Duration::from_millis(50)).unwrap();
        assert!(!process.is_running());
    }

    #[test]
    fn a_frozen_process_is_ended_too() {
        let dir = tempfile::tempdir().unwrap();
        let process = start(dir.path(), "exec sleep 1000");
        process.freeze().unwrap();
        assert!(process.is_running());
        end(std::slice::from_ref(&process), Duration::from_secs(10)).unwrap();
        assert!(!process.is_running());
    }

    #[test]
    fn an_id_that_another_process_has_now_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let process = start(dir.path(), "exec sleep 1000");
        let before = Process { started: process.started - 1, ..process.clone() };
        assert!(!before.is_running());
        assert!(before.freeze().is_err());
        end(&[before], Duration::ZERO).unwrap();
        assert!(process.is_running());
        end(&[process], Duration::ZERO).unwrap();
    }

    #[test]
    fn names_with_parentheses_do_not_confuse() {
        let stat = parse_stat("7 (a) b (c) S 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0").unwrap();
        assert_eq!((stat.started, stat.ended), (4242, false));
    }
}
