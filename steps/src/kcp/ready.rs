//! `kcp.ready`: waits until servers of kcp-operator really run, by everything that can be seen of them on their cluster.
//!
//! For each: the Secrets that its spec names are there (the operator says nothing of a missing one, it just makes no Deployment),
//! its Service has what its type promises, its Deployment has replicas and all of them are available, its condition Available is
//! about its newest form. The phase is put out as a remark. When all were seen, all are looked at once more.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster, TimeLimit};
use steps_sdk::{Effect, EffectOf, Preview, StepError, Value, Verdict};

use super::declared::{beside, server_of};
use super::parts::{of_kind, refused};
use crate::cluster::Cluster;
use crate::cluster::goal::{Goal, unmet};
use crate::cluster::reference::ObjectRef;
use crate::cluster::wait::Wait;

/// Waits for kcp servers.
pub struct Ready;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// Which: `of "${root.ref}"`. May repeat.
    of: Vec<ObjectRef>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// What was waited for, in the order of the file.
    refs: Vec<ObjectRef>,
    /// What the operator prints of each, which decides nothing.
    remarks: Vec<String>,
}

/// One object and what has to be so of it.
type Condition = (ObjectRef, Vec<Goal>);

#[async_trait]
impl Step for Ready {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Waits until root shards, shards and front-proxies run.\n\n\
            Judges by Secrets, Service, Deployment and the condition Available of the newest generation; phases are remarks. \
            A shard without replicas never gets there.";
        About {
            effect: EffectOf::Fixed(Effect::Pure),
            time_limit: TimeLimit::Wait { for_ms: 15 * 60_000 },
            on: OnCluster::Required,
            ..About::converging("kcp.ready", doc)
        }
    }

    async fn preview(&self, cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        let cluster = Cluster::of_step(cx)?;
        Ok(match first_unmet(&cluster, &inputs.servers(&cluster)?).await? {
            None => Preview::Changes(Vec::new()),
            Some(reason) => Preview::Later(reason),
        })
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let servers = inputs.servers(&cluster)?;
        loop {
            for server in &servers {
                wait_for(&cluster, server).await?;
            }
            // What was ready first may have begun to roll while the last was waited for.
            if first_unmet(&cluster, &servers).await?.is_none() {
                break;
            }
        }
        let outputs = seen(&cluster, servers).await?;
        let names: Vec<String> = outputs.refs.iter().map(ToString::to_string).collect();
        Ok(Done::same(outputs, format!("{}: ready", names.join(", "))))
    }

    /// A wait that was satisfied earlier is looked at again: does it still hold?
    async fn verify(&self, cx: &StepContext, inputs: Inputs, _recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        let cluster = Cluster::of_step(cx)?;
        Ok(match first_unmet(&cluster, &inputs.servers(&cluster)?).await? {
            None => Verdict::Intact,
            Some(reason) => Verdict::Gone(reason),
        })
    }

    async fn undo(&self, _cx: &StepContext, _inputs: Inputs, _recorded: Option<Outputs>) -> Result<String, StepError> {
        Ok("nothing to take back: waiting changes nothing".into())
    }
}

impl Inputs {
    fn servers(&self, cluster: &Cluster<'_>) -> Result<Vec<ObjectRef>, StepError> {
        if self.of.is_empty() {
            return Err(refused("nothing is named that could be ready").help("write `of \"${root.ref}\"`"));
        }
        let kinds = ["RootShard", "Shard", "FrontProxy"];
        self.of.iter().map(|one| of_kind(one.clone(), &kinds, cluster.name).map(|(server, _)| server)).collect()
    }
}

/// Waits in the order in which things come to be, so that the reason that is shown is the first that holds up the rest.
async fn wait_for(cluster: &Cluster<'_>, server: &ObjectRef) -> Result<(), StepError> {
    let declared = Wait::new(cluster, server).until(&[Goal::Exists]).await?.unwrap_or_default();
    for (object, goals) in conditions(server, &declared) {
        Wait::new(cluster, &object).until(&goals).await?;
    }
    Ok(())
}

async fn first_unmet(cluster: &Cluster<'_>, servers: &[ObjectRef]) -> Result<Option<String>, StepError> {
    for server in servers {
        let declared = match cluster.served(server).await? {
            Some(served) => cluster.live(server, &served).await?,
            None => None,
        };
        let Some(declared) = declared else {
            return Ok(Some(format!("{server}: not there yet on cluster {}", cluster.name)));
        };
        for (object, goals) in conditions(server, &declared) {
            if let Some(reason) = unmet(cluster, &object, &goals).await? {
                return Ok(Some(format!("{object}: {reason}")));
            }
        }
    }
    Ok(None)
}

fn conditions(server: &ObjectRef, declared: &Value) -> Vec<Condition> {
    let name = server_of(server).expect("only kinds with a server are taken");
    let named = ["/spec/etcd/tlsConfig/secretRef/name", "/spec/caBundleSecretRef/name", "/spec/clientCABundleRef/name"];
    let secrets = named.iter().filter_map(|at| declared.pointer(at)).filter_map(Value::as_str);
    let secrets = secrets.map(|secret| (beside(server, "v1", "Secret", secret), vec![Goal::Exists]));
    let rest = [
        (beside(server, "v1", "Service", &name), vec![Goal::Ready]),
        (beside(server, "apps/v1", "Deployment", &name), vec![Goal::Replicas, Goal::Ready]),
        (server.bare(), vec![Goal::Ready]),
    ];
    secrets.chain(rest).collect()
}

