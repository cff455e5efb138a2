//! One handshake with one endpoint, verified against the given CAs and nothing else.
//!
//! What the endpoint showed is kept even when it is not trusted: that is what a person needs to see.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use steps_sdk::StepError;
use steps_sdk::context::StepContext;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::classify::Trouble;
use crate::dns::client::Client;
use crate::dns::resolve;
use crate::dns::wanted::absolute;
use crate::pki::certificate::Facts;

/// No attempt takes longer than this.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(5);

/// Whom to call, and what has to be shown.
pub struct Target {
    pub host: String,
    pub port: u16,
    /// The name for which the certificate must be valid.
    pub name: ServerName<'static>,
    /// Where the host name is looked up; the system's resolver without it.
    pub resolver: Option<String>,
    pub cas: Vec<CertificateDer<'static>>,
}

/// What the endpoint showed, its own certificate first.
pub type Shown = Vec<Facts>;

/// Connects, shakes hands and says good-bye. The inner error is about the endpoint and may pass.
pub async fn shake_hands(cx: &StepContext, target: &Target) -> Result<Result<Shown, Trouble>, StepError> {
    let addresses = match addresses(cx, target).await? {
        Ok(addresses) => addresses,
        Err(trouble) => return Ok(Err(trouble)),
    };
    let limit = ATTEMPT_MAX.min(cx.clock.remaining());
    let mut last = Err(Trouble::NoAddress { host: target.host.clone(), resolver: target.resolver.clone() });
    for address in addresses {
        last = tokio::select! {
            answered = tokio::time::timeout(limit, at(address, target)) => answered.unwrap_or_else(|_| Err(Trouble::Silent { address, seconds: limit.as_secs() })),
            () = cx.cancel.cancelled() => return Err(StepError::transient("E130", format!("stopped while {address} was asked for its certificate"))),
        };
        // Another address is another way to the same endpoint: it helps against a broken way, not against a wrong certificate.
        if !matches!(last, Err(Trouble::Unreachable { .. } | Trouble::Silent { .. })) {
            break;
        }
    }
    Ok(last)
}

async fn addresses(cx: &StepContext, target: &Target) -> Result<Result<Vec<SocketAddr>, Trouble>, StepError> {
    let with_port = |address: IpAddr| SocketAddr::new(address, target.port);
    if let Ok(address) = target.host.parse::<IpAddr>() {
        return Ok(Ok(vec![with_port(address)]));
    }
    let Some(resolver) = &target.resolver else {
        let looked_up = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
        return Ok(looked_up
            .map(Iterator::collect)
            .map_err(|error| Trouble::Lookup { host: target.host.clone(), error }));
    };
    let host = target.host.parse().map_err(|e| Trouble::Inputs {
        reason: format!("`{}` is not a host name: {e}", target.host),
        help: "write `address` as HOST:PORT",
    })?;
    let found = resolve::addresses(&mut Client::new(cx, resolver), &absolute(&host)?).await;
    Ok(match found {
        Ok(addresses) => Ok(addresses.into_iter().map(with_port).collect()),
        Err(error) if cx.cancel.is_cancelled() => return Err(error),
        Err(error) => Err(Trouble::Resolver { error }),
    })
}

async fn at(address: SocketAddr, target: &Target) -> Result<Shown, Trouble> {
    let witness = Arc::new(Witness::of(&target.cas)?);
    let config = config(&witness);
    let stream = TcpStream::connect(address).await.map_err(|error| Trouble::Unreachable { address, error })?;
    let connected = TlsConnector::from(Arc::new(config)).connect(target.name.clone(), stream).await;
    let shown = witness.shown();
    match connected {
        Ok(mut stream) => {
            // The certificate was verified; how the endpoint takes the good-bye is not our concern.
            let _ = stream.shutdown().await;
            Ok(shown)
        }
        Err(error) => Err(refused(address, target, shown, error)),
    }
}

/// A client's settings: verified by the witness, without a certificate of its own.
pub(crate) fn config(witness: &Arc<Witness>) -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for the default versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(witness) as Arc<_>)
        .with_no_client_auth()
}

fn refused(address: SocketAddr, target: &Target, shown: Shown, error: io::Error) -> Trouble {
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match reason {
        Some(rustls::Error::InvalidCertificate(reason)) => {
            let cas = target.cas.iter().filter_map(|ca| Facts::read(ca).ok()).collect();
            Trouble::NotTrusted {
                address,
                name: target.name.to_str().into_owned(),
                reason: Box::new(reason.clone()),
                shown,
                cas,
            }
        }
        _ => Trouble::Handshake { address, error },
    }
}

/// Verifies as a strict client does, and remembers what it was shown.
#[derive(Debug)]
pub(crate) struct Witness {
    strict: Arc<WebPkiServerVerifier>,
    shown: Mutex<Shown>,
}

impl Witness {
    fn of(cas: &[CertificateDer<'static>]) -> Result<Witness, Trouble> {
        let unusable = |reason: String| Trouble::Inputs {
            reason,
            help: "pass the certificate of a CA as PEM text, for instance the output `certificate` of a `pki.ca` step",
        };
        let mut roots = RootCertStore::empty();
        for ca in cas {
            roots.add(ca.clone()).map_err(|e| unusable(format!("`ca` cannot be used: {e}")))?;
        }
        Witness::over(Arc::new(roots)).map_err(|e| unusable(format!("`ca` cannot be used: {e}")))
    }

    /// Trusts these CAs and no other.
    pub(crate) fn over(roots: Arc<RootCertStore>) -> Result<Witness, VerifierBuilderError> {
        let strict = WebPkiServerVerifier::builder_with_provider(roots, provider()).build()?;
        Ok(Witness { strict, shown: Mutex::default() })
    }

    pub(crate) fn shown(&self) -> Shown {
        self.shown.lock().expect("no code panics while it holds what was shown").clone()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = std::iter::once(own).chain(above).filter_map(|der| Facts::read(der).ok()).collect();
        *self.shown.lock().expect("no code panics while it holds what was shown") = shown;
        self.strict.verify_server_cert(own, above, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls12_signature(message, own, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        own: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.strict.verify_tls13_signature(message, own, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}
