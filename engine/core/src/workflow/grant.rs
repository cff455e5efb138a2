//! The block `grant` of a component: what its steps may do through the host.
//!
//! Methods, verbs and kinds are written out, so that a reader of the file sees what is granted. Where, and on which object, may
//! depend on inputs.

use steps_sdk::Value;
use steps_sdk::grant::{KubernetesVerb, is_in_the_clear};
use steps_sdk::schema::{Format, Reference, Schema, Shape};
use steps_sdk::value::Hostname;

use super::decode::Decoder;
use super::fields::{self, Form, check_form};
use super::outside::only_child;
use super::permit;
use super::types::{WrittenDns, WrittenGrants, WrittenHttp, WrittenInject, WrittenKubernetes};
use super::wording;
use super::written::{Content, Written};
use crate::diagnostic::{Problem, Spanned};
use crate::syntax::{Arg, Node, TextStyle};

const GRANT: Form = Form { what: "`grant`", args_max: 0, props: &[], children: &["http", "k8s", "dns"] };
const HTTP: Form =
    Form { what: "`http`", args_max: 1, props: &["private"], children: &["methods", "path", "private", "inject"] };
const INJECT: Form = Form { what: "`inject`", args_max: 0, props: &["secret", "header", "format"], children: &[] };
const K8S: Form = Form { what: "`k8s`", args_max: 1, props: &["namespace"], children: &["verbs", "kinds", "names"] };
const DNS: Form = Form { what: "`dns`", args_max: 1, props: &[], children: &[] };

/// Without `methods` a grant is for reading.
const METHODS_DEFAULT: [&str; 2] = ["GET", "HEAD"];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The host writes these itself; another value would change whom it talks to, or where a request ends.
const HEADERS_OF_THE_HOST: [&str; 11] = [
    "host",
    "content-length",
    "connection",
    "transfer-encoding",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "proxy-connection",
    "proxy-authorization",
];

pub(super) fn read(node: &Node, decoder: &mut Decoder<'_>) -> WrittenGrants {
    check_form(node, &GRANT, decoder.problems);
    let mut grants = WrittenGrants::default();
    for child in node.children() {
        match child.name.value.as_str() {
            "http" => grants.http.extend(http(child, decoder)),
            "k8s" => grants.kubernetes.extend(kubernetes(child, decoder)),
            "dns" => grants.dns.extend(dns(child, decoder)),
            _ => {}
        }
    }
    grants
}

fn http(node: &Node, decoder: &mut Decoder<'_>) -> Option<WrittenHttp> {
    check_form(node, &HTTP, decoder.problems);
    let written = node.args.first();
    let origin = subject(node, "an origin", "http \"https://HOST\" { methods GET }", decoder)
        .map(|arg| text(arg, permit::Form::Origin, "http", decoder));
    let methods = match only_child(node, "methods", decoder.problems) {
        Some(child) => listed(child, decoder, method),
        None => METHODS_DEFAULT.map(|method| Spanned::new(method.to_owned(), node.head())).to_vec(),
    };
    let mut paths = Vec::new();
    for child in node.children().iter().filter(|child| child.name.value == "path") {
        for arg in arguments(child, decoder.problems) {
            paths.push(text(arg, permit::Form::Path, "path", decoder));
        }
    }
    let private = private(node, decoder.problems);
    let inject = only_child(node, "inject", decoder.problems).and_then(|child| inject(child, decoder));
    if let (Some(arg), Some(inject)) = (written, &inject) {
        warn_of_the_clear(arg, inject, decoder.problems);
    }
    Some(WrittenHttp { origin: origin?, methods, paths, private, inject, at: node.head() })
}

/// Whoever wrote such a grant may have a network of their own to send it through, so it is said and not refused.
fn warn_of_the_clear(origin: &Arg, inject: &WrittenInject, problems: &mut Vec<Problem>) {
    if origin.as_str().is_some_and(is_in_the_clear) {
        let message = format!("the secret `{}` is sent without encryption", inject.secret.value);
        problems.push(
            Problem::warning("L251", origin.at, message)
                .label("whoever is on the way can read it")
                .help("use `https://`; a private CA can be named in SSL_CERT_FILE"),
        );
    }
}

