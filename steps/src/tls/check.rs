//! `tls.check`: waits until an endpoint shows a certificate that leads to one CA, for one name, at this time.
//!
//! Everything is verified as a strict client does; nothing is skipped in order to look closer. What was shown instead is said in the
//! reason of the wait and in the error.

use std::time::Duration;

use async_trait::async_trait;
use rustls::pki_types::ServerName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steps_sdk::context::StepContext;
use steps_sdk::native::{Done, Step};
use steps_sdk::spec::{About, OnCluster, TimeLimit};
use steps_sdk::{Certainty, Change, ChangeAction, Effect, EffectOf, Preview, StepError, Verdict};
use time::OffsetDateTime;

use super::classify::Trouble;
use super::handshake::{Shown, Target, shake_hands};
use crate::pki::bundle::certificates_from_pem;
use crate::pki::certificate::{Facts, rfc3339};

const EVERY: Duration = Duration::from_millis(500);

/// Kept back from the wait, to say what was seen last before the engine ends the call.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Checks an endpoint.
pub struct Check;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// Whom to connect to: `HOST:PORT`.
    address: String,
    /// The name or address for which the certificate must be valid; without it, the host of `address`.
    server_name: Option<String>,
    /// The CA that must have issued the certificate, as PEM text; no other is trusted.
    ca: String,
    /// The name server at which the host is looked up: `ADDRESS:PORT`; without it, the system's resolver.
    resolver: Option<String>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The certificate's subject.
    subject: String,
    /// Who issued it.
    issuer: String,
    /// When it ends (RFC 3339).
    not_after: String,
    /// The names and addresses for which it is valid.
    sans: Vec<String>,
}

#[async_trait]
impl Step for Check {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about(&self) -> About {
        let doc = "Waits until an endpoint shows a certificate that can be trusted.\n\n\
            The chain must lead to the CA that is given, and the certificate be valid for the name and now. If it is not, the error says \
            what was shown and which CA would have matched.";
        About {
            effect: EffectOf::Fixed(Effect::Pure),
            on: OnCluster::Refused,
            time_limit: TimeLimit::Wait { for_ms: 60_000 },
            ..About::converging("tls.check", doc)
        }
    }

    async fn preview(&self, _cx: &StepContext, inputs: Inputs) -> Result<Preview, StepError> {
        target(&inputs)?;
        Ok(Preview::Changes(vec![change(&inputs, ChangeAction::Run)]))
    }

    async fn run(&self, cx: &StepContext, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let target = target(&inputs)?;
        loop {
            let error: StepError = match attempt(cx, &target).await? {
                Ok(shown) => return Ok(done(&inputs, &shown)),
                Err(trouble) => trouble.into(),
            };
            if error.not_started || cx.clock.remaining() < EVERY + LAST_WORDS {
                return Err(error);
            }
            cx.progress.waiting(
                std::iter::once(&error.message).chain(error.causes.first()).cloned().collect::<Vec<_>>().join("; "),
            );
            cx.clock.sleep(EVERY, &cx.cancel).await?;
        }
    }

    async fn verify(&self, cx: &StepContext, inputs: Inputs, _recorded: Option<Outputs>) -> Result<Verdict, StepError> {
        match attempt(cx, &target(&inputs)?).await? {
            Ok(_) => Ok(Verdict::Intact),
            Err(trouble) => {
                let conflict = Some(StepError::from(trouble).message);
                Ok(Verdict::Drifted(vec![Change { conflict, ..change(&inputs, ChangeAction::Unknown) }]))
            }
        }
    }

    async fn undo(&self, _cx: &StepContext, _inputs: Inputs, _recorded: Option<Outputs>) -> Result<String, StepError> {
        Ok("nothing outside was changed".to_owned())
    }
}

