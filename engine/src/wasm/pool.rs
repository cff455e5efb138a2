//! A pool of places for guests: memories, tables and stacks that are mapped once and cleaned between calls.
//!
//! Mapping and unmapping is most of what a short call costs. The pool has few places, since each reserves address space; a call that
//! finds none free, or a guest that is larger than a place, is given memory of its own by the other engine, which is only slower.
//! Both engines run the same compiled code.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::bindings::StepPre;
use super::guest::Guest;
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
    pub(super) alone: StepPre<Guest>,
    pub(super) pooled: Option<StepPre<Guest>>,
}

/// Where one call takes place.
pub(super) struct Place<'a> {
    pub(super) engine: &'a Engine,
    pub(super) code: &'a StepPre<Guest>,
    /// Given back when the call is over.
    _place: Option<OwnedSemaphorePermit>,
}

impl Linked {
    /// A place for a call that may use this much memory.
    pub(super) fn place<'a>(&'a self, machine: &'a Machine, memory_max: u64) -> Place<'a> {
        let pooled = machine.pool().zip(self.pooled.as_ref()).filter(|_| memory_max <= MEMORY_RESERVATION);
        let free = pooled.and_then(|(pool, code)| {
            let place = Arc::clone(&pool.places).try_acquire_owned().ok()?;
            Some(Place { engine: &pool.engine, code, _place: Some(place) })
        });
        free.unwrap_or(Place { engine: &machine.engine, code: &self.alone, _place: None })
    }
}
