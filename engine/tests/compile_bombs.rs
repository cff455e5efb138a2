//! Components that are made to wear out the compiler, through the process that the program compiles in.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

use std::path::PathBuf;

use engine::wasm::testing::Guest;
use engine::wasm::{CompileLimits, Compiler, Components, Refusal, Settings, WasmError};
use serde_json::json;

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_engine"))
}

fn within(directory: &tempfile::TempDir, limits: CompileLimits) -> Components {
    let compiler = Compiler::ChildWithin { program: program(), limits };
    Components::new(Settings { cache: directory.path().join("cache"), compiler }).unwrap()
}

/// A core module inside a component: its code is compiled, and nothing of it runs.
fn component(module: &str) -> Vec<u8> {
    wat::parse_str(format!("(component (core module {module}))")).unwrap()
}

fn limit_of(error: WasmError) -> String {
    match error {
        WasmError::Refused(Refusal::CompileLimit { limit }) => limit,
        other => panic!("{other}"),
    }
}

#[test]
fn a_component_is_compiled_in_a_child_and_works() {
    let directory = tempfile::tempdir().unwrap();
    let components = within(&directory, CompileLimits::default());
    let described =
        components.describe(&Guest::new().kinds(json!([engine::wasm::testing::kind("ping")])).pack()).unwrap();
    assert_eq!(described.kinds[0].verb, "ping");
    assert_eq!(components.compilations(), 1);
}

#[test]
fn a_component_that_is_not_valid_is_refused_by_the_child_in_its_words() {
    let directory = tempfile::tempdir().unwrap();
    let components = within(&directory, CompileLimits::default());
    let mut broken = Guest::new().pack();
    broken.truncate(broken.len() / 2);
    let error = components.describe(&broken).unwrap_err();
    assert!(matches!(&error, WasmError::Refused(Refusal::Invalid { .. })), "{error}");
    assert_eq!(components.compilations(), 1);
    components.describe(&broken).unwrap_err();
    assert_eq!(components.compilations(), 1, "a refusal is remembered");
    let another = within(&directory, CompileLimits::default());
    another.describe(&broken).unwrap_err();
    assert_eq!(another.compilations(), 0, "in other processes too");
}

#[test]
fn bombs_end_at_a_limit_of_the_child_and_are_remembered() {
    let many = |count: usize, part: &str| part.repeat(count);
    let jump = format!(
        "(func (param i32) {} (br_table {} (local.get 0)) {})",
        many(2_000, "(block "),
        (0..50_000).map(|n| format!("{} ", n % 2_000)).collect::<String>(),
        many(2_000, ")")
    );
    let sums = many(20_000, "(local.set 0 (i64.mul (local.get 0) (i64.add (local.get 0) (i64.const 3))))");
    let branches = many(
        6_000,
        "(if (i64.eqz (local.get 0)) (then (local.set 1 (local.get 0))) (else (local.set 0 (local.get 1))))",
    );
    let bombs = [
        ("a jump table", component(&jump)),
        ("one long function", component(&format!("(func (param i64) {sums})"))),
        ("many branches", component(&format!("(func (param i64) (local i64) {branches})"))),
        (
            "many functions",
            component(&many(6_000, "(func (param i64) (local.set 0 (i64.mul (local.get 0) (local.get 0))))")),
        ),
        ("many locals", component(&format!("(func {} (drop (local.get 7)))", many(40_000, "(local i64)")))),
    ];
    let tight = CompileLimits { memory_bytes: 3 << 30, cpu_s: 1, wall_s: 120 };
    let mut reached = 0;
    for (name, bomb) in bombs {
        let directory = tempfile::tempdir().unwrap();
        let components = within(&directory, tight);
        let error = components.describe(&bomb).unwrap_err();
        // A bomb that this machine compiles in a second is a component without steps; both are typed, and both are remembered.
        match &error {
            WasmError::Refused(Refusal::CompileLimit { limit }) => {
                assert!(limit.contains("1 s of computing"), "{name}: {limit}");
                reached += 1;
            }
            WasmError::Refused(Refusal::NoHandler { .. }) => {}
            other => panic!("{name}: {other}"),
        }
        components.describe(&bomb).unwrap_err();
        assert_eq!(components.compilations(), 1, "{name}: it is not tried again");
    }
    assert!(reached > 0, "no bomb reached the limit");
}

#[test]
fn a_compiler_without_memory_ends_and_nobody_else_does() {
    let directory = tempfile::tempdir().unwrap();
    let limits = CompileLimits { memory_bytes: 100 << 20, cpu_s: 100, wall_s: 200 };
    let code = "(local.set 0 (i64.mul (local.get 0) (i64.add (local.get 0) (i64.const 3))))".repeat(150_000);
    let error = within(&directory, limits).describe(&component(&format!("(func (param i64) {code})"))).unwrap_err();
    assert!(limit_of(error).contains("100 MiB of memory"));
}

#[test]
fn a_compiler_that_is_not_there_is_no_fault_of_the_component() {
    let directory = tempfile::tempdir().unwrap();
    let compiler = Compiler::Child { program: directory.path().join("nothing") };
    let components = Components::new(Settings { cache: directory.path().join("cache"), compiler }).unwrap();
    let guest = Guest::new().pack();
    assert!(matches!(components.describe(&guest), Err(WasmError::NotReady { .. })));
    let directory_of_the_same = within(&directory, CompileLimits::default());
    directory_of_the_same.describe(&guest).unwrap();
}
