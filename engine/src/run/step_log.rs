//! What an attempt says, kept whole on disk: its lines, the reasons of its waits, and why it failed.

use engine_core::id::StepId;
use steps_sdk::StepError;
use steps_sdk::context::LogLevel;

use super::Clock;
use super::verbs::Said;
use crate::journal::RunDir;
use crate::journal::logs::{self, LogLine};

/// The log of one attempt of one step.
pub struct StepLog {
    files: RunDir,
    step: StepId,
    attempt: u32,
    clock: Clock,
}

impl StepLog {
    pub fn new(files: RunDir, step: StepId, attempt: u32, clock: Clock) -> StepLog {
        StepLog { files, step, attempt, clock }
    }

    pub fn note(&self, said: &Said) {
        match said {
            Said::Log { level, message } => self.write(*level, message.clone()),
            Said::Waiting { reason } => self.write(LogLevel::Info, format!("waits: {reason}")),
            Said::Memo { .. } | Said::Hold { .. } => {}
        }
    }

    pub fn error(&self, error: &StepError) {
        self.write(LogLevel::Error, error.to_string());
        for cause in &error.causes {
            self.write(LogLevel::Error, format!("cause: {cause}"));
        }
    }

    /// A log is worth less than the step: a line that cannot be written is said to the one who looks for it with `-v`.
    fn write(&self, level: LogLevel, message: String) {
        let line = LogLine { time: (self.clock)(), attempt: self.attempt, level, message };
        if let Err(error) = logs::append(&self.files, &self.step, &line) {
            tracing::warn!(step = %self.step, %error, "a line of the step's log could not be written");
        }
    }
}
