//! Requests to answers: paths, verbs, parameters, and the Status objects that go with each refusal.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures::stream;
use http::request::Parts;
use http::{Method, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::{Value, json};

use super::ApiServer;
use super::merge;
use super::store::{Event, Kind, Place};

pub(super) type Stream = StreamBody<Pin<Box<dyn futures::Stream<Item = Result<Frame<Bytes>, io::Error>> + Send>>>;

pub(super) fn answer(server: &ApiServer, parts: &Parts, body: &[u8]) -> Response<Stream> {
    let Some(path) = Path::read(parts.uri.path()) else {
        return text(404, "404 page not found\n");
    };
    let query: HashMap<String, String> = parts
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.into(), decoded(value)))
        .collect();
    let mut state = server.state();
    let kinds: Vec<Kind> = state.store.kinds().into_iter().filter(|kind| kind.version == path.version).collect();
    if kinds.is_empty() {
        return text(404, "404 page not found\n");
    }
    let Some(plural) = &path.plural else { return discovery(&path.version, &kinds) };
    let Some(kind) = kinds.into_iter().find(|kind| kind.plural == *plural) else {
        return refusal(404, "NotFound", "the server could not find the requested resource", json!({}));
    };
    let only =
        query.get("fieldSelector").and_then(|selector| selector.strip_prefix("metadata.name=")).map(str::to_owned);
    let Some(name) = path.name.clone() else {
        return match query.contains_key("watch") {
            true => {
                drop(state);
                watch(
                    server,
                    Watched { path, only },
                    query.get("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0),
                )
            }
            false => {
                let found = state.store.list(&path.version, plural, path.namespace.as_deref());
                let items: Vec<Value> = found
                    .filter(|object| only.is_none() || object["metadata"]["name"].as_str() == only.as_deref())
                    .cloned()
                    .map(bare)
                    .collect();
                let from = query.get("continue").and_then(|place| place.parse().ok()).unwrap_or(0);
                let page: Vec<Value> =
                    items.iter().skip(from).take(state.page.unwrap_or(usize::MAX)).cloned().collect();
                let next = from + page.len();
                let next = if next < items.len() { next.to_string() } else { String::new() };
                ok(
                    200,
                    json!({ "kind": format!("{}List", kind.kind), "apiVersion": path.version, "items": page,
                            "metadata": { "resourceVersion": state.store.version.to_string(), "continue": next } }),
                )
            }
        };
    };
    let place = Place { version: path.version, plural: plural.clone(), namespace: path.namespace, name };
    if path.subresource.as_deref() == Some("scale") {
        return scale(&mut state.store, place, &parts.method, body, &query);
    }
    match parts.method {
        Method::GET => match state.store.get(&place) {
            Some(object) => ok(200, object.clone()),
            None => not_found(&place),
        },
        Method::PATCH => {
            let wanted: Value = serde_json::from_slice(body).expect("a body that is JSON");
            patch(&mut state.store, place, &wanted, &query)
        }
        Method::DELETE => delete(&mut state.store, &place, &serde_json::from_slice(body).unwrap_or_default()),
        _ => refusal(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
            json!({}),
        ),
    }
}

