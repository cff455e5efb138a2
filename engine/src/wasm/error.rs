//! Why a component cannot be used: what is wrong with it ([`Refusal`]), or what kept us from finding out ([`WasmError`]).
//!
//! What goes wrong while a step of a component runs is a `StepError`; `trap.rs` makes it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::Diagnostic;
use serde::{Deserialize, Serialize};
use steps_sdk::StepError;
use thiserror::Error;

/// A component that gives no steps.
#[derive(Debug, Clone, Error, Diagnostic)]
pub enum WasmError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Refused(#[from] Refusal),

    #[error("the cache of compiled components cannot be used: {} could not be {verb}", path.display())]
    #[diagnostic(code(W011), help("check that the directory belongs to you and that the disk has room"))]
    Cache {
        path: PathBuf,
        verb: &'static str,
        #[source]
        source: Arc<io::Error>,
    },

    #[error("the cache of compiled components {} {fault}", path.display())]
    #[diagnostic(
        code(W012),
        help("what lies there is executed: make the directory yours alone (`chown`, `chmod 700`), or remove it")
    )]
    CacheNotPrivate { path: PathBuf, fault: &'static str },

    #[error("the component could not be made ready: {reason}")]
    #[diagnostic(
        code(W013),
        help("this says nothing about the component: look at the machine (memory, processes), then try again")
    )]
    NotReady { reason: String },
}

/// What is wrong with a component. It is true of its bytes for good, so it is remembered beside the compiled code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error, Diagnostic)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    #[error("the component has {bytes} bytes, at most {bytes_max} are allowed")]
    #[diagnostic(
        code(W001),
        help("strip it (`wasm-tools strip`), or build it without the parts of its language that it does not use")
    )]
    TooLarge { bytes: usize, bytes_max: usize },

    #[error("the file holds machine code that wasmtime compiled before, not a component")]
    #[diagnostic(
        code(W002),
        help("name the `.wasm` file that it was compiled from: machine code of others is never loaded")
    )]
    Precompiled,

    #[error("the file is a core module of WebAssembly, not a component")]
    #[diagnostic(
        code(W003),
        help("pack it: `engine step build` does, or build for the target `wasm32-wasip2`, which makes components")
    )]
    CoreModule,

    #[error("the file is no WASM component: {reason}")]
    #[diagnostic(code(W004), help("name the `.wasm` file that `engine step build` made"))]
    NotAComponent { reason: String },

    #[error("the component was built against `{found}`; this program speaks `{spoken}`")]
    #[diagnostic(
        code(W005),
        help("build the component against `{spoken}`, or use a version of engine that speaks `{found}`")
    )]
    Version { found: String, spoken: String },

    #[error("the component exports no `{wanted}`; {}", exported(.exports))]
    #[diagnostic(
        code(W006),
        help("build it for the world `step` of `engine:step`; `engine step new` writes one that is")
    )]
    NoHandler { wanted: String, exports: Vec<String> },

    #[error("the component is not valid: {reason}")]
    #[diagnostic(
        code(W007),
        help("build it again with current tools; if the file was downloaded, compare its digest with the author's")
    )]
    Invalid { reason: String },

    #[error("compiling the component takes more than its limit of {limit}")]
    #[diagnostic(
        code(W008),
        help("nobody's steps need that much: make the component smaller, or do not use what its author sends you")
    )]
    CompileLimit { limit: String },

    #[error("the component does not say what it provides: {error}")]
    #[diagnostic(
        code(W009),
        help("this is a mistake in the component: `describe` has to answer without the host; tell its author")
    )]
    Describe { error: StepError },

    #[error("{} of the component: {} at {pointer}: {reason}", kind_words(.kind), "what it says of itself is wrong")]
    #[diagnostic(code(W010), help("this is a mistake in the component; tell its author"))]
    Spec { kind: String, pointer: String, reason: String },
}

impl WasmError {
    pub(super) fn cache(path: &Path, verb: &'static str, source: io::Error) -> WasmError {
        WasmError::Cache { path: path.to_owned(), verb, source: Arc::new(source) }
    }
}

fn exported(exports: &[String]) -> String {
    match exports {
        [] => "it exports nothing".to_owned(),
        names => format!("it exports {}", names.join(", ")),
    }
}

fn kind_words(kind: &str) -> String {
    match kind {
        "" => "a kind without a name".to_owned(),
        kind => format!("kind `{kind}`"),
    }
}
