//! Values and expectations as KDL text: what `--bless` and `--record` write, and what a difference is shown in.

use steps_sdk::Value;
use steps_sdk::grant::KubernetesVerb;
use steps_sdk::host::{DnsError, HttpError, KubernetesError};
use steps_sdk::outcome::{Certainty, Change};

use super::answers::VERBS;
use super::case::{Answer, Asked, Body, CLASSES, Reply, Sent, What, Word, word_of};
use super::expected::{ACTIONS, CERTAINTIES};

const INDENT: &str = "    ";

/// Strings that are numbers, truth or nothing when they stand without quotes.
const KEYWORDS: [&str; 6] = ["true", "false", "null", "inf", "-inf", "nan"];

/// A text as an argument or a name: without quotes where it is a plain word.
pub fn text(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && !KEYWORDS.contains(&text);
    if is_plain { text.to_owned() } else { quoted(text) }
}

/// A text in quotes, where `${` would begin an expression.
fn quoted(text: &str) -> String {
    engine_core::syntax::quoted(&text.replace("${", "$${"))
}

/// A node that gives a value: `head VALUE`, `head { … }`, or `head json="…"` for what KDL has no form of.
pub fn node(head: &str, value: &Value) -> String {
    let mut out = String::new();
    match write(&mut out, head, value, 0) {
        Some(()) => out,
        None => format!("{head} json={}", raw(&value.to_string())),
    }
}

/// Between `#"` and `"#`, with as many `#` as the text needs.
fn raw(text: &str) -> String {
    let mut hashes = "#".to_owned();
    while text.contains(&format!("\"{hashes}")) {
        hashes.push('#');
    }
    format!("{hashes}\"{text}\"{hashes}")
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("#null".to_owned()),
        Value::Bool(truth) => Some(format!("#{truth}")),
        // The language's whole numbers have 64 bits with a sign.
        Value::Number(number) if number.is_u64() && number.as_i64().is_none() => None,
        Value::Number(number) => Some(number.to_string()),
        Value::String(string) => Some(quoted(string)),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// `None`: an empty list, or a name that has a meaning of its own, which only JSON can say.
fn write(out: &mut String, head: &str, value: &Value, depth: usize) -> Option<()> {
    let indent = INDENT.repeat(depth);
    out.push_str(head);
    match value {
        Value::Array(items) if items.is_empty() => return None,
        Value::Array(items) => {
            let scalars: Option<Vec<String>> = items.iter().map(scalar).collect();
            match scalars {
                Some(scalars) if scalars.len() > 1 => out.push_str(&format!(" {}", scalars.join(" "))),
                _ => {
                    out.push_str(" {\n");
                    for item in items {
                        out.push_str(&format!("{indent}{INDENT}"));
                        write(out, "-", item, depth + 1)?;
                        out.push('\n');
                    }
                    out.push_str(&format!("{indent}}}"));
                }
            }
        }
        Value::Object(map) if map.is_empty() => out.push_str(" {}"),
        Value::Object(map) => {
            out.push_str(" {\n");
            for (name, field) in map {
                if name == "-" || name == "for-each" {
                    return None;
                }
                out.push_str(&format!("{indent}{INDENT}"));
                write(out, &text(name), field, depth + 1)?;
                out.push('\n');
            }
            out.push_str(&format!("{indent}}}"));
        }
        plain => out.push_str(&format!(" {}", scalar(plain)?)),
    }
    Some(())
}

/// A node with a block of lines.
fn block(head: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return head.to_owned();
    }
    let inner: String = lines.iter().map(|line| format!("{}\n", indented(line))).collect();
    format!("{head} {{\n{inner}}}")
}

/// Every line one level deeper.
pub fn indented(text: &str) -> String {
    text.lines().map(|line| format!("{INDENT}{line}")).collect::<Vec<_>>().join("\n")
}

