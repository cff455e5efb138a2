//! Questions to servers that come up: plain HTTP for etcd, HTTPS with the administrator's certificate for an API server. One request
//! on one connection, with a limit; a lab asks so little that a client library would be more to read than this.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;

use super::certificates::{Certificates, Client};
use super::error::LabError;

/// For connecting, and for each read.
const LIMIT: Duration = Duration::from_secs(3);

/// The administrator of one API server.
pub struct Admin {
    server: SocketAddrV4,
    tls: Arc<ClientConfig>,
}

impl Admin {
    pub fn new(server: SocketAddrV4, certificates: &Certificates) -> Result<Admin, LabError> {
        let read =
            |file: std::path::PathBuf| fs::read(&file).map_err(LabError::file(format!("read {}", file.display())));
        let (authority, certificate, key) = (
            read(certificates.authority())?,
            read(certificates.certificate(Client::Admin.file()))?,
            read(certificates.key(Client::Admin.file()))?,
        );
        let tls = config(&authority, &certificate, &key)
            .map_err(|source| LabError::Tls { server: server.to_string(), source })?;
        Ok(Admin { server, tls: Arc::new(tls) })
    }

    /// The body of a successful answer; everything else in words.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, String> {
        let (session, socket) = self.connect()?;
        exchange(StreamOwned::new(session, socket), &request("GET", path, ""), b"")
    }

    /// Makes an object below a path, unless there is one of its name already.
    pub fn create(&self, path: &str, content_type: &str, object: &[u8]) -> Result<(), String> {
        let (session, socket) = self.connect()?;
        let head = format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", object.len());
        match exchange(StreamOwned::new(session, socket), &request("POST", path, &head), object) {
            Err(said) if !said.contains(" 409 ") => Err(said),
            _made_or_there => Ok(()),
        }
    }

    fn connect(&self) -> Result<(ClientConnection, TcpStream), String> {
        let name = ServerName::IpAddress(IpAddr::V4(*self.server.ip()).into());
        let session = ClientConnection::new(self.tls.clone(), name).map_err(|error| error.to_string())?;
        let socket = connect(self.server).map_err(|error| error.to_string())?;
        Ok((session, socket))
    }

    /// An object, as JSON.
    pub fn object(&self, path: &str) -> Result<Value, String> {
        serde_json::from_slice(&self.get(path)?).map_err(|error| error.to_string())
    }
}

/// The body of a successful answer over plain HTTP.
pub fn get(server: SocketAddrV4, path: &str) -> Result<Vec<u8>, String> {
    exchange(connect(server).map_err(|error| error.to_string())?, &request("GET", path, ""), b"")
}

fn config(authority: &[u8], certificate: &[u8], key: &[u8]) -> Result<ClientConfig, rustls::Error> {
    let unreadable = |error: rustls::pki_types::pem::Error| rustls::Error::General(error.to_string());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority).map_err(unreadable)?)?;
    let certificate = CertificateDer::from_pem_slice(certificate).map_err(unreadable)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(unreadable)?;
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate], key)
}

fn connect(server: SocketAddrV4) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&SocketAddr::V4(server), LIMIT)?;
    socket.set_read_timeout(Some(LIMIT))?;
    socket.set_write_timeout(Some(LIMIT))?;
    Ok(socket)
}

/// The head of a request in HTTP 1.0, since its answer simply goes on to the end of the connection.
fn request(method: &str, path: &str, more: &str) -> String {
    format!("{method} {path} HTTP/1.0\r\nAccept: application/json, */*\r\n{more}\r\n")
}

fn exchange(mut stream: impl Read + Write, head: &str, body_sent: &[u8]) -> Result<Vec<u8>, String> {
    let mut answer = Vec::new();
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body_sent))
        .and_then(|()| stream.flush())
        .and_then(|()| stream.read_to_end(&mut answer))
        .map_err(|error| error.to_string())?;
    body(answer)
}

fn body(answer: Vec<u8>) -> Result<Vec<u8>, String> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("an answer without an end of its head")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let status = head.lines().next().unwrap_or_default();
    let body = answer[end + 4..].to_vec();
    if matches!(status.split(' ').nth(1), Some("200" | "201")) {
        Ok(body)
    } else {
        Err(format!("{status}: {}", String::from_utf8_lossy(&body).trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_body_or_its_status_in_words() {
        let cases = [
            ("HTTP/1.0 200 OK\r\nA: b\r\n\r\nok", Ok("ok")),
            ("HTTP/1.0 500 Broken\r\n\r\nnot yet\n", Err("HTTP/1.0 500 Broken: not yet")),
            ("HTTP/1.0 200 OK\r\n", Err("an answer without an end of its head")),
        ];
        for (answer, expected) in cases {
            let expected = expected.map(|body| body.as_bytes().to_vec()).map_err(str::to_owned);
            assert_eq!(body(answer.as_bytes().to_vec()), expected, "{answer:?}");
        }
    }
}
