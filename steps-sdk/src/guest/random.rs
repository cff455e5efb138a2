//! Randomness. Not recorded: what must survive a crash goes into the memo.

use super::bindings::engine::step::random as wit;

/// Unpredictable bytes.
pub fn bytes(length: u32) -> Vec<u8> {
    wit::bytes(length)
}
