//! KDL text becomes cases; all problems come at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine_core::diagnostic::{Problem, Source, SourceId, Spanned, nearest};
use engine_core::syntax::{self, Node};
use steps_sdk::value::ClusterName;
use steps_sdk::{StepSpec, Value};

use super::answers;
use super::case::{Case, Verb};
use super::expected;
use super::form::{Form, Problems, any, spanned};
use super::input::{self, Prepared};
use super::kinds::Kinds;

const CASE: Form = Form {
    usage: "case NAME { kind KIND ; input { … } ; host { … } ; expect … }",
    args: 1..=1,
    props: &[],
    children: Some(&[
        "doc", "kind", "verb", "on", "clusters", "attempt", "memo", "recorded", "hold", "secret", "grant", "limits",
        "input", "host", "expect",
    ]),
};
const ONE: Form = Form { usage: "NAME VALUE", args: 1..=1, props: &[], children: Some(&[]) };
const INPUT: Form = Form { usage: "input { NAME VALUE ; … }", args: 0..=0, props: &[], children: None };
const CLUSTERS: Form = Form { usage: "clusters NAME …", args: 1..=64, props: &[], children: Some(&[]) };

/// Only once in a case.
const SINGLE: [&str; 12] =
    ["doc", "kind", "verb", "on", "clusters", "attempt", "recorded", "hold", "grant", "limits", "input", "host"];

/// The cases of a text, and what is wrong with it. A case with a problem is left out.
pub fn read(id: SourceId, source: &Source, kinds: &Kinds) -> (Vec<Case>, Vec<Problem>) {
    let (document, found) = syntax::parse(id, source);
    let mut problems = Problems(found);
    let mut cases: Vec<Case> = Vec::new();
    let mut names: BTreeMap<String, Spanned<String>> = BTreeMap::new();
    for node in &document.nodes {
        if node.name.value != "case" {
            let problem = Problem::error("A001", node.name.at, format!("a file of cases has no `{}`", node.name.value));
            problems.push(problem.help(format!("it is made of `{}`", CASE.usage)));
            continue;
        }
        let before = problems.0.iter().filter(|problem| problem.is_error()).count();
        let case = read_case(node, kinds, &mut problems);
        let Some(case) = case else { continue };
        if let Some(first) = names.get(&case.name.value) {
            let problem = Problem::error("A005", case.name.at, format!("two cases are called `{}`", case.name.value));
            problems.push(problem.related(first.at, "the other one").help("give one of them another name"));
        }
        names.insert(case.name.value.clone(), case.name.clone());
        if problems.0.iter().filter(|problem| problem.is_error()).count() == before {
            cases.push(case);
        }
    }
    problems.0.sort_by_key(|problem| problem.at);
    (cases, problems.0)
}

fn read_case(node: &Node, kinds: &Kinds, problems: &mut Problems) -> Option<Case> {
    if !problems.check(node, &CASE) {
        return None;
    }
    let name = Spanned::new(problems.first(node)?, node.args[0].at);
    for single in SINGLE {
        let mut all = node.children().iter().filter(|child| child.name.value == single);
        if let (Some(first), Some(second)) = (all.next(), all.next()) {
            problems.push(
                Problem::error("A002", second.name.at, format!("`{single}` is given twice"))
                    .related(first.name.at, "first given here")
                    .help("leave one of them out"),
            );
        }
    }
    if let Some(input) = node.child("input") {
        // As a step, whose fields are children too.
        problems.check(input, &INPUT);
    }
    let (spec, kind_at) = kind(node, kinds, problems)?;
    let on = node.child("on").filter(|child| problems.check(child, &ONE)).and_then(|child| problems.first(child));
    let attempt = match node.child("attempt").filter(|child| problems.check(child, &ONE)) {
        Some(child) => problems.number(&child.args[0], "`attempt`", "a whole number from 1")?,
        None => 1u32,
    };
    let notes = notes(node, problems);
    let verb = verb(node, &spec, problems)?;
    let answers = match node.child("host") {
        Some(host) => answers::read(host, on.as_deref(), problems),
        None => Vec::new(),
    };
    let clusters = clusters(node, on.as_deref(), &answers, problems);
    let expects = node.children().iter().filter(|child| child.name.value == "expect");
    let expected = expects.filter_map(|child| expected::read(child, &spec, problems)).collect();
    let one =
        input::OneStep { case: node, spec: &spec, kind_at, on: on.as_deref(), clusters: &clusters, answers: &answers };
    let Prepared { inputs, grants, limits, time, is_wait } = input::prepare(&one, kinds, problems)?;
    Some(Case {
        name,
        at: node.at,
        kind: spec.kind.clone(),
        verb,
        on: on.map(ClusterName),
        clusters: clusters.into_iter().map(ClusterName).collect(),
        attempt,
        notes,
        inputs,
        grants,
        limits,
        time,
        is_wait,
        answers,
        host: node.child("host").map(|host| host.at),
        expected,
    })
}

