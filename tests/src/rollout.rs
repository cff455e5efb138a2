//! `workflows/region-trust.kdl` carried out over a lab by the real program: runs, resumes, kills, and what the journal says of them.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::lab::Lab;

/// One installation of the workflow: a lab, a namespace of its own, a state directory of its own.
pub struct Rollout<'l> {
    lab: &'l Lab,
    program: PathBuf,
    place: PathBuf,
    namespace: String,
}

/// What became of a run that was killed again and again.
#[derive(Debug, Default)]
pub struct Killed {
    pub kills: usize,
    /// Steps that were started again although their success had been recorded.
    pub repeated: Vec<String>,
    /// Whether the last process ended the run well.
    pub succeeded: bool,
}

impl<'l> Rollout<'l> {
    /// `place` is an empty directory; `program` the engine.
    pub fn new(lab: &'l Lab, program: PathBuf, place: &Path, namespace: &str) -> Rollout<'l> {
        Rollout { lab, program, place: place.to_owned(), namespace: namespace.to_owned() }
    }

    /// The engine with everything that belongs to this installation in its environment.
    pub fn engine(&self) -> Command {
        let dns = self.lab.dns();
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("HOME", &self.place)
            .env("PATH", "/usr/bin:/bin")
            .env("KUBECONFIG", self.lab.kubeconfig());
        command.env("DNS_KEY", format!("{}:{}:{}", dns.key.algorithm, dns.key.name, dns.key.secret));
        // The seal key is made below HOME, which belongs to this installation.
        command.env("ENGINE_STATE", self.place.join("state"));
        command.stdin(Stdio::null());
        command
    }

    /// `plan` or `run` with the inputs of this installation.
    pub fn with_inputs(&self, subcommand: &str) -> Command {
        let workflow = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workflows/region-trust.kdl");
        let mut command = self.engine();
        command.arg(subcommand).arg(workflow);
        let domain = self.lab.dns().zone.trim_end_matches('.').to_owned();
        let mut vars = vec![
            format!("domain={domain}"),
            format!("dns_server={}", self.lab.dns().server),
            format!("ns={}", self.namespace),
            // A port below 1024 cannot be had without root.
            "port=8443".to_owned(),
        ];
        for (letter, cluster) in ["a", "b", "c"].iter().zip(self.lab.clusters()) {
            vars.push(format!("uid_{letter}={}", cluster.kube_system_uid));
        }
        for var in vars {
            command.args(["--var", &var]);
        }
        command
    }

    pub fn run(&self, id: &str) -> io::Result<Output> {
        self.with_inputs("run").args(["--id", id, "--progress", "plain"]).output()
    }

    pub fn start(&self, id: &str) -> io::Result<Child> {
        self.with_inputs("run").args(["--id", id, "--progress", "quiet"]).stderr(Stdio::null()).spawn()
    }

    pub fn resume(&self, id: &str) -> io::Result<Output> {
        self.engine().args(["resume", id, "--progress", "plain"]).output()
    }

    /// Records of the run's journal; a line that a kill has torn is left out.
    pub fn events(&self, id: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.place.join("state/runs").join(id).join("journal")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Starts a run and kills it and each of its resumes after the next of the given moments, then lets the last resume finish.
    pub fn run_with_kills(&self, id: &str, moments: impl IntoIterator<Item = Duration>) -> io::Result<Killed> {
        let mut killed = Killed::default();
        let mut child = self.start(id)?;
        for moment in moments {
            std::thread::sleep(moment);
            if child.try_wait()?.is_some() {
                break;
            }
            child.kill()?;
            child.wait()?;
            killed.kills += 1;
            let before = self.events(id);
            child = if before.is_empty() {
                // It was killed before its first record: there is no run yet, or one that has not begun.
                std::fs::remove_dir_all(self.place.join("state/runs").join(id))
                    .or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
                self.start(id)?
            } else {
                self.engine().args(["resume", id, "--progress", "quiet"]).stderr(Stdio::null()).spawn()?
            };
        }
        killed.succeeded = child.wait()?.success();
        killed.repeated = repeated(&self.events(id));
        Ok(killed)
    }
}

/// Steps of these events, in their order.
pub fn steps_of(events: &[Value], event: &str) -> Vec<String> {
    events.iter().filter(|e| e["event"] == event).filter_map(|e| e["step"].as_str().map(str::to_owned)).collect()
}

/// Steps whose start follows their success without a reset between the two.
fn repeated(events: &[Value]) -> Vec<String> {
    let mut done = BTreeSet::new();
    let mut repeated = Vec::new();
    for event in events {
        let (Some(name), Some(step)) = (event["event"].as_str(), event["step"].as_str()) else {
            continue;
        };
        match name {
            "step-succeeded" => drop(done.insert(step.to_owned())),
            "step-started" if done.contains(step) => repeated.push(step.to_owned()),
            _ => {}
        }
    }
    repeated
}

/// Moments that look random and are the same in every test run: between `from` and `to` milliseconds.
pub fn moments(count: usize, from: u64, to: u64, seed: u64) -> Vec<Duration> {
    let mut state = seed | 1;
    let mut next = move || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..count).map(|_| Duration::from_millis(from + next() % (to - from))).collect()
}
