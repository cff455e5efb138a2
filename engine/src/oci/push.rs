//! Writing to a registry, which `oci-client` does.

use bytes::Bytes;
use engine_core::workflow::ArtifactPlace;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use reqwest::header::HeaderValue;

use super::artifacts::USER_AGENT;
use super::credentials::Credentials;
use super::error::OciError;
use super::manifest::{MANIFEST, Packed};
use super::pull::{self, CONNECT_TIME_MAX};

/// Puts an artifact to a place, under a tag if there is one, else under its digest alone.
pub(super) async fn push(
    place: &ArtifactPlace,
    tag: Option<&str>,
    component: &[u8],
    packed: &Packed,
    credentials: &Credentials,
) -> Result<(), OciError> {
    let failed = |error| failure(error, place, credentials);
    let client = client(place).map_err(failed)?;
    let (host, repository) = (place.host().to_owned(), place.repository().to_owned());
    let reference = match tag {
        Some(tag) => Reference::with_tag(host, repository, tag.to_owned()),
        None => Reference::with_digest(host, repository, format!("sha256:{}", packed.digest)),
    };
    let auth = match credentials {
        Credentials::Anonymous => RegistryAuth::Anonymous,
        Credentials::Basic { name, secret } => RegistryAuth::Basic(name.clone(), secret.clone()),
    };
    client.auth(&reference, &auth, RegistryOperation::Push).await.map_err(failed)?;
    // What the manifest speaks of first: a registry does not take a manifest without it. Whether it is there already is not asked: some
    // registries answer that question as if a new repository were a forbidden one.
    let blobs = [(component.to_vec(), &packed.layer_digest), (packed.config.clone(), &packed.config_digest)];
    for (blob, digest) in blobs {
        let digest = format!("sha256:{digest}");
        client.push_blob(&reference, Bytes::from(blob), &digest).await.map_err(failed)?;
    }
    let media_type = HeaderValue::from_static(MANIFEST);
    client.push_manifest_raw(&reference, packed.manifest.clone(), media_type).await.map_err(failed)?;
    Ok(())
}

fn client(place: &ArtifactPlace) -> Result<Client, OciDistributionError> {
    pull::provide_tls();
    let plain = pull::is_on_this_machine(place.host());
    Client::try_from(ClientConfig {
        protocol: if plain { ClientProtocol::Http } else { ClientProtocol::Https },
        // One request for a component: its size is bounded, and every registry takes it.
        use_monolithic_push: true,
        connect_timeout: Some(CONNECT_TIME_MAX),
        // No limit for silence: a registry has nothing to say while it is being written to. The whole has one.
        read_timeout: None,
        user_agent: USER_AGENT,
        ..ClientConfig::default()
    })
}

/// The library's error in our words. It has one kind for many cases; what matters to a person is who is to act.
fn failure(error: OciDistributionError, place: &ArtifactPlace, credentials: &Credentials) -> OciError {
    use OciDistributionError as E;
    let denied = || OciError::Denied { place: place.clone(), who: credentials.who(), verb: "write" };
    let host = place.host().to_owned();
    match error {
        E::RequestError(error) => OciError::Unreachable { host, reason: pull::innermost(&error) },
        E::AuthenticationFailure(_) | E::UnauthorizedError { .. } | E::ServerError { code: 401 | 403, .. } => denied(),
        E::RegistryError { envelope, .. }
            if envelope.errors.iter().any(|e| matches!(e.code, OciErrorCode::Denied | OciErrorCode::Unauthorized)) =>
        {
            denied()
        }
        E::ServerError { code: 404, .. } => OciError::Absent { what: place.to_string() },
        other => OciError::Answer { host, reason: other.to_string().escape_default().to_string() },
    }
}
