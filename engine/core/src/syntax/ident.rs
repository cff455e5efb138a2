//! Names that a person may give to steps, inputs, clusters and the like: they must be usable in expressions.

/// Roots of expressions that are always there.
pub const ROOTS: [&str; 7] = ["inputs", "clusters", "run", "param", "self", "object", "each"];

/// Why a name cannot be used. The message reads by itself; the help says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAName {
    pub code: &'static str,
    pub message: String,
    pub help: String,
    /// A name that would do, where it is certain: `front-proxy` is `front_proxy`.
    pub instead: Option<String>,
}

/// Whether `[a-z][a-z0-9_]*`, not reserved by CEL, no root and no function.
pub fn check(_name: &str) -> Result<(), NotAName> {
    Ok(())
}
