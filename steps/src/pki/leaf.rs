//! `pki.leaf`: a certificate signed by a `pki.ca`, with its private key, put where something can use it.
//!
//! A new pair goes into the keystore before it goes anywhere else, so that a kill between the two finds the same pair again: no two
//! keys are ever in use. What stands at the destination is read back and compared field by field; if it still is what is wanted,
//! nothing is written.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::value::{Hostname, Span};
use steps_sdk::{ChangeAction, Preview, StepError, UndoDefault, Verdict};
use time::OffsetDateTime;

use super::bundle::Bundle;
use super::ca::CaRef;
use super::certificate::rfc3339;
use super::classify::Trouble;
use super::issue;
use super::place::{Found, Pair, Place, settle};
use super::secret::TlsSecret;
use super::wanted::Wanted;
use crate::file::replace::Mode;

const KEPT: Place = Place::Keystore { name: "leaf" };

/// Issues a leaf certificate. The clock is a field so that tests can let years pass.
pub struct Leaf {
    pub now: fn() -> OffsetDateTime,
}

impl Default for Leaf {
    fn default() -> Self {
        Leaf { now: OffsetDateTime::now_utc }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The CA that signs: the output `ref` of a `pki.ca` step.
    pub(super) ca: SigningCa,
    /// The subject's common name. What clients compare with the address are `dns` and `ip`.
    pub(super) common_name: String,
    /// A DNS name for which the certificate is valid; repeats. The first label may be `*`.
    #[serde(default)]
    pub(super) dns: Vec<Hostname>,
    /// An address for which the certificate is valid; repeats.
    #[serde(default)]
    pub(super) ip: Vec<String>,
    /// What the certificate may be used for.
    #[serde(default)]
    pub(super) usage: Usage,
    /// How long the certificate is valid, at most as long as the CA.
    #[serde(default = "ninety_days")]
    pub(super) valid: Span,
    /// How long before its end it is issued anew; without it, when a third of `valid` is left.
    pub(super) renew_before: Option<Span>,
    /// A Secret of type `kubernetes.io/tls` that gets `tls.crt` (the chain), `tls.key` and `ca.crt`.
    pub(super) secret: Option<TlsSecret>,
    /// A PEM file that gets the chain and the private key.
    pub(super) file: Option<FileTarget>,
}

fn ninety_days() -> Span {
    Span(std::time::Duration::from_secs(2160 * 3600))
}

/// The CA that signs.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("x-kdl-args" = ["ref"]))]
pub struct SigningCa {
    /// The output `ref` of a `pki.ca` step.
    pub(super) r#ref: CaRef,
}

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    /// To be shown by a server.
    #[default]
    Server,
    /// To be shown by a client.
    Client,
    /// To be shown by both, as the members of a cluster do among each other.
    Both,
}

/// A PEM file.
#[derive(Deserialize, JsonSchema)]
pub struct FileTarget {
    /// Where the file lies.
    pub(super) path: String,
    /// Permission bits in octal.
    #[serde(default = "private")]
    pub(super) mode: String,
}

fn private() -> String {
    Mode::PRIVATE.to_string()
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The certificate as PEM text.
    certificate: String,
    /// The certificate and those above it, as PEM text.
    chain: String,
    /// SHA-256 of the certificate, in hexadecimal.
    fingerprint: String,
    /// When the certificate ends (RFC 3339).
    not_after: String,
}

