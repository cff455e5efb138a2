//! The order in which a lab comes up. Whatever fails on the way, what has been started is ended again, because the lab that is being
//! made is a [`Lab`] from the first moment and ends when it is dropped.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use super::address::{Block, CLUSTERS_MAX};
use super::certificates::{Certificates, Client};
use super::control_plane::{self, Home};
use super::error::LabError;
use super::kubeconfig::{self, Entry};
use super::network::Place;
use super::process::Process;
use super::programs::Programs;
use super::record::{Cluster, FILE, Record};
use super::request::{self, Admin};
use super::{Lab, Life, dns};

/// How long each part may take to be ready, on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often something that is not ready is asked again.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn up(dir: &Path, names: &[&str], programs: &Programs) -> Result<Lab, LabError> {
    check_names(names)?;
    let dir = empty(dir)?;
    let claim = if programs.zheng.is_some() { Block::network() } else { Block::claim(names.len())? };
    let block = claim.block;
    let mut lab = Lab {
        clusters: names.iter().enumerate().map(|(index, name)| cluster(block, index, name, &dir)).collect(),
        dns: dns::new(block.dns(), if programs.zheng.is_some() { dns::ZHENG } else { dns::TRUST }),
        dir,
        processes: Mutex::new(Vec::new()),
        life: Life::Owned,
    };
    if block == Block::Network {
        lab.make_network()?;
        dns::write_resolvers(&lab)?;
    }
    for index in 0..block.etcds(names.len()) {
        let etcd = control_plane::etcd(programs, block, index, &lab.dir);
        lab.start(Place::Region(index), &etcd_name(&lab, index), etcd, &lab.dir)?;
    }
    let (server, home) = dns::prepare(programs, &lab.dns, &lab.dir)?;
    lab.start(Place::World, "dns", server, &home)?;
    for cluster in &lab.clusters {
        write_access(&lab.dir, cluster)?;
    }
    write_kubeconfig(&lab)?;
    for index in 0..block.etcds(names.len()) {
        lab.until("etcd", || request::get(block.etcd(index), "/health").map(drop))?;
    }
    for index in 0..names.len() {
        lab.spawn_apiserver(programs, index)?;
    }
    for (index, cluster) in lab.clusters.iter().enumerate() {
        lab.await_apiserver(index)?;
        let (name, here) = (&cluster.name, Place::Region(index));
        let controllers = control_plane::controller_manager(programs, block, index, cluster, &lab.dir);
        lab.start(here, &format!("{name}-controller-manager"), controllers, &lab.dir)?;
        let agent = control_plane::agent(programs, block, index, cluster, &lab.dir);
        lab.start(here, &format!("{name}-agent"), agent, &lab.dir)?;
    }
    if let Some(more) = &programs.zheng {
        lab.start_zheng(more)?;
    }
    for index in 0..names.len() {
        lab.clusters[index].kube_system_uid = lab.identity(index)?;
        lab.await_controllers(index)?;
        lab.await_node(index)?;
    }
    let server = lab.dns.clone();
    lab.until("the DNS server", || dns::answers(&server))?;
    // Everything listens: from now on the ports themselves say that the addresses are taken.
    drop(claim);
    lab.save(&lab.lock())?;
    Ok(lab)
}

fn cluster(block: Block, index: usize, name: &str, dir: &Path) -> Cluster {
    Cluster {
        name: name.to_owned(),
        apiserver: block.apiserver(index),
        load_balancers: block.load_balancers(index),
        kubeconfig: kubeconfig::of_cluster(dir, name),
        kube_system_uid: String::new(),
    }
}

fn check_names(names: &[&str]) -> Result<(), LabError> {
    let mut seen = BTreeSet::new();
    for name in names {
        let letters = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        // The directories of the clusters lie beside those of etcd, the DNS server and the logs; the world is outside of them.
        let taken = ["etcd", "dns", "log", "world"].contains(name) || !seen.insert(name);
        if name.is_empty() || name.len() > 40 || name.starts_with('-') || !letters || taken || seen.len() > CLUSTERS_MAX
        {
            return Err(LabError::ClusterName { name: (*name).to_owned() });
        }
    }
    Ok(())
}

/// Makes the directory ready: absent and empty are fine, and that of a lab that has ended is cleared of what the lab left.
fn empty(dir: &Path) -> Result<PathBuf, LabError> {
    let make = || -> io::Result<(PathBuf, bool)> {
        fs::create_dir_all(dir)?;
        Ok((fs::canonicalize(dir)?, fs::read_dir(dir)?.next().is_none()))
    };
    let (dir, is_empty) = make().map_err(LabError::file(format!("make {}", dir.display())))?;
    if !is_empty {
        if !dir.join(FILE).exists() {
            return Err(LabError::NotEmpty { dir });
        }
        if Record::read(&dir)?.processes.iter().any(Process::is_running) {
            return Err(LabError::AlreadyUp { dir });
        }
        fs::remove_dir_all(&dir).map_err(LabError::file(format!("clear {}", dir.display())))?;
    }
    fs::create_dir_all(dir.join("log")).map_err(LabError::file(format!("make {}", dir.display())))?;
    private(&dir).map_err(LabError::file(format!("close {} to others", dir.display())))?;
    Ok(dir)
}

