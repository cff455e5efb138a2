//! What differs between an object as it is and as it would be: field by field, without what the API server keeps for itself.

use serde_json::{Map, Value};
use steps_sdk::outcome::FieldChange;

use super::reference::ObjectRef;
use super::shown::LAST_APPLIED;

/// Set by the API server on every write, or by controllers.
const BOOK_KEEPING: [&str; 5] = ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"];

/// Longer lists of changes are cut: nobody reads them, and they are kept in memory for the whole plan.
const CHANGES_MAX: usize = 100;

/// Changed fields outside status; of a Secret's data only the paths.
pub(crate) fn fields(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare("", Some(&content(before)), Some(&content(after)), &mut changes);
    changes.truncate(CHANGES_MAX);
    if ObjectRef::of(after).is_none_or(|reference| reference.is_secret()) {
        for change in changes.iter_mut().filter(|change| {
            change.path == "data" || change.path.starts_with("data.") || change.path.starts_with("data[")
        }) {
            change.before = None;
            change.after = None;
        }
    }
    changes
}

/// The entry of a manager in the object's managed fields, as server-side apply keeps it.
pub(crate) fn managed_by<'a>(object: &'a Value, manager: &str) -> Option<&'a Value> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array)?;
    entries.iter().find(|entry| {
        let is = |field: &str, text: &str| entry.get(field).and_then(Value::as_str) == Some(text);
        is("manager", manager) && is("operation", "Apply") && entry.get("subresource").is_none()
    })
}

/// The fields that a manager owns; unlike its whole entry, this does not change with the time of a dry run.
pub(crate) fn owned_by<'a>(object: &'a Value, manager: &str) -> Option<&'a Value> {
    managed_by(object, manager)?.get("fieldsV1")
}

/// Nobody has ever owned a field of it.
pub(crate) fn has_no_owners(object: &Value) -> bool {
    object.pointer("/metadata/managedFields").and_then(Value::as_array).is_none_or(|entries| entries.is_empty())
}

fn content(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.shift_remove("status");
        if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in BOOK_KEEPING {
                metadata.shift_remove(field);
            }
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.shift_remove(LAST_APPLIED);
            }
        }
    }
    object
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<FieldChange>) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => compare_maps(path, old, new, changes),
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for place in 0..old.len().max(new.len()) {
                compare(&format!("{path}[{place}]"), old.get(place), new.get(place), changes);
            }
        }
        (old, new) if old == new => {}
        // An empty map or list and none at all are the same to an API server.
        (old, new) if is_empty(old) && is_empty(new) => {}
        (old, new) => changes.push(FieldChange { path: path.to_owned(), before: old.cloned(), after: new.cloned() }),
    }
}

fn compare_maps(path: &str, old: &Map<String, Value>, new: &Map<String, Value>, changes: &mut Vec<FieldChange>) {
    let added = new.keys().filter(|key| !old.contains_key(*key));
    for key in old.keys().chain(added) {
        let is_word = key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        let inner = match (path, is_word) {
            ("", true) => key.clone(),
            (_, true) => format!("{path}.{key}"),
            (_, false) => format!("{path}[\"{key}\"]"),
        };
        compare(&inner, old.get(key), new.get(key), changes);
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paths(before: Value, after: Value) -> Vec<(String, Option<Value>, Option<Value>)> {
        fields(&before, &after).into_iter().map(|change| (change.path, change.before, change.after)).collect()
    }

    #[test]
    fn fields_are_named_by_their_path_and_book_keeping_is_left_out() {
        let before = json!({
            "metadata": { "resourceVersion": "1", "labels": { "a.b/c": "x" } },
            "spec": { "replicas": 1, "containers": [{ "image": "i:1" }], "gone": true },
            "status": { "replicas": 1 },
        });
        let after = json!({
            "metadata": { "resourceVersion": "2", "labels": { "a.b/c": "y" } },
            "spec": { "replicas": 1, "containers": [{ "image": "i:2" }, { "image": "s" }], "empty": {} },
            "status": {},
        });
        assert_eq!(
            paths(before, after),
            [
                ("metadata.labels[\"a.b/c\"]".to_owned(), Some(json!("x")), Some(json!("y"))),
                ("spec.containers[0].image".to_owned(), Some(json!("i:1")), Some(json!("i:2"))),
                ("spec.containers[1]".to_owned(), None, Some(json!({ "image": "s" }))),
                ("spec.gone".to_owned(), Some(json!(true)), None),
            ]
        );
    }

    #[test]
    fn the_values_of_a_secret_are_left_out() {
        let secret =
            |data: Value| json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" }, "data": data });
        for (before, after) in [
            (json!({ "tls.key": "MQ==" }), json!({ "tls.key": "Mg==" })),
            (json!({ "a": "MQ==" }), json!({ "a": "Mg==" })),
            (json!(null), json!({ "a": "Mg==" })),
        ] {
            let changes = fields(&secret(before), &secret(after));
            assert_eq!(changes.len(), 1);
            assert!(changes[0].before.is_none() && changes[0].after.is_none(), "{changes:?}");
        }
    }
}