/// `expect …`
pub fn expectation(what: &What) -> String {
    match what {
        What::Outputs { value, partly } => {
            node(if *partly { "expect outputs partly=#true" } else { "expect outputs" }, value)
        }
        What::Summary(summary) => format!("expect summary {}", quoted(summary)),
        What::Same => "expect same".to_owned(),
        What::Failure { class, code, message_has } => {
            let mut node = "expect failure".to_owned();
            if let Some(class) = class {
                node.push_str(&format!(" class={}", word_of(&CLASSES, *class)));
            }
            if let Some(code) = code {
                node.push_str(&format!(" code={}", text(code)));
            }
            if let Some(words) = message_has {
                node.push_str(&format!(" message-has={}", quoted(words)));
            }
            node
        }
        What::Changes(changes) if changes.is_empty() => "expect preview {}".to_owned(),
        What::Changes(changes) => block("expect preview", &changes.iter().map(change).collect::<Vec<_>>()),
        What::Later(words) => format!("expect later {}", quoted(words)),
        What::Verdict { word, reason_has } => {
            let mut node = format!("expect verdict {}", word_of(&Word::ALL, *word));
            if let Some(words) = reason_has {
                node.push_str(&format!(" {}", quoted(words)));
            }
            node
        }
        What::Undone(words) => format!("expect undone {}", quoted(words)),
        What::Waiting(words) => format!("expect waiting {}", quoted(words)),
        What::Log(words) => format!("expect log {}", quoted(words)),
        What::Hold { name, data } => node(&format!("expect hold {}", text(name)), data),
        What::Memo { key, value } => node(&format!("expect memo {}", text(key)), value),
    }
}

fn change(change: &Change) -> String {
    let mut head = format!("{} {}", word_of(&ACTIONS, change.action), quoted(&change.object));
    if change.certainty != Certainty::Server {
        head.push_str(&format!(" certainty={}", word_of(&CERTAINTIES, change.certainty)));
    }
    let mut lines = Vec::new();
    for field in &change.fields {
        let mut sides = Vec::new();
        sides.extend(field.before.as_ref().map(|value| node("before", value)));
        sides.extend(field.after.as_ref().map(|value| node("after", value)));
        lines.push(block(&format!("field {}", quoted(&field.path)), &sides));
    }
    lines.extend(change.conflict.as_ref().map(|why| format!("conflict {}", quoted(why))));
    block(&head, &lines)
}

/// A request, as the head of the node that would answer it.
pub fn asked(asked: &Asked) -> String {
    match asked {
        Asked::Http { method, url } => format!("http {} {}", text(method), quoted(url)),
        Asked::Kubernetes { verb, cluster, kind, namespace, name } => {
            let place = match (namespace, name) {
                (Some(namespace), Some(name)) => format!(" {}", quoted(&format!("{namespace}/{name}"))),
                (Some(alone), None) | (None, Some(alone)) => format!(" {}", text(alone)),
                (None, None) => String::new(),
            };
            format!("kubernetes {} {}{place} on={}", word_of(&VERBS, *verb), text(kind), text(cluster))
        }
        Asked::Dns { record_type, name } => format!("dns {} {}", text(record_type), text(name)),
    }
}

