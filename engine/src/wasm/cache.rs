//! What is known about components, by digest: compiled code, descriptions, refusals.
//!
//! ```text
//!  <digest>.json                    the description; it does not depend on the compiler
//!  <digest>.<compatibility>.code    machine code for this processor and this version of wasmtime
//!  <digest>.<compatibility>.sum     the checksum of the code
//!  <digest>.<compatibility>.no      why the component is refused
//! ```
//!
//! The code is executed, so the directory has to be ours alone. Whatever is damaged is as good as absent: it is made again.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use engine_core::id::Digest;
use wasmtime::Engine;
use wasmtime::component::Component;

use super::describe::Description;
use super::error::{Refusal, WasmError};
use crate::disk;

/// A file of compiled code whose checksum is right.
pub(super) struct WholeCode(PathBuf);

impl WholeCode {
    /// `None` if the engine cannot take it: damaged before its checksum was made, or too large for a pool.
    #[expect(
        unsafe_code,
        reason = "wasmtime maps compiled code from a file only by an unsafe call, since forged code would be executed: the file lies in \
                  a directory that only we can write to, its name says that we made it of a component with this compiler, and its \
                  checksum is right"
    )]
    pub(super) fn load(&self, engine: &Engine) -> Option<Component> {
        // SAFETY: see the reason above; the file was written by `keep_code` and is replaced whole, never changed.
        unsafe { Component::deserialize_file(engine, &self.0) }.ok()
    }
}

pub(super) struct Cache {
    directory: PathBuf,
    compatibility: String,
}

impl Cache {
    /// Makes the directory if it is missing, and refuses one that others may write to.
    pub(super) fn open(directory: PathBuf, compatibility: String) -> Result<Cache, WasmError> {
        disk::make_directory(&directory).map_err(|error| WasmError::cache(&directory, "made", error))?;
        let found =
            std::fs::symlink_metadata(&directory).map_err(|error| WasmError::cache(&directory, "read", error))?;
        let fault = if !found.is_dir() {
            Some("is a link")
        } else if found.uid() != rustix::process::geteuid().as_raw() {
            Some("belongs to somebody else")
        } else if found.permissions().mode() & 0o077 != 0 {
            Some("is open to others")
        } else {
            None
        };
        match fault {
            Some(fault) => Err(WasmError::CacheNotPrivate { path: directory, fault }),
            None => Ok(Cache { directory, compatibility }),
        }
    }

    pub(super) fn description(&self, digest: &Digest) -> Option<Description> {
        let text = std::fs::read(self.directory.join(format!("{digest}.json"))).ok()?;
        serde_json::from_slice::<Description>(&text).ok().filter(|kept| kept.digest == *digest && kept.check().is_ok())
    }

    pub(super) fn keep_description(&self, description: &Description) -> Result<(), WasmError> {
        let text = serde_json::to_vec_pretty(description).expect("a description can be written as JSON");
        self.write(&self.directory.join(format!("{}.json", description.digest)), &text)
    }

    pub(super) fn refusal(&self, digest: &Digest) -> Option<Refusal> {
        serde_json::from_slice(&std::fs::read(self.path(digest, "no")).ok()?).ok()
    }

    pub(super) fn keep_refusal(&self, digest: &Digest, refusal: &Refusal) -> Result<(), WasmError> {
        let text = serde_json::to_vec_pretty(refusal).expect("a refusal can be written as JSON");
        self.write(&self.path(digest, "no"), &text)
    }

    /// The compiled code, if it is there and whole.
    pub(super) fn code(&self, digest: &Digest) -> Option<WholeCode> {
        let path = self.path(digest, "code");
        let sum = std::fs::read_to_string(self.path(digest, "sum")).ok()?;
        (sum == checksum(&std::fs::read(&path).ok()?)).then_some(WholeCode(path))
    }

    pub(super) fn keep_code(&self, digest: &Digest, code: &[u8]) -> Result<(), WasmError> {
        // The checksum first: code without one is not used.
        self.write(&self.path(digest, "sum"), checksum(code).as_bytes())?;
        self.write(&self.path(digest, "code"), code)
    }

    fn path(&self, digest: &Digest, what: &str) -> PathBuf {
        self.directory.join(format!("{digest}.{}.{what}", self.compatibility))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), WasmError> {
        disk::replace(path, bytes).map_err(|error: io::Error| WasmError::cache(path, "written", error))
    }
}

/// Against damage, not against an enemy: whoever can write here can run programs as us anyway.
fn checksum(code: &[u8]) -> String {
    format!("{:08x} {}", crc32c::crc32c(code), code.len())
}
