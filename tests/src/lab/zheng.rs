//! What a lab of `lab up --zheng` has besides control planes: the kinds of cert-manager, etcd-druid and kcp-operator, the controllers
//! that act on them, and a storage class. `tests/lab/README.md` says how a controller is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::Lab;
use super::address::Block;
use super::error::LabError;
use super::network::Place;
use super::open_kinds;
use super::programs::Zheng;
use super::record::Cluster;
use super::request::Admin;

/// The clusters of such a lab: one for kcp's front-proxy and root shard, one for each other shard.
pub const ZHENG_REGIONS: [&str; 3] = ["root", "alpha", "beta"];

/// A program that acts on objects of one API server.
#[derive(Debug)]
pub struct Controller {
    /// In `LAB_PROGRAMS`, among the processes of a lab after the name of its cluster, and among the definitions.
    pub name: &'static str,
    clusters: Clusters,
    /// Further arguments and variables, for the address of its control plane.
    arguments: fn(&Cluster) -> Vec<String>,
}

#[derive(Debug, Eq, PartialEq)]
enum Clusters {
    All,
    /// The one from which the others are fitted out.
    First,
}

/// Whose kinds are defined, and who acts on them, in the order in which they are started.
pub static CONTROLLERS: [Controller; 3] = [
    Controller { name: "cert-manager", clusters: Clusters::All, arguments: with_kubeconfig },
    // The real one has no flag for it and reads the variable KUBECONFIG, which all controllers get.
    Controller { name: "etcd-druid", clusters: Clusters::All, arguments: |_| Vec::new() },
    Controller { name: "kcp-operator", clusters: Clusters::First, arguments: operator },
];

fn with_kubeconfig(cluster: &Cluster) -> Vec<String> {
    vec![format!("--kubeconfig={}", cluster.kubeconfig.display())]
}

fn operator(cluster: &Cluster) -> Vec<String> {
    let mut arguments = with_kubeconfig(cluster);
    arguments.push("--metrics-bind-address=0".to_owned());
    arguments.push(format!("--health-probe-bind-address={}:8081", cluster.apiserver.ip()));
    arguments
}

impl Controller {
    fn acts_in(&self, index: usize) -> bool {
        self.clusters == Clusters::All || index == 0
    }
}

impl Lab {
    /// Brings up what is missing on control planes that answer.
    pub(super) fn start_zheng(&self, programs: &Zheng) -> Result<(), LabError> {
        for index in 0..self.clusters.len() {
            self.make_objects(index, programs)?;
        }
        for (index, cluster) in self.clusters.iter().enumerate() {
            self.await_kinds(index)?;
            for controller in CONTROLLERS.iter().filter(|controller| controller.acts_in(index)) {
                if let Some(program) = programs.controller(controller.name) {
                    let mut command = Command::new(program);
                    command.env("KUBECONFIG", &cluster.kubeconfig).args((controller.arguments)(cluster));
                    let name = format!("{}-{}", cluster.name, controller.name);
                    self.start(Place::Region(index), &name, command, &self.dir)?;
                }
            }
        }
        Ok(())
    }

    /// The controllers that nobody has brought, so that their objects stay as they are.
    pub fn controllers_missing(&self) -> Vec<&'static str> {
        if self.block() != Block::Network {
            return Vec::new();
        }
        let running = self.processes();
        let is_there = |name: &str| running.iter().any(|process| process.name.ends_with(&format!("-{name}")));
        CONTROLLERS.iter().map(|controller| controller.name).filter(|name| !is_there(name)).collect()
    }

    fn make_objects(&self, index: usize, programs: &Zheng) -> Result<(), LabError> {
        let admin = self.admin(index)?;
        let failed = |file: &Path, said: String| LabError::Definition {
            cluster: self.clusters[index].name.clone(),
            file: file.to_owned(),
            said,
        };
        for (path, object) in objects() {
            let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            self.outside(|| admin.create(path, "application/json", object.to_string().as_bytes()))?
                .map_err(|said| failed(Path::new(&name), said))?;
        }
        for controller in CONTROLLERS.iter().filter(|controller| controller.acts_in(index)) {
            for (file, text) in definitions(programs, controller.name)? {
                self.outside(|| admin.create(KINDS, "application/yaml", &text))?.map_err(|said| failed(&file, said))?;
            }
        }
        Ok(())
    }

    /// Waits until the API server serves every kind that was defined: a controller that comes before its kinds may end at once.
    fn await_kinds(&self, index: usize) -> Result<(), LabError> {
        let admin: Admin = self.admin(index)?;
        self.until(&format!("the kinds of {}", self.clusters[index].name), || {
            let all = admin.object(KINDS)?;
            let waits = all["items"].as_array().into_iter().flatten().find(|kind| !is_established(kind));
            waits.map_or(Ok(()), |kind| Err(format!("{} is not served", kind["metadata"]["name"])))
        })
    }
}

const KINDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn is_established(kind: &Value) -> bool {
    let conditions = kind["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}

/// What every cluster of a cloud has, or what its administrator made: where they are created, and what they are.
fn objects() -> [(&'static str, Value); 2] {
    let class = json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": "standard",
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" }
        },
        "provisioner": "engine.test/lab",
    });
    // Where cert-manager looks for the Secrets of ClusterIssuers.
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "cert-manager" } });
    [("/apis/storage.k8s.io/v1/storageclasses", class), ("/api/v1/namespaces", namespace)]
}

/// The definitions of a controller's kinds, one in each file, with the file that an error names.
fn definitions(programs: &Zheng, controller: &str) -> Result<Vec<(PathBuf, Vec<u8>)>, LabError> {
    let Some(directory) = programs.definitions(controller) else {
        let open = if controller == "kcp-operator" { open_kinds::kcp_operator() } else { Vec::new() };
        return Ok(open.into_iter().map(|(name, object)| (name.into(), object.to_string().into_bytes())).collect());
    };
    let read = |file: PathBuf| match fs::read(&file) {
        Ok(text) => Ok((file, text)),
        Err(error) => Err(LabError::file(format!("read {}", file.display()))(error)),
    };
    files(&directory)?.into_iter().map(read).collect()
}

fn files(dir: &Path) -> Result<Vec<PathBuf>, LabError> {
    let list = || -> std::io::Result<Vec<PathBuf>> {
        let files = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        Ok(files.into_iter().filter(|file| file.extension().is_some_and(|ending| ending == "yaml")).collect())
    };
    let mut files = list().map_err(LabError::file(format!("read {}", dir.display())))?;
    files.sort();
    Ok(files)
}