fn kind(
    node: &Node,
    kinds: &Kinds,
    problems: &mut Problems,
) -> Option<(Arc<StepSpec>, engine_core::diagnostic::Place)> {
    let verbs: Vec<&str> = kinds.verbs().collect();
    let Some(child) = node.child("kind") else {
        // A component of one kind: there is nothing to choose.
        if let [only] = verbs.as_slice() {
            return kinds.get(only).map(|spec| (Arc::clone(spec), node.name.at));
        }
        problems.push(
            Problem::error("A002", node.name.at, "it is not said which kind the case is about")
                .help(format!("write `kind KIND`; the component has {}", verbs.join(", "))),
        );
        return None;
    };
    if !problems.check(child, &ONE) {
        return None;
    }
    let written = spanned(&child.args[0]);
    match kinds.get(&written.value) {
        Some(spec) => Some((Arc::clone(spec), written.at)),
        None => {
            let problem = Problem::error("A006", written.at, format!("the component has no kind `{}`", written.value));
            let problem = match nearest(&written.value, verbs.iter().copied()) {
                Some(near) => problem.label(format!("did you mean `{near}`?")),
                None => problem,
            };
            problems.push(problem.help(format!("it has {}", verbs.join(", "))));
            None
        }
    }
}

fn verb(node: &Node, spec: &StepSpec, problems: &mut Problems) -> Option<Verb> {
    let word = match node.child("verb") {
        Some(child) if problems.check(child, &ONE) => spanned(&child.args[0]),
        Some(_) => return None,
        None => Spanned::new("run".to_owned(), node.name.at),
    };
    let table = Verb::WORDS.map(|word| (word, word));
    let chosen = problems.word(&word, "`verb`", &table)?;
    let recorded = node.child("recorded");
    if let Some(odd) = recorded.filter(|_| !["verify", "undo"].contains(&chosen)) {
        problems.push(
            Problem::error("A001", odd.name.at, format!("`{chosen}` is given no recorded outputs"))
                .help("write `verb verify` or `verb undo`, or leave `recorded` out"),
        );
    }
    let outputs = match recorded {
        Some(child) => {
            let schema = match &spec.outputs {
                steps_sdk::spec::Outputs::Fields(schema) => schema.clone(),
                steps_sdk::spec::Outputs::SameAsInputs => spec.inputs.clone(),
            };
            Some(problems.value(child, 0, &schema)?)
        }
        None => None,
    };
    let hold = node.child("hold");
    if let Some(odd) = hold.filter(|_| chosen != "release") {
        problems.push(
            Problem::error("A001", odd.name.at, format!("`{chosen}` is given no hold"))
                .help("write `verb release`; what a run takes is `expect hold NAME { … }`"),
        );
    }
    Some(match chosen {
        "preview" => Verb::Preview,
        "verify" => Verb::Verify(outputs),
        "undo" => Verb::Undo(outputs),
        "release" => release(node, hold, problems)?,
        _ => Verb::Run,
    })
}

fn release(node: &Node, hold: Option<&Node>, problems: &mut Problems) -> Option<Verb> {
    let Some((hold, name)) = hold.and_then(|hold| Some((hold, hold.args.first()?))) else {
        let at = hold.map_or(node.name.at, Node::head);
        problems.push(
            Problem::error("A002", at, "it is not said which hold is given back")
                .help("write `hold NAME { … }` with the data that it was taken with"),
        );
        return None;
    };
    let name = problems.text(name, "the hold's name")?;
    let data = if hold.args.len() == 1 && hold.props.is_empty() && hold.children.is_none() {
        Value::Null
    } else {
        problems.value(hold, 1, &any())?
    };
    Some(Verb::Release { name, data })
}

fn notes(node: &Node, problems: &mut Problems) -> BTreeMap<String, Value> {
    let mut notes = BTreeMap::new();
    for child in node.children().iter().filter(|child| child.name.value == "memo") {
        let Some(key) = child.args.first() else {
            problems.push(
                Problem::error("A002", child.head(), "a memo has a key and a value").help("write `memo KEY VALUE`"),
            );
            continue;
        };
        if let (Some(key), Some(value)) = (problems.text(key, "the key"), problems.value(child, 1, &any())) {
            notes.insert(key, value);
        }
    }
    notes
}

/// Every cluster that the case speaks of, so that its input and its grants may name them.
fn clusters(
    node: &Node,
    on: Option<&str>,
    answers: &[super::case::Answer],
    problems: &mut Problems,
) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = on.map(str::to_owned).into_iter().collect();
    for answer in answers {
        if let super::case::Asked::Kubernetes { cluster, .. } = &answer.asked {
            names.insert(cluster.clone());
        }
    }
    if let Some(child) = node.child("clusters").filter(|child| problems.check(child, &CLUSTERS)) {
        names.extend(child.args.iter().filter_map(|arg| problems.text(arg, "a cluster")));
    }
    let granted = node.child("grant").into_iter().flat_map(Node::children);
    names.extend(
        granted
            .filter(|grant| grant.name.value == "k8s")
            .filter_map(|grant| grant.args.first()?.as_str().map(str::to_owned)),
    );
    names
}
