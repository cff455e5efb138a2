//! `pki.ca`: a certificate authority without a server: a key, kept where the file says or sealed in the keystore, and its own
//! certificate.
//!
//! The key outlives every certificate: when the certificate is issued anew it is over the same key, so that what the CA signed
//! before still verifies.

use async_trait::async_trait;
use rustls::pki_types::CertificateDer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::outcome::FieldChange;
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::value::Span;
use steps_sdk::{Certainty, Change, ChangeAction, Preview, Secret, StepError, Value, Verdict};
use time::OffsetDateTime;

use super::bundle::{self, Bundle};
use super::certificate::{self, rfc3339};
use super::classify::Trouble;
use super::issue::{self, BACKDATED, CaWanted};
use super::place::{Pair, Place, settle};
use super::secret::TlsSecret;
use crate::file::replace::Mode;

/// Where the pair is sealed before it goes anywhere else.
const KEPT: Place = Place::Keystore { name: "ca" };

/// Issues a CA. The clock is a field so that tests can let years pass.
pub struct Ca {
    pub now: fn() -> OffsetDateTime,
}

impl Default for Ca {
    fn default() -> Self {
        Ca { now: OffsetDateTime::now_utc }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// The CA's name, as everyone who checks a certificate sees it.
    common_name: String,
    /// How long the CA's certificate is valid. It is issued anew, over the same key, when a tenth of this is left.
    #[serde(default = "ten_years")]
    valid: Span,
    /// How many further CAs may stand between this one and a leaf; 0 allows leaves only. Without it there is no limit.
    path_length: Option<u8>,
    /// Where key and certificate are kept; without it they are sealed in the engine's keystore.
    keep: Option<Keep>,
}

fn ten_years() -> Span {
    Span(std::time::Duration::from_secs(87_600 * 3600))
}

/// Where the CA's private key is kept. The engine's keystore holds a sealed copy in any case.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// A Secret of type `kubernetes.io/tls` on a cluster.
    Secret(TlsSecret),
    /// A file of mode 0600 that holds certificate and key as PEM text.
    File(String),
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// What `pki.leaf` takes as `ca`: the certificate, and where the key is.
    #[serde(rename = "ref")]
    reference: CaRef,
    /// The CA's certificate as PEM text.
    certificate: String,
    /// SHA-256 of the certificate, in hexadecimal.
    fingerprint: String,
    /// When the certificate ends (RFC 3339).
    not_after: String,
}

/// A CA as one step hands it to another. It says where the private key is, never what it is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CaRef {
    /// The CA's certificate as PEM text.
    pub certificate: String,
    /// Where the private key is.
    #[schemars(with = "Value")]
    pub key: Secret,
}

impl CaRef {
    /// Opens the key and joins it with the certificate.
    pub async fn open(&self, cx: &StepContext) -> Result<Bundle, StepError> {
        let refuse = |reason: String| {
            StepError::from(Trouble::Ca {
                reason,
                help: "pass the output `ref` of a `pki.ca` step; if its key was moved or replaced, run that step again",
            })
        };
        let pem = cx.secrets.open(&self.key).await?;
        let key = bundle::key_from_pem(pem.expose())
            .map_err(|reason| refuse(format!("the CA's key in {} cannot be used: {reason}", self.key)))?;
        Bundle::join(key, self.chain()?)
            .map_err(|reason| refuse(format!("the CA's key in {} does not fit: {reason}", self.key)))
    }

    /// The CA's own certificate first.
    pub fn chain(&self) -> Result<Vec<CertificateDer<'static>>, StepError> {
        bundle::certificates_from_pem(self.certificate.as_bytes()).map_err(|reason| {
            Trouble::Ca {
                reason: format!("the CA's certificate cannot be used: {reason}"),
                help: "pass the output `ref` of a `pki.ca` step",
            }
            .into()
        })
    }
}

