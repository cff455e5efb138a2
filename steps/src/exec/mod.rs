//! Steps that run programs of the machine on which the engine runs.
//!
//! In reading order: `run` is the step; `child` starts a program behind a gate and ends its process group; `process` reads what the
//! kernel knows of processes; `output` takes in what a program says; `kubeconfig` lends it a cluster; `classify` judges failures.

pub mod child;
pub mod classify;
pub mod kubeconfig;
pub mod output;
pub mod process;
pub mod run;
