//! The objects of an API server as last seen, and how to read them. Nothing here talks to a server.

use std::collections::BTreeMap;

use kube::api::ApiResource;
use serde_json::Value;

/// A kind of object that a controller watches or writes.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    pub version: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
}

impl Kind {
    pub(super) fn resource(&self) -> ApiResource {
        let (group, version) = self.version.split_once('/').unwrap_or(("", self.version));
        ApiResource {
            group: group.into(),
            version: version.into(),
            api_version: self.version.into(),
            kind: self.kind.into(),
            plural: self.plural.into(),
        }
    }
}

/// What a watch has to say.
pub(super) enum Change {
    Listed(&'static str, Vec<Value>),
    Put(&'static str, Value),
    Gone(&'static str, Value),
}

/// All objects of the watched kinds.
#[derive(Default)]
pub struct World {
    objects: BTreeMap<String, BTreeMap<(String, String), Value>>,
}

impl World {
    /// A world of these objects, each with its `kind`: what tests and rehearsals start from.
    pub fn of(objects: impl IntoIterator<Item = Value>) -> World {
        let mut world = World::default();
        for object in objects {
            world.put(object);
        }
        world
    }

    /// Adds an object, or takes the place of the one of its kind and name.
    pub fn put(&mut self, object: Value) {
        let kind = text(&object["kind"]).to_owned();
        self.objects.entry(kind).or_default().insert(key(&object), object);
    }

    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(kind)?.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// All objects of a kind, by namespace and name.
    pub fn list(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.get(kind).into_iter().flat_map(BTreeMap::values)
    }

    /// A value of a Secret as it is stored: base64.
    pub fn secret(&self, namespace: &str, name: &str, key: &str) -> Option<&str> {
        self.get("Secret", namespace, name)?["data"][key].as_str()
    }

    pub(super) fn has_seen(&self, kind: &Kind) -> bool {
        self.objects.contains_key(kind.kind)
    }

    pub(super) fn take(&mut self, change: Change) {
        match change {
            Change::Listed(kind, found) => {
                let found = found.into_iter().map(|object| (key(&object), object)).collect();
                self.objects.insert(kind.to_owned(), found);
            }
            Change::Put(kind, object) => {
                self.objects.entry(kind.to_owned()).or_default().insert(key(&object), object);
            }
            Change::Gone(kind, object) => {
                self.objects.entry(kind.to_owned()).or_default().remove(&key(&object));
            }
        }
    }
}

fn key(object: &Value) -> (String, String) {
    (namespace(object).to_owned(), name(object).to_owned())
}

/// The text of a value; that of anything else is empty, as an absent field is to Kubernetes.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub fn meta<'a>(object: &'a Value, field: &str) -> &'a Value {
    &object["metadata"][field]
}

pub fn name(object: &Value) -> &str {
    text(meta(object, "name"))
}

pub fn namespace(object: &Value) -> &str {
    text(meta(object, "namespace"))
}
