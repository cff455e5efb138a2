//! What ready means for each kind, and which states are final: one table.
//!
//! A kind that is not in the table is ready when its condition `Ready` (or else `Available`) says so, and without such a condition
//! when it exists. Pure functions over the object as the API server shows it.

use serde_json::Value;

use super::reference::ObjectRef;

/// What was found about an object that is being waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Reached,
    /// Why not; readable after the object's name and a colon.
    NotYet(String),
    /// It will not get there by waiting.
    Failed(String),
}

use State::{Failed, NotYet, Reached};

type Rule = fn(&Value) -> State;

/// Group (empty for the core group), kind, rule.
const RULES: [(&str, &str, Rule); 14] = [
    ("", "Namespace", namespace),
    ("", "PersistentVolumeClaim", claim),
    ("", "Pod", pod),
    ("", "Service", service),
    ("apiextensions.k8s.io", "CustomResourceDefinition", definition),
    ("apiregistration.k8s.io", "APIService", |object| condition(object, "Available", "True")),
    ("apps", "DaemonSet", daemon_set),
    ("apps", "Deployment", deployment),
    ("apps", "ReplicaSet", replica_set),
    ("apps", "StatefulSet", stateful_set),
    ("batch", "Job", job),
    ("cert-manager.io", "Certificate", |object| condition(object, "Ready", "True")),
    ("cert-manager.io", "CertificateRequest", certificate_request),
    ("cert-manager.io", "Issuer", |object| condition(object, "Ready", "True")),
];

/// Whether the object is ready.
pub(crate) fn ready(reference: &ObjectRef, object: &Value) -> State {
    if let Some(stale) = stale(object) {
        return NotYet(stale);
    }
    let group = reference.group().unwrap_or_default();
    match RULES.iter().find(|(of, kind, _)| *of == group && *kind == reference.kind) {
        Some((_, _, rule)) => rule(object),
        None => any_kind(object),
    }
}

/// The state of a known kind that waiting does not change, whatever is waited for.
pub(crate) fn final_failure(reference: &ObjectRef, object: &Value) -> Option<String> {
    match ready(reference, object) {
        Failed(reason) => Some(reason),
        Reached | NotYet(_) => None,
    }
}

/// Whether a condition has the status that is waited for.
pub(crate) fn condition(object: &Value, kind: &str, wanted: &str) -> State {
    let Some(found) = find_condition(object, kind) else {
        return NotYet(format!("it has no condition {kind} yet"));
    };
    let generation = number(object, "/metadata/generation");
    if let (Some(observed), Some(now)) = (number(found, "/observedGeneration"), generation)
        && observed < now
    {
        return NotYet(format!("{kind} speaks of generation {observed}, the object is at {now}"));
    }
    match text(found, "/status") == wanted {
        true => Reached,
        false => NotYet(told(found)),
    }
}

/// A controller has not seen the object's newest form: what its status says is about an older one.
pub(crate) fn stale(object: &Value) -> Option<String> {
    let (observed, now) = (number(object, "/status/observedGeneration")?, number(object, "/metadata/generation")?);
    (observed < now).then(|| format!("its controller has seen generation {observed}, the object is at {now}"))
}

/// Addresses that a load balancer was given: an IP or else a host name, in the order of the status.
pub(crate) fn addresses(object: &Value) -> Vec<String> {
    let ingress = object.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
    let address =
        |entry: &Value| ["ip", "hostname"].iter().find_map(|field| entry.get(*field)?.as_str().map(str::to_owned));
    ingress.map(|entries| entries.iter().filter_map(address).collect()).unwrap_or_default()
}

/// Whether the object has an address to reach it by from outside.
pub(crate) fn has_address(object: &Value) -> State {
    match addresses(object).is_empty() {
        false => Reached,
        true => NotYet("no load balancer address yet".into()),
    }
}

pub(crate) fn is_load_balancer(reference: &ObjectRef, object: &Value) -> bool {
    reference.kind == "Service" && reference.group().is_none() && text(object, "/spec/type") == "LoadBalancer"
}

