//! Kubeconfig files and bundles of authorities: the Secrets that the operator writes itself, cert-manager aside.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::names::owned;
use crate::control::{World, namespace};

/// How a kubeconfig's client shows who it is, and whom it trusts.
pub enum Trust<'a> {
    /// By files of the Pod: they are where the Pod mounts them and nowhere else.
    Files { authority: &'a str, client: &'a str },
    /// By base64 of PEM, as it is in Secrets.
    Embedded { authority: &'a str, certificate: &'a str, key: &'a str },
}

/// A kubeconfig as text: one cluster and one context for each (name, server), the first of which is current.
pub fn kubeconfig(servers: &[(&str, String)], trust: &Trust<'_>) -> String {
    let (authority, user) = match trust {
        Trust::Files { authority, client } => (
            ("certificate-authority", *authority),
            json!({ "client-certificate": format!("{client}/tls.crt"), "client-key": format!("{client}/tls.key") }),
        ),
        Trust::Embedded { authority, certificate, key } => (
            ("certificate-authority-data", *authority),
            json!({ "client-certificate-data": certificate, "client-key-data": key }),
        ),
    };
    let mut clusters = Vec::new();
    let mut contexts = Vec::new();
    for (called, server) in servers {
        clusters.push(json!({ "name": called, "cluster": { "server": server, authority.0: authority.1 } }));
        contexts.push(json!({ "name": called, "context": { "cluster": called, "user": "user" } }));
    }
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": clusters,
        "contexts": contexts,
        "current-context": servers.first().map(|(called, _)| *called),
        "users": [{ "name": "user", "user": user }],
    })
    .to_string()
}

/// A Secret with one key.
pub fn secret(owner: &Value, called: &str, key: &str, content: &[u8]) -> Value {
    let rest = json!({ "type": "Opaque", "data": { key: STANDARD.encode(content) } });
    owned(owner, "v1", "Secret", called, rest)
}

/// The certificates in `tls.crt` of these Secrets, one after the other; nothing while one of them is missing.
pub fn merged(world: &World, owner: &Value, secrets: &[&str]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    for called in secrets {
        let pem = STANDARD.decode(world.secret(namespace(owner), called, "tls.crt")?).ok()?;
        all.extend_from_slice(pem.trim_ascii());
        all.push(b'\n');
    }
    Some(all)
}
