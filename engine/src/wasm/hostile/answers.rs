//! Answers that break the contract, are too large for the host, or would be obeyed by a terminal.

use serde_json::json;

use super::{Attack, Case, Outcome, case};
use crate::wasm::testing::{Guest, World};

/// Where a made-up answer of `run` is written: a result whose payload begins eight bytes later.
const AT: u32 = 40_000;

pub(super) fn cases() -> Vec<Case> {
    [shapes(), texts(), sizes(), lists()].into_iter().flatten().collect()
}

fn run(guest: &Guest) -> Attack {
    let mut world = World::default();
    world.limits.memory_bytes = 64 << 20;
    Attack::Run(guest.pack(), world)
}

/// An answer `ok(outcome)` with these words in place of pointers and lengths: outputs, then summary.
fn outcome(words: [u32; 4]) -> String {
    let mut code = String::from("(i32.store8 (i32.const 40000) (i32.const 0))");
    for (position, word) in (0u32..).zip(words) {
        let at = AT + 8 + 4 * position;
        code.push_str(&format!("(i32.store (i32.const {at}) (i32.const {}))", word.cast_signed()));
    }
    code.push_str("(return (i32.const 40000))");
    code
}

fn shapes() -> Vec<Case> {
    let answers = [
        ("far outside", "(return (i32.const -8))".to_owned()),
        ("at the end of memory", "(return (i32.const 131064))".to_owned()),
        ("not aligned", "(return (i32.const 40001))".to_owned()),
        ("no case of the result", "(i32.store8 (i32.const 40000) (i32.const 255)) (return (i32.const 40000))".to_owned()),
        (
            "no case of the failure",
            "(i32.store8 (i32.const 40000) (i32.const 1)) (i32.store8 (i32.const 40008) (i32.const 9)) (return (i32.const 40000))"
                .to_owned(),
        ),
        ("outputs outside", outcome([0xffff_fff0, 8, 0, 0])),
        ("outputs that wrap around", outcome([100, 0xffff_ffff, 0, 0])),
        ("a summary outside", outcome([0, 0, 131_070, 100])),
    ];
    answers
        .iter()
        .map(|(name, code)| {
            case(
                format!("answer: {name}"),
                run(&Guest::new().wat("run", code)),
                Outcome::Fails("W109", "broke the contract"),
            )
        })
        .collect()
}

fn texts() -> Vec<Case> {
    // `{}` for the outputs, and bytes for the summary.
    let bytes = [
        ("not UTF-8", "\\ff\\fe"),
        ("half a character", "\\c3"),
        ("a lone surrogate", "\\ed\\a0\\80"),
        ("an overlong form", "\\c0\\af"),
        ("beyond the last character", "\\f4\\90\\80\\80"),
    ];
    let mut cases: Vec<Case> = bytes
        .iter()
        .map(|(name, data)| {
            let length = u32::try_from(data.len() / 3).unwrap();
            let guest = Guest::new()
                .items(&format!("(data (i32.const 50000) \"{{}}\") (data (i32.const 50010) \"{data}\")"))
                .wat("run", &outcome([50_000, 2, 50_010, length]));
            case(format!("text: {name}"), run(&guest), Outcome::Fails("W109", "broke the contract"))
        })
        .collect();
    let answered = |outputs: &str, summary: &str| {
        Guest::new().answer("run", json!({ "ok": { "outputs": outputs, "summary": summary, "same": false } }))
    };
    for (name, outputs) in [
        ("nothing", String::new()),
        ("half of it", "{".into()),
        ("two values", "{} {}".into()),
        ("a comment", "{} // x".into()),
        ("deep nesting", "[".repeat(10_000)),
        ("deep objects", "{\"a\":".repeat(5_000)),
        ("no number", "{\"a\": NaN}".into()),
        ("a key twice and no end", "{\"a\":1,\"a\":".into()),
    ] {
        cases.push(case(format!("JSON: {name}"), run(&answered(&outputs, "")), Outcome::Fails("W109", "not JSON")));
    }
    for (name, summary) in [
        ("clears the screen", "\u{1b}[2J\u{1b}[H"),
        ("sets the window's title", "\u{1b}]0;pwned\u{7}"),
        ("goes back in its line", "failed\rdone"),
        ("turns the direction", "\u{202e}enod"),
        ("rings", "\u{7}"),
    ] {
        let hides = if summary.contains('\r') { "\r" } else { &summary[..summary.chars().next().unwrap().len_utf8()] };
        let hides: &'static str = Box::leak(hides.to_owned().into_boxed_str());
        cases.push(case(format!("text: {name}"), run(&answered("{}", summary)), Outcome::Harmless { gets: "", hides }));
    }
    cases
}

fn sizes() -> Vec<Case> {
    let grown = "(drop (memory.grow (i32.const 400)))";
    let mib = 1 << 20;
    let answer = |words| format!("{grown}{}", outcome(words));
    let values = format!("[{}1]", "1,".repeat(300_000));
    vec![
        case(
            "size: outputs over the limit",
            run(&Guest::new().wat("run", &answer([131_072, 16 * mib + 1, 0, 0]))),
            Outcome::Fails("W106", "16 MiB"),
        ),
        case(
            "size: outputs far over the limit",
            run(&Guest::new().wat("run", &answer([131_072, 24 * mib, 0, 0]))),
            Outcome::Fails("W106", "handed over more"),
        ),
        case(
            "size: a summary far over the limit",
            run(&Guest::new().wat("run", &answer([0, 0, 131_072, 24 * mib]))),
            Outcome::Fails("W106", "handed over more"),
        ),
        case(
            "size: the same bytes twice",
            run(&Guest::new().wat("run", &answer([131_072, 15 * mib, 131_072, 15 * mib]))),
            Outcome::Fails("W106", "handed over more"),
        ),
        case(
            "size: more values than memory for them",
            run(&Guest::new()
                .memory("(memory (export \"memory\") 12)")
                .answer("run", json!({ "ok": { "outputs": values, "summary": "", "same": false } }))),
            Outcome::Fails("W106", "262144 values"),
        ),
    ]
}

fn lists() -> Vec<Case> {
    // `ok(changes(list))`: the list begins where the payload of `previewed` does.
    let listed = |count: u32| {
        format!(
            "(drop (memory.grow (i32.const 300)))
             (i32.store8 (i32.const 40000) (i32.const 0)) (i32.store8 (i32.const 40008) (i32.const 0))
             (i32.store (i32.const 40012) (i32.const 131072)) (i32.store (i32.const 40016) (i32.const {}))
             (return (i32.const 40000))",
            count.cast_signed()
        )
    };
    let preview = |count| {
        let mut world = World::default();
        world.limits.memory_bytes = 64 << 20;
        Attack::Preview(Guest::new().wat("preview", &listed(count)).pack(), world)
    };
    vec![
        case("list: twenty thousand changes", preview(20_000), Outcome::Fails("W106", "20000 changes")),
        case("list: three hundred thousand changes", preview(300_000), Outcome::Fails("W106", "handed over more")),
        case("list: a hundred million changes", preview(100_000_000), Outcome::Fails("W109", "broke the contract")),
        case("list: as many as there are numbers", preview(u32::MAX), Outcome::Fails("W109", "broke the contract")),
    ]
}
