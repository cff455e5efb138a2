//! `kcp.etcd`: an etcd for one shard, made by etcd-druid together with its certificates, or one that is there already.
//!
//! Done when every member is ready, which is more than the operator's `Ready`. With `issuer` the certificates are declared here,
//! since their names follow from those of the etcd; without it, Secrets of the same names are given by who wrote the file.
//!
//! etcd-druid acts on a changed spec only when it is told to: an annotation does that, and only while it has not seen the newest form.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::value::{DnsLabel, Hostname, Quantity, Url};
use steps_sdk::{Preview, StepError, UndoDefault, Value, Verdict};

use super::certificates::Names;
use super::declared;
use super::parts::{Keys, joined, refused};
use super::root_shard::Issuer;
use crate::cluster::Cluster;
use crate::cluster::apply::{Applied, Applier, How, Run, manager, summary};
use crate::cluster::classify;
use crate::cluster::goal::{Goal, unmet};
use crate::cluster::readiness;
use crate::cluster::reference::ObjectRef;
use crate::cluster::request::Asked;
use crate::cluster::wait::Wait;
use crate::cluster::wanted::Wanted;

/// Declares an etcd.
pub struct Etcd;

/// For how long it waits when the file does not say `wait for=`: images are pulled and volumes made on the first run.
const WAIT_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// Tells etcd-druid to act on a changed spec; it takes the annotation away when it does.
const OPERATION: &str = "druid.gardener.cloud/operation";

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// Where it is made.
    namespace: DnsLabel,
    /// Its name, usually that of the shard.
    name: DnsLabel,
    /// An etcd that is there already: its endpoints, as kcp reaches them. Nothing is made then.
    #[serde(default)]
    external: Vec<Url>,
    /// How many members: an odd number, or 0; left out: 3.
    #[serde(default)]
    replicas: Option<u32>,
    /// The issuer of cert-manager that signs its certificates: `issuer etcd-ca kind=ClusterIssuer`. Left out: the Secrets are given.
    #[serde(default)]
    issuer: Option<Issuer>,
    /// Its Secrets are called `PREFIX-server-tls`, `-client-tls`, `-peer-tls`, `-backup-restore-server-tls` and
    /// `-backup-restore-client-tls`, each with `tls.crt`, `tls.key` and `ca.crt`; left out: `etcd`.
    #[serde(default)]
    secrets: Option<DnsLabel>,
    /// The form of private keys: `rsa` or `ecdsa`.
    #[serde(default)]
    keys: Keys,
    /// The domain of names inside the cluster; left out: `cluster.local`.
    #[serde(default)]
    cluster_domain: Option<Hostname>,
    /// How large each member's volume is; left out: etcd-druid's 16Gi. It cannot be changed later.
    #[serde(default)]
    storage: Option<Quantity>,
    /// The class of the volumes; left out: the cluster's default.
    #[serde(default)]
    storage_class: Option<String>,
    /// Where backups go, written as etcd-druid's `spec.backup.store`; left out: there are no backups.
    #[serde(default)]
    backup: Option<Value>,
    /// Further fields of the object's `spec`, written as Kubernetes writes them.
    #[serde(default)]
    spec: Option<Value>,
    #[serde(default)]
    wait: Option<WaitInput>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WaitInput {
    /// Wait until every member is ready; left out: yes.
    #[serde(default)]
    ready: Option<bool>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// What was made, the Etcd last; nothing for an etcd that was there.
    refs: Vec<ObjectRef>,
    /// Where kcp reaches it.
    endpoints: Vec<String>,
    /// The Secret with which kcp signs in.
    client_secret: String,
    /// When each certificate that cert-manager has issued for it ends.
    certificates: Vec<Ends>,
}

/// When a certificate ends.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Ends {
    /// The Certificate's name.
    name: String,
    not_after: String,
}