/// All conditions in a few words, for who waits for something else.
pub(crate) fn conditions_in_words(object: &Value) -> Option<String> {
    let told: Vec<String> = conditions(object).map(told).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn any_kind(object: &Value) -> State {
    match ["Ready", "Available"].iter().find(|kind| find_condition(object, kind).is_some()) {
        Some(kind) => condition(object, kind, "True"),
        None => Reached,
    }
}

fn namespace(object: &Value) -> State {
    match text(object, "/status/phase") {
        "Active" => Reached,
        "Terminating" => NotYet("it is being deleted".into()),
        _ => NotYet("it has no phase yet".into()),
    }
}

fn claim(object: &Value) -> State {
    match text(object, "/status/phase") {
        "Bound" => Reached,
        "Lost" => Failed("phase Lost: the volume is gone".into()),
        phase => NotYet(format!("phase {phase}")),
    }
}

fn pod(object: &Value) -> State {
    match text(object, "/status/phase") {
        "Succeeded" => Reached,
        "Failed" => {
            Failed(format!("phase Failed{}", because(text(object, "/status/reason"), text(object, "/status/message"))))
        }
        _ => match container_trouble(object) {
            Some(trouble) => NotYet(trouble),
            None => condition(object, "Ready", "True"),
        },
    }
}

/// Says more than `ContainersNotReady`.
fn container_trouble(object: &Value) -> Option<String> {
    let containers = object.pointer("/status/containerStatuses").and_then(Value::as_array)?;
    containers.iter().find_map(|container| {
        let waiting = container.pointer("/state/waiting")?;
        Some(format!(
            "container {} waits{}",
            text(container, "/name"),
            because(text(waiting, "/reason"), text(waiting, "/message"))
        ))
    })
}

fn service(object: &Value) -> State {
    match text(object, "/spec/type") {
        "LoadBalancer" => has_address(object),
        _ => Reached,
    }
}

fn definition(object: &Value) -> State {
    if let Some(names) = find_condition(object, "NamesAccepted").filter(|names| text(names, "/status") == "False") {
        return Failed(told(names));
    }
    condition(object, "Established", "True")
}

fn deployment(object: &Value) -> State {
    if let Some(progress) =
        find_condition(object, "Progressing").filter(|progress| text(progress, "/reason") == "ProgressDeadlineExceeded")
    {
        return Failed(told(progress));
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let updated = number(object, "/status/updatedReplicas").unwrap_or(0);
    let all = number(object, "/status/replicas").unwrap_or(0);
    let available = number(object, "/status/availableReplicas").unwrap_or(0);
    if number(object, "/status/observedGeneration").is_none() {
        return NotYet("no controller has seen it yet".into());
    }
    if updated < wanted {
        let failure =
            find_condition(object, "ReplicaFailure").map(|failure| format!("; {}", told(failure))).unwrap_or_default();
        return NotYet(format!("{updated} of {wanted} replicas are of the new form{failure}"));
    }
    if all > updated {
        return NotYet(format!("{} old replicas are still there", all - updated));
    }
    match available < wanted {
        true => NotYet(format!("{available} of {wanted} replicas are available")),
        false => Reached,
    }
}

fn replica_set(object: &Value) -> State {
    let (wanted, ready) =
        (number(object, "/spec/replicas").unwrap_or(1), number(object, "/status/readyReplicas").unwrap_or(0));
    at_least(ready, wanted, "replicas are ready")
}

fn stateful_set(object: &Value) -> State {
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let is_rolling = text(object, "/spec/updateStrategy/type") != "OnDelete"
        && number(object, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0) == 0;
    let updated = number(object, "/status/updatedReplicas").unwrap_or(0);
    if is_rolling
        && text(object, "/status/currentRevision") != text(object, "/status/updateRevision")
        && updated < wanted
    {
        return NotYet(format!("{updated} of {wanted} replicas are of the new form"));
    }
    at_least(number(object, "/status/readyReplicas").unwrap_or(0), wanted, "replicas are ready")
}

fn daemon_set(object: &Value) -> State {
    let Some(wanted) = number(object, "/status/desiredNumberScheduled") else {
        return NotYet("no controller has seen it yet".into());
    };
    let is_rolling = text(object, "/spec/updateStrategy/type") != "OnDelete";
    let updated = number(object, "/status/updatedNumberScheduled").unwrap_or(0);
    if is_rolling && updated < wanted {
        return NotYet(format!("{updated} of {wanted} nodes have the new form"));
    }
    at_least(number(object, "/status/numberAvailable").unwrap_or(0), wanted, "nodes have it available")
}

fn job(object: &Value) -> State {
    if let Some(failed) = find_condition(object, "Failed").filter(|failed| text(failed, "/status") == "True") {
        return Failed(told(failed));
    }
    match condition(object, "Complete", "True") {
        Reached => Reached,
        _ => {
            let count = |at: &str| number(object, at).unwrap_or(0);
            NotYet(format!("{} active, {} failed so far", count("/status/active"), count("/status/failed")))
        }
    }
}

fn certificate_request(object: &Value) -> State {
    for (kind, status) in [("Denied", "True"), ("InvalidRequest", "True")] {
        if let Some(found) = find_condition(object, kind).filter(|found| text(found, "/status") == status) {
            return Failed(told(found));
        }
    }
    match find_condition(object, "Ready").filter(|ready| text(ready, "/reason") == "Failed") {
        Some(ready) => Failed(told(ready)),
        None => condition(object, "Ready", "True"),
    }
}

fn at_least(have: i64, wanted: i64, what: &str) -> State {
    match have < wanted {
        true => NotYet(format!("{have} of {wanted} {what}")),
        false => Reached,
    }
}

fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten()
}

fn find_condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    conditions(object).find(|condition| text(condition, "/type") == kind)
}

