//! Files that are no components, are broken, or were built for something else.

use super::{Attack, Case, Outcome, case, components};
use crate::wasm::limits::COMPONENT_BYTES_MAX;
use crate::wasm::testing::{Guest, pack_edited};

pub(super) fn cases() -> Vec<Case> {
    [broken(), foreign(), features()].into_iter().flatten().collect()
}

fn load(name: &str, bytes: Vec<u8>, code: &'static str, word: &'static str) -> Case {
    case(format!("file: {name}"), Attack::Load(bytes), Outcome::Refused(code, word))
}

fn broken() -> Vec<Case> {
    let whole = Guest::new().pack();
    let mut cases: Vec<Case> = (1..=20)
        .map(|part| {
            let bytes = whole[..whole.len() * part / 21].to_vec();
            load(&format!("cut at {}", bytes.len()), bytes, "W007", "not valid")
        })
        .collect();
    // What a flipped bit means is for the bytes to say; nothing may come of it but a component or a refusal.
    cases.extend((0..40).map(|part| {
        let mut bytes = whole.clone();
        let at = bytes.len() * part / 40 + 8 * usize::from(part == 0);
        bytes[at] ^= 1 << (part % 8);
        case(format!("file: flipped at {at}"), Attack::Load(bytes), Outcome::Survived)
    }));
    let twice = [whole.clone(), whole.clone()].concat();
    cases.push(load("two in one", twice, "W007", "not valid"));
    cases.push(load("more after its end", [whole, vec![0; 100]].concat(), "W007", "not valid"));
    cases
}

fn foreign() -> Vec<Case> {
    let component = |text: &str| wat::parse_str(text).unwrap();
    let edited = |from: &str, to: &str| {
        pack_edited(&Guest::new(), |wit| {
            assert!(wit.contains(from), "the contract has changed: `{from}`");
            wit.replacen(from, to, 1)
        })
        .unwrap()
    };
    let native = components().precompiled(&Guest::new().pack());
    vec![
        load("empty", Vec::new(), "W004", "empty"),
        load("text", b"hello".to_vec(), "W004", "does not begin"),
        load("a program", b"\x7fELF\x02\x01\x01".to_vec(), "W004", "program for this machine"),
        load("WebAssembly as text", b"(component)".to_vec(), "W004", "as text"),
        load("only the magic", b"\0asm".to_vec(), "W004", "ends after"),
        load("of another format", b"\0asm\x0e\0\x01\0".to_vec(), "W004", "version of the format"),
        load("larger than allowed", vec![0; COMPONENT_BYTES_MAX + 1], "W001", "at most 33554432"),
        load("compiled before", native, "W002", "never loaded"),
        load("a core module", component("(module (func (export \"run\")))"), "W003", "pack it"),
        load("nothing in it", component("(component)"), "W006", "exports nothing"),
        load(
            "another export",
            component("(component (core module $m) (export \"code\" (core module $m)))"),
            "W006",
            "it exports code",
        ),
        load("code as an import", component("(component (import \"code\" (core module)))"), "W007", "imports code"),
        load("of a newer contract", edited("engine:step@0.1.0", "engine:step@0.2.0"), "W005", "engine:step@0.2.0"),
        load("of a newer patch", edited("engine:step@0.1.0", "engine:step@0.1.9"), "W005", "engine:step@0.1.9"),
        load("of a later contract", edited("engine:step@0.1.0", "engine:step@1.0.0"), "W005", "engine:step@0.1.0"),
        load(
            "of another contract under this name",
            edited("attempt: u32,", "attempt: u32, secret: bool,"),
            "W007",
            "does not fit",
        ),
        load(
            "of fewer cases under this name",
            edited("fixed(effect), from-input(effect-by-input)", "fixed(effect)"),
            "W007",
            "does not fit",
        ),
    ]
}

fn features() -> Vec<Case> {
    let component = |module: &str| wat::parse_str(format!("(component (core module {module}))")).unwrap();
    vec![
        load("64-bit memory", component("(memory i64 1)"), "W007", "memory64"),
        load("shared memory", component("(memory 1 1 shared)"), "W007", "threads"),
        load("odd pages", component("(memory 1 (pagesize 1))"), "W007", "page"),
        load("collected types", component("(type (struct (field i32)))"), "W007", "gc"),
        load(
            "a hundred thousand locals",
            component(&format!("(func {})", "(local i64)".repeat(60_000))),
            "W007",
            "locals",
        ),
        load(
            "blocks without end",
            component(&format!("(func {} {})", "block ".repeat(20_000), "end ".repeat(20_000))),
            "W006",
            "exports nothing",
        ),
    ]
}
