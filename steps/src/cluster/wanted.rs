//! Objects that a step wants to be there, read from its inputs: named, in the form that is sent, in the order in which they are made.
//!
//! Whether the cluster knows their kinds is not looked at here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use steps_sdk::StepError;

use super::reference::ObjectRef;

/// One object as it will be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) reference: ObjectRef,
    pub(crate) object: Value,
}

/// What has to be there before what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    Namespaces,
    Definitions,
    Rest,
}

impl Wanted {
    pub(crate) fn turn(&self) -> Turn {
        match &self.reference {
            reference if reference.is_namespace() => Turn::Namespaces,
            reference if reference.is_crd() => Turn::Definitions,
            _ => Turn::Rest,
        }
    }

    /// The kinds that this object defines, in all versions that will be served; the names are the definition's own.
    pub(crate) fn defined(&self) -> Vec<ObjectRef> {
        let spec = |at: &str| self.object.pointer(at).and_then(Value::as_str);
        let (true, Some(group), Some(kind)) = (self.reference.is_crd(), spec("/spec/group"), spec("/spec/names/kind"))
        else {
            return Vec::new();
        };
        let versions = self.object.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
        let served = versions.filter(|version| version.get("served") != Some(&Value::Bool(false)));
        let names = served.filter_map(|version| version.get("name").and_then(Value::as_str));
        let of_version = |version: &str| ObjectRef {
            api_version: format!("{group}/{version}"),
            kind: kind.to_owned(),
            ..self.reference.clone()
        };
        names.map(of_version).collect()
    }

    /// Whether this object is the definition of the other's kind.
    fn defines(&self, other: &ObjectRef) -> bool {
        self.defined().iter().any(|kind| kind.api_version == other.api_version && kind.kind == other.kind)
    }
}

/// Reads objects as they stand in files: lists are opened, empty documents left out, each object named once.
pub(crate) fn wanted(objects: impl IntoIterator<Item = Value>) -> Result<Vec<Wanted>, StepError> {
    let mut all: Vec<Wanted> = Vec::new();
    for object in objects.into_iter().flat_map(opened) {
        let one = named(object)?;
        if all.iter().any(|other| other.reference == one.reference) {
            return Err(refused(format!("{} is written twice in this step", one.reference))
                .help("join the two, or leave one out"));
        }
        all.push(one);
    }
    match all.is_empty() {
        true => Err(refused("the step names no object").help("write `object … { }` or `manifest \"PATH\"`")),
        false => Ok(all),
    }
}

/// Whether one of the objects brings the namespace in which `reference` lives.
pub(crate) fn brings_namespace_of(all: &[Wanted], reference: &ObjectRef) -> bool {
    all.iter().any(|one| one.reference.is_namespace() && Some(&one.reference.name) == reference.namespace.as_ref())
}

/// Whether one of the objects defines the kind of `reference`.
pub(crate) fn brings_kind_of(all: &[Wanted], reference: &ObjectRef) -> bool {
    all.iter().any(|one| one.defines(reference))
}

/// `kind: List` is how `kubectl get -o yaml` writes several objects into one document.
fn opened(object: Value) -> Vec<Value> {
    let is_list = object.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match object {
        Value::Null => Vec::new(),
        Value::Object(mut fields) if is_list && fields.get("items").is_some_and(Value::is_array) => {
            match fields.remove("items") {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            }
        }
        other => vec![other],
    }
}

/// Reads one object; a list is an object like any other here.
pub(crate) fn named(mut object: Value) -> Result<Wanted, StepError> {
    if object.pointer("/metadata/generateName").is_some() {
        return Err(refused("an object with `generateName` would be made again by every run")
            .help("give it a fixed `metadata name=…`"));
    }
    let Some(reference) = ObjectRef::of(&object) else {
        let has = |at: &str| object.pointer(at).is_some_and(Value::is_string);
        let absent: Vec<&str> = [("apiVersion", "/apiVersion"), ("kind", "/kind"), ("metadata.name", "/metadata/name")]
            .iter()
            .filter(|(_, at)| !has(at))
            .map(|(name, _)| *name)
            .collect();
        return Err(refused(format!("an object lacks {} as text", absent.join(", "))));
    };
    let reference = reference.bare().check()?;
    if reference.is_secret() {
        fold_string_data(&mut object);
    }
    Ok(Wanted { reference, object })
}

/// `stringData` is turned into `data` on the way in and cannot be read back: sent as it is, no preview could compare it.
fn fold_string_data(secret: &mut Value) {
    let Some(fields) = secret.as_object_mut() else { return };
    let Some(Value::Object(texts)) = fields.shift_remove("stringData") else { return };
    let data = fields.entry("data").or_insert_with(|| Value::Object(serde_json::Map::new()));
    if let Some(data) = data.as_object_mut() {
        for (key, text) in texts {
            let folded = text.as_str().map_or(text.clone(), |text| Value::String(STANDARD.encode(text)));
            data.insert(key, folded);
        }
    }
}

fn refused(message: impl Into<String>) -> StepError {
    StepError::permanent("K220", message).not_started()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::{object, widgets};
    use serde_json::json;

    fn names(objects: Value) -> Result<Vec<String>, String> {
        let Value::Array(objects) = objects else { panic!("a list") };
        wanted(objects)
            .map(|all| all.iter().map(|one| one.reference.to_string()).collect())
            .map_err(|error| error.message)
    }

    #[test]
    fn lists_are_opened_and_empty_documents_left_out() {
        let map = |name: &str| object("v1", "ConfigMap", &format!("a/{name}"), json!({}));
        assert_eq!(
            names(json!([null, { "apiVersion": "v1", "kind": "List", "items": [map("b"), map("c")] }, map("d")]))
                .unwrap(),
            ["ConfigMap/a/b", "ConfigMap/a/c", "ConfigMap/a/d"]
        );
        assert_eq!(names(json!([map("b"), map("b")])).unwrap_err(), "ConfigMap/a/b is written twice in this step");
        assert_eq!(names(json!([null])).unwrap_err(), "the step names no object");
        assert_eq!(
            names(json!([{ "kind": "ConfigMap", "metadata": { "name": 5 } }])).unwrap_err(),
            "an object lacks apiVersion, metadata.name as text"
        );
        assert!(
            names(json!([{ "apiVersion": "v1", "kind": "Pod", "metadata": { "generateName": "a-" } }]))
                .unwrap_err()
                .contains("generateName")
        );
    }

    #[test]
    fn string_data_of_a_secret_is_sent_as_data() {
        let data = json!({ "data": { "k": "AA==" }, "stringData": { "p": "hunter2" } });
        let secret = object("v1", "Secret", "b/a", data);
        let all = wanted([secret]).unwrap();
        assert_eq!(all[0].object["data"], json!({ "k": "AA==", "p": "aHVudGVyMg==" }));
        assert!(all[0].object.get("stringData").is_none());
    }

    #[test]
    fn a_definition_brings_the_kind_that_it_names() {
        let crd = widgets();
        let own = object("ex.io/v1", "Widget", "a", json!({}));
        let other = object("ex.io/v2", "Widget", "a", json!({}));
        let all = wanted([own, other, crd]).unwrap();
        assert!(brings_kind_of(&all, &all[0].reference) && !brings_kind_of(&all, &all[1].reference));
        assert_eq!(all.iter().map(Wanted::turn).collect::<Vec<_>>(), [Turn::Rest, Turn::Rest, Turn::Definitions]);
    }
}
