//! Opens secrets for steps, and keeps sealed what they generate.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use steps_sdk::context::{ClusterHandle, SecretBytes};
use steps_sdk::{Secret, StepError};

use crate::cluster;
use crate::seal::{Keystore, SealError};

/// Where the secrets of a run come from.
pub struct SecretStore {
    /// The environment as it was when the process began.
    environment: BTreeMap<String, String>,
    /// What relative paths of secret files start from: the workflow's directory.
    base: PathBuf,
    clusters: BTreeMap<String, ClusterHandle>,
    keystore: Arc<Keystore>,
}

const CLUSTER_READ_LIMIT: Duration = Duration::from_secs(30);

impl SecretStore {
    pub fn new(
        environment: BTreeMap<String, String>,
        base: PathBuf,
        clusters: BTreeMap<String, ClusterHandle>,
        keystore: Arc<Keystore>,
    ) -> SecretStore {
        SecretStore { environment, base, clusters, keystore }
    }

    pub async fn open(&self, secret: &Secret) -> Result<SecretBytes, StepError> {
        match secret {
            Secret::Env { name } => in_environment(&self.environment, name),
            Secret::File { path } => {
                let (base, path) = (self.base.clone(), path.clone());
                let reading = tokio::task::spawn_blocking(move || in_file(&base, &path));
                reading.await.expect("reading a file does not panic")
            }
            Secret::K8s { cluster, namespace, name, key } => self.in_cluster(cluster, namespace, name, key).await,
            Secret::Sealed { owner, name } => {
                let kept = self.kept(owner, name).await?;
                kept.ok_or_else(|| StepError::permanent("S006", format!("the keystore has no `{name}` of {owner}")))
            }
        }
    }

    /// What is kept sealed under an owner key and a name, if anything.
    pub async fn kept(&self, owner: &str, name: &str) -> Result<Option<SecretBytes>, StepError> {
        let (keystore, owner, name) = (Arc::clone(&self.keystore), owner.to_owned(), name.to_owned());
        blocking(move || keystore.kept(&owner, &name)).await
    }

    /// Returns when the sealed bytes are on disk.
    pub async fn keep(&self, owner: &str, name: &str, bytes: SecretBytes) -> Result<(), StepError> {
        let (keystore, owner, name) = (Arc::clone(&self.keystore), owner.to_owned(), name.to_owned());
        blocking(move || keystore.keep(&owner, &name, &bytes)).await
    }

    async fn in_cluster(
        &self,
        cluster: &str,
        namespace: &str,
        name: &str,
        key: &str,
    ) -> Result<SecretBytes, StepError> {
        let handle = self
            .clusters
            .get(cluster)
            .ok_or_else(|| StepError::permanent("C001", format!("cluster `{cluster}` is not open")).not_started())?;
        let client = handle.client();
        let read = cluster::secret::read_key(&client, namespace, name, key);
        tokio::time::timeout(CLUSTER_READ_LIMIT, read).await.unwrap_or_else(|_| {
            Err(StepError::transient(
                "C012",
                format!("cluster `{cluster}` did not answer within {} s", CLUSTER_READ_LIMIT.as_secs()),
            )
            .not_started())
        })
    }
}

/// A variable of the engine's own environment.
pub fn in_environment(environment: &BTreeMap<String, String>, name: &str) -> Result<SecretBytes, StepError> {
    match environment.get(name) {
        Some(value) if !value.is_empty() => Ok(SecretBytes::new(value.clone().into_bytes())),
        found => {
            let state = if found.is_some() { "empty" } else { "not set" };
            Err(StepError::needs_person("S001", format!("the environment variable {name} is {state}"))
                .help(format!("set {name} for the engine's process, then resume"))
                .not_started())
        }
    }
}

/// A file, whose relative path starts at `base`. Blocks.
pub fn in_file(base: &Path, path: &str) -> Result<SecretBytes, StepError> {
    let mut bytes = std::fs::read(base.join(path)).map_err(|e| {
        StepError::needs_person("S002", format!("the secret file {path} cannot be read"))
            .caused_by(&e)
            .help("paths are relative to the workflow's file")
            .not_started()
    })?;
    // An editor ends a file with a line break; it is no part of the secret.
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(SecretBytes::new(bytes))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SealError> + Send + 'static,
) -> Result<T, StepError> {
    let result = tokio::task::spawn_blocking(work).await.expect("the keystore does not panic");
    result.map_err(|e| {
        StepError::needs_person("S003", "the keystore refused").caused_by(&e).help("see `engine explain S003`")
    })
}
