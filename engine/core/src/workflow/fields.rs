//! Nodes of the language itself: which properties and children they take, and their scalar settings.

use steps_sdk::value::Span;

use super::wording;
use crate::diagnostic::{Place, Problem, Spanned, nearest};
use crate::expr::Template;
use crate::syntax::{Arg, Node, Scalar, TextStyle};

/// What a node of the language takes.
pub(super) struct Form {
    /// "an input": for messages.
    pub what: &'static str,
    pub args_max: usize,
    pub props: &'static [&'static str],
    pub children: &'static [&'static str],
}

/// Where words of the language are legal; for people who put one into the wrong place.
const LEGAL: [(&str, &str); 45] = [
    ("uses", "a property of a step, `uses=k8s.apply`, and of a call, `uses=TEMPLATE`"),
    ("on", "a property of a step: `on=CLUSTER`"),
    ("when", "a property of a step: `when=\"inputs.x\"`"),
    ("needs", "a property or a child of a step, or a child of a group"),
    ("wait", "a child of a step: `wait for=\"5m\"`"),
    ("verify", "a child of a step"),
    ("retry", "a child of a step or of `defaults`: `retry attempts=3`"),
    ("timeout", "a child of a step or of `defaults`: `timeout \"5m\"`"),
    ("undo", "a child of a step"),
    ("doc", "a property of an input, a child elsewhere: `doc \"…\"`"),
    ("tags", "a child of a step: `tags a b`"),
    ("version", "a property of the workflow: `version=\"1.0.0\"`"),
    ("engine", "a child of the workflow: `engine \">=0.1\"`"),
    ("lock", "a child of the workflow: `lock \"NAME\"`"),
    ("limits", "a child of the workflow, `limits parallel=8`, and of `use`, `limits memory=\"64MiB\"`"),
    ("defaults", "a child of the workflow: `defaults { … }`"),
    ("parallel", "a property of `limits`, and of a `for-each` over steps"),
    ("per-cluster", "a property of `limits`"),
    ("type", "a property of an input: `type=string`, or a node of its own at the top: `type NAME { … }`"),
    ("default", "a property or a child of an input"),
    ("check", "a child of an input or a param: `check \"inputs.n > 0\" message=\"…\"`"),
    ("message", "a property of `check`"),
    ("kubeconfig", "a child of a cluster: `kubeconfig context=NAME`"),
    ("identity", "a child of a cluster: `identity uid=\"…\"`"),
    ("from", "a child of a secret: `from env=NAME`"),
    ("in", "a property of `for-each`: `in=\"inputs.list\"`"),
    ("key", "a property of a `for-each` over steps: `key=\"item.name\"`"),
    ("as", "a property of a `for-each` over steps, `as=region`, and of `use`, `as=cdn`"),
    ("on-failure", "a property of a `for-each` over steps: `on-failure=finish-others`"),
    ("for", "a property of `wait`: `wait for=\"5m\"`"),
    ("secret", "a node at the top, a property of an output, `secret=#true`, and of `inject`, `secret=NAME`"),
    ("grant", "a child of `use`: `grant { … }`"),
    ("memory", "a property of the `limits` of `use`: `memory=\"64MiB\"`"),
    ("wall", "a property of the `limits` of `use`: `wall=\"30s\"`"),
    ("cpu", "a property of the `limits` of `use`: `cpu=\"5s\"`"),
    ("http", "a child of `grant`: `http \"https://HOST\" { methods GET }`"),
    ("k8s", "a child of `grant`: `k8s CLUSTER { verbs get; kinds Service }`"),
    ("methods", "a child of `http` in a `grant`: `methods GET PUT`"),
    ("path", "a child of `http` in a `grant`: `path \"/v1/*\"`"),
    ("private", "a property of `http` in a `grant`: `private=#true`"),
    ("inject", "a child of `http` in a `grant`: `inject secret=NAME header=Authorization`"),
    ("param", "a child of a template: `param NAME type=string`"),
    ("verbs", "a child of `k8s` in a `grant`: `verbs get list`"),
    ("kinds", "a child of `k8s` in a `grant`: `kinds Service`"),
    ("names", "a child of `k8s` in a `grant`: `names a b`"),
];