/// Keys lie in the directory.
fn private(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

/// Certificates and kubeconfigs of one cluster.
fn write_access(lab: &Path, cluster: &Cluster) -> Result<(), LabError> {
    let home = Home::new(lab, &cluster.name);
    let certificates = Certificates::make(&home.pki(), &cluster.name, IpAddr::V4(*cluster.apiserver.ip()))?;
    let client = Client::ControllerManager;
    kubeconfig::write(&home.kubeconfig(client), &[Entry::new(cluster, &certificates, client)?])?;
    kubeconfig::write(&cluster.kubeconfig, &[Entry::new(cluster, &certificates, Client::Admin)?])
}

fn write_kubeconfig(lab: &Lab) -> Result<(), LabError> {
    let entry =
        |cluster: &Cluster| Entry::new(cluster, &Home::new(&lab.dir, &cluster.name).certificates(), Client::Admin);
    let entries = lab.clusters.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    kubeconfig::write(&lab.kubeconfig(), &entries)
}

impl Lab {
    /// Starts a process at a place, and writes down that it exists before anything else happens.
    pub(super) fn start(&self, place: Place, name: &str, command: Command, dir: &Path) -> Result<(), LabError> {
        self.start_outside(name, &mut self.place(place, command)?, dir).map(drop)
    }

    /// Starts a process in this machine's own network.
    pub(super) fn start_outside(&self, name: &str, command: &mut Command, dir: &Path) -> Result<Process, LabError> {
        let log = self.dir.join("log").join(format!("{name}.log"));
        let mut processes = self.lock();
        let process = Process::start(name, command, dir, &log)?;
        processes.push(process.clone());
        self.save(&processes)?;
        Ok(process)
    }

    pub(super) fn spawn_apiserver(&self, programs: &Programs, index: usize) -> Result<(), LabError> {
        let cluster = &self.clusters[index];
        let block = self.block();
        let etcd = block.etcd(if block.etcds(self.clusters.len()) == 1 { 0 } else { index });
        let command = control_plane::apiserver(programs, etcd, index, cluster, &self.dir);
        self.start(Place::Region(index), &apiserver_name(cluster), command, &self.dir)
    }

    pub(super) fn await_apiserver(&self, index: usize) -> Result<(), LabError> {
        let (name, admin) = (apiserver_name(&self.clusters[index]), self.admin(index)?);
        self.until(&name, || admin.get("/readyz").map(drop))
    }

    /// Waits until the agent has made its Node ready.
    fn await_node(&self, index: usize) -> Result<(), LabError> {
        let (cluster, admin) = (&self.clusters[index], self.admin(index)?);
        let path = format!("/api/v1/nodes/{}", cluster.node());
        self.until(&format!("the node of {}", cluster.name), || {
            let node = admin.object(&path)?;
            let conditions = node["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
            let ready = conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
            if ready { Ok(()) } else { Err("it is not ready".into()) }
        })
    }

    /// Waits until the controllers work, seen by what they make in every cluster. Before that they need the API server for their very
    /// start and give up without it, so a lab is not up either.
    fn await_controllers(&self, index: usize) -> Result<(), LabError> {
        let admin = self.admin(index)?;
        self.until(&format!("the controllers of {}", self.clusters[index].name), || {
            admin.get("/api/v1/namespaces/default/serviceaccounts/default").map(drop)
        })
    }

    /// What tells a cluster from every other: the UID of its namespace `kube-system`.
    fn identity(&self, index: usize) -> Result<String, LabError> {
        let admin = self.admin(index)?;
        self.until(&format!("kube-system of {}", self.clusters[index].name), || {
            let namespace = admin.object("/api/v1/namespaces/kube-system")?;
            namespace["metadata"]["uid"].as_str().map(str::to_owned).ok_or_else(|| "a namespace without a uid".into())
        })
    }

    pub(super) fn admin(&self, index: usize) -> Result<Admin, LabError> {
        let cluster = &self.clusters[index];
        Admin::new(cluster.apiserver, &Home::new(&self.dir, &cluster.name).certificates())
    }

    /// Asks until there is an answer, a process has ended by itself, or patience has.
    pub(super) fn until<T: Send>(
        &self,
        what: &str,
        ask: impl FnMut() -> Result<T, String> + Send,
    ) -> Result<T, LabError> {
        self.outside(|| self.until_here(what, ask))?
    }

    fn until_here<T>(&self, what: &str, mut ask: impl FnMut() -> Result<T, String>) -> Result<T, LabError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = match ask() {
                Ok(value) => return Ok(value),
                Err(answer) => answer,
            };
            if let Some(process) = self.lock().iter().find(|process| !process.is_running()) {
                return Err(process.ended());
            }
            if Instant::now() > deadline {
                return Err(LabError::Late { what: what.to_owned(), seconds: PATIENCE.as_secs(), answer });
            }
            thread::sleep(PAUSE);
        }
    }

    pub(super) fn block(&self) -> Block {
        Block::of(self.dns.address())
    }
}

/// One etcd that all share has no cluster's name.
fn etcd_name(lab: &Lab, index: usize) -> String {
    match lab.block() {
        Block::Loopback(_) => "etcd".to_owned(),
        Block::Network => format!("{}-etcd", lab.clusters[index].name),
    }
}

pub(super) fn apiserver_name(cluster: &Cluster) -> String {
    format!("{}-apiserver", cluster.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_clusters_are_checked() {
        assert!(check_names(&super::super::REGIONS).is_ok());
        for names in [&[""][..], &["Region"], &["a", "a"], &["etcd"], &["../a"], &["-a"]] {
            assert!(matches!(check_names(names), Err(LabError::ClusterName { .. })), "{names:?}");
        }
    }

    #[test]
    fn a_directory_with_other_files_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("thesis.txt");
        fs::write(&file, "years of work").unwrap();
        assert!(matches!(empty(dir.path()), Err(LabError::NotEmpty { .. })));
        assert!(file.exists());
    }
}
