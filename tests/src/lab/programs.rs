//! Which programs a lab runs and where they are: built by [`super::build`], installed on the machine, or a person's own, which go
//! before both. Whoever has a real program of one of the names puts it into `LAB_PROGRAMS`, and the same lab runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::build;
use super::modules::{KUBE, Module};
use super::settings::Settings;

/// All programs of a lab, found.
#[derive(Clone, Debug)]
pub struct Programs {
    kube: PathBuf,
    own: Option<PathBuf>,
    knotd: PathBuf,
    /// How a process gets the right to make namespaces: nothing for root, else `unshare` with a user namespace.
    privilege: Vec<&'static str>,
}

/// Why no lab can come up, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Missing {
    #[error("the lab needs Linux: it uses namespaces and the whole of 127.0.0.0/8")]
    Linux,
    #[error("{} is not built for the lab: run `{}` ({}; needs Go)", .0.holds, .0.command, .0.takes)]
    NotBuilt(&'static Module),
    #[error("{} was built for the lab from other sources than these: run `{}`", .0.holds, .0.command)]
    Outdated(&'static Module),
    #[error("the DNS server knot is not installed: `apt-get install knot`, or put `knotd` into LAB_PROGRAMS")]
    Knot,
    #[error(
        "this user may not make namespaces, which Pods run in: be root, or allow user namespaces \
         (`sysctl kernel.unprivileged_userns_clone=1`, or on Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`)"
    )]
    Namespaces,
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
        Ok(Programs { kube, own, knotd, privilege: privilege()? })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn programs(own: &Path) -> Programs {
        Programs {
            kube: "/built/kube".into(),
            own: Some(own.to_owned()),
            knotd: "/usr/sbin/knotd".into(),
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
