//! The node `host` of a case: requests that the step may make, and what the outside world answers to each.

use engine_core::diagnostic::{Problem, Spanned};
use engine_core::syntax::Node;
use steps_sdk::grant::KubernetesVerb;
use steps_sdk::host::{DnsAnswer, DnsError, HttpError, HttpResponse, KubernetesError};

use super::case::{Answer, Asked, Body, Reply, Sent};
use super::form::{Form, Problems, any, spanned};

const HOST: Form = Form {
    usage: "host { http … ; kubernetes … ; dns … }",
    args: 0..=0,
    props: &[],
    children: Some(&["http", "kubernetes", "dns"]),
};
const HTTP: Form = Form {
    usage: "http GET \"https://…\" { status 200 ; header NAME VALUE ; body \"…\" }",
    args: 2..=2,
    props: &[],
    children: Some(&["status", "header", "body", "json", "fails", "sends"]),
};
const KUBERNETES: Form = Form {
    usage: "kubernetes get KIND NAMESPACE/NAME on=CLUSTER { object { … } }",
    args: 2..=3,
    props: &["on"],
    children: Some(&["object", "fails", "sends"]),
};
const DNS: Form = Form {
    usage: "dns A NAME { answer \"203.0.113.10\" ttl=60 }",
    args: 2..=2,
    props: &[],
    children: Some(&["answer", "fails"]),
};
const SENDS: Form = Form {
    usage: "sends { header NAME VALUE ; json { … } }",
    args: 0..=0,
    props: &[],
    children: Some(&["header", "body", "json", "object"]),
};
const ONE: Form = Form { usage: "NAME VALUE", args: 1..=1, props: &[], children: Some(&[]) };
const HEADER: Form = Form { usage: "header NAME VALUE", args: 2..=2, props: &[], children: Some(&[]) };
const FAILS: Form = Form { usage: "fails HOW \"why\"", args: 1..=2, props: &[], children: Some(&[]) };
const RECORD: Form =
    Form { usage: "answer VALUE ttl=60", args: 1..=1, props: &["ttl", "name", "type"], children: Some(&[]) };

/// Seconds that a record may be kept when the case does not say.
const TTL_DEFAULT: u32 = 300;

/// What `fails too-large` says of the limit.
const TOO_LARGE: u64 = 16 << 20;

/// The words of the verbs, which are those of the contract: a grant calls a wait `watch`.
pub const VERBS: [(&str, KubernetesVerb); 5] = [
    ("get", KubernetesVerb::Get),
    ("list", KubernetesVerb::List),
    ("apply", KubernetesVerb::Apply),
    ("delete", KubernetesVerb::Delete),
    ("wait", KubernetesVerb::Watch),
];

#[derive(Clone, Copy)]
enum HttpWay {
    Timeout,
    Dns,
    Connect,
    Tls,
    TooLarge,
    Other,
}

const HTTP_WAYS: [(&str, HttpWay); 6] = [
    ("timeout", HttpWay::Timeout),
    ("dns", HttpWay::Dns),
    ("connect", HttpWay::Connect),
    ("tls", HttpWay::Tls),
    ("too-large", HttpWay::TooLarge),
    ("other", HttpWay::Other),
];

#[derive(Clone, Copy)]
enum KubernetesWay {
    NotFound,
    Conflict,
    Forbidden,
    Unavailable,
    Invalid,
    Other,
}

const KUBERNETES_WAYS: [(&str, KubernetesWay); 6] = [
    ("not-found", KubernetesWay::NotFound),
    ("conflict", KubernetesWay::Conflict),
    ("forbidden", KubernetesWay::Forbidden),
    ("unavailable", KubernetesWay::Unavailable),
    ("invalid", KubernetesWay::Invalid),
    ("other", KubernetesWay::Other),
];

#[derive(Clone, Copy)]
enum DnsWay {
    NoSuchName,
    ServerFailure,
    Timeout,
    Other,
}

const DNS_WAYS: [(&str, DnsWay); 4] = [
    ("no-such-name", DnsWay::NoSuchName),
    ("server-failure", DnsWay::ServerFailure),
    ("timeout", DnsWay::Timeout),
    ("other", DnsWay::Other),
];