async fn seen(cluster: &Cluster<'_>, servers: Vec<ObjectRef>) -> Result<Outputs, StepError> {
    let mut outputs = Outputs { refs: Vec::new(), remarks: Vec::new() };
    for server in servers {
        let served = cluster.must_be_served(&server).await?;
        let live = cluster.live(&server, &served).await?.unwrap_or_default();
        let text = |at: &str| live.pointer(at).and_then(Value::as_str);
        outputs.remarks.extend(text("/status/phase").map(|phase| format!("{server}: phase {phase}")));
        let uid = text("/metadata/uid").map(str::to_owned);
        outputs.refs.push(ObjectRef { cluster: Some(cluster.name.to_owned()), uid, ..server });
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::{ApiServer, object};
    use crate::kcp::definitions::{available, balanced, reference, world};
    use crate::testing::{World, eventually, runs_twice, survives_failures, survives_kills, undone_twice};
    use serde_json::json;
    use steps_sdk::Outcome;

    fn deployment(replicas: i64, available: i64) -> Value {
        let status = json!({ "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas,
                             "availableReplicas": available });
        object("apps/v1", "Deployment", "kcp/root-kcp", json!({ "spec": { "replicas": replicas }, "status": status }))
    }

    fn declared() -> World<ApiServer> {
        let world = world(json!({ "of": [reference("RootShard", "root")] }));
        let spec = json!({ "etcd": { "tlsConfig": { "secretRef": { "name": "etcd-client-tls" } } } });
        let rest = json!({ "metadata": { "generation": 1 }, "spec": spec });
        world.outside.there(object("operator.kcp.io/v1alpha1", "RootShard", "kcp/root", rest));
        world
    }

    fn status(world: &World<ApiServer>, phase: &str, conditions: Value) {
        let status = json!({ "phase": phase, "conditions": conditions });
        world.outside.controller("RootShard", "root", |object| object["status"] = status);
    }

    fn running() -> World<ApiServer> {
        let world = declared();
        world.outside.there(object("v1", "Secret", "kcp/etcd-client-tls", json!({})));
        balanced(&world.outside, "root-kcp", "192.0.2.7");
        world.outside.there(deployment(2, 2));
        status(&world, "Provisioning", available("True"));
        world
    }

    #[tokio::test(start_paused = true)]
    async fn each_thing_that_is_missing_is_named_and_a_phase_is_not_believed() {
        let world = declared();
        status(&world, "Running", available("True"));
        let waits = async |reason: &str| {
            eventually(reason, || world.rig.waits().last().is_some_and(|last| last == reason)).await;
        };
        let story = async {
            waits("Secret/kcp/etcd-client-tls: not there yet on cluster hub").await;
            world.outside.there(object("v1", "Secret", "kcp/etcd-client-tls", json!({})));
            waits("Service/kcp/root-kcp: not there yet on cluster hub").await;
            balanced(&world.outside, "root-kcp", "192.0.2.7");
            waits("Deployment/kcp/root-kcp: not there yet on cluster hub").await;
            world.outside.there(deployment(0, 0));
            waits("Deployment/kcp/root-kcp: it shall have no replicas, and the operator calls that available").await;
            world.outside.there(deployment(2, 1));
            waits("Deployment/kcp/root-kcp: 1 of 2 replicas are available").await;
            status(&world, "Running", available("False"));
            world.outside.there(deployment(2, 2));
            waits("RootShard/kcp/root: Available is False, ReplicasUp (phase Running)").await;
            status(&world, "Provisioning", available("True"));
        };
        let (outcome, ()) = tokio::join!(world.rig.run(&Ready, &world.inputs), story);
        let outcome = outcome.unwrap();
        assert_eq!(outcome.summary, "RootShard/kcp/root: ready");
        assert_eq!(outcome.outputs["remarks"], json!(["RootShard/kcp/root: phase Provisioning"]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_generic_tests() {
        let is_ready = async |_: &World<ApiServer>, outcome: &Outcome| {
            assert_eq!(outcome.outputs["refs"][0]["name"], "root");
        };
        runs_twice(&Ready, &running()).await;
        survives_kills(&Ready, async || running(), is_ready).await;
        survives_failures(&Ready, async || running(), is_ready).await;
        let told = undone_twice(&Ready, &running()).await;
        assert_eq!(told.0, told.1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_longer_holds_is_told_by_plan_and_verify() {
        let world = running();
        assert_eq!(world.rig.preview(&Ready, &world.inputs).await.unwrap(), Preview::Changes(Vec::new()));
        assert_eq!(world.rig.verify(&Ready, &world.inputs, None).await.unwrap(), Verdict::Intact);
        world.outside.there(deployment(2, 0));
        let reason = "Deployment/kcp/root-kcp: 0 of 2 replicas are available".to_owned();
        assert_eq!(world.rig.preview(&Ready, &world.inputs).await.unwrap(), Preview::Later(reason.clone()));
        assert_eq!(world.rig.verify(&Ready, &world.inputs, None).await.unwrap(), Verdict::Gone(reason));
        let empty = json!({ "of": [] });
        assert_eq!(world.rig.run(&Ready, &empty).await.unwrap_err().code, "K230");
    }
}
