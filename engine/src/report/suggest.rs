//! Commands that a text proposes: complete, so that they can be copied as they stand.

use engine_core::id::{RunId, StepId};

/// What every proposed command must repeat of how this process was started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Suggest {
    /// Flags with their values, such as `--state`, `./state`; those that came from the environment are not repeated.
    flags: Vec<String>,
}

impl Suggest {
    pub fn new(flags: impl IntoIterator<Item = String>) -> Suggest {
        Suggest { flags: flags.into_iter().collect() }
    }

    pub fn resume(&self, run: &RunId) -> String {
        self.command(&["resume", run.as_str()])
    }

    /// One of the three answers to a parked step: `again`, `done` or `skip`.
    pub fn settle(&self, run: &RunId, answer: Answer, step: &StepId) -> String {
        format!("{} --because TEXT", self.command(&["resume", run.as_str(), answer.flag(), step.as_str()]))
    }

    pub fn logs(&self, run: &RunId, step: &StepId) -> String {
        self.command(&["logs", run.as_str(), step.as_str()])
    }

    pub fn status(&self, run: &RunId) -> String {
        self.command(&["status", run.as_str()])
    }

    /// `engine run` of a file with its inputs and clusters as the person gave them.
    pub fn run(&self, words: &[String]) -> String {
        let words: Vec<&str> = std::iter::once("run").chain(words.iter().map(String::as_str)).collect();
        self.command(&words)
    }

    /// `engine explain` reads no state, so no flags are repeated.
    pub fn explain(&self, topic: &str) -> String {
        format!("engine explain {}", quoted(topic))
    }

    fn command(&self, words: &[&str]) -> String {
        let mut text = "engine".to_owned();
        for word in words.iter().copied().chain(self.flags.iter().map(String::as_str)) {
            text.push(' ');
            text.push_str(&quoted(word));
        }
        text
    }
}

/// What a person may say about a parked step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Again,
    Done,
    Skip,
}

impl Answer {
    pub fn flag(self) -> &'static str {
        match self {
            Answer::Again => "--again",
            Answer::Done => "--done",
            Answer::Skip => "--skip",
        }
    }
}

/// As a shell takes it for one word: the brackets of `region[alpha].deploy` are a pattern to it.
fn quoted(word: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_safe) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_copied_into_a_shell() {
        let suggest = Suggest::new(["--state".to_owned(), "my state".to_owned()]);
        let run: RunId = "zheng-7f3a".parse().unwrap();
        assert_eq!(suggest.resume(&run), "engine resume zheng-7f3a --state 'my state'");
        assert_eq!(
            Suggest::default().settle(&run, Answer::Done, &StepId::new("region[alpha].deploy")),
            "engine resume zheng-7f3a --done 'region[alpha].deploy' --because TEXT"
        );
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
