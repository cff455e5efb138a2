//! A real OCI registry for tests: the CNCF's distribution registry as one process, in a directory of its own that goes with it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::lab::modules::REGISTRY;
use crate::lab::{Missing, Settings, build};

/// Who may use a registry that asks.
pub const USER: &str = "publisher";
pub const PASSWORD: &str = "only-for-tests";

/// Of the password, by bcrypt, which is the only form that the registry takes.
const PASSWORD_HASH: &str = "$2a$05$2LrtPElRkn3M2dZsQ/Zs2u2.j9N7JtDTQ/xhrnmj2oQga9IaN3yaW";

const START_TIME_MAX: Duration = Duration::from_secs(30);

/// Ended when it is dropped.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    directory: TempDir,
    /// `127.0.0.1:PORT`.
    host: String,
}

/// Whether everybody may read and write, or only [`USER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Everybody,
    User,
}

impl Registry {
    /// Starts one on a port that the system chooses. It was built by `just lab-build`, or is not there, which is said.
    ///
    /// # Panics
    /// When a registry that is built does not start: a test has nothing to go on with.
    pub fn start(access: Access) -> Result<Registry, Missing> {
        let program = build::built(&Settings::from_environment().programs(), &REGISTRY, "registry")?;
        let directory = tempfile::Builder::new().prefix("engine-registry-").tempdir().expect("a directory is made");
        let log = directory.path().join("log");
        let child = serve(&program, directory.path(), &log, access);
        let mut registry = Registry { child, directory, host: String::new() };
        registry.host = registry.wait_for_host(&log);
        Ok(registry)
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// Stops it; everything that it keeps stays until it is dropped.
    pub fn stop(&mut self) {
        // One that has ended already needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The file in which it keeps the bytes of a digest.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
        let blobs = self.directory.path().join("storage/docker/registry/v2/blobs/sha256");
        blobs.join(&hex[..2]).join(hex).join("data")
    }

    /// Its log says the port that it was given.
    fn wait_for_host(&mut self, log: &Path) -> String {
        let deadline = Instant::now() + START_TIME_MAX;
        loop {
            let lines = File::open(log).map(|file| BufReader::new(file).lines());
            let lines: Vec<String> = lines.map(|lines| lines.map_while(Result::ok).collect()).unwrap_or_default();
            let said = lines.iter().find_map(|line| line.split("listening on ").nth(1));
            if let Some(said) = said {
                return said.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
            }
            let ended = self.child.try_wait().expect("a child can be asked after");
            assert!(ended.is_none() && Instant::now() < deadline, "the registry does not start: {lines:#?}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(program: &Path, directory: &Path, log: &Path, access: Access) -> Child {
    let storage = directory.join("storage");
    let users = directory.join("users");
    let mut config = format!(
        "version: 0.1\nlog: {{ level: info, formatter: text }}\nstorage: {{ filesystem: {{ rootdirectory: {} }}, delete: {{ enabled: true }} }}\n\
         http: {{ addr: '127.0.0.1:0' }}\n",
        storage.display()
    );
    if access == Access::User {
        fs::write(&users, format!("{USER}:{PASSWORD_HASH}\n")).expect("a file is written");
        config += &format!("auth: {{ htpasswd: {{ realm: tests, path: {} }} }}\n", users.display());
    }
    let file = directory.join("config.yml");
    fs::write(&file, config).expect("a file is written");
    let output = File::create(log).expect("a log is opened");
    let again = output.try_clone().expect("a log is opened twice");
    Command::new(program)
        .arg("serve")
        .arg(file)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(again)
        .spawn()
        .expect("a program that was built starts")
}
