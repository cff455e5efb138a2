//! YAML files that a step names.

use serde_json::json;

use super::kinds;
use crate::diagnostic::{Source, SourceId};
use crate::syntax;
use crate::workflow::{Content, Files, Reading, Written, read};

const STEP: &str =
    "workflow t\ninput n type=int default=2\ncluster eu\nstep a uses=k.apply on=eu { manifest \"m.yaml\" }\n";

fn with_file(yaml: &str) -> Reading {
    let source = Source { name: "t.kdl".into(), text: STEP.into() };
    let (document, _) = syntax::parse(SourceId(0), &source);
    let file = (SourceId(1), Source { name: "m.yaml".into(), text: yaml.into() });
    let files = Files { read: [((SourceId(0), "m.yaml".to_owned()), Ok(vec![file]))].into() };
    read(&document, &crate::workflow::Library::default(), &kinds::specs(), &files)
}

/// The documents of the one manifest.
fn documents(reading: &Reading) -> Vec<Written> {
    let workflow = reading.workflow.as_ref().unwrap_or_else(|| panic!("{:#?}", reading.problems));
    let Content::Map(fields) = &workflow.steps[0].body.content else { panic!("a map") };
    let manifests = &fields.iter().find(|(name, _)| name == "manifest").unwrap().1;
    let Content::List(manifests) = &manifests.content else { panic!("a list") };
    let Content::Map(fields) = &manifests[0].content else { panic!("a map") };
    let Content::List(documents) = &fields.iter().find(|(name, _)| name == "documents").unwrap().1.content else {
        panic!("a list")
    };
    documents.clone()
}

#[test]
fn documents_are_read_as_kubernetes_reads_them() {
    let reading = with_file(
        "---\nkind: A\nmode: 0644\non: \"yes\"\nratio: 0.5\nnothing: null\nflag: yes\nitems: [1, {x: why}]\n---\n---\nkind: B\ntext: |\n  two\n  lines\n",
    );
    let values: Vec<_> = documents(&reading).iter().map(|document| document.as_literal().unwrap()).collect();
    assert_eq!(
        values,
        [
            json!({ "kind": "A", "mode": 420, "on": "yes", "ratio": 0.5, "nothing": null, "items": [1, { "x": "why" }], "flag": true }),
            json!({ "kind": "B", "text": "two\nlines\n" }),
        ]
    );
}

#[test]
fn expressions_stand_in_scalar_values_only() {
    let yaml = "kind: A\n\"${inputs.n}\": key\nspec:\n  replicas: ${inputs.n}\n  # ${nobody}\n  name: \"x-${inputs.n}\"\n  shell: $${HOME}\n";
    let document = &documents(&with_file(yaml))[0];
    let mut formulas = Vec::new();
    document.visit(&mut |mention| {
        if let crate::workflow::written::Mention::Formula(formula, _) = mention {
            formulas.push(&yaml[formula.at.start..formula.at.end] == "${inputs.n}");
        }
    });
    assert_eq!(formulas, [true, false], "one whole scalar and one part of a text, at their own places");
    let Content::Map(fields) = &document.content else { panic!("a map") };
    assert_eq!(fields[1].0, "${inputs.n}", "a key is a key");
}

#[test]
fn what_is_wrong_in_a_file_is_shown_in_that_file() {
    for (yaml, code, marked) in [
        ("kind: A\nspec: ${inputs.m}\n", "L111", "${inputs.m}"),
        ("kind: A\nspec: [1, 2\n", "L239", ""),
        ("kind: A\nkind: B\n", "L239", "kind"),
        ("kind: A\nx: \"${\"\n", "", "\"${\""),
    ] {
        let reading = with_file(yaml);
        assert_eq!(reading.problems.len(), 1, "{yaml}: {:#?}", reading.problems);
        let problem = &reading.problems[0];
        let at = problem.at.unwrap();
        assert_eq!(at.source, SourceId(1), "{yaml}: {problem:?}");
        assert!(code.is_empty() || problem.code == code, "{yaml}: {problem:?}");
        assert!(marked.is_empty() || &yaml[at.start..at.end] == marked, "{yaml}: {problem:?}");
    }
}

#[test]
fn a_file_that_is_not_at_hand_is_asked_for_once_and_one_that_cannot_be_read_is_a_problem() {
    let source = Source { name: "t.kdl".into(), text: STEP.into() };
    let (document, _) = syntax::parse(SourceId(0), &source);
    let first = read(&document, &crate::workflow::Library::default(), &kinds::specs(), &Files::default());
    assert_eq!(first.wanted.iter().map(|path| path.value.as_str()).collect::<Vec<_>>(), ["m.yaml"]);
    assert!(first.workflow.is_none() && first.problems.is_empty());
    let files = Files { read: [((SourceId(0), "m.yaml".to_owned()), Err("there is no such file".to_owned()))].into() };
    let second = read(&document, &crate::workflow::Library::default(), &kinds::specs(), &files);
    assert_eq!(second.problems[0].code, "L239");
    assert!(second.problems[0].message.contains("no such file"));
}
