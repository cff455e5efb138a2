//! `kcp.root-shard`: declares the RootShard, and is done when its load balancer has an address.
//!
//! The address is an output because DNS needs it, and kcp needs DNS before it serves: `kcp.ready` comes after the names. `replicas`
//! is left to the Deployment unless the file says it, so that scaling the root to nothing, as an outage test does, is not reverted.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::value::{DnsLabel, Hostname, Url};
use steps_sdk::{Preview, StepError, UndoDefault, Value, Verdict};

use super::declared::{self, beside, object, server_of};
use super::parts::{Auth, Image, Keys, PORT, Server, Service, ServiceType, Store, joined, refused};
use crate::cluster::Cluster;
use crate::cluster::apply::{How, summary};
use crate::cluster::reference::ObjectRef;

/// Declares a root shard.
pub struct RootShard;

/// For how long it waits when the file does not say `wait for=`.
const WAIT_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// The CAs that the operator makes for an installation, as its templates name them.
const CAS: [&str; 5] = ["root", "server", "client", "requestheader-client", "service-account"];

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// Where the object is made.
    namespace: DnsLabel,
    /// Its name; left out: `root`.
    #[serde(default)]
    name: Option<DnsLabel>,
    /// The public name of the installation, which leads to its front-proxy.
    hostname: Hostname,
    /// The port of that name; left out: 6443.
    #[serde(default)]
    port: Option<u16>,
    /// The address of the root shard itself, for instance `https://root.example.io:6443`.
    base_url: Url,
    /// Where it keeps its data: `etcd "https://root-client.kcp.svc.cluster.local:2379" tls=etcd-client-tls`.
    etcd: Store,
    /// The issuer of cert-manager that signs the root CA: `issuer kcp-ca`.
    #[serde(default)]
    issuer: Option<Issuer>,
    /// The Secret that holds the root CA instead. The operator wants it to be called like the root shard with `-ca` behind it.
    #[serde(default)]
    ca_secret: Option<String>,
    /// A Secret whose `tls.crt` holds further CAs that kcp trusts, for instance that of a public front-proxy certificate.
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
    /// How many replicas; left out: the operator begins with two and keeps what the Deployment is scaled to.
    #[serde(default)]
    replicas: Option<u32>,
    /// Further fields of the object's `spec`, written as Kubernetes writes them.
    #[serde(default)]
    spec: Option<Value>,
    #[serde(default)]
    wait: Option<WaitInput>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["name"]))]
