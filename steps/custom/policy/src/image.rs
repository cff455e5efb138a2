//! Reads the name of a container's image, and says what is wrong with it.

use crate::Inputs;

/// Where an image comes from when its name does not say.
const REGISTRY_DEFAULT: &str = "docker.io";

/// What is against the rules, readable after the container's name.
pub fn violation(inputs: &Inputs, image: &str) -> Option<String> {
    let (name, version) = split(image);
    let full = qualified(name);
    let is_allowed =
        |registry: &String| full.strip_prefix(registry.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'));
    if !inputs.registries.is_empty() && !inputs.registries.iter().any(is_allowed) {
        return Some(format!("uses the image `{image}`, which is from none of {}", inputs.registries.join(", ")));
    }
    match version {
        _ if inputs.allow_latest => None,
        Version::None => Some(format!("uses the image `{image}` without a version")),
        Version::Tag("latest") => Some(format!("uses the image `{image}`, whose tag says nothing")),
        Version::Tag(_) | Version::Digest => None,
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Version<'i> {
    None,
    Tag(&'i str),
    Digest,
}

/// A colon after the last slash begins the tag; one before it belongs to the registry's port.
fn split(image: &str) -> (&str, Version<'_>) {
    if let Some((name, _)) = image.split_once('@') {
        let name = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name);
        return (name, Version::Digest);
    }
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Version::Tag(tag)),
        _ => (image, Version::None),
    }
}

/// With the registry that the name leaves out: the first part is one only if it looks like a host.
fn qualified(name: &str) -> String {
    match name.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => name.to_owned(),
        Some(_) => format!("{REGISTRY_DEFAULT}/{name}"),
        None => format!("{REGISTRY_DEFAULT}/library/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_container_runtimes_read_them() {
        for (image, name, version) in [
            ("web", "docker.io/library/web", Version::None),
            ("acme/web:1", "docker.io/acme/web", Version::Tag("1")),
            ("ghcr.io/acme/web:latest", "ghcr.io/acme/web", Version::Tag("latest")),
            ("localhost:5000/web", "localhost:5000/web", Version::None),
            ("localhost:5000/web:2", "localhost:5000/web", Version::Tag("2")),
            ("quay.io/a/b@sha256:00", "quay.io/a/b", Version::Digest),
            ("quay.io/a/b:1@sha256:00", "quay.io/a/b", Version::Digest),
        ] {
            let (short, found) = split(image);
            assert_eq!((qualified(short).as_str(), found), (name, version), "{image}");
        }
    }
}
