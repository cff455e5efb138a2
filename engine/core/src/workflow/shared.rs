//! Children that every step has, whatever its kind: `needs wait verify retry timeout undo doc tags`.

use steps_sdk::schema::{Schema, Shape};
use steps_sdk::spec::TimeLimit;
use steps_sdk::{StepSpec, Value};

use super::decode::{Body, Child, Decoder};
use super::fields::{self, Form, check_form, only_arg, parse_problem};
use super::list::names_in;
use super::settings::{Backoff, RetryOn};
use super::types::RetryFields;
use super::wording;
use super::written::{Content, Written};
use crate::diagnostic::{Problem, Spanned};
use crate::expr::{Expr, Scope, Type, TypeField};
use crate::limits::ATTEMPTS_MAX;
use crate::syntax::Node;

const RETRY: Form =
    Form { what: "`retry`", args_max: 0, props: &["attempts", "backoff", "first", "cap", "on"], children: &[] };

/// What the shared children of one step say.
#[derive(Default)]
pub(super) struct Shared {
    pub doc: String,
    pub tags: Vec<String>,
    pub needs: Vec<Spanned<String>>,
    pub retry: RetryFields,
    pub timeout_ms: Option<u64>,
    pub waits: bool,
    pub wait_for_ms: Option<u64>,
    /// The kind's own part of `wait`.
    pub wait: Option<Written>,
}

pub(super) fn read(children: &[&Node], spec: &StepSpec, decoder: &mut Decoder<'_>) -> Shared {
    let mut shared = Shared::default();
    for (position, child) in children.iter().enumerate() {
        let name = child.name.value.as_str();
        if let Some(first) = children[..position].iter().find(|earlier| earlier.name.value == name && name != "needs") {
            let problem = Problem::error("L235", child.name.at, format!("`{name}` is given twice"))
                .related(first.name.at, "first given here");
            decoder.problems.push(problem.help("leave one of them out"));
            continue;
        }
        match name {
            "needs" => shared.needs.extend(names_in(child, decoder.problems)),
            "doc" => shared.doc = doc(child, decoder.problems),
            "tags" => shared.tags = tags(child, decoder.problems),
            "retry" => shared.retry = retry(child, decoder.problems),
            "timeout" => match spec.time_limit {
                TimeLimit::Action { .. } => shared.timeout_ms = timeout(child, decoder.problems),
                TimeLimit::Wait { .. } => {
                    let problem = Problem::error(
                        "L221",
                        child.name.at,
                        format!("{} has no `timeout`: waiting is all that it does", spec.kind),
                    );
                    decoder.problems.push(problem.help("its limit is `wait for=\"10m\"`"));
                }
            },
            "wait" => wait(child, spec, decoder, &mut shared),
            "verify" => decoder.problems.push(wording::unsupported(child.name.at, "`verify`")),
            "undo" => undo(child, decoder.problems),
            other => unreachable!("`{other}` is not a shared child"),
        }
    }
    shared
}

pub(super) fn doc(node: &Node, problems: &mut Vec<Problem>) -> String {
    only_arg(node, "`doc`", problems)
        .and_then(|arg| fields::text(arg, "`doc`", problems))
        .map(|text| text.value)
        .unwrap_or_default()
}

fn tags(node: &Node, problems: &mut Vec<Problem>) -> Vec<String> {
    if node.args.is_empty() {
        problems.push(Problem::error("L204", node.name.at, "`tags` names no tag").help("write `tags NAME…`"));
    }
    node.args.iter().filter_map(|arg| fields::text(arg, "a tag", problems)).map(|tag| tag.value).collect()
}

pub(super) fn timeout(node: &Node, problems: &mut Vec<Problem>) -> Option<u64> {
    only_arg(node, "`timeout`", problems).and_then(|arg| fields::duration(arg, "`timeout`", problems))
}

/// The kind's wait is done by the kind; how long it may take is the engine's.
fn wait(node: &Node, spec: &StepSpec, decoder: &mut Decoder<'_>, shared: &mut Shared) {
    let only_for = spec.wait.is_none();
    if only_for && matches!(spec.time_limit, TimeLimit::Action { .. }) {
        let problem = Problem::error("L221", node.name.at, format!("{} has nothing to wait for", spec.kind));
        decoder.problems.push(problem.help("it is done when it has run; `timeout` bounds how long that may take"));
        return;
    }
    shared.waits = true;
    let Body { name, at, args, props, children } = decoder.body(node);
    let (limit, props): (Vec<_>, Vec<_>) = props.into_iter().partition(|prop| prop.name.value == "for");
    let is_limit = |child: &Child<'_>| matches!(child, Child::Node(node) if node.name.value == "for");
    let (limit_child, children): (Vec<_>, Option<Vec<_>>) = match children {
        None => (Vec::new(), None),
        Some(children) => {
            let (limits, rest) = children.into_iter().partition(is_limit);
            (limits, Some(rest))
        }
    };
    for prop in limit {
        shared.wait_for_ms = fields::duration(&prop.value, "`wait for`", decoder.problems);
    }
    for child in limit_child {
        if let Child::Node(node) = child {
            shared.wait_for_ms = only_arg(node, "`for`", decoder.problems)
                .and_then(|arg| fields::duration(arg, "`wait for`", decoder.problems));
        }
    }
    let shape = spec.wait.clone().unwrap_or_default();
    let rest = Body { name, at, args, props, children };
    let fields = decoder.object(&rest, &shape, "wait");
    if !only_for {
        shared.wait = Some(Written::new(Content::Map(fields), at));
    }
}

