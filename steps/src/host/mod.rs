//! What the engine does on behalf of a WASM step: `steps-sdk`'s traits `Http`, `Kubernetes` and `Dns`, over the same code as the
//! built-in kinds.
//!
//! Grants are not compared here: the engine has done that before it calls. What only the one who acts can see is refused here: the
//! address to which a name leads, a response that does not end. What a guest must never have does not leave here: the values
//! of Secrets.

mod dns;
mod http;
mod kubernetes;

use std::net::SocketAddr;
use std::sync::Arc;

use steps_sdk::host::Host;

/// The host functions of this machine.
pub(crate) fn of_machine() -> Host {
    with(dns::Resolvers::of_machine())
}

/// The same, with questions about names for this resolver.
pub(crate) fn asking(resolver: SocketAddr) -> Host {
    with(dns::Resolvers::at(resolver))
}

fn with(resolvers: dns::Resolvers) -> Host {
    Host {
        http: Arc::new(http::Client::of_machine()),
        kubernetes: Arc::new(kubernetes::ApiServers),
        dns: Arc::new(resolvers),
    }
}
