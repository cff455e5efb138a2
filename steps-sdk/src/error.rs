//! How a step says that it failed. This is data: it is stored in the journal and shown later, perhaps by another process.

use serde::{Deserialize, Serialize};

/// What the engine may do about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// The same call may work later: the step's retry policy decides.
    Transient,
    /// The same call will fail again.
    Permanent,
    /// Somebody has to do or decide something; the step is parked and the help is shown.
    NeedsPerson,
}

/// Why a step failed. Messages are lower case without a full stop; what to do about it stands in `help`; secret bytes in neither.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    pub class: ErrorClass,
    /// A code with a section in docs/errors.md, for instance `K201`.
    pub code: String,
    pub message: String,
    /// From the nearest cause to the root, each readable alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// Nothing outside was begun: even a `once` step may be tried again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_started: bool,
    /// What the other side asked for, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl StepError {
    pub fn new(class: ErrorClass, code: &str, message: impl Into<String>) -> Self {
        StepError {
            class,
            code: code.to_owned(),
            message: message.into(),
            causes: Vec::new(),
            help: None,
            not_started: false,
            retry_after_ms: None,
        }
    }

    pub fn transient(code: &str, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Transient, code, message)
    }

    pub fn permanent(code: &str, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Permanent, code, message)
    }

    pub fn needs_person(code: &str, message: impl Into<String>) -> Self {
        Self::new(ErrorClass::NeedsPerson, code, message)
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    #[must_use]
    pub fn cause(mut self, cause: impl ToString) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds an error and everything it was caused by.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            let text = cause.to_string();
            // Many crates repeat their source's text in their own message: one line each is enough.
            if self.causes.last().is_none_or(|last| !last.contains(&text)) {
                self.causes.push(text);
            }
            next = cause.source();
        }
        self
    }

    #[must_use]
    pub fn not_started(mut self) -> Self {
        self.not_started = true;
        self
    }
}
