//! `kcp.kubeconfig`: asks the operator for a kubeconfig, waits for the Secret itself, and reads it before calling it done.
//!
//! The operator says `Ready` before the Secret exists. What is put out is where the kubeconfig is, never what it says; its address
//! and the end of its certificate are no secrets, and are put out so that nobody has to open it for them.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::Kubeconfig as Document;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use steps_sdk::context::{SecretBytes, StepContext};
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::value::{DnsLabel, Span};
use steps_sdk::{Preview, Secret, StepError, UndoDefault, Value, Verdict};

use super::declared::{self, beside, object};
use super::parts::{Keys, go_duration, joined, of_kind};
use crate::cluster::Cluster;
use crate::cluster::apply::{How, summary};
use crate::cluster::goal::Goal;
use crate::cluster::reference::ObjectRef;
use crate::cluster::wait::Wait;
use crate::pki::bundle::certificates_from_pem;
use crate::pki::certificate::{Facts, rfc3339};

/// Asks for a kubeconfig.
pub struct Kubeconfig;

/// For how long it waits when the file does not say `wait for=`.
const WAIT_DEFAULT: Duration = Duration::from_secs(5 * 60);

/// The key under which the operator puts it.
const KEY: &str = "kubeconfig";

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// What it leads to: `target "${front_proxy.ref}"`, a front-proxy, root shard or shard.
    target: ObjectRef,
    /// Whom it lets in: `user kcp-admin { group "system:kcp:admin"; validity "24h" }`.
    user: User,
    /// The object's name; left out: the user's.
    #[serde(default)]
    name: Option<DnsLabel>,
    /// The Secret in which it is kept; left out: like the object.
    #[serde(default)]
    secret: Option<DnsLabel>,
    /// The workspace that it opens; left out: `root`.
    #[serde(default)]
    workspace: Option<String>,
    /// The form of its private key: `rsa` or `ecdsa`.
    #[serde(default)]
    keys: Keys,
    /// Further fields of the object's `spec`, written as Kubernetes writes them.
    #[serde(default)]
    spec: Option<Value>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["name"]))]
pub struct User {
    /// The user's name.
    name: DnsLabel,
    /// The groups that the user is in.
    #[serde(default)]
    group: Vec<String>,
    /// For how long the certificate is valid, for instance `24h`.
    validity: Span,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The object.
    r#ref: ObjectRef,
    /// Where the kubeconfig is.
    kubeconfig: Secret,
    /// The address that it leads to.
    server: String,
    /// When its certificate ends.
    not_after: String,
}

/// What may be told of a kubeconfig.
#[derive(Debug, PartialEq)]
struct Told {
    server: String,
    not_after: String,
}