fn patch(
    store: &mut super::store::Store,
    place: Place,
    wanted: &Value,
    query: &HashMap<String, String>,
) -> Response<Stream> {
    let is = |name: &str, value: &str| query.get(name).map(String::as_str) == Some(value);
    let manager = query.get("fieldManager").cloned().unwrap_or_default();
    if manager.is_empty() || !is("fieldValidation", "Strict") {
        return refusal(400, "BadRequest", "this server wants a field manager and strict validation", json!({}));
    }
    let namespace_place =
        |name: &str| Place { version: "v1".into(), plural: "namespaces".into(), namespace: None, name: name.into() };
    if let Some(namespace) = &place.namespace
        && store.get(&namespace_place(namespace)).is_none()
    {
        return refusal(
            404,
            "NotFound",
            &format!("namespaces \"{namespace}\" not found"),
            json!({ "name": namespace, "kind": "namespaces" }),
        );
    }
    if let Some(odd) = wanted.as_object().and_then(|fields| fields.keys().find(|key| key.starts_with("unknown"))) {
        return refusal(
            500,
            "",
            &format!(
                "failed to create typed patch object ({}; {}, Kind={}): .{odd}: field not declared in schema",
                place.name, place.version, wanted["kind"]
            ),
            Value::Null,
        );
    }
    let before = store.get(&place).cloned();
    match merge::apply(before.as_ref(), wanted, &manager, is("force", "true")) {
        Err(conflicts) => {
            let cause = |(owner, field): &(String, String)| {
                let message = format!("conflict with \"{owner}\"");
                json!({ "reason": "FieldManagerConflict", "message": message, "field": field.replace('/', ".") })
            };
            let causes: Vec<Value> = conflicts.iter().map(cause).collect();
            refusal(
                409,
                "Conflict",
                &format!("Apply failed with {} conflicts", causes.len()),
                json!({ "causes": causes }),
            )
        }
        Ok(merged) if is("dryRun", "All") => ok(200, merged),
        Ok(merged) => ok(if before.is_some() { 200 } else { 201 }, store.put(place, merged)),
    }
}