#[async_trait]
impl Step for Leaf {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Issues a certificate and puts it, with its private key, where it is used.\n\n\
            The key (ECDSA P-256) is made once. A second run changes nothing; the certificate is issued anew if the inputs or the CA \
            changed, or its end is near. `undo delete` takes the destination away again; the sealed copy of the key stays in the keystore.";
        About { on: OnCluster::Refused, undo: UndoDefault::Delete, ..About::converging("pki.leaf", doc) }
    }

    async fn preview(&self, cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        let wanted = Wanted::of(inputs, (self.now)())?;
        let found = wanted.target.read(cx).await?;
        Ok(Preview::Changes(vec![wanted.target.later(cx, wanted.change_from(&found)).await?]))
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let wanted = Wanted::of(inputs, (self.now)())?;
        let found = wanted.target.read(cx).await?;
        let change = wanted.change_from(&found);
        if let Some(reason) = change.conflict {
            return Err(Trouble::Occupied { place: wanted.target.to_string(), reason }.into());
        }
        if change.action == ChangeAction::Same
            && let Found::Bundle { bundle, .. } = &found
        {
            return Ok(Done::same(outputs(bundle), wanted.summary(bundle)));
        }
        let bundle = self.pair(cx, &wanted, found).await?;
        wanted.target.write(cx, &bundle).await?;
        Ok(Done::changed(outputs(&bundle), format!("{}, written", wanted.summary(&bundle))))
    }

    async fn verify(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        let wanted = Wanted::of(inputs, (self.now)())?;
        let found = wanted.target.read(cx).await?;
        let change = wanted.change_from(&found);
        Ok(match (&found, change.action, recorded) {
            (Found::Nothing, ..) => Verdict::Gone(format!("{} is not there", wanted.target)),
            (Found::Bundle { bundle, .. }, ChangeAction::Same, recorded)
                if recorded.as_ref().is_none_or(|r| r.fingerprint == bundle.facts.fingerprint) =>
            {
                Verdict::Intact
            }
            _ => Verdict::Drifted(vec![change]),
        })
    }

    async fn undo(&self, cx: &StepContext, inputs: Inputs, recorded: Option<Outputs>) -> Result<String, StepError> {
        let wanted = Wanted::of(inputs, (self.now)())?;
        let stays = "the sealed copy of the key stays in the keystore";
        match wanted.target.read(cx).await? {
            Found::Nothing => Ok(format!("{} is not there; {stays}", wanted.target)),
            Found::Bundle { bundle, .. } if recorded.is_none_or(|r| r.fingerprint == bundle.facts.fingerprint) => {
                let removed = wanted.target.remove(cx).await?;
                Ok(format!("{removed}; {stays}"))
            }
            Found::Bundle { .. } | Found::Unreadable(_) => {
                Ok(format!("{} stays: it holds something else by now", wanted.target))
            }
        }
    }
}

impl Leaf {
    /// The pair to write: one that is there already if it is what is wanted, else a new certificate, sealed before it is returned.
    async fn pair(&self, cx: &StepContext, wanted: &Wanted, found: Found) -> Result<Box<Bundle>, StepError> {
        let found = match found {
            Found::Bundle { bundle, .. } => Some(bundle),
            Found::Nothing | Found::Unreadable(_) => None,
        };
        match settle(cx, &KEPT, found, &|bundle| wanted.reason_to_issue(bundle).is_none()).await? {
            Pair::There(bundle) => Ok(bundle),
            Pair::ToIssue(key) => {
                let ca = wanted.ca.open(cx).await?;
                let bundle = issue::leaf(*key, &wanted.names(), &ca, wanted.now, wanted.not_after)?;
                KEPT.write(cx, &bundle).await?;
                Ok(Box::new(bundle))
            }
        }
    }
}

