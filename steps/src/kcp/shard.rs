//! `kcp.shard`: declares a Shard with no replicas, so that the operator renders all that it needs and runs nothing.
//!
//! The shard runs where it is carried to. Declare every shard before the first is deployed: each new one restarts the root, the
//! front-proxy and its siblings. Its Service here is of type ClusterIP; a load balancer on this cluster would lead nowhere.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::value::{DnsLabel, Url};
use steps_sdk::{Preview, StepError, UndoDefault, Value, Verdict};

use super::declared::{self, object};
use super::parts::{Auth, Image, Keys, Server, Service, ServiceType, Store, joined, of_kind, refused};
use crate::cluster::Cluster;
use crate::cluster::apply::{How, summary};
use crate::cluster::reference::ObjectRef;

/// Declares a shard.
pub struct Shard;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// Of which root shard: `root "${root.ref}"`.
    root: ObjectRef,
    /// Its name.
    name: DnsLabel,
    /// The address at which it will be reached, for instance `https://alpha.example.io:6443`.
    base_url: Url,
    /// Where it keeps its data, as seen from where it will run. A Secret of the name of `tls` has to be on this cluster too, whatever
    /// it holds: the operator renders nothing before it is there.
    etcd: Store,
    /// A Secret whose `tls.crt` holds further CAs that kcp trusts.
    #[serde(default)]
    ca_bundle: Option<String>,
    /// The form of private keys: `rsa` or `ecdsa`.
    #[serde(default)]
    keys: Keys,
    #[serde(default)]
    image: Option<Image>,
    #[serde(default)]
    auth: Option<Auth>,
    /// Its Service on this cluster; left out: `service ClusterIP`.
    #[serde(default)]
    service: Option<Service>,
    /// Further fields of the object's `spec`, written as Kubernetes writes them.
    #[serde(default)]
    spec: Option<Value>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The object.
    r#ref: ObjectRef,
}

#[async_trait]
impl Step for Shard {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Declares a shard of a kcp installation that will run on another cluster.\n\n\
            It has no replicas here. `undo` deletes the object while the root shard is up: the operator then takes the shard out \
            of the root workspace.";
        About { undo: UndoDefault::Ask, on: OnCluster::Required, ..About::converging("kcp.shard", doc) }
    }

    async fn preview(&self, cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        declared::preview(cx, vec![inputs.object(&Cluster::of_step(cx)?)?]).await
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let applied = declared::apply(&cluster, vec![inputs.object(&cluster)?]).await?;
        let summary = summary(&applied);
        let one = applied.into_iter().next().expect("one object was applied");
        Ok(Done { same: one.how == How::Same, outputs: Outputs { r#ref: one.reference }, summary })
    }

    async fn verify(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        let object = inputs.object(&Cluster::of_step(cx)?)?;
        declared::verify(cx, vec![object], recorded.map(|outputs| vec![outputs.r#ref])).await
    }

    async fn undo(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<String, StepError> {
        let object = inputs.object(&Cluster::of_step(cx)?)?;
        declared::undo(cx, vec![object], recorded.map(|outputs| vec![outputs.r#ref])).await
    }
}

impl Inputs {
    fn object(&self, cluster: &Cluster<'_>) -> Result<Value, StepError> {
        let (root, namespace) = of_kind(self.root.clone(), &["RootShard"], cluster.name)?;
        if self.name.as_str() == root.name {
            return Err(refused(format!("the shard and its root shard are both called `{}`", root.name))
                .help("give the shard a name of its own: kcp knows both by their names"));
        }
        let server = Server {
            base_url: &self.base_url,
            store: &self.etcd,
            image: &self.image,
            auth: &self.auth,
            ca_bundle: &self.ca_bundle,
            keys: self.keys,
        };
        let mut spec = server.spec(&[], &["mounts-proxy"])?;
        spec.insert("rootShard".into(), json!({ "ref": { "name": root.name } }));
        spec.insert("replicas".into(), json!(0));
        spec.insert("serviceTemplate".into(), Service::or(&self.service, ServiceType::ClusterIP).1);
        let spec = joined(Value::Object(spec), self.spec.clone());
        if spec.get("replicas") != Some(&json!(0)) {
            return Err(refused("a shard that is declared here has no replicas here")
                .help("say how many there shall be where it is deployed"));
        }
        Ok(object("Shard", &namespace, self.name.as_str(), spec))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::ApiServer;
    use crate::kcp::definitions::{reference, world};
    use crate::testing::{World, runs_twice, survives_failures, survives_kills, survives_refusals, undone_twice};
    use steps_sdk::Outcome;

    fn declared() -> World<ApiServer> {
        world(json!({ "root": reference("RootShard", "root"), "name": "alpha", "keys": "ecdsa",
                      "base-url": "https://alpha.example.io:6443",
                      "etcd": { "endpoints": ["https://alpha-client.kcp.svc.cluster.local:2379"] } }))
    }

    async fn declared_once(world: &World<ApiServer>, _: &Outcome) {
        let object = world.outside.get("Shard", "alpha").unwrap();
        assert_eq!(object["spec"]["replicas"], 0);
        assert_eq!(object["spec"]["serviceTemplate"], json!({ "spec": { "type": "ClusterIP" } }));
        assert_eq!(
            object["spec"]["certificateTemplates"]["server"]["spec"],
            json!({ "privateKey": { "algorithm": "ECDSA", "size": 256 }, "dnsNames": ["alpha.example.io"] })
        );
        assert!(object["metadata"].get("annotations").is_none(), "no bundle is asked for: {object}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_generic_tests() {
        let outcome = runs_twice(&Shard, &declared()).await;
        assert_eq!(outcome.summary, "Shard/kcp/alpha created");
        survives_kills(&Shard, async || declared(), declared_once).await;
        survives_failures(&Shard, async || declared(), declared_once).await;
        survives_refusals(&Shard, async || declared(), declared_once).await;
        let told = undone_twice(&Shard, &declared()).await;
        assert_eq!(told, ("deleted Shard/kcp/alpha".to_owned(), "nothing to delete".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_called_like_its_root_and_one_with_replicas_are_refused() {
        for (field, value) in [("name", json!("root")), ("spec", json!({ "replicas": 2 }))] {
            let mut world = declared();
            world.inputs[field] = value;
            let error = world.rig.run(&Shard, &world.inputs).await.unwrap_err();
            assert!(error.code == "K230" && world.outside.requests().is_empty(), "{error:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_changed_since_is_told() {
        let world = declared();
        let outcome = world.rig.run(&Shard, &world.inputs).await.unwrap();
        assert_eq!(world.rig.verify(&Shard, &world.inputs, Some(&outcome.outputs)).await.unwrap(), Verdict::Intact);
        assert!(matches!(world.rig.verify(&Shard, &world.inputs, None).await.unwrap(), Verdict::Unknown(_)));
        world.outside.controller("Shard", "alpha", |object| object["spec"]["replicas"] = json!(2));
        let verdict = world.rig.verify(&Shard, &world.inputs, Some(&outcome.outputs)).await.unwrap();
        assert!(
            matches!(&verdict, Verdict::Drifted(changes) if changes[0].fields[0].path == "spec.replicas"),
            "{verdict:?}"
        );
        world.outside.remove("Shard", "alpha");
        let verdict = world.rig.verify(&Shard, &world.inputs, Some(&outcome.outputs)).await.unwrap();
        assert_eq!(verdict, Verdict::Gone("not there: Shard/kcp/alpha".into()));
    }
}
