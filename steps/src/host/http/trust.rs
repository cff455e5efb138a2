//! Which CAs are trusted: those of the machine.
//!
//! They come from the system's store, or from the files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name instead, as other programs read
//! them: a private CA is made known there, and an administrator who has taken a CA away is not overruled. Only a machine
//! that has no store at all (a container made of nothing but this program) falls back to the list of Mozilla.

use std::sync::Arc;

use rustls::RootCertStore;

/// The CAs that are trusted, and where they come from.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    pub(super) roots: Arc<RootCertStore>,
    /// Readable after "among".
    pub(super) origin: String,
}

impl Trust {
    /// Reads the machine's store. Certificates that cannot be used are left out, as old ones in such stores are.
    pub(super) fn of_machine() -> Trust {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "part of the machine's store of CAs cannot be read");
        }
        let (usable, _) = roots.add_parsable_certificates(found.certs);
        if usable == 0 {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            let origin = format!("the {} CAs of Mozilla's list (this machine has no store of its own)", roots.len());
            return Trust { roots: Arc::new(roots), origin };
        }
        Trust { roots: Arc::new(roots), origin: format!("the {usable} CAs that this machine trusts") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_somebody_to_trust() {
        let trust = Trust::of_machine();
        assert!(!trust.roots.is_empty() && trust.origin.contains("CAs"), "{}", trust.origin);
    }
}
