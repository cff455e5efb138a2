//! `set PATH VALUE`: changes one field of manifests that were read from a file.
//!
//! A path is `spec.replicas`, `metadata.annotations["a.b/c"]`, `spec.template.spec.containers[name=kcp].image` or
//! `…containers[0].image`. It changes every document in which all of the path but its end exists, optionally only those of a `kind=`
//! or `name=`; a path that fits none is an error, since it is most likely misspelled.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use steps_sdk::StepError;

/// One changed field.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["path", "value"]))]
pub struct SetField {
    /// Where: `spec.replicas`, `metadata.annotations["a.b/c"]`, `spec.template.spec.containers[name=kcp].image`.
    path: String,
    /// What stands there from now on.
    value: Value,
    /// Only in documents of this kind.
    #[serde(default)]
    kind: Option<String>,
    /// Only in documents of this name.
    #[serde(default)]
    name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Key(String),
    Place(usize),
    /// The item of a list whose field has this value.
    Item {
        field: String,
        value: String,
    },
}

impl SetField {
    pub(crate) fn change(&self, documents: &mut [Value]) -> Result<(), StepError> {
        let path = parse(&self.path).ok_or_else(|| {
            refused(format!("`{}` is not a path into an object", self.path)).help(
                "write it as `spec.replicas`, `metadata.annotations[\"a.b/c\"]` or `spec.containers[name=kcp].image`",
            )
        })?;
        let mut changed = 0;
        for document in documents.iter_mut().filter(|document| self.is_meant(document)) {
            if let Some(field) = field_at(document, &path) {
                *field = self.value.clone();
                changed += 1;
            }
        }
        match changed {
            0 => Err(refused(format!("`set {}` fits no document of the manifest", self.path))
                .help("every part of the path but the last has to be there already; see also its `kind=` and `name=`")),
            _ => Ok(()),
        }
    }

    fn is_meant(&self, document: &Value) -> bool {
        let is = |at: &str, wanted: &Option<String>| {
            wanted.is_none() || document.pointer(at).and_then(Value::as_str) == wanted.as_deref()
        };
        is("/kind", &self.kind) && is("/metadata/name", &self.name)
    }
}

/// The field that the path names; its last key is made if it is not there.
fn field_at<'v>(document: &'v mut Value, path: &[Segment]) -> Option<&'v mut Value> {
    let (last, way) = path.split_last()?;
    let mut here = document;
    for segment in way {
        here = step(here, segment)?;
    }
    match last {
        Segment::Key(key) => Some(here.as_object_mut()?.entry(key.clone()).or_insert(Value::Null)),
        other => step(here, other),
    }
}

fn step<'v>(here: &'v mut Value, segment: &Segment) -> Option<&'v mut Value> {
    match segment {
        Segment::Key(key) => here.as_object_mut()?.get_mut(key),
        Segment::Place(place) => here.as_array_mut()?.get_mut(*place),
        Segment::Item { field, value } => {
            here.as_array_mut()?.iter_mut().find(|item| item.get(field).and_then(Value::as_str) == Some(value))
        }
    }
}

fn parse(path: &str) -> Option<Vec<Segment>> {
    let mut segments = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix("[\"") {
            let (key, after) = inner.split_once("\"]")?;
            segments.push(Segment::Key(key.to_owned()));
            rest = after;
        } else if let Some(inner) = rest.strip_prefix('[') {
            let (item, after) = inner.split_once(']')?;
            segments.push(match item.split_once('=') {
                Some((field, value)) => Segment::Item { field: field.to_owned(), value: value.to_owned() },
                None => Segment::Place(item.parse().ok()?),
            });
            rest = after;
        } else {
            // A dot stands between keys and before none.
            let key = match segments.is_empty() {
                true => rest,
                false => rest.strip_prefix('.')?,
            };
            let end = key.find(['.', '[']).unwrap_or(key.len());
            if end == 0 {
                return None;
            }
            segments.push(Segment::Key(key[..end].to_owned()));
            rest = &key[end..];
        }
    }
    (!segments.is_empty()).then_some(segments)
}

fn refused(message: String) -> StepError {
    StepError::permanent("K222", message).not_started()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(path: &str, value: Value, kind: Option<&str>) -> Result<Value, String> {
        let mut documents = vec![
            json!({ "kind": "Deployment", "metadata": { "name": "a", "annotations": {} },
                    "spec": { "replicas": 1, "containers": [{ "name": "c", "image": "i:1" }] } }),
            json!({ "kind": "ConfigMap", "metadata": { "name": "b" } }),
        ];
        let field = SetField { path: path.into(), value, kind: kind.map(str::to_owned), name: None };
        field.change(&mut documents).map(|()| Value::Array(documents)).map_err(|error| error.message)
    }

    #[test]
    fn the_field_is_changed_wherever_the_way_to_it_exists() {
        for (path, at) in [
            ("spec.replicas", "/0/spec/replicas"),
            ("metadata.annotations[\"a.b/c\"]", "/0/metadata/annotations/a.b~1c"),
            ("spec.containers[name=c].image", "/0/spec/containers/0/image"),
            ("spec.containers[0].image", "/0/spec/containers/0/image"),
            ("spec.containers[0]", "/0/spec/containers/0"),
            ("metadata.namespace", "/1/metadata/namespace"),
        ] {
            assert_eq!(set(path, json!("new"), None).unwrap().pointer(at), Some(&json!("new")), "{path}");
        }
        let only = set("metadata.namespace", json!("x"), Some("ConfigMap")).unwrap();
        assert!(only.pointer("/0/metadata/namespace").is_none() && only.pointer("/1/metadata/namespace").is_some());
    }

    #[test]
    fn a_path_that_fits_nothing_or_is_none_is_an_error() {
        for path in ["spec.containers[name=d].image", "spec.containers[7]", "spce.replicas.x", "metadata.labels.a"] {
            assert_eq!(
                set(path, json!(1), None).unwrap_err(),
                format!("`set {path}` fits no document of the manifest")
            );
        }
        for path in ["", ".spec", "spec..a", "spec[", "spec[x]", "spec[\"a", "a]b["] {
            assert!(set(path, json!(1), None).is_err(), "{path:?}");
        }
    }
}