/// The answers of a `host` node. `on` is the case's own cluster, which requests are about when they do not say.
pub fn read(host: &Node, on: Option<&str>, problems: &mut Problems) -> Vec<Answer> {
    problems.check(host, &HOST);
    let one = |node: &Node, problems: &mut Problems| match node.name.value.as_str() {
        "http" => http(node, problems),
        "kubernetes" => kubernetes(node, on, problems),
        "dns" => dns(node, problems),
        _ => None,
    };
    host.children().iter().filter_map(|node| one(node, problems)).collect()
}

fn http(node: &Node, problems: &mut Problems) -> Option<Answer> {
    if !problems.check(node, &HTTP) {
        return None;
    }
    let method = problems.text(&node.args[0], "the method")?.to_ascii_uppercase();
    let url = problems.text(&node.args[1], "the address")?;
    let sends = sends(node, problems);
    let reply = match node.child("fails") {
        Some(fails) => {
            let (way, why) = failure(fails, &HTTP_WAYS, problems)?;
            Reply::HttpFails(match way {
                HttpWay::Timeout => HttpError::Timeout,
                HttpWay::Dns => HttpError::Dns(why),
                HttpWay::Connect => HttpError::Connect(why),
                HttpWay::Tls => HttpError::Tls(why),
                HttpWay::TooLarge => HttpError::TooLarge(TOO_LARGE),
                HttpWay::Other => HttpError::Other(why),
            })
        }
        None => Reply::Http(response(node, problems)?),
    };
    Some(Answer { at: node.at, asked: Asked::Http { method, url }, sends, reply })
}

fn response(node: &Node, problems: &mut Problems) -> Option<HttpResponse> {
    let mut response = HttpResponse { status: 200, headers: headers(node, problems), body: Vec::new() };
    if let Some(status) = node.child("status").filter(|child| problems.check(child, &ONE)) {
        let code: u16 = problems.number(&status.args[0], "`status`", "a whole number")?;
        if !(100..=599).contains(&code) {
            problems.push(
                Problem::error("A003", status.args[0].at, format!("there is no status {code}"))
                    .help("it is between 100 and 599"),
            );
        }
        response.status = code;
    }
    match body(node, problems) {
        Some(Body::Text(text)) => response.body = text.into_bytes(),
        Some(Body::Json(value)) => {
            response.body = value.to_string().into_bytes();
            if !response.headers.iter().any(|(name, _)| name == "content-type") {
                response.headers.push(("content-type".to_owned(), "application/json".to_owned()));
            }
        }
        None => {}
    }
    Some(response)
}

fn headers(node: &Node, problems: &mut Problems) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    for header in node.children().iter().filter(|child| child.name.value == "header") {
        if problems.check(header, &HEADER)
            && let (Some(name), Some(value)) =
                (problems.text(&header.args[0], "a header's name"), problems.text(&header.args[1], "a header"))
        {
            headers.push((name.to_ascii_lowercase(), value));
        }
    }
    headers
}

fn body(node: &Node, problems: &mut Problems) -> Option<Body> {
    match (node.child("body"), node.child("json").or(node.child("object"))) {
        (Some(text), Some(json)) => {
            problems.push(
                Problem::error("A002", json.name.at, "a body is given twice")
                    .related(text.name.at, "first given here")
                    .help("leave one of them out"),
            );
            None
        }
        (Some(text), None) => problems.check(text, &ONE).then(|| problems.first(text)).flatten().map(Body::Text),
        (None, Some(json)) => problems.value(json, 0, &any()).map(Body::Json),
        (None, None) => None,
    }
}

fn sends(node: &Node, problems: &mut Problems) -> Option<Sent> {
    let sends = node.child("sends")?;
    problems.check(sends, &SENDS);
    Some(Sent { at: sends.at, headers: headers(sends, problems), body: body(sends, problems) })
}

fn kubernetes(node: &Node, on: Option<&str>, problems: &mut Problems) -> Option<Answer> {
    if !problems.check(node, &KUBERNETES) {
        return None;
    }
    let verb = problems.word(&spanned(&node.args[0]), "the verb", &VERBS)?;
    let kind = problems.text(&node.args[1], "the kind")?;
    let place = node.args.get(2).and_then(|arg| problems.text(arg, "the object"));
    let Some(cluster) = problems.prop(node, "on").or_else(|| on.map(str::to_owned)) else {
        problems.push(
            Problem::error("A002", node.name.at, "it is not said on which cluster")
                .help("write `on=CLUSTER` here, or in the case"),
        );
        return None;
    };
    let (namespace, name) = match (verb, place) {
        (KubernetesVerb::List, place) => (place.map(|text| text.trim_end_matches('/').to_owned()), None),
        (_, Some(text)) => match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace.to_owned()), Some(name.to_owned())),
            None => (None, Some(text)),
        },
        (_, None) => {
            problems.push(
                Problem::error("A002", node.head(), "it is not said which object")
                    .help("write NAMESPACE/NAME, or NAME for one without a namespace"),
            );
            return None;
        }
    };
    let sends = sends(node, problems);
    let reply = kubernetes_reply(node, verb, problems)?;
    Some(Answer { at: node.at, asked: Asked::Kubernetes { verb, cluster, kind, namespace, name }, sends, reply })
}

