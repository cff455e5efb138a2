//! Where a component lies in a registry, as people write it: `oci://HOST/PATH:TAG` or `oci://HOST/PATH@sha256:…`.
//!
//! Nothing is filled in. Other tools take a missing host for one registry and a missing tag for `latest`; a workflow says both.

use std::fmt;
use std::str::FromStr;

use crate::id::Digest;

pub const SCHEME: &str = "oci://";

/// `HOST/PATH`, and what of it is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub place: ArtifactPlace,
    pub version: ArtifactVersion,
}

/// A host and a repository there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArtifactPlace {
    /// `HOST` or `HOST:PORT`.
    host: String,
    repository: String,
}

/// Which of the artifacts of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArtifactVersion {
    /// A name that the owner of the repository can move to other bytes.
    Tag(String),
    /// Of the manifest: these bytes and no others. A tag beside it is for people to read.
    Digest { digest: Digest, tag: Option<String> },
}

/// Why a text is no address: a message and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAnAddress {
    pub message: String,
    pub help: String,
}

impl ArtifactPlace {
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The same place and exactly these bytes.
    pub fn pinned(&self, digest: Digest) -> Address {
        Address { place: self.clone(), version: ArtifactVersion::Digest { digest, tag: None } }
    }

    /// The place alone, or with a tag, for a command that makes an artifact: its digest is not known yet.
    pub fn read_with_tag(text: &str) -> Result<(ArtifactPlace, Option<String>), NotAnAddress> {
        let rest = after_scheme(text)?;
        let (place, tag) = split_tag(rest);
        let tag = tag.map(|tag| read_tag(tag, text)).transpose()?;
        Ok((read_place(place, text)?, tag))
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Address, NotAnAddress> {
        let rest = after_scheme(text)?;
        let (named, digest) = match rest.split_once('@') {
            Some((named, digest)) => (named, Some(read_digest(digest)?)),
            None => (rest, None),
        };
        let (place, tag) = split_tag(named);
        let place = read_place(place, text)?;
        let tag = tag.map(|tag| read_tag(tag, text)).transpose()?;
        let version = match (digest, tag) {
            (Some(digest), tag) => ArtifactVersion::Digest { digest, tag },
            (None, Some(tag)) => ArtifactVersion::Tag(tag),
            (None, None) => {
                return Err(NotAnAddress {
                    message: format!("`{text}` does not say which of the artifacts there it means"),
                    help: format!("add a digest, `{text}@sha256:…`, or a tag, `{text}:TAG`"),
                });
            }
        };
        Ok(Address { place, version })
    }
}

impl fmt::Display for ArtifactPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.host, self.repository)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        match &self.version {
            ArtifactVersion::Tag(tag) => write!(f, ":{tag}"),
            ArtifactVersion::Digest { digest, tag: None } => write!(f, "@sha256:{digest}"),
            ArtifactVersion::Digest { digest, tag: Some(tag) } => write!(f, ":{tag}@sha256:{digest}"),
        }
    }
}

fn after_scheme(text: &str) -> Result<&str, NotAnAddress> {
    text.strip_prefix(SCHEME).ok_or_else(|| NotAnAddress {
        message: format!("`{text}` is no address in a registry"),
        help: "an address begins with `oci://`: `oci://HOST/PATH:TAG`".to_owned(),
    })
}

/// A `:` after the last `/` begins a tag; one before it is that of a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((place, tag)) if !tag.contains('/') && place.contains('/') => (place, Some(tag)),
        _ => (text, None),
    }
}

fn read_place(place: &str, whole: &str) -> Result<ArtifactPlace, NotAnAddress> {
    let wrong = |help: &str| NotAnAddress {
        message: format!("`{whole}` names no artifact of a registry"),
        help: help.to_owned(),
    };
    let (host, repository) =
        place.split_once('/').ok_or_else(|| wrong("write `oci://HOST/PATH:TAG` or `oci://HOST/PATH@sha256:…`"))?;
    if !is_host(host) {
        return Err(wrong("after `oci://` comes the registry's host, with its port where that is not 443"));
    }
    if repository.is_empty() || repository.len() > 255 || !repository.split('/').all(is_repository_part) {
        return Err(wrong("the parts of a path are lower-case letters and digits, with `.`, `_` and `-` between them"));
    }
    Ok(ArtifactPlace { host: host.to_owned(), repository: repository.to_owned() })
}

