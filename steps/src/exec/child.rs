//! A program behind a gate.
//!
//! What starts first is a shell that waits for one line on its standard input and then becomes the program. Between the two the
//! engine writes down which process it is: if the engine dies before that, the gate never opens and nothing has happened; if it dies
//! after, the next attempt finds the process. The rest of the standard input is the program's own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::Signal;
use steps_sdk::StepError;
use steps_sdk::context::Progress;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::classify::Trouble;
use super::output::{Said, take_in};
use super::process::Group;

const GATE: &str = "IFS= read -r go || exit 0; unset go PWD OLDPWD SHLVL; exec \"$@\"";

/// What a program inherits from the engine.
const INHERITED: [&str; 3] = ["PATH", "HOME", "LANG"];

/// What is started, and in which surroundings.
pub struct Program {
    /// As the file names it.
    pub name: String,
    pub args: Vec<String>,
    /// Beside what is inherited; it wins.
    pub env: BTreeMap<String, OsString>,
    pub dir: Option<PathBuf>,
}

/// A program that has not begun yet. Dropping it ends the gate, and the program never begins.
pub struct Gated {
    behind: Running,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

/// A program that runs. Dropping it ends its whole process group at once.
pub struct Running {
    child: Child,
    group: Group,
}

impl Program {
    /// Starts the gate. Nothing of the program has happened when this returns, and nothing will if it fails.
    pub fn start(&self) -> Result<Gated, StepError> {
        let path = self.find()?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", GATE, "engine"]).arg(&path).args(&self.args);
        command.env_clear().envs(inherited()).envs(&self.env);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        let start = |error| Trouble::Start { program: self.name.clone(), error };
        let mut child = command.spawn().map_err(start)?;
        let group =
            child.id().ok_or_else(|| io::Error::other("it ended at once")).and_then(Group::led_by).map_err(start)?;
        let piped = "the standard streams are pipes, and taken once";
        let (stdin, stdout) = (child.stdin.take().expect(piped), child.stdout.take().expect(piped));
        let stderr = child.stderr.take().expect(piped);
        Ok(Gated { behind: Running { child, group }, stdin, stdout, stderr })
    }

    /// Looks for the program before the gate does, because what a shell cannot start looks like a program that failed.
    fn find(&self) -> Result<PathBuf, StepError> {
        let not_found = |help: String| StepError::from(Trouble::NotFound { program: self.name.clone(), help });
        if let Some(dir) = self.dir.as_ref().filter(|dir| !dir.is_dir()) {
            return Err(not_found(format!("the directory `{}` is not there", dir.display())));
        }
        if self.name.contains('/') {
            let from = self.dir.as_deref().unwrap_or(Path::new("."));
            return match is_program(&from.join(&self.name)) {
                true => Ok(PathBuf::from(&self.name)),
                false => {
                    Err(not_found("no executable file lies at this path; a relative one starts at `dir`".to_owned()))
                }
            };
        }
        let path = self.env.get("PATH").cloned().or_else(|| inherited().remove("PATH")).unwrap_or_default();
        let found = std::env::split_paths(&path).map(|dir| dir.join(&self.name)).find(|file| is_program(file));
        let path = path.to_string_lossy().into_owned();
        found.map(absolute).ok_or_else(|| not_found(format!("install it, or name its path; looked for in {path}")))
    }
}

/// An entry of PATH may be relative, and the program may start in another directory.
fn absolute(file: PathBuf) -> PathBuf {
    std::path::absolute(&file).unwrap_or(file)
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[allow(
    clippy::disallowed_methods,
    reason = "a program gets these three from the engine's own environment, and no decision is made from them"
)]
fn inherited() -> BTreeMap<&'static str, OsString> {
    INHERITED.into_iter().filter_map(|name| std::env::var_os(name).map(|value| (name, value))).collect()
}

impl Gated {
    /// Who waits behind the gate: to be written down before it opens.
    pub fn group(&self) -> &Group {
        &self.behind.group
    }

    /// Opens the gate. The future feeds and hears the program; it ends when both of its streams have.
    pub fn open<'a>(
        self,
        input: &'a [u8],
        stdout: &'a mut Said,
        stderr: &'a mut Said,
        progress: &'a Progress,
    ) -> (Running, impl Future<Output = io::Result<()>> + 'a) {
        let Gated { behind, stdin, stdout: out, stderr: err } = self;
        let talk = async move {
            let (_, heard, complained) =
                tokio::join!(feed(stdin, input), take_in(out, stdout, progress), take_in(err, stderr, progress));
            heard.and(complained)
        };
        (behind, talk)
    }
}

/// A program that does not read its input, or not all of it, is within its rights.
async fn feed(mut stdin: ChildStdin, input: &[u8]) {
    let fed = async {
        stdin.write_all(b"go\n").await?;
        stdin.write_all(input).await?;
        stdin.shutdown().await
    };
    if let Err(error) = fed.await {
        tracing::debug!(%error, "a program did not read all of its input");
    }
}

impl Running {
    /// The end of the program itself; what it has started may still run.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Ends whatever of the process group still runs; how many processes that were, and the one that could not be ended.
    pub async fn end_group(&self) -> io::Result<(usize, Option<i32>)> {
        let left = self.group.members()?.len();
        Ok((left, self.group.end().await?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        end_now(&self.group);
    }
}

/// For a call that was abandoned: there is no time left for grace.
fn end_now(group: &Group) {
    match group.members() {
        Ok(members) if members.is_empty() => {}
        Ok(_) => {
            if let Err(error) = group.signal(Signal::KILL) {
                tracing::warn!(%error, pid = group.pid, "an abandoned program cannot be ended");
            }
        }
        Err(error) => {
            tracing::warn!(%error, pid = group.pid, "it cannot be told whether an abandoned program still runs")
        }
    }
}