/// One handshake. The library that verifies does not look at the dates of the CA itself, so that is done here.
async fn attempt(cx: &StepContext, target: &Target) -> Result<Result<Shown, Trouble>, StepError> {
    let shown = match shake_hands(cx, target).await? {
        Ok(shown) => shown,
        Err(trouble) => return Ok(Err(trouble)),
    };
    let cas: Vec<Facts> = target.cas.iter().filter_map(|ca| Facts::read(ca).ok()).collect();
    let issuers: Vec<&Facts> = cas.iter().filter(|ca| shown.iter().any(|one| one.names_as_issuer(ca))).collect();
    let now = OffsetDateTime::now_utc();
    match issuers.iter().find(|ca| ca.not_after <= now) {
        Some(ended) if issuers.iter().all(|ca| ca.not_after <= now) => {
            Ok(Err(Trouble::CaEnded { ca: Box::new((*ended).clone()) }))
        }
        _ => Ok(Ok(shown)),
    }
}

fn target(inputs: &Inputs) -> Result<Target, StepError> {
    let refuse = |reason: String, help| StepError::from(Trouble::Inputs { reason, help });
    let written = || {
        refuse(
            format!("`address {}` is not HOST:PORT", inputs.address),
            "for instance \"api.example.io:6443\" or \"[2001:db8::1]:443\"",
        )
    };
    let (host, port) = inputs.address.rsplit_once(':').ok_or_else(written)?;
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().map_err(|_| written())?;
    let name = inputs.server_name.as_deref().unwrap_or(host);
    let name = ServerName::try_from(name.to_owned()).map_err(|_| {
        refuse(
            format!("`{name}` is neither a host name nor an address"),
            "it is what the certificate must be valid for",
        )
    })?;
    let help = "pass the CA's certificate as PEM text, for instance the output `certificate` of a `pki.ca` step";
    let cas = certificates_from_pem(inputs.ca.as_bytes())
        .map_err(|reason| refuse(format!("`ca` cannot be used: {reason}"), help))?;
    if cas.is_empty() {
        return Err(refuse("`ca` holds no certificate".to_owned(), help));
    }
    Ok(Target { host: host.to_owned(), port, name, resolver: inputs.resolver.clone(), cas })
}

fn done(inputs: &Inputs, shown: &[Facts]) -> Done<Outputs> {
    let own = shown.first().expect("a handshake that succeeded has shown a certificate");
    let outputs = Outputs {
        subject: own.subject.clone(),
        issuer: own.issuer.clone(),
        not_after: rfc3339(own.not_after),
        sans: own.sans.clone(),
    };
    let summary = format!(
        "{} shows {}, issued by {}, valid until {}",
        inputs.address,
        own.subject,
        own.issuer,
        own.not_after.date()
    );
    Done::same(outputs, summary)
}

