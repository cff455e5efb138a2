//! `pki.leaf`: a certificate signed by a `pki.ca`, with its private key, put where something can use it.
//!
//! A new pair goes into the keystore before it goes anywhere else, so that a kill between the two finds the same pair again: no two
//! keys are ever in use. What stands at the destination is read back and compared field by field; if it still is what is wanted,
//! nothing is written.

use std::net::IpAddr;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::outcome::FieldChange;
use steps_sdk::spec::{About, OnCluster};
use steps_sdk::value::{Hostname, Span};
use steps_sdk::{Certainty, Change, ChangeAction, Preview, StepError, UndoDefault, Verdict};
use time::OffsetDateTime;

use super::bundle::Bundle;
use super::ca::CaRef;
use super::certificate::{self, Facts, rfc3339};
use super::classify::Trouble;
use super::issue::{self, BACKDATED, LeafNames};
use super::place::{Found, Pair, Place, settle};
use super::secret::TlsSecret;
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
    ca: SigningCa,
    /// The subject's common name. What clients compare with the address are `dns` and `ip`.
    common_name: String,
    /// A DNS name for which the certificate is valid; repeats. The first label may be `*`.
    #[serde(default)]
    dns: Vec<Hostname>,
    /// An address for which the certificate is valid; repeats.
    #[serde(default)]
    ip: Vec<String>,
    /// What the certificate may be used for.
    #[serde(default)]
    usage: Usage,
    /// How long the certificate is valid, at most as long as the CA.
    #[serde(default = "ninety_days")]
    valid: Span,
    /// How long before its end it is issued anew; without it, when a third of `valid` is left.
    renew_before: Option<Span>,
    /// A Secret of type `kubernetes.io/tls` that gets `tls.crt` (the chain), `tls.key` and `ca.crt`.
    secret: Option<TlsSecret>,
    /// A PEM file that gets the chain and the private key.
    file: Option<FileTarget>,
}

fn ninety_days() -> Span {
    Span(std::time::Duration::from_secs(2160 * 3600))
}

/// The CA that signs.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("x-kdl-args" = ["ref"]))]
pub struct SigningCa {
    /// The output `ref` of a `pki.ca` step.
    r#ref: CaRef,
}

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
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
    path: String,
    /// Permission bits in octal.
    #[serde(default = "private")]
    mode: String,
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
                let bundle = issue::leaf(key, &wanted.names(), &ca, wanted.now, wanted.not_after)?;
                KEPT.write(cx, &bundle).await?;
                Ok(Box::new(bundle))
            }
        }
    }
}

/// The leaf as the inputs want it now.
struct Wanted {
    ca: CaRef,
    ca_facts: Facts,
    ca_chain_pem: String,
    common_name: String,
    dns: Vec<Hostname>,
    ips: Vec<IpAddr>,
    usage: Usage,
    valid: std::time::Duration,
    renew_before: std::time::Duration,
    target: Place,
    now: OffsetDateTime,
    /// When a certificate issued now would end.
    not_after: OffsetDateTime,
}

