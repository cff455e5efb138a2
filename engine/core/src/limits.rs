//! Every fixed limit of the language and of a run, with the reason for its size.

/// A workflow file; a rollout of fifty steps has about 20 KiB.
pub const SOURCE_BYTES_MAX: usize = 1 << 20;
/// Files that a workflow includes, those that these include among them.
pub const INCLUDED_FILES_MAX: usize = 100;
/// YAML files that one path of a workflow stands for, in number and together.
pub const MANIFEST_FILES_MAX: usize = 1_000;
pub const MANIFEST_BYTES_MAX: usize = 16 << 20;
/// Nested blocks. The KDL parser recurses: 350 levels overflow a 2 MiB stack (measured with kdl 6.7.1).
pub const NESTING_MAX: usize = 64;
/// Nested `/-`: the parser's time doubles with each level.
pub const SLASHDASH_NESTING_MAX: usize = 3;
/// Nested `/* */`: the parser recurses.
pub const COMMENT_NESTING_MAX: usize = 8;

/// One expression.
pub const EXPRESSION_BYTES_MAX: usize = 64 << 10;
/// Nested brackets, operators and fields of one expression: every walk over its tree recurses.
pub const EXPRESSION_DEPTH_MAX: usize = 128;
/// Steps of one evaluation, so that nested macros end.
pub const EVALUATION_STEPS_MAX: u64 = 100_000;
/// The JSON of one evaluated value.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// Steps of one plan, after groups are opened.
pub const STEPS_MAX: usize = 20_000;
/// `wait` without `for=`: long enough for a load balancer or a rollout, short enough to be noticed.
pub const WAIT_FOR_DEFAULT_MS: u64 = 10 * 60_000;
/// The key of one instance of a group: it is a part of names that clusters store.
pub const KEY_CHARACTERS_MAX: usize = 63;
/// Steps of a run that are under way at once, unless the file says otherwise.
pub const PARALLEL_DEFAULT: usize = 16;
pub const PER_CLUSTER_DEFAULT: usize = 8;
pub const PARALLEL_MAX: usize = 256;

/// One record of the journal. Outputs over [`OUTPUT_INLINE_BYTES_MAX`] lie in files of their own.
pub const EVENT_BYTES_MAX: usize = 1 << 20;
pub const OUTPUT_INLINE_BYTES_MAX: usize = 64 << 10;
/// Outputs of one step.
pub const OUTPUT_BYTES_MAX: usize = 16 << 20;
/// One memo of a step.
pub const MEMO_BYTES_MAX: usize = 64 << 10;
pub const ATTEMPTS_MAX: u32 = 1_000;

/// Memory of one call of a component. Guests of scripting languages need tens of MiB to begin; a 32-bit memory ends at 4 GiB.
pub const GUEST_MEMORY_BYTES_MIN: u64 = 1 << 20;
pub const GUEST_MEMORY_BYTES_MAX: u64 = 4 << 30;
/// Time of one call. Below the first no guest gets anywhere; a wait that takes longer than a day is a step of its own.
pub const GUEST_TIME_MIN_MS: u64 = 10;
pub const GUEST_WALL_MAX_MS: u64 = 24 * 3_600_000;
pub const GUEST_CPU_MAX_MS: u64 = 3_600_000;