fn is_host(text: &str) -> bool {
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        is_edge(bytes.first()) && is_edge(bytes.last()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
    };
    name.split('.').all(is_label) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn is_repository_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    bytes.first().is_some_and(is_word)
        && bytes.last().is_some_and(is_word)
        && bytes.iter().all(|byte| is_word(byte) || b"._-".contains(byte))
}

fn read_tag(tag: &str, whole: &str) -> Result<String, NotAnAddress> {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let bytes = tag.as_bytes();
    let is_tag = bytes.first().is_some_and(is_word)
        && bytes.len() <= 128
        && bytes.iter().all(|byte| is_word(byte) || b".-".contains(byte));
    if is_tag {
        return Ok(tag.to_owned());
    }
    Err(NotAnAddress {
        message: format!("`{tag}` in `{whole}` is not a tag"),
        help: "a tag has at most 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two"
            .to_owned(),
    })
}

fn read_digest(text: &str) -> Result<Digest, NotAnAddress> {
    let digest = text.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
    digest.ok_or_else(|| NotAnAddress {
        message: format!("`{text}` is not a SHA-256 digest"),
        help: "after `@` come `sha256:` and 64 characters of `0-9` and `a-f`".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn addresses_are_shown_as_they_are_written() {
        for good in [
            "oci://h.example/cdn:v1",
            "oci://h.example:5000/steps/cdn:1.2_x-3",
            "oci://localhost/a:b",
            "oci://127.0.0.1:5000/a:b",
            &format!("oci://h.example/steps/cdn@sha256:{DIGEST}"),
            &format!("oci://h.example:5000/steps/cdn@sha256:{DIGEST}"),
            &format!("oci://h.example/cdn:v1@sha256:{DIGEST}"),
        ] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
    }

    #[test]
    fn the_digest_counts_where_there_is_a_tag_too() {
        let address: Address = format!("oci://h.example/cdn:v1@sha256:{DIGEST}").parse().unwrap();
        let digest = DIGEST.parse().unwrap();
        assert_eq!(address.version, ArtifactVersion::Digest { digest, tag: Some("v1".into()) });
    }

    #[test]
    fn what_is_no_address_says_which_part_is_wrong() {
        for (bad, part) in [
            ("h.example/cdn:v1", "no address"),
            ("oci://h.example/cdn", "which of the artifacts"),
            ("oci://h.example:5000/cdn", "which of the artifacts"),
            ("oci://h.example", "names no artifact"),
            ("oci://h.example:v1", "names no artifact"),
            ("oci:///cdn:v1", "names no artifact"),
            ("oci://h.example/:v1", "names no artifact"),
            ("oci://h.example//cdn:v1", "names no artifact"),
            ("oci://h.example/../cdn:v1", "names no artifact"),
            ("oci://h.example/Cdn:v1", "names no artifact"),
            ("oci://me@h.example/cdn:v1", "not a SHA-256 digest"),
            ("oci://h.example:0/cdn:v1", "names no artifact"),
            ("oci://h_x/cdn:v1", "names no artifact"),
            ("oci://h.example/cdn:", "not a tag"),
            ("oci://h.example/cdn:-a", "not a tag"),
            ("oci://h.example/cdn:a b", "not a tag"),
            ("oci://h.example/cdn@sha256:0123", "not a SHA-256 digest"),
            (&format!("oci://h.example/cdn@sha512:{DIGEST}"), "not a SHA-256 digest"),
            (&format!("oci://h.example/cdn@sha256:{}", DIGEST.to_uppercase()), "not a SHA-256 digest"),
        ] {
            let refused = bad.parse::<Address>().unwrap_err();
            assert!(refused.message.contains(part), "{bad}: {}", refused.message);
        }
    }

    #[test]
    fn what_is_published_needs_no_tag_and_takes_no_digest() {
        let read = |text| ArtifactPlace::read_with_tag(text).map(|(place, tag)| (place.to_string(), tag));
        assert_eq!(read("oci://h.example:5000/cdn"), Ok(("oci://h.example:5000/cdn".into(), None)));
        assert_eq!(read("oci://h.example/a/cdn:v1"), Ok(("oci://h.example/a/cdn".into(), Some("v1".into()))));
        assert!(read(&format!("oci://h.example/cdn@sha256:{DIGEST}")).is_err());
    }
}
