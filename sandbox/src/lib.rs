//! Stands in for the outside world inside one process, for demonstrations, rehearsals and tests; a real run never uses it.
//!
//! Everything listens on loopback only, is reached through a handle, and stops when its handle is dropped. Nothing is global, so
//! that many can live side by side.
//!
//! - [`dns`]: an authoritative name server of one zone that takes signed dynamic updates
//! - [`tls`]: an endpoint that shows a certificate
//! - [`control`]: what a controller over an API server is made of
//! - [`operator`]: acts for kcp-operator, and [`druid`] for etcd-druid; `src/bin` makes programs of them by way of [`program`]

pub mod control;
pub mod dns;
pub mod druid;
pub mod operator;
pub mod program;
pub mod tls;
