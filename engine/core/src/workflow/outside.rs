//! The nodes that name what lies outside the file: `secret` and `cluster`; and `output`, which leaves it.

use steps_sdk::Secret;
use steps_sdk::schema::{Format, Reference, Schema, Shape};

use super::decode::{Body, Decoder};
use super::fields::{self, Form, check_form};
use super::settings::KubeconfigSource;
use super::types::{ClusterDecl, OutputDecl, SecretDecl};
use super::wording;
use super::written::Written;
use crate::diagnostic::{Problem, Spanned};
use crate::syntax::{Document, Node};

const SECRET: Form = Form { what: "a secret", args_max: 1, props: &[], children: &["from"] };
const FROM: Form = Form { what: "`from`", args_max: 0, props: &["env", "file"], children: &[] };
const CLUSTER: Form =
    Form { what: "a cluster", args_max: 1, props: &[], children: &["kubeconfig", "identity", "workspace"] };
const KUBECONFIG: Form =
    Form { what: "`kubeconfig`", args_max: 0, props: &["context", "file", "env", "from"], children: &[] };
const WORKSPACE: Form = Form { what: "`workspace`", args_max: 1, props: &[], children: &[] };
const OUTPUT: Form = Form { what: "an output", args_max: usize::MAX, props: &["secret"], children: &[] };
const IDENTITY: Form = Form { what: "`identity`", args_max: 0, props: &["uid"], children: &[] };

pub(super) fn secrets(document: &Document, problems: &mut Vec<Problem>) -> Vec<SecretDecl> {
    document.nodes_named("secret").filter_map(|node| secret(node, problems)).collect()
}

fn secret(node: &Node, problems: &mut Vec<Problem>) -> Option<SecretDecl> {
    check_form(node, &SECRET, problems);
    let name = declared(node)?;
    let Some(from) = only_child(node, "from", problems) else {
        problems.push(
            Problem::error("L204", node.name.at, format!("secret `{}` says where it is", name.value))
                .help("write `from env=NAME` or `from file=\"PATH\"` in its block"),
        );
        return None;
    };
    check_form(from, &FROM, problems);
    let secret = match from.props.as_slice() {
        [prop] => {
            let place = fields::text(&prop.value, "where a secret is", problems)?.value;
            match prop.name.value.as_str() {
                "env" => Secret::Env { name: place },
                "file" => Secret::File { path: place },
                _ => return None,
            }
        }
        _ => {
            problems.push(
                Problem::error("L204", from.name.at, "a secret comes from one place")
                    .help("write `from env=NAME` or `from file=\"PATH\"`"),
            );
            return None;
        }
    };
    Some(SecretDecl { name, secret })
}

pub(super) fn clusters(document: &Document, decoder: &mut Decoder<'_>) -> Vec<ClusterDecl> {
    document.nodes_named("cluster").filter_map(|node| cluster(node, decoder)).collect()
}

fn cluster(node: &Node, decoder: &mut Decoder<'_>) -> Option<ClusterDecl> {
    check_form(node, &CLUSTER, decoder.problems);
    let name = declared(node)?;
    decoder.subject = "cluster".to_owned();
    let kubeconfig_node = only_child(node, "kubeconfig", decoder.problems);
    let from = kubeconfig_node.and_then(|child| child.prop("from"));
    let from = from.map(|prop| decoder.arg(&prop.value, &Schema::of(Shape::Reference(Reference::Secret)), "from"));
    let kubeconfig = kubeconfig_node.map(|child| kubeconfig(child, decoder)).unwrap_or_default();
    let workspace = only_child(node, "workspace", decoder.problems).and_then(|child| workspace(child, decoder));
    let identity = only_child(node, "identity", decoder.problems).and_then(|child| identity(child, decoder));
    Some(ClusterDecl { name, kubeconfig, from, workspace, identity, at: node.head() })
}

fn kubeconfig(node: &Node, decoder: &mut Decoder<'_>) -> KubeconfigSource {
    check_form(node, &KUBECONFIG, decoder.problems);
    let mut source = KubeconfigSource::default();
    for prop in &node.props {
        let name = prop.name.value.as_str();
        let field = match name {
            "context" => &mut source.context,
            "file" => &mut source.file,
            "env" => &mut source.env,
            _ => continue,
        };
        *field = fields::text(&prop.value, &format!("`{name}`"), decoder.problems).map(|text| text.value);
    }
    let mut places = ["file", "env", "from"].iter().filter_map(|name| node.prop(name));
    if let (Some(first), Some(second)) = (places.next(), places.next()) {
        decoder.problems.push(
            Problem::error("L205", second.name.at, "a kubeconfig is in one place")
                .related(first.name.at, "first given here")
                .help("`file=` names the file, `env=` the variable that does, `from=` a secret: use one of them"),
        );
    }
    source
}