#[async_trait]
impl Step for Ca {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Makes a certificate authority, offline.\n\n\
            The private key (ECDSA P-256) is made once and then read from where it is kept. A second run finds it and changes nothing; \
            the certificate is issued anew only if the inputs changed or a tenth of its time is left. Undo leaves the key where it is.";
        About { on: OnCluster::Refused, ..About::converging("pki.ca", doc) }
    }

    async fn preview(&self, cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        let wanted = Wanted::of(inputs)?;
        let found = wanted.place.read_own(cx).await?;
        let (action, reason) = wanted.compare(found.as_ref(), (self.now)());
        let fields = reason.map(|reason| FieldChange {
            path: "certificate".to_owned(),
            before: None,
            after: Some(reason.into()),
        });
        let change = wanted.change(action, fields.into_iter().collect());
        Ok(Preview::Changes(vec![wanted.place.later(cx, change).await?]))
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let wanted = Wanted::of(inputs)?;
        let now = (self.now)();
        let found = wanted.place.read_own(cx).await?;
        let (action, reason) = wanted.compare(found.as_ref(), now);
        let issued = action != ChangeAction::Same && (found.is_none() || reason.is_some());
        let is_wanted = |bundle: &Bundle| wanted.reason_to_issue(bundle, now).is_none();
        let bundle = match settle(cx, &KEPT, found.map(|(bundle, _)| bundle), &is_wanted).await? {
            Pair::There(bundle) => bundle,
            Pair::ToIssue(key) => {
                let bundle = wanted.issue(*key, now)?;
                KEPT.write(cx, &bundle).await?;
                Box::new(bundle)
            }
        };
        if action != ChangeAction::Same && !matches!(wanted.place, Place::Keystore { .. }) {
            wanted.place.write(cx, &bundle).await?;
        }
        let summary =
            format!("CA `{}` in {}, valid until {}", wanted.common_name, wanted.place, bundle.facts.not_after.date());
        let outputs = wanted.outputs(&bundle, cx)?;
        Ok(match (action, issued) {
            (ChangeAction::Same, _) => Done::same(outputs, summary),
            (_, true) => Done::changed(outputs, format!("{summary}, written")),
            (_, false) => Done::changed(outputs, format!("{summary}, its form put right")),
        })
    }

    async fn verify(&self, cx: &StepContext, inputs: Inputs, outputs: Option<Outputs>) -> Result<Verdict, StepError> {
        let wanted = Wanted::of(inputs)?;
        let Some((bundle, as_wanted)) = wanted.place.read_own(cx).await? else {
            return Ok(Verdict::Gone(format!("{} is empty", wanted.place)));
        };
        let is_the_recorded_one = outputs.is_none_or(|outputs| outputs.fingerprint == bundle.facts.fingerprint);
        let (action, _) = wanted.compare(Some(&(bundle, as_wanted)), (self.now)());
        Ok(match action {
            ChangeAction::Same if is_the_recorded_one => Verdict::Intact,
            _ => Verdict::Drifted(vec![wanted.change(ChangeAction::Update, Vec::new())]),
        })
    }

    /// A CA key that is destroyed takes with it everything it signed, so undo never does that.
    async fn undo(&self, _cx: &StepContext, inputs: Inputs, _outputs: Option<Outputs>) -> Result<String, StepError> {
        let wanted = Wanted::of(inputs)?;
        Ok(format!("the CA's key and certificate stay in {}", wanted.place))
    }
}

/// The CA as the inputs want it.
struct Wanted {
    common_name: String,
    path_length: Option<u8>,
    valid: std::time::Duration,
    place: Place,
}

impl Wanted {
    fn of(inputs: Inputs) -> Result<Wanted, StepError> {
        let Inputs { common_name, valid, path_length, keep } = inputs;
        if common_name.is_empty() || common_name.chars().count() > 64 {
            let reason = format!("`common-name` has {} characters", common_name.chars().count());
            return Err(Trouble::Inputs {
                reason,
                help: "a certificate's common name has 1 to 64 characters (RFC 5280, upper bound of X520CommonName)",
            }
            .into());
        }
        let place = match keep {
            None => KEPT,
            Some(Keep::File(path)) => Place::File { path, mode: Mode::PRIVATE },
            Some(Keep::Secret(secret)) => Place::Secret(secret),
        };
        Ok(Wanted { common_name, path_length, valid: valid.0, place })
    }

    /// What has to be done, and why a new certificate is needed if one is.
    fn compare(&self, found: Option<&(Box<Bundle>, bool)>, now: OffsetDateTime) -> (ChangeAction, Option<String>) {
        let Some((bundle, as_wanted)) = found else {
            return (ChangeAction::Create, Some("new".to_owned()));
        };
        match self.reason_to_issue(bundle, now) {
            Some(reason) => (ChangeAction::Update, Some(reason)),
            None if *as_wanted => (ChangeAction::Same, None),
            None => (ChangeAction::Update, None),
        }
    }

    fn reason_to_issue(&self, bundle: &Bundle, now: OffsetDateTime) -> Option<String> {
        let facts = &bundle.facts;
        if !facts.is_ca {
            return Some("what is kept is not a CA's certificate".to_owned());
        }
        if facts.common_name.as_deref() != Some(&self.common_name) {
            return Some(format!(
                "its name is `{}`, wanted is `{}`",
                facts.common_name.as_deref().unwrap_or_default(),
                self.common_name
            ));
        }
        if facts.path_length != self.path_length.map(u32::from) {
            return Some("`path-length` changed".to_owned());
        }
        if facts.not_after - facts.not_before != self.valid + BACKDATED {
            return Some("`valid` changed".to_owned());
        }
        let left = facts.not_after - now;
        (left < self.valid / 10)
            .then(|| format!("it ends at {}, less than a tenth of its time is left", rfc3339(facts.not_after)))
    }

