//! What `pki.leaf` takes, and the leaf that follows from it at this moment; whether a certificate that is there still is that leaf.
//!
//! Pure: what is there is read in `place.rs`, and signed in `issue.rs`.

use std::net::IpAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use steps_sdk::outcome::FieldChange;
use steps_sdk::value::Hostname;
use steps_sdk::{Certainty, Change, ChangeAction, StepError};
use time::OffsetDateTime;

use super::bundle::Bundle;
use super::ca::CaRef;
use super::certificate::{self, Facts, rfc3339};
use super::classify::Trouble;
use super::issue::{BACKDATED, LeafNames};
use super::leaf::{FileTarget, Inputs, SigningCa, Usage};
use super::place::{Found, Place};
use crate::file::replace::Mode;

/// The leaf as the inputs want it now.
pub struct Wanted {
    pub ca: CaRef,
    ca_facts: Facts,
    ca_chain_pem: String,
    pub common_name: String,
    dns: Vec<Hostname>,
    ips: Vec<IpAddr>,
    usage: Usage,
    valid: Duration,
    renew_before: Duration,
    pub target: Place,
    pub now: OffsetDateTime,
    /// When a certificate issued now would end.
    pub not_after: OffsetDateTime,
}

impl Wanted {
    pub fn of(inputs: Inputs, now: OffsetDateTime) -> Result<Wanted, StepError> {
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

    pub fn names(&self) -> LeafNames<'_> {
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
    pub fn reason_to_issue(&self, bundle: &Bundle) -> Option<String> {
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
        let whole = self.valid + BACKDATED;
        let lasts = facts.not_after - facts.not_before;
        let is_cut_to_ca = facts.not_after == self.ca_facts.not_after && lasts < whole;
        if lasts != whole && !is_cut_to_ca {
            return Some("`valid` changed".to_owned());
        }
        // A certificate that ends with its CA cannot be made to last longer by issuing it again.
        let is_due = facts.not_after - self.now < self.renew_before && facts.not_after < self.not_after;
        is_due.then(|| format!("it ends at {}", rfc3339(facts.not_after)))
    }

    pub fn change_from(&self, found: &Found) -> Change {
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

    pub fn summary(&self, bundle: &Bundle) -> String {
        let cut = if bundle.facts.not_after == self.ca_facts.not_after { " (as its CA)" } else { "" };
        format!(
            "certificate `{}` in {}, valid until {}{cut}",
            self.common_name,
            self.target,
            bundle.facts.not_after.date()
        )
    }
}

fn ca_facts(chain: &[CertificateDer<'static>], now: OffsetDateTime) -> Result<Facts, StepError> {
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