/// `workspace "root:${inputs.org}"`. One that is written out is held to its form now, a computed one by the plan.
fn workspace(node: &Node, decoder: &mut Decoder<'_>) -> Option<Written> {
    check_form(node, &WORKSPACE, decoder.problems);
    let arg = fields::only_arg(node, "`workspace`", decoder.problems)?;
    let written = decoder.arg(arg, &Schema::of(Shape::String(Format::Plain)), "workspace");
    if let Some(path) = written.as_literal().as_ref().and_then(|value| value.as_str())
        && let Some((message, help)) = not_a_workspace(path)
    {
        decoder.problems.push(Problem::error("L233", arg.at, message).help(help));
    }
    Some(written)
}

/// Why a text is not the absolute path of a kcp workspace, and what to do.
pub(crate) fn not_a_workspace(path: &str) -> Option<(String, &'static str)> {
    let is_name = |name: &str| {
        let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !name.is_empty() && name.chars().all(is_inner) && !name.starts_with('-') && !name.ends_with('-')
    };
    (!path.split(':').all(is_name)).then(|| {
        let message = format!("`{path}` is not the path of a kcp workspace");
        (message, "paths are absolute and made of names with `:` between them: `root:org:team`")
    })
}

fn identity(node: &Node, decoder: &mut Decoder<'_>) -> Option<Written> {
    check_form(node, &IDENTITY, decoder.problems);
    let Some(prop) = node.prop("uid") else {
        decoder.problems.push(
            Problem::error("L204", node.name.at, "`identity` needs the cluster's uid")
                .help("write `identity uid=\"…\"`: the UID of its namespace kube-system"),
        );
        return None;
    };
    let schema = Schema { nullable: true, ..Schema::of(Shape::String(Format::Plain)) };
    Some(decoder.arg(&prop.value, &schema, "uid"))
}

/// Of the file, or of a template.
pub(super) fn outputs<'n>(nodes: impl Iterator<Item = &'n Node>, decoder: &mut Decoder<'_>) -> Vec<OutputDecl> {
    let mut outputs: Vec<OutputDecl> = Vec::new();
    for node in nodes {
        let Some(output) = output(node, decoder) else {
            continue;
        };
        match outputs.iter().find(|other| other.name.value == output.name.value) {
            Some(first) => decoder.problems.push(wording::twice(&output.name, first.name.at)),
            None => outputs.push(output),
        }
    }
    outputs
}

fn output(node: &Node, decoder: &mut Decoder<'_>) -> Option<OutputDecl> {
    let name = super::collect::identity(node, "an output", decoder.problems)?;
    let secret =
        node.prop("secret").and_then(|prop| fields::flag(&prop.value, "`secret`", decoder.problems)).unwrap_or(false);
    let body = decoder.body(node);
    let props: Vec<_> = body.props.iter().copied().filter(|prop| prop.name.value != "secret").collect();
    let value = Body { args: &node.args[1..], props, ..body };
    // Beside a value the properties are the output's own; without one they are the fields of a map.
    if !value.args.is_empty() {
        check_form(node, &OUTPUT, decoder.problems);
    }
    let value = if value.args.is_empty() { value } else { Body { props: Vec::new(), children: None, ..value } };
    decoder.subject = "output".to_owned();
    let value = decoder.free(&value, &name.value);
    Some(OutputDecl { name, value, secret, at: node.head() })
}

/// The name that was checked when names were collected.
fn declared(node: &Node) -> Option<Spanned<String>> {
    let arg = node.args.first()?;
    Some(Spanned::new(arg.as_str()?.to_owned(), arg.at))
}

pub(super) fn only_child<'n>(node: &'n Node, name: &str, problems: &mut Vec<Problem>) -> Option<&'n Node> {
    let mut children = node.children().iter().filter(|child| child.name.value == name);
    let first = children.next()?;
    for again in children {
        problems.push(
            Problem::error("L235", again.name.at, format!("`{name}` is given twice"))
                .related(first.name.at, "first given here")
                .help("leave one of them out"),
        );
    }
    Some(first)
}