/// `Available is False, MinimumReplicasUnavailable: Deployment does not have minimum availability.`
fn told(condition: &Value) -> String {
    format!(
        "{} is {}{}",
        text(condition, "/type"),
        text(condition, "/status"),
        because(text(condition, "/reason"), text(condition, "/message"))
    )
}

fn because(reason: &str, message: &str) -> String {
    match (reason, message.trim()) {
        ("", "") => String::new(),
        (reason, "") => format!(", {reason}"),
        ("", message) => format!(": {message}"),
        (reason, message) => format!(", {reason}: {message}"),
    }
}

fn text<'a>(value: &'a Value, at: &str) -> &'a str {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value, at: &str) -> Option<i64> {
    value.pointer(at).and_then(Value::as_i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(api_version: &str, kind: &str, spec: Value, status: Value) -> State {
        let reference = ObjectRef {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: None,
            name: "a".into(),
            cluster: None,
            uid: None,
        };
        ready(&reference, &json!({ "metadata": { "generation": 2 }, "spec": spec, "status": status }))
    }

    fn not_yet(reason: &str) -> State {
        NotYet(reason.into())
    }

    #[test]
    fn each_kind_is_judged_by_its_own_rule() {
        let progress = json!({ "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded" });
        let failed = json!({ "type": "Failed", "status": "True", "reason": "BackoffLimitExceeded" });
        let ready =
            |status: &str| json!([{ "type": "Ready", "status": status, "reason": "Pending", "message": "issuing" }]);
        for (api_version, kind, spec, status, wanted) in [
            (
                "apps/v1",
                "Deployment",
                json!({ "replicas": 2 }),
                json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 }),
                Reached,
            ),
            ("apps/v1", "Deployment", json!({ "replicas": 0 }), json!({ "observedGeneration": 2 }), Reached),
            (
                "apps/v1",
                "Deployment",
                json!({ "replicas": 2 }),
                json!({ "observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 }),
                not_yet("its controller has seen generation 1, the object is at 2"),
            ),
            ("apps/v1", "Deployment", json!({}), json!({}), not_yet("no controller has seen it yet")),
            (
                "apps/v1",
                "Deployment",
                json!({ "replicas": 2 }),
                json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 3 }),
                not_yet("1 old replicas are still there"),
            ),
            (
                "apps/v1",
                "Deployment",
                json!({ "replicas": 2 }),
                json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1 }),
                not_yet("1 of 2 replicas are available"),
            ),
            (
                "apps/v1",
                "Deployment",
                json!({}),
                json!({ "observedGeneration": 2, "conditions": [progress] }),
                Failed("Progressing is False, ProgressDeadlineExceeded".into()),
            ),
            (
                "apps/v1",
                "StatefulSet",
                json!({ "replicas": 3 }),
                json!({ "readyReplicas": 2, "currentRevision": "a", "updateRevision": "a" }),
                not_yet("2 of 3 replicas are ready"),
            ),
            (
                "apps/v1",
                "StatefulSet",
                json!({ "replicas": 3 }),
                json!({ "readyReplicas": 3, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "b" }),
                not_yet("1 of 3 replicas are of the new form"),
            ),
            (
                "apps/v1",
                "StatefulSet",
                json!({ "replicas": 3 }),
                json!({ "readyReplicas": 3, "updatedReplicas": 3, "currentRevision": "b", "updateRevision": "b" }),
                Reached,
            ),
            (
                "apps/v1",
                "DaemonSet",
                json!({}),
                json!({ "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1 }),
                not_yet("1 of 2 nodes have it available"),
            ),
            (
                "batch/v1",
                "Job",
                json!({}),
                json!({ "conditions": [failed] }),
                Failed("Failed is True, BackoffLimitExceeded".into()),
            ),
            ("batch/v1", "Job", json!({}), json!({ "active": 1, "failed": 2 }), not_yet("1 active, 2 failed so far")),
            (
                "batch/v1",
                "Job",
                json!({}),
                json!({ "conditions": [{ "type": "Complete", "status": "True" }] }),
                Reached,
            ),
            (
                "v1",
                "Pod",
                json!({}),
                json!({ "phase": "Failed", "reason": "Evicted" }),
                Failed("phase Failed, Evicted".into()),
            ),
            (
                "v1",
                "Pod",
                json!({}),
                json!({ "phase": "Pending",
                        "containerStatuses": [{ "name": "c", "state": { "waiting": { "reason": "ImagePullBackOff" } } }] }),
                not_yet("container c waits, ImagePullBackOff"),
            ),
            ("v1", "Pod", json!({}), json!({ "phase": "Running", "conditions": ready("True") }), Reached),
            ("v1", "Service", json!({ "type": "LoadBalancer" }), json!({}), not_yet("no load balancer address yet")),
            (
                "v1",
                "Service",
                json!({ "type": "LoadBalancer" }),
                json!({ "loadBalancer": { "ingress": [{ "hostname": "lb.example" }] } }),
                Reached,
            ),
            ("v1", "Service", json!({ "type": "ClusterIP" }), json!({}), Reached),
            ("v1", "Namespace", json!({}), json!({ "phase": "Terminating" }), not_yet("it is being deleted")),
            (
                "v1",
                "PersistentVolumeClaim",
                json!({}),
                json!({ "phase": "Lost" }),
                Failed("phase Lost: the volume is gone".into()),
            ),
            (
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                json!({}),
                json!({ "conditions": [{ "type": "NamesAccepted", "status": "False", "reason": "PluralConflict" }] }),
                Failed("NamesAccepted is False, PluralConflict".into()),
            ),
            (
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                json!({}),
                json!({ "conditions": [{ "type": "Established", "status": "True" }] }),
                Reached,
            ),
            (
                "cert-manager.io/v1",
                "Certificate",
                json!({}),
                json!({ "conditions": ready("False") }),
                not_yet("Ready is False, Pending: issuing"),
            ),
            (
                "cert-manager.io/v1",
                "CertificateRequest",
                json!({}),
                json!({ "conditions": [{ "type": "Denied", "status": "True", "reason": "Policy" }] }),
                Failed("Denied is True, Policy".into()),
            ),
            (
                "other.io/v1",
                "Thing",
                json!({}),
                json!({ "conditions": [{ "type": "Available", "status": "False" }] }),
                not_yet("Available is False"),
            ),
            (
                "other.io/v1",
                "Thing",
                json!({}),
                json!({ "conditions": [{ "type": "Ready", "status": "True", "observedGeneration": 1 }] }),
                not_yet("Ready speaks of generation 1, the object is at 2"),
            ),
            ("other.io/v1", "Thing", json!({}), json!({}), Reached),
        ] {
            assert_eq!(state(api_version, kind, spec.clone(), status.clone()), wanted, "{kind} {spec} {status}");
        }
    }

    #[test]
    fn an_address_is_an_ip_or_else_a_host_name() {
        let service = |ingress: Value| addresses(&json!({ "status": { "loadBalancer": { "ingress": ingress } } }));
        assert_eq!(
            service(json!([{ "ip": "203.0.113.1", "hostname": "x" }, { "hostname": "lb.example" }, {}])),
            ["203.0.113.1", "lb.example"]
        );
        assert!(addresses(&json!({})).is_empty());
    }
}
