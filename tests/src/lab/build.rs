//! Builds the lab's Go program from `tests/lab/kube`, and keeps it under the user's cache. Beside it lies a stamp of what it was
//! built from: relinking alone takes a quarter of a minute, and a test wants to know at once whether the program is that of its sources.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::error::LabError;
use super::programs::Missing;

/// Said by `/version` of every API server here.
const KUBERNETES: (&str, &str, &str) = ("1", "34", "v1.34.4");

const PROGRAM: &str = "kube";
const STAMP: &str = "kube.stamp";

/// How a build went.
#[derive(Debug)]
pub enum Built {
    /// The program was there, from these sources and this Go.
    AsItWas(PathBuf),
    New {
        program: PathBuf,
        bytes: u64,
        took: Duration,
    },
}

/// The program, if it is there and was built from the sources as they are now.
pub(super) fn built(programs: &Path) -> Result<PathBuf, Missing> {
    let program = programs.join(PROGRAM);
    let stamp = fs::read_to_string(programs.join(STAMP)).map_err(|_absent| Missing::NotBuilt)?;
    if !program.is_file() {
        return Err(Missing::NotBuilt);
    }
    // A checkout that lost its sources can still run what was built from them.
    let same = source_digest(&sources()).map_or(true, |digest| stamp.lines().next() == Some(&digest));
    if same { Ok(program) } else { Err(Missing::Outdated) }
}

/// Builds the program into a directory, unless it is there already. `say` is told before anything long begins.
pub fn build(programs: &Path, say: &mut dyn FnMut(&str)) -> Result<Built, LabError> {
    fs::create_dir_all(programs).map_err(LabError::file(format!("make {}", programs.display())))?;
    let lock = File::create(programs.join("lock")).map_err(LabError::file("open the lock of the build"))?;
    // Two builds at once would take twice as long, and then one would have been for nothing.
    lock.lock().map_err(LabError::file("wait for another build"))?;
    let source = sources();
    let digest = source_digest(&source).map_err(LabError::file(format!("read {}", source.display())))?;
    let stamp = format!("{digest}\n{}\n", go_version()?);
    let program = programs.join(PROGRAM);
    let stamp_file = programs.join(STAMP);
    if program.is_file() && fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        return Ok(Built::AsItWas(program));
    }
    say(&format!(
        "building Kubernetes {} and etcd with Go: 10 to 20 minutes the first time, half a minute after that",
        KUBERNETES.2
    ));
    let began = Instant::now();
    let new = programs.join("kube.new");
    let status = go_build(&source, &new).status().map_err(LabError::file("run go"))?;
    if !status.success() {
        return Err(LabError::Failed { program: "go build".into(), status });
    }
    fs::rename(&new, &program).map_err(LabError::file("put the program in its place"))?;
    fs::write(&stamp_file, stamp).map_err(LabError::file("write the stamp"))?;
    let bytes = fs::metadata(&program).map_err(LabError::file("look at the program"))?.len();
    Ok(Built::New { program, bytes, took: began.elapsed() })
}

fn go_build(source: &Path, output: &Path) -> Command {
    let (major, minor, version) = KUBERNETES;
    let set = |name: &str, value: &str| format!("-X k8s.io/component-base/version.{name}={value}");
    let flags = [
        "-s -w".to_owned(),
        set("gitVersion", version),
        set("gitMajor", major),
        set("gitMinor", minor),
        set("gitTreeState", "clean"),
        set("buildDate", "2026-01-01T00:00:00Z"),
    ];
    let mut command = Command::new("go");
    // `-trimpath` is part of the key of Go's build cache: with it a checkout at another path finds everything compiled.
    command
        .current_dir(source)
        .env("CGO_ENABLED", "0")
        .args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &flags.join(" "), "-o"])
        .arg(output)
        .arg(".");
    command
}

fn go_version() -> Result<String, LabError> {
    let output = Command::new("go")
        .arg("version")
        .output()
        .map_err(LabError::file("run go (it builds the lab: install Go 1.24 or newer)"))?;
    if !output.status.success() {
        return Err(LabError::Failed { program: "go version".into(), status: output.status });
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/kube")
}

/// A digest of all files below a directory, names included.
fn source_digest(dir: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    collect(dir, &mut files)?;
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        let content = fs::read(&file)?;
        let name = file.strip_prefix(dir).expect("it was found below the directory");
        for part in [name.as_os_str().as_encoded_bytes(), &content] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
    }
    Ok(hex::encode(digest.finalize()))
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_other_sources_is_outdated() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(built(dir.path()), Err(Missing::NotBuilt)));
        fs::write(dir.path().join(PROGRAM), "").unwrap();
        assert!(matches!(built(dir.path()), Err(Missing::NotBuilt)), "without a stamp nobody knows what it is");
        fs::write(dir.path().join(STAMP), "another digest\ngo version\n").unwrap();
        assert!(matches!(built(dir.path()), Err(Missing::Outdated)));
        let digest = source_digest(&sources()).unwrap();
        fs::write(dir.path().join(STAMP), format!("{digest}\ngo version\n")).unwrap();
        assert!(built(dir.path()).is_ok());
    }

    #[test]
    fn the_digest_knows_names_and_contents() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("agent")).unwrap();
        let file = dir.path().join("agent/a.go");
        fs::write(&file, "one").unwrap();
        let first = source_digest(dir.path()).unwrap();
        fs::write(&file, "two").unwrap();
        assert_ne!(first, source_digest(dir.path()).unwrap());
        fs::write(&file, "one").unwrap();
        assert_eq!(first, source_digest(dir.path()).unwrap());
        fs::rename(&file, dir.path().join("agent/b.go")).unwrap();
        assert_ne!(first, source_digest(dir.path()).unwrap());
    }
}
