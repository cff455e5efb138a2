//! What was pulled, by digest.
//!
//! ```text
//!  <digest of the manifest>.manifest   as the registry sent it
//!  <digest of the layer>.wasm          the component
//! ```
//!
//! Both are compared with their digests whenever they are read. What does not fit, or is missing, is as good as never pulled: it is
//! fetched again. So nothing here has to be trusted, and all of it may be deleted at any time.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use engine_core::id::Digest;

use super::error::OciError;
use super::manifest;
use crate::disk;

pub(super) struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// Nothing is made before the first component is kept.
    pub(super) fn at(directory: PathBuf) -> Cache {
        Cache { directory }
    }

    /// The component of a manifest, if both are here and whole.
    pub(super) fn component(&self, manifest: &Digest, layer_bytes_max: u64) -> Option<Vec<u8>> {
        let written = self.whole(&self.manifest_path(manifest), manifest, super::pull::MANIFEST_BYTES_MAX)?;
        let layer = manifest::read(&written, layer_bytes_max).ok()?;
        self.whole(&self.layer_path(&layer.digest), &layer.digest, layer.size)
    }

    /// Keeps both. The layer first: a manifest is there only with what it speaks of.
    pub(super) fn keep(&self, manifest: &[u8], layer: &[u8]) -> Result<(), OciError> {
        let failed = |path: &Path, verb, source| OciError::Cache { path: path.to_owned(), verb, source };
        disk::make_directory(&self.directory).map_err(|error| failed(&self.directory, "made", error))?;
        let write = |path: PathBuf, bytes: &[u8]| {
            disk::replace(&path, bytes).map_err(|error: io::Error| failed(&path, "written", error))
        };
        write(self.layer_path(&Digest::of_bytes(layer)), layer)?;
        write(self.manifest_path(&Digest::of_bytes(manifest)), manifest)
    }

    fn whole(&self, path: &Path, digest: &Digest, bytes_max: u64) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).ok()?;
        (Digest::of_bytes(&bytes) == *digest).then_some(bytes)
    }

    fn manifest_path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{digest}.manifest"))
    }

    fn layer_path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(format!("{digest}.wasm"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::{Interfaces, pack};
    use super::*;

    const MAX: u64 = 1 << 20;

    #[test]
    fn what_does_not_fit_its_digest_was_never_pulled() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path().join("oci"));
        let packed = pack(b"component", &Interfaces { exports: vec![], imports: vec![] });
        assert_eq!(cache.component(&packed.digest, MAX), None);
        cache.keep(&packed.manifest, b"component").unwrap();
        assert_eq!(cache.component(&packed.digest, MAX).as_deref(), Some(b"component".as_slice()));
        assert_eq!(cache.component(&packed.digest, 8), None, "the limit holds for what is here too");

        std::fs::write(cache.layer_path(&packed.layer_digest), b"componenT").unwrap();
        assert_eq!(cache.component(&packed.digest, MAX), None);
        std::fs::write(cache.layer_path(&packed.layer_digest), b"component and more").unwrap();
        assert_eq!(cache.component(&packed.digest, MAX), None);

        cache.keep(&packed.manifest, b"component").unwrap();
        let mut other = packed.manifest.clone();
        other.push(b' ');
        std::fs::write(cache.manifest_path(&packed.digest), other).unwrap();
        assert_eq!(cache.component(&packed.digest, MAX), None);
    }
}