/// Written as every field is that is true or false: a property, or a child that may stand alone.
fn private(node: &Node, problems: &mut Vec<Problem>) -> bool {
    let child = only_child(node, "private", problems);
    if let (Some(child), Some(prop)) = (child, node.prop("private")) {
        problems.push(
            Problem::error("L235", child.name.at, "`private` is given twice")
                .related(prop.name.at, "first given here")
                .help("leave one of them out"),
        );
    }
    if let Some(child) = child {
        check_form(child, &Form { what: "`private`", args_max: 1, props: &[], children: &[] }, problems);
    }
    match (node.prop("private").map(|prop| &prop.value), child) {
        (Some(arg), _) => fields::flag(arg, "`private`", problems).unwrap_or(false),
        (None, Some(child)) => {
            child.args.first().is_none_or(|arg| fields::flag(arg, "`private`", problems).unwrap_or(false))
        }
        (None, None) => false,
    }
}

fn method(arg: &Arg, decoder: &mut Decoder<'_>) -> Option<String> {
    let written = fields::text(arg, "a method", decoder.problems)?;
    if METHODS.contains(&written.value.as_str()) {
        return Some(written.value);
    }
    let upper = written.value.to_ascii_uppercase();
    decoder.problems.push(if METHODS.contains(&upper.as_str()) {
        let problem = Problem::error("L244", arg.at, format!("the method `{}` is not in upper case", written.value));
        fixed(problem.help(format!("write `{upper}`")), arg, &upper)
    } else {
        wording::unknown("L234", "method", &written, METHODS)
    });
    None
}

fn inject(node: &Node, decoder: &mut Decoder<'_>) -> Option<WrittenInject> {
    check_form(node, &INJECT, decoder.problems);
    for needed in ["secret", "header"].into_iter().filter(|name| node.prop(name).is_none()) {
        decoder.problems.push(
            Problem::error("L204", node.name.at, format!("`inject` says which {needed}"))
                .help("write `inject secret=NAME header=Authorization format=\"Bearer {}\"`"),
        );
    }
    let secret = node.prop("secret").and_then(|prop| secret(&prop.value, decoder));
    let header = node.prop("header").and_then(|prop| header(&prop.value, decoder.problems));
    let format = match node.prop("format") {
        Some(prop) => format(&prop.value, decoder.problems),
        None => Some("{}".to_owned()),
    };
    Some(WrittenInject { secret: secret?, header: header?, format: format? })
}

/// Which secret is put in is written out: it is a part of what is granted.
fn secret(arg: &Arg, decoder: &mut Decoder<'_>) -> Option<Spanned<String>> {
    let written = decoder.arg(arg, &Schema::of(Shape::Reference(Reference::Secret)), "secret");
    match written.content {
        Content::Secret(name) => Some(Spanned::new(name, written.at)),
        Content::Formula(_) => {
            decoder.problems.push(fields::computed(arg.at, "the secret of `inject`"));
            None
        }
        // Not a name: reported.
        Content::Literal(_)
        | Content::List(_)
        | Content::Map(_)
        | Content::Cluster(_)
        | Content::Step(_)
        | Content::Repeat(_) => None,
    }
}

fn header(arg: &Arg, problems: &mut Vec<Problem>) -> Option<String> {
    let name = fields::text(arg, "the name of a header", problems)?;
    let lower = name.value.to_ascii_lowercase();
    if HEADERS_OF_THE_HOST.contains(&lower.as_str()) {
        problems.push(
            Problem::error("L245", arg.at, format!("the header `{}` is set by the host itself", name.value))
                .help("put the secret into another header, such as `Authorization`"),
        );
        return None;
    }
    // RFC 9110, section 5.6.2.
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if lower.is_empty() || !lower.chars().all(is_token) {
        problems.push(
            Problem::error("L245", arg.at, format!("`{}` is not the name of a header", name.value))
                .help("write it without the colon: `header=Authorization`"),
        );
        return None;
    }
    Some(lower)
}