fn change(inputs: &Inputs, action: ChangeAction) -> Change {
    let object = format!("TLS handshake with {}", inputs.address);
    Change { object, action, certainty: Certainty::Schema, fields: Vec::new(), conflict: None, waits_for: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::records::Records;
    use crate::pki::bundle::{Bundle, new_key};
    use crate::pki::issue::{self, CaWanted, LeafNames};
    use crate::testing::{Rig, World, runs_twice, undone_twice};
    use sandbox::dns::{Zone, ZoneSettings};
    use sandbox::tls::{Endpoint, Identity};
    use serde_json::{Value, json};
    use steps_sdk::{ErrorClass, Secret};

    const DAY: Duration = Duration::from_secs(86_400);

    fn ca(name: &str, issued: OffsetDateTime) -> Bundle {
        issue::ca(new_key().unwrap(), &CaWanted { common_name: name, path_length: None, valid: 10 * DAY }, issued)
            .unwrap()
    }

    fn leaf(ca: &Bundle, issued: OffsetDateTime) -> Bundle {
        let dns = ["api.demo.test".parse().unwrap()];
        let ips = ["127.0.0.1".parse().unwrap()];
        let names = LeafNames { common_name: "api", dns: &dns, ips: &ips, for_servers: true, for_clients: false };
        issue::leaf(new_key().unwrap(), &names, ca, issued, issued + DAY).unwrap()
    }

    fn identity(leaf: &Bundle) -> Identity {
        Identity::Pem { certificates: leaf.chain_pem().into(), key: leaf.key_pem().expose().to_vec() }
    }

    fn inputs(endpoint: &Endpoint, ca: &Bundle) -> Value {
        json!({ "address": endpoint.address().to_string(), "ca": ca.certificate_pem() })
    }

    /// A rig whose calls may take no longer than one attempt.
    fn impatient() -> Rig {
        Rig::new().with_limit(Duration::from_millis(600))
    }

    #[tokio::test]
    async fn what_is_trusted_is_reported_and_nothing_is_changed() {
        let now = OffsetDateTime::now_utc();
        let ca = ca("ca", now);
        let endpoint = Endpoint::serve(identity(&leaf(&ca, now))).await.unwrap();
        let world = World { rig: Rig::new(), inputs: inputs(&endpoint, &ca), outside: () };
        let outcome = runs_twice(&Check, &world).await;
        assert!(outcome.same);
        assert_eq!((&outcome.outputs["subject"], &outcome.outputs["issuer"]), (&json!("CN=api"), &json!("CN=ca")));
        assert_eq!(outcome.outputs["sans"], json!(["127.0.0.1", "api.demo.test"]));
        assert_eq!(world.rig.verify(&Check, &world.inputs, None).await.unwrap(), Verdict::Intact);
        let (first, second) = undone_twice(&Check, &world).await;
        assert_eq!(first, second);
    }

    #[tokio::test]
    async fn each_reason_not_to_trust_has_its_own_code_and_shows_what_was_presented() {
        let now = OffsetDateTime::now_utc();
        let (good, other, namesake) = (ca("ca", now), ca("other", now), ca("ca", now));
        let ended_ca = ca("ended", now - 20 * DAY);
        let endpoint = Endpoint::serve(identity(&leaf(&good, now))).await.unwrap();
        let named = |name: &str, ca: &Bundle| {
            let mut inputs = inputs(&endpoint, ca);
            inputs["server-name"] = json!(name);
            inputs
        };
        for (shown, inputs, code, said) in [
            (leaf(&good, now), inputs(&endpoint, &other), "T411", "issued by CN=ca, given was CN=other"),
            (leaf(&good, now), inputs(&endpoint, &namesake), "T411", "over another key"),
            (leaf(&good, now), named("root.demo.test", &good), "T412", "not valid for root.demo.test"),
            (leaf(&good, now), named("127.0.0.2", &good), "T412", "not valid for 127.0.0.2"),
            (leaf(&good, now - 3 * DAY), inputs(&endpoint, &good), "T413", "has ended"),
            (leaf(&good, now + DAY / 2), inputs(&endpoint, &good), "T413", "not valid yet"),
            (leaf(&ended_ca, now), inputs(&endpoint, &ended_ca), "T413", "CA CN=ended ended"),
        ] {
            endpoint.present(identity(&shown));
            let error = impatient().run(&Check, &inputs).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.class), (code, ErrorClass::Permanent), "{error:?}");
            assert!(error.message.contains(said) && error.help.is_some(), "{said}: {error:?}");
            if !said.starts_with("CA") {
                assert!(
                    error
                        .causes
                        .iter()
                        .any(|cause| cause.contains(&shown.facts.fingerprint) && cause.contains("api.demo.test")),
                    "{error:?}"
                );
            }
            let verdict = impatient().verify(&Check, &inputs, None).await.unwrap();
            assert!(matches!(verdict, Verdict::Drifted(_)), "{said}: {verdict:?}");
        }
    }

    #[tokio::test]
    async fn it_waits_until_the_right_certificate_is_shown_and_says_what_it_sees_meanwhile() {
        let now = OffsetDateTime::now_utc();
        let (good, other) = (ca("ca", now), ca("other", now));
        let endpoint = Endpoint::serve(identity(&leaf(&other, now))).await.unwrap();
        let (rig, inputs) = (Rig::new(), inputs(&endpoint, &good));
        let replace = async {
            crate::testing::eventually("a reason", || {
                rig.waits().iter().any(|reason| reason.contains("issued by CN=other"))
            })
            .await;
            endpoint.present(identity(&leaf(&good, now)));
        };
        let (outcome, ()) = tokio::join!(rig.run(&Check, &inputs), replace);
        assert_eq!(outcome.unwrap().outputs["issuer"], "CN=ca");
    }

    #[tokio::test]
    async fn a_name_is_looked_up_at_the_server_that_is_named() {
        let now = OffsetDateTime::now_utc();
        let ca = ca("ca", now);
        let endpoint = Endpoint::serve(identity(&leaf(&ca, now))).await.unwrap();
        let zone = Zone::serve(ZoneSettings::new("demo.test")).await.unwrap();
        let key = Secret::Env { name: "KEY".into() };
        let rig = Rig::new().with_limit(Duration::from_millis(600)).with_secret(key.clone(), zone.key().as_bytes());
        let server = zone.address().to_string();
        let inputs = json!({ "address": format!("api.demo.test:{}", endpoint.address().port()), "ca": ca.certificate_pem(), "resolver": server });
        let error = rig.run(&Check, &inputs).await.unwrap_err();
        assert!(error.code == "T410" && error.message.contains("no address of api.demo.test"), "{error:?}");
        let records = json!([{ "type": "CNAME", "name": "api.demo.test", "value": "lb.demo.test" }, { "type": "A", "name": "lb.demo.test", "value": "127.0.0.1" }]);
        rig.beside("dns")
            .run(
                &Records::default(),
                &json!({ "zone": { "name": "demo.test", "server": server, "key": key }, "record": records }),
            )
            .await
            .unwrap();
        assert_eq!(rig.run(&Check, &inputs).await.unwrap().outputs["subject"], "CN=api");
    }

    #[tokio::test]
    async fn what_cannot_be_reached_or_is_no_tls_server_may_come_later() {
        let now = OffsetDateTime::now_utc();
        let ca = ca("ca", now);
        let gone = Endpoint::serve(identity(&leaf(&ca, now))).await.unwrap();
        let dead = inputs(&gone, &ca);
        drop(gone);
        let not_ready = Endpoint::serve(Identity::file("/nonexistent/leaf.pem")).await.unwrap();
        for (inputs, codes) in [(dead, ["T410", "T410"]), (inputs(&not_ready, &ca), ["T414", "T410"])] {
            let error = impatient().run(&Check, &inputs).await.unwrap_err();
            assert!(codes.contains(&error.code.as_str()), "{error:?}");
            assert_eq!(error.class, ErrorClass::Transient, "{error:?}");
        }
    }

    #[tokio::test]
    async fn inputs_that_can_never_hold_end_it_at_once() {
        let ca = ca("ca", OffsetDateTime::now_utc()).certificate_pem();
        for inputs in [
            json!({ "address": "api.demo.test", "ca": ca }),
            json!({ "address": "api.demo.test:https", "ca": ca }),
            json!({ "address": "127.0.0.1:1", "ca": ca, "server-name": "a b" }),
            json!({ "address": "127.0.0.1:1", "ca": "" }),
            json!({ "address": "127.0.0.1:1", "ca": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }),
        ] {
            let error = Rig::new().run(&Check, &inputs).await.unwrap_err();
            assert_eq!((error.code.as_str(), error.not_started), ("T415", true), "{inputs}: {error:?}");
        }
    }

    #[tokio::test]
    async fn it_stops_when_it_is_told_to() {
        let ca = ca("ca", OffsetDateTime::now_utc()).certificate_pem();
        let rig = Rig::new();
        let inputs = json!({ "address": "127.0.0.1:1", "ca": ca });
        let stop = async {
            crate::testing::eventually("a reason", || !rig.waits().is_empty()).await;
            rig.cancel.cancel();
        };
        let (outcome, ()) = tokio::join!(rig.run(&Check, &inputs), stop);
        assert_eq!(outcome.unwrap_err().code, "E130");
    }
}
