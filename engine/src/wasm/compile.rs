//! Compiles components in a process of its own: an optimising compiler is the largest thing that a stranger's bytes reach, and a
//! small component can make it work for hours. The child gives up memory and time before it reads the first byte.
//!
//! The child gets its limits (a line of JSON) and then the component on standard input, and answers on standard output: one byte that
//! says how it went, then the compiled code or the reason. It inherits no environment.

use std::io::{self, BufRead, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit};
use serde::{Deserialize, Serialize};
use wasmtime::Engine;

use super::error::{Refusal, WasmError};
use super::limits::{Bytes, COMPONENT_BYTES_MAX};
use super::machine::Machine;
use super::words;

/// The hidden subcommand under which the program compiles.
pub const SUBCOMMAND: &str = "compile-component";

/// What compiling one component may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileLimits {
    /// Of the child's address space.
    pub memory_bytes: u64,
    pub cpu_s: u64,
    /// Beside other work the child may get little of the processor; this ends it when it gets none.
    pub wall_s: u64,
}

impl Default for CompileLimits {
    /// The largest interpreter that was tried (Python, 18 MiB) needs a third of it.
    fn default() -> CompileLimits {
        CompileLimits { memory_bytes: 3 << 30, cpu_s: 120, wall_s: 300 }
    }
}

/// The line with the limits is short.
const LIMITS_BYTES_MAX: u64 = 1024;
/// Each thread of the compiler reserves address space, which counts against the memory.
const THREADS_MAX: usize = 4;

/// Of what the compiler says of a component.
const REASON_BYTES_MAX: usize = 500;

const COMPILED: u8 = 0;
const REFUSED: u8 = 1;

/// Where components are compiled.
pub enum Compiler {
    /// In a child: `program` started again with [`SUBCOMMAND`].
    Child { program: PathBuf },
    /// The same within other limits.
    ChildWithin { program: PathBuf, limits: CompileLimits },
    /// In this process, without limits: for tests that compile their own components.
    InProcess,
}

impl Compiler {
    /// The compiled code. A [`Refusal`] is true of the component for good; other errors are about this machine.
    pub(super) fn compile(&self, engine: &Engine, component: &[u8]) -> Result<Vec<u8>, WasmError> {
        match self {
            Compiler::InProcess => compile_here(engine, component).map_err(WasmError::from),
            Compiler::Child { program } => compile_apart(program, component, CompileLimits::default()),
            Compiler::ChildWithin { program, limits } => compile_apart(program, component, *limits),
        }
    }
}

fn compile_here(engine: &Engine, component: &[u8]) -> Result<Vec<u8>, Refusal> {
    engine.precompile_component(component).map_err(|error| Refusal::Invalid { reason: reason_of(&error) })
}

/// The compiler's words in one line, from the outermost to the root.
pub(super) fn reason_of(error: &wasmtime::Error) -> String {
    let causes: Vec<String> = error.chain().map(|cause| cause.to_string().replace('\n', " ")).collect();
    words::cut(&causes.join(": "), REASON_BYTES_MAX).to_owned()
}

/// The child's side: what the hidden subcommand does. Errors are of the pipes only; a component that cannot be compiled is an answer.
pub fn compile_child(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let mut limits = String::new();
    input.by_ref().take(LIMITS_BYTES_MAX).read_line(&mut limits)?;
    give_up_resources(serde_json::from_str(&limits)?)?;
    let mut component = Vec::new();
    input.by_ref().take(COMPONENT_BYTES_MAX as u64 + 1).read_to_end(&mut component)?;
    let machine = Machine::new().map_err(io::Error::other)?;
    match compile_here(&machine.engine, &component) {
        Ok(code) => {
            output.write_all(&[COMPILED])?;
            output.write_all(&code)?;
        }
        Err(refusal) => {
            output.write_all(&[REFUSED])?;
            serde_json::to_writer(&mut output, &refusal)?;
        }
    }
    output.flush()
}

