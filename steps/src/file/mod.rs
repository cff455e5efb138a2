//! Steps that touch files of the machine on which the engine runs.
//!
//! `replace.rs` is the one way in which any built-in step writes a file, whatever its family.

pub mod classify;
pub mod replace;
pub mod write;
