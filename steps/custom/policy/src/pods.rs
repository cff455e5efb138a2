//! Finds the specs of pods in any object, and what in them reaches beyond the pod.

use serde_json::Value;

/// Deeper than any kind that is in use.
const DEPTH_MAX: usize = 12;

/// Every pod's spec in an object.
pub fn of(object: &Value) -> Vec<&Value> {
    let mut found = Vec::new();
    if let Some(spec) = object.get("spec") {
        collect(spec, DEPTH_MAX, &mut found);
    }
    found
}

fn collect<'v>(value: &'v Value, depth: usize, found: &mut Vec<&'v Value>) {
    if depth == 0 {
        return;
    }
    match value {
        Value::Object(fields) => {
            if fields.get("containers").is_some_and(Value::is_array) {
                found.push(value);
            }
            fields.values().for_each(|inner| collect(inner, depth - 1, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| collect(inner, depth - 1, found)),
        _ => {}
    }
}

/// All containers of a pod: those that start it and those for debugging too.
pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["containers", "initContainers", "ephemeralContainers"]
        .into_iter()
        .filter_map(|field| pod.get(field).and_then(Value::as_array))
        .flatten()
}

/// Fields that let a pod into the namespaces of its machine.
pub fn shared_namespaces(pod: &Value) -> impl Iterator<Item = &'static str> {
    ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| pod.get(field) == Some(&Value::Bool(true)))
}

pub fn is_privileged(container: &Value) -> bool {
    container.pointer("/securityContext/privileged") == Some(&Value::Bool(true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_are_found_wherever_they_stand() {
        let pod = json!({ "containers": [{ "name": "a" }], "initContainers": [{ "name": "b" }], "hostPID": true });
        for object in [
            json!({ "kind": "Pod", "spec": pod }),
            json!({ "kind": "Deployment", "spec": { "template": { "spec": pod } } }),
            json!({ "kind": "CronJob", "spec": { "jobTemplate": { "spec": { "template": { "spec": pod } } } } }),
            json!({ "kind": "Unheard", "spec": { "parts": [{ "pod": pod }] } }),
        ] {
            let pods = of(&object);
            assert_eq!(pods.len(), 1, "{object}");
            assert_eq!(containers(pods[0]).count(), 2, "{object}");
            assert_eq!(shared_namespaces(pods[0]).collect::<Vec<_>>(), ["hostPID"]);
        }
        assert!(of(&json!({ "kind": "ConfigMap", "data": { "containers": "[]" } })).is_empty());
    }
}
