//! One lab for all tests of a binary. Rust does not drop what lives as long as the process, and a test binary may be ended at any
//! moment, so the end of such a lab is the work of a second process: it holds one end of a pipe and acts when the other end closes.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::error::LabError;
use super::{Lab, Life, Missing, REGIONS};

/// The subcommand of the program `lab` that is the second process.
pub const GUARD: &str = "guard";

static SHARED: OnceLock<Option<Lab>> = OnceLock::new();

/// The lab of this test binary, with the ordinary three regions: it comes up with the first call and ends with the process. Without the
/// programs there is none, which is said on standard error once; a lab that could come up and does not is a failed test.
///
/// `program` is that of the lab: `env!("CARGO_BIN_EXE_lab")`.
pub fn shared(program: &Path) -> Option<&'static Lab> {
    of_binary(program, Lab::available, |dir| Lab::up(dir, &REGIONS))
}

/// The same with the lab of `lab up --zheng`. The calling thread, a test's, is moved into its network.
pub fn shared_zheng(program: &Path) -> Option<&'static Lab> {
    let lab = of_binary(program, Lab::zheng_available, Lab::up_zheng)?;
    if let Err(error) = lab.enter() {
        panic!("{}", in_words(&error));
    }
    Some(lab)
}

/// A binary has one lab, of one kind.
fn of_binary(
    program: &Path,
    available: fn() -> Result<(), Missing>,
    up: fn(&Path) -> Result<Lab, LabError>,
) -> Option<&'static Lab> {
    let lab = SHARED.get_or_init(|| match available() {
        Ok(()) => match guarded(program, up) {
            Ok(lab) => Some(lab),
            Err(error) => panic!("the lab does not come up: {}", in_words(&error)),
        },
        Err(missing) => {
            say_left_out(&missing);
            None
        }
    });
    lab.as_ref()
}

/// Says why tests are left out, past the capture of the test harness, which shows nothing of tests that pass.
pub fn say_left_out(missing: &Missing) {
    // A test run whose standard error is closed has nobody to tell.
    let _ = writeln!(io::stderr(), "tests that need a lab are left out: {missing}");
}

fn guarded(program: &Path, up: fn(&Path) -> Result<Lab, LabError>) -> Result<Lab, LabError> {
    let dir = tempfile::Builder::new()
        .prefix("engine-lab-")
        .tempdir()
        .map_err(LabError::file("make a directory for the lab"))?
        // The guard removes it.
        .keep();
    // Before the lab, so that one which is half up when this process ends does not stay either.
    let mut guard = Command::new(program)
        .arg(GUARD)
        .arg(&dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(LabError::file(format!("start {}", program.display())))?;
    let pipe = guard.stdin.take().expect("it was asked for");
    let mut lab = up(&dir)?;
    lab.life = Life::Guarded { _pipe: pipe };
    Ok(lab)
}

/// The work of the second process: waits until standard input closes, ends the lab of the directory and removes it.
pub fn guard(dir: &Path) -> Result<(), LabError> {
    let mut nothing = [0];
    while io::stdin().read(&mut nothing).map_err(LabError::file("wait for the test's end"))? > 0 {}
    match Lab::open(dir) {
        Ok(lab) => lab.down()?,
        Err(LabError::NoLab { .. }) => {}
        Err(error) => return Err(error),
    }
    std::fs::remove_dir_all(dir).map_err(LabError::file(format!("remove {}", dir.display())))
}

/// An error and what it comes from, in one line.
pub fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        words += &format!(": {error}");
        source = error.source();
    }
    words
}
