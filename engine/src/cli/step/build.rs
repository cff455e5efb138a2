//! `engine step build [DIR]`: a component by the tools of the project's language.
//!
//! What a tool prints is shown only when it fails: of a good build nothing but the result is worth reading.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use engine_core::id::Digest;

use super::args::BuildArgs;
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::print;
use crate::report::words;

/// The target that a Rust component is built for.
const RUST_TARGET: &str = "wasm32-wasip2";

/// For machines that cannot have that target: the name of another one, whose linker makes components. It goes with `RUSTC`,
/// `CARGO_TARGET_<TARGET>_LINKER` and, for a standard library from source, `RUSTC_BOOTSTRAP`, as cargo reads them.
const RUST_TARGET_VARIABLE: &str = "ENGINE_STEP_RUST_TARGET";

/// What a folder is a project of.
enum Project {
    Rust,
    Js,
    Python,
}

/// What has to be done for it, and where the component is then.
struct Recipe {
    tool: &'static str,
    command: Command,
    component: PathBuf,
    /// What to run when the tool is missing.
    install: String,
}

pub fn build(args: &BuildArgs, config: &Config) -> Result<Exit, CliError> {
    let component = component(&args.directory, config)?;
    let bytes = std::fs::read(&component).map_err(|error| CliError::unexpected(&error))?;
    let digest = Digest::of_bytes(&bytes);
    let text = format!("{}\n  size    {} bytes\n  digest  sha256:{digest}\n", component.display(), bytes.len());
    print::data(&text).map_err(|e| CliError::unexpected(&e))?;
    Ok(Exit::Done)
}

/// Builds the project of a folder; gives the path of its component.
pub fn component(folder: &Path, config: &Config) -> Result<PathBuf, CliError> {
    let mut recipe = recipe(folder, config)?;
    print::tell(&format!("building {} with {} ...", folder.display(), recipe.tool));
    let began = Instant::now();
    let output = recipe.command.current_dir(folder).output();
    let took = words::duration(u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX));
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            print::tell(" failed\n");
            return Err(CliError::new(Exit::Invalid, format!("{} cannot be started", recipe.tool))
                .code("A025")
                .caused_by(Some(&error))
                .hint(format!("run once: {}", recipe.install)));
        }
    };
    if !output.status.success() {
        print::tell(&format!(" failed after {took}\n\n"));
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        print::tell(&said);
        print::tell("\n");
        let error = CliError::new(Exit::Invalid, format!("{} did not build the step", recipe.tool)).code("A026");
        // The compiler's own words for it are long and name the command last.
        let lacks_target = said.contains("target may not be installed") || said.contains("can't find crate for `std`");
        return Err(if lacks_target {
            error.hint(format!("the target {RUST_TARGET} is missing; run once: {}", recipe.install))
        } else {
            error.hint("what it says is above")
        });
    }
    print::tell(&format!(" {took}\n"));
    if recipe.component.is_file() {
        return Ok(recipe.component);
    }
    Err(CliError::new(Exit::Invalid, format!("the build made no {}", recipe.component.display()))
        .code("A027")
        .hint("a library of Rust says `crate-type = [\"cdylib\"]`; other builds write to the name of the package"))
}

/// The component that a project has, built or not.
fn recipe(folder: &Path, config: &Config) -> Result<Recipe, CliError> {
    let there = |name: &str| folder.join(name).is_file();
    let project = if there("Cargo.toml") {
        Project::Rust
    } else if there("package.json") {
        Project::Js
    } else if there("app.py") {
        Project::Python
    } else {
        return Err(CliError::new(Exit::Usage, format!("{} is no project of a step", folder.display()))
            .code("A024")
            .hint("there is no Cargo.toml, no package.json and no app.py; `engine step new NAME` makes a project"));
    };
    match project {
        Project::Rust => rust(folder, config),
        Project::Js => js(folder),
        Project::Python => python(folder),
    }
}

fn rust(folder: &Path, config: &Config) -> Result<Recipe, CliError> {
    let manifest = read(&folder.join("Cargo.toml"))?;
    let name = value_of(&manifest, "name", '=').ok_or_else(|| nameless("Cargo.toml"))?;
    let set = |variable: &str| config.environment.get(variable).filter(|value| !value.is_empty());
    let target = set(RUST_TARGET_VARIABLE).map_or(RUST_TARGET, String::as_str);
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--target", target]);
    if target != RUST_TARGET && set("RUSTC_BOOTSTRAP").is_some() {
        command.args(["-Z", "build-std=std,panic_abort"]);
    }
    let directory = set("CARGO_TARGET_DIR").map_or_else(|| folder.join("target"), |path| config.directory.join(path));
    Ok(Recipe {
        tool: "cargo",
        command,
        component: directory.join(target).join("release").join(format!("{}.wasm", name.replace('-', "_"))),
        install: format!("rustup target add {RUST_TARGET}"),
    })
}

