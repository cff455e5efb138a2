//! Code that does not end, takes all there is, or traps: in `run`, and at the places where a guest's code runs beside it.

use steps_sdk::grant::GuestLimits;

use super::{Attack, Case, Outcome, case};
use crate::wasm::testing::{Guest, World};

/// Little of everything, so that the limits are reached soon.
fn little() -> World {
    World { limits: GuestLimits { memory_bytes: 16 << 20, wall_ms: 5_000, cpu_ms: 100 }, ..World::default() }
}

fn run(guest: &Guest) -> Attack {
    Attack::Run(guest.pack(), little())
}

pub(super) fn cases() -> Vec<Case> {
    [loops(), memory(), tables(), stack(), traps()].into_iter().flatten().collect()
}

fn loops() -> Vec<Case> {
    let spin = "(loop $l (br $l))";
    let of_run = [
        ("an empty loop", spin, ""),
        ("a loop that counts", "(loop $l (local.set $n (i64.add (local.get $n) (i64.const 1))) (br $l))", ""),
        ("loops in loops", "(loop $a (loop $b (br_if $b (i32.const 1))) (br $a))", ""),
        ("a jump table that jumps to itself", "(loop $l (br_table $l $l $l (i32.const 1)))", ""),
        ("calls without end", "(loop $l (call $f) (br $l))", "(func $f)"),
        ("tail calls without end", "(call $f)", "(func $f (return_call $f))"),
        (
            "indirect calls without end",
            "(loop $l (call_indirect $t (type $v) (i32.const 0)) (br $l))",
            "(type $v (func)) (table $t funcref (elem $f)) (func $f)",
        ),
        ("floating point", "(loop $l (drop (f64.sqrt (f64.const 2))) (br $l))", ""),
        ("vectors", "(loop $l (drop (i8x16.add (v128.const i64x2 1 1) (v128.const i64x2 2 2))) (br $l))", ""),
        ("filling memory", "(loop $l (memory.fill (i32.const 0) (i32.const 0) (i32.const 131072)) (br $l))", ""),
        ("copying memory", "(loop $l (memory.copy (i32.const 0) (i32.const 65536) (i32.const 65536)) (br $l))", ""),
        (
            "copying tables",
            "(loop $l (table.copy $t $t (i32.const 0) (i32.const 1000) (i32.const 100000)) (br $l))",
            "(table $t 200000 funcref)",
        ),
        (
            "filling tables",
            "(loop $l (table.fill $t (i32.const 0) (ref.null func) (i32.const 200000)) (br $l))",
            "(table $t 200000 funcref)",
        ),
        ("growing by nothing", "(loop $l (drop (memory.grow (i32.const 0))) (br $l))", ""),
    ];
    let mut cases: Vec<Case> = of_run
        .iter()
        .map(|(name, code, items)| {
            let guest = Guest::new().items(items).wat("run", code);
            case(format!("loop: {name}"), run(&guest), Outcome::Fails("W103", "limits cpu="))
        })
        .collect();
    let guest = Guest::new().wat("preview", spin);
    cases.push(case("loop: in preview", Attack::Preview(guest.pack(), little()), Outcome::Fails("W103", "`preview`")));
    let guest = Guest::new().allocate(&format!("{spin} unreachable"));
    cases.push(case("loop: while it is given memory", run(&guest), Outcome::Fails("W103", "100ms")));
    let post = format!("(func (export \"cabi_post_engine:step/handler@0.1.0#run\") (param i32) {spin})");
    cases.push(case("loop: after its answer", run(&Guest::new().items(&post)), Outcome::Fails("W103", "100ms")));
    let guest = Guest::new().wat("describe", spin);
    cases.push(case(
        "loop: in describe",
        Attack::Load(guest.pack()),
        Outcome::Refused("W009", "longer than its limit of 3s"),
    ));
    let guest = Guest::new().items(&format!("(func $s {spin}) (start $s)"));
    cases.push(case(
        "loop: when it starts",
        Attack::Load(guest.pack()),
        Outcome::Refused("W009", "longer than its limit of 3s"),
    ));
    cases
}

fn memory() -> Vec<Case> {
    let grow = |pages: u32| format!("(drop (memory.grow (i32.const {pages})))");
    let step = "(loop $l (drop (memory.grow (i32.const 16))) (br $l))";
    let fails = |name: &str, guest: &Guest, word: &'static str| {
        case(format!("memory: {name}"), run(guest), Outcome::Fails("W102", word))
    };
    let refused = |name: &str, guest: &Guest, code: &'static str, word: &'static str| {
        case(format!("memory: {name}"), Attack::Load(guest.pack()), Outcome::Refused(code, word))
    };
    let two = "(memory $b 1)";
    vec![
        fails(
            "100 MiB at once",
            &Guest::new().wat("run", &grow(1600)),
            "asked for 101 MiB of memory, its limit is 16 MiB",
        ),
        fails("all that 32 bits address", &Guest::new().wat("run", &grow(65_000)), "its limit is 16 MiB"),
        fails("in steps", &Guest::new().wat("run", step), "limits memory="),
        fails(
            "a second memory",
            &Guest::new().items(two).wat("run", "(drop (memory.grow $b (i32.const 1600)))"),
            "16 MiB",
        ),
        fails(
            "two memories together",
            &Guest::new().items(two).wat("run", &format!("{}(drop (memory.grow $b (i32.const 200)))", grow(100))),
            "its limit is 16 MiB",
        ),
        fails(
            "more than a call has, from the start",
            &Guest::new().memory("(memory (export \"memory\") 320)"),
            "20 MiB",
        ),
        fails("while it is given memory", &Guest::new().allocate(&format!("{} (i32.const 0)", grow(1600))), "101 MiB"),
        refused(
            "more than it may ever have",
            &Guest::new().memory("(memory (export \"memory\") 1100)"),
            "W009",
            "its limit is 64 MiB",
        ),
        refused("grown in describe", &Guest::new().wat("describe", &grow(1600)), "W009", "its limit is 64 MiB"),
        refused("thirty memories", &Guest::new().items(&"(memory 1)".repeat(30)), "W009", "too many parts"),
        case("memory: beyond its own maximum", run(&bounded()), Outcome::Harmless { gets: "done", hides: "" }),
    ]
}

