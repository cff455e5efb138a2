//! The program `guests`: builds every WASM component of this repository that this machine can build, and carries out its cases. All
//! it knows is in `engine_tests::guests`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use engine_tests::guests::try_all;

/// Builds the guests in steps/custom, the templates and the conformance suite; ends with how many cases passed.
#[derive(Parser)]
struct Arguments {
    /// The `engine` that tries them; by default the one beside this program
    #[arg(long, value_name = "FILE")]
    engine: Option<PathBuf>,
    /// Where tools and projects are kept; by default the cache of `steps/custom/build`
    #[arg(long, value_name = "DIR", env = "ENGINE_GUESTS")]
    cache: Option<PathBuf>,
    #[arg(long, env = "HOME", hide = true)]
    home: PathBuf,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let custom = Path::new(env!("CARGO_MANIFEST_DIR")).join("../steps/custom");
    let custom = match std::fs::canonicalize(&custom) {
        Ok(custom) => custom,
        Err(error) => {
            say(&format!("error: {}: {error}", custom.display()));
            return ExitCode::FAILURE;
        }
    };
    let engine = arguments.engine.unwrap_or_else(engine_tests::program);
    let cache = arguments.cache.unwrap_or_else(|| arguments.home.join(".cache/engine-guests"));
    let tally = try_all(engine, custom, cache, &mut say);
    say(&tally.in_words());
    if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A reader that has gone away is no reason to stop.
fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}
