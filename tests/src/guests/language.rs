//! The languages that a step can be written in, and the tools that each needs. They are brought into a cache, which makes a second run
//! quicker and is never needed.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Rust,
    Js,
    Python,
    Go,
}

/// What a language's tools need to be told.
pub type Variables = Vec<(String, OsString)>;

impl Language {
    pub const ALL: [Language; 4] = [Language::Rust, Language::Js, Language::Python, Language::Go];

    /// As `engine step new --lang` has it.
    pub fn word(self) -> &'static str {
        match self {
            Language::Rust => "rust",
            Language::Js => "js",
            Language::Python => "python",
            Language::Go => "go",
        }
    }

    /// The file of a project that is the step; the conformance suite has one of the same name.
    pub fn source(self) -> &'static str {
        match self {
            Language::Rust => "src/lib.rs",
            Language::Js => "step.js",
            Language::Python => "app.py",
            Language::Go => "main.go",
        }
    }

    /// Whether the same sources become the same bytes. A component whose bytes are new is compiled once more before it runs, which for an
    /// interpreter takes longer than all its cases.
    pub fn is_repeatable(self) -> bool {
        match self {
            Language::Rust | Language::Go => true,
            Language::Js | Language::Python => false,
        }
    }

    /// Brings what a project needs; gives the variables that its build is started with.
    pub fn bring(self, project: &Path, cache: &Path, custom: &Path) -> Result<Variables, String> {
        match self {
            Language::Rust => {
                let mut script = Command::new(custom.join("build"));
                variables(&said(script.arg("--env").env("ENGINE_GUESTS", cache))?)
            }
            Language::Js => packages_of_node(project, &cache.join("js")).map(|()| Vec::new()),
            Language::Python => packages_of_python(project, &cache.join("python")).map(|()| Vec::new()),
            Language::Go => said(Command::new("go").arg("version")).map(|_| Vec::new()),
        }
    }
}

/// `NAME=value`, a line each.
fn variables(text: &str) -> Result<Variables, String> {
    let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), OsString::from(value)));
    Ok(text.lines().filter_map(pair).collect())
}

/// The packages that the project names, installed once for all projects that name the same.
fn packages_of_node(project: &Path, place: &Path) -> Result<(), String> {
    let wanted = std::fs::read_to_string(project.join("package.json")).map_err(|error| error.to_string())?;
    // The name is the project's own, and says nothing of what is installed.
    let wanted: Vec<&str> = wanted.lines().filter(|line| line.contains("@bytecodealliance/")).collect();
    let manifest = format!("{{ \"private\": true, \"devDependencies\": {{ {} }} }}\n", wanted.join(" ").trim());
    if std::fs::read_to_string(place.join("installed.json")).is_ok_and(|installed| installed == manifest) {
        return link(&place.join("node_modules"), &project.join("node_modules"));
    }
    written(&place.join("package.json"), &manifest)?;
    said(Command::new("npm").args(["install", "--silent", "--no-audit", "--no-fund"]).current_dir(place))?;
    written(&place.join("installed.json"), &manifest)?;
    link(&place.join("node_modules"), &project.join("node_modules"))
}

fn packages_of_python(project: &Path, place: &Path) -> Result<(), String> {
    let wanted = std::fs::read_to_string(project.join("pyproject.toml")).map_err(|error| error.to_string())?;
    let (_, rest) = wanted.split_once("\"componentize-py==").ok_or("pyproject.toml names no componentize-py")?;
    let package = format!("componentize-py=={}", rest.split('"').next().unwrap_or_default());
    let own = place.join(&package);
    if !own.join("bin/componentize-py").exists() {
        said(Command::new("python3").args(["-m", "venv"]).arg(&own))?;
        said(Command::new(own.join("bin/pip")).args(["install", "--quiet", &package]))?;
    }
    link(&own, &project.join(".venv"))
}

fn link(there: &Path, here: &Path) -> Result<(), String> {
    std::os::unix::fs::symlink(there, here).map_err(|error| format!("{}: {error}", here.display()))
}

/// Writes a file and the folders above it.
pub fn written(path: &Path, text: &str) -> Result<(), String> {
    let made = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| std::fs::write(path, text));
    made.map_err(|error| format!("{}: {error}", path.display()))
}

/// What a program writes to standard output; if it fails, what it said.
pub fn said(command: &mut Command) -> Result<String, String> {
    let name = PathBuf::from(command.get_program());
    let name = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name} cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let all = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    Err(format!("{name} failed\n{}", String::from_utf8_lossy(&all).trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_a_line_each() {
        assert_eq!(
            variables("A=1\nB=x=y\n\n").unwrap(),
            [("A".to_owned(), "1".into()), ("B".to_owned(), "x=y".into())]
        );
    }

    #[test]
    fn what_a_program_said_is_in_its_failure() {
        assert_eq!(said(Command::new("sh").args(["-c", "echo well"])).unwrap(), "well\n");
        let failed = said(Command::new("sh").args(["-c", "echo badly >&2; exit 1"])).unwrap_err();
        assert_eq!(failed, "sh failed\nbadly");
        assert!(said(&mut Command::new("/nonexistent/tool")).unwrap_err().starts_with("tool cannot be started"));
    }
}
