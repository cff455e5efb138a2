//! The program under test: the `engine` of this build.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The path of `engine`, built once per test process with the profile that the tests have; when it is up to date that costs a moment.
///
/// # Panics
/// When it cannot be built: there is nothing to test then.
pub fn program() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build).clone()
}

fn build() -> PathBuf {
    let own = std::env::current_exe().expect("a test knows where it is");
    let profile_directory = own.ancestors().find(|path| path.join("deps").is_dir()).expect("a test lies in cargo's target directory");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--package", "engine", "--bin", "engine"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.arg("--target-dir").arg(profile_directory.parent().expect("a profile's directory lies in the target directory"));
    if profile_directory.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.status().expect("cargo is there: it has started this test");
    assert!(status.success(), "the engine does not build");
    profile_directory.join("engine")
}
