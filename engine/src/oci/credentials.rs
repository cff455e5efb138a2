//! Who we are to a registry: docker's `config.json`, which every tool of this trade reads, and the helpers that it names.
//!
//! A helper is a program of the person's own, `docker-credential-NAME`, that takes a host and answers with a name and a secret. Without
//! any of this nobody signs in, which is enough for public registries. Tokens of identity, which some helpers hand out, are refused in
//! words: trading one in needs a protocol that the client does not speak.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::error::OciError;

/// A helper may have to ask the person to unlock something.
const HELPER_TIME_MAX: Duration = Duration::from_secs(120);

/// What a helper says when it has nothing, whatever language it is written in: part of the protocol.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// Not to be printed: `who` is for that.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    Anonymous,
    Basic { name: String, secret: String },
}

impl Credentials {
    /// For messages; never the secret.
    pub(super) fn who(&self) -> String {
        match self {
            Credentials::Anonymous => "somebody without credentials".to_owned(),
            Credentials::Basic { name, .. } => format!("`{name}`"),
        }
    }
}

/// The parts of the file that are about credentials.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct File {
    auths: BTreeMap<String, Entry>,
    creds_store: Option<String>,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// `name:secret` in base64.
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// The credentials for a host: from its own helper, else from the helper for all hosts, else from the file itself.
pub(super) async fn read(path: Option<&Path>, host: &str) -> Result<Credentials, OciError> {
    let failed = |reason: String| OciError::Credentials { host: host.to_owned(), reason };
    let Some(path) = path else { return Ok(Credentials::Anonymous) };
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Credentials::Anonymous),
        Err(error) => return Err(failed(format!("{}: {error}", path.display()))),
    };
    let file: File = serde_json::from_slice(&text).map_err(|error| failed(format!("{}: {error}", path.display())))?;
    let own = file.cred_helpers.iter().find(|(key, _)| is_for(key, host)).map(|(_, helper)| helper);
    if let Some(helper) = own.or(file.creds_store.as_ref()).filter(|helper| !helper.is_empty())
        && let Some(found) = ask(helper, server_name(host)).await.map_err(failed)?
    {
        return Ok(found);
    }
    match file.auths.iter().find(|(key, _)| is_for(key, host)) {
        Some((key, entry)) => from_entry(entry).map_err(|reason| failed(format!("`auths` for `{key}` {reason}"))),
        None => Ok(Credentials::Anonymous),
    }
}

/// Docker Hub's entry has an address of old instead of its host.
fn server_name(host: &str) -> &str {
    if host == "docker.io" { "https://index.docker.io/v1/" } else { host }
}

/// Keys are hosts, by themselves or in an address of a version of the registry's protocol.
fn is_for(key: &str, host: &str) -> bool {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.strip_suffix('/').unwrap_or(key);
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    key == host || (host == "docker.io" && key == "index.docker.io")
}

fn from_entry(entry: &Entry) -> Result<Credentials, String> {
    if entry.identitytoken.as_ref().is_some_and(|token| !token.is_empty()) {
        return Err(
            "holds a token of identity, which engine does not trade in: sign in with a name and a secret".into()
        );
    }
    let basic = |name: &str, secret: &str| Credentials::Basic { name: name.to_owned(), secret: secret.to_owned() };
    if let Some(auth) = entry.auth.as_ref().filter(|auth| !auth.is_empty()) {
        let bytes = STANDARD.decode(auth.trim()).map_err(|_| "is not base64")?;
        let text = std::str::from_utf8(&bytes).map_err(|_| "is not text")?;
        // Some tools end it with a zero byte.
        let (name, secret) = text.trim_end_matches('\0').split_once(':').ok_or("has no `:` between name and secret")?;
        return Ok(basic(name, secret));
    }
    match (&entry.username, &entry.password) {
        (Some(name), Some(secret)) => Ok(basic(name, secret)),
        // Left by a helper, which has been asked before.
        _ => Ok(Credentials::Anonymous),
    }
}

