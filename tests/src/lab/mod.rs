//! A lab: several real Kubernetes control planes and one real authoritative DNS server, as plain processes on loopback addresses,
//! without a container engine. `tests/lab/README.md` says what is real in it, how long it takes and what it does not do.
//!
//! In reading order:
//!
//! - [`settings`]: what comes from the environment; read here and nowhere else.
//! - [`programs`]: which programs a lab runs, and what to do when one is missing. [`modules`] lists those that are built from Go
//!   modules, and [`build`] builds them.
//! - [`record`]: what a lab is, as data: clusters, DNS server, processes. It is stored as `lab.json` beside them.
//! - [`up`]: the order in which a lab comes up. It uses [`address`] (where all listen), [`certificates`], [`kubeconfig`],
//!   [`control_plane`] (etcd, API servers, controllers, agents), [`dns`] and [`request`] (are they ready?).
//! - [`zheng`]: what comes up besides for `lab up --zheng`, in a [`network`] of its own, whose regions can be cut off.
//! - [`process`]: start one, see whether it still is the one that was started, end it.
//! - [`down`]: how a lab ends, and how one API server is taken away and brought back.
//! - [`shared`]: one lab for all tests of a binary.

pub mod address;
pub mod build;
pub mod certificates;
pub mod control_plane;
pub mod dns;
pub mod down;
pub mod error;
pub mod kubeconfig;
pub mod modules;
pub mod network;
pub mod open_kinds;
pub mod process;
pub mod programs;
pub mod record;
pub mod request;
pub mod settings;
pub mod shared;
pub mod up;
pub mod zheng;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::Mutex;

pub use error::LabError;
pub use programs::{Missing, Programs};
pub use record::{Cluster, Dns};
pub use settings::Settings;
pub use zheng::ZHENG_REGIONS;

use process::Process;
use record::Record;

/// The names of the clusters of an ordinary lab, which are the names of the contexts in its kubeconfig too.
pub const REGIONS: [&str; 3] = ["region-a", "region-b", "region-c"];

/// A lab that is up, or was when it was opened.
#[derive(Debug)]
pub struct Lab {
    dir: PathBuf,
    clusters: Vec<Cluster>,
    dns: Dns,
    /// In the order in which they were started. Behind a lock because one lab serves all tests of a binary.
    processes: Mutex<Vec<Process>>,
    life: Life,
}

/// Who ends a lab.
#[derive(Debug)]
enum Life {
    /// Dropping it does.
    Owned,
    /// Whoever calls [`Lab::down`].
    Free,
    /// A second process, as soon as this pipe closes: so it is ended however this process ends.
    Guarded { _pipe: ChildStdin },
}

impl Lab {
    /// Says whether a lab can come up here, and if not, what to do about it.
    pub fn available() -> Result<(), Missing> {
        Programs::find(&Settings::from_environment()).map(drop)
    }

    /// Brings a lab up in a directory that is empty, absent, or that of a lab that has ended. It ends when the value is dropped.
    pub fn up(dir: &Path, clusters: &[&str]) -> Result<Lab, LabError> {
        let programs = Programs::find(&Settings::from_environment())?;
        up::up(dir, clusters, &programs)
    }

    /// Says whether a lab of `lab up --zheng` can come up here, and if not, what to do about it.
    pub fn zheng_available() -> Result<(), Missing> {
        Programs::find_zheng(&Settings::from_environment()).map(drop)
    }

    /// Brings a lab up in a network of its own, with all that kcp-zheng needs of its clusters.
    pub fn up_zheng(dir: &Path) -> Result<Lab, LabError> {
        let programs = Programs::find_zheng(&Settings::from_environment())?;
        up::up(dir, &ZHENG_REGIONS, &programs)
    }

    /// Finds the lab of a directory, whoever brought it up. Dropping the value does not end it.
    pub fn open(dir: &Path) -> Result<Lab, LabError> {
        let record = Record::read(dir)?;
        let dir = fs::canonicalize(dir).map_err(LabError::file(format!("find {}", dir.display())))?;
        let Record { clusters, dns, processes } = record;
        Ok(Lab { dir, clusters, dns, processes: Mutex::new(processes), life: Life::Free })
    }

    /// Lets the lab go on after this value, and this process.
    pub fn leave_up(mut self) {
        self.life = Life::Free;
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The kubeconfig with one context for each cluster.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join(kubeconfig::ALL)
    }

    pub fn clusters(&self) -> &[Cluster] {
        &self.clusters
    }

    /// The cluster of an index, in the order of the names given to [`Lab::up`]. Panics if there is none, like an index.
    pub fn cluster(&self, index: usize) -> &Cluster {
        &self.clusters[index]
    }

    pub fn dns(&self) -> &Dns {
        &self.dns
    }

    /// The processes as they are known now, without those that were ended on purpose.
    pub fn processes(&self) -> Vec<Process> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Process>> {
        self.processes.lock().expect("nothing that holds the lock panics")
    }

    /// Writes what is known to `lab.json`, so that another process can end the lab at any time.
    fn save(&self, processes: &[Process]) -> Result<(), LabError> {
        Record { clusters: self.clusters.clone(), dns: self.dns.clone(), processes: processes.to_vec() }
            .write(&self.dir)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if matches!(self.life, Life::Owned) {
            // There is nobody to tell: what could not be ended is still in `lab.json`.
            let _ = self.down();
        }
    }
}
