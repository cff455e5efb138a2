//! Readiness of kinds that operators bring: cert-manager, etcd-druid, kcp-operator. Each rule is what the operator's conditions
//! are worth, not what its columns print: phases and the weak `Ready` of an Etcd are read as remarks only.

use serde_json::Value;

use super::State::{self, Failed, NotYet, Reached};
use super::{condition, find_condition, number, text, told};

/// Ready for its newest form, and no issuance under way. After a failed issuance cert-manager waits an hour or more: final for us.
pub(super) fn certificate(object: &Value) -> State {
    let issuing = find_condition(object, "Issuing");
    match (condition(object, "Ready", "True"), issuing) {
        (_, Some(issuing)) if text(issuing, "/status") == "True" => NotYet(told(issuing)),
        (Reached, _) => Reached,
        (_, Some(issuing)) if text(issuing, "/reason") == "Failed" => Failed(told(issuing)),
        (other, _) => other,
    }
}

pub(super) fn certificate_request(object: &Value) -> State {
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

/// `Ready` of an Etcd means a quorum of the members that have registered so far, which one of three may be.
pub(super) fn etcd(object: &Value) -> State {
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let operation = text(object, "/status/lastOperation/state");
    if operation == "Error" {
        return NotYet(format!("etcd-druid reports an error{}", last_errors(object)));
    }
    if number(object, "/status/observedGeneration").is_none() {
        return NotYet("etcd-druid has not seen it yet".into());
    }
    let members = object.pointer("/status/members").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (ready, known) = (number(object, "/status/readyReplicas").unwrap_or(0), members.len() as i64);
    if ready != wanted || known != wanted {
        let odd = members.iter().find(|member| text(member, "/status") != "Ready");
        let odd = odd.map(|member| {
            format!("; {} is {}: {}", text(member, "/name"), text(member, "/status"), text(member, "/reason"))
        });
        return NotYet(format!(
            "{ready} of {wanted} replicas are ready, {known} members have registered{}",
            odd.unwrap_or_default()
        ));
    }
    match condition(object, "AllMembersReady", "True") {
        Reached => {}
        other => return other,
    }
    match (object.pointer("/status/ready").and_then(Value::as_bool), operation) {
        (Some(true), "Succeeded") => Reached,
        (Some(true), "") => NotYet("etcd-druid has not said yet how its last operation ended".into()),
        (Some(true), state) => NotYet(format!("etcd-druid's last operation is {state}")),
        _ => NotYet("its StatefulSet is not ready".into()),
    }
}

fn last_errors(etcd: &Value) -> String {
    let errors = etcd.pointer("/status/lastErrors").and_then(Value::as_array).into_iter().flatten();
    let told: Vec<String> =
        errors.map(|error| format!("{} {}", text(error, "/code"), text(error, "/description"))).collect();
    match told.is_empty() {
        true => format!(": {}", text(etcd, "/status/lastOperation/description")),
        false => format!(": {}", told.join("; ")),
    }
}

/// RootShard, Shard, FrontProxy. Their phase goes `Running` with nothing running, and stays `Provisioning` with everything up.
pub(super) fn kcp_server(object: &Value) -> State {
    let reference = find_condition(object, "RootShard").filter(|found| text(found, "/status") == "False");
    match (reference, current(object, "Available")) {
        (Some(reference), _) => NotYet(told(reference)),
        (None, NotYet(reason)) => NotYet(with_phase(object, reason)),
        (None, other) => other,
    }
}

/// Its phase is `Ready` before the Secret exists; `Available` comes with the Secret.
pub(super) fn kcp_kubeconfig(object: &Value) -> State {
    let reference = find_condition(object, "ReferenceValid").filter(|found| text(found, "/status") == "False");
    match (reference, current(object, "Available")) {
        (Some(reference), _) => NotYet(told(reference)),
        (None, NotYet(reason)) => NotYet(with_phase(object, reason)),
        (None, other) => other,
    }
}

/// A condition that does not say which generation it speaks of speaks of an older one: kcp-operator always says it.
fn current(object: &Value, kind: &str) -> State {
    let says = find_condition(object, kind).is_some_and(|found| found.get("observedGeneration").is_some());
    match condition(object, kind, "True") {
        Reached if !says => NotYet(format!("{kind} does not say of which generation it speaks")),
        other => other,
    }
}

fn with_phase(object: &Value, reason: String) -> String {
    match text(object, "/status/phase") {
        "" => reason,
        phase => format!("{reason} (phase {phase})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::readiness::ready;
    use crate::cluster::reference::ObjectRef;
    use serde_json::json;

    fn judged(api_version: &str, kind: &str, spec: Value, status: Value) -> State {
        let object = json!({ "apiVersion": api_version, "kind": kind, "spec": spec, "status": status,
                             "metadata": { "name": "a", "generation": 2 } });
        ready(&ObjectRef::of(&object).unwrap(), &object)
    }

    fn not_yet(reason: &str) -> State {
        NotYet(reason.into())
    }

    #[test]
    fn a_failed_issuance_is_told_at_once_and_one_under_way_is_waited_for() {
        let status = |ready: &str, issuing: Value| json!({ "conditions": [{ "type": "Ready", "status": ready, "observedGeneration": 2 }, issuing] });
        let certificate = |status: Value| judged("cert-manager.io/v1", "Certificate", json!({}), status);
        let issuing = json!({ "type": "Issuing", "status": "True", "reason": "Renewing" });
        let failed = json!({ "type": "Issuing", "status": "False", "reason": "Failed", "message": "rate limit" });
        assert_eq!(certificate(status("True", issuing)), not_yet("Issuing is True, Renewing"));
        assert_eq!(certificate(status("False", failed.clone())), Failed("Issuing is False, Failed: rate limit".into()));
        assert_eq!(certificate(status("True", failed)), Reached, "what is valid stays so while a renewal fails");
    }

    #[test]
    fn an_etcd_is_ready_when_all_its_members_are_and_not_by_its_weak_condition() {
        let member = |name: &str, status: &str| json!({ "name": name, "status": status, "reason": "LeaseSucceeded" });
        let whole = json!({ "observedGeneration": 2, "ready": true, "readyReplicas": 3,
            "members": [member("root-0", "Ready"), member("root-1", "Ready"), member("root-2", "Ready")],
            "lastOperation": { "state": "Succeeded" },
            "conditions": [{ "type": "Ready", "status": "True" }, { "type": "AllMembersReady", "status": "True" }] });
        let with = |field: &str, value: Value| {
            let mut status = whole.clone();
            status[field] = value;
            judged("druid.gardener.cloud/v1alpha1", "Etcd", json!({ "replicas": 3 }), status)
        };
        assert_eq!(with("ready", json!(true)), Reached);
        assert_eq!(
            with("members", json!([member("root-0", "Ready"), member("root-1", "Unknown")])),
            not_yet("3 of 3 replicas are ready, 2 members have registered; root-1 is Unknown: LeaseSucceeded")
        );
        assert_eq!(
            with("conditions", json!([{ "type": "Ready", "status": "True" }])),
            not_yet("it has no condition AllMembersReady yet")
        );
        assert_eq!(
            with("observedGeneration", json!(1)),
            not_yet("its controller has seen generation 1, the object is at 2")
        );
        assert_eq!(with("observedGeneration", Value::Null), not_yet("etcd-druid has not seen it yet"));
        assert_eq!(
            with("lastOperation", json!({ "state": "Processing" })),
            not_yet("etcd-druid's last operation is Processing")
        );
        let mut troubled = whole.clone();
        troubled["lastOperation"]["state"] = json!("Error");
        troubled["lastErrors"] = json!([{ "code": "ERR_SYNC", "description": "no storage class" }]);
        assert_eq!(
            judged("druid.gardener.cloud/v1alpha1", "Etcd", json!({ "replicas": 3 }), troubled),
            not_yet("etcd-druid reports an error: ERR_SYNC no storage class")
        );
    }

    #[test]
    fn phases_of_the_kcp_operator_decide_nothing() {
        let available = |status: &str, generation: i64| json!([{ "type": "Available", "status": status, "reason": "ReplicasUp", "observedGeneration": generation }]);
        for kind in ["RootShard", "Shard", "FrontProxy", "Kubeconfig"] {
            let server = |phase: &str, conditions: Value| {
                let status = json!({ "phase": phase, "conditions": conditions });
                judged("operator.kcp.io/v1alpha1", kind, json!({}), status)
            };
            assert_eq!(server("Provisioning", available("True", 2)), Reached, "{kind}");
            assert_eq!(
                server("Running", json!([])),
                not_yet("it has no condition Available yet (phase Running)"),
                "{kind}"
            );
            assert_eq!(
                server("Ready", available("True", 1)),
                not_yet("Available speaks of generation 1, the object is at 2 (phase Ready)"),
                "{kind}"
            );
            let silent = json!([{ "type": "Available", "status": "True" }]);
            assert!(matches!(server("Running", silent), NotYet(_)), "{kind}");
        }
        let dangling = json!([{ "type": "RootShard", "status": "False", "reason": "RootShardNotFound" }]);
        assert_eq!(
            judged("operator.kcp.io/v1alpha1", "Shard", json!({}), json!({ "conditions": dangling })),
            not_yet("RootShard is False, RootShardNotFound")
        );
    }
}
