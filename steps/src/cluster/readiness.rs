//! What ready means for each kind, and which states are final: one table.
//!
//! A kind that is not in the table is ready when its condition `Ready` (or else `Available`) says so, and without such a condition
//! when it exists. Pure functions over the object as the API server shows it. Kinds of operators are judged in `operators.rs`; the
//! table says every rule in words too, so that what a wait means can be read without its code.

mod operators;

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

/// What ready means for one kind, in words: `engine explain` prints these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyWhen {
    /// The API group; empty for the core group.
    pub group: &'static str,
    pub kind: &'static str,
    /// Readable after "ready when".
    pub when: &'static str,
}

struct Rule {
    of: ReadyWhen,
    judge: fn(&Value) -> State,
}

const fn rule(group: &'static str, kind: &'static str, when: &'static str, judge: fn(&Value) -> State) -> Rule {
    Rule { of: ReadyWhen { group, kind, when }, judge }
}

/// In the order of groups and kinds.
const RULES: [Rule; 20] = [
    rule("", "Namespace", "its phase is Active", namespace),
    rule("", "PersistentVolumeClaim", "its phase is Bound; Lost is final", claim),
    rule("", "Pod", "it has succeeded, or its condition Ready is True; phase Failed is final", pod),
    rule("", "Service", "a load balancer has given it an address; of other types: it exists", service),
    rule(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        "its condition Established is True; refused names are final",
        definition,
    ),
    rule("apiregistration.k8s.io", "APIService", "its condition Available is True", |object| {
        condition(object, "Available", "True")
    }),
    rule("apps", "DaemonSet", "every node that shall have it has its newest form, available", daemon_set),
    rule(
        "apps",
        "Deployment",
        "all replicas are of the newest form and available, and no other is left; a progress deadline that is exceeded is final",
        deployment,
    ),
    rule("apps", "ReplicaSet", "all replicas are ready", replica_set),
    rule(
        "apps",
        "StatefulSet",
        "all replicas are ready and, unless updates are held back, of the newest form",
        stateful_set,
    ),
    rule("batch", "Job", "its condition Complete is True; Failed is final", job),
    rule(
        "cert-manager.io",
        "Certificate",
        "its condition Ready is True and nothing is being issued; a failed issuance is final",
        operators::certificate,
    ),
    rule(
        "cert-manager.io",
        "CertificateRequest",
        "its condition Ready is True; a refusal is final",
        operators::certificate_request,
    ),
    rule("cert-manager.io", "ClusterIssuer", "its condition Ready is True", |object| {
        condition(object, "Ready", "True")
    }),
    rule("cert-manager.io", "Issuer", "its condition Ready is True", |object| condition(object, "Ready", "True")),
    rule(
        "druid.gardener.cloud",
        "Etcd",
        "AllMembersReady is True, as many members as replicas have registered, its StatefulSet is ready, and etcd-druid's \
         last operation succeeded; Ready alone is a quorum of whoever has registered",
        operators::etcd,
    ),
    rule(
        "operator.kcp.io",
        "FrontProxy",
        "its condition Available is True for the newest generation; its phase is a remark",
        operators::kcp_server,
    ),
    rule(
        "operator.kcp.io",
        "Kubeconfig",
        "its condition Available is True for the newest generation, which comes with the Secret; its phase is a remark",
        operators::kcp_kubeconfig,
    ),
    rule(
        "operator.kcp.io",
        "RootShard",
        "its condition Available is True for the newest generation; its phase is a remark",
        operators::kcp_server,
    ),
    rule(
        "operator.kcp.io",
        "Shard",
        "its condition Available is True for the newest generation; its phase is a remark",
        operators::kcp_server,
    ),
];

/// The table in words, and what holds for every other kind.
pub fn rules() -> (impl Iterator<Item = ReadyWhen>, &'static str) {
    (
        RULES.iter().map(|rule| rule.of),
        "its condition Ready, or else Available, is True; without such a condition, it exists",
    )
}

/// Whether the object is ready.
pub(crate) fn ready(reference: &ObjectRef, object: &Value) -> State {
    if let Some(stale) = stale(object) {
        return NotYet(stale);
    }
    let group = reference.group().unwrap_or_default();
    match RULES.iter().find(|rule| rule.of.group == group && rule.of.kind == reference.kind) {
        Some(rule) => (rule.judge)(object),
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

/// Whether it shall have any replicas.
pub(crate) fn has_replicas(object: &Value) -> State {
    match number(object, "/spec/replicas") {
        Some(0) => NotYet("it shall have no replicas, and the operator calls that available".into()),
        _ => Reached,
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
    if all > wanted {
        return NotYet(format!("{} replicas too many are still there", all - wanted));
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
            (
                "apps/v1",
                "Deployment",
                json!({ "replicas": 0 }),
                json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 }),
                not_yet("2 replicas too many are still there"),
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
    fn the_table_is_in_order_and_says_each_kind_once() {
        let all: Vec<_> = rules().0.map(|rule| (rule.group, rule.kind)).collect();
        assert!(all.is_sorted_by(|a, b| a < b), "{all:?}");
        assert!(rules().0.all(|rule| !rule.when.is_empty() && !rule.when.ends_with('.')));
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