fn format(arg: &Arg, problems: &mut Vec<Problem>) -> Option<String> {
    let format = fields::text(arg, "`format`", problems)?;
    let problem = match format.value.matches("{}").count() {
        0 => Some("`format` has no `{}`, so the secret stands nowhere".to_owned()),
        1 => None,
        count => Some(format!("`format` has `{{}}` {count} times")),
    };
    let problem = problem.or_else(|| {
        let odd = format.value.chars().find(|c| !(' '..='~').contains(c))?;
        Some(format!("`format` has the character {}, which no header can hold", odd.escape_default()))
    });
    match problem {
        Some(message) => {
            problems
                .push(Problem::error("L245", arg.at, message).help("one `{}` is the secret: `format=\"Bearer {}\"`"));
            None
        }
        None => Some(format.value),
    }
}

fn kubernetes(node: &Node, decoder: &mut Decoder<'_>) -> Option<WrittenKubernetes> {
    check_form(node, &K8S, decoder.problems);
    let cluster = subject(node, "a cluster", "k8s CLUSTER namespace=NAME { verbs get; kinds Service }", decoder)
        .map(|arg| decoder.arg(arg, &Schema::of(Shape::Reference(Reference::Cluster)), "k8s"));
    let namespace = node.prop("namespace").map(|prop| text(&prop.value, permit::Form::Namespace, "namespace", decoder));
    for needed in ["verbs", "kinds"].into_iter().filter(|name| node.child(name).is_none()) {
        decoder.problems.push(
            Problem::error("L204", node.name.at, format!("`k8s` says which {needed}"))
                .help("write `k8s CLUSTER { verbs get list; kinds Service }`"),
        );
    }
    let verbs = only_child(node, "verbs", decoder.problems).map(|child| listed(child, decoder, verb));
    let kinds = only_child(node, "kinds", decoder.problems).map(|child| listed(child, decoder, kind));
    let names = only_child(node, "names", decoder.problems).map(|child| {
        let args = arguments(child, decoder.problems);
        args.iter().map(|arg| text(arg, permit::Form::ObjectName, "names", decoder)).collect()
    });
    Some(WrittenKubernetes {
        cluster: cluster?,
        namespace,
        verbs: verbs?,
        kinds: kinds?,
        names: names.unwrap_or_default(),
        at: node.head(),
    })
}

fn verb(arg: &Arg, decoder: &mut Decoder<'_>) -> Option<KubernetesVerb> {
    let written = fields::text(arg, "a verb", decoder.problems)?;
    if let Some(verb) = KubernetesVerb::by_word(&written.value) {
        return Some(verb);
    }
    let words = KubernetesVerb::ALL.map(KubernetesVerb::word);
    let problem = wording::unknown("L234", "verb", &written, words);
    decoder.problems.push(match written.value.as_str() {
        "create" | "update" | "patch" => {
            problem.label("").help("steps write by server-side apply, which creates or changes: `apply`")
        }
        "*" => problem.help(format!("write out what is granted: {}", words.join(", "))),
        _ => problem,
    });
    None
}

/// `Service`, `Certificate.cert-manager.io`.
fn kind(arg: &Arg, decoder: &mut Decoder<'_>) -> Option<String> {
    let written = fields::text(arg, "a kind", decoder.problems)?;
    let (name, group) = match written.value.split_once('.') {
        Some((name, group)) => (name, Some(group)),
        None => (written.value.as_str(), None),
    };
    let is_name = name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric());
    let is_group = group.is_none_or(|group| group.parse::<Hostname>().is_ok() && !group.contains('*'));
    if is_name && is_group {
        return Some(written.value);
    }
    decoder.problems.push(
        Problem::error("L246", arg.at, format!("`{}` is not the kind of an object", written.value))
            .help("write it as manifests do: `Service`, or with its group: `Certificate.cert-manager.io`"),
    );
    None
}

