//! Names of Kubernetes objects as a guest writes them: they become parts of a URL, so anything else than a name is refused.

use steps_sdk::Value;
use steps_sdk::host::ObjectTarget;

use crate::wasm::words;

/// What an object says of itself in its first lines.
pub(super) fn target_of(object: &Value) -> Result<ObjectTarget, String> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let need =
        |pointer: &str| text(pointer).ok_or_else(|| format!("the object has no `{}`", &pointer[1..].replace('/', ".")));
    let target = ObjectTarget {
        api_version: need("/apiVersion")?,
        kind: need("/kind")?,
        namespace: text("/metadata/namespace"),
        name: need("/metadata/name")?,
    };
    check(&target.api_version, &target.kind, target.namespace.as_deref(), Some(&target.name))?;
    Ok(target)
}

pub(super) fn check(api_version: &str, kind: &str, namespace: Option<&str>, name: Option<&str>) -> Result<(), String> {
    let refuse = |what: &str, text: &str| Err(format!("`{}` is not {what}", words::line(text, 100)));
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    if !(group.is_empty() && !api_version.contains('/') || is_name(group, 253)) || !is_name(version, 63) {
        return refuse("an API version", api_version);
    }
    if kind.is_empty() || kind.len() > 63 || !kind.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return refuse("a kind", kind);
    }
    if let Some(namespace) = namespace.filter(|namespace| !is_name(namespace, 63) || namespace.contains('.')) {
        return refuse("a namespace", namespace);
    }
    match name {
        // Names of roles hold colons and upper-case letters; what they are made of cannot leave its part of a URL.
        Some(name) if !is_part(name) => refuse("a name", name),
        _ => Ok(()),
    }
}

/// `Service/lb` or `kcp/Service/lb`, as the engine names objects.
pub(super) fn words_of(target: &ObjectTarget) -> String {
    format!("{}/{}", target.kind, target.name)
}

fn is_name(text: &str, length_max: usize) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=length_max).contains(&text.len())
        && text.bytes().all(|byte| inner(byte) || byte == b'-' || byte == b'.')
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains("..")
}

fn is_part(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))
        && text != "."
        && text != ".."
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_names_become_parts_of_a_request() {
        let good = [
            ("v1", "Service", Some("kcp"), Some("lb")),
            ("cert-manager.io/v1", "Certificate", Some("kcp"), Some("a.b")),
            ("rbac.authorization.k8s.io/v1", "ClusterRole", None, Some("system:node")),
            ("v1", "Pod", None, None),
        ];
        for (api_version, kind, namespace, name) in good {
            check(api_version, kind, namespace, name).unwrap();
        }
        let bad = [
            ("", "Service", None, None),
            ("v1/", "Service", None, None),
            ("/v1", "Service", None, None),
            ("../v1", "Service", None, None),
            ("a/b/v1", "Service", None, None),
            ("v1?x", "Service", None, None),
            ("v1", "", None, None),
            ("v1", "Service/x", None, None),
            ("v1", "Ser vice", None, None),
            ("v1", "Service", Some(""), None),
            ("v1", "Service", Some("../x"), None),
            ("v1", "Service", Some("a/b"), None),
            ("v1", "Service", Some("a.b"), None),
            ("v1", "Service", Some("kcp"), Some("")),
            ("v1", "Service", Some("kcp"), Some("..")),
            ("v1", "Service", Some("kcp"), Some("a/../../secrets/b")),
            ("v1", "Service", Some("kcp"), Some("a?b")),
            ("v1", "Service", Some("kcp"), Some("a%2fb")),
            ("v1", "Service", Some("kcp"), Some("a#b")),
            ("v1", "Service", Some("kcp"), Some("a\nb")),
        ];
        for (api_version, kind, namespace, name) in bad {
            assert!(check(api_version, kind, namespace, name).is_err(), "{api_version} {kind} {namespace:?} {name:?}");
        }
    }

    #[test]
    fn an_object_without_a_name_is_refused() {
        let refused = |object| target_of(&object).unwrap_err();
        assert!(refused(json!([])).contains("apiVersion"));
        assert!(refused(json!({ "apiVersion": "v1", "kind": "Pod" })).contains("metadata.name"));
        let generated = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "generateName": "x-" } });
        assert!(refused(generated).contains("metadata.name"));
    }
}
