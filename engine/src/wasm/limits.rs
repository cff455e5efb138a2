//! The limits of a guest: what one call may take of memory and tables, and every fixed number around a call.
//!
//! Time is limited in `meter.rs`; what the file may raise is `steps_sdk::grant::GuestLimits`.

use std::fmt;
use std::time::Duration;

use wasmtime::ResourceLimiter;

/// A component's file. The largest useful ones are interpreters of scripting languages.
pub const COMPONENT_BYTES_MAX: usize = 32 << 20;
/// What `run` gives, and every other answer of a guest.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;
/// What a guest hands over in one call of the host, and in one answer; wasmtime refuses more before it copies.
pub const HANDED_OVER_BYTES_MAX: usize = ANSWER_BYTES_MAX + (1 << 20);
/// Log lines of one call.
pub const LOG_BYTES_MAX: usize = 1 << 20;
/// One line of a log, a reason for waiting, a message of a failure.
pub const LINE_BYTES_MAX: usize = 16 << 10;
/// Calls of the host in one call of a step: a storm of them is a loop that went wrong.
pub const HOST_CALLS_MAX: u32 = 100_000;
/// Changes of one preview.
pub const CHANGES_MAX: usize = 10_000;
/// What the host reads for the guest in one call.
pub const RESPONSE_BYTES_MAX: usize = 16 << 20;
/// Random bytes in one call.
pub const RANDOM_BYTES_MAX: u32 = 64 << 10;
/// Kinds of one component.
pub const KINDS_MAX: usize = 100;

/// The words of one kind, and each of its schemas.
pub const DOC_BYTES_MAX: usize = 64 << 10;
pub const SCHEMA_BYTES_MAX: usize = 256 << 10;

/// `describe` answers from what is built into the component.
pub const DESCRIBE_CPU: Duration = Duration::from_secs(3);
pub const DESCRIBE_WALL: Duration = Duration::from_secs(30);

/// Native stack of a guest; deep recursion of interpreters fits.
pub const GUEST_STACK_BYTES: usize = 512 << 10;
/// The guest's stack, and what host functions need above it.
pub const FIBER_STACK_BYTES: usize = 2 << 20;

/// Interpreters that were compiled to components have more than twenty instances.
const INSTANCES_MAX: usize = 200;
const TABLES_MAX: usize = 200;
const MEMORIES_MAX: usize = 20;
/// Entries of all tables together, of eight bytes each.
pub(super) const TABLE_ENTRIES_MAX: usize = 1 << 20;

/// Counts what one call has taken of memory, over all memories of all its instances.
#[derive(Debug)]
pub(super) struct Allowance {
    memory_max: u64,
    memory: u64,
    /// What the growth that is under way adds; given back when it fails after we allowed it.
    growing: u64,
    table_entries: usize,
}

/// A limit that a guest ran into. It travels through wasmtime as the error of the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exceeded {
    Memory { wanted: u64, limit: u64 },
    TableEntries { wanted: usize },
    HostCalls,
    RandomBytes { wanted: u32 },
}

impl Allowance {
    pub(super) fn new(memory_max: u64) -> Allowance {
        Allowance { memory_max, memory: 0, growing: 0, table_entries: 0 }
    }

    pub(super) fn memory_max(&self) -> u64 {
        self.memory_max
    }
}

impl ResourceLimiter for Allowance {
    /// An error instead of `false`: a guest that is told "no" ends in an `unreachable` that explains nothing.
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The module's own maximum: the guest wrote it and is answered as the specification says. In the pool every memory has one;
        // those that are not below our limit are ours.
        if maximum.is_some_and(|maximum| desired > maximum && (maximum as u64) < self.memory_max) {
            return Ok(false);
        }
        let growing = desired.saturating_sub(current) as u64;
        let wanted = self.memory.saturating_add(growing);
        if wanted > self.memory_max {
            return Err(Exceeded::Memory { wanted, limit: self.memory_max }.into());
        }
        self.memory = wanted;
        self.growing = growing;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.memory = self.memory.saturating_sub(std::mem::take(&mut self.growing));
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum && maximum < TABLE_ENTRIES_MAX) {
            return Ok(false);
        }
        let wanted = self.table_entries.saturating_add(desired.saturating_sub(current));
        if wanted > TABLE_ENTRIES_MAX {
            return Err(Exceeded::TableEntries { wanted }.into());
        }
        self.table_entries = wanted;
        Ok(true)
    }

    fn instances(&self) -> usize {
        INSTANCES_MAX
    }

    fn tables(&self) -> usize {
        TABLES_MAX
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX
    }
}

