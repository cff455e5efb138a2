//! `kcp.front-proxy`: declares the FrontProxy of a root shard, and is done when its load balancer has an address.
//!
//! Its certificate is signed by the installation's own CA, which kubeconfigs carry. With an `issuer` of its own it gets exactly the
//! names that are asked for: the operator then leaves out its own.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::value::{DnsLabel, Hostname};
use steps_sdk::{Preview, StepError, UndoDefault, Value, Verdict};

use super::declared::{self, object};
use super::parts::{Auth, Image, Keys, PORT, Service, ServiceType, common, joined, of_kind};
use super::root_shard::{Issuer, Outputs, WaitInput, run, waits};
use crate::cluster::Cluster;
use crate::cluster::reference::ObjectRef;

/// Declares a front-proxy.
pub struct FrontProxy;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// Of which root shard: `root "${root.ref}"`.
    root: ObjectRef,
    /// Its name; left out: `frontproxy`.
    #[serde(default)]
    name: Option<DnsLabel>,
    /// The public name of the installation.
    hostname: Hostname,
    /// The port of that name; left out: 6443.
    #[serde(default)]
    port: Option<u16>,
    /// The issuer of cert-manager that signs its certificate, for instance one of Let's Encrypt; left out: the installation's CA.
    #[serde(default)]
    issuer: Option<Issuer>,
    /// Further names in the certificate. May repeat.
    #[serde(default)]
    dns: Vec<Hostname>,
    /// A Secret whose `tls.crt` holds further CAs that kcp trusts.
    #[serde(default)]
    ca_bundle: Option<String>,
    /// The form of private keys: `rsa` or `ecdsa`.
    #[serde(default)]
    keys: Keys,
    /// How it is reached: `service LoadBalancer { annotations { … } }`, which is also what is meant without it.
    #[serde(default)]
    service: Option<Service>,
    #[serde(default)]
    image: Option<Image>,
    #[serde(default)]
    auth: Option<Auth>,
    /// How many replicas; left out: two.
    #[serde(default)]
    replicas: Option<u32>,
    /// Further fields of the object's `spec`, written as Kubernetes writes them.
    #[serde(default)]
    spec: Option<Value>,
    #[serde(default)]
    wait: Option<WaitInput>,
}

#[async_trait]
impl Step for FrontProxy {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Declares the front-proxy of a kcp installation.\n\n\
            Done when its load balancer has an address; `kcp.ready` waits until it serves.";
        About { undo: UndoDefault::Delete, on: OnCluster::Required, ..About::converging("kcp.front-proxy", doc) }
    }

    async fn preview(&self, cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        declared::preview(cx, vec![inputs.object(&Cluster::of_step(cx)?)?]).await
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let waits = waits(&inputs.wait, &inputs.service)?;
        run(&cluster, inputs.object(&cluster)?, waits).await
    }

    async fn verify(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        let object = inputs.object(&Cluster::of_step(cx)?)?;
        declared::verify(cx, vec![object], recorded.map(|outputs| vec![outputs.into_ref()])).await
    }

    async fn undo(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<String, StepError> {
        let object = inputs.object(&Cluster::of_step(cx)?)?;
        declared::undo(cx, vec![object], recorded.map(|outputs| vec![outputs.into_ref()])).await
    }
}

