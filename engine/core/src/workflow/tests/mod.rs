//! What is wrong in a file, as data: the text, and each problem with its code and the words that it marks.

mod body;
mod components;
mod expressions;
pub(crate) mod kinds;
mod language;
mod manifests;
mod templates;

use crate::diagnostic::{Severity, Source, SourceId};
use crate::syntax;
use crate::workflow::{Files, Reading, Workflow, read};

pub(crate) fn reading(text: &str) -> (Reading, Source) {
    let source = Source { name: "test.kdl".into(), text: text.into() };
    let (document, problems) = syntax::parse(SourceId(0), &source);
    assert!(problems.is_empty(), "the test's own text: {problems:?}\n{text}");
    (read(&document, &crate::workflow::Library::default(), &kinds::specs(), &Files::default()), source)
}

pub(crate) fn workflow(text: &str) -> Workflow {
    let (reading, _) = reading(text);
    let errors: Vec<_> = reading.problems.iter().filter(|problem| problem.is_error()).collect();
    reading.workflow.unwrap_or_else(|| panic!("{errors:#?}\n{text}"))
}

/// All problems of a text with a header, two clusters, an input and a secret before it.
fn check(text: &str, expected: &[(&str, &str)]) {
    let text = format!(
        "workflow test\ncluster eu {{ kubeconfig context=a }}\ncluster us {{ kubeconfig context=b }}\ninput domain type=hostname\ninput n type=int default=1\n\
         input list type=\"list<string>\" {{ default a b }}\nsecret token {{ from env=TOKEN }}\n{text}\n"
    );
    check_whole(&text, expected);
}

fn check_whole(text: &str, expected: &[(&str, &str)]) {
    let (reading, source) = reading(text);
    let found: Vec<(&str, &str)> = reading
        .problems
        .iter()
        .map(|problem| (problem.code, problem.at.map_or("", |at| &source.text[at.start..at.end])))
        .collect();
    assert_eq!(found, expected, "\n{text}\n{:#?}", reading.problems);
    let has_error = reading.problems.iter().any(|problem| problem.severity == Severity::Error);
    assert_eq!(reading.workflow.is_none(), has_error, "\n{text}");
    for problem in &reading.problems {
        let message = &problem.message;
        assert!(!message.ends_with('.') && !message.starts_with(char::is_uppercase), "{message}");
        assert!(
            problem.help.is_some() || !problem.label.is_empty() || !problem.related.is_empty(),
            "nothing says what to do: {message}"
        );
    }
}
