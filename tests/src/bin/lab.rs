//! The program `lab`: builds, brings up and ends a lab for a person at a terminal. All it knows is in `engine_tests::lab`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};
use engine_tests::lab::build::{Built, build};
use engine_tests::lab::modules::{KUBE, REGISTRY, ZHENG};
use engine_tests::lab::shared::{guard, in_words};
use engine_tests::lab::{Lab, LabError, REGIONS, Settings};

/// Real Kubernetes control planes and a DNS server as plain processes, for tests.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Build the programs of the lab, unless they are those of these sources already
    Build {
        /// Also what `up --zheng` needs: cert-manager, kcp and helm
        #[arg(long)]
        zheng: bool,
    },
    /// Bring a lab up: three clusters and a DNS server
    Up {
        /// Where it lives; by default in the user's cache directory
        dir: Option<PathBuf>,
        /// Names of the clusters
        #[arg(long, value_delimiter = ',', default_values_t = REGIONS.map(String::from))]
        clusters: Vec<String>,
    },
    /// End a lab
    Down { dir: Option<PathBuf> },
    /// Say what runs, and where
    Status { dir: Option<PathBuf> },
    /// Bring a fresh lab up, carry workflows/region-trust.kdl out twice and once with kills, and end it
    Trust,
    /// End a lab when standard input closes, and remove it; for tests
    #[command(hide = true)]
    Guard { dir: PathBuf },
}

/// What a command ends with: said to the shell as well.
enum End {
    Well,
    NotUp,
}

fn main() -> ExitCode {
    let settings = Settings::from_environment();
    let mut out = io::stdout().lock();
    let place = |dir: Option<PathBuf>| dir.unwrap_or_else(|| settings.lab());
    let ended = match Arguments::parse().command {
        Action::Trust => return trust(&mut out),
        Action::Build { zheng } => build_programs(&settings, zheng, &mut out),
        Action::Up { dir, clusters } => up(place(dir), &clusters, &mut out),
        Action::Down { dir } => down(place(dir), &mut out),
        Action::Status { dir } => status(place(dir), &mut out),
        Action::Guard { dir } => guard(&dir).map(|()| End::Well),
    };
    match ended {
        Ok(End::Well) => ExitCode::SUCCESS,
        Ok(End::NotUp) => ExitCode::from(3),
        Err(error) => {
            say(&mut io::stderr(), &format!("error: {}", in_words(&error)));
            ExitCode::FAILURE
        }
    }
}

fn build_programs(settings: &Settings, zheng: bool, out: &mut impl Write) -> Result<End, LabError> {
    let more = if zheng { &ZHENG[..] } else { &[] };
    for module in [&KUBE, &REGISTRY].into_iter().chain(more) {
        match build(&settings.programs(), module, &mut |line| say(&mut io::stderr(), line))? {
            Built::AsItWas => say(out, &format!("{:<12} is as it was", module.name)),
            Built::New { took } => say(out, &format!("{:<12} built in {} s", module.name, took.as_secs())),
        }
    }
    say(out, &format!("the programs are in {}", settings.programs().display()));
    Ok(End::Well)
}

fn up(dir: PathBuf, clusters: &[String], out: &mut impl Write) -> Result<End, LabError> {
    let began = Instant::now();
    let names: Vec<&str> = clusters.iter().map(String::as_str).collect();
    let lab = Lab::up(&dir, &names)?;
    say(out, &format!("a lab of {} clusters is up after {:.1} s", names.len(), began.elapsed().as_secs_f32()));
    describe(&lab, out);
    say(out, &format!("\nexport KUBECONFIG={}", lab.kubeconfig().display()));
    lab.leave_up();
    Ok(End::Well)
}

fn down(dir: PathBuf, out: &mut impl Write) -> Result<End, LabError> {
    let lab = Lab::open(&dir)?;
    let running = lab.processes().iter().filter(|process| process.is_running()).count();
    lab.down()?;
    say(out, &format!("{running} processes were ended; logs are in {}", lab.dir().join("log").display()));
    Ok(End::Well)
}

fn status(dir: PathBuf, out: &mut impl Write) -> Result<End, LabError> {
    let lab = Lab::open(&dir)?;
    let processes = lab.processes();
    if processes.is_empty() {
        say(out, &format!("the lab of {} has been ended", lab.dir().display()));
        return Ok(End::NotUp);
    }
    describe(&lab, out);
    say(out, "");
    let (mut total, mut all_run) = (0, true);
    for process in processes {
        match process.memory() {
            Some(bytes) => {
                total += bytes;
                say(out, &format!("{:<32} {:>8} {:>6} MiB", process.name, process.id, bytes >> 20));
            }
            None => {
                all_run = false;
                say(
                    out,
                    &format!("{:<32} {:>8} has ended by itself: {}", process.name, process.id, process.log.display()),
                );
            }
        }
    }
    say(out, &format!("{:<32} {:>8} {:>6} MiB", "together", "", total >> 20));
    Ok(if all_run { End::Well } else { End::NotUp })
}

fn trust(out: &mut impl Write) -> ExitCode {
    match engine_tests::trust::trust(engine_tests::program()) {
        Ok(line) => {
            say(out, &line);
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&mut io::stderr(), &format!("error: {}", in_words(&error)));
            ExitCode::FAILURE
        }
    }
}

fn describe(lab: &Lab, out: &mut impl Write) {
    for cluster in lab.clusters() {
        let (name, server, balancers) = (&cluster.name, cluster.server(), &cluster.load_balancers);
        say(
            out,
            &format!("{name:<12} {server}  load balancers {balancers}.101…  kube-system {}", cluster.kube_system_uid),
        );
    }
    let dns = lab.dns();
    say(out, &format!("{:<12} {}  zone {}  key {} {}", "dns", dns.server, dns.zone, dns.key.name, dns.key.algorithm));
    say(out, &format!("{:<12} {}", "all of it", lab.dir().join("lab.json").display()));
}

/// A line; that nobody reads any more is no reason to leave a lab half way.
fn say(to: &mut impl Write, line: &str) {
    let _ = writeln!(to, "{line}");
}
