//! All components of a process: what is known about each by its digest, in memory and on disk.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use engine_core::id::Digest;
use steps_sdk::ErrorClass;
use wasmtime::component::Component as Code;

use super::cache::{Cache, WholeCode};
use super::call::{self, Answer, Question, Unfit};
use super::compile::Compiler;
use super::component::Component;
use super::describe::{Description, Kind};
use super::error::{Refusal, WasmError};
use super::examine::{self, Contract};
use super::guest::Guest;
use super::limits::{DESCRIBE_CPU, DESCRIBE_WALL};
use super::machine::Machine;
use super::meter::Time;
use super::pool::Linked;
use super::trap::{self, Fault};

/// Where compiled code is kept, and who compiles.
pub struct Settings {
    /// Made if it is missing, at mode 0700; one that others can write to is refused.
    pub cache: PathBuf,
    pub compiler: Compiler,
}

/// One per process.
pub struct Components {
    machine: Arc<Machine>,
    cache: Cache,
    compiler: Compiler,
    known: Mutex<Known>,
    compiled: AtomicU64,
}

#[derive(Default)]
struct Known {
    described: BTreeMap<Digest, Arc<Description>>,
    ready: BTreeMap<Digest, Arc<Component>>,
}

impl Components {
    pub fn new(settings: Settings) -> Result<Components, WasmError> {
        let machine = Machine::new()?;
        let cache = Cache::open(settings.cache, machine.compatibility())?;
        Ok(Components {
            machine: Arc::new(machine),
            cache,
            compiler: settings.compiler,
            known: Mutex::default(),
            compiled: AtomicU64::new(0),
        })
    }

    /// What the component says of itself. A component that was described before, here or in another process, is neither compiled nor
    /// run for this.
    ///
    /// Blocks while it compiles and describes: not for a task of the runtime.
    pub fn describe(&self, bytes: &[u8]) -> Result<Arc<Description>, WasmError> {
        let digest = Digest::of_bytes(bytes);
        let mut known = self.known.lock().expect("no code panics while it holds what is known");
        if let Some(described) = known.described.get(&digest) {
            return Ok(Arc::clone(described));
        }
        let described = match self.cache.description(&digest) {
            Some(described) => Arc::new(described),
            None => Arc::clone(&self.make(&mut known, bytes, &digest)?.description),
        };
        known.described.insert(digest, Arc::clone(&described));
        Ok(described)
    }

    /// The component, ready to be called.
    ///
    /// Blocks while it compiles and describes: not for a task of the runtime.
    pub fn component(&self, bytes: &[u8]) -> Result<Arc<Component>, WasmError> {
        let digest = Digest::of_bytes(bytes);
        let mut known = self.known.lock().expect("no code panics while it holds what is known");
        if let Some(ready) = known.ready.get(&digest) {
            return Ok(Arc::clone(ready));
        }
        self.make(&mut known, bytes, &digest)
    }

    /// How often this process had a component compiled.
    pub fn compilations(&self) -> u64 {
        self.compiled.load(Ordering::Relaxed)
    }

    /// Machine code of a component, for a test that hands it in as a component.
    #[cfg(test)]
    pub(super) fn precompiled(&self, bytes: &[u8]) -> Vec<u8> {
        self.compiler.compile(&self.machine.engine, bytes).unwrap()
    }

    /// Makes a component ready, or remembers that it is refused.
    fn make(&self, known: &mut Known, bytes: &[u8], digest: &Digest) -> Result<Arc<Component>, WasmError> {
        examine::bytes(bytes)?;
        if let Some(refusal) = self.cache.refusal(digest) {
            return Err(refusal.into());
        }
        let made = self.make_new(known, bytes, digest);
        if let Err(WasmError::Refused(refusal)) = &made {
            self.cache.keep_refusal(digest, refusal)?;
        }
        let component = made?;
        known.ready.insert(digest.clone(), Arc::clone(&component));
        Ok(component)
    }

    fn make_new(&self, known: &Known, bytes: &[u8], digest: &Digest) -> Result<Arc<Component>, WasmError> {
        let (whole, code) = self.code(bytes, digest)?;
        let contract = examine::contract(&code)?;
        let pooled = self.machine.pool().and_then(|pool| whole.load(&pool.engine));
        let linked = Linked::new(&self.machine, code, pooled)?;
        let known = known.described.get(digest).cloned();
        let description = match known.or_else(|| self.cache.description(digest).map(Arc::new)) {
            Some(description) => description,
            None => {
                let description = self.ask(&linked, contract, bytes, digest)?;
                self.cache.keep_description(&description)?;
                Arc::new(description)
            }
        };
        Ok(Arc::new(Component { machine: Arc::clone(&self.machine), linked, description }))
    }

    fn code(&self, bytes: &[u8], digest: &Digest) -> Result<(WholeCode, Code), WasmError> {
        let kept = || {
            let whole = self.cache.code(digest)?;
            let code = whole.load(&self.machine.engine)?;
            Some((whole, code))
        };
        if let Some(kept) = kept() {
            return Ok(kept);
        }
        self.compiled.fetch_add(1, Ordering::Relaxed);
        let compiled = self.compiler.compile(&self.machine.engine, bytes)?;
        self.cache.keep_code(digest, &compiled)?;
        kept().ok_or_else(|| WasmError::NotReady {
            reason: "the compiled code that was just written cannot be loaded".to_owned(),
        })
    }

    /// Calls `describe`. Guests run on a runtime, and the caller may stand on one already: a thread of its own has neither problem.
    fn ask(
        &self,
        linked: &Linked,
        contract: Contract,
        bytes: &[u8],
        digest: &Digest,
    ) -> Result<Description, WasmError> {
        let unable =
            |error: std::io::Error| WasmError::NotReady { reason: format!("no thread to describe it on: {error}") };
        let time = Time { cpu: DESCRIBE_CPU, wall: DESCRIBE_WALL };
        let (answer, guest) = std::thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
                Ok(runtime.block_on(call::ask(&self.machine, linked, Guest::described(), time, Question::Describe)))
            });
            asking.join().expect("describing a guest does not panic")
        })
        .map_err(unable)?;
        let kinds = match answer {
            Ok(Answer::Described(kinds)) => kinds,
            Ok(_) => unreachable!("`describe` is answered by kinds"),
            Err(Fault::Trap(trap)) if trap.is::<Unfit>() => {
                return Err(Refusal::Invalid { reason: trap.root_cause().to_string() }.into());
            }
            Err(fault) => {
                let error = trap::explain(fault, &guest, "the component");
                // What may be the machine's fault is not held against the component.
                return Err(match error.class {
                    ErrorClass::Transient => WasmError::NotReady { reason: error.message },
                    ErrorClass::Permanent | ErrorClass::NeedsPerson => Refusal::Describe { error }.into(),
                });
            }
        };
        let kinds = kinds.into_iter().map(Kind::read).collect::<Result<Vec<_>, _>>()?;
        let description = Description {
            digest: digest.clone(),
            size: bytes.len() as u64,
            wit: contract.wit,
            imports: contract.imports,
            kinds,
        };
        description.check()?;
        Ok(description)
    }
}
