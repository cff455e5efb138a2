//! What goes wrong between this machine and a registry.

use std::io;
use std::path::PathBuf;

use engine_core::id::Digest;
use engine_core::workflow::{Address, ArtifactPlace};
use miette::Diagnostic;
use thiserror::Error;

/// A component that could not be had from a registry, or not be put there.
#[derive(Debug, Error, Diagnostic)]
pub enum OciError {
    #[error("`{address}` is not on this machine, and nothing is fetched with `--offline`")]
    #[diagnostic(code(W015), help("fetch it once: engine step pull {address}"))]
    NotHere { address: Address },

    #[error("the registry {host} cannot be reached: {reason}")]
    #[diagnostic(
        code(W016),
        help("look at the network and at the name; what was pulled before is on this machine and needs no registry")
    )]
    Unreachable { host: String, reason: String },

    #[error("the registry {} does not let {who} {verb} `{place}`", place.host())]
    #[diagnostic(
        code(W017),
        help("sign in with `docker login {host}`, `crane auth login {host}` or alike: credentials are read from docker's config.json", host = place.host())
    )]
    Denied { place: ArtifactPlace, who: String, verb: &'static str },

    #[error("there is no `{what}`, or nobody may see it without signing in")]
    #[diagnostic(code(W018), help("compare the address with what `engine step publish` printed"))]
    Absent { what: String },

    #[error(
        "the registry {host} sent other bytes than those that were asked for: sha256:{found} instead of sha256:{wanted}"
    )]
    #[diagnostic(
        code(W019),
        help("they were not used; tell whoever runs the registry, and do not change the digest before you know why")
    )]
    OtherBytes { host: String, wanted: Digest, found: Digest },

    #[error("`{what}` is no component for engine: {reason}")]
    #[diagnostic(
        code(W020),
        help(
            "publish components with `engine step publish`, or another tool that follows the CNCF's WASM artifact layout"
        )
    )]
    NotAComponent { what: String, reason: String },

    #[error("the registry {host} sends more than {bytes_max} bytes for {what}")]
    #[diagnostic(code(W021), help("nothing of it was used; no component that engine runs is that large"))]
    TooLarge { host: String, what: &'static str, bytes_max: u64 },

    #[error("the registry {host} answered in a way that cannot be used: {reason}")]
    #[diagnostic(code(W022), help("try again later; if it stays like this, tell whoever runs the registry"))]
    Answer { host: String, reason: String },

    #[error("the credentials for {host} cannot be had: {reason}")]
    #[diagnostic(
        code(W023),
        help(
            "correct docker's config.json, or set DOCKER_CONFIG to a folder with another one; without the file, nobody signs in"
        )
    )]
    Credentials { host: String, reason: String },

    #[error("what was pulled cannot be kept: {} could not be {verb}", path.display())]
    #[diagnostic(code(W024), help("check that the directory belongs to you and that the disk has room"))]
    Cache {
        path: PathBuf,
        verb: &'static str,
        #[source]
        source: io::Error,
    },

    #[error("no registry can be asked on this machine: {reason}")]
    #[diagnostic(
        code(W027),
        help("this says nothing about the registry: look at the machine (certificates, memory), then try again")
    )]
    NotReady { reason: String },
}