impl Exceeded {
    /// The code of `docs/errors.md`.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Exceeded::Memory { .. } => "W102",
            Exceeded::TableEntries { .. } => "W108",
            Exceeded::HostCalls => "W107",
            Exceeded::RandomBytes { .. } => "W109",
        }
    }

    pub(super) fn help(&self) -> &'static str {
        match self {
            Exceeded::Memory { .. } => {
                "if the step needs that much, raise it in the file: `limits memory=` of the `use` node"
            }
            Exceeded::TableEntries { .. } | Exceeded::HostCalls | Exceeded::RandomBytes { .. } => {
                "this limit is fixed: the component has to do with less; tell its author"
            }
        }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exceeded::Memory { wanted, limit } => {
                write!(f, "asked for {} of memory, its limit is {}", Bytes(*wanted), Bytes(*limit))
            }
            Exceeded::TableEntries { wanted } => {
                write!(f, "asked for {wanted} table entries, its limit is {TABLE_ENTRIES_MAX}")
            }
            Exceeded::HostCalls => write!(f, "called the host more than {HOST_CALLS_MAX} times in one call"),
            Exceeded::RandomBytes { wanted } => {
                write!(f, "asked for {wanted} random bytes at once, its limit is {RANDOM_BYTES_MAX}")
            }
        }
    }
}

impl std::error::Error for Exceeded {}

/// A size as people say it: up to the next whole unit, so that what exceeds a limit never looks equal to it.
pub(super) struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            small if small < 1 << 10 => write!(f, "{small} bytes"),
            medium if medium < 1 << 20 => write!(f, "{} KiB", medium.div_ceil(1 << 10)),
            large => write!(f, "{} MiB", large.div_ceil(1 << 20)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn all_memories_count_together_and_a_failed_growth_is_given_back() {
        let mut allowance = Allowance::new(64 << 20);
        assert!(allowance.memory_growing(0, 40 * MIB, None).unwrap());
        let refused = allowance.memory_growing(0, 61 * MIB, None).unwrap_err();
        assert_eq!(refused.to_string(), "asked for 101 MiB of memory, its limit is 64 MiB");
        assert!(allowance.memory_growing(0, 24 * MIB, None).unwrap());
        allowance.memory_grow_failed(wasmtime::Error::msg("no room")).unwrap();
        assert!(allowance.memory_growing(40 * MIB, 64 * MIB, None).unwrap());
        assert!(!allowance.memory_growing(MIB, 3 * MIB, Some(2 * MIB)).unwrap(), "its own maximum");
        assert!(allowance.memory_growing(64 * MIB, 129 * MIB, Some(128 * MIB)).is_err(), "the maximum of the pool");
        assert!(!allowance.table_growing(0, 9, Some(8)).unwrap(), "its own maximum");
        assert!(
            allowance.table_growing(0, TABLE_ENTRIES_MAX + 1, Some(TABLE_ENTRIES_MAX)).is_err(),
            "that of the pool"
        );
    }

    #[test]
    fn what_exceeds_a_limit_never_looks_equal_to_it() {
        assert_eq!(Bytes((64 << 20) + 1).to_string(), "65 MiB");
        assert_eq!(Bytes(64 << 20).to_string(), "64 MiB");
        assert_eq!(Bytes(65_536).to_string(), "64 KiB");
    }
}
