//! What goes wrong in a command, made once at the top: message, causes, hints, exit code.

use std::error::Error;

use super::exit::Exit;
use crate::report::words;

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

    /// Error and causes, then the hints after a blank line, in at most so many columns.
    pub fn text(&self, columns: usize) -> String {
        let code = self.code.as_ref().map(|code| format!("[{code}]")).unwrap_or_default();
        let mut lines = words::wrap(&format!("error{code}: {}", self.message), columns);
        for cause in &self.causes {
            lines.extend(indented("  cause: ", cause, columns));
        }
        if !self.hints.is_empty() {
            lines.push(String::new());
        }
        for hint in &self.hints {
            match hint.contains(": engine ") {
                // A command stays on one line, so that it can be copied.
                true => lines.push(format!("  {hint}")),
                false => lines.extend(indented("  ", hint, columns)),
            }
        }
        lines.join("\n") + "\n"
    }
}

/// `head` before the first line, as many spaces before the others.
fn indented(head: &str, text: &str, columns: usize) -> Vec<String> {
    let lines = words::wrap(text, columns.saturating_sub(head.len()));
    let line =
        |(i, line): (usize, String)| format!("{:width$}{line}", if i == 0 { head } else { "" }, width = head.len());
    lines.into_iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_wrapped_and_a_command_is_not() {
        let error = CliError::new(Exit::Preflight, "context `region-b` does not lead to cluster `a`")
            .code("C010")
            .hint("nothing was written to any cluster; use the right context")
            .hint("look at it: engine status region-trust-b46a --state a-long-way/to/the/state");
        assert_eq!(
            error.text(40),
            "error[C010]: context `region-b` does not\nlead to cluster `a`\n\n  nothing was written to any cluster;\n  \
             use the right context\n  look at it: engine status region-trust-b46a --state a-long-way/to/the/state\n"
        );
    }
}
