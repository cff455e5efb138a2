//! Builds the lab's Go modules ([`super::modules`]) and keeps what comes of them under the user's cache. Beside the programs lies a
//! stamp of what they were built from: relinking alone takes a quarter of a minute, and a test wants to know at once whether a program
//! is that of its sources.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::error::LabError;
use super::modules::{Definitions, Module};
use super::programs::Missing;

/// How the build of one module went.
#[derive(Debug)]
pub enum Built {
    /// Its programs were there, from these sources and this Go.
    AsItWas,
    New {
        took: Duration,
    },
}

/// The program of a module, if it is there and was built from the sources as they are now.
pub(crate) fn built(programs: &Path, module: &'static Module, program: &str) -> Result<PathBuf, Missing> {
    let file = programs.join(program);
    let stamp = fs::read_to_string(programs.join(module.stamp())).map_err(|_absent| Missing::NotBuilt(module))?;
    if !file.is_file() {
        return Err(Missing::NotBuilt(module));
    }
    // A checkout that lost its sources can still run what was built from them.
    let same = source_digest(&sources(module)).map_or(true, |digest| stamp.lines().next() == Some(&digest));
    if same { Ok(file) } else { Err(Missing::Outdated(module)) }
}

/// Builds a module into a directory, unless that has been done. `say` is told before anything long begins.
pub fn build(programs: &Path, module: &Module, say: &mut dyn FnMut(&str)) -> Result<Built, LabError> {
    fs::create_dir_all(programs).map_err(LabError::file(format!("make {}", programs.display())))?;
    let lock = File::create(programs.join("lock")).map_err(LabError::file("open the lock of the build"))?;
    // Two builds at once would take twice as long, and then one would have been for nothing.
    lock.lock().map_err(LabError::file("wait for another build"))?;
    let source = sources(module);
    let digest = source_digest(&source).map_err(LabError::file(format!("read {}", source.display())))?;
    let stamp = format!("{digest}\n{}\n", go_version()?);
    let stamp_file = programs.join(module.stamp());
    let is_there = module.programs.iter().all(|program| programs.join(program.name).is_file());
    if is_there && fs::read_to_string(&stamp_file).is_ok_and(|old| old == stamp) {
        return Ok(Built::AsItWas);
    }
    say(&format!("building {} with Go: {}", module.holds, module.takes));
    let began = Instant::now();
    for definitions in module.definitions {
        copy(definitions, &source, &self::definitions(programs))?;
    }
    for program in module.programs {
        let new = programs.join(format!("{}.new", program.name));
        let status = go_build(module, &source, program.package, &new).status().map_err(LabError::file("run go"))?;
        if !status.success() {
            return Err(LabError::Failed { program: "go build".into(), status });
        }
        fs::rename(&new, programs.join(program.name)).map_err(LabError::file("put the program in its place"))?;
    }
    fs::write(&stamp_file, stamp).map_err(LabError::file("write the stamp"))?;
    Ok(Built::New { took: began.elapsed() })
}

/// Where the CustomResourceDefinitions of other projects are, in a directory for each.
pub(super) fn definitions(programs: &Path) -> PathBuf {
    programs.join("crds")
}

fn go_build(module: &Module, source: &Path, package: &str, output: &Path) -> Command {
    let mut command = Command::new("go");
    // `-trimpath` is part of the key of Go's build cache: with it a checkout at another path finds everything compiled.
    command
        .current_dir(source)
        .env("CGO_ENABLED", "0")
        .args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &format!("-s -w {}", module.link), "-o"])
        .arg(output)
        .arg(package);
    command
}

/// Copies the definitions out of the module that they are published in, at the version that is built.
fn copy(wanted: &Definitions, source: &Path, to: &Path) -> Result<(), LabError> {
    let mut download = Command::new("go");
    answer("go mod download", download.current_dir(source).args(["mod", "download", wanted.module]))?;
    let mut list = Command::new("go");
    list.current_dir(source).args(["list", "-m", "-f", "{{.Dir}}", wanted.module]);
    let module = answer("go list", &mut list)?;
    let from = Path::new(&module).join(wanted.directory);
    let to = to.join(wanted.name);
    let copy_all = || -> io::Result<()> {
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(&from)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().ends_with(wanted.ending) {
                // Written, not copied: files of Go's module cache may not be changed, and neither may their copies.
                fs::write(to.join(entry.file_name()), fs::read(entry.path())?)?;
            }
        }
        Ok(())
    };
    copy_all().map_err(LabError::file(format!("copy {} to {}", from.display(), to.display())))
}

fn go_version() -> Result<String, LabError> {
    answer("go version", Command::new("go").arg("version"))
}

/// What a run of go says on its standard output.
fn answer(what: &str, command: &mut Command) -> Result<String, LabError> {
    let Output { status, stdout, stderr } =
        command.output().map_err(LabError::file("run go (it builds the lab: install Go 1.26 or newer)"))?;
    if !status.success() {
        let said = String::from_utf8_lossy(&stderr);
        return Err(LabError::Failed { program: format!("{what}: {}", said.trim()), status });
    }
    Ok(String::from_utf8_lossy(&stdout).trim().to_owned())
}

fn sources(module: &Module) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("lab").join(module.name)
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
    use super::super::modules::{KUBE, ZHENG};
    use super::*;

    #[test]
    fn a_program_of_other_sources_is_outdated() {
        let dir = tempfile::tempdir().unwrap();
        let [certmanager, ..] = &ZHENG;
        let found = || built(dir.path(), certmanager, "cert-manager");
        assert!(matches!(found(), Err(Missing::NotBuilt(_))));
        fs::write(dir.path().join("cert-manager"), "").unwrap();
        assert!(matches!(found(), Err(Missing::NotBuilt(_))), "without a stamp nobody knows what it is");
        fs::write(dir.path().join(certmanager.stamp()), "another digest\ngo version\n").unwrap();
        assert!(matches!(found(), Err(Missing::Outdated(_))));
        let digest = source_digest(&sources(certmanager)).unwrap();
        fs::write(dir.path().join(certmanager.stamp()), format!("{digest}\ngo version\n")).unwrap();
        assert!(found().is_ok());
    }

    #[test]
    fn every_module_of_the_table_has_its_directory() {
        for module in ZHENG.iter().chain([&KUBE]) {
            assert!(sources(module).join("go.mod").is_file(), "{}", module.name);
        }
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
