//! Steps that only compute.

pub mod set;
