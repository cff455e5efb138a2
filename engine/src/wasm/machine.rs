//! The WebAssembly machine of this process: its settings, and the clock that interrupts guests.

use std::hash::{Hash, Hasher};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Semaphore;
use wasmtime::{Config, Engine, WasmBacktraceDetails};

use super::bindings::spoken;
use super::error::WasmError;
use super::limits::{FIBER_STACK_BYTES, GUEST_STACK_BYTES};
use super::pool::Pool;

/// How long guest code runs before it lets others run.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Address space kept free behind each memory so that it seldom moves when it grows; what is used is limited elsewhere.
pub(super) const MEMORY_RESERVATION: u64 = 128 << 20;
const MEMORY_GUARD: u64 = 1 << 20;

/// What every component of the process is compiled for and runs on.
pub(super) struct Machine {
    /// Takes what a call needs from the operating system and gives it back after the call.
    pub(super) engine: Engine,
    pool: OnceLock<Option<Pool>>,
    /// Guests that compute longer than a tick take turns: one core is always left to the rest of the engine.
    pub(super) turns: Arc<Semaphore>,
    ticker: OnceLock<Ticker>,
}

impl Machine {
    pub(super) fn new() -> Result<Machine, WasmError> {
        let engine = Engine::new(&config())
            .map_err(|error| WasmError::NotReady { reason: format!("this machine cannot run WASM: {error}") })?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Arc::new(Semaphore::new(cores.saturating_sub(1).max(1)));
        Ok(Machine { engine, pool: OnceLock::new(), turns, ticker: OnceLock::new() })
    }

    /// The quick way for most calls, made when the first component is loaded; `None` where the system has not the address space.
    pub(super) fn pool(&self) -> Option<&Pool> {
        self.pool.get_or_init(|| Pool::new(config())).as_ref()
    }

    /// Starts the clock, once; a process that runs no guest has none.
    pub(super) fn tick(&self) {
        self.ticker.get_or_init(|| {
            let pool = self.pool().map(|pool| pool.engine.clone());
            Ticker::start([self.engine.clone()].into_iter().chain(pool).collect())
        });
    }

    /// Names what an answer about a component depends on beside its bytes: version and settings of the compiler, the processor, the
    /// contract, and the program whose checks it passed.
    pub(super) fn compatibility(&self) -> String {
        // SipHash with fixed keys: the same in every process of one build, which is all that a file name needs.
        #[expect(
            deprecated,
            reason = "the only hasher of the standard library whose result does not change between processes"
        )]
        let mut hasher = std::hash::SipHasher::new();
        self.engine.precompile_compatibility_hash().hash(&mut hasher);
        (spoken(), env!("CARGO_PKG_VERSION")).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// The settings. They decide what compiled code looks like, so the child that compiles uses the same.
fn config() -> Config {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.max_wasm_stack(GUEST_STACK_BYTES).async_stack_size(FIBER_STACK_BYTES);
    config.memory_reservation(MEMORY_RESERVATION).memory_guard_size(MEMORY_GUARD);
    config.wasm_backtrace_details(WasmBacktraceDetails::Enable);
    // The same inputs give the same bits on every machine.
    config.cranelift_nan_canonicalization(true).relaxed_simd_deterministic(true);
    config.wasm_memory64(false);
    config.concurrency_support(false);
    config
}

/// A thread that raises the epoch of the engines. It ends with its owner.
struct Ticker {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engines: Vec<Engine>) -> Ticker {
        let (stop, stopped) = mpsc::channel();
        let tick = move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                engines.iter().for_each(Engine::increment_epoch);
            }
        };
        let thread = std::thread::Builder::new()
            .name("wasm-clock".into())
            .spawn(tick)
            .expect("a process that cannot start a thread cannot run steps either");
        Ticker { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It does nothing that could panic.
            let _ = thread.join();
        }
    }
}
