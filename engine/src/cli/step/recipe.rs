//! How a project of each language is built: the command, where the component is then, and what has to be there before.
//!
//! Whether the tools are there is asked before anything is compiled: what a compiler says of a missing target is long, and what it
//! says after a minute is late.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;

/// The target that a Rust component is built for.
const RUST_TARGET: &str = "wasm32-wasip2";

/// For machines that cannot have that target: the name of another one, whose linker makes components. It goes with `RUSTC`,
/// `CARGO_TARGET_<TARGET>_LINKER` and, for a standard library from source, `RUSTC_BOOTSTRAP`, as cargo reads them.
const RUST_TARGET_VARIABLE: &str = "ENGINE_STEP_RUST_TARGET";

/// The versions below which a language cannot make a component of the template.
const NODE_MIN: Version = Version(20, 0);
/// The first whose functions can be called from outside of a module that has no `main`.
const GO_MIN: Version = Version(1, 24);

/// What has to be done for a project, and where the component is then.
pub struct Recipe {
    pub tool: &'static str,
    pub command: Command,
    pub component: PathBuf,
    pub finish: Finish,
    /// What to run when the tool cannot be started.
    pub install: String,
    /// What has to be there before.
    needs: Needs,
}

/// What is left to do when the tools of the language are done.
pub enum Finish {
    Nothing,
    /// This core module becomes the component.
    GoModule(PathBuf),
}

enum Needs {
    /// The standard library of a target, of this compiler.
    RustTarget {
        rustc: String,
        target: String,
    },
    /// Built from source: cargo itself says what is missing.
    RustSource,
    Node,
    /// The program, and the version that the project names.
    ComponentizePy {
        program: PathBuf,
        version: Option<String>,
    },
    Go,
}

/// The first two parts of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u32, u32);

/// How the component of a folder's project is made.
pub fn recipe(folder: &Path, config: &Config) -> Result<Recipe, CliError> {
    let there = |name: &str| folder.join(name).is_file();
    if there("Cargo.toml") {
        rust(folder, config)
    } else if there("package.json") {
        js(folder)
    } else if there("app.py") {
        python(folder)
    } else if there("go.mod") {
        go(folder)
    } else {
        Err(CliError::new(Exit::Usage, format!("{} is no project of a step", folder.display()))
            .code("A024")
            .hint("there is no Cargo.toml, package.json, app.py or go.mod; `engine step new NAME` makes a project"))
    }
}

fn rust(folder: &Path, config: &Config) -> Result<Recipe, CliError> {
    let manifest = read(&folder.join("Cargo.toml"))?;
    let name = value_of(&manifest, "name").ok_or_else(|| nameless("Cargo.toml"))?;
    let set = |variable: &str| config.environment.get(variable).filter(|value| !value.is_empty());
    let target = set(RUST_TARGET_VARIABLE).map_or(RUST_TARGET, String::as_str);
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--target", target]);
    let needs = if target != RUST_TARGET && set("RUSTC_BOOTSTRAP").is_some() {
        command.args(["-Z", "build-std=std,panic_abort"]);
        Needs::RustSource
    } else {
        Needs::RustTarget { rustc: set("RUSTC").map_or("rustc", String::as_str).to_owned(), target: target.to_owned() }
    };
    let directory = set("CARGO_TARGET_DIR").map_or_else(|| folder.join("target"), |path| config.directory.join(path));
    Ok(Recipe {
        tool: "cargo",
        command,
        component: directory.join(target).join("release").join(format!("{}.wasm", name.replace('-', "_"))),
        finish: Finish::Nothing,
        install: "install Rust from https://rustup.rs".to_owned(),
        needs,
    })
}

fn js(folder: &Path) -> Result<Recipe, CliError> {
    let package = read(&folder.join("package.json"))?;
    let package: serde_json::Value = serde_json::from_str(&package).map_err(|error| {
        CliError::new(Exit::Invalid, "package.json is not JSON").code("A028").caused_by(Some(&error))
    })?;
    let name = package["name"].as_str().ok_or_else(|| nameless("package.json"))?;
    let mut command = Command::new("npm");
    command.args(["run", "--silent", "build"]);
    Ok(Recipe {
        tool: "npm",
        command,
        component: folder.join(format!("{name}.wasm")),
        finish: Finish::Nothing,
        install: format!("install Node.js {NODE_MIN} or newer"),
        needs: Needs::Node,
    })
}