fn give_up_resources(limits: CompileLimits) -> io::Result<()> {
    let limit = |resource, amount: u64, hard: u64| {
        rustix::process::setrlimit(resource, Rlimit { current: Some(amount), maximum: Some(hard) })
    };
    limit(Resource::As, limits.memory_bytes, limits.memory_bytes)?;
    // At the first the child gets a signal of its own, which tells this limit from other ends.
    limit(Resource::Cpu, limits.cpu_s, limits.cpu_s + 5)?;
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Fsize, 0, 0)?;
    Ok(())
}

/// The parent's side.
fn compile_apart(program: &Path, component: &[u8], limits: CompileLimits) -> Result<Vec<u8>, WasmError> {
    let failed = |what: &str, error: &dyn std::fmt::Display| WasmError::NotReady { reason: format!("{what}: {error}") };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let mut child = Command::new(program)
        .arg(SUBCOMMAND)
        .env_clear()
        .env("RAYON_NUM_THREADS", threads.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed("the compiler could not be started", &error))?;
    let answer = converse(&mut child, component, limits);
    if answer.is_none() {
        // It may have ended in this moment, which is as good.
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| failed("the compiler is lost", &error))?;
    let Some((answer, said)) = answer else {
        // Not remembered: a busy machine may be the reason.
        return Err(WasmError::NotReady { reason: format!("it took longer than {} s", limits.wall_s) });
    };
    judge(status, answer, &said, limits)
}

/// Feeds the child and takes what it says, each on a thread, since a full pipe would stop both sides. `None`: not in time.
fn converse(child: &mut Child, component: &[u8], limits: CompileLimits) -> Option<(Vec<u8>, String)> {
    let (mut stdin, mut stdout) = (child.stdin.take()?, child.stdout.take()?);
    let stderr = child.stderr.take()?;
    std::thread::scope(|scope| {
        // A child that ended early closes its pipe; its answer or its end says why.
        scope.spawn(move || {
            let mut line = serde_json::to_vec(&limits).expect("limits can be written as JSON");
            line.push(b'\n');
            let _ = stdin.write_all(&line).and_then(|()| stdin.write_all(component));
        });
        let (tell, told) = mpsc::channel();
        scope.spawn(move || {
            let mut said = String::new();
            let _ = stderr.take(4096).read_to_string(&mut said);
            let _ = tell.send(said);
        });
        let (hand_in, handed_in) = mpsc::channel();
        scope.spawn(move || {
            let mut answer = Vec::new();
            let read = stdout.read_to_end(&mut answer);
            let _ = hand_in.send(read.map(|_| answer).unwrap_or_default());
        });
        let Ok(answer) = handed_in.recv_timeout(Duration::from_secs(limits.wall_s)) else {
            // The threads end when the child does.
            let _ = child.kill();
            return None;
        };
        Some((answer, told.recv().unwrap_or_default()))
    })
}

/// What an ended child means.
fn judge(status: ExitStatus, mut answer: Vec<u8>, said: &str, limits: CompileLimits) -> Result<Vec<u8>, WasmError> {
    use std::os::unix::process::ExitStatusExt as _;

    if status.success() && answer.first() == Some(&COMPILED) {
        answer.remove(0);
        return Ok(answer);
    }
    if status.success() && answer.first() == Some(&REFUSED) {
        let refusal: Refusal = serde_json::from_slice(&answer[1..])
            .map_err(|error| WasmError::NotReady { reason: format!("its answer cannot be read: {error}") })?;
        return Err(refusal.into());
    }
    let exceeded = |limit: String| Err(Refusal::CompileLimit { limit }.into());
    match status.signal() {
        Some(signal) if signal == rustix::process::Signal::XCPU.as_raw() => {
            exceeded(format!("{} s of computing", limits.cpu_s))
        }
        Some(signal) if signal == rustix::process::Signal::ABORT.as_raw() && said.contains("memory allocation") => {
            exceeded(format!("{} of memory", Bytes(limits.memory_bytes)))
        }
        // Nesting that overflows the compiler's stack ends so.
        Some(signal) if signal == rustix::process::Signal::ABORT.as_raw() && said.contains("overflowed its stack") => {
            exceeded("nesting".to_owned())
        }
        _ => {
            let line = said.lines().last().unwrap_or("it said nothing");
            Err(WasmError::NotReady { reason: format!("the compiler ended with {status}: {line}") })
        }
    }
}