#[async_trait]
impl Step for Etcd {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Makes an etcd for a kcp shard, or checks the way into one that is there.\n\n\
            etcd-druid makes it; done when every member is ready. `undo` deletes the objects; volumes stay, with the data.";
        About { undo: UndoDefault::Ask, on: OnCluster::Required, ..About::converging("kcp.etcd", doc) }
    }

    async fn preview(&self, cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        let objects = inputs.objects()?;
        match objects.is_empty() {
            true => {
                let missing = inputs.missing(&Cluster::of_step(cx)?).await?;
                Ok(missing.map_or(Preview::Changes(Vec::new()), Preview::Later))
            }
            false => declared::preview(cx, objects).await,
        }
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let objects = inputs.objects()?;
        let applied = match objects.is_empty() {
            true => Vec::new(),
            false => declared::apply(&cluster, objects).await?,
        };
        let told = match applied.is_empty() {
            true => format!("Secret {} lets kcp into the etcd that is there", inputs.client_secret()),
            false => summary(&applied),
        };
        if let Some(etcd) = applied.last() {
            told_to_act(&cluster, etcd).await?;
        }
        let certificates = match inputs.waits() {
            true => {
                cx.clock.begin_wait(WAIT_DEFAULT).await;
                inputs.wait_for(&cluster, &applied).await?
            }
            false => Vec::new(),
        };
        let same = applied.iter().all(|one| one.how == How::Same);
        let refs = applied.into_iter().map(|one| one.reference).collect();
        let client_secret = inputs.client_secret();
        Ok(Done {
            outputs: Outputs { refs, endpoints: inputs.endpoints(), client_secret, certificates },
            summary: told,
            same,
        })
    }

    async fn verify(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        let objects = inputs.objects()?;
        match objects.is_empty() {
            true => {
                let missing = inputs.missing(&Cluster::of_step(cx)?).await?;
                Ok(missing.map_or(Verdict::Intact, Verdict::Gone))
            }
            false => declared::verify(cx, objects, recorded.map(|outputs| outputs.refs)).await,
        }
    }

    async fn undo(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<String, StepError> {
        let objects = inputs.objects()?;
        match objects.is_empty() {
            true => Ok("nothing to take back: the etcd was there before".into()),
            false => {
                let told = declared::undo(cx, objects, recorded.map(|outputs| outputs.refs)).await?;
                Ok(format!("{told}; volumes and Secrets stay"))
            }
        }
    }
}