fn js(folder: &Path) -> Result<Recipe, CliError> {
    let package = read(&folder.join("package.json"))?;
    let package: serde_json::Value = serde_json::from_str(&package).map_err(|error| {
        CliError::new(Exit::Invalid, "package.json is not JSON").code("A028").caused_by(Some(&error))
    })?;
    let name = package["name"].as_str().ok_or_else(|| nameless("package.json"))?;
    let component = folder.join(format!("{name}.wasm"));
    if !folder.join("node_modules").is_dir() {
        return Err(CliError::new(Exit::Invalid, "the tools of the project are not installed")
            .code("A025")
            .hint(format!("run once: npm install --prefix {}", folder.display())));
    }
    let mut command = Command::new("npm");
    command.args(["run", "--silent", "build"]);
    Ok(Recipe { tool: "npm", command, component, install: "install Node.js 20 or newer".to_owned() })
}

fn python(folder: &Path) -> Result<Recipe, CliError> {
    let project = read(&folder.join("pyproject.toml"))?;
    let name = value_of(&project, "name", '=').ok_or_else(|| nameless("pyproject.toml"))?;
    let component = format!("{name}.wasm");
    // The folder's own environment first: what is in the PATH may be of another version.
    let own = Path::new(".venv/bin/componentize-py");
    let program = if folder.join(own).is_file() {
        std::fs::canonicalize(folder).map_err(|error| CliError::unexpected(&error))?.join(own)
    } else {
        PathBuf::from("componentize-py")
    };
    let mut command = Command::new(program);
    command.args(["-d", "wit", "-w", "step", "componentize", "app", "-p", ".", "--stub-wasi", "-o", &component]);
    Ok(Recipe {
        tool: "componentize-py",
        command,
        component: folder.join(component),
        install: format!(
            "cd {} && python3 -m venv .venv && .venv/bin/pip install componentize-py==0.25.1",
            folder.display()
        ),
    })
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| {
        CliError::new(Exit::Usage, format!("{} cannot be read", path.display())).code("A028").caused_by(Some(&error))
    })
}

fn nameless(file: &str) -> CliError {
    CliError::new(Exit::Invalid, format!("{file} names no package"))
        .code("A028")
        .hint("the component is called like the package: write its `name`")
}

/// The first `name = "…"` of a file, which is the package's in the files that people write.
fn value_of(text: &str, key: &str, sign: char) -> Option<String> {
    text.lines().find_map(|line| {
        let value = line.trim().strip_prefix(key)?.trim_start().strip_prefix(sign)?;
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

    fn refused(files: &[(&str, &str)]) -> Option<String> {
        let folder = folder(files);
        recipe(folder.path(), &config(folder.path(), &[])).err().and_then(|error| error.code)
    }

    #[test]
    fn a_project_is_known_by_its_files() {
        let rust = folder(&[("Cargo.toml", "[package]\nname = \"dns-check\"\n")]);
        let plain = recipe(rust.path(), &config(rust.path(), &[])).unwrap();
        assert_eq!(plain.component, rust.path().join("target/wasm32-wasip2/release/dns_check.wasm"));
        let other = [
            ("ENGINE_STEP_RUST_TARGET", "wasm32-unknown-unknown"),
            ("RUSTC_BOOTSTRAP", "1"),
            ("CARGO_TARGET_DIR", "t"),
        ];
        let odd = recipe(rust.path(), &config(rust.path(), &other)).unwrap();
        assert_eq!(odd.component, rust.path().join("t/wasm32-unknown-unknown/release/dns_check.wasm"));
        assert!(odd.command.get_args().any(|arg| arg == "build-std=std,panic_abort"));
        let python = folder(&[("app.py", ""), ("pyproject.toml", "[project]\nname = \"a\"\n")]);
        let recipe = recipe(python.path(), &config(python.path(), &[])).unwrap();
        assert_eq!((recipe.tool, recipe.component), ("componentize-py", python.path().join("a.wasm")));
    }

    #[test]
    fn what_is_missing_has_a_code() {
        assert_eq!(refused(&[]).as_deref(), Some("A024"));
        assert_eq!(refused(&[("Cargo.toml", "[workspace]\n")]).as_deref(), Some("A028"));
        assert_eq!(refused(&[("package.json", "{")]).as_deref(), Some("A028"));
        assert_eq!(refused(&[("package.json", "{\"name\":\"a\"}")]).as_deref(), Some("A025"));
        assert_eq!(refused(&[("app.py", "")]).as_deref(), Some("A028"));
    }
}
