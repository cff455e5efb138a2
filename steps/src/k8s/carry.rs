//! `k8s.carry`: carries an object from one cluster to another, or to another namespace or name.
//!
//! What belongs to the object's life on its first cluster is left behind: uid, owners, finalizers, status, allocated addresses and
//! ports. The rest is applied in the step's own name. Values of Secrets go from one API server to the other and nowhere else.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::value::ClusterName;
use steps_sdk::{Outcome, Preview, StepError, UndoDefault, Value, Verdict};

use crate::cluster::Cluster;
use crate::cluster::apply::{Applier, How, made, summary};
use crate::cluster::goal::{self, Goal};
use crate::cluster::readiness::State;
use crate::cluster::reference::ObjectRef;
use crate::cluster::shown::LAST_APPLIED;
use crate::cluster::wait::Wait;
use crate::cluster::wanted::{Wanted, wanted};

/// Carries an object.
pub struct Carry;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// Where it is: `from CLUSTER object="${step.ref}"`.
    from: From,
    /// Where it goes: `to CLUSTER namespace=NAME`.
    to: To,
    /// Its name there; left out: the same.
    #[serde(default)]
    rename: Option<String>,
    /// Only these keys of its data.
    #[serde(default)]
    keys: Vec<String>,
    /// Take fields that belong to others away from them.
    #[serde(default)]
    take_ownership: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["cluster"]))]
pub struct From {
    /// The cluster on which the object is.
    cluster: ClusterName,
    /// Which object.
    object: ObjectRef,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["cluster"]))]
pub struct To {
    /// The cluster to which it goes.
    cluster: ClusterName,
    /// The namespace there; left out: the same.
    #[serde(default)]
    namespace: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The object where it was carried to.
    r#ref: ObjectRef,
}

