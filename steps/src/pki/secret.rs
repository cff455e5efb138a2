//! A key and its certificates as a Secret of type `kubernetes.io/tls` on a cluster: `tls.crt` is the chain, `tls.key` the key, and
//! `ca.crt` the certificate at the top, which clients of the Secret trust.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use steps_sdk::context::StepContext;
use steps_sdk::value::{ClusterName, DnsLabel};
use steps_sdk::{Secret, StepError};

use super::bundle::Bundle;
use super::place::Found;
use crate::cluster::Cluster;
use crate::cluster::apply::{Applier, made};
use crate::cluster::reference::ObjectRef;
use crate::cluster::wanted::wanted;

const TYPE: &str = "kubernetes.io/tls";

/// A Secret on a cluster.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct TlsSecret {
    /// The cluster that gets it.
    pub on: ClusterName,
    /// Its namespace, which must be there.
    pub namespace: DnsLabel,
    /// Its name.
    pub name: String,
}

impl TlsSecret {
    pub async fn read(&self, cx: &StepContext) -> Result<Found, StepError> {
        let cluster = Cluster::named(cx, &self.on)?;
        let reference = self.reference();
        let served = cluster.must_be_served(&reference).await?;
        Ok(cluster.live(&reference, &served).await?.map_or(Found::Nothing, |live| found(&live)))
    }

    /// Server-side apply in the step's own name: a Secret whose fields are somebody else's is reported and left alone.
    pub async fn write(&self, cx: &StepContext, bundle: &Bundle) -> Result<(), StepError> {
        let cluster = Cluster::named(cx, &self.on)?;
        Applier::new(&cluster, false).apply(&wanted([self.object(bundle)])?).await.map(drop)
    }

    /// Deletes the Secret if this run made it; says what was done.
    pub async fn remove(&self, cx: &StepContext) -> Result<String, StepError> {
        let cluster = Cluster::named(cx, &self.on)?;
        Applier::new(&cluster, false).take_back(&[self.reference()], &made(cx), &[]).await
    }

    /// The namespace, if it is not there yet.
    pub async fn missing_namespace(&self, cx: &StepContext) -> Result<Option<String>, StepError> {
        let cluster = Cluster::named(cx, &self.on)?;
        let namespace = reference("Namespace", None, self.namespace.as_str());
        let served = cluster.must_be_served(&namespace).await?;
        Ok(cluster.live(&namespace, &served).await?.is_none().then(|| namespace.to_string()))
    }

    /// Where the key is.
    pub fn key(&self) -> Secret {
        let (cluster, namespace, name) = (self.on.0.clone(), self.namespace.to_string(), self.name.clone());
        Secret::K8s { cluster, namespace, name, key: "tls.key".to_owned() }
    }

    fn reference(&self) -> ObjectRef {
        reference("Secret", Some(self.namespace.as_str()), &self.name)
    }

    fn object(&self, bundle: &Bundle) -> Value {
        let encoded = |bytes: &[u8]| STANDARD.encode(bytes);
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "namespace": self.namespace, "name": self.name }, "type": TYPE,
            "data": {
                "tls.crt": encoded(bundle.chain_pem().as_bytes()),
                "tls.key": encoded(bundle.key_pem().expose()),
                "ca.crt": encoded(bundle.top_pem().as_bytes()),
            },
        })
    }
}

impl std::fmt::Display for TlsSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret/{}/{} on {}", self.namespace, self.name, self.on)
    }
}

fn reference(kind: &str, namespace: Option<&str>, name: &str) -> ObjectRef {
    let (api_version, kind, name) = ("v1".to_owned(), kind.to_owned(), name.to_owned());
    ObjectRef { api_version, kind, namespace: namespace.map(str::to_owned), name, cluster: None, uid: None }
}