impl Inputs {
    fn object(&self, cluster: &Cluster<'_>) -> Result<Value, StepError> {
        let (root, namespace) = of_kind(self.root.clone(), &["RootShard"], cluster.name)?;
        let name = self.name.as_ref().map_or("frontproxy", DnsLabel::as_str);
        let mut spec = Map::new();
        spec.insert("rootShard".into(), json!({ "ref": { "name": root.name } }));
        spec.insert("external".into(), json!({ "hostname": self.hostname, "port": self.port.unwrap_or(PORT) }));
        let mut templates = self.keys.templates(&[], &["server", "kubeconfig", "requestheader"]);
        if self.issuer.is_some() || !self.dns.is_empty() {
            let names: Vec<&Hostname> = [&self.hostname].into_iter().chain(&self.dns).collect();
            let server = templates.entry("server").or_insert_with(|| json!({ "spec": {} }));
            server["spec"]["dnsNames"] = json!(names);
            if let Some(issuer) = &self.issuer {
                server["spec"]["issuerRef"] = issuer.reference();
            }
        }
        if !templates.is_empty() {
            spec.insert("certificateTemplates".into(), Value::Object(templates));
        }
        spec.insert("serviceTemplate".into(), Service::or(&self.service, ServiceType::LoadBalancer).1);
        common(&mut spec, &self.image, &self.auth, &self.ca_bundle)?;
        spec.extend(self.replicas.map(|count| ("replicas".to_owned(), json!(count))));
        Ok(object("FrontProxy", &namespace, name, joined(Value::Object(spec), self.spec.clone())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::ApiServer;
    use crate::kcp::definitions::{balanced, reference, world};
    use crate::testing::{World, runs_twice, survives_failures, survives_kills, survives_refusals, undone_twice};
    use steps_sdk::Outcome;

    fn addressed() -> World<ApiServer> {
        let world = world(json!({ "root": reference("RootShard", "root"), "hostname": "api.example.io",
                                  "service": { "type": "LoadBalancer", "annotations": { "lb/type": "nlb" } } }));
        balanced(&world.outside, "frontproxy-front-proxy", "192.0.2.8");
        world
    }

    async fn declared_once(world: &World<ApiServer>, outcome: &Outcome) {
        assert_eq!(outcome.outputs["address"], "192.0.2.8");
        let object = world.outside.get("FrontProxy", "frontproxy").unwrap();
        assert_eq!(
            object["spec"],
            json!({ "rootShard": { "ref": { "name": "root" } }, "external": { "hostname": "api.example.io", "port": 6443 },
                    "serviceTemplate": { "metadata": { "annotations": { "lb/type": "nlb" } },
                                         "spec": { "type": "LoadBalancer" } } })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_generic_tests() {
        runs_twice(&FrontProxy, &addressed()).await;
        survives_kills(&FrontProxy, async || addressed(), declared_once).await;
        survives_failures(&FrontProxy, async || addressed(), declared_once).await;
        survives_refusals(&FrontProxy, async || addressed(), declared_once).await;
        let told = undone_twice(&FrontProxy, &addressed()).await;
        assert_eq!(told, ("deleted FrontProxy/kcp/frontproxy".to_owned(), "nothing to delete".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn another_issuer_signs_the_public_name_and_those_that_are_added() {
        let mut world = addressed();
        world.inputs["issuer"] = json!({ "name": "letsencrypt", "kind": "ClusterIssuer" });
        world.inputs["dns"] = json!(["kcp.example.io"]);
        world.rig.run(&FrontProxy, &world.inputs).await.unwrap();
        let spec = world.outside.get("FrontProxy", "frontproxy").unwrap()["spec"].clone();
        assert_eq!(
            spec["certificateTemplates"]["server"]["spec"],
            json!({ "dnsNames": ["api.example.io", "kcp.example.io"],
                    "issuerRef": { "group": "cert-manager.io", "kind": "ClusterIssuer", "name": "letsencrypt" } })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn it_stands_beside_its_root_shard_and_nothing_else() {
        for (root, code) in [
            (json!({ "apiVersion": "v1", "kind": "Service", "namespace": "kcp", "name": "root" }), "K230"),
            (reference("Shard", "alpha"), "K230"),
            (
                json!({ "apiVersion": "operator.kcp.io/v1alpha1", "kind": "RootShard", "namespace": "kcp",
                        "name": "root", "cluster": "eu" }),
                "K223",
            ),
        ] {
            let mut world = addressed();
            world.inputs["root"] = root;
            assert_eq!(world.rig.run(&FrontProxy, &world.inputs).await.unwrap_err().code, code);
        }
    }
}
