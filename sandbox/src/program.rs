//! What the programs that act for operators have in common: the command line that controller-runtime gives every operator, the log, the
//! health endpoint, and an orderly end on SIGTERM.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::control::{self, Action, Kind, World};

/// The flags of every operator. Those that are only taken so that a real command line fits say so.
#[derive(clap::Args)]
pub struct Flags {
    /// Path of a kubeconfig
    #[arg(long, env = "KUBECONFIG")]
    kubeconfig: PathBuf,
    /// Address of the health endpoint; 0: none
    #[arg(long, default_value = ":8081")]
    health_probe_bind_address: String,
    /// Taken and not used: there are no metrics
    #[arg(long, default_value = "0")]
    metrics_bind_address: String,
    /// Taken and not used: one process at a time is all there is
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    leader_elect: Option<bool>,
    /// Taken and not used: there are no metrics
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    metrics_secure: Option<bool>,
    /// Part of the real operator's delays to keep; 1: as seen, 0: none
    #[arg(long = "standin-lag", env = "STANDIN_LAG", default_value_t = 1.0)]
    lag: f64,
}

impl Flags {
    pub fn lag(&self) -> f64 {
        self.lag.clamp(0.0, 10.0)
    }
}

/// Why a program does not start.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("reading the kubeconfig")]
    Kubeconfig(#[from] kube::config::KubeconfigError),
    #[error("making a client")]
    Client(#[from] kube::Error),
    #[error("listening for health probes on {address}")]
    Health { address: String, source: std::io::Error },
    #[error("listening for signals")]
    Signals(std::io::Error),
    #[error(transparent)]
    Control(#[from] control::Error),
}

/// Runs a controller until it fails (exit code 1) or is told to end (0).
pub async fn run(
    arguments: &Flags,
    manager: &str,
    kinds: &'static [Kind],
    decide: impl FnMut(&World, Timestamp) -> Vec<Action>,
) -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    match go(arguments, manager, kinds, decide).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{manager} ends: {}", control::chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn go(
    arguments: &Flags,
    manager: &str,
    kinds: &'static [Kind],
    decide: impl FnMut(&World, Timestamp) -> Vec<Action>,
) -> Result<(), Error> {
    let client = client(arguments).await?;
    let health = listen(&arguments.health_probe_bind_address).await?;
    let mut ended = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    tokio::select! {
        done = control::run(client, manager, kinds, decide) => done?,
        () = answer(health) => {}
        _ = ended.recv() => {}
        _ = interrupted.recv() => {}
    }
    Ok(())
}

async fn client(arguments: &Flags) -> Result<Client, Error> {
    let kubeconfig = Kubeconfig::read_from(&arguments.kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.apply_debug_overrides();
    Ok(Client::try_from(config)?)
}

/// `:8081` is every address to Go, and loopback here: nothing of the sandbox listens to the outside.
async fn listen(address: &str) -> Result<Option<TcpListener>, Error> {
    if address == "0" || address.is_empty() {
        return Ok(None);
    }
    let full = if address.starts_with(':') { format!("127.0.0.1{address}") } else { address.to_owned() };
    match TcpListener::bind(&full).await {
        Ok(listener) => Ok(Some(listener)),
        Err(source) => Err(Error::Health { address: full, source }),
    }
}

/// Says that all is well to whoever asks: `/healthz` and `/readyz` of the real ones say no more either.
async fn answer(health: Option<TcpListener>) {
    let Some(health) = health else { return std::future::pending().await };
    loop {
        let Ok((mut asking, _)) = health.accept().await else { continue };
        let mut request = [0; 1024];
        let answered = async {
            // Whatever is asked gets the same answer, so it does not matter how much of it has come.
            let _asked = asking.read(&mut request).await?;
            asking.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await
        };
        if let Ok(Err(error)) = tokio::time::timeout(std::time::Duration::from_secs(1), answered).await {
            tracing::debug!(%error, "a health probe got no answer");
        }
    }
}
