//! A pool of places for guests: memories, tables and stacks that are mapped once and cleaned between calls.
//!
//! Mapping and unmapping is most of what a short call costs. The pool has few places, since each reserves address space; a call that
//! finds none free, or a guest that is larger than a place, is given memory of its own by the other engine, which is only slower.
//! Both engines run the same compiled code.

use std::sync::{Arc, OnceLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::Component as Code;
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::bindings::StepPre;
use super::error::WasmError;
use super::guest::Guest;
use super::imports;
use super::limits::TABLE_ENTRIES_MAX;
use super::machine::{MEMORY_RESERVATION, Machine};

/// Calls that are in the pool at once. Waiting guests keep their place.
const PLACES: u32 = 32;
/// What a component may have of each kind to fit a place: those that are compiled from one module have two or three instances.
const INSTANCES: u32 = 10;
const MEMORIES: u32 = 1;
const TABLES: u32 = 3;
/// What of a guest's memory stays mapped between calls and is cleared by writing, which is quicker than a fault for each page. Where
/// the system tells which pages a call wrote to (Linux 6.7), only those are cleared.
const MEMORY_KEPT: usize = 64 << 10;
const MEMORY_KEPT_OF_WRITTEN: usize = 1 << 20;
const TABLE_KEPT: usize = 4 << 10;

pub(super) struct Pool {
    pub(super) engine: Engine,
    places: Arc<Semaphore>,
}

impl Pool {
    /// `None` where the system has not the address space for it (4 GiB).
    pub(super) fn new(mut config: Config) -> Option<Pool> {
        let kept = match PoolingAllocationConfig::is_pagemap_scan_available() {
            true => MEMORY_KEPT_OF_WRITTEN,
            false => MEMORY_KEPT,
        };
        let mut places = PoolingAllocationConfig::new();
        places
            .total_component_instances(PLACES)
            .total_core_instances(PLACES * INSTANCES)
            .total_memories(PLACES * MEMORIES)
            .total_tables(PLACES * TABLES)
            .total_stacks(PLACES)
            .max_core_instances_per_component(INSTANCES)
            .max_memories_per_component(MEMORIES)
            .max_tables_per_component(TABLES)
            .max_tables_per_module(TABLES)
            // Limits of a guest are the same in the pool and out of it.
            .max_memory_size(MEMORY_RESERVATION as usize)
            .table_elements(TABLE_ENTRIES_MAX)
            .pagemap_scan(Enabled::Auto)
            .linear_memory_keep_resident(kept)
            .table_keep_resident(TABLE_KEPT);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(places));
        match Engine::new(&config) {
            Ok(engine) => Some(Pool { engine, places: Arc::new(Semaphore::new(PLACES as usize)) }),
            Err(error) => {
                tracing::debug!("no pool for guests, each call is given memory of its own: {error:#}");
                None
            }
        }
    }
}

/// A component's code, linked to the host: for calls with memory of their own and, if it fits, for the pool.
pub(super) struct Linked {
    /// For the engine without a pool.
    code: Code,
    /// Linked when a call first needs it, unless there is no other.
    alone: OnceLock<StepPre<Guest>>,
    pooled: Option<StepPre<Guest>>,
}

/// Where one call takes place.
pub(super) struct Place<'a> {
    pub(super) engine: &'a Engine,
    pub(super) code: &'a StepPre<Guest>,
    /// Given back when the call is over.
    _place: Option<OwnedSemaphorePermit>,
}

impl Linked {
    /// `pooled` is the same code for the pool; one that is too large for it was refused by it when it was loaded.
    pub(super) fn new(machine: &Machine, code: Code, pooled: Option<Code>) -> Result<Linked, WasmError> {
        let pooled = machine.pool().zip(pooled).map(|(pool, code)| imports::link(&pool.engine, &code)).transpose()?;
        let linked = Linked { code, alone: OnceLock::new(), pooled };
        if linked.pooled.is_none() {
            linked.alone(machine)?;
        }
        Ok(linked)
    }

    fn alone(&self, machine: &Machine) -> Result<&StepPre<Guest>, WasmError> {
        if let Some(linked) = self.alone.get() {
            return Ok(linked);
        }
        let linked = imports::link(&machine.engine, &self.code)?;
        Ok(self.alone.get_or_init(|| linked))
    }

    /// A place for a call that may use this much memory.
    pub(super) fn place<'a>(&'a self, machine: &'a Machine, memory_max: u64) -> Result<Place<'a>, WasmError> {
        let pooled = machine.pool().zip(self.pooled.as_ref()).filter(|_| memory_max <= MEMORY_RESERVATION);
        let free = pooled.and_then(|(pool, code)| {
            let place = Arc::clone(&pool.places).try_acquire_owned().ok()?;
            Some(Place { engine: &pool.engine, code, _place: Some(place) })
        });
        match free {
            Some(place) => Ok(place),
            None => Ok(Place { engine: &machine.engine, code: self.alone(machine)?, _place: None }),
        }
    }
}
