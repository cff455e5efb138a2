//! Kubeconfigs: one with a context for each cluster, and one for each cluster alone. They are JSON, which is YAML too.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::certificates::{Certificates, Client};
use super::error::LabError;
use super::record::{Cluster, write_private};

/// The file with all contexts, in the lab's directory.
pub(super) const ALL: &str = "kubeconfig";

/// What a kubeconfig says of one cluster.
pub struct Entry {
    cluster: Value,
    user: Value,
    context: Value,
}

impl Entry {
    /// With the certificates in the file, so that it can be used from anywhere.
    pub fn new(cluster: &Cluster, certificates: &Certificates, client: Client) -> Result<Entry, LabError> {
        let name = &cluster.name;
        let authority = encoded(&certificates.authority())?;
        let certificate = encoded(&certificates.certificate(client.file()))?;
        let key = encoded(&certificates.key(client.file()))?;
        Ok(Entry {
            cluster: json!({
                "name": name,
                "cluster": { "server": cluster.server(), "certificate-authority-data": authority }
            }),
            user: json!({
                "name": name,
                "user": { "client-certificate-data": certificate, "client-key-data": key }
            }),
            context: json!({ "name": name, "context": { "cluster": name, "user": name } }),
        })
    }
}

/// Writes a kubeconfig whose current context is its first one.
pub fn write(file: &Path, entries: &[Entry]) -> Result<(), LabError> {
    let all = |of: fn(&Entry) -> &Value| entries.iter().map(of).collect::<Vec<_>>();
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": entries.first().map(|entry| &entry.context["name"]),
        "clusters": all(|entry| &entry.cluster),
        "users": all(|entry| &entry.user),
        "contexts": all(|entry| &entry.context),
    });
    write_private(file, &format!("{text:#}\n"))
}

/// Where the kubeconfig of one cluster is.
pub fn of_cluster(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.kubeconfig"))
}

fn encoded(file: &Path) -> Result<String, LabError> {
    let bytes = fs::read(file).map_err(LabError::file(format!("read {}", file.display())))?;
    Ok(STANDARD.encode(bytes))
}