pub struct Issuer {
    /// Its name.
    pub name: String,
    /// `Issuer` or `ClusterIssuer`; left out: `Issuer`.
    #[serde(default)]
    pub kind: IssuerKind,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub enum IssuerKind {
    #[default]
    Issuer,
    ClusterIssuer,
}

impl Issuer {
    pub fn reference(&self) -> Value {
        json!({ "group": "cert-manager.io", "kind": self.kind, "name": self.name })
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WaitInput {
    /// Wait until the load balancer has an address: `#true` if left out and there is one.
    #[serde(default)]
    pub load_balancer: Option<bool>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The object.
    r#ref: ObjectRef,
    /// The Service that leads to it.
    service: ObjectRef,
    /// IP or else host name of its load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<String>,
}

#[async_trait]
impl Step for RootShard {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Declares the root shard of a kcp installation.\n\n\
            Done when its load balancer has an address; `kcp.ready` waits until it serves. `undo` deletes the object, and with \
            it the CA of the whole installation.";
        About { undo: UndoDefault::Ask, on: OnCluster::Required, ..About::converging("kcp.root-shard", doc) }
    }

    async fn preview(&self, cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        declared::preview(cx, vec![inputs.object()?]).await
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let waits = waits(&inputs.wait, &inputs.service)?;
        run(&cluster, inputs.object()?, waits).await
    }

    async fn verify(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        declared::verify(cx, vec![inputs.object()?], recorded.map(|outputs| vec![outputs.r#ref])).await
    }

    async fn undo(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<String, StepError> {
        declared::undo(cx, vec![inputs.object()?], recorded.map(|outputs| vec![outputs.r#ref])).await
    }
}

impl Inputs {
    fn object(&self) -> Result<Value, StepError> {
        let name = self.name.as_ref().map_or("root", DnsLabel::as_str);
        let certificates = match (&self.issuer, &self.ca_secret) {
            (Some(issuer), None) => json!({ "issuerRef": issuer.reference() }),
            (None, Some(secret)) if *secret == format!("{name}-ca") => json!({ "caSecretRef": { "name": secret } }),
            (None, Some(secret)) => {
                return Err(refused(format!("kcp-operator mounts the root CA as `{name}-ca`, not as `{secret}`"))
                    .help(format!("keep the CA in a Secret called `{name}-ca`")));
            }
            _ => {
                return Err(refused("who signs the root CA is not said, or said twice")
                    .help("write `issuer NAME` or `ca-secret NAME`"));
            }
        };
        let server = Server {
            base_url: &self.base_url,
            store: &self.etcd,
            image: &self.image,
            auth: &self.auth,
            ca_bundle: &self.ca_bundle,
            keys: self.keys,
        };
        let mut spec = server.spec(&CAS, &["kcp-operator"])?;
        let port = self.port.unwrap_or(PORT);
        spec.insert("external".into(), json!({ "hostname": self.hostname, "port": port }));
        spec.insert("certificates".into(), certificates);
        // Without a reference, the cache is served by the root shard; `embedded` says the same and is deprecated.
        spec.insert("cache".into(), json!({}));
        spec.insert("serviceTemplate".into(), Service::or(&self.service, ServiceType::LoadBalancer).1);
        spec.extend(self.replicas.map(|count| ("replicas".to_owned(), json!(count))));
        let spec = joined(Value::Object(spec), self.spec.clone());
        Ok(object("RootShard", self.namespace.as_str(), name, spec))
    }
}

/// Whether an address is waited for.
pub fn waits(wait: &Option<WaitInput>, service: &Option<Service>) -> Result<bool, StepError> {
    let is_balanced = Service::or(service, ServiceType::LoadBalancer).0 == ServiceType::LoadBalancer;
    match wait.as_ref().and_then(|wait| wait.load_balancer) {
        Some(true) if !is_balanced => Err(refused("the Service is not of type LoadBalancer, so it gets no address")
            .help("leave `load-balancer=#true` out")),
        Some(wanted) => Ok(wanted),
        None => Ok(is_balanced),
    }
}

/// Declares one server of the operator and waits for its address; the front-proxy does the same.
pub async fn run(cluster: &Cluster<'_>, object: Value, waits: bool) -> Result<Done<Outputs>, StepError> {
    let applied = declared::apply(cluster, vec![object]).await?;
    let summary = summary(&applied);
    let one = applied.into_iter().next().expect("one object was applied");
    let name = server_of(&one.reference).expect("a kind with a server");
    let service = beside(&one.reference, "v1", "Service", name);
    let address = match waits {
        true => {
            cluster.cx.clock.begin_wait(WAIT_DEFAULT).await;
            declared::address(cluster, &service).await?
        }
        false => None,
    };
    let told = address.as_ref().map(|address| format!(", at {address}")).unwrap_or_default();
    let service = ObjectRef { cluster: Some(cluster.name.to_owned()), ..service };
    let outputs = Outputs { r#ref: one.reference, service, address };
    Ok(Done { same: one.how == How::Same, outputs, summary: format!("{summary}{told}") })
}

impl Outputs {
    pub fn into_ref(self) -> ObjectRef {
        self.r#ref
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::ApiServer;
    use crate::kcp::definitions::{balanced, world};
    use crate::testing::{
        World, eventually, runs_twice, survives_failures, survives_kills, survives_refusals, undone_twice,
    };
    use steps_sdk::Outcome;

    fn inputs() -> Value {
        json!({ "namespace": "kcp", "hostname": "api.example.io", "base-url": "https://root.example.io:6443",
                "etcd": { "endpoints": ["https://root-client.kcp.svc.cluster.local:2379"] },
                "issuer": { "name": "kcp-ca" } })
    }

    fn addressed() -> World<ApiServer> {
        let world = world(inputs());
        balanced(&world.outside, "root-kcp", "192.0.2.7");
        world
    }

    async fn declared_once(world: &World<ApiServer>, outcome: &Outcome) {
        assert_eq!(outcome.outputs["address"], "192.0.2.7");
        let spec = world.outside.get("RootShard", "root").unwrap()["spec"].clone();
        assert_eq!(spec["certificateTemplates"]["server"], json!({ "spec": { "dnsNames": ["root.example.io"] } }));
        assert_eq!(spec["certificateTemplates"]["root-ca"]["spec"]["privateKey"]["rotationPolicy"], "Never");
        assert_eq!(spec["etcd"]["tlsConfig"]["secretRef"]["name"], "etcd-client-tls");
        assert!(spec.get("replicas").is_none() && spec["cache"].get("embedded").is_none(), "{spec}");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_done_when_the_load_balancer_has_an_address() {
        let world = world(inputs());
        let story = async {
            let reason = "Service/kcp/root-kcp: not there yet on cluster hub";
            eventually(reason, || world.rig.waits().iter().any(|told| told == reason)).await;
            balanced(&world.outside, "root-kcp", "192.0.2.7");
        };
        let (outcome, ()) = tokio::join!(world.rig.run(&RootShard, &world.inputs), story);
        let outcome = outcome.unwrap();
        assert_eq!(outcome.summary, "RootShard/kcp/root created, at 192.0.2.7");
        assert_eq!(outcome.outputs["service"]["name"], "root-kcp");
        declared_once(&world, &outcome).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_generic_tests() {
        runs_twice(&RootShard, &addressed()).await;
        survives_kills(&RootShard, async || addressed(), declared_once).await;
        survives_failures(&RootShard, async || addressed(), declared_once).await;
        survives_refusals(&RootShard, async || addressed(), declared_once).await;
        let told = undone_twice(&RootShard, &addressed()).await;
        assert_eq!(told, ("deleted RootShard/kcp/root".to_owned(), "nothing to delete".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn inputs_that_cannot_be_are_refused_before_the_cluster_is_asked() {
        for (field, value) in [
            ("ca-secret", json!("root-ca")),
            ("wait", json!({ "load-balancer": true })),
            ("etcd", json!({ "endpoints": [] })),
            ("base-url", json!("http://root.example.io")),
        ] {
            let mut world = world(inputs());
            if field == "wait" {
                world.inputs["service"] = json!({ "type": "ClusterIP" });
            }
            world.inputs[field] = value;
            let error = world.rig.run(&RootShard, &world.inputs).await.unwrap_err();
            assert!(error.code == "K230" && error.not_started && world.outside.requests().is_empty(), "{error:?}");
        }
        let mut world = world(inputs());
        world.inputs["issuer"] = Value::Null;
        world.inputs["ca-secret"] = json!("other");
        let error = world.rig.run(&RootShard, &world.inputs).await.unwrap_err();
        assert_eq!(error.message, "kcp-operator mounts the root CA as `root-ca`, not as `other`");
    }
}
