//! Signs certificates. Every field is given here; nothing is left to the library, whose defaults are valid from 1975 to 4096, carry
//! its own name as subject, and derive the serial from the key, so that a renewed certificate would repeat it.

use std::net::IpAddr;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use steps_sdk::StepError;
use steps_sdk::value::Hostname;
use time::OffsetDateTime;

use super::bundle::Bundle;
use super::classify::Trouble;

/// How far before now a certificate begins, for clocks that are a little behind.
pub const BACKDATED: Duration = Duration::from_secs(5 * 60);

/// What is signed for a CA.
pub struct CaWanted<'a> {
    pub common_name: &'a str,
    pub path_length: Option<u8>,
    pub valid: Duration,
}

/// What is signed for a leaf.
pub struct LeafNames<'a> {
    pub common_name: &'a str,
    pub dns: &'a [Hostname],
    pub ips: &'a [IpAddr],
    pub for_servers: bool,
    pub for_clients: bool,
}

/// A self-signed CA over `key`.
pub fn ca(key: KeyPair, wanted: &CaWanted<'_>, now: OffsetDateTime) -> Result<Bundle, StepError> {
    let about = format!("the CA `{}`", wanted.common_name);
    let mut params = params(wanted.common_name)?;
    params.is_ca = IsCa::Ca(wanted.path_length.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (now - BACKDATED, now + wanted.valid);
    let certificate = params.self_signed(&key).map_err(|error| Trouble::Signing { about: about.clone(), error })?;
    joined(key, vec![certificate.der().clone()], &about)
}

/// A leaf over `key`, signed by `ca`; valid until `not_after`.
pub fn leaf(
    key: KeyPair,
    names: &LeafNames<'_>,
    ca: &Bundle,
    now: OffsetDateTime,
    not_after: OffsetDateTime,
) -> Result<Bundle, StepError> {
    let about = format!("`{}`", names.common_name);
    let signing = |error| Trouble::Signing { about: about.clone(), error };
    let mut params = params(names.common_name)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = [
        (names.for_servers, ExtendedKeyUsagePurpose::ServerAuth),
        (names.for_clients, ExtendedKeyUsagePurpose::ClientAuth),
    ]
    .into_iter()
    .filter_map(|(wanted, purpose)| wanted.then_some(purpose))
    .collect();
    for name in names.dns {
        params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into().map_err(signing)?));
    }
    params.subject_alt_names.extend(names.ips.iter().copied().map(SanType::IpAddress));
    (params.not_before, params.not_after) = (now - BACKDATED, not_after);
    let issuer = Issuer::from_ca_cert_der(ca.certificate(), &ca.key).map_err(signing)?;
    let certificate = params.signed_by(&key, &issuer).map_err(signing)?;
    let mut chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    chain.extend_from_slice(ca.chain());
    joined(key, chain, &about)
}

fn joined(key: KeyPair, chain: Vec<CertificateDer<'static>>, about: &str) -> Result<Bundle, StepError> {
    Bundle::join(key, chain).map_err(|reason| {
        StepError::permanent("T403", format!("cannot issue the certificate of {about}")).cause(reason)
    })
}

fn params(common_name: &str) -> Result<CertificateParams, StepError> {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    params.serial_number = Some(random_serial()?);
    params.key_identifier_method = KeyIdMethod::Sha256;
    Ok(params)
}

/// Sixteen random bytes, the first never zero and never negative as ASN.1 reads it. Random rather than derived from the step: the
/// same step issues again when its inputs change or time has passed, and no two certificates of a CA may share a serial. A run
/// that was killed before it kept the certificate has shown it to nobody, so its serial is simply lost.
fn random_serial() -> Result<SerialNumber, StepError> {
    let mut bytes = [0; 16];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| StepError::transient("T403", "the operating system gave no random bytes for a serial number"))?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}
