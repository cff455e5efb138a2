//! What the kernel knows of processes, read from `/proc`.
//!
//! A process is told from a later one with the same number by the moment at which it started and the boot in which it did.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

/// How long a process group may take to end by itself.
pub const GRACE: Duration = Duration::from_secs(5);

/// After SIGKILL only a process that waits for a device is still there.
const KILLED_MAX: Duration = Duration::from_secs(5);

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// One process group, named by the process that leads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub pid: i32,
    /// In ticks since the boot.
    start: u64,
    boot: String,
}

struct Stat {
    pid: i32,
    state: char,
    group: i32,
    start: u64,
}

impl Group {
    /// The group that this running process leads.
    pub fn led_by(pid: u32) -> io::Result<Group> {
        let pid = i32::try_from(pid).map_err(io::Error::other)?;
        let stat =
            stat(pid)?.ok_or_else(|| io::Error::other(format!("process {pid} ended before it was looked at")))?;
        Ok(Group { pid, start: stat.start, boot: boot()? })
    }

    /// The processes of this group that still run, lowest number first. Empty after a reboot, and when the number belongs to another
    /// process by now: as long as a member lives, the kernel gives the group's number to nobody else.
    pub fn members(&self) -> io::Result<Vec<i32>> {
        if boot()? != self.boot {
            return Ok(Vec::new());
        }
        let mut members = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
            let Some(stat) = stat(pid)? else { continue };
            if stat.pid == self.pid && stat.start != self.start {
                return Ok(Vec::new());
            }
            // What has ended and only waits for its parent to take notice does nothing any more.
            if stat.group == self.pid && stat.start >= self.start && !matches!(stat.state, 'Z' | 'X') {
                members.push(pid);
            }
        }
        members.sort_unstable();
        Ok(members)
    }

    /// Asks the group to end, and after a time of grace makes it. The first process that cannot be ended, if there is one.
    pub async fn end(&self) -> io::Result<Option<i32>> {
        for (signal, patience) in [(Signal::TERM, GRACE), (Signal::KILL, KILLED_MAX)] {
            if self.members()?.is_empty() {
                return Ok(None);
            }
            self.signal(signal)?;
            let deadline = Instant::now() + patience;
            while Instant::now() < deadline {
                if self.members()?.is_empty() {
                    return Ok(None);
                }
                sleep(LOOK_EVERY).await;
            }
        }
        Ok(self.members()?.first().copied())
    }

    /// Sends a signal to every member; a group that has just ended gets none.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return Err(io::Error::other("process 0 leads no group of ours"));
        };
        match kill_process_group(pid, signal) {
            Err(rustix::io::Errno::SRCH) => Ok(()),
            sent => Ok(sent?),
        }
    }
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// `None` when there is no such process.
fn stat(pid: i32) -> io::Result<Option<Stat>> {
    let text = match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => text,
        Err(e)
            if e.kind() == io::ErrorKind::NotFound
                || e.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    parse(pid, &text).map(Some).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat has an unknown form")))
}

/// proc_pid_stat(5): number, name in parentheses, state, parent, group, …, start as the 22nd field. The name may hold anything,
/// parentheses and line breaks included.
fn parse(pid: i32, text: &str) -> Option<Stat> {
    let after_name: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
    Some(Stat {
        pid,
        state: after_name.first()?.chars().next()?,
        group: after_name.get(2)?.parse().ok()?,
        start: after_name.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse_the_reading() {
        let text = "77 (a) R (b) S 1 76 76 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1000 10";
        let stat = parse(77, text).unwrap();
        assert_eq!((stat.state, stat.group, stat.start), ('S', 76, 4242));
        assert!(parse(77, "77 (cut").is_none());
    }

    #[test]
    fn another_process_of_the_same_number_is_another_group() {
        let own = Group { start: 1, ..Group::led_by(std::process::id()).unwrap() };
        assert!(own.members().unwrap().is_empty());
        let before_reboot = Group { boot: "another".into(), ..Group::led_by(std::process::id()).unwrap() };
        assert!(before_reboot.members().unwrap().is_empty());
    }
}
