//! What is where in the state directory. Everything is private to one user: directories 0700, files 0600.
//!
//! ```text
//! <state>/runs/<run>/journal        facts                    (file.rs)
//!                    checkpoints/   folded states            (checkpoint.rs)
//!                    plan.json      the compiled plan
//!                    source/        the files it was made of
//!                    values/<sha>   outputs too large for a record
//!                    logs/<step>    full logs                (logs.rs)
//! <state>/locks/<sha of the lock name>                       (lock.rs)
//! <state>/keys/                     sealed keys
//! <state>/pins/                     cluster identities trusted on first use
//! ```

use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use engine_core::id::{Digest, RunId, StepId};

use super::error::{JournalError, StateError};
use super::{lock, logs};
use crate::disk;

/// The directory of `--state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDir(PathBuf);

/// The directory of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
    id: RunId,
}

impl StateDir {
    /// For reading: nothing is made or checked, and a directory that is not there holds no runs.
    pub fn at(path: impl Into<PathBuf>) -> StateDir {
        StateDir(path.into())
    }

    /// For writing: makes what is missing, and refuses a directory whose content others could change or that lies where locks and
    /// flushes cannot be trusted.
    pub fn open(path: impl Into<PathBuf>) -> Result<StateDir, StateError> {
        let state = StateDir(path.into());
        let path = &state.0;
        disk::make_directory(path).map_err(|error| StateError::io(path, "made", error))?;
        let metadata = path.metadata().map_err(|error| StateError::io(path, "read", error))?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(StateError::NotPrivate { path: path.clone(), fault: "belongs to another user" });
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(StateError::NotPrivate { path: path.clone(), fault: "can be written by others" });
        }
        lock::refuse_network_file_system(path)?;
        for part in [state.runs_path(), state.locks(), state.keys(), state.pins()] {
            disk::make_directory(&part).map_err(|error| StateError::io(&part, "made", error))?;
        }
        Ok(state)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn locks(&self) -> PathBuf {
        self.0.join("locks")
    }

    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    pub fn pins(&self) -> PathBuf {
        self.0.join("pins")
    }

    pub fn run(&self, id: &RunId) -> RunDir {
        RunDir { path: self.runs_path().join(id.as_str()), id: id.clone() }
    }

    /// Every run, by id. Entries that cannot be a run are not ours and are left out.
    pub fn runs(&self) -> Result<Vec<RunDir>, StateError> {
        let path = self.runs_path();
        let failed = |error| StateError::io(&path, "read", error);
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut runs = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
                runs.push(RunDir { path: entry.path(), id });
            }
        }
        runs.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(runs)
    }

    fn runs_path(&self) -> PathBuf {
        self.0.join("runs")
    }
}

impl RunDir {
    /// Makes the directory of a new run; of two processes with the same id exactly one succeeds. Until its journal holds a record
    /// ([`super::reader::has_begun`]) the run was only prepared.
    pub fn create(&self) -> Result<(), JournalError> {
        match std::fs::DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(JournalError::Exists { run: self.id.to_string() });
            }
            made => made.map_err(|error| JournalError::io(&self.path, "created", error))?,
        }
        let made = || -> io::Result<()> {
            disk::sync_directory(disk::parent_of(&self.path))?;
            ["source", "values", "logs"].iter().try_for_each(|part| disk::make_directory(&self.path.join(part)))
        };
        made().map_err(|error| JournalError::io(&self.path, "created", error))
    }

    pub fn id(&self) -> &RunId {
        &self.id
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    pub fn plan(&self) -> PathBuf {
        self.path.join("plan.json")
    }

    pub fn source(&self) -> PathBuf {
        self.path.join("source")
    }

    pub fn value(&self, digest: &Digest) -> PathBuf {
        self.path.join("values").join(digest.as_str())
    }

    pub fn log(&self, step: &StepId) -> PathBuf {
        self.path.join("logs").join(logs::file_name(step))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::journal::testing::new_run;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().mode() & 0o777
    }

    #[test]
    fn every_directory_is_private() {
        let (dir, run) = new_run();
        for path in
            ["locks", "keys", "pins", "runs", "runs/zheng-7f3a", "runs/zheng-7f3a/logs", "runs/zheng-7f3a/values"]
        {
            assert_eq!(mode(&dir.path().join(path)), 0o700, "{path}");
        }
        assert_eq!(run.path(), dir.path().join("runs/zheng-7f3a"));
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
        let error = StateDir::open(&path).unwrap_err();
        assert_eq!(error.to_string(), format!("the state directory {} can be written by others", path.display()));
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 0, "nothing was made in it");
    }

    #[test]
    fn a_file_where_the_state_should_be_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(StateDir::open(&path), Err(StateError::Io { verb: "made", .. })));
    }

    #[test]
    fn runs_are_listed_by_id_and_a_state_that_is_not_there_has_none() {
        let (dir, run) = new_run();
        let state = StateDir::at(dir.path());
        state.run(&"another".parse().unwrap()).create().unwrap();
        std::fs::create_dir(dir.path().join("runs/Not A Run")).unwrap();
        let ids: Vec<_> = state.runs().unwrap().iter().map(|run| run.id().to_string()).collect();
        assert_eq!(ids, ["another", run.id().as_str()]);
        assert_eq!(StateDir::at(dir.path().join("nowhere")).runs().unwrap(), []);
    }
}