fn found(live: &Value) -> Found {
    let data = |key: &str| {
        let text = live.get("data").and_then(|data| data.get(key)).and_then(Value::as_str);
        text.and_then(|text| STANDARD.decode(text).ok()).map(steps_sdk::context::SecretBytes::new)
    };
    let (Some(chain), Some(key)) = (data("tls.crt"), data("tls.key")) else {
        return Found::Unreadable("it does not have both `tls.crt` and `tls.key`".to_owned());
    };
    match Bundle::from_parts(chain.expose(), key.expose()) {
        Err(reason) => Found::Unreadable(reason),
        Ok(bundle) => {
            let has_top = data("ca.crt").is_some_and(|top| top.expose() == bundle.top_pem().as_bytes());
            let as_wanted = has_top && live.get("type").and_then(Value::as_str) == Some(TYPE);
            Found::Bundle { bundle: Box::new(bundle), as_wanted }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::scripted::{ApiServer, object};
    use crate::pki::ca::Ca;
    use crate::pki::leaf::Leaf;
    use crate::testing::{Rig, World, runs_twice, survives_failures, survives_kills, survives_refusals, undone_twice};
    use steps_sdk::{Certainty, ChangeAction, ErrorClass, Outcome, Preview, Verdict};

    async fn leaf_world() -> World<ApiServer> {
        let server = ApiServer::new("eu");
        let rig = Rig::new().with_clusters(ApiServer::clusters(&[&server]));
        let ca = rig.beside("ca").run(&Ca::default(), &json!({ "common-name": "test-ca" })).await.unwrap();
        let inputs = json!({ "ca": { "ref": ca.outputs["ref"] }, "common-name": "api", "dns": ["api.example.io"],
                             "secret": { "on": "eu", "namespace": "default", "name": "api-tls" } });
        World { rig, inputs, outside: server }
    }

    async fn ca_world() -> World<ApiServer> {
        let server = ApiServer::new("hub");
        let rig = Rig::new().with_clusters(ApiServer::clusters(&[&server]));
        let keep = json!({ "secret": { "on": "hub", "namespace": "default", "name": "root-ca" } });
        World { rig, inputs: json!({ "common-name": "test-ca", "keep": keep }), outside: server }
    }

    fn bundle(server: &ApiServer, name: &str) -> Bundle {
        match found(&server.get("Secret", name).expect("the Secret is there")) {
            Found::Bundle { bundle, as_wanted: true } => *bundle,
            Found::Bundle { .. } => panic!("its form is not as wanted"),
            Found::Unreadable(reason) => panic!("{reason}"),
            Found::Nothing => panic!("nothing"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_leaf_is_written_once_and_nothing_but_the_secret_holds_its_key() {
        let world = leaf_world().await;
        let preview = world.rig.preview(&Leaf::default(), &world.inputs).await.unwrap();
        assert!(
            matches!(&preview, Preview::Changes(c) if c[0].action == ChangeAction::Create && c[0].certainty == Certainty::Server),
            "{preview:?}"
        );
        let outcome = runs_twice(&Leaf::default(), &world).await;
        assert_eq!(world.outside.writes(), 1);
        let bundle = bundle(&world.outside, "api-tls");
        assert_eq!(outcome.outputs["fingerprint"], bundle.facts.fingerprint);
        let secret = world.outside.get("Secret", "api-tls").unwrap();
        assert_eq!(
            (&secret["type"], &secret["metadata"]["managedFields"][0]["manager"]),
            (&json!(TYPE), &json!("engine/test/step"))
        );
        let key = String::from_utf8(bundle.key_pem().expose().to_vec()).unwrap();
        let shown = format!("{preview:?} {} {} {:?}", outcome.outputs, outcome.summary, world.rig.log());
        for form in [key.lines().nth(1).unwrap().to_owned(), STANDARD.encode(&key)] {
            assert!(!shown.contains(&form), "the key is shown");
        }
        assert_eq!(
            world.rig.verify(&Leaf::default(), &world.inputs, Some(&outcome.outputs)).await.unwrap(),
            Verdict::Intact
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_namespace_that_is_not_there_is_waited_for_in_the_plan() {
        let mut world = leaf_world().await;
        world.inputs["secret"]["namespace"] = json!("later");
        let preview = world.rig.preview(&Leaf::default(), &world.inputs).await.unwrap();
        assert!(
            matches!(&preview, Preview::Changes(c) if c[0].waits_for.as_deref() == Some("Namespace/later")),
            "{preview:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_ca_keeps_its_pair_in_a_secret_and_a_leaf_is_signed_from_there() {
        let world = ca_world().await;
        let outcome = runs_twice(&Ca::default(), &world).await;
        assert_eq!(world.outside.writes(), 1);
        let kept = bundle(&world.outside, "root-ca");
        assert_eq!(outcome.outputs["fingerprint"], kept.facts.fingerprint);
        let place = Secret::K8s {
            cluster: "hub".into(),
            namespace: "default".into(),
            name: "root-ca".into(),
            key: "tls.key".into(),
        };
        assert_eq!(outcome.outputs["ref"]["key"], serde_json::to_value(&place).unwrap());
        let room = tempfile::tempdir().unwrap();
        let leaf = world.rig.beside("leaf").with_secret(place, kept.key_pem().expose());
        let inputs = json!({ "ca": { "ref": outcome.outputs["ref"] }, "common-name": "api", "dns": ["a.io"], "file": { "path": room.path().join("a") } });
        leaf.run(&Leaf::default(), &inputs).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_changed_is_put_right_with_the_same_pair() {
        let world = leaf_world().await;
        let outcome = world.rig.run(&Leaf::default(), &world.inputs).await.unwrap();
        world.outside.remove("Secret", "api-tls");
        assert!(matches!(
            world.rig.verify(&Leaf::default(), &world.inputs, Some(&outcome.outputs)).await.unwrap(),
            Verdict::Gone(_)
        ));
        assert_eq!(world.rig.run(&Leaf::default(), &world.inputs).await.unwrap().outputs, outcome.outputs);
        world
            .outside
            .controller("Secret", "api-tls", |secret| drop(secret["data"].as_object_mut().unwrap().remove("ca.crt")));
        let again = world.rig.run(&Leaf::default(), &world.inputs).await.unwrap();
        assert!(!again.same && again.outputs == outcome.outputs, "{}", again.summary);
        bundle(&world.outside, "api-tls");
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_of_somebody_else_is_left_alone() {
        // A pair of another authority, as a certificate controller would write it: readable, but its fields are not ours.
        let world = leaf_world().await;
        let other = leaf_world().await;
        other.rig.run(&Leaf::default(), &other.inputs).await.unwrap();
        let mut theirs = other.outside.get("Secret", "api-tls").unwrap();
        theirs["metadata"] = json!({ "namespace": "default", "name": "api-tls" });
        for (content, code) in [
            (theirs, "K210"),
            (object("v1", "Secret", "default/api-tls", json!({ "data": { "password": "aHVudGVyMg==" } })), "T402"),
        ] {
            let world = leaf_world().await;
            world.outside.there(content);
            let before = world.outside.get("Secret", "api-tls");
            let error = world.rig.run(&Leaf::default(), &world.inputs).await.unwrap_err();
            assert_eq!(error.code, code, "{error:?}");
            assert!(
                !format!("{error:?}").contains("aHVudGVyMg") && !format!("{error:?}").contains("PRIVATE KEY-"),
                "{error:?}"
            );
            assert_eq!(world.outside.get("Secret", "api-tls"), before);
        }
        let two = {
            let mut inputs = world.inputs.clone();
            inputs["file"] = json!({ "path": "x" });
            inputs
        };
        let error = world.rig.run(&Leaf::default(), &two).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.class), ("T401", ErrorClass::Permanent));
    }

    #[tokio::test(start_paused = true)]
    async fn undo_deletes_what_the_run_made() {
        let world = leaf_world().await;
        let (first, second) = undone_twice(&Leaf::default(), &world).await;
        assert!(
            first.contains("deleted Secret/default/api-tls") && second.contains("is not there"),
            "{first} / {second}"
        );
        assert!(world.outside.get("Secret", "api-tls").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn killed_or_refused_anywhere_one_pair_is_sealed_and_in_use() {
        let leaf = async |world: &World<ApiServer>, _: &Outcome| {
            let sealed = Bundle::from_pem(world.rig.kept("leaf").unwrap().expose()).unwrap();
            assert_eq!(sealed.facts, bundle(&world.outside, "api-tls").facts);
        };
        survives_kills(&Leaf::default(), leaf_world, leaf).await;
        survives_refusals(&Leaf::default(), leaf_world, leaf).await;
        survives_failures(&Leaf::default(), leaf_world, leaf).await;
        let ca = async |world: &World<ApiServer>, outcome: &Outcome| {
            assert_eq!(outcome.outputs["fingerprint"], bundle(&world.outside, "root-ca").facts.fingerprint);
        };
        survives_kills(&Ca::default(), ca_world, ca).await;
        survives_refusals(&Ca::default(), ca_world, ca).await;
        survives_failures(&Ca::default(), ca_world, ca).await;
    }
}