impl Inputs {
    fn names(&self) -> Names<'_> {
        Names {
            namespace: self.namespace.as_str(),
            etcd: self.name.as_str(),
            cluster_domain: self.cluster_domain.as_ref().map_or("cluster.local", Hostname::as_str),
            prefix: self.secrets.as_ref().map_or("etcd", DnsLabel::as_str),
        }
    }

    fn client_secret(&self) -> String {
        self.names().secret("client")
    }

    fn endpoints(&self) -> Vec<String> {
        let Names { namespace, etcd, cluster_domain, .. } = self.names();
        match self.external.is_empty() {
            true => vec![format!("https://{etcd}-client.{namespace}.svc.{cluster_domain}:2379")],
            false => self.external.iter().map(ToString::to_string).collect(),
        }
    }

    fn waits(&self) -> bool {
        self.wait.as_ref().and_then(|wait| wait.ready).unwrap_or(true)
    }

    /// Certificates first, the Etcd last; nothing for an etcd that is there.
    fn objects(&self) -> Result<Vec<Value>, StepError> {
        if !self.external.is_empty() {
            let makes =
                self.issuer.is_some() || self.replicas.is_some() || self.spec.is_some() || self.backup.is_some();
            return match makes {
                true => Err(refused(
                    "an etcd that is there already is not made: `external` stands beside what is for a new one",
                )
                .help("leave out either `external` or `issuer`, `replicas`, `backup` and `spec`")),
                false => Ok(Vec::new()),
            };
        }
        let replicas = self.replicas.unwrap_or(3);
        if replicas != 0 && replicas.is_multiple_of(2) {
            let message = format!("{replicas} members of an etcd bear the loss of no more than {} do", replicas - 1);
            return Err(refused(message).help("write an odd number"));
        }
        let issuer = self.issuer.as_ref().map(Issuer::reference);
        let mut objects = issuer.map(|issuer| self.names().objects(&issuer, self.keys)).unwrap_or_default();
        objects.push(self.etcd(replicas));
        Ok(objects)
    }

    fn etcd(&self, replicas: u32) -> Value {
        let names = self.names();
        let labels = json!({ "app": "etcd-statefulset", "role": self.name });
        // Every pair carries the CA that signed it, so no Secret with a CA's private key is mounted anywhere.
        let tls = |ca: &str, server: &str, client: &str| {
            json!({ "tlsCASecretRef": { "name": names.secret(ca), "dataKey": "ca.crt" },
                    "serverTLSSecretRef": { "name": names.secret(server) },
                    "clientTLSSecretRef": { "name": names.secret(client) } })
        };
        let mut spec = json!({
            "replicas": replicas, "labels": labels, "annotations": labels,
            "etcd": {
                "metrics": "basic", "clientPort": 2379, "serverPort": 2380, "quota": "8Gi",
                "defragmentationSchedule": "0 */24 * * *",
                "resources": { "requests": { "cpu": "100m", "memory": "200Mi" }, "limits": { "cpu": "500m", "memory": "1Gi" } },
                "clientUrlTls": tls("server", "server", "client"),
                "peerUrlTls": tls("peer", "peer", "peer"),
            },
            "backup": {
                "port": 8080, "fullSnapshotSchedule": "0 */24 * * *",
                "resources": { "requests": { "cpu": "23m", "memory": "128Mi" }, "limits": { "cpu": "200m", "memory": "1Gi" } },
                "garbageCollectionPolicy": "Exponential", "garbageCollectionPeriod": "12h0m0s",
                "deltaSnapshotPeriod": "5m0s", "deltaSnapshotMemoryLimit": "1Gi",
                "compression": { "enabled": false, "policy": "gzip" },
                "leaderElection": { "reelectionPeriod": "5s", "etcdConnectionTimeout": "5s" },
                "tls": tls("backup-restore-server", "backup-restore-server", "backup-restore-client"),
            },
            "sharedConfig": { "autoCompactionMode": "periodic", "autoCompactionRetention": "30m" },
        });
        if let Some(store) = &self.backup {
            spec["backup"]["store"] = store.clone();
        }
        if let Some(storage) = &self.storage {
            spec["storageCapacity"] = json!(storage);
        }
        if let Some(class) = &self.storage_class {
            spec["storageClass"] = json!(class);
        }
        json!({ "apiVersion": "druid.gardener.cloud/v1alpha1", "kind": "Etcd", "spec": joined(spec, self.spec.clone()),
                "metadata": { "name": self.name, "namespace": self.namespace, "labels": labels } })
    }

    fn given(&self, name: &str) -> (ObjectRef, Goal) {
        let secret = ObjectRef {
            api_version: "v1".into(),
            kind: "Secret".into(),
            namespace: Some(self.namespace.to_string()),
            name: name.to_owned(),
            cluster: None,
            uid: None,
        };
        (secret, Goal::Keys(["tls.crt", "tls.key", "ca.crt"].map(str::to_owned).to_vec()))
    }

    /// Why kcp cannot sign in at an etcd that is there.
    async fn missing(&self, cluster: &Cluster<'_>) -> Result<Option<String>, StepError> {
        let (secret, goal) = self.given(&self.client_secret());
        Ok(unmet(cluster, &secret, &[goal]).await?.map(|reason| format!("{secret}: {reason}")))
    }

    /// In the order in which things come to be: what is issued or given, then the members.
    async fn wait_for(&self, cluster: &Cluster<'_>, applied: &[Applied]) -> Result<Vec<Ends>, StepError> {
        let mut ends = Vec::new();
        for one in applied {
            let live = Wait::new(cluster, &one.reference);
            match one.reference.kind.as_str() {
                "Certificate" => {
                    let live = live.until(&[Goal::Ready]).await?.unwrap_or_default();
                    let not_after = live.pointer("/status/notAfter").and_then(Value::as_str).map(str::to_owned);
                    let name = one.reference.name.clone();
                    ends.extend(not_after.map(|not_after| Ends { name, not_after }));
                }
                "Issuer" => drop(live.until(&[Goal::Ready]).await?),
                _ => {}
            }
        }
        let secrets = match applied.is_empty() {
            true => vec![self.client_secret()],
            false => self.names().secrets().to_vec(),
        };
        for name in secrets {
            let (secret, goal) = self.given(&name);
            Wait::new(cluster, &secret).until(&[goal]).await?;
        }
        if let Some(etcd) = applied.last() {
            Wait::new(cluster, &etcd.reference).until(&[Goal::Ready]).await?;
        }
        Ok(ends)
    }
}

/// The annotation is another manager's, so that its going away is no change of what this step wants.
async fn told_to_act(cluster: &Cluster<'_>, etcd: &Applied) -> Result<(), StepError> {
    let is_told = etcd.live.pointer("/metadata/annotations").is_some_and(|all| all.get(OPERATION).is_some());
    if is_told || readiness::stale(&etcd.live).is_none() {
        return Ok(());
    }
    let reference = etcd.reference.bare();
    let served = cluster.must_be_served(&reference).await?;
    let metadata = json!({ "name": reference.name, "namespace": reference.namespace,
                           "annotations": { OPERATION: "reconcile" } });
    let object = json!({ "apiVersion": reference.api_version, "kind": reference.kind, "metadata": metadata });
    let teller =
        Applier { cluster, manager: manager(&format!("{}/operation", cluster.cx.call.owner)), takes_ownership: true };
    let asked = Asked { verb: "patch", object: &reference, resource: Some(&served) };
    let one = Wanted { reference: reference.clone(), object };
    let sent = teller.send(&one, &served, Run::Real).await;
    sent.map(drop).map_err(|failure| classify::failure(cluster.name, &asked, &failure))
}

#[cfg(test)]
mod tests;
