//! From the end of a guest to a step error that says what it was doing, where, and against which limit it ran.

use steps_sdk::StepError;
use steps_sdk::value::Span;
use wasmtime::{Trap, WasmBacktrace};

use super::guest::{Guest, Verb};
use super::limits::{Bytes, Exceeded, HANDED_OVER_BYTES_MAX, LINE_BYTES_MAX};
use super::meter::{OutOf, Time};
use super::words;

/// How a call ended without an answer.
pub(super) enum Fault {
    /// The guest's code, or a function of the host that it called, stopped it.
    Trap(wasmtime::Error),
    OutOfTime(OutOf, Time),
    /// It answered, and the answer is a failure.
    Failed(StepError),
}

/// Frames of the guest that are told; the innermost are the ones that help.
const FRAMES_MAX: usize = 12;
/// How wasmtime says that more was handed over than its limit allows; it has no type for it.
const HANDED_OVER_TOO_MUCH: &str = "fuel allocated for hostcalls has been exhausted";
/// The same for the number of instances, memories and tables.
const TOO_MANY: &str = "resource limit exceeded";

const TELL_AUTHOR: &str = "this is a mistake in the component; tell its author, with these lines";

/// The step error for a fault in `verb` of `kind`.
pub(super) fn explain(fault: Fault, guest: &Guest, kind: &str) -> StepError {
    match fault {
        Fault::Failed(error) => error,
        Fault::OutOfTime(limit, time) => out_of_time(limit, time, kind, guest.verb),
        Fault::Trap(trap) => trapped(&trap, guest, kind),
    }
}

fn out_of_time(limit: OutOf, time: Time, kind: &str, verb: Verb) -> StepError {
    let verb = verb.word();
    match limit {
        OutOf::Cpu => {
            let message = format!("`{verb}` of {kind} computed longer than its limit of {}", Span(time.cpu));
            StepError::permanent("W103", message)
                .help("if the step needs that much, raise it in the file: `limits cpu=` of the `use` node")
        }
        // Whatever it waits for may answer sooner the next time.
        OutOf::Wall => {
            let message = format!("`{verb}` of {kind} did not answer within its limit of {}", Span(time.wall));
            StepError::transient("W104", message)
                .help("if the step needs that long, raise it in the file: `limits wall=` of the `use` node")
        }
    }
}

fn trapped(trap: &wasmtime::Error, guest: &Guest, kind: &str) -> StepError {
    let verb = guest.verb.word();
    let frames = frames(trap);
    if let Some(error) = trap.downcast_ref::<StepError>() {
        // The host ended the call and has said why; where the guest was is added.
        let mut error = error.clone();
        error.message = format!("`{verb}` of {kind} {}", error.message);
        error.causes.extend(guest.speech.last().cloned());
        error.causes.extend(frames);
        return error;
    }
    let end = |code: &str, what: String, help: &str| {
        let mut error = StepError::permanent(code, format!("`{verb}` of {kind} {what}")).help(help);
        error.causes.extend(frames.clone());
        error
    };
    if let Some(exceeded) = trap.downcast_ref::<Exceeded>() {
        return end(exceeded.code(), exceeded.to_string(), exceeded.help());
    }
    let root = trap.root_cause().to_string();
    if root.contains(HANDED_OVER_TOO_MUCH) {
        let limit = Bytes(HANDED_OVER_BYTES_MAX as u64);
        let help = "let the component hand on less: large results belong into a file or an object";
        return end("W106", format!("handed over more than its limit of {limit} at once"), help);
    }
    if root.contains(TOO_MANY) {
        return end("W108", format!("has too many parts: {}", words::line(&root, LINE_BYTES_MAX)), TELL_AUTHOR);
    }
    match trap.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            let help = "this limit is fixed: the component calls itself too deeply; tell its author, with these lines";
            end("W105", "used up its stack".to_owned(), help)
        }
        Some(trap) => {
            let what = match guest.speech.panic() {
                Some(panic) => panic.to_owned(),
                None => format!("trapped: {trap}"),
            };
            let mut error = end("W101", what, TELL_AUTHOR);
            // Frames without a line do not say where it was; what the runtime has printed may.
            if guest.speech.panic().is_none() || !frames.iter().any(|frame| frame.contains(" at ")) {
                error.causes.splice(0..0, guest.speech.last().cloned());
            }
            error
        }
        // Not the guest's code but its end of the contract: a pointer out of its memory, text that is not UTF-8.
        None => end("W109", format!("broke the contract: {}", words::line(&root, LINE_BYTES_MAX)), TELL_AUTHOR),
    }
}

/// Where the guest was, innermost first: function, and file and line if the component has them.
fn frames(trap: &wasmtime::Error) -> Vec<String> {
    let Some(backtrace) = trap.downcast_ref::<WasmBacktrace>() else { return Vec::new() };
    let mut lines = Vec::new();
    for frame in backtrace.frames() {
        let function = frame.func_name().map_or_else(|| format!("function {}", frame.func_index()), str::to_owned);
        if frame.symbols().is_empty() {
            lines.push(format!("in {function}"));
        }
        for symbol in frame.symbols() {
            let name = symbol.name().unwrap_or(&function);
            lines.push(match (symbol.file(), symbol.line()) {
                (Some(file), Some(line)) => format!("in {name} at {}:{line}", shortened(file)),
                _ => format!("in {name}"),
            });
        }
    }
    lines.truncate(FRAMES_MAX);
    lines.iter().map(|line| words::line(line, 300)).collect()
}

/// The last parts of a path: those before say where its author's directories are.
fn shortened(file: &str) -> &str {
    file.match_indices('/').rev().nth(2).map_or(file, |(at, _)| &file[at + 1..])
}
