//! What of an object may be put into outputs and messages: everything but the values of Secrets and the server's book-keeping.

use serde_json::Value;

use super::reference::ObjectRef;

/// Written by `kubectl apply`; it repeats the whole object, the data of a Secret included.
pub(crate) const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The object as outputs show it.
pub(crate) fn shown(mut object: Value) -> Value {
    let is_secret = ObjectRef::of(&object).is_none_or(|reference| reference.is_secret());
    if let Some(fields) = object.as_object_mut()
        && is_secret
    {
        fields.shift_remove("data");
        fields.shift_remove("stringData");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.shift_remove(LAST_APPLIED);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_is_shown_without_its_values_and_a_config_map_with_them() {
        let object = |kind: &str| {
            json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": "a", "managedFields": [{}],
                    "annotations": { LAST_APPLIED: "{\"data\":\"aHVudGVyMg==\"}", "b": "c" } },
                    "data": { "password": "aHVudGVyMg==" }, "type": "Opaque" })
        };
        let secret = shown(object("Secret"));
        assert!(!secret.to_string().contains("aHVudGVyMg"), "{secret}");
        assert_eq!(secret["metadata"], json!({ "name": "a", "annotations": { "b": "c" } }));
        assert_eq!(shown(object("ConfigMap"))["data"]["password"], "aHVudGVyMg==");
    }

    #[test]
    fn what_does_not_say_what_it_is_is_shown_as_if_it_were_a_secret() {
        assert_eq!(shown(json!({ "data": { "a": "b" } })), json!({}));
    }
}
