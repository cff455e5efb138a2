//! An endpoint on loopback that shows a certificate and then says good-bye.
//!
//! The certificate is read anew for every connection: what a step writes while the endpoint runs is shown from the next connection
//! on. Until there is one, connections are closed before the handshake, as by a server that is not ready.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, crypto::ring};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A client that says nothing for this long is left.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Where the certificate chain and its key come from.
#[derive(Clone)]
pub enum Identity {
    /// PEM files; both may be one file that holds the chain and the key.
    Files { certificates: PathBuf, key: PathBuf },
    /// PEM text.
    Pem { certificates: Vec<u8>, key: Vec<u8> },
}

impl Identity {
    /// One PEM file that holds the chain and the key, as `pki.leaf` writes it.
    pub fn file(path: impl Into<PathBuf>) -> Identity {
        let path = path.into();
        Identity::Files { certificates: path.clone(), key: path }
    }
}

/// An endpoint that is being served. Dropping it stops it, connections included.
pub struct Endpoint {
    address: SocketAddr,
    show: tokio::sync::watch::Sender<Identity>,
    _serving: JoinSet<()>,
}

impl Endpoint {
    /// Serves on a port of 127.0.0.1 that the operating system chooses.
    pub async fn serve(identity: Identity) -> io::Result<Endpoint> {
        Endpoint::serve_on((Ipv4Addr::LOCALHOST, 0).into(), identity).await
    }

    /// Serves on this address. When this returns, connections are accepted.
    pub async fn serve_on(listen: SocketAddr, identity: Identity) -> io::Result<Endpoint> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let (show, shown) = tokio::sync::watch::channel(identity);
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, shown));
        Ok(Endpoint { address, show, _serving: serving })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows another identity from the next connection on.
    pub fn present(&self, identity: Identity) {
        self.show.send_replace(identity);
    }
}

async fn accept(listener: TcpListener, shown: tokio::sync::watch::Receiver<Identity>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let identity = shown.borrow().clone();
                    connections.spawn(async move {
                        if let Err(error) = tokio::time::timeout(SILENCE_MAX, greet(stream, identity)).await.unwrap_or_else(|late| Err(late.into())) {
                            tracing::debug!(%error, "the sandbox's endpoint closed a connection early");
                        }
                    });
                }
                // Such as too many open files: it passes, and must not become a loop that takes the processor.
                Err(error) => {
                    tracing::warn!(%error, "the sandbox's endpoint cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// The handshake, then an orderly end from both sides.
async fn greet(stream: TcpStream, identity: Identity) -> io::Result<()> {
    let mut stream = TlsAcceptor::from(config(&identity)?).accept(stream).await?;
    stream.shutdown().await?;
    // Reading until the client's end: closing with unread bytes would reset the connection under the client.
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

fn config(identity: &Identity) -> io::Result<Arc<ServerConfig>> {
    let (certificates, key) = match identity {
        Identity::Files { certificates, key } => (std::fs::read(certificates)?, std::fs::read(key)?),
        Identity::Pem { certificates, key } => (certificates.clone(), key.clone()),
    };
    let chain =
        CertificateDer::pem_slice_iter(&certificates).collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(io::Error::other)?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, RootCertStore};
    use tokio_rustls::TlsConnector;

    /// A certificate of its own authority for `localhost`, and what a client must trust.
    fn identity() -> (String, String, RootCertStore) {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(issued.cert.der().clone()).unwrap();
        (issued.cert.pem(), issued.signing_key.serialize_pem(), roots)
    }

    async fn shake_hands(address: SocketAddr, roots: RootCertStore) -> io::Result<()> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(address).await?;
        let mut stream =
            TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await?;
        // An orderly end: without the server's good-bye this is an error.
        assert_eq!(stream.read(&mut [0; 8]).await?, 0);
        stream.shutdown().await
    }

    #[tokio::test]
    async fn a_file_that_is_written_later_is_shown_from_then_on() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("leaf.pem");
        let endpoint = Endpoint::serve(Identity::file(&path)).await.unwrap();
        for _ in 0..2 {
            let (certificate, key, roots) = identity();
            assert!(shake_hands(endpoint.address(), roots.clone()).await.is_err(), "not this one yet");
            std::fs::write(&path, certificate + &key).unwrap();
            shake_hands(endpoint.address(), roots).await.unwrap();
        }
    }

    #[tokio::test]
    async fn another_identity_is_shown_when_that_is_asked_for() {
        let (certificates, key, first) = identity();
        let endpoint =
            Endpoint::serve(Identity::Pem { certificates: certificates.into(), key: key.into() }).await.unwrap();
        shake_hands(endpoint.address(), first.clone()).await.unwrap();
        let (certificates, key, second) = identity();
        endpoint.present(Identity::Pem { certificates: certificates.into(), key: key.into() });
        shake_hands(endpoint.address(), second).await.unwrap();
        assert!(shake_hands(endpoint.address(), first).await.is_err());
    }

    #[tokio::test]
    async fn a_dropped_endpoint_accepts_no_more() {
        let (certificates, key, _) = identity();
        let endpoint =
            Endpoint::serve(Identity::Pem { certificates: certificates.into(), key: key.into() }).await.unwrap();
        let address = endpoint.address();
        drop(endpoint);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while TcpStream::connect(address).await.is_ok() {
            assert!(tokio::time::Instant::now() < deadline, "it still accepts");
            tokio::task::yield_now().await;
        }
    }
}
