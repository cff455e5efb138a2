//! One connection to one checked address: TCP, and TLS over it for `https`.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::CertificateError;
use rustls::client::Resumption;
use steps_sdk::host::HttpError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::target::Target;
use super::trust::Trust;
use crate::tls::classify::presented;
use crate::tls::handshake::{Shown, Witness, config};

/// How long one address is tried when there is another.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A connection, plain or secured.
pub(super) enum Line {
    Plain(TcpStream),
    Secured(Box<TlsStream<TcpStream>>),
}

/// Connects to the first address that answers. `trust` is asked only for `https`.
pub(super) async fn connect(
    target: &Target,
    addresses: &[SocketAddr],
    trust: impl AsyncFnOnce() -> Trust,
) -> Result<Line, HttpError> {
    let (address, stream) = reach(target, addresses).await?;
    if !target.is_tls {
        return Ok(Line::Plain(stream));
    }
    let trust = trust().await;
    let name = target.server_name()?;
    let witness = Witness::over(Arc::clone(&trust.roots))
        .map_err(|e| HttpError::Tls(format!("the trusted CAs cannot be used: {e}")))?;
    let witness = Arc::new(witness);
    let mut config = config(&witness);
    // One connection for one request: nothing is kept that could tie two steps together.
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(stream) => Ok(Line::Secured(Box::new(stream))),
        Err(error) => Err(HttpError::Tls(distrust(target, address, &witness.shown(), &trust, &error))),
    }
}

async fn reach(target: &Target, addresses: &[SocketAddr]) -> Result<(SocketAddr, TcpStream), HttpError> {
    let mut failures = Vec::new();
    for (place, address) in addresses.iter().enumerate() {
        let is_last = place + 1 == addresses.len();
        let connecting = TcpStream::connect(*address);
        // The last one has all the time that is left: the deadline of the whole exchange ends it.
        let connected = match is_last {
            true => connecting.await,
            false => tokio::time::timeout(CONNECT_MAX, connecting).await.unwrap_or_else(|_| {
                Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", CONNECT_MAX.as_secs())))
            }),
        };
        match connected {
            Ok(stream) => return Ok((*address, stream)),
            Err(error) => failures.push(format!("{address}: {error}")),
        }
    }
    Err(HttpError::Connect(format!("cannot connect to {}: {}", target.host(), failures.join("; "))))
}

/// What is wrong with the handshake, with what was shown.
fn distrust(target: &Target, address: SocketAddr, shown: &Shown, trust: &Trust, error: &io::Error) -> String {
    let host = target.host();
    let reason = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::InvalidCertificate(reason)) = reason else {
        return format!("the handshake with {host} ({address}) failed: {error}");
    };
    let whose = format!("the certificate of {host} ({address})");
    let words = match reason {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("{whose} is not valid for {host}")
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => format!("{whose} has ended"),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            format!("{whose} is not valid yet; compare the clocks")
        }
        CertificateError::UnknownIssuer => {
            let issuer = shown.iter().rev().map(|facts| facts.issuer.as_str()).next().unwrap_or("somebody unknown");
            format!(
                "{whose} was issued by {issuer}, which is not among {}; for a private CA add its certificate to the machine's \
                 store, or name a file with all trusted CAs in SSL_CERT_FILE",
                trust.origin
            )
        }
        other => format!("{whose} is not accepted: {other}"),
    };
    shown.first().map_or(words.clone(), |own| format!("{words} ({})", presented(own)))
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Line::Secured(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Line::Secured(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Line::Secured(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Line::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Line::Secured(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
