//! The program `lab`: builds, brings up and ends a lab for a person at a terminal. All it knows is in `engine_tests::lab`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
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
        #[command(flatten)]
        which: Which,
        /// Names of the clusters
        #[arg(long, value_delimiter = ',', default_values_t = REGIONS.map(String::from), conflicts_with = "zheng")]
        clusters: Vec<String>,
    },
    /// End a lab
    Down {
        #[command(flatten)]
        which: Which,
    },
    /// Say what runs, and where
    Status {
        #[command(flatten)]
        which: Which,
    },
    /// Run a program in the network of a lab of kcp-zheng, with its names: `lab in -- kubectl get nodes`
    In {
        #[arg(long)]
        dir: Option<PathBuf>,
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Cut a region of a lab of kcp-zheng off: nothing gets in or out
    Cut {
        region: String,
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Connect a region again
    Mend {
        region: String,
        #[arg(long)]
        dir: Option<PathBuf>,
    },
    /// Bring a fresh lab up, carry workflows/region-trust.kdl out twice and once with kills, and end it
    Trust,
    /// End a lab when standard input closes, and remove it; for tests
    #[command(hide = true)]
    Guard { dir: PathBuf },
}

#[derive(Args)]
struct Which {
    /// Where the lab lives; by default in the user's cache directory
    dir: Option<PathBuf>,
    /// The lab of kcp-zheng: a network of its own with three regions, cert-manager and kcp. Only for root
    #[arg(long)]
    zheng: bool,
}

impl Which {
    fn place(self, settings: &Settings) -> PathBuf {
        let usual = if self.zheng { settings.zheng() } else { settings.lab() };
        self.dir.unwrap_or(usual)
    }
}

/// What a command ends with: said to the shell as well.
enum End {
    Well,
    NotUp,
}

fn main() -> ExitCode {
    let settings = Settings::from_environment();
    let mut out = io::stdout().lock();
    let zheng = |dir: Option<PathBuf>| dir.unwrap_or_else(|| settings.zheng());
    let ended = match Arguments::parse().command {
        Action::Trust => return trust(&mut out),
        Action::Build { zheng } => build_programs(&settings, zheng, &mut out),
        Action::Up { which, clusters } => {
            let clusters = if which.zheng { None } else { Some(clusters) };
            up(which.place(&settings), clusters, &mut out)
        }
        Action::Down { which } => down(which.place(&settings), &mut out),
        Action::Status { which } => status(which.place(&settings), &mut out),
        Action::In { dir, command } => run_inside(zheng(dir), &command),
        Action::Cut { region, dir } => {
            open_at(zheng(dir), &region).and_then(|(lab, at)| lab.cut(at)).map(|()| End::Well)
        }
        Action::Mend { region, dir } => {
            open_at(zheng(dir), &region).and_then(|(lab, at)| lab.mend(at)).map(|()| End::Well)
        }
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

/// With names of clusters a lab on loopback addresses, without them that of kcp-zheng.
fn up(dir: PathBuf, clusters: Option<Vec<String>>, out: &mut impl Write) -> Result<End, LabError> {
    let began = Instant::now();
    let lab = match clusters {
        Some(names) => Lab::up(&dir, &names.iter().map(String::as_str).collect::<Vec<_>>())?,
        None => Lab::up_zheng(&dir)?,
    };
    let (clusters, seconds) = (lab.clusters().len(), began.elapsed().as_secs_f32());
    say(out, &format!("a lab of {clusters} clusters is up after {seconds:.1} s"));
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

/// Becomes a program in the lab's network.
fn run_inside(dir: PathBuf, words: &[OsString]) -> Result<End, LabError> {
    let lab = Lab::open(&dir)?;
    let [program, arguments @ ..] = words else { return Ok(End::NotUp) };
    let mut command = lab.command(Path::new(program))?;
    Err(LabError::File {
        what: format!("run {}", program.display()),
        source: command.args(arguments).env("KUBECONFIG", lab.kubeconfig()).exec(),
    })
}

/// The lab of a directory, and the index of one of its regions.
fn open_at(dir: PathBuf, region: &str) -> Result<(Lab, usize), LabError> {
    let lab = Lab::open(&dir)?;
    let at = lab.clusters().iter().position(|cluster| cluster.name == region);
    let index = at.ok_or_else(|| LabError::NoCluster { dir, name: region.to_owned() })?;
    Ok((lab, index))
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
    for missing in lab.controllers_missing() {
        say(out, &format!("{missing:<12} is not there: put a program of this name into LAB_PROGRAMS"));
    }
}

/// A line; that nobody reads any more is no reason to leave a lab half way.
fn say(to: &mut impl Write, line: &str) {
    let _ = writeln!(to, "{line}");
}
