//! The program under test: the `engine` of this build.

use std::path::PathBuf;

/// The path of `engine` in the target directory of the running test. `cargo test --workspace` builds it; it is not built here, because
/// a second cargo would choose other features for what the packages share and build all of it again.
///
/// # Panics
/// When it is not there: there is nothing to test then.
pub fn program() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows where it is");
    let profile_directory =
        own.ancestors().find(|path| path.join("deps").is_dir()).expect("it lies in cargo's target directory");
    let program = profile_directory.join("engine");
    assert!(
        program.exists(),
        "{} is not there: run `cargo test --workspace`, or `cargo build -p engine` first",
        program.display()
    );
    program
}
