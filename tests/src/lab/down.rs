//! How a lab ends, and how one API server of it is taken away and brought back while the rest goes on.

use std::time::Duration;

use super::error::LabError;
use super::network::HOLDER;
use super::process::{self, Process};
use super::programs::Programs;
use super::settings::Settings;
use super::up::apiserver_name;
use super::{Cluster, Lab};

/// What a process gets to end by itself. Agents use most of it for their Pods.
const GRACE: Duration = Duration::from_secs(8);

/// Which processes end together.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Stage {
    /// First, since they end the processes of their Pods.
    Agents,
    Servers,
    /// Late, since API servers hang on it.
    Etcd,
    /// Last, since all others are in it.
    Network,
}

impl Stage {
    fn of(process: &Process) -> Stage {
        match process.name.as_str() {
            "etcd" => Stage::Etcd,
            name if name.ends_with("-etcd") => Stage::Etcd,
            name if name.ends_with(HOLDER) => Stage::Network,
            name if name.ends_with("-agent") => Stage::Agents,
            _ => Stage::Servers,
        }
    }
}

impl Lab {
    /// Ends all processes. May be called again. Logs, data and `lab.json` stay in the directory.
    pub fn down(&self) -> Result<(), LabError> {
        let mut processes = self.lock();
        for stage in [Stage::Agents, Stage::Servers, Stage::Etcd, Stage::Network] {
            let (ending, staying) = processes.drain(..).partition::<Vec<_>, _>(|process| Stage::of(process) == stage);
            let ended = process::end(&ending, GRACE);
            *processes = staying;
            if ended.is_err() {
                processes.extend(ending);
                return self.save(&processes).and(ended);
            }
        }
        self.save(&processes)
    }

    /// Ends the API server of a cluster: connections are refused until [`Lab::start_apiserver`].
    pub fn stop_apiserver(&self, index: usize) -> Result<(), LabError> {
        let process = self.apiserver(index)?;
        process::end(std::slice::from_ref(&process), GRACE)?;
        let mut processes = self.lock();
        processes.retain(|other| other.id != process.id);
        self.save(&processes)
    }

    /// Starts the API server of a cluster again, and waits until it is ready.
    pub fn start_apiserver(&self, index: usize) -> Result<(), LabError> {
        let programs = Programs::find(&Settings::from_environment())?;
        self.spawn_apiserver(&programs, index)?;
        self.await_apiserver(index)
    }

    /// Makes the API server of a cluster hang: connections are accepted by the kernel, and nobody answers. For 30 seconds or more this
    /// is what a network that swallows packets looks like to a client.
    pub fn freeze_apiserver(&self, index: usize) -> Result<(), LabError> {
        self.apiserver(index)?.freeze()
    }

    /// Lets a frozen API server go on.
    pub fn thaw_apiserver(&self, index: usize) -> Result<(), LabError> {
        self.apiserver(index)?.thaw()?;
        self.await_apiserver(index)
    }

    fn apiserver(&self, index: usize) -> Result<Process, LabError> {
        let cluster: &Cluster = &self.clusters[index];
        let name = apiserver_name(cluster);
        let no_process = || LabError::NoProcess { what: cluster.name.clone(), process: name.clone() };
        self.lock().iter().find(|process| process.name == name).cloned().ok_or_else(no_process)
    }
}