impl Wanted {
    fn of(inputs: Inputs, now: OffsetDateTime) -> Result<Wanted, StepError> {
        let Inputs { ca: SigningCa { r#ref: ca }, common_name, dns, ip, usage, valid, renew_before, secret, file } =
            inputs;
        let refuse = |reason: String, help| StepError::from(Trouble::Inputs { reason, help });
        if common_name.is_empty() || common_name.chars().count() > 64 {
            let reason = format!("`common-name` has {} characters", common_name.chars().count());
            return Err(refuse(
                reason,
                "a certificate's common name has 1 to 64 characters (RFC 5280); a longer host name goes into `dns` alone",
            ));
        }
        let ips = ip
            .iter()
            .map(|text| {
                text.parse().map_err(|_| {
                    refuse(
                        format!("`ip {text}` is not an address"),
                        "write an IPv4 or IPv6 address; names go into `dns`",
                    )
                })
            })
            .collect::<Result<Vec<IpAddr>, _>>()?;
        if usage != Usage::Client && dns.is_empty() && ips.is_empty() {
            return Err(refuse(
                format!("the server certificate `{common_name}` has neither `dns` nor `ip`"),
                "add at least one: clients do not look at the common name (RFC 9525)",
            ));
        }
        let target = match (secret, file) {
            (Some(secret), None) => Place::Secret(secret),
            (None, Some(FileTarget { path, mode })) => Place::File { path, mode: Mode::parse(&mode)? },
            (None, None) => {
                return Err(refuse(
                    format!("the certificate `{common_name}` has no destination"),
                    "add `secret on=… namespace=… name=…` or `file path=…`",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(refuse(
                    format!("the certificate `{common_name}` has two destinations"),
                    "keep either `secret` or `file`; another step can write the other",
                ));
            }
        };
        let renew_before = renew_before.map_or(valid.0 / 3, |span| span.0);
        if renew_before >= valid.0 {
            return Err(refuse(
                "`renew-before` is not shorter than `valid`".to_owned(),
                "a certificate that is renewed before it begins would be new in every run",
            ));
        }
        let chain = ca.chain()?;
        let ca_facts = ca_facts(&chain, now)?;
        let ca_chain_pem = chain.iter().map(certificate::pem).collect();
        let not_after =
            ca_facts.not_after.min(now + valid.0).replace_nanosecond(0).expect("0 nanoseconds are in range");
        Ok(Wanted {
            ca,
            ca_facts,
            ca_chain_pem,
            common_name,
            dns,
            ips,
            usage,
            valid: valid.0,
            renew_before,
            target,
            now,
            not_after,
        })
    }

    fn names(&self) -> LeafNames<'_> {
        let (for_servers, for_clients) = self.usages();
        LeafNames { common_name: &self.common_name, dns: &self.dns, ips: &self.ips, for_servers, for_clients }
    }

    fn usages(&self) -> (bool, bool) {
        match self.usage {
            Usage::Server => (true, false),
            Usage::Client => (false, true),
            Usage::Both => (true, true),
        }
    }

    fn sans(&self) -> Vec<String> {
        let mut sans: Vec<String> =
            self.dns.iter().map(ToString::to_string).chain(self.ips.iter().map(ToString::to_string)).collect();
        sans.sort();
        sans
    }

    /// Why what stands there cannot stay; `None` when it is as wanted.
    fn reason_to_issue(&self, bundle: &Bundle) -> Option<String> {
        let facts = &bundle.facts;
        if facts.common_name.as_deref() != Some(&self.common_name) {
            return Some(format!(
                "its name is `{}`, wanted is `{}`",
                facts.common_name.as_deref().unwrap_or_default(),
                self.common_name
            ));
        }
        if facts.sans != self.sans() {
            return Some(format!("it is for {}, wanted is {}", facts.sans.join(" "), self.sans().join(" ")));
        }
        if (facts.for_servers, facts.for_clients) != self.usages() {
            return Some("`usage` changed".to_owned());
        }
        let above: String = bundle.chain().iter().skip(1).map(certificate::pem).collect();
        if !facts.names_as_issuer(&self.ca_facts) || above != self.ca_chain_pem {
            return Some("the CA changed".to_owned());
        }
        let is_cut_to_ca = facts.not_after == self.ca_facts.not_after;
        let whole = facts.not_after - facts.not_before == self.valid + BACKDATED;
        if !whole && !(is_cut_to_ca && facts.not_after - facts.not_before < self.valid + BACKDATED) {
            return Some("`valid` changed".to_owned());
        }
        // A certificate that ends with its CA cannot be made to last longer by issuing it again.
        let is_due = facts.not_after - self.now < self.renew_before && facts.not_after < self.not_after;
        is_due.then(|| format!("it ends at {}", rfc3339(facts.not_after)))
    }

    fn change_from(&self, found: &Found) -> Change {
        let mut change = Change {
            object: format!("certificate {} in {}", self.common_name, self.target),
            action: ChangeAction::Create,
            certainty: Certainty::Server,
            fields: Vec::new(),
            conflict: None,
            waits_for: None,
        };
        match found {
            Found::Nothing => {}
            Found::Bundle { bundle, as_wanted } => {
                let reason =
                    self.reason_to_issue(bundle).or_else(|| (!as_wanted).then(|| "its form is put right".to_owned()));
                change.action = if reason.is_some() { ChangeAction::Update } else { ChangeAction::Same };
                change.fields.extend(reason.map(|reason| FieldChange {
                    path: "certificate".to_owned(),
                    before: None,
                    after: Some(reason.into()),
                }));
            }
            Found::Unreadable(reason) => {
                change.action = ChangeAction::Unknown;
                change.conflict = Some(reason.clone());
            }
        }
        change
    }

    fn summary(&self, bundle: &Bundle) -> String {
        let cut = if bundle.facts.not_after == self.ca_facts.not_after { " (as its CA)" } else { "" };
        format!(
            "certificate `{}` in {}, valid until {}{cut}",
            self.common_name,
            self.target,
            bundle.facts.not_after.date()
        )
    }
}

fn ca_facts(chain: &[rustls::pki_types::CertificateDer<'static>], now: OffsetDateTime) -> Result<Facts, StepError> {
    let refuse = |reason: String, help| StepError::from(Trouble::Ca { reason, help });
    let first = chain
        .first()
        .ok_or_else(|| refuse("the CA has no certificate".to_owned(), "pass the output `ref` of a `pki.ca` step"))?;
    let facts = Facts::read(first).map_err(|reason| {
        refuse(format!("the CA's certificate cannot be used: {reason}"), "pass the output `ref` of a `pki.ca` step")
    })?;
    if !facts.is_ca {
        return Err(refuse(
            format!("`{}` is not a CA", facts.subject),
            "pass the output `ref` of a `pki.ca` step, not a leaf",
        ));
    }
    if facts.not_after <= now {
        return Err(refuse(
            format!("the CA `{}` ended at {}", facts.subject, rfc3339(facts.not_after)),
            "run the `pki.ca` step again: it issues the CA anew over the same key",
        ));
    }
    Ok(facts)
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
