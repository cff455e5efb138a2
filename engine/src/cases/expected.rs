//! The nodes `expect` of a case.

use engine_core::diagnostic::{Problem, Spanned, nearest};
use engine_core::syntax::Node;
use steps_sdk::StepSpec;
use steps_sdk::outcome::{Certainty, Change, ChangeAction, FieldChange};
use steps_sdk::schema::Schema;
use steps_sdk::spec::Outputs;

use super::case::{CLASSES, Expected, What, Word};
use super::form::{Form, Problems, any, spanned};

const KINDS: [&str; 12] = [
    "outputs", "summary", "same", "failure", "preview", "later", "verdict", "undone", "waiting", "log", "hold", "memo",
];
const FIELD: Form = Form {
    usage: "field \"spec.replicas\" { before 1 ; after 3 }",
    args: 1..=1,
    props: &[],
    children: Some(&["before", "after"]),
};
const CHANGE: Form = Form {
    usage: "create \"Service kcp/lb\" certainty=server { field … }",
    args: 1..=1,
    props: &["certainty"],
    children: Some(&["field", "conflict"]),
};
const CONFLICT: Form = Form { usage: "conflict \"why\"", args: 1..=1, props: &[], children: Some(&[]) };

pub const ACTIONS: [(&str, ChangeAction); 6] = [
    ("create", ChangeAction::Create),
    ("update", ChangeAction::Update),
    ("same", ChangeAction::Same),
    ("delete", ChangeAction::Delete),
    ("run", ChangeAction::Run),
    ("unknown", ChangeAction::Unknown),
];

pub const CERTAINTIES: [(&str, Certainty); 3] =
    [("server", Certainty::Server), ("schema", Certainty::Schema), ("later", Certainty::Later)];

/// One `expect` node.
pub fn read(node: &Node, spec: &StepSpec, problems: &mut Problems) -> Option<Expected> {
    let Some(word) = node.args.first().map(spanned) else {
        problems.push(
            Problem::error("A002", node.name.at, "it is not said what is expected")
                .help(format!("write `expect WHAT …`; WHAT is one of {}", KINDS.join(", "))),
        );
        return None;
    };
    let what = match word.value.as_str() {
        "outputs" => outputs(node, spec, problems)?,
        "same" => plain(node, "expect same", 1, problems).then_some(What::Same)?,
        "failure" => failure(node, problems)?,
        "preview" => preview(node, problems)?,
        "verdict" => verdict(node, problems)?,
        "hold" | "memo" => named_value(node, &word.value, problems)?,
        "summary" => What::Summary(text(node, "expect summary \"…\"", problems)?),
        "later" => What::Later(text(node, "expect later \"…\"", problems)?),
        "undone" => What::Undone(text(node, "expect undone \"…\"", problems)?),
        "waiting" => What::Waiting(text(node, "expect waiting \"a part of the reason\"", problems)?),
        "log" => What::Log(text(node, "expect log \"a part of the line\"", problems)?),
        _ => {
            unknown(&word, problems);
            return None;
        }
    };
    Some(Expected { at: node.at, what })
}

fn unknown(word: &Spanned<String>, problems: &mut Problems) {
    let problem = Problem::error("A004", word.at, format!("nothing that can be expected is called `{}`", word.value));
    let problem = match nearest(&word.value, KINDS) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem,
    };
    problems.push(problem.help(format!("it is one of {}", KINDS.join(", "))));
}

fn plain(node: &Node, usage: &'static str, args: usize, problems: &mut Problems) -> bool {
    problems.check(node, &Form { usage, args: args..=args, props: &[], children: Some(&[]) })
}

/// The text after the word.
fn text(node: &Node, usage: &'static str, problems: &mut Problems) -> Option<String> {
    plain(node, usage, 2, problems).then(|| problems.text(&node.args[1], "what is expected")).flatten()
}

