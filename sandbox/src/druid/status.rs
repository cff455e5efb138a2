//! What druid says of an Etcd: kcp notes, section 3.1. Two truths that mislead are kept on purpose: Ready asks for a quorum of the
//! members that have been seen so far, so one of three may be enough; and a member that has not been heard of for up to five minutes
//! is Unknown, which is as good as ready to it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Settings, objects};
use crate::control::{Action, World, meta, name, namespace, text};

/// An operation that is due.
pub struct Operation {
    pub is_first: bool,
    pub is_done: bool,
    pub generation: u64,
}

/// The whole status.
pub fn of(world: &World, etcd: &Value, operation: Option<&Operation>, settings: &Settings, now: Timestamp) -> Action {
    let members = members(world, etcd, settings, now);
    let set = world.get("StatefulSet", namespace(etcd), name(etcd));
    let count = |field: &str| set.and_then(|set| set["status"][field].as_u64()).unwrap_or(0);
    let wanted = objects::replicas(etcd);
    let selector = objects::selector(etcd);
    let pairs: Vec<_> =
        selector.as_object().into_iter().flatten().map(|(label, value)| format!("{label}={}", text(value))).collect();
    let mut status = json!({
        "conditions": conditions(etcd, &members, count("updatedReplicas"), now),
        "members": members,
        "ready": set.is_some() && count("readyReplicas") == wanted && count("updatedReplicas") == wanted,
        "readyReplicas": count("readyReplicas"),
        "currentReplicas": count("currentReplicas"),
        "replicas": count("replicas"),
        "peerUrlTLSEnabled": etcd["spec"]["etcd"]["peerUrlTls"].is_object(),
        "selector": pairs.join(","),
    });
    if set.is_some() {
        status["etcd"] = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": name(etcd) });
    }
    if let Some(operation) = operation {
        status["lastOperation"] = last_operation(etcd, operation, now);
        status["lastErrors"] = json!([]);
        if operation.is_done {
            status["observedGeneration"] = operation.generation.into();
        }
    }
    Action::Status(json!({
        "apiVersion": etcd["apiVersion"],
        "kind": etcd["kind"],
        "metadata": { "name": name(etcd), "namespace": namespace(etcd) },
        "status": status,
    }))
}

/// One member for each Lease that somebody holds.
fn members(world: &World, etcd: &Value, settings: &Settings, now: Timestamp) -> Vec<Value> {
    let mut members = Vec::new();
    for index in 0..objects::replicas(etcd) {
        let called = format!("{}-{index}", name(etcd));
        let Some(lease) = world.get("Lease", namespace(etcd), &called) else { continue };
        let Some((id, role)) = text(&lease["spec"]["holderIdentity"]).split_once(':') else { continue };
        let renewed: Option<Timestamp> = text(&lease["spec"]["renewTime"]).parse().ok();
        let silence = renewed.map_or(jiff::SignedDuration::MAX, |renewed| now.duration_since(renewed));
        let (status, reason) = match silence {
            silence if silence <= settings.member_unknown_after => ("Ready", "LeaseSucceeded"),
            silence if silence <= settings.member_unknown_after * 5 => ("Unknown", "UnknownGracePeriodExceeded"),
            _ => ("NotReady", "UnknownGracePeriodExceeded"),
        };
        let before = etcd["status"]["members"].as_array().into_iter().flatten();
        let before = before.into_iter().find(|before| before["name"] == called.as_str() && before["status"] == status);
        let since = before.map_or_else(|| time(now), |before| before["lastTransitionTime"].clone());
        members.push(json!({ "name": called, "id": id, "role": role, "status": status, "reason": reason,
            "lastTransitionTime": since }));
    }
    members
}

fn conditions(etcd: &Value, members: &[Value], updated: u64, now: Timestamp) -> Vec<Value> {
    let count = |wanted: &dyn Fn(&Value) -> bool| members.iter().filter(|member| wanted(&member["status"])).count();
    let (ready, not_lost) = (count(&|status| status == "Ready"), count(&|status| status != "NotReady"));
    let wanted = objects::replicas(etcd) as usize;
    let none = ("Unknown", "NoMembersInStatus", "no member has been seen yet");
    let quorate = match members.len() {
        0 => none,
        seen if not_lost > seen / 2 => ("True", "Quorate", "most of the members seen are ready"),
        _ => ("False", "QuorumLost", "most of the members seen are not ready"),
    };
    let all = match members.len() {
        0 => none,
        seen if seen == wanted && ready == wanted => ("True", "AllMembersReady", "all members are ready"),
        _ => ("False", "NotAllMembersReady", "at least one member is not ready"),
    };
    let updated = match updated as usize == wanted {
        true => ("True", "AllMembersUpdated", "all Pods are of the newest revision"),
        false => ("False", "NotAllMembersUpdated", "at least one Pod is not of the newest revision"),
    };
    let volumes = ("True", "NoWarningPVCEvents", "nothing is amiss with the volumes");
    [("Ready", quorate), ("AllMembersReady", all), ("AllMembersUpdated", updated), ("DataVolumesReady", volumes)]
        .map(|(of, said)| condition(etcd, of, said, now))
        .into()
}

fn condition(etcd: &Value, of: &str, said: (&str, &str, &str), now: Timestamp) -> Value {
    let (status, reason, message) = said;
    let before = etcd["status"]["conditions"].as_array().into_iter().flatten();
    let before = before.into_iter().find(|before| before["type"] == of && before["status"] == status);
    let kept = |field: &str| before.map_or_else(|| time(now), |before| before[field].clone());
    json!({ "type": of, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": kept("lastTransitionTime"), "lastUpdateTime": kept("lastUpdateTime") })
}

fn last_operation(etcd: &Value, operation: &Operation, now: Timestamp) -> Value {
    let kind = if operation.is_first { "Create" } else { "Reconcile" };
    let state = if operation.is_done { "Succeeded" } else { "Processing" };
    let run = format!("{}-{}", text(meta(etcd, "uid")), operation.generation);
    let before = &etcd["status"]["lastOperation"];
    let same = before["type"] == kind && before["state"] == state && before["runID"] == run.as_str();
    let since = if same { before["lastUpdateTime"].clone() } else { time(now) };
    json!({ "type": kind, "state": state, "runID": run, "lastUpdateTime": since,
        "description": format!("{kind} of generation {}: {state}", operation.generation) })
}

fn time(now: Timestamp) -> Value {
    json!(format!("{now:.0}"))
}
