//! Being written.

mod disk;

pub mod journal;
pub mod load;
pub mod report;