#[async_trait]
impl Step for Carry {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Carries an object to another cluster.\n\n\
            Waits until the object and the `keys` that are asked for are there. Values of Secrets are never recorded.";
        About { undo: UndoDefault::Delete, on: OnCluster::Refused, ..About::converging("k8s.carry", doc) }
    }

    async fn preview(&self, cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        let source = inputs.source()?;
        let from = Cluster::named(cx, &inputs.from.cluster)?;
        let to = Cluster::named(cx, &inputs.to.cluster)?;
        match present(&from, &source, &inputs.keys).await? {
            None => Ok(Preview::Later(format!("{source} on cluster {}", from.name))),
            Some(object) => {
                Ok(Preview::Changes(Applier::new(&to, inputs.take_ownership).preview(&inputs.carried(object)?).await?))
            }
        }
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let source = inputs.source()?;
        let from = Cluster::named(cx, &inputs.from.cluster)?;
        let to = Cluster::named(cx, &inputs.to.cluster)?;
        let object = Wait::new(&from, &source).until(&[Goal::Keys(inputs.keys.clone())]).await?;
        let carried = inputs.carried(object.unwrap_or_default())?;
        let applied = Applier::new(&to, inputs.take_ownership).apply(&carried).await?;
        let summary = format!("{} on {}", summary(&applied), to.name);
        let one = applied.into_iter().next().expect("one object was carried");
        Ok(Done { same: one.how == How::Same, outputs: Outputs { r#ref: one.reference }, summary })
    }

    async fn verify(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        let source = inputs.source()?;
        let from = Cluster::named(cx, &inputs.from.cluster)?;
        let to = Cluster::named(cx, &inputs.to.cluster)?;
        let Some(object) = present(&from, &source, &inputs.keys).await? else {
            return Ok(Verdict::Unknown(format!(
                "{source} is no longer on cluster {}, so there is nothing to compare with",
                from.name
            )));
        };
        let carried = inputs.carried(object)?;
        let refs: Vec<ObjectRef> = recorded.iter().map(|outputs| outputs.r#ref.clone()).collect();
        match Applier::new(&to, inputs.take_ownership).verify(&carried, &refs).await? {
            Verdict::Intact if recorded.is_none() => Ok(Verdict::Done(found(&to, &carried[0]).await?)),
            verdict => Ok(verdict),
        }
    }

    async fn undo(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<String, StepError> {
        let source = inputs.source()?;
        let to = Cluster::named(cx, &inputs.to.cluster)?;
        let refs: Vec<ObjectRef> = recorded.into_iter().map(|outputs| outputs.r#ref).collect();
        Applier::new(&to, false).take_back(&[inputs.target(&source)], &made(cx), &refs).await
    }
}

impl Inputs {
    fn source(&self) -> Result<ObjectRef, StepError> {
        self.from.object.clone().check()?.on(&self.from.cluster.0)
    }

    fn target(&self, source: &ObjectRef) -> ObjectRef {
        let namespace = source.namespace.as_ref().map(|same| self.to.namespace.as_ref().unwrap_or(same).clone());
        let name = self.rename.as_ref().unwrap_or(&source.name).clone();
        ObjectRef { namespace, name, ..source.bare() }
    }

    /// The object as it goes to the other cluster.
    fn carried(&self, object: Value) -> Result<Vec<Wanted>, StepError> {
        let source = self.source()?;
        let target = self.target(&source);
        let mut object = left_behind(object);
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("name".into(), target.name.into());
            if let Some(namespace) = target.namespace {
                metadata.insert("namespace".into(), namespace.into());
            }
        }
        if !self.keys.is_empty() {
            for field in ["data", "binaryData"] {
                if let Some(data) = object.get_mut(field).and_then(Value::as_object_mut) {
                    data.retain(|key, _| self.keys.contains(key));
                }
            }
        }
        wanted([object])
    }
}

/// The object on its first cluster, if it is there with all its keys.
async fn present(from: &Cluster<'_>, source: &ObjectRef, keys: &[String]) -> Result<Option<Value>, StepError> {
    if from.served(source).await?.is_none() {
        return Ok(None);
    }
    let served = from.must_be_served(source).await?;
    let live = from.live(source, &served).await?;
    let is_complete = goal::state(from, source, &[Goal::Keys(keys.to_vec())], live.as_ref())? == State::Reached;
    Ok(live.filter(|_| is_complete))
}

async fn found(to: &Cluster<'_>, one: &Wanted) -> Result<Outcome, StepError> {
    let served = to.must_be_served(&one.reference).await?;
    let live = to.live(&one.reference, &served).await?.unwrap_or_default();
    let uid = live.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
    let outputs = Outputs { r#ref: ObjectRef { cluster: Some(to.name.to_owned()), uid, ..one.reference.clone() } };
    let outputs = serde_json::to_value(outputs).expect("references have only text fields");
    Ok(Outcome { outputs, summary: format!("{} is as wanted", one.reference), same: true })
}

/// What another cluster has to allocate anew or would take for its own: field by field, since each has its own reason.
fn left_behind(mut object: Value) -> Value {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(fields) = object.as_object_mut() else { return object };
    fields.shift_remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        // A whitelist: what a later API server adds to metadata is about that server too.
        metadata.retain(|field, _| ["name", "namespace", "labels", "annotations"].contains(&field.as_str()));
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.retain(|name, _| {
                name != LAST_APPLIED
                    && name != "deployment.kubernetes.io/revision"
                    && !name.starts_with("kubernetes.io/service-account.")
            });
        }
    }
    let allocated: &[&str] = match kind.as_str() {
        "Service" => &["clusterIP", "clusterIPs", "healthCheckNodePort", "ipFamilies"],
        "PersistentVolumeClaim" => &["volumeName"],
        "Pod" => &["nodeName"],
        _ => &[],
    };
    if let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut) {
        for field in allocated {
            spec.shift_remove(*field);
        }
        if kind == "Service" {
            forget_node_ports(spec);
        }
    }
    object
}

fn forget_node_ports(spec: &mut Map<String, Value>) {
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port.shift_remove("nodePort");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::{ApiServer, object};
    use crate::testing::{
        Failing, Rig, World, eventually, runs_twice, survives_failures, survives_kills, survives_refusals, undone_twice,
    };
    use serde_json::json;
    use steps_sdk::outcome::ChangeAction;

    struct Two {
        hub: ApiServer,
        eu: ApiServer,
    }

    /// The n-th call to the one, then the n-th call to the other.
    impl Failing for Two {
        const WAYS: usize = 2 * ApiServer::WAYS;

        fn fail(&self, number: usize, way: usize) {
            let server = if way < ApiServer::WAYS { &self.hub } else { &self.eu };
            Failing::fail(server, number, way % ApiServer::WAYS);
        }

        fn calls(&self) -> usize {
            self.hub.requests().len().max(self.eu.requests().len())
        }
    }

    fn secret() -> Value {
        let last_applied = "{\"data\":{\"tls.key\":\"aHVudGVyMg==\"}}";
        let metadata = json!({ "labels": { "a": "b" }, "finalizers": ["ex.io/keep"], "ownerReferences": [{ "uid": "x" }],
                               "annotations": { LAST_APPLIED: last_applied } });
        let data = json!({ "tls.crt": "Y2VydA==", "tls.key": "aHVudGVyMg==" });
        let rest = json!({ "type": "kubernetes.io/tls", "metadata": metadata, "data": data });
        object("v1", "Secret", "default/leaf", rest)
    }

    fn world(more: Value) -> World<Two> {
        let two = Two { hub: ApiServer::new("hub"), eu: ApiServer::new("eu") };
        two.hub.there(secret());
        two.eu.there(object("v1", "Namespace", "trust", json!({})));
        let rig = Rig::new().with_clusters(ApiServer::clusters(&[&two.hub, &two.eu]));
        let object =
            json!({ "apiVersion": "v1", "kind": "Secret", "namespace": "default", "name": "leaf", "cluster": "hub" });
        let mut inputs =
            json!({ "from": { "cluster": "hub", "object": object }, "to": { "cluster": "eu", "namespace": "trust" } });
        for (name, value) in more.as_object().unwrap() {
            inputs[name] = value.clone();
        }
        World { rig, inputs, outside: two }
    }

    #[tokio::test(start_paused = true)]
    async fn what_belongs_to_the_first_cluster_stays_there_and_no_value_is_recorded() {
        let world = world(json!({ "rename": "root-ca", "keys": ["tls.crt"] }));
        let preview = world.rig.preview(&Carry, &world.inputs).await.unwrap();
        let outcome = runs_twice(&Carry, &world).await;
        let there = world.outside.eu.get("Secret", "root-ca").unwrap();
        assert_eq!(there["data"], json!({ "tls.crt": "Y2VydA==" }));
        assert_eq!((&there["type"], &there["metadata"]["labels"]), (&json!("kubernetes.io/tls"), &json!({ "a": "b" })));
        assert_eq!(there["metadata"]["namespace"], "trust");
        for field in ["finalizers", "ownerReferences"] {
            assert!(there["metadata"].get(field).is_none(), "{there}");
        }
        assert_eq!(outcome.summary, "Secret/trust/root-ca created on eu");
        assert_eq!(outcome.outputs["ref"]["cluster"], "eu");
        let recorded = format!("{preview:?} {outcome:?} {:?} {there}", world.rig.waits());
        assert!(!recorded.contains("aHVudGVyMg"), "{recorded}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_is_carried_without_its_addresses_and_ports() {
        let mut world = world(json!({}));
        let spec = json!({ "type": "LoadBalancer", "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"],
                           "ports": [{ "port": 443, "nodePort": 31000 }] });
        let rest = json!({ "spec": spec, "status": { "loadBalancer": {} } });
        world.outside.hub.there(object("v1", "Service", "default/lb", rest));
        world.inputs["from"]["object"] =
            json!({ "apiVersion": "v1", "kind": "Service", "namespace": "default", "name": "lb" });
        world.rig.run(&Carry, &world.inputs).await.unwrap();
        let there = world.outside.eu.get("Service", "lb").unwrap();
        assert_eq!(there["spec"], json!({ "type": "LoadBalancer", "ports": [{ "port": 443 }] }));
        assert!(there.get("status").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_for_the_object_and_for_the_keys_that_are_asked_for() {
        let world = world(json!({ "keys": ["tls.crt", "ca.crt"] }));
        assert!(matches!(world.rig.preview(&Carry, &world.inputs).await.unwrap(), Preview::Later(_)));
        let filled = async {
            eventually("it waits", || world.rig.waits() == ["Secret/default/leaf: it has no key ca.crt yet"]).await;
            world.outside.hub.controller("Secret", "leaf", |secret| secret["data"]["ca.crt"] = json!("Y2E="));
        };
        tokio::join!(async { world.rig.run(&Carry, &world.inputs).await.unwrap() }, filled);
        assert_eq!(
            world.outside.eu.get("Secret", "leaf").unwrap()["data"],
            json!({ "tls.crt": "Y2VydA==", "ca.crt": "Y2E=" })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_source_is_drift_and_a_vanished_one_cannot_be_compared() {
        let world = world(json!({}));
        let outcome = world.rig.run(&Carry, &world.inputs).await.unwrap();
        let verdict = async || world.rig.verify(&Carry, &world.inputs, Some(&outcome.outputs)).await.unwrap();
        assert_eq!(verdict().await, Verdict::Intact);
        let done = world.rig.verify(&Carry, &world.inputs, None).await.unwrap();
        assert!(matches!(&done, Verdict::Done(found) if found.outputs == outcome.outputs), "{done:?}");
        world.outside.hub.controller("Secret", "leaf", |secret| secret["data"]["tls.key"] = json!("bmV3"));
        let drifted = verdict().await;
        let Verdict::Drifted(changes) = &drifted else { panic!("{drifted:?}") };
        assert_eq!(
            (changes[0].action, changes[0].fields[0].path.as_str()),
            (ChangeAction::Update, "data[\"tls.key\"]")
        );
        assert!(!format!("{drifted:?}").contains("bmV3"));
        world.outside.hub.remove("Secret", "leaf");
        assert!(matches!(verdict().await, Verdict::Unknown(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn the_four_generic_tests() {
        let make = async || world(json!({}));
        let check = async |world: &World<Two>, outcome: &Outcome| {
            let clean = self::world(json!({}));
            let expected = clean.rig.run(&Carry, &clean.inputs).await.unwrap();
            assert_eq!(outcome.outputs, expected.outputs);
            assert_eq!(world.outside.eu.objects(), clean.outside.eu.objects());
            assert_eq!(world.outside.eu.writes(), clean.outside.eu.writes(), "no effect shows twice");
            assert_eq!(world.outside.hub.writes(), clean.outside.hub.writes(), "the source is only read");
        };
        survives_kills(&Carry, make, check).await;
        survives_failures(&Carry, make, check).await;
        survives_refusals(&Carry, make, check).await;
        let world = make().await;
        let (first, second) = undone_twice(&Carry, &world).await;
        assert_eq!((first.as_str(), second.as_str()), ("deleted Secret/trust/leaf", "nothing to delete"));
        assert!(world.outside.eu.get("Secret", "leaf").is_none() && world.outside.hub.get("Secret", "leaf").is_some());
    }
}
