//! Kinds that set up kcp through kcp-operator and etcd-druid: objects for the operators, and what they are really worth.
//!
//! Each kind declares a small set of objects by server-side apply and says when it is done; what ready means is in the table of
//! `cluster/readiness`. The operators' phases are never believed. What the kinds have in common is in [`declared`] (the four verbs
//! over a set of objects) and [`parts`] (inputs that several objects share).
//!
//! In the order of a rollout: [`etcd`] keeps the data, [`root_shard`] and [`front_proxy`] get addresses, [`ready`] waits until they serve,
//! [`kubeconfig`] lets one in, [`shard`] declares the others.

mod certificates;
mod declared;
pub mod etcd;
pub mod front_proxy;
pub mod kubeconfig;
mod parts;
pub mod ready;
pub mod root_shard;
pub mod shard;

#[cfg(test)]
mod definitions;