fn outputs(bundle: &Bundle) -> Outputs {
    Outputs {
        certificate: bundle.certificate_pem(),
        chain: bundle.chain_pem(),
        fingerprint: bundle.facts.fingerprint.clone(),
        not_after: rfc3339(bundle.facts.not_after),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::sync::Arc;

    use super::*;
    use crate::pki::bundle::certificates_from_pem;
    use crate::pki::ca::Ca;
    use crate::pki::certificate::Facts;
    use crate::testing::{Rig, World, runs_twice, survives_kills, survives_refusals, undone_twice};
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::{ServerName, UnixTime};
    use serde_json::{Value, json};
    use steps_sdk::ErrorClass;
    use tempfile::TempDir;

    /// A CA made by its own step of the same engine, and a directory for the leaf.
    async fn world(extra: Value) -> World<TempDir> {
        let rig = Rig::new();
        let ca = ca_ref(&rig, json!({ "common-name": "test-ca" })).await;
        let outside = tempfile::tempdir().unwrap();
        let mut inputs = json!({
            "ca": { "ref": ca }, "common-name": "api", "dns": ["api.example.io", "*.eu.example.io"], "ip": ["127.0.0.1", "::1"],
            "file": { "path": outside.path().join("leaf.pem") },
        });
        inputs.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        World { rig, inputs, outside }
    }

    async fn ca_ref(rig: &Rig, inputs: Value) -> Value {
        rig.beside("ca").run(&Ca::default(), &inputs).await.unwrap().outputs["ref"].clone()
    }

    fn written(world: &World<TempDir>) -> Bundle {
        Bundle::from_pem(&fs::read(world.outside.path().join("leaf.pem")).unwrap()).unwrap()
    }

    fn kept(rig: &Rig) -> Bundle {
        Bundle::from_pem(rig.kept("leaf").expect("a kept leaf").expose()).unwrap()
    }

    #[tokio::test]
    async fn every_field_of_the_certificate_is_as_wanted_and_a_strict_client_trusts_it() {
        let world = world(json!({ "valid": "48h" })).await;
        let outcome = world.rig.run(&Leaf::default(), &world.inputs).await.unwrap();
        let bundle = written(&world);
        let facts = &bundle.facts;
        assert_eq!((facts.subject.as_str(), facts.issuer.as_str()), ("CN=api", "CN=test-ca"));
        assert_eq!(facts.sans, ["*.eu.example.io", "127.0.0.1", "::1", "api.example.io"]);
        assert!(!facts.is_ca && facts.for_servers && !facts.for_clients && facts.authority_key_id.is_some());
        assert_eq!(facts.not_after - facts.not_before, time::Duration::hours(48) + time::Duration::minutes(5));
        let (_, parsed) = x509_parser::parse_x509_certificate(bundle.certificate()).unwrap();
        let usage = parsed.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && !usage.key_cert_sign());
        assert_eq!(outcome.outputs["fingerprint"], facts.fingerprint);
        assert_eq!(fs::metadata(world.outside.path().join("leaf.pem")).unwrap().mode() & 0o777, 0o600);

        let ca = Bundle::from_pem(world.rig.beside("ca").kept("ca").unwrap().expose()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(ca.certificate().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        for (name, is_valid) in [
            ("api.example.io", true),
            ("x.eu.example.io", true),
            ("127.0.0.1", true),
            ("example.io", false),
            ("127.0.0.2", false),
        ] {
            let name = ServerName::try_from(name).unwrap();
            let verdict =
                verifier.verify_server_cert(bundle.certificate(), &bundle.chain()[1..], &name, &[], UnixTime::now());
            assert_eq!(verdict.is_ok(), is_valid, "{name:?}: {verdict:?}");
        }
    }

    #[tokio::test]
    async fn a_second_run_writes_nothing_and_no_output_holds_a_key() {
        let world = world(json!({})).await;
        let outcome = runs_twice(&Leaf::default(), &world).await;
        let text = format!("{} {} {:?}", outcome.outputs, outcome.summary, world.rig.log());
        assert!(text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE KEY"), "{text}");
        assert_eq!(
            world.rig.verify(&Leaf::default(), &world.inputs, Some(&outcome.outputs)).await.unwrap(),
            Verdict::Intact
        );
    }

    #[tokio::test]
    async fn each_change_of_inputs_issues_anew_over_the_same_key() {
        let mut world = world(json!({})).await;
        let mut last = world.rig.run(&Leaf::default(), &world.inputs).await.unwrap().outputs;
        let key = written(&world).facts.public_key;
        let other_ca = ca_ref(&world.rig, json!({ "common-name": "renamed-ca" })).await;
        for change in [
            json!({ "dns": ["api.example.io"] }),
            json!({ "ip": [] }),
            json!({ "common-name": "other" }),
            json!({ "usage": "both" }),
            json!({ "valid": "100h" }),
            json!({ "ca": { "ref": other_ca } }),
        ] {
            world.inputs.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let preview = world.rig.preview(&Leaf::default(), &world.inputs).await.unwrap();
            assert!(
                matches!(&preview, Preview::Changes(c) if c[0].action == ChangeAction::Update && c[0].fields.len() == 1),
                "{change}: {preview:?}"
            );
            let outcome = world.rig.run(&Leaf::default(), &world.inputs).await.unwrap();
            assert!(!outcome.same && outcome.outputs["fingerprint"] != last["fingerprint"], "{change}");
            assert_eq!(written(&world).facts.public_key, key, "{change}");
            assert!(world.rig.run(&Leaf::default(), &world.inputs).await.unwrap().same, "{change}");
            last = outcome.outputs;
        }
    }

    #[tokio::test]
    async fn it_is_renewed_when_its_end_is_near_and_not_before() {
        let world = world(json!({ "valid": "90h", "renew-before": "20h" })).await;
        let first = world.rig.run(&Leaf::default(), &world.inputs).await.unwrap();
        let early = Leaf { now: || OffsetDateTime::now_utc() + time::Duration::hours(69) };
        let late = Leaf { now: || OffsetDateTime::now_utc() + time::Duration::hours(71) };
        assert!(world.rig.run(&early, &world.inputs).await.unwrap().same);
        assert_ne!(
            world.rig.run(&late, &world.inputs).await.unwrap().outputs["fingerprint"],
            first.outputs["fingerprint"]
        );
    }

    #[tokio::test]
    async fn it_never_outlasts_its_ca_and_is_not_issued_again_for_that() {
        let mut world = world(json!({})).await;
        let short = ca_ref(&world.rig, json!({ "common-name": "test-ca", "valid": "24h" })).await;
        world.inputs["ca"] = json!({ "ref": short });
        let first = runs_twice(&Leaf::default(), &world).await;
        let ca =
            Facts::read(&certificates_from_pem(short["certificate"].as_str().unwrap().as_bytes()).unwrap()[0]).unwrap();
        assert_eq!(written(&world).facts.not_after, ca.not_after);
        assert!(first.summary.contains("as its CA"), "{}", first.summary);
        let ended = Leaf { now: || OffsetDateTime::now_utc() + time::Duration::hours(25) };
        let error = world.rig.run(&ended, &world.inputs).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.not_started), ("T404", true));
    }

    #[tokio::test]
    async fn a_lost_file_comes_back_with_the_same_pair_and_another_mode_is_put_right() {
        let world = world(json!({})).await;
        let first = world.rig.run(&Leaf::default(), &world.inputs).await.unwrap();
        let path = world.outside.path().join("leaf.pem");
        fs::remove_file(&path).unwrap();
        assert!(matches!(
            world.rig.verify(&Leaf::default(), &world.inputs, Some(&first.outputs)).await.unwrap(),
            Verdict::Gone(_)
        ));
        assert_eq!(world.rig.run(&Leaf::default(), &world.inputs).await.unwrap().outputs, first.outputs);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let again = world.rig.run(&Leaf::default(), &world.inputs).await.unwrap();
        assert!(!again.same && again.outputs == first.outputs);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_keystore_that_was_lost_is_no_reason_for_another_key() {
        let world = world(json!({})).await;
        world.rig.run(&Leaf::default(), &world.inputs).await.unwrap();
        let key = written(&world).facts.public_key;
        // Another engine: it has the CA, the file, and an empty keystore of its own.
        let elsewhere = world.rig.beside("elsewhere");
        assert!(elsewhere.run(&Leaf::default(), &world.inputs).await.unwrap().same);
        let mut inputs = world.inputs.clone();
        inputs["common-name"] = json!("renamed");
        elsewhere.run(&Leaf::default(), &inputs).await.unwrap();
        assert_eq!(written(&world).facts.public_key, key);
    }

    #[tokio::test]
    async fn killed_anywhere_the_written_key_is_the_kept_key() {
        let step = Leaf::default();
        let one_pair = async |world: &World<TempDir>, _: &steps_sdk::Outcome| {
            assert_eq!(kept(&world.rig).facts, written(world).facts, "what is kept is what is used");
        };
        survives_kills(&step, async || world(json!({})).await, one_pair).await;
        survives_refusals(&step, async || world(json!({})).await, one_pair).await;
    }

    #[tokio::test]
    async fn undo_takes_the_file_away_and_spares_another() {
        let world = world(json!({})).await;
        let (first, second) = undone_twice(&Leaf::default(), &world).await;
        assert!(first.contains("deleted") && second.contains("is not there"), "{first} / {second}");
        let outcome = world.rig.run(&Leaf::default(), &world.inputs).await.unwrap();
        fs::write(world.outside.path().join("leaf.pem"), "not a key").unwrap();
        let spared = world.rig.undo(&Leaf::default(), &world.inputs, Some(&outcome.outputs)).await.unwrap();
        assert!(spared.contains("stays") && world.outside.path().join("leaf.pem").exists(), "{spared}");
    }

    #[tokio::test]
    async fn what_cannot_be_issued_is_refused_with_the_field_that_is_wrong() {
        let good = world(json!({})).await;
        let leaf_as_ca = good.rig.run(&Leaf::default(), &good.inputs).await.unwrap().outputs["certificate"].clone();
        let key = good.inputs["ca"]["ref"]["key"].clone();
        for (change, code, named) in [
            (json!({ "dns": [], "ip": [] }), "T401", "dns"),
            (json!({ "ip": ["api.example.io"] }), "T401", "ip"),
            (json!({ "common-name": "" }), "T401", "common-name"),
            (json!({ "file": null }), "T401", "destination"),
            (json!({ "renew-before": "9000h" }), "T401", "renew-before"),
            (json!({ "file": { "path": "x", "mode": "9" } }), "X502", "mode"),
            (json!({ "ca": { "ref": { "certificate": "", "key": key } } }), "T404", "CA"),
            (json!({ "ca": { "ref": { "certificate": leaf_as_ca, "key": key } } }), "T404", "not a CA"),
        ] {
            let mut inputs = good.inputs.clone();
            inputs.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let error = good.rig.run(&Leaf::default(), &inputs).await.unwrap_err();
            assert_eq!(
                (error.code.as_str(), error.class, error.not_started),
                (code, ErrorClass::Permanent, true),
                "{change}: {error:?}"
            );
            assert!(error.message.contains(named) && error.help.is_some(), "{change}: {error:?}");
        }
    }

    #[tokio::test]
    async fn a_ca_whose_key_was_replaced_signs_nothing() {
        let world = world(json!({})).await;
        let other = world.rig.beside("other-ca");
        let swapped =
            other.run(&Ca::default(), &json!({ "common-name": "test-ca" })).await.unwrap().outputs["ref"]["key"]
                .clone();
        let mut inputs = world.inputs.clone();
        inputs["ca"]["ref"]["key"] = swapped;
        let error = world.rig.run(&Leaf::default(), &inputs).await.unwrap_err();
        assert_eq!(error.code, "T404", "{error:?}");
        assert!(!world.outside.path().join("leaf.pem").exists());
    }
}
