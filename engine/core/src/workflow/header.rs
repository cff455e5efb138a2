//! The node `workflow`: what holds for the whole file.

use super::collect::identity;
use super::fields::{self, Form, check_form};
use super::shared;
use super::types::RetryFields;
use super::wording;
use super::written::Written;
use crate::diagnostic::{Place, Problem, SourceId, Spanned};
use crate::limits::PARALLEL_MAX;
use crate::syntax::{Document, Node};

const WORKFLOW: Form = Form {
    what: "the workflow",
    args_max: 1,
    props: &["version"],
    children: &["doc", "engine", "lock", "limits", "defaults"],
};
const LIMITS: Form = Form { what: "`limits`", args_max: 0, props: &["parallel", "per-cluster"], children: &[] };
const DEFAULTS: Form = Form { what: "`defaults`", args_max: 0, props: &[], children: &["timeout", "retry"] };

/// What the header says.
pub(super) struct Header<'d> {
    pub name: Spanned<String>,
    pub version: Option<String>,
    pub doc: String,
    /// Decoded later, when the names of inputs are known.
    pub lock: Option<&'d Node>,
    pub parallel: Option<usize>,
    pub per_cluster: Option<usize>,
    pub timeout_ms: Option<u64>,
    pub retry: RetryFields,
}

pub(super) fn read<'d>(document: &'d Document, problems: &mut Vec<Problem>) -> Header<'d> {
    let start = Place::new(SourceId(0), 0, 0);
    let mut header = Header {
        name: Spanned::new(String::new(), start),
        version: None,
        doc: String::new(),
        lock: None,
        parallel: None,
        per_cluster: None,
        timeout_ms: None,
        retry: RetryFields::default(),
    };
    let mut nodes = document.nodes_named("workflow");
    let Some(node) = nodes.next() else {
        if document.is_whole {
            let at = document.nodes.first().map_or(start, |node| node.name.at);
            problems.push(
                Problem::error("L207", at, "the file has no `workflow` node").help("begin it with `workflow NAME`"),
            );
        }
        return header;
    };
    for again in nodes {
        problems.push(
            Problem::error("L207", again.name.at, "a file has one `workflow` node")
                .related(node.name.at, "the first is here"),
        );
    }
    if document.nodes.first().is_some_and(|first| !std::ptr::eq(first, node)) {
        problems.push(
            Problem::error("L207", node.name.at, "`workflow` comes first in its file")
                .help("move it before the other nodes"),
        );
    }
    check_form(node, &WORKFLOW, problems);
    if let Some(name) = identity(node, "a workflow", problems) {
        header.name = name;
    }
    header.version =
        node.prop("version").and_then(|prop| fields::text(&prop.value, "`version`", problems)).map(|version| {
            if let Err(reason) = version.value.parse::<steps_sdk::value::Semver>() {
                problems.push(
                    Problem::error("L233", version.at, format!("`{}` is not a version: {reason}", version.value))
                        .label("three numbers"),
                );
            }
            version.value
        });
    for child in node.children() {
        match child.name.value.as_str() {
            "doc" => header.doc = shared::doc(child, problems),
            "engine" => engine(child, problems),
            "lock" => header.lock = Some(child),
            "limits" => limits(child, &mut header, problems),
            "defaults" => defaults(child, &mut header, problems),
            _ => {}
        }
    }
    header
}

fn limits(node: &Node, header: &mut Header<'_>, problems: &mut Vec<Problem>) {
    check_form(node, &LIMITS, problems);
    for prop in &node.props {
        match prop.name.value.as_str() {
            "parallel" => header.parallel = fields::count(&prop.value, "`parallel`", PARALLEL_MAX, problems),
            "per-cluster" => header.per_cluster = fields::count(&prop.value, "`per-cluster`", PARALLEL_MAX, problems),
            _ => {}
        }
    }
}

fn defaults(node: &Node, header: &mut Header<'_>, problems: &mut Vec<Problem>) {
    check_form(node, &DEFAULTS, problems);
    for child in node.children() {
        match child.name.value.as_str() {
            "timeout" => header.timeout_ms = shared::timeout(child, problems),
            "retry" => header.retry = shared::retry(child, problems),
            _ => {}
        }
    }
}

