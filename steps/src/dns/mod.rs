//! Steps that change a DNS zone through its name server: dynamic updates (RFC 2136), signed with TSIG (RFC 8945).
//!
//! In reading order: `wanted` turns the inputs into record sets; `key` reads the signing key; `client` asks one server over TCP;
//! `held` reads what is there; `swap` compares both and makes the one update that leads from one to the other, with the
//! prerequisites under which it may be applied; `classify` judges failures; `records` is the step. `resolve` looks up addresses for
//! other families.

pub mod classify;
pub mod client;
pub mod held;
pub mod key;
pub mod records;
pub mod resolve;
pub mod swap;
pub mod wanted;

#[cfg(test)]
mod faulty;