fn outputs(node: &Node, spec: &StepSpec, problems: &mut Problems) -> Option<What> {
    let partly = problems.flag(node, "partly");
    let props = node.props.iter().filter(|prop| prop.name.value != "partly").cloned().collect();
    let node = Node { props, ..node.clone() };
    let schema: Schema = match &spec.outputs {
        // Of an object of which only a part is written, nothing is missing.
        _ if partly => any(),
        Outputs::Fields(schema) => schema.clone(),
        Outputs::SameAsInputs => spec.inputs.clone(),
    };
    let value = problems.value(&node, 1, &schema)?;
    Some(What::Outputs { value, partly })
}

fn failure(node: &Node, problems: &mut Problems) -> Option<What> {
    let form = Form {
        usage: "expect failure class=permanent code=CDN01 message-has=\"…\"",
        args: 1..=1,
        props: &["class", "code", "message-has"],
        children: Some(&[]),
    };
    problems.check(node, &form);
    let class = match node.prop("class") {
        Some(prop) => Some(problems.word(&spanned(&prop.value), "`class`", &CLASSES)?),
        None => None,
    };
    Some(What::Failure { class, code: problems.prop(node, "code"), message_has: problems.prop(node, "message-has") })
}

fn preview(node: &Node, problems: &mut Problems) -> Option<What> {
    let form = Form {
        usage: "expect preview { create \"Service kcp/lb\" certainty=server }",
        args: 1..=1,
        props: &[],
        children: None,
    };
    problems.check(node, &form);
    node.children().iter().map(|child| change(child, problems)).collect::<Option<Vec<_>>>().map(What::Changes)
}

fn change(node: &Node, problems: &mut Problems) -> Option<Change> {
    let action = problems.word(&node.name, "a change", &ACTIONS)?;
    if !problems.check(node, &CHANGE) {
        return None;
    }
    let certainty = match node.prop("certainty") {
        Some(prop) => problems.word(&spanned(&prop.value), "`certainty`", &CERTAINTIES)?,
        None => Certainty::Server,
    };
    let mut fields = Vec::new();
    for field in node.children().iter().filter(|child| child.name.value == "field") {
        if !problems.check(field, &FIELD) {
            return None;
        }
        let side =
            |name: &str, problems: &mut Problems| field.child(name).map(|child| problems.value(child, 0, &any()));
        let (before, after) = (side("before", problems), side("after", problems));
        fields.push(FieldChange { path: problems.first(field)?, before: before.flatten(), after: after.flatten() });
    }
    let conflict = match node.child("conflict").filter(|child| problems.check(child, &CONFLICT)) {
        Some(child) => problems.first(child),
        None => None,
    };
    Some(Change { object: problems.first(node)?, action, certainty, fields, conflict, waits_for: None })
}

fn verdict(node: &Node, problems: &mut Problems) -> Option<What> {
    let form =
        Form { usage: "expect verdict gone \"a part of the reason\"", args: 2..=3, props: &[], children: Some(&[]) };
    if !problems.check(node, &form) {
        return None;
    }
    let word = problems.word(&spanned(&node.args[1]), "a verdict", &Word::ALL)?;
    let reason_has = match node.args.get(2) {
        Some(arg) => Some(problems.text(arg, "the reason")?),
        None => None,
    };
    Some(What::Verdict { word, reason_has })
}

/// `expect hold NAME { … }`, `expect memo KEY VALUE`.
fn named_value(node: &Node, word: &str, problems: &mut Problems) -> Option<What> {
    let Some(arg) = node.args.get(1) else {
        problems.push(
            Problem::error("A002", node.head(), format!("the {word} has no name"))
                .help(format!("write `expect {word} NAME {{ … }}`")),
        );
        return None;
    };
    let name = problems.text(arg, "the name")?;
    let value = problems.value(node, 2, &any())?;
    Some(match word {
        "hold" => What::Hold { name, data: value },
        _ => What::Memo { key: name, value },
    })
}