pub(super) fn retry(node: &Node, problems: &mut Vec<Problem>) -> RetryFields {
    check_form(node, &RETRY, problems);
    let mut retry = RetryFields::default();
    for prop in &node.props {
        let value = &prop.value;
        match prop.name.value.as_str() {
            "attempts" => {
                retry.attempts = fields::count(value, "`attempts`", ATTEMPTS_MAX as usize, problems)
                    .and_then(|n| u32::try_from(n).ok())
            }
            "backoff" => {
                retry.backoff = fields::word(
                    value,
                    "`backoff`",
                    &[("exponential", Backoff::Exponential), ("constant", Backoff::Constant)],
                    problems,
                )
            }
            "first" => retry.first_ms = fields::duration(value, "`first`", problems),
            "cap" => retry.cap_ms = fields::duration(value, "`cap`", problems),
            "on" => retry.on = retry_on(value, problems),
            _ => {}
        }
    }
    if let (Some(first), Some(cap)) = (retry.first_ms, retry.cap_ms)
        && cap < first
    {
        let at = node.prop("cap").map_or(node.name.at, |prop| prop.value.at);
        problems.push(
            Problem::error("L205", at, "`cap` is shorter than `first`").help("the pause grows from `first` to `cap`"),
        );
    }
    retry
}

fn retry_on(arg: &crate::syntax::Arg, problems: &mut Vec<Problem>) -> Option<RetryOn> {
    let text = arg.text().map(|text| text.value.as_str());
    match text {
        Some("transient") => return Some(RetryOn::Transient),
        Some("any") => return Some(RetryOn::Any),
        _ => {}
    }
    let text = fields::text(arg, "`on`", problems)?;
    let expr = Expr::parse(&text.value)
        .map_err(|error| problems.push(parse_problem(error, |range| arg.inside(range))))
        .ok()?;
    let field = |name: &str, ty| TypeField::new(name, ty);
    let error = Type::Object(vec![
        field("class", Type::Enum(vec!["transient".into(), "permanent".into(), "needs-person".into()])),
        field("code", Type::TEXT),
        field("message", Type::TEXT),
        field("causes", Type::List(Box::new(Type::TEXT))),
    ]);
    let (ty, found) = expr.check(&Scope { names: [("error".to_owned(), error)].into() });
    let is_sound = found.is_empty();
    for problem in found {
        problems.push(super::check::as_problem(problem, |range| arg.inside(range)));
    }
    if is_sound && !Type::Bool.accepts(&ty) {
        problems.push(
            Problem::error("L222", arg.at, format!("`on` is `transient`, `any` or a condition, and this is {ty}"))
                .help("for instance `on=\"error.code == 'K201'\"`"),
        );
    }
    Some(RetryOn::Condition(text.value))
}

/// Nothing is taken back in this version, so `keep` is the one policy that it can carry out.
fn undo(node: &Node, problems: &mut Vec<Problem>) {
    let Some(arg) = node.args.first() else {
        problems.push(Problem::error("L204", node.name.at, "`undo` needs a policy").help("write `undo keep`"));
        return;
    };
    let policies = [("keep", true), ("delete", false), ("restore", false), ("ask", false)];
    match fields::word(arg, "`undo`", &policies, problems) {
        Some(true) => {
            if let Some(extra) = node.props.first() {
                problems.push(
                    Problem::error(
                        "L203",
                        extra.name.at,
                        format!("`undo keep` has no property `{}`", extra.name.value),
                    )
                    .help("what is kept needs no more words"),
                );
            }
        }
        Some(false) => {
            problems.push(wording::unsupported(arg.at, format!("`undo {}`", arg.as_str().unwrap_or_default())))
        }
        None => {}
    }
}

/// The body of a step together with the kind's part of `wait`.
pub(super) fn join(body: Written, wait: Option<Written>) -> Written {
    match (body.content, wait) {
        (Content::Map(mut fields), Some(wait)) => {
            fields.push(("wait".to_owned(), wait));
            Written { at: body.at, content: Content::Map(fields) }
        }
        (content, _) => Written { at: body.at, content },
    }
}

/// An empty map, for a step whose kind is unknown.
pub(super) fn nothing(at: crate::diagnostic::Place) -> Written {
    Written::literal(Value::Object(serde_json::Map::new()), at)
}

/// The schema of a step's body.
pub(super) fn is_map(schema: &Schema) -> Option<&Schema> {
    match &schema.shape {
        Shape::Map(values) => Some(values),
        _ => None,
    }
}
