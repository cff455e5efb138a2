//! A private key with the certificates that belong to it, and its form as PEM text.

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use steps_sdk::context::SecretBytes;

use super::certificate::{self, Facts};

/// A key, its certificate, and the certificates above that one. It has no `Debug`: it holds a private key.
pub struct Bundle {
    pub key: KeyPair,
    /// From the key's own certificate up to the CA; never empty.
    chain: Vec<CertificateDer<'static>>,
    /// What the key's own certificate says.
    pub facts: Facts,
}

impl Bundle {
    /// Joins a key and its chain; the error says in words what does not fit.
    pub fn join(key: KeyPair, chain: Vec<CertificateDer<'static>>) -> Result<Bundle, String> {
        let own = chain.first().ok_or("there is no certificate beside the key")?;
        let facts = Facts::read(own)?;
        if facts.public_key != key.subject_public_key_info() {
            return Err(format!("the private key does not belong to the certificate of {}", facts.subject));
        }
        Ok(Bundle { key, chain, facts })
    }

    /// Reads the key and every certificate out of PEM text, in whatever order they stand.
    pub fn from_pem(pem: &[u8]) -> Result<Bundle, String> {
        Bundle::from_parts(pem, pem)
    }

    pub fn from_parts(certificates: &[u8], key: &[u8]) -> Result<Bundle, String> {
        Bundle::join(key_from_pem(key)?, certificates_from_pem(certificates)?)
    }

    /// Certificates first, then the key.
    pub fn to_pem(&self) -> SecretBytes {
        let mut text = self.chain_pem().into_bytes();
        text.extend_from_slice(self.key_pem().expose());
        SecretBytes::new(text)
    }

    pub fn key_pem(&self) -> SecretBytes {
        SecretBytes::new(self.key.serialize_pem().into_bytes())
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }

    pub fn certificate_pem(&self) -> String {
        certificate::pem(self.certificate())
    }

    pub fn chain_pem(&self) -> String {
        self.chain.iter().map(certificate::pem).collect()
    }

    /// The certificate at the top of the chain.
    pub fn top_pem(&self) -> String {
        self.chain.last().map(certificate::pem).unwrap_or_default()
    }

    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }
}

/// A new key: ECDSA on P-256, which every TLS library takes.
pub fn new_key() -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
}

/// The first private key in PEM text. Errors do not show the text.
pub fn key_from_pem(pem: &[u8]) -> Result<KeyPair, String> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem)
        .map_err(|_| "there is no PKCS #8 private key (`BEGIN PRIVATE KEY`) in it")?;
    KeyPair::try_from(&der).map_err(|_| "its private key is of a kind that cannot be used here".to_owned())
}

/// Every certificate in PEM text, in order.
pub fn certificates_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|e| format!("its certificates cannot be read: {e}"))
}