fn python(folder: &Path) -> Result<Recipe, CliError> {
    let project = read(&folder.join("pyproject.toml"))?;
    let name = value_of(&project, "name").ok_or_else(|| nameless("pyproject.toml"))?;
    let version = project
        .split_once("componentize-py==")
        .map(|(_, rest)| rest.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect::<String>());
    let component = format!("{name}.wasm");
    // The folder's own environment first: what is in the PATH may be of another version.
    let own = Path::new(".venv/bin/componentize-py");
    let program = if folder.join(own).is_file() {
        std::fs::canonicalize(folder).map_err(|error| CliError::unexpected(&error))?.join(own)
    } else {
        PathBuf::from("componentize-py")
    };
    let mut command = Command::new(&program);
    command.args(["-d", "wit", "-w", "step", "componentize", "app", "-p", ".", "--stub-wasi", "-o", &component]);
    let exact = version.as_ref().map_or(String::new(), |version| format!("=={version}"));
    Ok(Recipe {
        tool: "componentize-py",
        command,
        component: folder.join(component),
        finish: Finish::Nothing,
        install: format!(
            "cd {} && python3 -m venv .venv && .venv/bin/pip install componentize-py{exact}",
            folder.display()
        ),
        needs: Needs::ComponentizePy { program, version },
    })
}

fn go(folder: &Path) -> Result<Recipe, CliError> {
    let manifest = read(&folder.join("go.mod"))?;
    let module = manifest.lines().find_map(|line| line.trim().strip_prefix("module "));
    let path = module.map(str::trim).filter(|path| !path.is_empty()).ok_or_else(|| nameless("go.mod"))?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let module = format!("{name}.module.wasm");
    let mut command = Command::new("go");
    command.env("GOOS", "wasip1").env("GOARCH", "wasm");
    // The bytes, and with them the digest, follow from the sources alone: neither from the folder nor from the commit.
    command.args(["build", "-buildmode=c-shared", "-trimpath", "-buildvcs=false", "-o", &module, "."]);
    Ok(Recipe {
        tool: "go",
        command,
        component: folder.join(format!("{name}.wasm")),
        finish: Finish::GoModule(folder.join(module)),
        install: format!("install Go {GO_MIN} or newer from https://go.dev/dl"),
        needs: Needs::Go,
    })
}

impl Recipe {
    /// # Errors
    /// What is missing, and the command that brings it.
    pub fn check_tools(&self, folder: &Path, config: &Config) -> Result<(), CliError> {
        match &self.needs {
            Needs::RustSource => Ok(()),
            Needs::RustTarget { rustc, target } => {
                let library = self.said(folder, rustc, &["--print", "target-libdir", "--target", target])?;
                if config.directory.join(library.trim()).is_dir() {
                    return Ok(());
                }
                Err(missing(format!("the target {target} is not installed"), &format!("rustup target add {target}")))
            }
            Needs::Node => {
                let node = self.said(folder, "node", &["--version"])?;
                self.at_least("node", node.trim().trim_start_matches('v'), NODE_MIN)?;
                if folder.join("node_modules/.bin/jco").exists() {
                    return Ok(());
                }
                let install = format!("npm install --prefix {}", folder.display());
                Err(missing("the tools of the project are not installed", &install))
            }
            Needs::ComponentizePy { program, version } => {
                let said = self.said(folder, program.as_os_str(), &["--version"])?;
                let there = said.split_whitespace().last().unwrap_or_default();
                match version {
                    Some(wanted) if wanted != there => Err(missing(
                        format!("componentize-py is {there}, and pyproject.toml names {wanted}"),
                        &self.install,
                    )),
                    _ => Ok(()),
                }
            }
            Needs::Go => {
                let go = self.said(folder, "go", &["env", "GOVERSION"])?;
                self.at_least("go", go.trim().trim_start_matches("go"), GO_MIN)
            }
        }
    }

    /// What a tool answers to a question about itself.
    fn said(&self, folder: &Path, program: impl AsRef<std::ffi::OsStr>, args: &[&str]) -> Result<String, CliError> {
        let name = Path::new(program.as_ref()).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let answer = Command::new(program.as_ref()).args(args).current_dir(folder).output();
        let answer = answer
            .map_err(|error| missing(format!("{name} cannot be started"), &self.install).caused_by(Some(&error)))?;
        if answer.status.success() {
            return Ok(String::from_utf8_lossy(&answer.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&answer.stderr);
        let words = format!("`{name} {}` failed: {}", args.join(" "), said.lines().next().unwrap_or_default());
        Err(missing(words, &self.install))
    }

    fn at_least(&self, tool: &str, there: &str, wanted: Version) -> Result<(), CliError> {
        match Version::read(there) {
            Some(version) if version >= wanted => Ok(()),
            _ => Err(missing(format!("{tool} is {there}, and a step needs {wanted} or newer"), &self.install)),
        }
    }
}

impl Version {
    fn read(text: &str) -> Option<Version> {
        let mut parts = text.split(['.', '-', ' ']).map(|part| {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        });
        Some(Version(parts.next()??, parts.next().flatten().unwrap_or(0)))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Version(major, 0) => write!(f, "{major}"),
            Version(major, minor) => write!(f, "{major}.{minor}"),
        }
    }
}

fn missing(what: impl Into<String>, install: &str) -> CliError {
    CliError::new(Exit::Invalid, what.into()).code("A025").hint(fix(install))
}

/// A command to run, or what to install when there is no one command for it.
pub fn fix(install: &str) -> String {
    if install.starts_with("install ") { install.to_owned() } else { format!("run once: {install}") }
}

/// A file of the project.
pub fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| {
        CliError::new(Exit::Usage, format!("{} cannot be read", path.display())).code("A028").caused_by(Some(&error))
    })
}