fn kubernetes_reply(node: &Node, verb: KubernetesVerb, problems: &mut Problems) -> Option<Reply> {
    if let Some(fails) = node.child("fails") {
        let (way, why) = failure(fails, &KUBERNETES_WAYS, problems)?;
        return Some(Reply::KubernetesFails(match way {
            KubernetesWay::NotFound => KubernetesError::NotFound,
            KubernetesWay::Conflict => KubernetesError::Conflict(why),
            KubernetesWay::Forbidden => KubernetesError::Forbidden(why),
            KubernetesWay::Unavailable => KubernetesError::Unavailable(why),
            KubernetesWay::Invalid => KubernetesError::Invalid(why),
            KubernetesWay::Other => KubernetesError::Other(why),
        }));
    }
    let nodes: Vec<&Node> = node.children().iter().filter(|child| child.name.value == "object").collect();
    let mut objects = Vec::new();
    for object in &nodes {
        objects.push(problems.value(object, 0, &any())?);
    }
    match (verb, objects.len()) {
        (KubernetesVerb::List, _) => Some(Reply::Objects(objects)),
        (_, 1) => objects.pop().map(Reply::Object),
        (KubernetesVerb::Apply | KubernetesVerb::Delete, 0) => Some(Reply::Echo),
        (KubernetesVerb::Get | KubernetesVerb::Watch, 0) => {
            problems.push(
                Problem::error("A002", node.head(), "it is not said what the answer is")
                    .help("write `object { … }` in it, or `fails not-found`"),
            );
            None
        }
        (_, _) => {
            problems.push(
                Problem::error("A002", nodes[1].name.at, "only a list has several objects")
                    .help("leave one of them out"),
            );
            None
        }
    }
}

fn dns(node: &Node, problems: &mut Problems) -> Option<Answer> {
    if !problems.check(node, &DNS) {
        return None;
    }
    let record_type = problems.text(&node.args[0], "the type")?.to_ascii_uppercase();
    let name = problems.text(&node.args[1], "the name")?;
    let reply = match node.child("fails") {
        Some(fails) => {
            let (way, why) = failure(fails, &DNS_WAYS, problems)?;
            Reply::DnsFails(match way {
                DnsWay::NoSuchName => DnsError::NoSuchName,
                DnsWay::ServerFailure => DnsError::ServerFailure,
                DnsWay::Timeout => DnsError::Timeout,
                DnsWay::Other => DnsError::Other(why),
            })
        }
        None => {
            let records = node.children().iter().filter(|child| child.name.value == "answer");
            Reply::Records(records.filter_map(|child| record(child, &name, &record_type, problems)).collect())
        }
    };
    Some(Answer { at: node.at, asked: Asked::Dns { record_type, name }, sends: None, reply })
}

fn record(node: &Node, name: &str, record_type: &str, problems: &mut Problems) -> Option<DnsAnswer> {
    if !problems.check(node, &RECORD) {
        return None;
    }
    let ttl = match node.prop("ttl") {
        Some(prop) => problems.number(&prop.value, "`ttl`", "a number of seconds")?,
        None => TTL_DEFAULT,
    };
    Some(DnsAnswer {
        name: problems.prop(node, "name").unwrap_or_else(|| name.to_owned()),
        record_type: problems.prop(node, "type").unwrap_or_else(|| record_type.to_owned()),
        ttl,
        value: problems.first(node)?,
    })
}

/// How a request fails, and why.
fn failure<T: Copy>(node: &Node, ways: &[(&'static str, T)], problems: &mut Problems) -> Option<(T, String)> {
    if !problems.check(node, &FAILS) {
        return None;
    }
    let way: Spanned<String> = spanned(&node.args[0]);
    let why = match node.args.get(1) {
        Some(arg) => problems.text(arg, "the reason")?,
        None => format!("this case says so: {}", way.value),
    };
    problems.word(&way, "a failure", ways).map(|way| (way, why))
}
