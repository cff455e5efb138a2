//! `engine demo`: a real workflow against a world inside this process, with one planted failure and the resume that repairs it.
//!
//! The run and the resume are processes of their own, started with the very commands that are printed: what a person sees here is
//! what they will type. Only the DNS server and the endpoints live in this process.

use std::any::Any;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Command;

use tokio::signal::unix::{SignalKind, signal};

use super::Roof;
use super::args::DemoArgs;
use super::config::Config;
use super::error::CliError;
use super::exit::Exit;
use super::{interrupts, print, session};

const WORKFLOW: &str = include_str!("../../../workflows/demo.kdl");

/// A world to run in. It lasts as long as this value.
pub struct Playground {
    /// `ADDR:PORT` of the zone's server.
    pub server: String,
    /// The key for updates, as `dns.records` takes it.
    pub key: String,
    /// Name and port of each site. One of them does not answer.
    pub sites: Vec<(&'static str, u16)>,
    /// The site that does not answer, and what makes it answer.
    pub broken: &'static str,
    pub repair: Eventually<()>,
    pub alive: Box<dyn Any + Send>,
}

/// Something that will be there or fail with words.
pub type Eventually<T> = Pin<Box<dyn Future<Output = Result<T, String>> + Send>>;

/// Starts the world; the endpoints serve certificates from this directory.
pub type StartPlayground = fn(directory: PathBuf) -> Eventually<Playground>;

pub fn demo(args: DemoArgs, config: &Config, roof: &Roof) -> Result<Exit, CliError> {
    if args.show_file {
        print::data(WORKFLOW).map_err(|e| CliError::unexpected(&e))?;
        return Ok(Exit::Done);
    }
    session::runtime()?.block_on(show(config, roof.playground))
}

async fn show(config: &Config, start: StartPlayground) -> Result<Exit, CliError> {
    let id = format!("demo-{:04x}", (interrupts::chance()() * 65_536.0) as u32);
    let directory = config.state.join("demo").join(&id);
    let file = directory.join("demo.kdl");
    let made = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&file, WORKFLOW));
    made.map_err(|e| {
        CliError::new(Exit::State, format!("{} cannot be written", directory.display())).caused_by(Some(&e))
    })?;
    let playground = start(directory.clone())
        .await
        .map_err(|why| CliError::new(Exit::Unexpected, format!("the demo's own servers do not start: {why}")))?;
    let engine = std::env::current_exe().map_err(|e| CliError::unexpected(&e))?;
    // Ctrl-C reaches the child too, and the child knows what to do; this process stays for it.
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| CliError::unexpected(&e))?;

    print::tell(&format!(
        "A trust domain over two sites: one CA, a certificate and a DNS name for each, and a check that trusts\nnothing but that CA. The name server and the endpoints live in this process; `{}` does not answer yet.\nThe workflow: engine demo --show-file\n\n",
        playground.broken
    ));
    let run = run_arguments(&playground, &id, &file, &directory);
    let broken = playground.broken;
    let child = |arguments: Vec<String>, key: String| {
        print::tell(&format!("$ engine {}\n", shown(&arguments)));
        let mut command = Command::new(&engine);
        command.args(&arguments).arg("--state").arg(&config.state).env("DEMO_TSIG", key);
        if let Some(key) = &config.seal_key {
            command.arg("--seal-key").arg(key);
        }
        tokio::task::spawn_blocking(move || command.status())
    };
    let key = playground.key.clone();
    let first = wait(child(run, key.clone()), &mut interrupt).await?;
    if first != Exit::StepsFailed as i32 {
        return Ok(if first == Exit::Interrupted as i32 { Exit::Interrupted } else { Exit::Unexpected });
    }
    print::tell(&format!(
        "\nThat was the planted failure. Everything that had finished is in the journal. Now `{broken}` is brought up,\nand the command that the engine proposed goes on where it stopped:\n\n"
    ));
    playground
        .repair
        .await
        .map_err(|why| CliError::new(Exit::Unexpected, format!("`{broken}` does not come up: {why}")))?;
    let second = wait(child(vec!["resume".into(), id.clone()], key), &mut interrupt).await?;
    drop(playground.alive);
    if second != Exit::Done as i32 {
        return Ok(if second == Exit::Interrupted as i32 { Exit::Interrupted } else { Exit::Unexpected });
    }
    print::tell(&format!(
        "\nThe same after Ctrl-C, kill -9 or a power cut. Look around: engine status {id}, engine plan, engine explain\n"
    ));
    Ok(Exit::Done)
}

fn run_arguments(playground: &Playground, id: &str, file: &Path, directory: &Path) -> Vec<String> {
    let sites: Vec<_> =
        playground.sites.iter().map(|(name, port)| serde_json::json!({ "name": name, "port": port })).collect();
    let vars = [
        format!("directory={}", directory.display()),
        format!("server={}", playground.server),
        format!("sites={}", serde_json::Value::Array(sites)),
    ];
    let mut arguments = vec!["run".to_owned(), file.display().to_string(), "--id".to_owned(), id.to_owned()];
    for var in vars {
        arguments.extend(["--var".to_owned(), var]);
    }
    arguments
}

/// For the eye: the values that only this demo knows are left out.
fn shown(arguments: &[String]) -> String {
    match arguments {
        [run, _file, rest @ ..] if run == "run" => format!("run demo.kdl --id {} --var …", rest[1]),
        other => other.join(" "),
    }
}

async fn wait(
    child: tokio::task::JoinHandle<std::io::Result<std::process::ExitStatus>>,
    interrupt: &mut tokio::signal::unix::Signal,
) -> Result<i32, CliError> {
    tokio::pin!(child);
    loop {
        tokio::select! {
            ended = &mut child => {
                let status = ended.expect("waiting for a child does not panic").map_err(|e| CliError::unexpected(&e))?;
                return Ok(status.code().unwrap_or(Exit::Unexpected as i32));
            }
            _ = interrupt.recv() => {}
        }
    }
}
