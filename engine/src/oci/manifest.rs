//! The artifact that holds a component: a manifest with one config and one layer, with the media types that the CNCF's WASM working
//! group chose, so that other tools can read what we publish and we what they do.

use engine_core::id::Digest;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest};
use serde::Deserialize;
use serde_json::json;

pub(super) const MANIFEST: &str = OCI_IMAGE_MEDIA_TYPE;
pub(super) const CONFIG: &str = "application/vnd.wasm.config.v0+json";
pub(super) const LAYER: &str = "application/wasm";

/// The layout wants a moment of creation. The beginning of time, so that the same bytes have the same digest whenever they are
/// published.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// What a component exports and imports, by the full names of interfaces.
#[derive(Debug, Clone)]
pub struct Interfaces {
    pub exports: Vec<String>,
    pub imports: Vec<String>,
}

/// An artifact that is ready to be pushed.
pub(super) struct Packed {
    pub manifest: Vec<u8>,
    /// Of the manifest.
    pub digest: Digest,
    pub config: Vec<u8>,
    pub config_digest: Digest,
    pub layer_digest: Digest,
}

/// The layer with the component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    pub digest: Digest,
    pub size: u64,
}

pub(super) fn pack(component: &[u8], interfaces: &Interfaces) -> Packed {
    let layer_digest = Digest::of_bytes(component);
    let config = json!({
        "created": CREATED,
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [format!("sha256:{layer_digest}")],
        "component": { "exports": interfaces.exports, "imports": interfaces.imports },
    });
    let config = config.to_string().into_bytes();
    let config_digest = Digest::of_bytes(&config);
    let manifest = OciImageManifest {
        media_type: Some(MANIFEST.to_owned()),
        config: descriptor(CONFIG, &config_digest, config.len()),
        layers: vec![descriptor(LAYER, &layer_digest, component.len())],
        ..OciImageManifest::default()
    };
    let manifest = serde_json::to_vec(&manifest).expect("a manifest can be written as JSON");
    Packed { digest: Digest::of_bytes(&manifest), manifest, config, config_digest, layer_digest }
}

fn descriptor(media_type: &str, digest: &Digest, size: usize) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.to_owned(),
        digest: format!("sha256:{digest}"),
        size: i64::try_from(size).expect("a component is no larger than its limit"),
        ..OciDescriptor::default()
    }
}

/// The part that is told apart before the rest is read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    schema_version: u8,
    media_type: Option<String>,
}

/// Finds the component in a manifest. The error reads after "is no component for engine: ".
pub(super) fn read(manifest: &[u8], layer_bytes_max: u64) -> Result<Layer, String> {
    let not_a_manifest = |error: serde_json::Error| format!("its manifest cannot be read: {error}");
    let head: Head = serde_json::from_slice(manifest).map_err(not_a_manifest)?;
    if head.schema_version != 2 {
        return Err(format!("its manifest is of version {}, not 2", head.schema_version));
    }
    if let Some(other) = head.media_type.filter(|media_type| media_type != MANIFEST) {
        return Err(match other.contains(".index.") || other.contains(".list.") {
            true => "it is a list of images for several platforms".to_owned(),
            false => format!("its manifest is of type `{}`", other.escape_default()),
        });
    }
    let manifest: OciImageManifest = serde_json::from_slice(manifest).map_err(not_a_manifest)?;
    let [layer] = manifest.layers.as_slice() else {
        return Err(format!("it has {} layers, a component has one", manifest.layers.len()));
    };
    if layer.media_type != LAYER {
        return Err(format!("its layer is of type `{}`, not `{LAYER}`", layer.media_type.escape_default()));
    }
    let digest = layer.digest.strip_prefix("sha256:").and_then(|hex| hex.parse().ok());
    let digest = digest.ok_or_else(|| format!("`{}` is not a SHA-256 digest", layer.digest.escape_default()))?;
    let size = u64::try_from(layer.size).map_err(|_| "the size of its layer is less than nothing".to_owned())?;
    if size > layer_bytes_max {
        return Err(format!("its layer has {size} bytes, at most {layer_bytes_max} are allowed"));
    }
    Ok(Layer { digest, size })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: u64 = 100;

    fn packed() -> Packed {
        pack(b"component", &Interfaces { exports: vec!["e".into()], imports: vec!["i".into()] })
    }

    #[test]
    fn what_is_packed_is_read_again_and_packs_to_the_same_bytes() {
        let layer = read(&packed().manifest, MAX).unwrap();
        assert_eq!(layer, Layer { digest: Digest::of_bytes(b"component"), size: 9 });
        assert_eq!(packed().digest, packed().digest);
        let config: serde_json::Value = serde_json::from_slice(&packed().config).unwrap();
        assert_eq!(config["layerDigests"][0], format!("sha256:{}", layer.digest));
        assert_eq!(config["component"], json!({ "exports": ["e"], "imports": ["i"] }));
    }

    #[test]
    fn manifests_of_other_things_are_told_apart() {
        let good: serde_json::Value = serde_json::from_slice(&packed().manifest).unwrap();
        let check = |change: &dyn Fn(&mut serde_json::Value), part: &str| {
            let mut manifest = good.clone();
            change(&mut manifest);
            let refused = read(manifest.to_string().as_bytes(), MAX).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        };
        check(&|m| m["schemaVersion"] = json!(1), "version 1");
        check(&|m| m["mediaType"] = json!("application/vnd.oci.image.index.v1+json"), "several platforms");
        check(&|m| m["mediaType"] = json!("text/\u{1b}[31mplain"), "text/\\u{1b}[31mplain");
        check(&|m| m["layers"] = json!([]), "0 layers");
        check(&|m| m["layers"] = json!([m["layers"][0], m["layers"][0]]), "2 layers");
        check(&|m| m["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+gzip"), "tar+gzip");
        check(&|m| m["layers"][0]["digest"] = json!("sha512:00"), "not a SHA-256");
        check(&|m| m["layers"][0]["digest"] = json!("sha256:../../x"), "not a SHA-256");
        check(&|m| m["layers"][0]["size"] = json!(-1), "less than nothing");
        check(&|m| m["layers"][0]["size"] = json!(101), "at most 100");
        check(&|m| *m = json!([]), "cannot be read");
        assert!(read(b"<html>", MAX).unwrap_err().contains("cannot be read"));
    }
}