fn dns(node: &Node, decoder: &mut Decoder<'_>) -> Option<WrittenDns> {
    check_form(node, &DNS, decoder.problems);
    let arg = subject(node, "a domain", "dns \"example.io\"", decoder)?;
    Some(WrittenDns { domain: text(arg, permit::Form::Domain, "dns", decoder), at: node.head() })
}

/// What a grant is about: its first argument.
fn subject<'n>(node: &'n Node, what: &str, example: &str, decoder: &mut Decoder<'_>) -> Option<&'n Arg> {
    let first = node.args.first();
    if first.is_none() {
        decoder.problems.push(
            Problem::error("L204", node.name.at, format!("`{}` names {what}", node.name.value))
                .help(format!("write `{example}`")),
        );
    }
    first
}

/// A text that may depend on inputs; one that is written out is checked now.
fn text(arg: &Arg, form: permit::Form, what: &str, decoder: &mut Decoder<'_>) -> Written {
    let written = decoder.arg(arg, &Schema::of(Shape::String(Format::Plain)), what);
    if let Content::Literal(Value::String(text)) = &written.content
        && let Err(refusal) = form.check(text)
    {
        let problem = Problem::error(code(form), arg.inside(refusal.range), refusal.message).help(refusal.help);
        decoder.problems.push(match refusal.instead {
            Some(instead) => fixed(problem, arg, &instead),
            None => problem,
        });
    }
    written
}

fn code(form: permit::Form) -> &'static str {
    match form {
        permit::Form::Origin => "L243",
        permit::Form::Path => "L244",
        permit::Form::Namespace | permit::Form::ObjectName => "L246",
        permit::Form::Domain => "L247",
    }
}

/// A fix keeps the style in which the text was written; what has escapes or `#` is left to the person.
fn fixed(problem: Problem, arg: &Arg, instead: &str) -> Problem {
    match arg.text().map(|text| text.style) {
        Some(TextStyle::Bare) => problem.fix(arg.at, instead),
        Some(TextStyle::Quoted) => problem.fix(arg.at, format!("\"{instead}\"")),
        Some(TextStyle::Raw) | None => problem,
    }
}

/// The words on a node's line, each once.
fn listed<T: PartialEq>(
    node: &Node,
    decoder: &mut Decoder<'_>,
    read: fn(&Arg, &mut Decoder<'_>) -> Option<T>,
) -> Vec<Spanned<T>> {
    let mut found: Vec<Spanned<T>> = Vec::new();
    for arg in arguments(node, decoder.problems) {
        let Some(value) = read(arg, decoder) else { continue };
        match found.iter().find(|other| other.value == value) {
            Some(first) => {
                let problem = Problem::error("L235", arg.at, format!("`{}` names this twice", node.name.value));
                decoder.problems.push(problem.related(first.at, "first given here").help("leave one of them out"));
            }
            None => found.push(Spanned::new(value, arg.at)),
        }
    }
    found
}

/// The arguments of a node that holds nothing else, at least one.
fn arguments<'n>(node: &'n Node, problems: &mut Vec<Problem>) -> &'n [Arg] {
    let name = &node.name.value;
    if let Some(prop) = node.props.first() {
        problems.push(
            Problem::error("L203", prop.name.at, format!("`{name}` has no property `{}`", prop.name.value))
                .help(format!("write its values on its line: `{name} VALUE…`")),
        );
    } else if let Some(child) = node.children().first() {
        problems.push(
            Problem::error("L203", child.name.at, format!("`{name}` has no children"))
                .help(format!("write its values on its line: `{name} VALUE…`")),
        );
    } else if node.args.is_empty() {
        problems.push(
            Problem::error("L204", node.name.at, format!("`{name}` needs a value"))
                .help(format!("write `{name} VALUE…`")),
        );
    }
    &node.args
}
