//! Objects by their place, with resource versions and a history for watchers.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Notify;

/// Where an object lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// A kind that is served.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) version: String,
    pub(super) kind: String,
    pub(super) plural: String,
    pub(super) is_namespaced: bool,
}

#[derive(Clone)]
pub(super) struct Event {
    pub(super) version: u64,
    pub(super) what: &'static str,
    pub(super) place: Place,
    pub(super) object: Value,
}

#[derive(Default)]
pub(super) struct Store {
    objects: BTreeMap<Place, Value>,
    pub(super) history: Vec<Event>,
    pub(super) version: u64,
    pub(super) writes: usize,
    /// Raised to end every watch.
    pub(super) cuts: usize,
    /// Raised to let every watch fall silent.
    pub(super) silences: usize,
    pub(super) news: Arc<Notify>,
}

const KINDS: [(&str, &str, &str, bool); 9] = [
    ("v1", "Namespace", "namespaces", false),
    ("v1", "ConfigMap", "configmaps", true),
    ("v1", "Secret", "secrets", true),
    ("v1", "Service", "services", true),
    ("v1", "Pod", "pods", true),
    ("apps/v1", "Deployment", "deployments", true),
    ("apps/v1", "StatefulSet", "statefulsets", true),
    ("batch/v1", "Job", "jobs", true),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions", false),
];

impl Store {
    /// Built-in kinds, and those of definitions that are there.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let built_in = KINDS.iter().map(|(version, kind, plural, is_namespaced)| Kind {
            version: (*version).into(),
            kind: (*kind).into(),
            plural: (*plural).into(),
            is_namespaced: *is_namespaced,
        });
        let defined = self.objects.iter().filter(|(place, _)| place.plural == "customresourcedefinitions").map(
            |(_, definition)| {
                let spec = |at: &str| definition.pointer(at).and_then(Value::as_str).unwrap_or_default();
                Kind {
                    version: format!("{}/{}", spec("/spec/group"), spec("/spec/versions/0/name")),
                    kind: spec("/spec/names/kind").into(),
                    plural: spec("/spec/names/plural").into(),
                    is_namespaced: spec("/spec/scope") == "Namespaced",
                }
            },
        );
        built_in.chain(defined).collect()
    }

    pub(super) fn place_of(&self, object: &Value) -> Option<Place> {
        let text = |at: &str| object.pointer(at).and_then(Value::as_str);
        let kind = self.kinds().into_iter().find(|kind| {
            Some(kind.version.as_str()) == text("/apiVersion") && Some(kind.kind.as_str()) == text("/kind")
        })?;
        Some(Place {
            version: kind.version,
            plural: kind.plural,
            namespace: text("/metadata/namespace").map(str::to_owned),
            name: text("/metadata/name")?.to_owned(),
        })
    }

    pub(super) fn get(&self, place: &Place) -> Option<&Value> {
        self.objects.get(place)
    }

    pub(super) fn find(&self, kind: &str, name: &str) -> Option<(Place, Value)> {
        let is = |object: &Value| object["kind"] == kind && object["metadata"]["name"] == name;
        self.objects.iter().find(|(_, object)| is(object)).map(|(place, object)| (place.clone(), object.clone()))
    }

    pub(super) fn list<'a>(
        &'a self,
        version: &'a str,
        plural: &'a str,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Value> {
        let is_there = move |place: &Place| {
            place.version == version
                && place.plural == plural
                && (namespace.is_none() || place.namespace.as_deref() == namespace)
        };
        self.objects.iter().filter(move |(place, _)| is_there(place)).map(|(_, object)| object)
    }

    /// Writes the object unless it is the same; gives it uid and version as an API server does. Answers it as it is then.
    pub(super) fn put(&mut self, place: Place, mut object: Value) -> Value {
        let before = self.objects.get(&place);
        if before == Some(&object) {
            return object;
        }
        let what = if before.is_some() { "MODIFIED" } else { "ADDED" };
        self.writes += 1;
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if before.is_none() {
            object["metadata"]["uid"] = format!("uid-{}-{}", place.name, self.version).into();
            born(&mut object);
        }
        let is_leaving = object.pointer("/metadata/deletionTimestamp").is_some();
        let is_held =
            object.pointer("/metadata/finalizers").and_then(Value::as_array).is_some_and(|all| !all.is_empty());
        if is_leaving && !is_held {
            self.remove(&place);
            return object;
        }
        self.tell(what, &place, &object);
        self.objects.insert(place, object.clone());
        object
    }

    pub(super) fn remove(&mut self, place: &Place) {
        if let Some(object) = self.objects.remove(place) {
            self.writes += 1;
            self.version += 1;
            self.tell("DELETED", place, &object);
        }
    }

    pub(super) fn cut_watches(&mut self) {
        self.cuts += 1;
        self.news.notify_waiters();
    }

    pub(super) fn objects(&self) -> Value {
        self.objects
            .values()
            .map(|object| {
                let mut object = object.clone();
                for field in ["resourceVersion", "uid"] {
                    object["metadata"].as_object_mut().expect("objects have metadata").shift_remove(field);
                }
                object
            })
            .collect()
    }

    fn tell(&mut self, what: &'static str, place: &Place, object: &Value) {
        self.history.push(Event { version: self.version, what, place: place.clone(), object: object.clone() });
        self.news.notify_waiters();
    }
}

/// What is set at once by an API server and its own controllers.
fn born(object: &mut Value) {
    match object["kind"].as_str() {
        Some("Namespace") => object["status"] = json!({ "phase": "Active" }),
        Some("CustomResourceDefinition") => {
            object["status"] = json!({ "conditions": [{ "type": "Established", "status": "True" }] })
        }
        _ => {}
    }
}
