//! What the process was given beside its arguments: environment, terminal, directories. Read once, handed down as values.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;

use super::args::Common;
use super::error::CliError;
use super::exit::Exit;
use crate::report::{Look, Suggest};

/// Everything that the environment decides.
#[derive(Debug, Clone)]
pub struct Config {
    pub environment: BTreeMap<String, String>,
    /// The state directory; it may not exist yet.
    pub state: PathBuf,
    /// The seal key that was asked for; absent: the default, made when it is first needed.
    pub seal_key: Option<PathBuf>,
    /// Where a seal key of our own is made.
    pub data: PathBuf,
    /// Compiled components; may be deleted at any time.
    pub cache: PathBuf,
    pub directory: PathBuf,
    pub stdout: Look,
    pub stderr: Look,
    pub stderr_is_terminal: bool,
    /// Who works on a run: `user@host`.
    pub person: String,
    pub suggest: Suggest,
}

impl Config {
    pub fn read(common: &Common) -> Result<Config, CliError> {
        let environment: BTreeMap<String, String> =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        let directory = std::env::current_dir()
            .map_err(|e| CliError::new(Exit::Usage, "the current directory cannot be read").caused_by(Some(&e)))?;
        let state = match &common.state {
            Some(path) => path.clone(),
            None => xdg(&environment, "XDG_STATE_HOME", ".local/state").ok_or_else(|| {
                CliError::new(Exit::Usage, "there is no place for the state: HOME is not set")
                    .hint("name one: --state DIR")
            })?,
        };
        let data = xdg(&environment, "XDG_DATA_HOME", ".local/share").unwrap_or_else(|| state.with_extension("data"));
        let cache = xdg(&environment, "XDG_CACHE_HOME", ".cache").unwrap_or_else(|| state.with_extension("cache"));
        let (stdout, stderr) = (std::io::stdout().is_terminal(), std::io::stderr().is_terminal());
        // A flag that came from the environment is there again when the proposed command is typed.
        let mut repeated = Vec::new();
        for (flag, value, variable) in
            [("--state", &common.state, "ENGINE_STATE"), ("--seal-key", &common.seal_key, "ENGINE_SEAL_KEY")]
        {
            if let Some(path) = value.as_ref().filter(|_| !environment.contains_key(variable)) {
                repeated.extend([flag.to_owned(), path.display().to_string()]);
            }
        }
        Ok(Config {
            state: directory.join(state),
            seal_key: common.seal_key.as_ref().map(|path| directory.join(path)),
            data,
            cache,
            stdout: look(&environment, stdout),
            stderr: look(&environment, stderr),
            stderr_is_terminal: stderr,
            person: person(&environment),
            suggest: Suggest::new(repeated),
            environment,
            directory,
        })
    }

    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Where docker and its like keep who somebody is to a registry.
    pub fn registry_credentials(&self) -> Option<PathBuf> {
        let folder = match self.variable("DOCKER_CONFIG") {
            Some(folder) => self.directory.join(folder),
            None => self.directory.join(self.variable("HOME")?).join(".docker"),
        };
        Some(folder.join("config.json"))
    }
}

fn xdg(environment: &BTreeMap<String, String>, variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG base directory specification: a relative path in these variables is ignored.
    let base = set(variable).filter(|path| path.is_absolute()).or_else(|| Some(set("HOME")?.join(below_home)))?;
    Some(base.join("engine"))
}

fn look(environment: &BTreeMap<String, String>, is_terminal: bool) -> Look {
    let set = |name: &str| environment.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let forced = set("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    let colour = set("NO_COLOR").is_none() && (forced || (is_terminal && set("TERM") != Some("dumb")));
    let locale = set("LC_ALL").or(set("LC_CTYPE")).or(set("LANG")).unwrap_or_default().to_uppercase();
    let unicode = locale.contains("UTF-8") || locale.contains("UTF8");
    let columns = set("COLUMNS").and_then(|value| value.parse().ok());
    let (width, height) = if is_terminal { terminal_size() } else { (80, 24) };
    Look { width: columns.unwrap_or(width), height, colour, unicode }
}

/// Columns for the text of an error; what goes to a file or another program is not wrapped.
pub fn error_columns() -> usize {
    if std::io::stderr().is_terminal() { terminal_size().0 } else { usize::MAX }
}

/// Columns and rows of the terminal now.
pub fn terminal_size() -> (usize, usize) {
    crossterm::terminal::size()
        .map_or((80, 24), |(columns, rows)| (usize::from(columns).max(1), usize::from(rows).max(1)))
}

fn person(environment: &BTreeMap<String, String>) -> String {
    let user = environment.get("USER").or_else(|| environment.get("LOGNAME")).map_or("unknown", String::as_str);
    let host = rustix::system::uname();
    format!("{user}@{}", host.nodename().to_string_lossy())
}
