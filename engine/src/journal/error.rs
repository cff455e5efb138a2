//! What can go wrong with the journal and the state directory, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::Diagnostic;
use thiserror::Error;

use super::lock::Holder;

/// A failure of the journal. It can be cloned, because one failed write answers everyone who waited for it.
#[derive(Debug, Clone, Error, Diagnostic)]
pub enum JournalError {
    #[error("{path} could not be {verb}")]
    #[diagnostic(
        code(J601),
        help(
            "repair what the cause says (often: make room on the disk), then resume the run; nothing was written after the failure"
        )
    )]
    Io {
        /// The journal, or another file of the run.
        path: PathBuf,
        /// `written`, `made durable`, …
        verb: &'static str,
        #[source]
        source: Arc<io::Error>,
    },

    #[error("the journal {path} is corrupt at record {at_record}: {damage}")]
    #[diagnostic(
        code(J602),
        help("the file was left as it is; restore it from a backup, or start a new run: what is there is found again")
    )]
    Corrupt { path: PathBuf, at_record: u64, damage: Damage },

    #[error("record {at_record} of the journal {path} has format {found}; this program reads up to format {newest}")]
    #[diagnostic(
        code(J603),
        help("the run was continued by a newer version of engine: resume it with that version; nothing was changed")
    )]
    NewerFormat { path: PathBuf, at_record: u64, found: u64, newest: u64 },

    #[error("record {at_record} of the journal {path} is intact, but this program does not know what it says")]
    #[diagnostic(
        code(J604),
        help("the run was continued by another version of engine: resume it with that version; nothing was changed")
    )]
    UnknownEvent {
        path: PathBuf,
        at_record: u64,
        #[source]
        source: Arc<serde_json::Error>,
    },

    #[error("a record of {bytes} bytes for `{event}` is too large for the journal, which takes {bytes_max}")]
    #[diagnostic(code(J605), help("have the step put large content into a file or an object and hand on its name"))]
    TooLarge { event: &'static str, bytes: usize, bytes_max: usize },

    #[error("the journal's writer has stopped")]
    #[diagnostic(
        code(J606),
        help("this is a mistake in engine: please report it with the run's journal; the run can be resumed")
    )]
    Stopped,

    #[error("run `{run}` exists already")]
    #[diagnostic(code(J607), help("resume it with `engine resume {run}`, or choose another id"))]
    Exists { run: String },

    #[error("there is no run `{run}` in this state directory")]
    #[diagnostic(code(J608), help("`engine runs` lists the runs; `--state DIR` chooses another state directory"))]
    NoSuchRun { run: String },
}

/// Why a record cannot be one that we wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Damage {
    #[error("the line is not a record")]
    Shape,
    #[error("the checksum does not fit the line and the record before it")]
    Checksum,
    #[error("its number is {found}, but {expected} is due")]
    Sequence { expected: u64, found: u64 },
    #[error("its epoch {found} is lower than epoch {before} of the record before it")]
    EpochFell { before: u64, found: u64 },
    #[error("bytes are missing, although later records say that it was durable")]
    Hole,
}

/// A failure of the state directory around the journals.
#[derive(Debug, Error, Diagnostic)]
pub enum StateError {
    #[error("another run holds the lock `{lock}`{}", describe(.holder.as_ref()))]
    #[diagnostic(
        code(J610),
        help("wait until it ends, or stop it with Ctrl-C; a lock of a process that died is free at once")
    )]
    Held { lock: String, holder: Option<Holder> },

    #[error("the state directory {path} lies on a network file system ({kind})")]
    #[diagnostic(
        code(J611),
        help(
            "neither locks nor flushes can be trusted there: choose a local directory with `--state DIR` or ENGINE_STATE"
        )
    )]
    NetworkFileSystem { path: PathBuf, kind: String },

    #[error("the state directory cannot be used: {path} could not be {verb}")]
    #[diagnostic(
        code(J612),
        help(
            "check that the directory belongs to you and can be written, or choose another with `--state DIR` or ENGINE_STATE"
        )
    )]
    Io {
        path: PathBuf,
        verb: &'static str,
        #[source]
        source: io::Error,
    },

    #[error("the state directory {path} {fault}")]
    #[diagnostic(
        code(J613),
        help(
            "what lies there decides what is done to your clusters: make it yours alone (`chown`, `chmod 700`), or choose another"
        )
    )]
    NotPrivate { path: PathBuf, fault: &'static str },
}

impl JournalError {
    pub(super) fn io(path: &Path, verb: &'static str, source: io::Error) -> JournalError {
        JournalError::Io { path: path.to_owned(), verb, source: Arc::new(source) }
    }

    /// The run cannot be read by this program, as opposed to damaged: exit code 9 instead of 74.
    pub fn is_foreign(&self) -> bool {
        matches!(self, JournalError::NewerFormat { .. } | JournalError::UnknownEvent { .. })
    }
}

impl StateError {
    pub(super) fn io(path: &Path, verb: &'static str, source: io::Error) -> StateError {
        StateError::Io { path: path.to_owned(), verb, source }
    }
}

fn describe(holder: Option<&Holder>) -> String {
    holder
        .map_or_else(String::new, |holder| format!(": run `{}`, process {} on {}", holder.run, holder.pid, holder.host))
}