fn nameless(file: &str) -> CliError {
    CliError::new(Exit::Invalid, format!("{file} names no package"))
        .code("A028")
        .hint("the component is called like the package: write its name")
}

/// The first `key = "…"` of a file, which is the package's in the files that people write.
fn value_of(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let value = line.trim().strip_prefix(key)?.trim_start().strip_prefix('=')?;
        Some(value.trim().trim_matches('"').to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::config;
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    fn of(folder: &tempfile::TempDir, environment: &[(&str, &str)]) -> Result<Recipe, CliError> {
        recipe(folder.path(), &config(folder.path(), environment))
    }

    #[test]
    fn a_project_is_known_by_its_files() {
        let rust = folder(&[("Cargo.toml", "[package]\nname = \"dns-check\"\n")]);
        let plain = of(&rust, &[]).unwrap();
        assert_eq!(plain.component, rust.path().join("target/wasm32-wasip2/release/dns_check.wasm"));
        let other = [
            ("ENGINE_STEP_RUST_TARGET", "wasm32-unknown-unknown"),
            ("RUSTC_BOOTSTRAP", "1"),
            ("CARGO_TARGET_DIR", "t"),
        ];
        let odd = of(&rust, &other).unwrap();
        assert_eq!(odd.component, rust.path().join("t/wasm32-unknown-unknown/release/dns_check.wasm"));
        assert!(odd.command.get_args().any(|arg| arg == "build-std=std,panic_abort"));
        let python = folder(&[("app.py", ""), ("pyproject.toml", "[project]\nname = \"a\"\n")]);
        let recipe = of(&python, &[]).unwrap();
        assert_eq!((recipe.tool, recipe.component), ("componentize-py", python.path().join("a.wasm")));
        let go = folder(&[("go.mod", "// ours\nmodule example.org/steps/dns-check\n\ngo 1.24\n")]);
        let recipe = of(&go, &[]).unwrap();
        assert_eq!((recipe.tool, recipe.component), ("go", go.path().join("dns-check.wasm")));
    }

    #[test]
    fn what_cannot_be_read_has_a_code() {
        let refused = |files| of(&folder(files), &[]).err().and_then(|error| error.code);
        assert_eq!(refused(&[]).as_deref(), Some("A024"));
        assert_eq!(refused(&[("Cargo.toml", "[workspace]\n")]).as_deref(), Some("A028"));
        assert_eq!(refused(&[("package.json", "{")]).as_deref(), Some("A028"));
        assert_eq!(refused(&[("app.py", "")]).as_deref(), Some("A028"));
        assert_eq!(refused(&[("go.mod", "go 1.24\n")]).as_deref(), Some("A028"));
    }

    #[test]
    fn what_is_missing_is_told_with_the_command_that_brings_it() {
        let python = folder(&[
            ("app.py", ""),
            ("pyproject.toml", "[project]\nname = \"a\"\n[dependency-groups]\ndev = [\"componentize-py==0.25.1\"]\n"),
        ]);
        let here = config(python.path(), &[]);
        let mut recipe = of(&python, &[]).unwrap();
        let told = |recipe: &Recipe| {
            let error = recipe.check_tools(python.path(), &here).unwrap_err();
            assert_eq!(error.code.as_deref(), Some("A025"));
            error.hints.join("\n")
        };
        // Any program that says a version serves: this one does not say the one that is wanted.
        recipe.needs = Needs::ComponentizePy { program: "true".into(), version: Some("0.25.1".into()) };
        assert!(told(&recipe).contains("pip install componentize-py==0.25.1"));
        recipe.needs = Needs::ComponentizePy { program: "/nonexistent/componentize-py".into(), version: None };
        assert!(told(&recipe).contains("pip install"));
        recipe.needs = Needs::RustTarget { rustc: "true".into(), target: "wasm32-wasip9".into() };
        // `true` answers with an empty path, which is the folder itself: nothing is missing there.
        assert!(recipe.check_tools(python.path(), &here).is_ok());
        recipe.needs = Needs::RustTarget { rustc: "echo".into(), target: "wasm32-wasip9".into() };
        assert!(told(&recipe).contains("rustup target add wasm32-wasip9"));
    }

    #[test]
    fn versions_are_compared_by_their_first_two_numbers() {
        for (text, is_new) in [("1.24", true), ("1.26.8", true), ("2", true), ("1.23.12", false), ("1.24rc1", true)] {
            assert_eq!(Version::read(text).is_some_and(|version| version >= GO_MIN), is_new, "{text}");
        }
        assert_eq!(Version::read("devel"), None);
    }
}
