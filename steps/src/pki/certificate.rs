//! What a certificate says, read back from its bytes, in the words that messages and comparisons use.

use std::fmt::Write as _;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The fields of one certificate that we compare or show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// As text, for instance `CN=etcd-eu`.
    pub subject: String,
    pub issuer: String,
    pub common_name: Option<String>,
    /// DNS names and addresses as text, sorted; other kinds with their kind before a colon.
    pub sans: Vec<String>,
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
    pub is_ca: bool,
    pub path_length: Option<u32>,
    pub for_servers: bool,
    pub for_clients: bool,
    pub subject_key_id: Option<Vec<u8>>,
    pub authority_key_id: Option<Vec<u8>>,
    /// The public key with its algorithm (SubjectPublicKeyInfo, DER).
    pub public_key: Vec<u8>,
    /// SHA-256 of the whole certificate, in hexadecimal.
    pub fingerprint: String,
}

impl Facts {
    /// The error says in words where reading stopped.
    pub fn read(der: &[u8]) -> Result<Facts, String> {
        let (_, parsed) = X509Certificate::from_der(der).map_err(|e| format!("not an X.509 certificate: {e}"))?;
        let mut facts = Facts {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            common_name: parsed
                .subject()
                .iter_common_name()
                .next()
                .and_then(|name| name.as_str().ok())
                .map(str::to_owned),
            sans: Vec::new(),
            not_before: parsed.validity().not_before.to_datetime(),
            not_after: parsed.validity().not_after.to_datetime(),
            is_ca: false,
            path_length: None,
            for_servers: false,
            for_clients: false,
            subject_key_id: None,
            authority_key_id: None,
            public_key: parsed.public_key().raw.to_vec(),
            fingerprint: hex(&Sha256::digest(der)),
        };
        for extension in parsed.extensions() {
            facts.take(extension.parsed_extension());
        }
        facts.sans.sort();
        Ok(facts)
    }

    fn take(&mut self, extension: &ParsedExtension<'_>) {
        match extension {
            ParsedExtension::SubjectAlternativeName(names) => {
                self.sans = names.general_names.iter().map(san_text).collect()
            }
            ParsedExtension::BasicConstraints(constraints) => {
                self.is_ca = constraints.ca;
                self.path_length = constraints.path_len_constraint;
            }
            ParsedExtension::ExtendedKeyUsage(usage) => {
                self.for_servers = usage.server_auth;
                self.for_clients = usage.client_auth;
            }
            ParsedExtension::SubjectKeyIdentifier(id) => self.subject_key_id = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                self.authority_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec())
            }
            _ => {}
        }
    }

    /// Whether `self` was issued by the holder of `ca`, as far as names and key identifiers say.
    pub fn names_as_issuer(&self, ca: &Facts) -> bool {
        self.issuer == ca.subject && (self.authority_key_id.is_none() || self.authority_key_id == ca.subject_key_id)
    }
}

fn san_text(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => (*name).to_owned(),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(v4), _) => IpAddr::from(v4).to_string(),
            (_, Ok(v6)) => IpAddr::from(v6).to_string(),
            _ => format!("address:{}", hex(bytes)),
        },
        GeneralName::URI(uri) => format!("uri:{uri}"),
        GeneralName::RFC822Name(mail) => format!("mail:{mail}"),
        other => format!("other:{other}"),
    }
}

/// A moment in the form of RFC 3339, in UTC.
pub fn rfc3339(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).expect("the year of a certificate has four digits, and Rfc3339 refuses no other field")
}

/// The certificate as a PEM block with a final line break.
pub fn pem(der: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(der);
    let mut block = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        block.push_str(line);
        block.push('\n');
        rest = more;
    }
    block.push_str("-----END CERTIFICATE-----\n");
    block
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}
