//! Reading from a registry. The three requests that this takes are made here and not by the library that pushes: it reads whatever
//! is sent, and a registry is not trusted with our memory.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine_core::id::Digest;
use engine_core::workflow::{Address, ArtifactPlace, ArtifactVersion};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use super::credentials::Credentials;
use super::error::OciError;
use super::manifest::{self, Layer, MANIFEST};

/// Ours have less than one KiB; annotations of other tools may make more of it.
pub(super) const MANIFEST_BYTES_MAX: u64 = 256 << 10;
const TOKEN_BYTES_MAX: u64 = 64 << 10;

pub(super) const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// Without a single byte.
const SILENCE_TIME_MAX: Duration = Duration::from_secs(30);

/// A manifest and its component, each with the digest that it has to have.
pub(super) struct Pulled {
    pub digest: Digest,
    pub manifest: Vec<u8>,
    pub layer: Vec<u8>,
}

/// One place in a registry, while something is read there.
pub(super) struct Pull<'a> {
    place: &'a ArtifactPlace,
    credentials: &'a Credentials,
    http: reqwest::Client,
    /// `https://HOST/v2/PATH/`.
    base: Url,
    /// What the registry asked for, after it did.
    authorization: Option<HeaderValue>,
}

/// A registry on this machine is spoken to without TLS, as every tool of this trade does; there is no way to ask for that elsewhere.
pub(super) fn is_on_this_machine(host: &str) -> bool {
    let name = host.split(':').next().unwrap_or(host);
    name == "localhost" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

/// TLS by ring. reqwest looks for the provider of the process; that it is there already, by an earlier call, is as good.
pub(super) fn provide_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl<'a> Pull<'a> {
    pub(super) fn new(place: &'a ArtifactPlace, credentials: &'a Credentials) -> Result<Pull<'a>, OciError> {
        provide_tls();
        let plain = is_on_this_machine(place.host());
        let mut http = reqwest::Client::builder()
            .user_agent(super::artifacts::USER_AGENT)
            .connect_timeout(CONNECT_TIME_MAX)
            .read_timeout(SILENCE_TIME_MAX)
            // Redirects too: what began with TLS does not go on without.
            .https_only(!plain);
        if plain {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| OciError::NotReady { reason: innermost(&error) })?;
        // The name that people write for Docker's registry is not where it is.
        let host = if place.host() == "docker.io" { "registry-1.docker.io" } else { place.host() };
        let scheme = if plain { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{host}/v2/{}/", place.repository()))
            .expect("a host and a repository that were read make an address");
        Ok(Pull { place, credentials, http, base, authorization: None })
    }

    /// The manifest that an address means, and the component that it speaks of.
    pub(super) async fn all(&mut self, address: &Address, layer_bytes_max: u64) -> Result<Pulled, OciError> {
        let (digest, manifest) = self.manifest(&address.version).await?;
        let layer = manifest::read(&manifest, layer_bytes_max)
            .map_err(|reason| OciError::NotAComponent { what: address.to_string(), reason })?;
        let layer = self.layer(&layer).await?;
        Ok(Pulled { digest, manifest, layer })
    }

    pub(super) async fn manifest(&mut self, version: &ArtifactVersion) -> Result<(Digest, Vec<u8>), OciError> {
        let (reference, wanted) = match version {
            ArtifactVersion::Tag(tag) => (tag.clone(), None),
            ArtifactVersion::Digest { digest, .. } => (format!("sha256:{digest}"), Some(digest)),
        };
        let what = Address { place: self.place.clone(), version: version.clone() }.to_string();
        let response = self.get(&format!("manifests/{reference}"), MANIFEST, &what).await?;
        let bytes = self.bounded(response, MANIFEST_BYTES_MAX, "a manifest").await?;
        let found = Digest::of_bytes(&bytes);
        match wanted {
            Some(wanted) if *wanted != found => Err(self.other_bytes(wanted, found)),
            _ => Ok((found, bytes)),
        }
    }

    async fn layer(&mut self, layer: &Layer) -> Result<Vec<u8>, OciError> {
        let what = format!("{}@sha256:{}", self.place, layer.digest);
        let response = self.get(&format!("blobs/sha256:{}", layer.digest), "*/*", &what).await?;
        let bytes = self.bounded(response, layer.size, "the component").await?;
        let found = Digest::of_bytes(&bytes);
        if found == layer.digest { Ok(bytes) } else { Err(self.other_bytes(&layer.digest, found)) }
    }

    /// Asks, signs in when that is wanted, and asks again.
    async fn get(&mut self, path: &str, accept: &'static str, what: &str) -> Result<Response, OciError> {
        let url = self.base.join(path).expect("a tag or a digest is part of an address");
        let mut response = self.send(url.clone(), accept).await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.authorization.is_none() {
            self.authorization = self.sign_in(&response).await?;
            if self.authorization.is_some() {
                response = self.send(url, accept).await?;
            }
        }
        match response.status() {
            StatusCode::OK => Ok(response),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.denied()),
            StatusCode::NOT_FOUND => Err(OciError::Absent { what: what.to_owned() }),
            other => Err(self.answer(format!("it says {other}"))),
        }
    }

    async fn send(&self, url: Url, accept: &'static str) -> Result<Response, OciError> {
        let mut request = self.http.get(url).header(ACCEPT, accept);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.send().await.map_err(|error| self.failed(&error))
    }

    /// The header that a challenge asks for; none when there is nothing to answer it with.
    async fn sign_in(&self, response: &Response) -> Result<Option<HeaderValue>, OciError> {
        let written =
            response.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let challenges = http_auth::parser::ChallengeParser::new(written);
        for challenge in challenges.filter_map(Result::ok) {
            let parameter = |name: &str| {
                let found = challenge.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("basic") {
                return Ok(self.basic());
            }
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                let realm = parameter("realm").unwrap_or_default();
                return self.token(&realm, parameter("service")).await.map(Some);
            }
        }
        Err(self.answer("it wants to be signed in to in a way that is not known here".to_owned()))
    }

    fn basic(&self) -> Option<HeaderValue> {
        let Credentials::Basic { name, secret } = self.credentials else { return None };
        let value = format!("Basic {}", STANDARD.encode(format!("{name}:{}", secret)));
        let mut header = HeaderValue::try_from(value).expect("base64 is a header");
        header.set_sensitive(true);
        Some(header)
    }

    /// A token for reading here, from the server that the registry names.
    async fn token(&self, realm: &str, service: Option<String>) -> Result<HeaderValue, OciError> {
        #[derive(Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
        }
        let mut url = Url::parse(realm)
            .map_err(|_| self.answer(format!("it names `{}` as the place to sign in", realm.escape_default())))?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("scope", &format!("repository:{}:pull", self.place.repository()));
            if let Some(service) = &service {
                query.append_pair("service", service);
            }
        }
        let mut request = self.http.get(url);
        if let Some(basic) = self.basic() {
            request = request.header(AUTHORIZATION, basic);
        }
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.denied()),
            other => return Err(self.answer(format!("where it signs people in, it says {other}"))),
        }
        let bytes = self.bounded(response, TOKEN_BYTES_MAX, "a token").await?;
        let answer: Option<Answer> = serde_json::from_slice(&bytes).ok();
        let token = answer.and_then(|answer| answer.token.or(answer.access_token));
        let header = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        let mut header = header.ok_or_else(|| self.answer("it signs people in without a token".to_owned()))?;
        header.set_sensitive(true);
        Ok(header)
    }

    /// Reads no more than so many bytes, and begins nothing when the registry announces more.
    async fn bounded(&self, mut response: Response, bytes_max: u64, what: &'static str) -> Result<Vec<u8>, OciError> {
        let too_large = || OciError::TooLarge { host: self.place.host().to_owned(), what, bytes_max };
        if response.content_length().is_some_and(|length| length > bytes_max) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error))? {
            if bytes.len() as u64 + chunk.len() as u64 > bytes_max {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn failed(&self, error: &reqwest::Error) -> OciError {
        OciError::Unreachable { host: self.place.host().to_owned(), reason: innermost(error) }
    }

    fn denied(&self) -> OciError {
        OciError::Denied { place: self.place.clone(), who: self.credentials.who(), verb: "read" }
    }

    fn answer(&self, reason: String) -> OciError {
        OciError::Answer { host: self.place.host().to_owned(), reason }
    }

    fn other_bytes(&self, wanted: &Digest, found: Digest) -> OciError {
        OciError::OtherBytes { host: self.place.host().to_owned(), wanted: wanted.clone(), found }
    }
}

/// What is wrong in the end: reqwest's own words only say that something is.
pub(super) fn innermost(error: &reqwest::Error) -> String {
    let mut last: &dyn std::error::Error = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    match error.is_timeout() {
        true => "it does not answer in time".to_owned(),
        false => last.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for host in ["localhost", "localhost:5000", "127.0.0.1", "127.0.0.1:5000", "127.9.9.9:1"] {
            assert!(is_on_this_machine(host), "{host}");
        }
        for host in ["h.example", "127.0.0.1.example", "localhost.example:5000", "10.0.0.1:5000", "0.0.0.0:5000"] {
            assert!(!is_on_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_client_with_tls_can_be_made() {
        let address: Address = "oci://h.example/cdn:v1".parse().unwrap();
        let pull = Pull::new(&address.place, &Credentials::Anonymous).unwrap();
        assert_eq!(pull.base.as_str(), "https://h.example/v2/cdn/");
    }
}