    fn issue(&self, key: rcgen::KeyPair, now: OffsetDateTime) -> Result<Bundle, StepError> {
        issue::ca(
            key,
            &CaWanted { common_name: &self.common_name, path_length: self.path_length, valid: self.valid },
            now,
        )
    }

    fn change(&self, action: ChangeAction, fields: Vec<FieldChange>) -> Change {
        let object = format!("CA {} in {}", self.common_name, self.place);
        Change { object, action, certainty: Certainty::Server, fields, conflict: None, waits_for: None }
    }

    fn outputs(&self, bundle: &Bundle, cx: &StepContext) -> Result<Outputs, StepError> {
        let certificate = certificate::pem(bundle.certificate());
        Ok(Outputs {
            reference: CaRef { certificate: certificate.clone(), key: self.place.key(cx)? },
            certificate,
            fingerprint: bundle.facts.fingerprint.clone(),
            not_after: rfc3339(bundle.facts.not_after),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;
    use crate::testing::{Rig, World, eventually, runs_twice, survives_kills, survives_refusals, undone_twice};
    use serde_json::json;
    use tempfile::TempDir;

    fn sealed(extra: Value) -> World<()> {
        let mut inputs = json!({ "common-name": "etcd-eu" });
        inputs.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        World { rig: Rig::new(), inputs, outside: () }
    }

    fn in_file() -> World<TempDir> {
        let outside = tempfile::tempdir().unwrap();
        let inputs = json!({ "common-name": "etcd-eu", "keep": { "file": outside.path().join("ca.pem") } });
        World { rig: Rig::new(), inputs, outside }
    }

    fn kept(rig: &Rig) -> Bundle {
        Bundle::from_pem(rig.kept("ca").expect("a kept CA").expose()).unwrap()
    }

    #[tokio::test]
    async fn every_field_of_the_certificate_is_as_wanted() {
        let world = sealed(json!({ "path-length": 0, "valid": "48h" }));
        let before = OffsetDateTime::now_utc();
        let outcome = world.rig.run(&Ca::default(), &world.inputs).await.unwrap();
        let bundle = kept(&world.rig);
        let facts = &bundle.facts;
        assert_eq!((facts.subject.as_str(), facts.issuer.as_str()), ("CN=etcd-eu", "CN=etcd-eu"));
        assert!(
            facts.is_ca
                && facts.path_length == Some(0)
                && facts.subject_key_id.as_ref().is_some_and(|id| id.len() == 20)
        );
        assert_eq!(facts.not_after - facts.not_before, time::Duration::hours(48) + time::Duration::minutes(5));
        assert!((before - facts.not_before - time::Duration::minutes(5)).abs() < time::Duration::minutes(1));
        let (_, parsed) = x509_parser::parse_x509_certificate(bundle.certificate()).unwrap();
        assert!(parsed.basic_constraints().unwrap().unwrap().critical);
        let usage = parsed.key_usage().unwrap().unwrap();
        assert!(
            usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign() && !usage.value.digital_signature()
        );
        assert!(parsed.raw_serial().len() == 16 && parsed.raw_serial()[0] < 0x80);
        parsed.verify_signature(None).expect("it is signed by itself");
        assert_eq!(outcome.outputs["fingerprint"], facts.fingerprint);
        assert_eq!(outcome.outputs["not_after"], rfc3339(facts.not_after));
        assert_eq!(
            outcome.outputs["ref"]["key"],
            json!({ "from": "sealed", "owner": "engine/test/step", "name": "ca" })
        );
    }

    #[tokio::test]
    async fn a_second_run_changes_nothing_and_no_output_holds_a_key() {
        let world = sealed(json!({}));
        let outcome = runs_twice(&Ca::default(), &world).await;
        let text = format!("{} {} {:?}", outcome.outputs, outcome.summary, world.rig.log());
        assert!(text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE KEY"), "{text}");
        assert_eq!(
            world.rig.verify(&Ca::default(), &world.inputs, Some(&outcome.outputs)).await.unwrap(),
            Verdict::Intact
        );
    }

    #[tokio::test]
    async fn the_key_outlives_the_certificate() {
        let step = Ca::default();
        let mut world = sealed(json!({ "valid": "1000h" }));
        let first = world.rig.run(&step, &world.inputs).await.unwrap();
        let key = kept(&world.rig).facts.public_key;
        for (later, why) in [
            (json!({ "valid": "2000h" }), "valid"),
            (json!({ "path-length": 1 }), "path"),
            (json!({ "common-name": "other" }), "name"),
        ] {
            world.inputs.as_object_mut().unwrap().extend(later.as_object().unwrap().clone());
            let outcome = world.rig.run(&step, &world.inputs).await.unwrap();
            assert!(!outcome.same && outcome.outputs["fingerprint"] != first.outputs["fingerprint"], "{why}");
            assert_eq!(kept(&world.rig).facts.public_key, key, "{why}");
        }
        assert!(matches!(
            world.rig.verify(&step, &world.inputs, Some(&first.outputs)).await.unwrap(),
            Verdict::Drifted(_)
        ));
    }

    #[tokio::test]
    async fn it_is_issued_anew_when_a_tenth_of_its_time_is_left() {
        let world = sealed(json!({ "valid": "1000h" }));
        let outcome = world.rig.run(&Ca::default(), &world.inputs).await.unwrap();
        let before_it = Ca { now: || OffsetDateTime::now_utc() + time::Duration::hours(899) };
        let after_it = Ca { now: || OffsetDateTime::now_utc() + time::Duration::hours(901) };
        assert!(world.rig.run(&before_it, &world.inputs).await.unwrap().same);
        let preview = world.rig.preview(&after_it, &world.inputs).await.unwrap();
        assert!(
            matches!(&preview, Preview::Changes(changes) if changes[0].action == ChangeAction::Update),
            "{preview:?}"
        );
        let renewed = world.rig.run(&after_it, &world.inputs).await.unwrap();
        assert_ne!(renewed.outputs["fingerprint"], outcome.outputs["fingerprint"]);
        assert!(world.rig.run(&after_it, &world.inputs).await.unwrap().same);
    }

    #[tokio::test]
    async fn a_file_keeps_both_at_mode_0600_and_another_mode_is_put_right() {
        let world = in_file();
        let path = world.outside.path().join("ca.pem");
        let outcome = runs_twice(&Ca::default(), &world).await;
        let before = Bundle::from_pem(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(outcome.outputs["ref"]["key"], json!({ "from": "file", "path": path }));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let again = world.rig.run(&Ca::default(), &world.inputs).await.unwrap();
        assert!(!again.same && again.outputs == outcome.outputs, "{}", again.summary);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Bundle::from_pem(&fs::read(&path).unwrap()).unwrap().facts, before.facts);
    }

    #[tokio::test]
    async fn what_somebody_else_put_there_is_never_overwritten_nor_shown() {
        let world = in_file();
        let path = world.outside.path().join("ca.pem");
        let foreign = Bundle::from_pem(&{
            let other = in_file();
            world.rig.beside("other").run(&Ca::default(), &other.inputs).await.unwrap();
            fs::read(other.outside.path().join("ca.pem")).unwrap()
        })
        .unwrap();
        // A key without a certificate, and a file that is neither.
        for content in [foreign.key_pem().expose().to_vec(), b"my notes".to_vec()] {
            fs::write(&path, &content).unwrap();
            let error = world.rig.run(&Ca::default(), &world.inputs).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.class), ("T402", steps_sdk::ErrorClass::NeedsPerson));
            assert!(!format!("{error:?}").contains("PRIVATE KEY-"), "{error:?}");
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[tokio::test]
    async fn killed_anywhere_there_is_one_key() {
        let step = Ca::default();
        survives_kills(
            &step,
            async || sealed(json!({})),
            async |world, outcome| {
                assert_eq!(outcome.outputs["fingerprint"], kept(&world.rig).facts.fingerprint);
            },
        )
        .await;
        survives_kills(
            &step,
            async || in_file(),
            async |world, outcome| {
                // The killed attempt's thread may still write; until it has ended, what it finds must be left alone.
                let directory = world.outside.path();
                eventually("only the pair itself is there", || fs::read_dir(directory).unwrap().count() == 1).await;
                let bundle = Bundle::from_pem(&fs::read(directory.join("ca.pem")).unwrap()).expect("one whole pair");
                assert_eq!(outcome.outputs["fingerprint"], bundle.facts.fingerprint);
            },
        )
        .await;
        survives_refusals(
            &step,
            async || sealed(json!({})),
            async |world, outcome| {
                assert_eq!(outcome.outputs["fingerprint"], kept(&world.rig).facts.fingerprint);
            },
        )
        .await;
    }

    #[tokio::test]
    async fn undo_leaves_the_key_and_says_where() {
        let world = sealed(json!({}));
        let (first, second) = undone_twice(&Ca::default(), &world).await;
        assert_eq!(first, second);
        assert!(first.contains("stay") && world.rig.kept("ca").is_some(), "{first}");
    }

    #[tokio::test]
    async fn names_that_no_certificate_can_carry_are_refused() {
        for name in ["", &"x".repeat(65)] {
            let error = Rig::new().run(&Ca::default(), &json!({ "common-name": name })).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.not_started), ("T401", true));
        }
    }
}
