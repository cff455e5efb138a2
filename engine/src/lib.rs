//! Being written.

pub mod report;

pub mod disk;

pub mod journal;