/// Asks a helper; `None` when it knows nothing of the host.
async fn ask(helper: &str, server: &str) -> Result<Option<Credentials>, String> {
    let is_name = helper.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !is_name {
        return Err(format!("`{}` is not the name of a helper", helper.escape_default()));
    }
    let program = format!("docker-credential-{helper}");
    let Output { status, stdout, .. } = match tokio::time::timeout(HELPER_TIME_MAX, answer(&program, server)).await {
        Ok(output) => output.map_err(|error| format!("the helper {program}, which config.json names: {error}"))?,
        Err(_late) => return Err(format!("the helper {program} did not answer in {} s", HELPER_TIME_MAX.as_secs())),
    };
    if !status.success() {
        let said = String::from_utf8_lossy(&stdout);
        return if said.trim() == NOT_FOUND {
            Ok(None)
        } else {
            Err(format!("the helper {program} failed: {}", said.trim().escape_default()))
        };
    }
    let answer: Answer = serde_json::from_slice(&stdout)
        .map_err(|_| format!("the helper {program} answered without name and secret"))?;
    if answer.username == "<token>" {
        return Err(format!("the helper {program} has a token of identity, which engine does not trade in"));
    }
    Ok(Some(Credentials::Basic { name: answer.username, secret: answer.secret }))
}

async fn answer(program: &str, server: &str) -> std::io::Result<Output> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().expect("it was asked for");
    let written = stdin.write_all(server.as_bytes()).await;
    drop(stdin);
    match written {
        // One that answers without having read everything has answered.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error),
        _ => {}
    }
    child.wait_with_output().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(config: &str, host: &str) -> Result<Credentials, String> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("config.json");
        std::fs::write(&path, config).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(read(Some(&path), host)).map_err(|error| error.to_string())
    }

    fn basic(name: &str, secret: &str) -> Credentials {
        Credentials::Basic { name: name.into(), secret: secret.into() }
    }

    #[test]
    fn credentials_are_found_by_host() {
        let auth = STANDARD.encode("me:s:cret");
        for key in ["h.example", "https://h.example", "https://h.example/v2/", "http://h.example/v1", "h.example/"] {
            let config = format!(r#"{{ "auths": {{ "{key}": {{ "auth": "{auth}" }} }}, "psFormat": "x" }}"#);
            assert!(from(&config, "h.example") == Ok(basic("me", "s:cret")), "{key}");
            for other in ["h.example:5000", "example", "other.h.example"] {
                assert!(from(&config, other) == Ok(Credentials::Anonymous), "{key} {other}");
            }
        }
        let hub = format!(r#"{{ "auths": {{ "https://index.docker.io/v1/": {{ "auth": "{auth}" }} }} }}"#);
        assert!(from(&hub, "docker.io") == Ok(basic("me", "s:cret")));
        let plain = r#"{ "auths": { "h.example": { "username": "a", "password": "b" } } }"#;
        assert!(from(plain, "h.example") == Ok(basic("a", "b")));
    }

    #[test]
    fn without_a_file_nobody_signs_in() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let place = tempfile::tempdir().unwrap();
        let absent = place.path().join("config.json");
        assert!(runtime.block_on(read(Some(&absent), "h")).is_ok_and(|found| found == Credentials::Anonymous));
        assert!(runtime.block_on(read(None, "h")).is_ok_and(|found| found == Credentials::Anonymous));
        assert!(from(r#"{ "auths": { "h": {} } }"#, "h") == Ok(Credentials::Anonymous));
    }

    #[test]
    fn what_cannot_be_used_is_said_without_the_secret() {
        let refused = |config: &str, part: &str| {
            let reason = from(config, "h").err().unwrap();
            assert!(reason.contains(part) && !reason.contains("s3cret"), "{reason}");
        };
        refused("not json", "config.json");
        refused(r#"{ "auths": { "h": { "auth": "s3cret!" } } }"#, "is not base64");
        refused(&format!(r#"{{ "auths": {{ "h": {{ "auth": "{}" }} }} }}"#, STANDARD.encode("s3cret")), "no `:`");
        refused(r#"{ "auths": { "h": { "identitytoken": "s3cret" } } }"#, "token of identity");
        refused(r#"{ "credsStore": "../../bin/x" }"#, "not the name of a helper");
        refused(r#"{ "credHelpers": { "h": "not-there-at-all" } }"#, "docker-credential-not-there-at-all");
    }
}
