//! The program under test: the `engine` of this build.

use std::path::PathBuf;

/// The path of `engine` in the target directory of the running test. `cargo test --workspace` builds it; it is not built here, because
/// a second cargo would choose other features for what the packages share and build all of it again.
///
/// # Panics
/// When it is not there: there is nothing to test then.
pub fn program() -> PathBuf {
    beside("engine").expect("`engine` is not there: run `cargo test --workspace`, or `cargo build -p engine` first")
}

/// A program of the same build as the running one, if it is there.
pub fn beside(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let profile_directory = own.ancestors().find(|path| path.join("deps").is_dir())?;
    Some(profile_directory.join(name)).filter(|program| program.is_file())
}
