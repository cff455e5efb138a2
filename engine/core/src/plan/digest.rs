//! The digest of a plan: of what it means, so that a comment, a place or the order of independent lines changes nothing.
//!
//! Each step has a digest of its own, which the plan's covers: a plan of thousands of steps is never in memory a second time.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::types::{Bound, Input, Late, Plan, PlannedComponent, PlannedStep, TextPart};
use crate::id::Digest;

pub(super) fn of(plan: &Plan) -> Digest {
    let steps: Map<String, Value> =
        plan.steps.iter().map(|step| (step.id.to_string(), json!(Digest::of_value(&of_step(plan, step))))).collect();
    let clusters: Map<String, Value> = plan
        .clusters
        .iter()
        .map(|cluster| {
            (
                cluster.name.0.clone(),
                json!({
                    "kubeconfig": cluster.kubeconfig, "from": cluster.from.as_ref().map(of_input),
                    "workspace": cluster.workspace, "identity": cluster.identity,
                }),
            )
        })
        .collect();
    // Not where the bytes came from: the digest says which they are.
    let components: Map<String, Value> = plan
        .components
        .iter()
        .map(|component| {
            let PlannedComponent { name, digest, grants, limits, source: _, at: _ } = component;
            (name.clone(), json!({ "digest": digest, "grants": grants, "limits": limits }))
        })
        .collect();
    let outputs: Map<String, Value> = plan
        .outputs
        .iter()
        .map(|output| (output.name.clone(), json!({ "value": of_input(&output.value), "secret": output.secret })))
        .collect();
    let groups: Map<String, Value> = plan
        .groups
        .iter()
        .map(|group| (group.id.clone(), json!({ "parallel": group.parallel, "on-failure": group.on_failure })))
        .collect();
    Digest::of_value(&json!({
        "format": plan.format, "workflow": plan.workflow, "lock": plan.lock, "limits": plan.limits, "kinds": plan.kinds,
        "steps": steps, "groups": groups, "clusters": clusters, "components": components, "outputs": outputs,
    }))
}

/// Everything but the doc and the place.
fn of_step(plan: &Plan, step: &PlannedStep) -> Value {
    let needs: Map<String, Value> = step.needs.iter().map(|need| (need.step.to_string(), json!(need.rule))).collect();
    let group = step.group.as_ref().map(|member| json!([plan.groups[member.group].id, member.key]));
    let mut clusters: Vec<&str> = step.clusters.iter().map(|cluster| cluster.0.as_str()).collect();
    clusters.sort_unstable();
    json!({
        "kind": step.kind, "on": step.on, "clusters": clusters, "inputs": of_input(&step.inputs), "needs": needs,
        "under": step.under.iter().map(of_late).collect::<Vec<Value>>(),
        "when": step.when.as_ref().map(of_late), "effect": step.effect, "retry": step.retry, "time-limit": step.time_limit,
        "wait-for": step.wait_for_ms, "group": group, "owner": step.owner,
    })
}

/// Each form under a name of its own, so that no literal can be taken for an expression.
fn of_input(input: &Input) -> Value {
    match input {
        Input::Known(value) => json!({ "known": value }),
        Input::Late(late) => json!({ "late": of_late(late) }),
        Input::Text(parts) => {
            let parts = parts.iter().map(|part| match part {
                TextPart::Literal(text) => Value::String(text.clone()),
                TextPart::Late(late) => of_late(late),
            });
            json!({ "text": parts.collect::<Vec<Value>>() })
        }
        Input::List(items) => json!({ "list": items.iter().map(of_input).collect::<Vec<Value>>() }),
        Input::Map(fields) => {
            json!({ "map": fields.iter().map(|(name, field)| (name.clone(), of_input(field))).collect::<Map<String, Value>>() })
        }
        Input::Secret(secret) => json!({ "secret": secret }),
        Input::Repeat(repeat) => {
            json!({ "repeat": { "name": repeat.name, "list": of_late(&repeat.list), "items": repeat.items.iter().map(of_input).collect::<Vec<Value>>() } })
        }
    }
}

fn of_late(late: &Late) -> Value {
    let names: Map<String, Value> = late.names.iter().map(|(name, bound)| (name.clone(), of_bound(bound))).collect();
    json!({ "text": late.text.trim(), "names": names })
}

fn of_bound(bound: &Bound) -> Value {
    let inputs = |inputs: &BTreeMap<String, Input>| -> Map<String, Value> {
        inputs.iter().map(|(name, input)| (name.clone(), of_input(input))).collect()
    };
    match bound {
        Bound::Value(value) => json!({ "value": value }),
        Bound::Step(step) => json!({ "step": step }),
        Bound::Call { steps, outputs } => json!({ "call": steps, "outputs": inputs(outputs) }),
        Bound::Instances(instances) => {
            let members = |members: &BTreeMap<String, Bound>| -> Map<String, Value> {
                members.iter().map(|(name, member)| (name.clone(), of_bound(member))).collect()
            };
            let instances: Map<String, Value> =
                instances.iter().map(|(key, inside)| (key.clone(), Value::Object(members(inside)))).collect();
            json!({ "instances": instances })
        }
        Bound::Params(params) => json!({ "params": inputs(params) }),
        Bound::Run => json!("run"),
        Bound::Element => json!("element"),
    }
}
