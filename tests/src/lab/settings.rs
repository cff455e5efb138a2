//! What a lab takes from the environment. This is the only place of the package that reads it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
pub struct Settings {
    /// Where programs are kept and where a lab lives unless another directory is named.
    home: PathBuf,
    /// `LAB_PROGRAMS`: a person's own programs, which go before those of the lab.
    pub own_programs: Option<PathBuf>,
    /// Directories in which the programs of the machine are looked for.
    pub path: Vec<PathBuf>,
}

impl Settings {
    #[allow(clippy::disallowed_methods, reason = "the one place where this package reads its environment")]
    pub fn from_environment() -> Settings {
        Settings::from(|name| env::var_os(name).filter(|value| !value.is_empty()))
    }

    fn from(variable: impl Fn(&str) -> Option<OsString>) -> Settings {
        let cache = variable("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")))
            .unwrap_or_else(env::temp_dir);
        let mut path: Vec<PathBuf> = variable("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
        // Servers are not on everybody's path.
        path.extend(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from));
        Settings { home: cache.join("engine-lab"), own_programs: variable("LAB_PROGRAMS").map(PathBuf::from), path }
    }

    /// Where the programs that were built are kept.
    pub fn programs(&self) -> PathBuf {
        self.home.join("bin")
    }

    /// Where `lab up` puts a lab when it is not told otherwise.
    pub fn lab(&self) -> PathBuf {
        self.home.join("up")
    }

    /// Where `lab up --zheng` does.
    pub fn zheng(&self) -> PathBuf {
        self.home.join("zheng")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Settings {
        Settings::from(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_cache_directory_is_the_users() {
        let cases = [
            (&[("XDG_CACHE_HOME", "/c"), ("HOME", "/h")][..], "/c/engine-lab/bin"),
            (&[("HOME", "/h")][..], "/h/.cache/engine-lab/bin"),
        ];
        for (variables, expected) in cases {
            assert_eq!(with(variables).programs(), Path::new(expected));
        }
    }

    #[test]
    fn servers_are_found_although_they_are_not_on_the_path() {
        assert!(with(&[("PATH", "/usr/bin")]).path.contains(&PathBuf::from("/usr/sbin")));
    }
}