/// Where a word of the language is legal.
pub(super) fn legal(word: &str) -> Option<&'static str> {
    LEGAL.iter().find(|(known, _)| *known == word).map(|(_, place)| *place)
}

/// Reports what does not belong to a node: arguments, properties, children, and properties that stand twice are for `syntax`.
pub(super) fn check_form(node: &Node, form: &Form, problems: &mut Vec<Problem>) {
    if let Some(extra) = node.args.get(form.args_max) {
        let count = match form.args_max {
            0 => "no argument".to_owned(),
            1 => "one argument".to_owned(),
            n => format!("{n} arguments"),
        };
        let problem = Problem::error("L236", extra.at, format!("{} takes {count}", form.what));
        problems.push(problem.help("properties are written NAME=VALUE; what has structure stands in the block"));
    }
    for prop in &node.props {
        if !form.props.contains(&prop.name.value.as_str()) {
            let is_child = form.children.contains(&prop.name.value.as_str());
            problems.push(misplaced(
                &prop.name,
                form,
                "property",
                is_child.then_some("child: give it a line of its own in the block"),
            ));
        }
    }
    for child in node.children() {
        if !form.children.contains(&child.name.value.as_str()) {
            let is_prop = form.props.contains(&child.name.value.as_str());
            problems.push(misplaced(
                &child.name,
                form,
                "child",
                is_prop.then_some("property: write it as NAME=VALUE on the node's own line"),
            ));
        }
    }
}

fn misplaced(name: &Spanned<String>, form: &Form, role: &str, instead: Option<&str>) -> Problem {
    let problem = Problem::error("L203", name.at, format!("{} has no {role} `{}`", form.what, name.value));
    if let Some(instead) = instead {
        return problem.help(format!("`{}` is a {instead}", name.value));
    }
    let known = || form.props.iter().chain(form.children).copied();
    let listed = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let takes = match (form.props.is_empty(), form.children.is_empty()) {
        (true, true) => format!("{} takes neither properties nor children", form.what),
        (false, true) => format!("properties: {}", listed(form.props)),
        (true, false) => format!("children: {}", listed(form.children)),
        (false, false) => format!("properties: {}; children: {}", listed(form.props), listed(form.children)),
    };
    match nearest(&name.value, known()) {
        Some(near) => problem.label(format!("did you mean `{near}`?")).help(takes),
        None => match legal(&name.value) {
            Some(place) => problem.help(format!("`{}` is {place}", name.value)),
            None => problem.help(takes),
        },
    }
}

/// A node at the top of the file that the language does not have.
pub(super) fn unknown_node(name: &Spanned<String>, known: &[&str]) -> Problem {
    let problem = Problem::error("L201", name.at, format!("unknown node `{}`", name.value));
    let listed = format!("at the top of a file stand {}", known.join(", "));
    match nearest(&name.value, known.iter().copied()) {
        Some(near) => problem.label(format!("did you mean `{near}`?")).help(listed),
        None => match legal(&name.value) {
            Some(place) => problem.help(format!("`{}` is {place}", name.value)),
            None => problem.help(listed),
        },
    }
}

/// A text that is written out: no expression can stand here.
pub(super) fn text(arg: &Arg, what: &str, problems: &mut Vec<Problem>) -> Option<Spanned<String>> {
    let Scalar::Text(text) = &arg.value else {
        problems.push(wrong(arg, what, "a text"));
        return None;
    };
    if text.style == TextStyle::Quoted {
        match Template::parse(&text.value) {
            Ok(template) => match template.literal() {
                Some(literal) => return Some(Spanned::new(literal.to_owned(), arg.at)),
                None => {
                    problems.push(computed(arg.at, what));
                    return None;
                }
            },
            Err(error) => {
                problems.push(parse_problem(error, |range| arg.inside(range)));
                return None;
            }
        }
    }
    Some(Spanned::new(text.value.clone(), arg.at))
}