/// The subresource through which a count of replicas is read, and written by a merge patch.
fn scale(
    store: &mut super::store::Store,
    place: Place,
    method: &Method,
    body: &[u8],
    query: &HashMap<String, String>,
) -> Response<Stream> {
    let Some(mut object) = store.get(&place).cloned() else { return not_found(&place) };
    if *method == Method::PATCH {
        let wanted: Value = serde_json::from_slice(body).expect("a body that is JSON");
        object["spec"]["replicas"] = wanted["spec"]["replicas"].clone();
        if query.get("dryRun").is_none_or(|dry| dry != "All") {
            object = store.put(place, object);
        }
    }
    let spec = json!({ "replicas": object["spec"]["replicas"] });
    ok(200, json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": object["metadata"], "spec": spec }))
}

fn delete(store: &mut super::store::Store, place: &Place, options: &Value) -> Response<Stream> {
    let Some(mut object) = store.get(place).cloned() else { return not_found(place) };
    if options.pointer("/preconditions/uid").is_some_and(|uid| *uid != object["metadata"]["uid"]) {
        return refusal(
            409,
            "Conflict",
            "the UID in the precondition does not match the UID in record",
            json!({ "name": place.name }),
        );
    }
    if options.pointer("/dryRun/0").and_then(Value::as_str) == Some("All") {
        return ok(200, object);
    }
    match object.pointer("/metadata/finalizers").and_then(Value::as_array).is_some_and(|all| !all.is_empty()) {
        true => {
            object["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
            ok(200, store.put(place.clone(), object))
        }
        false => {
            store.remove(place);
            ok(200, json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" }))
        }
    }
}

fn discovery(version: &str, kinds: &[Kind]) -> Response<Stream> {
    let resources: Vec<Value> = kinds
        .iter()
        .flat_map(|kind| {
            let resource = |name: String| {
                json!({ "name": name, "singularName": "", "namespaced": kind.is_namespaced, "kind": kind.kind, "verbs": ["get"] })
            };
            [resource(kind.plural.clone()), resource(format!("{}/status", kind.plural))]
        })
        .collect();
    ok(200, json!({ "kind": "APIResourceList", "groupVersion": version, "resources": resources }))
}

struct Watched {
    path: Path,
    only: Option<String>,
}

impl Watched {
    fn sees(&self, event: &Event) -> bool {
        let place = &event.place;
        let is_here = place.version == self.path.version
            && Some(&place.plural) == self.path.plural.as_ref()
            && (self.path.namespace.is_none() || place.namespace == self.path.namespace);
        is_here && self.only.as_ref().is_none_or(|name| *name == place.name)
    }
}

/// One line for each event after `version`, until the watches are cut.
fn watch(server: &ApiServer, watched: Watched, version: u64) -> Response<Stream> {
    let (cuts, silences) = {
        let state = server.state();
        (state.store.cuts, state.store.silences)
    };
    let lines = stream::unfold((server.clone(), watched, version), move |(server, watched, version)| async move {
        loop {
            let news = server.state().store.news.clone();
            let mut told = std::pin::pin!(news.notified());
            told.as_mut().enable();
            let (next, is_silent) = {
                let state = server.state();
                if state.store.cuts != cuts {
                    return None;
                }
                let is_news = |event: &&Event| event.version > version && watched.sees(event);
                (state.store.history.iter().find(is_news).cloned(), state.store.silences != silences)
            };
            if is_silent {
                return std::future::pending().await;
            }
            if let Some(event) = next {
                let line = format!("{}\n", json!({ "type": event.what, "object": event.object }));
                return Some((Ok(Frame::data(Bytes::from(line))), (server, watched, event.version)));
            }
            told.await;
        }
    });
    Response::new(StreamBody::new(Box::pin(lines)))
}

/// `/api/v1/namespaces/NS/PLURAL/NAME`, `/apis/GROUP/VERSION/PLURAL`, and what is shorter.
struct Path {
    version: String,
    namespace: Option<String>,
    plural: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
}

impl Path {
    fn read(path: &str) -> Option<Path> {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (version, rest) = match segments.as_slice() {
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return None,
        };
        let owned = |text: &str| Some(text.to_owned());
        Some(match rest {
            [] => Path { version, namespace: None, plural: None, name: None, subresource: None },
            ["namespaces", namespace, plural, name @ ..] => Path {
                version,
                namespace: owned(namespace),
                plural: owned(plural),
                name: name.first().map(|name| (*name).to_owned()),
                subresource: name.get(1).map(|part| (*part).to_owned()),
            },
            [plural, name @ ..] => Path {
                version,
                namespace: None,
                plural: owned(plural),
                name: name.first().map(|name| (*name).to_owned()),
                subresource: name.get(1).map(|part| (*part).to_owned()),
            },
        })
    }
}

pub(super) fn refusal(code: u16, reason: &str, message: &str, details: Value) -> Response<Stream> {
    let details = if details.is_null() { json!({}) } else { details };
    ok(
        code,
        json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
                "message": message, "details": details }),
    )
}

fn not_found(place: &Place) -> Response<Stream> {
    refusal(
        404,
        "NotFound",
        &format!("{} \"{}\" not found", place.plural, place.name),
        json!({ "kind": place.plural, "name": place.name }),
    )
}

/// Items of a list do not say what they are.
fn bare(mut object: Value) -> Value {
    let fields = object.as_object_mut().expect("objects are maps");
    fields.shift_remove("apiVersion");
    fields.shift_remove("kind");
    object
}

fn ok(code: u16, json: Value) -> Response<Stream> {
    text(code, &json.to_string())
}

fn text(code: u16, text: &str) -> Response<Stream> {
    let frame = Ok(Frame::data(Bytes::from(text.to_owned())));
    let body: Pin<Box<dyn futures::Stream<Item = _> + Send>> = Box::pin(stream::iter([frame]));
    Response::builder().status(code).body(StreamBody::new(body)).expect("a status code in range")
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match first {
            b'%' if after.len() >= 2 => {
                let hex = std::str::from_utf8(&after[..2]).expect("an escaped byte");
                bytes.push(u8::from_str_radix(hex, 16).expect("an escaped byte"));
                rest = &after[2..];
            }
            b'+' => {
                bytes.push(b' ');
                rest = after;
            }
            other => {
                bytes.push(*other);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).expect("text")
}
