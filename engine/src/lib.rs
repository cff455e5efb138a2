//! The engine: runs one workflow over many clusters from a plan, with a journal, without a server.
//!
//! This half touches the world; the pure half is `engine-core`. In reading order, from the ground up: adapters that know nothing of
//! each other ([`journal`], [`report`], [`cluster`], [`seal`], [`wasm`], [`oci`], over [`disk`]); [`load`], which reads what a workflow is made of;
//! [`run`], the asynchronous shell around the pure state of a run, and [`cases`], which carries out one call over a mocked world; and
//! [`cli`], the only code that reads the environment, prints and exits.

mod disk;

pub mod journal;

pub mod report;

pub mod cluster;

pub mod seal;

pub mod wasm;

pub mod oci;

pub mod load;

pub mod run;

pub mod cases;

pub mod cli;