/// Asks for more than its own declaration allows, is told so, and lives.
fn bounded() -> Guest {
    let code = "(if (i32.ne (memory.grow (i32.const 10)) (i32.const -1)) (then unreachable))";
    Guest::new().memory("(memory (export \"memory\") 2 4)").wat("run", code)
}

fn tables() -> Vec<Case> {
    let table = "(table $t 1 funcref)";
    let grow = |count: u32| format!("(drop (table.grow $t (ref.null func) (i32.const {count})))");
    let fails = |name: &str, code: &str| {
        let guest = Guest::new().items(table).wat("run", code);
        case(format!("table: {name}"), run(&guest), Outcome::Fails("W108", "its limit is 1048576"))
    };
    let refused = |name: &str, items: &str, word: &'static str| {
        let guest = Guest::new().items(items);
        case(format!("table: {name}"), Attack::Load(guest.pack()), Outcome::Refused("W009", word))
    };
    vec![
        fails("two million entries", &grow(2_000_000)),
        fails("four thousand million entries", &grow(u32::MAX - 1)),
        fails("in steps", &format!("(loop $l {} (br $l))", grow(100_000))),
        refused("large from the start", "(table 2000000 funcref)", "table entries"),
    ]
}

fn stack() -> Vec<Case> {
    let deep = [
        ("itself", "(call $f)", "(func $f (call $f))"),
        ("each other", "(call $f)", "(func $f (call $g)) (func $g (call $f))"),
        (
            "itself with an argument",
            "(drop (call $f (i64.const 1)))",
            "(func $f (param i64) (result i64) (i64.add (local.get 0) (call $f (i64.add (local.get 0) (i64.const 1)))))",
        ),
        (
            "itself through a table",
            "(call $f)",
            "(type $v (func)) (table $t funcref (elem $f)) (func $f (call_indirect $t (type $v) (i32.const 0)))",
        ),
    ];
    let mut cases: Vec<Case> = deep
        .iter()
        .map(|(name, code, items)| {
            let guest = Guest::new().items(items).wat("run", code);
            case(format!("stack: calls {name}"), run(&guest), Outcome::Fails("W105", "used up its stack"))
        })
        .collect();
    let locals = format!("(func $f {} (call $f) {})", "(local i64)".repeat(2_000), "(drop (local.get 7))");
    cases.push(case(
        "stack: large frames",
        run(&Guest::new().items(&locals).wat("run", "(call $f)")),
        Outcome::Fails("W105", "stack"),
    ));
    let guest = Guest::new().items("(func $f (call $f))").allocate("(call $f) (i32.const 0)");
    cases.push(case("stack: while it is given memory", run(&guest), Outcome::Fails("W105", "stack")));
    let guest = Guest::new().items("(func $f (call $f))").wat("describe", "(call $f)");
    cases.push(case("stack: in describe", Attack::Load(guest.pack()), Outcome::Refused("W009", "stack")));
    cases
}

fn traps() -> Vec<Case> {
    let trapped = [
        ("unreachable", "unreachable", "", "unreachable"),
        ("division by zero", "(drop (i32.div_s (i32.const 1) (i32.const 0)))", "", "divide by zero"),
        ("overflow", "(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", "", "overflow"),
        ("no number", "(drop (i32.trunc_f32_s (f32.const nan)))", "", "conversion"),
        ("reading outside", "(drop (i32.load (i32.const -4)))", "", "out of bounds memory"),
        ("writing outside", "(i32.store (i32.const 0x7ffffff0) (i32.const 1))", "", "out of bounds memory"),
        ("filling outside", "(memory.fill (i32.const 0) (i32.const 1) (i32.const -1))", "", "out of bounds memory"),
        ("copying outside", "(memory.copy (i32.const 0) (i32.const 1) (i32.const -1))", "", "out of bounds memory"),
        ("a table outside", "(drop (table.get $t (i32.const 9)))", "(table $t 1 funcref)", "out of bounds table"),
        (
            "a call of nothing",
            "(call_indirect $t (type $v) (i32.const 0))",
            "(type $v (func)) (table $t 1 funcref)",
            "uninitialized element",
        ),
        (
            "a call of another type",
            "(call_indirect $t (type $v) (i32.const 0))",
            "(type $v (func)) (table $t funcref (elem $f)) (func $f (param i32))",
            "indirect call type mismatch",
        ),
    ];
    trapped
        .iter()
        .map(|(name, code, items, word)| {
            let guest = Guest::new().items(items).wat("run", code);
            case(format!("trap: {name}"), run(&guest), Outcome::Fails("W101", word))
        })
        .collect()
}
