//! Which programs a lab runs and where they are: built by [`super::build`], installed on the machine, or a person's own, which go
//! before both. Whoever has a real program of one of the names puts it into `LAB_PROGRAMS`, and the same lab runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::build;
use super::modules::{KUBE, Module, module_of};
use super::settings::Settings;
use crate::program::beside;

/// All programs of a lab, found.
#[derive(Clone, Debug)]
pub struct Programs {
    kube: PathBuf,
    own: Option<PathBuf>,
    knotd: PathBuf,
    /// What only a lab of `lab up --zheng` runs.
    pub(super) zheng: Option<Zheng>,
    /// How a process gets the right to make namespaces: nothing for root, else `unshare` with a user namespace.
    privilege: Vec<&'static str>,
}

/// The further programs of a lab of `lab up --zheng`.
#[derive(Clone, Debug)]
pub struct Zheng {
    certmanager: PathBuf,
    kcp: PathBuf,
    front_proxy: PathBuf,
    pub helm: PathBuf,
    /// Where the definitions lie that were copied when the programs were built.
    definitions: PathBuf,
    own: Option<PathBuf>,
}

/// Why no lab can come up, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    #[error("the lab needs Linux: it uses namespaces and the whole of 127.0.0.0/8")]
    Linux,
    #[error("the lab's {} is not built ({}): run `{}` ({}; needs Go)", .0.name, .0.holds, .0.command, .0.takes)]
    NotBuilt(&'static Module),
    #[error("the lab's {} was built from other sources than these: run `{}`", .0.name, .0.command)]
    Outdated(&'static Module),
    #[error("the DNS server knot is not installed: `apt-get install knot`, or put `knotd` into LAB_PROGRAMS")]
    Knot,
    #[error(
        "this user may not make namespaces, which Pods run in: be root, or allow user namespaces \
         (`sysctl kernel.unprivileged_userns_clone=1`, or on Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`)"
    )]
    Namespaces,
    #[error("the lab of kcp-zheng has a network of its own, which only root can make: be root")]
    Root,
    #[error("the program `ip` is not installed, with which the lab makes its network: `apt-get install iproute2`")]
    Ip,
    #[error("no network of the lab's own can be made here, although this is root: {said}")]
    Network { said: String },
}

impl Programs {
    pub fn find(settings: &Settings) -> Result<Programs, Missing> {
        if !cfg!(target_os = "linux") {
            return Err(Missing::Linux);
        }
        let own = settings.own_programs.clone();
        let kube = match own_program(own.as_deref(), "kube") {
            Some(kube) => kube,
            None => build::built(&settings.programs(), &KUBE, "kube")?,
        };
        let knotd = own_program(own.as_deref(), "knotd")
            .or_else(|| settings.path.iter().map(|dir| dir.join("knotd")).find(|file| file.is_file()))
            .ok_or(Missing::Knot)?;
        Ok(Programs { kube, own, knotd, zheng: None, privilege: privilege()? })
    }

    /// Those of `lab up --zheng`.
    pub fn find_zheng(settings: &Settings) -> Result<Programs, Missing> {
        may_make_network(settings)?;
        let programs = Programs::find(settings)?;
        let zheng = Zheng::find(settings)?;
        Ok(Programs { zheng: Some(zheng), ..programs })
    }

    pub fn etcd(&self) -> Command {
        self.kube_program("etcd", "etcd")
    }

    pub fn apiserver(&self) -> Command {
        self.kube_program("apiserver", "kube-apiserver")
    }

    pub fn controller_manager(&self) -> Command {
        self.kube_program("controller-manager", "kube-controller-manager")
    }

    /// The node agent, with what it needs to run the images that have a program here.
    pub fn agent(&self) -> Command {
        let mut words = self.privilege.iter();
        let mut command = match words.next() {
            Some(first) => Command::new(first),
            None => Command::new(&self.kube),
        };
        command.args(words);
        if !self.privilege.is_empty() {
            command.arg(&self.kube);
        }
        command.arg("agent");
        match own_program(self.own.as_deref(), "agnhost") {
            Some(agnhost) => command.arg(format!("--run=agnhost={}", agnhost.display())),
            // Our program knows one of the commands of that image.
            None => command.arg(format!("--run=agnhost/netexec={}", self.kube.display())),
        };
        if let Some(zheng) = &self.zheng {
            // Our program is etcd when it is called so.
            let etcd = own_program(self.own.as_deref(), "etcd").unwrap_or_else(|| self.kube.clone());
            for (name, program) in [("kcp", &zheng.kcp), ("kcp-front-proxy", &zheng.front_proxy), ("etcd", &etcd)] {
                command.arg(format!("--run={name}={}", program.display()));
            }
        }
        command
    }

