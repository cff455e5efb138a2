//! Stands in for the outside world inside one process, for demonstrations, rehearsals and tests; a real run never uses it.
//!
//! Everything listens on loopback only, is reached through a handle, and stops when its handle is dropped. Nothing is global, so
//! that many can live side by side.
//!
//! - [`dns`]: an authoritative name server of one zone that takes signed dynamic updates
//! - [`tls`]: an endpoint that shows a certificate

pub mod dns;
pub mod tls;
