//! A lab's own network, in which each cluster is a region with all the addresses it wants, and can be cut off.
//!
//! ```text
//!  world: who uses the clusters, DNS      region N: API server, etcd, controllers,     a Pod
//!         10.0.0.0/16 is local               agent; 10.N.0.0/23 and Services are local
//!                       [region-N] -------- [world]                     [podM] -------- [eth0]  10.N.2.M
//! ```
//!
//! Each box is a network namespace, each line a pair of virtual interfaces. A region's traffic with others goes through the world,
//! Pods' own addresses included, as between networks of one cloud; addresses of Services do not leave their region. Cutting a region
//! off means that packets are dropped without a word on both sides of its line: connections time out, and inside all goes on.
//!
//! A namespace lives as long as a process is in it, so each has one that does nothing. It is ended like any other process of the lab,
//! last of all, and nothing of the network is left then.

use std::fs::{self, File};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::Lab;
use super::address::{Block, speaks_from};
use super::error::LabError;
use super::process::Process;

/// Where a process of a lab with a network of its own runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place {
    /// Outside of all regions.
    World,
    /// In the region of the cluster with this index.
    Region(usize),
}

/// How the processes end that hold the namespaces.
pub(super) const HOLDER: &str = "-network";

/// How long the kernel may take for a namespace.
const LIMIT: Duration = Duration::from_secs(10);

/// Each namespace decides first by its own rules, and then about its own addresses: only so can what is for itself be dropped.
const PREPARE: &str = "ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
ip rule add pref 100 lookup local
ip rule del pref 0
";

/// Variables that would send programs to a proxy, which cannot be reached from here.
const PROXIES: [&str; 6] = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

impl Lab {
    /// Makes the network of a lab that is to have one.
    pub(super) fn make_network(&self) -> Result<(), LabError> {
        self.hold(Place::World)?;
        self.carry_out(Place::World, &format!("{PREPARE}ip route add local 10.0.0.0/16 dev lo\n"))?;
        for index in 0..self.clusters.len() {
            let holder = self.hold(Place::Region(index))?;
            self.carry_out(Place::World, &line_of(index, holder.id))?;
            self.carry_out(Place::Region(index), &region(index))?;
        }
        Ok(())
    }

    /// Starts the process that keeps a namespace, and waits until it is in it.
    fn hold(&self, place: Place) -> Result<Process, LabError> {
        let name = self.holder_name(place);
        let mut command = Command::new("unshare");
        command.args(["--net", "sleep", "infinity"]);
        let holder = self.start_outside(&name, &mut command, &self.dir)?;
        let ours =
            fs::read_link("/proc/thread-self/ns/net").map_err(LabError::file("look at this thread's network"))?;
        let deadline = Instant::now() + LIMIT;
        while fs::read_link(namespace(&holder)).is_ok_and(|theirs| theirs == ours) && Instant::now() < deadline {
            thread::yield_now();
        }
        if holder.is_running() { Ok(holder) } else { Err(holder.ended()) }
    }

    fn holder_name(&self, place: Place) -> String {
        match place {
            Place::World => format!("world{HOLDER}"),
            Place::Region(index) => format!("{}{HOLDER}", self.clusters[index].name),
        }
    }

    fn holder(&self, place: Place) -> Result<Process, LabError> {
        let name = self.holder_name(place);
        let found = self.lock().iter().find(|process| process.name == name).cloned();
        found.filter(Process::is_running).ok_or_else(|| LabError::NoNetwork { dir: self.dir.clone() })
    }

    /// Carries commands out in a namespace, up to the first that fails.
    fn carry_out(&self, place: Place, script: &str) -> Result<(), LabError> {
        let mut shell = Command::new("sh");
        shell.args(["-ec", script]);
        let Output { status, stderr, .. } = inside(&self.holder(place)?, &shell)
            .stdin(Stdio::null())
            .output()
            .map_err(LabError::file("run nsenter"))?;
        if status.success() {
            return Ok(());
        }
        Err(LabError::Network { place: self.holder_name(place), said: String::from_utf8_lossy(&stderr).trim().into() })
    }

    /// Cuts a region off: nothing gets in or out, and nobody is told. Inside of it all goes on.
    pub fn cut(&self, index: usize) -> Result<(), LabError> {
        let [out, inward] = drops(index);
        self.carry_out(Place::World, &format!("ip rule add {out}\n"))?;
        self.carry_out(Place::Region(index), &format!("ip rule add {inward}\n"))
    }

