//! What goes wrong in a command, made once at the top: message, causes, hints, exit code.

use std::error::Error;

use super::exit::Exit;

/// An error that ends a command.
#[derive(Debug)]
pub struct CliError {
    pub exit: Exit,
    /// Has a section in docs/errors.md; absent where the message says all.
    pub code: Option<String>,
    pub message: String,
    pub causes: Vec<String>,
    /// What to do; printed last, one a line.
    pub hints: Vec<String>,
    /// Already on the screen, in a form of its own.
    pub told: bool,
}

impl CliError {
    pub fn new(exit: Exit, message: impl Into<String>) -> CliError {
        CliError { exit, code: None, message: message.into(), causes: Vec::new(), hints: Vec::new(), told: false }
    }

    /// The command has said itself what there is to say.
    pub fn told(exit: Exit) -> CliError {
        CliError { told: true, ..CliError::new(exit, "") }
    }

    /// A bug or a broken machine: nothing that the person did.
    pub fn unexpected(error: &dyn Error) -> CliError {
        CliError::new(Exit::Unexpected, error.to_string())
            .caused_by(error.source())
            .hint("this is unexpected; please report it with the command that shows it")
    }

    /// An error of a stage, with its own code, help and causes.
    pub fn of(exit: Exit, diagnostic: &dyn miette::Diagnostic) -> CliError {
        let mut error = CliError::new(exit, diagnostic.to_string()).caused_by(diagnostic.source());
        error.code = diagnostic.code().map(|code| code.to_string());
        error.hints.extend(diagnostic.help().map(|help| help.to_string()));
        error
    }

    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    #[must_use]
    pub fn caused_by(mut self, source: Option<&(dyn Error + 'static)>) -> Self {
        let mut next = source;
        while let Some(cause) = next {
            let text = cause.to_string();
            if self.causes.last().is_none_or(|last| !last.contains(&text)) {
                self.causes.push(text);
            }
            next = cause.source();
        }
        self
    }

    /// Error and causes, then the hints after a blank line.
    pub fn text(&self) -> String {
        let code = self.code.as_ref().map(|code| format!("[{code}]")).unwrap_or_default();
        let mut text = format!("error{code}: {}\n", self.message);
        for cause in &self.causes {
            text.push_str(&format!("  cause: {cause}\n"));
        }
        if !self.hints.is_empty() {
            text.push('\n');
            for hint in &self.hints {
                text.push_str(&format!("  {hint}\n"));
            }
        }
        text
    }
}
