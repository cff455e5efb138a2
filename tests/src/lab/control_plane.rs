//! The arguments of etcd and of each process of a control plane. They are made from the lab's record alone, so that one process can be
//! started again later by whoever opens the lab.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::address::{self, Block};
use super::certificates::{Certificates, Client};
use super::programs::Programs;
use super::record::Cluster;

/// What the controller manager does here. The rest of its controllers need machines, clouds or volumes.
const CONTROLLERS: [&str; 14] = [
    "deployment",
    "replicaset",
    "statefulset",
    "daemonset",
    "job",
    "ttl-after-finished",
    "endpointslice",
    "garbage-collector",
    "namespace",
    "serviceaccount",
    "persistentvolumeclaim-protection",
    "root-ca-certificate-publisher",
    "pod-garbage-collector",
    "disruption",
];

/// The directory of one cluster and what is in it.
pub struct Home(PathBuf);

impl Home {
    pub fn new(lab: &Path, cluster: &str) -> Home {
        Home(lab.join(cluster))
    }

    pub fn pki(&self) -> PathBuf {
        self.0.join("pki")
    }

    pub fn certificates(&self) -> Certificates {
        Certificates::of(&self.pki())
    }

    /// The kubeconfig of a client that is not a person.
    pub fn kubeconfig(&self, client: Client) -> PathBuf {
        self.0.join(format!("{}.kubeconfig", client.file()))
    }

    /// Files and logs of the Pods that really run.
    pub fn pods(&self) -> PathBuf {
        self.0.join("pods")
    }
}

/// The etcd of a cluster, or of all: each has its own prefix in it.
pub fn etcd(programs: &Programs, block: Block, index: usize, lab: &Path) -> Command {
    let (client, peer) = (format!("http://{}", block.etcd(index)), format!("http://{}", block.etcd_peer(index)));
    let mut command = programs.etcd();
    command.args([
        "--name=lab".to_owned(),
        flag("data-dir", lab.join("etcd").join(index.to_string())),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=lab={peer}"),
        // It elects itself at once, and a lab is not kept over a power cut.
        "--heartbeat-interval=20".to_owned(),
        "--election-timeout=200".to_owned(),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]);
    command
}

pub fn apiserver(programs: &Programs, etcd: SocketAddrV4, index: usize, cluster: &Cluster, lab: &Path) -> Command {
    let certificates = Home::new(lab, &cluster.name).certificates();
    let address = cluster.apiserver.ip();
    let mut command = programs.apiserver();
    command.args([
        format!("--etcd-servers=http://{etcd}"),
        format!("--etcd-prefix=/{}", cluster.name),
        format!("--bind-address={address}"),
        format!("--advertise-address={address}"),
        format!("--secure-port={}", cluster.apiserver.port()),
        // A loopback address may not be an endpoint, so `kubernetes.default` has none here.
        "--endpoint-reconciler-type=none".to_owned(),
        flag("tls-cert-file", certificates.certificate("apiserver")),
        flag("tls-private-key-file", certificates.key("apiserver")),
        flag("client-ca-file", certificates.authority()),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        flag("service-account-key-file", certificates.token_key_public()),
        flag("service-account-signing-key-file", certificates.token_key()),
        format!("--service-cluster-ip-range={}", Block::of(*etcd.ip()).services(index)),
        "--allow-privileged=true".to_owned(),
        "--profiling=false".to_owned(),
    ]);
    command
}

pub fn controller_manager(programs: &Programs, block: Block, index: usize, cluster: &Cluster, lab: &Path) -> Command {
    let home = Home::new(lab, &cluster.name);
    let (certificates, config) = (home.certificates(), home.kubeconfig(Client::ControllerManager));
    let at = block.controllers(index);
    let controllers: Vec<String> = CONTROLLERS.iter().map(|name| format!("{name}-controller")).collect();
    let mut command = programs.controller_manager();
    command.args([
        flag("kubeconfig", &config),
        flag("authentication-kubeconfig", &config),
        flag("authorization-kubeconfig", &config),
        format!("--controllers={}", controllers.join(",")),
        "--leader-elect=false".to_owned(),
        // Without this nothing is created: the manager's own user may do very little.
        "--use-service-account-credentials=true".to_owned(),
        format!("--bind-address={}", at.ip()),
        format!("--secure-port={}", at.port()),
        flag("cert-dir", home.pki().join("controller-manager")),
        flag("root-ca-file", certificates.authority()),
        flag("service-account-private-key-file", certificates.token_key()),
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
        "--profiling=false".to_owned(),
    ]);
    command
}

pub fn agent(programs: &Programs, block: Block, index: usize, cluster: &Cluster, lab: &Path) -> Command {
    let mut command = programs.agent();
    command.args([
        flag("kubeconfig", &cluster.kubeconfig),
        format!("--node={}", cluster.node()),
        flag("dir", Home::new(lab, &cluster.name).pods()),
        format!("--pod-net={}", block.pods(index)),
        format!("--load-balancer-net={}", cluster.load_balancers),
    ]);
    if block == Block::Network {
        command.args([
            format!("--own-network={}", address::speaks_from(index)),
            format!("--resolver={}", address::resolver(index)),
            format!("--upstream={}", block.dns()),
        ]);
    }
    command
}

fn flag(name: &str, file: impl AsRef<Path>) -> String {
    format!("--{name}={}", file.as_ref().display())
}