#[async_trait]
impl Step for Kubeconfig {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Gets a kubeconfig for a kcp installation.\n\n\
            Done when the Secret is there and can be read as a kubeconfig with a certificate. `undo` deletes the object; the \
            certificate stays valid until it ends.";
        About { undo: UndoDefault::Delete, on: OnCluster::Required, ..About::converging("kcp.kubeconfig", doc) }
    }

    async fn preview(&self, cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        declared::preview(cx, vec![inputs.object(&Cluster::of_step(cx)?)?]).await
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let applied = declared::apply(&cluster, vec![inputs.object(&cluster)?]).await?;
        let summary = summary(&applied);
        let one = applied.into_iter().next().expect("one object was applied");
        let secret = beside(&one.reference, "v1", "Secret", inputs.secret());
        cx.clock.begin_wait(WAIT_DEFAULT).await;
        Wait::new(&cluster, &one.reference).until(&[Goal::Ready]).await?;
        let live = Wait::new(&cluster, &secret).until(&[Goal::Keys(vec![KEY.into()])]).await?.unwrap_or_default();
        let Told { server, not_after } = told(&live).map_err(|reason| {
            StepError::permanent("K231", format!("{secret} on cluster `{}` holds no usable kubeconfig", cluster.name))
                .cause(reason)
                .help("see what writes this Secret; delete it, and the operator makes it anew")
        })?;
        let kubeconfig = Secret::K8s {
            cluster: cluster.name.to_owned(),
            namespace: secret.namespace.unwrap_or_default(),
            name: secret.name,
            key: KEY.to_owned(),
        };
        let summary = format!("{summary}, for {server} until {not_after}");
        let outputs = Outputs { r#ref: one.reference, kubeconfig, server, not_after };
        Ok(Done { same: one.how == How::Same, outputs, summary })
    }

    async fn verify(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        let cluster = Cluster::of_step(cx)?;
        let object = inputs.object(&cluster)?;
        let secret = inputs.secret().to_owned();
        let secret = ObjectRef::of(&object).map(|object| beside(&object, "v1", "Secret", secret));
        let verdict = declared::verify(cx, vec![object], recorded.map(|outputs| vec![outputs.r#ref])).await?;
        let (Verdict::Intact, Some(secret)) = (&verdict, secret) else { return Ok(verdict) };
        let served = cluster.must_be_served(&secret).await?;
        Ok(match cluster.live(&secret, &served).await?.as_ref().map(told) {
            Some(Ok(_)) => Verdict::Intact,
            Some(Err(reason)) => Verdict::Gone(format!("{secret}: {reason}")),
            None => Verdict::Gone(format!("not there: {secret}")),
        })
    }

    async fn undo(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<String, StepError> {
        let object = inputs.object(&Cluster::of_step(cx)?)?;
        declared::undo(cx, vec![object], recorded.map(|outputs| vec![outputs.r#ref])).await
    }
}

impl Inputs {
    fn name(&self) -> &str {
        self.name.as_ref().unwrap_or(&self.user.name).as_str()
    }

    fn secret(&self) -> &str {
        self.secret.as_ref().map_or(self.name(), DnsLabel::as_str)
    }

    fn object(&self, cluster: &Cluster<'_>) -> Result<Value, StepError> {
        let (target, namespace) = of_kind(self.target.clone(), &["FrontProxy", "RootShard", "Shard"], cluster.name)?;
        let field = match target.kind.as_str() {
            "FrontProxy" => "frontProxyRef",
            "RootShard" => "rootShardRef",
            _ => "shardRef",
        };
        let mut spec = json!({
            "target": { field: { "name": target.name } },
            "username": self.user.name,
            "groups": self.user.group,
            "validity": go_duration(self.user.validity),
            "secretRef": { "name": self.secret() },
        });
        if let Some(workspace) = &self.workspace {
            spec["targetWorkspace"] = workspace.as_str().into();
        }
        if self.keys != Keys::Rsa {
            spec["certificateTemplate"] = json!({ "spec": { "privateKey": self.keys.key() } });
        }
        Ok(object("Kubeconfig", &namespace, self.name(), joined(spec, self.spec.clone())))
    }
}

/// Reads the kubeconfig in a Secret. The reason why it cannot be used quotes nothing of it.
fn told(secret: &Value) -> Result<Told, String> {
    let text = secret.pointer("/data").and_then(|data| data.get(KEY)).and_then(Value::as_str);
    let text = text.and_then(|text| STANDARD.decode(text).ok()).map(SecretBytes::new);
    let text = text.ok_or_else(|| format!("it has no key `{KEY}`"))?;
    let text = text.expose_text().map_err(|_| "it is not text")?;
    let document = Document::from_yaml(text).map_err(|_| "it cannot be read as a kubeconfig")?;
    let current = document.current_context.as_ref().ok_or("it has no current context")?;
    let context = document.contexts.iter().find(|one| one.name == *current).and_then(|one| one.context.as_ref());
    let context = context.ok_or("its current context is not in it")?;
    let cluster = document.clusters.iter().find(|one| one.name == context.cluster);
    let server = cluster.and_then(|one| one.cluster.as_ref()).and_then(|cluster| cluster.server.clone());
    let server = server.ok_or("its current context has no server")?;
    let user = document.auth_infos.iter().find(|one| Some(&one.name) == context.user.as_ref());
    let pem = user.and_then(|one| one.auth_info.as_ref()).and_then(|user| user.client_certificate_data.as_ref());
    let pem = pem.and_then(|pem| STANDARD.decode(pem).ok()).ok_or("its user has no certificate")?;
    let chain = certificates_from_pem(&pem)?;
    let facts = Facts::read(chain.first().ok_or("its user has no certificate")?)?;
    Ok(Told { server, not_after: rfc3339(facts.not_after) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::ApiServer;
    use crate::cluster::scripted::object as any;
    use crate::kcp::definitions::{available, reference, world};
    use crate::testing::{
        World, eventually, runs_twice, survives_failures, survives_kills, survives_refusals, undone_twice,
    };
    use steps_sdk::Outcome;

    fn asked() -> World<ApiServer> {
        world(json!({ "target": reference("FrontProxy", "frontproxy"),
                      "user": { "name": "kcp-admin", "group": ["system:kcp:admin"], "validity": "24h" } }))
    }

    /// What the operator would write, with a certificate that was made here.
    fn kubeconfig() -> Value {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap();
        let user = json!({ "client-certificate-data": STANDARD.encode(certificate.pem()),
                           "client-key-data": STANDARD.encode(key.serialize_pem()) });
        let cluster = json!({ "server": "https://api.example.io:6443/clusters/root" });
        let document = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "default",
            "clusters": [{ "name": "default", "cluster": cluster }], "users": [{ "name": "default", "user": user }],
            "contexts": [{ "name": "default", "context": { "cluster": "default", "user": "default" } }],
        });
        secret(&document.to_string())
    }

    fn secret(text: &str) -> Value {
        any("v1", "Secret", "kcp/kcp-admin", json!({ "data": { KEY: STANDARD.encode(text) } }))
    }

    /// The operator has done its part before the step asks.
    fn answered() -> World<ApiServer> {
        let world = asked();
        let status = json!({ "phase": "Ready", "conditions": available("True") });
        world.outside.there(any(declared::OPERATOR, "Kubeconfig", "kcp/kcp-admin", json!({ "status": status })));
        world.outside.there(kubeconfig());
        world
    }

    async fn is_there(world: &World<ApiServer>, outcome: &Outcome) {
        assert_eq!(outcome.outputs["server"], "https://api.example.io:6443/clusters/root");
        let spec = world.outside.get("Kubeconfig", "kcp-admin").unwrap()["spec"].clone();
        assert_eq!(spec["validity"], "24h0m0s", "as the operator writes it: another form would be a change");
        assert_eq!(spec["target"], json!({ "frontProxyRef": { "name": "frontproxy" } }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_phase_is_not_believed_and_the_secret_is_waited_for() {
        let world = asked();
        let waits = async |reason: &str| {
            eventually(reason, || world.rig.waits().last().is_some_and(|last| last == reason)).await;
        };
        let status = |conditions: Value| {
            let status = json!({ "phase": "Ready", "conditions": conditions });
            world.outside.controller("Kubeconfig", "kcp-admin", |object| object["status"] = status);
        };
        let story = async {
            waits("Kubeconfig/kcp/kcp-admin: it has no condition Available yet").await;
            status(json!([]));
            waits("Kubeconfig/kcp/kcp-admin: it has no condition Available yet (phase Ready)").await;
            status(available("True"));
            waits("Secret/kcp/kcp-admin: not there yet on cluster hub").await;
            world.outside.there(kubeconfig());
        };
        let (outcome, ()) = tokio::join!(world.rig.run(&Kubeconfig, &world.inputs), story);
        let outcome = outcome.unwrap();
        is_there(&world, &outcome).await;
        assert_eq!(
            outcome.outputs["kubeconfig"],
            json!({ "from": "k8s", "cluster": "hub", "namespace": "kcp", "name": "kcp-admin", "key": "kubeconfig" })
        );
        let shown = format!("{} {} {:?}", outcome.outputs, outcome.summary, world.rig.log());
        assert!(!shown.contains("LS0t"), "nothing of its content is shown: {shown}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_generic_tests() {
        runs_twice(&Kubeconfig, &answered()).await;
        survives_kills(&Kubeconfig, async || answered(), is_there).await;
        survives_failures(&Kubeconfig, async || answered(), is_there).await;
        survives_refusals(&Kubeconfig, async || answered(), is_there).await;
        let told = undone_twice(&Kubeconfig, &answered()).await;
        assert_eq!(told.0, told.1, "what was there before the run stays: {}", told.0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_read_is_refused_without_quoting_it() {
        for (text, reason) in [
            ("{ hunter2", "it cannot be read as a kubeconfig"),
            ("{ \"contexts\": [], \"secret\": \"hunter2\" }", "it has no current context"),
            ("{ \"current-context\": \"hunter2\" }", "its current context is not in it"),
        ] {
            let world = answered();
            world.outside.there(secret(text));
            let error = world.rig.run(&Kubeconfig, &world.inputs).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.causes.as_slice()), ("K231", &[reason.to_owned()][..]));
            let verdict = world.rig.verify(&Kubeconfig, &world.inputs, None).await.unwrap();
            assert!(!format!("{error:?} {verdict:?}").contains("hunter2"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_that_went_away_is_told() {
        let world = answered();
        let outcome = world.rig.run(&Kubeconfig, &world.inputs).await.unwrap();
        let verify = async || world.rig.verify(&Kubeconfig, &world.inputs, Some(&outcome.outputs)).await.unwrap();
        assert_eq!(verify().await, Verdict::Intact);
        world.outside.remove("Secret", "kcp-admin");
        assert_eq!(verify().await, Verdict::Gone("not there: Secret/kcp/kcp-admin".into()));
    }
}