    /// Connects a region again that was cut off.
    pub fn mend(&self, index: usize) -> Result<(), LabError> {
        let [out, inward] = drops(index);
        self.carry_out(Place::World, &format!("ip rule del {out}\n"))?;
        self.carry_out(Place::Region(index), &format!("ip rule del {inward}\n"))
    }

    /// Moves the calling thread into the lab's network, outside of the regions; threads that it starts from now on are there too. Does
    /// nothing in a lab on loopback addresses. A name is still asked of this machine's own resolver: [`Lab::command`] is for that.
    pub fn enter(&self) -> Result<(), LabError> {
        if self.block() == Block::Network { enter(&self.holder(Place::World)?) } else { Ok(()) }
    }

    /// A program that runs outside of the regions and asks the lab's DNS server for names: what a person's own machine is to clusters.
    /// In a lab on loopback addresses it runs here.
    pub fn command(&self, program: &Path) -> Result<Command, LabError> {
        self.place(Place::World, Command::new(program))
    }

    /// A command as it runs at a place, with the resolver of the place.
    pub(super) fn place(&self, place: Place, command: Command) -> Result<Command, LabError> {
        if self.block() != Block::Network {
            return Ok(command);
        }
        let mut resolving = Command::new("unshare");
        // Everything here ends in `exec`: the process that is started is the program in the end.
        resolving
            .args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\""])
            .arg(self.resolver_file(place))
            .arg(command.get_program())
            .args(command.get_args());
        let mut placed = inside(&self.holder(place)?, &resolving);
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => placed.env(name, value),
                None => placed.env_remove(name),
            };
        }
        Ok(placed)
    }

    /// What programs at a place find as `/etc/resolv.conf`.
    pub(super) fn resolver_file(&self, place: Place) -> PathBuf {
        match place {
            Place::World => self.dir.join("dns").join("resolv.conf"),
            Place::Region(index) => self.dir.join(&self.clusters[index].name).join("resolv.conf"),
        }
    }

    /// Asks something from outside of the regions.
    pub(super) fn outside<T: Send>(&self, ask: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        if self.block() != Block::Network {
            return Ok(ask());
        }
        let world = self.holder(Place::World)?;
        // A thread of its own, since no thread finds its way back.
        thread::scope(|scope| {
            let asked = scope.spawn(|| enter(&world).map(|()| ask()));
            asked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

fn enter(holder: &Process) -> Result<(), LabError> {
    let move_in = || -> std::io::Result<()> {
        let namespace = File::open(namespace(holder))?;
        Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
    };
    move_in().map_err(LabError::file("enter the lab's network"))
}

fn namespace(holder: &Process) -> PathBuf {
    format!("/proc/{}/ns/net", holder.id).into()
}

/// A command, with its directory left out, in the namespace of a process.
fn inside(holder: &Process, command: &Command) -> Command {
    let mut entered = Command::new("nsenter");
    entered.arg(format!("--net={}", namespace(holder).display())).arg(command.get_program()).args(command.get_args());
    for name in PROXIES {
        entered.env_remove(name);
    }
    entered
}

/// Makes the line between the world and a region, and says in the world what lies at its other end.
fn line_of(index: usize, region: u32) -> String {
    let (line, end, number) = (line(index), speaks_from(index), index + 1);
    format!(
        "ip link add {line} type veth peer name world netns {region}
ip address add 10.0.0.1/32 dev {line}
ip link set {line} up
ip route add {end} dev {line}
ip route add 10.{number}.0.0/16 via {end} src 10.0.0.1
ip route add blackhole 10.{number}.128.0/17
"
    )
}

fn region(index: usize) -> String {
    let (end, number) = (speaks_from(index), index + 1);
    format!(
        "{PREPARE}ip address add {end}/32 dev world
ip link set world up
ip route add 10.0.0.1 dev world
ip route add default via 10.0.0.1 src {end}
ip route add local 10.{number}.0.0/23 dev lo
ip route add local 10.{number}.128.0/17 dev lo
"
    )
}

/// The name of a line in the world; an interface has at most 15 letters, and a cluster may have more.
fn line(index: usize) -> String {
    format!("region-{}", index + 1)
}

/// The rules that drop what comes out of a region, in the world, and what comes into it, there.
fn drops(index: usize) -> [String; 2] {
    [line(index), "world".to_owned()].map(|interface| format!("pref 10 iif {interface} blackhole"))
}