/// An answer with its request.
pub fn answer(answer: &Answer) -> String {
    let mut lines: Vec<String> = answer.sends.iter().map(sends).collect();
    match &answer.reply {
        Reply::Http(response) => {
            lines.push(format!("status {}", response.status));
            lines.extend(
                response.headers.iter().map(|(name, value)| format!("header {} {}", text(name), quoted(value))),
            );
            lines.extend(body(&response.body));
        }
        Reply::HttpFails(error) => lines.push(http_failure(error)),
        Reply::Object(object) => lines.push(node("object", object)),
        Reply::Echo => {}
        Reply::Objects(objects) => lines.extend(objects.iter().map(|object| node("object", object))),
        Reply::KubernetesFails(error) => lines.push(kubernetes_failure(error)),
        Reply::Records(records) => lines.extend(records.iter().map(|record| {
            let mut node = format!("answer {} ttl={}", quoted(&record.value), record.ttl);
            if let Asked::Dns { record_type, name } = &answer.asked {
                if !record.name.trim_end_matches('.').eq_ignore_ascii_case(name.trim_end_matches('.')) {
                    node.push_str(&format!(" name={}", text(&record.name)));
                }
                if record.record_type != *record_type {
                    node.push_str(&format!(" type={}", text(&record.record_type)));
                }
            }
            node
        })),
        Reply::DnsFails(error) => lines.push(dns_failure(error)),
    }
    block(&asked(&answer.asked), &lines)
}

/// A body: JSON as KDL, other text as it is. Bytes that are no text are not kept.
fn body(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return None;
    }
    match (serde_json::from_slice::<Value>(bytes), std::str::from_utf8(bytes)) {
        (Ok(value @ (Value::Object(_) | Value::Array(_))), _) => Some(node("json", &value)),
        (_, Ok(words)) => Some(format!("body {}", quoted(words))),
        (_, Err(_)) => Some(format!("body {}", quoted(&String::from_utf8_lossy(bytes)))),
    }
}

/// `sends { … }`
pub fn sends(sent: &Sent) -> String {
    let mut lines: Vec<String> =
        sent.headers.iter().map(|(name, value)| format!("header {} {}", text(name), quoted(value))).collect();
    match &sent.body {
        Some(Body::Text(words)) => lines.push(format!("body {}", quoted(words))),
        Some(Body::Json(value)) => lines.push(node("json", value)),
        None => {}
    }
    block("sends", &lines)
}

fn fails(way: &str, why: Option<&str>) -> String {
    match why {
        Some(why) => format!("fails {way} {}", quoted(why)),
        None => format!("fails {way}"),
    }
}

fn http_failure(error: &HttpError) -> String {
    match error {
        HttpError::Timeout => fails("timeout", None),
        HttpError::Dns(why) => fails("dns", Some(why)),
        HttpError::Connect(why) => fails("connect", Some(why)),
        HttpError::Tls(why) => fails("tls", Some(why)),
        HttpError::TooLarge(_) => fails("too-large", None),
        HttpError::NotGranted(why) | HttpError::Other(why) => fails("other", Some(why)),
    }
}

fn kubernetes_failure(error: &KubernetesError) -> String {
    match error {
        KubernetesError::NotFound => fails("not-found", None),
        KubernetesError::Conflict(why) => fails("conflict", Some(why)),
        KubernetesError::Forbidden(why) => fails("forbidden", Some(why)),
        KubernetesError::Unavailable(why) => fails("unavailable", Some(why)),
        KubernetesError::Invalid(why) => fails("invalid", Some(why)),
        KubernetesError::Other(why) => fails("other", Some(why)),
    }
}

fn dns_failure(error: &DnsError) -> String {
    match error {
        DnsError::NoSuchName => fails("no-such-name", None),
        DnsError::ServerFailure => fails("server-failure", None),
        DnsError::Timeout => fails("timeout", None),
        DnsError::Other(why) => fails("other", Some(why)),
    }
}

/// What would have to be added to a case so that a request is answered.
pub fn to_add(request: &Asked) -> String {
    let line = match request {
        Asked::Http { .. } => "status 200",
        Asked::Dns { .. } => "answer \"203.0.113.10\" ttl=60",
        Asked::Kubernetes { verb: KubernetesVerb::Apply | KubernetesVerb::Delete, .. } => return asked(request),
        Asked::Kubernetes { kind, .. } => {
            let kind = kind.split('.').next().unwrap_or_default();
            return block(&asked(request), &[format!("object kind={} {{ … }}", text(kind))]);
        }
    };
    block(&asked(request), &[line.to_owned()])
}