    pub fn knotd(&self) -> Command {
        Command::new(&self.knotd)
    }

    /// A program that the lab's own one stands for, under the name that it has by itself.
    fn kube_program(&self, part: &str, alone: &str) -> Command {
        match own_program(self.own.as_deref(), alone) {
            Some(program) => Command::new(program),
            None => {
                let mut command = Command::new(&self.kube);
                command.arg(part);
                command
            }
        }
    }
}

impl Zheng {
    fn find(settings: &Settings) -> Result<Zheng, Missing> {
        let own = settings.own_programs.clone();
        let find = |name: &str| match own_program(own.as_deref(), name) {
            Some(program) => Ok(program),
            None => build::built(&settings.programs(), module_of(name), name),
        };
        Ok(Zheng {
            certmanager: find("cert-manager")?,
            kcp: find("kcp")?,
            front_proxy: find("kcp-front-proxy")?,
            helm: find("helm")?,
            definitions: build::definitions(&settings.programs()),
            own: own.clone(),
        })
    }

    /// The program of a controller: a person's own, the one that is built, or a stand-in beside the program that asks. `None` if there
    /// is none, and then nobody acts on its objects.
    pub(super) fn controller(&self, name: &str) -> Option<PathBuf> {
        if name == "cert-manager" {
            return Some(self.certmanager.clone());
        }
        own_program(self.own.as_deref(), name).or_else(|| beside(name))
    }

    /// The directory with the definitions of a controller's kinds: a person's own go before those that a build brought. `None` if
    /// there are neither.
    pub(super) fn definitions(&self, controller: &str) -> Option<PathBuf> {
        let own = self.own.as_ref().map(|own| own.join("crds").join(controller));
        own.into_iter().chain([self.definitions.join(controller)]).find(|directory| directory.is_dir())
    }
}

fn own_program(own: Option<&Path>, name: &str) -> Option<PathBuf> {
    let file = fs::canonicalize(own?.join(name)).ok()?;
    file.is_file().then_some(file)
}

/// Finds out by trying, since no file says it reliably.
fn privilege() -> Result<Vec<&'static str>, Missing> {
    const SPACES: [&str; 4] = ["--mount", "--net", "--uts", "true"];
    const AS_USER: [&str; 3] = ["unshare", "--user", "--map-root-user"];
    let works = |before: &[&str]| {
        let tried = Command::new("unshare")
            .args(before)
            .args(SPACES)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        tried.is_ok_and(|status| status.success())
    };
    if works(&[]) {
        Ok(Vec::new())
    } else if works(&AS_USER[1..]) {
        Ok(AS_USER.to_vec())
    } else {
        Err(Missing::Namespaces)
    }
}

/// Finds out by trying too. What the lab does in its network is tried in one of its own, which is gone at once.
fn may_make_network(settings: &Settings) -> Result<(), Missing> {
    const TRY: &str = "echo 1 >/proc/sys/net/ipv4/ip_forward && ip link add lab0 type veth peer name lab1 && ip rule add pref 10 iif lab0 blackhole";
    if !rustix::process::geteuid().is_root() {
        return Err(Missing::Root);
    }
    if !settings.path.iter().any(|dir| dir.join("ip").is_file()) {
        return Err(Missing::Ip);
    }
    let said = |said: String| Missing::Network { said };
    let tried = Command::new("unshare").args(["--net", "--mount", "sh", "-c", TRY]).stdin(Stdio::null()).output();
    let output = tried.map_err(|error| said(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(said(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(own: &Path) -> Programs {
        Programs {
            kube: "/built/kube".into(),
            own: Some(own.to_owned()),
            knotd: "/usr/sbin/knotd".into(),
            zheng: None,
            privilege: vec!["unshare", "--user", "--map-root-user"],
        }
    }

    fn words(command: &Command) -> Vec<String> {
        std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| word.to_string_lossy().into())
            .collect()
    }

    #[test]
    fn a_persons_own_program_goes_before_the_labs() {
        let own = tempfile::tempdir().unwrap();
        let programs = programs(own.path());
        assert_eq!(words(&programs.etcd()), ["/built/kube", "etcd"]);
        let etcd = own.path().join("etcd");
        fs::write(&etcd, "").unwrap();
        assert_eq!(words(&programs.etcd()), [fs::canonicalize(etcd).unwrap().to_string_lossy()]);
        assert_eq!(words(&programs.apiserver()), ["/built/kube", "apiserver"]);
    }

    #[test]
    fn an_agent_without_privilege_runs_in_a_user_namespace() {
        let own = tempfile::tempdir().unwrap();
        assert_eq!(
            words(&programs(own.path()).agent()),
            ["unshare", "--user", "--map-root-user", "/built/kube", "agent", "--run=agnhost/netexec=/built/kube"]
        );
    }
}