/// `engine ">=0.1, <1"`: which versions of this program may read the file.
fn engine(node: &Node, problems: &mut Vec<Problem>) {
    let Some(text) =
        fields::only_arg(node, "`engine`", problems).and_then(|arg| fields::text(arg, "`engine`", problems))
    else {
        return;
    };
    let own = env!("CARGO_PKG_VERSION");
    match allows(&text.value, own) {
        Err(bound) => {
            let problem = Problem::error("L205", text.at, format!("`{bound}` is not a bound on a version"));
            problems.push(problem.help("write bounds with commas between them: `engine \">=0.1, <1\"`"));
        }
        Ok(false) => {
            let problem =
                Problem::error("L207", text.at, format!("this file asks for engine {}, and this is {own}", text.value));
            problems.push(problem.help("run it with a version that it allows, or change what it asks for"));
        }
        Ok(true) => {}
    }
}

/// Whether a version lies within the bounds; the error is the bound that cannot be read.
fn allows(bounds: &str, version: &str) -> Result<bool, String> {
    let number = |text: &str| -> Option<[u64; 3]> {
        let mut parts = [0; 3];
        for (position, part) in text.split('.').enumerate() {
            *parts.get_mut(position)? = part.parse().ok()?;
        }
        Some(parts)
    };
    let own = number(version.split(['-', '+']).next().unwrap_or_default()).ok_or_else(|| version.to_owned())?;
    let mut allowed = true;
    for bound in bounds.split(',').map(str::trim) {
        let digits = bound.find(|c: char| c.is_ascii_digit()).ok_or_else(|| bound.to_owned())?;
        let (operator, wanted) = (bound[..digits].trim(), number(&bound[digits..]).ok_or_else(|| bound.to_owned())?);
        allowed &= match operator {
            ">=" => own >= wanted,
            ">" => own > wanted,
            "<=" => own <= wanted,
            "<" => own < wanted,
            "=" | "" => own == wanted,
            _ => return Err(bound.to_owned()),
        };
    }
    Ok(allowed)
}

/// `lock "kcp/${inputs.domain}"`.
pub(super) fn lock(node: &Node, decoder: &mut super::decode::Decoder<'_>) -> Option<Written> {
    let arg = fields::only_arg(node, "`lock`", decoder.problems)?;
    let schema = steps_sdk::schema::Schema::of(steps_sdk::schema::Shape::String(steps_sdk::schema::Format::Plain));
    Some(decoder.arg(arg, &schema, "lock"))
}

const KNOWN: [&str; 12] = [
    "workflow", "include", "input", "type", "secret", "cluster", "use", "template", "call", "step", "for-each",
    "output",
];
const LATER: [&str; 4] = ["preflight", "approve", "on-failure", "finally"];

/// Whether a file of the language can have a node of this name at its top.
pub(super) fn is_known(name: &str) -> bool {
    KNOWN.contains(&name) || LATER.contains(&name)
}

/// Nodes at the top that are none of the language, or not of this version.
pub(super) fn check_top_level(document: &Document, problems: &mut Vec<Problem>) {
    for node in &document.nodes {
        let name = node.name.value.as_str();
        if LATER.contains(&name) {
            problems.push(wording::unsupported(node.name.at, format!("`{name}`")));
        } else if !KNOWN.contains(&name) {
            problems.push(fields::unknown_node(&node.name, &KNOWN));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::allows;

    #[test]
    fn bounds_on_the_engine_are_held() {
        for (bounds, version, wanted) in [
            (">=0.1, <1", "0.1.0", Ok(true)),
            (">=0.2", "0.1.9", Ok(false)),
            ("<1", "1.0.0", Ok(false)),
            ("=0.1.0", "0.1.0", Ok(true)),
            ("0.1", "0.1.0-rc.1", Ok(true)),
            (">0.1, <=0.3.1", "0.3.1", Ok(true)),
            ("^1", "1.0.0", Err("^1".to_owned())),
            (">=a", "1.0.0", Err(">=a".to_owned())),
            (">=1.2.3.4", "1.0.0", Err(">=1.2.3.4".to_owned())),
        ] {
            assert_eq!(allows(bounds, version), wanted, "{bounds} {version}");
        }
    }
}