pub(super) fn computed(at: Place, what: &str) -> Problem {
    Problem::error("L223", at, format!("{what} is written out, not computed"))
        .help("the graph of steps is known before any value is: no `${…}` here")
}

pub(super) fn parse_problem(error: crate::expr::ExprError, place: impl Fn(std::ops::Range<usize>) -> Place) -> Problem {
    let problem = Problem::error(error.code, place(error.range), error.message);
    match error.help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

pub(super) fn flag(arg: &Arg, what: &str, problems: &mut Vec<Problem>) -> Option<bool> {
    match arg.value {
        Scalar::Bool(value) => Some(value),
        _ => {
            problems.push(wrong(arg, what, "`#true` or `#false`"));
            None
        }
    }
}

/// A whole number within bounds.
pub(super) fn count(arg: &Arg, what: &str, max: usize, problems: &mut Vec<Problem>) -> Option<usize> {
    match arg.value {
        Scalar::Int(value) if value >= 1 && value <= max as i128 => Some(value as usize),
        Scalar::Int(_) => {
            problems
                .push(Problem::error("L205", arg.at, format!("{what} is between 1 and {max}")).label("out of range"));
            None
        }
        _ => {
            problems.push(wrong(arg, what, &format!("a whole number between 1 and {max}")));
            None
        }
    }
}

/// A length of time in milliseconds.
pub(super) fn duration(arg: &Arg, what: &str, problems: &mut Vec<Problem>) -> Option<u64> {
    let written = text(arg, what, problems)?;
    match written.value.parse::<Span>() {
        Ok(span) if span.0.is_zero() => {
            problems.push(
                Problem::error("L205", arg.at, format!("{what} is longer than nothing"))
                    .help("write it as `\"5m\"`, `\"1h30m\"` or `\"250ms\"`"),
            );
            None
        }
        Ok(span) => Some(u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX)),
        Err(reason) => {
            problems.push(
                Problem::error("L233", arg.at, format!("`{}` is not a duration: {reason}", written.value))
                    .help("write it as `\"5m\"`, `\"1h30m\"` or `\"250ms\"`"),
            );
            None
        }
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(arg: &Arg, what: &str, words: &[(&str, T)], problems: &mut Vec<Problem>) -> Option<T> {
    let written = text(arg, what, problems)?;
    let found = words.iter().find(|(word, _)| *word == written.value).map(|(_, value)| *value);
    if found.is_none() {
        problems.push(wording::unknown(
            "L234",
            &format!("word for {what}:"),
            &written,
            words.iter().map(|(word, _)| *word),
        ));
    }
    found
}

/// The only argument of a setting: `timeout "5m"`.
pub(super) fn only_arg<'n>(node: &'n Node, what: &str, problems: &mut Vec<Problem>) -> Option<&'n Arg> {
    match node.args.as_slice() {
        [arg] => Some(arg),
        [] => {
            problems.push(
                Problem::error("L204", node.name.at, format!("{what} needs a value"))
                    .help(format!("write `{} VALUE`", node.name.value)),
            );
            None
        }
        [_, extra, ..] => {
            problems.push(
                Problem::error("L236", extra.at, format!("{what} takes one value"))
                    .help("if it is one text, put the whole of it in quotes"),
            );
            None
        }
    }
}

fn wrong(arg: &Arg, what: &str, wanted: &str) -> Problem {
    let problem = Problem::error("L205", arg.at, format!("{what} is {wanted}, not {}", article(arg.value.kind())));
    match arg.value {
        Scalar::Int(_) | Scalar::Float(_) if wanted == "a text" => problem.help("put it in quotes"),
        Scalar::Text(_) if wanted.starts_with("`#true`") => problem.help("KDL writes `#true` and `#false`"),
        _ => problem.label(format!("wanted: {wanted}")),
    }
}

pub(super) fn article(kind: &str) -> String {
    match kind {
        "null" => "null".to_owned(),
        "int" => "an int".to_owned(),
        other => format!("a {other}"),
    }
}
