//! The built-in steps: one kind per file, each answering the six verbs of `steps-sdk`.
//!
//! A step here knows neither plan nor journal nor another step: what it needs arrives in its inputs and its context. Each family
//! classifies its failures in one table (`classify.rs`), so that what is transient is decided once. What WASM steps may ask of their
//! host is implemented here too, over the same code.

mod cluster;
mod dns;
mod exec;
mod file;
mod host;
mod k8s;
mod kcp;
mod pki;
mod tls;
mod value;

#[cfg(test)]
use steps_sdk::testing;

pub use cluster::readiness::{ReadyWhen, rules as readiness_rules};

use std::net::SocketAddr;
use std::sync::Arc;

use steps_sdk::host::Host;
use steps_sdk::native::StepHandler;

/// Every built-in kind, in alphabetical order.
pub fn builtin() -> Vec<Arc<dyn StepHandler>> {
    vec![
        Arc::new(dns::records::Records::default()),
        Arc::new(exec::run::Run),
        Arc::new(file::write::Write),
        Arc::new(k8s::apply::Apply),
        Arc::new(k8s::carry::Carry),
        Arc::new(k8s::scale::Scale),
        Arc::new(k8s::wait::WaitFor),
        Arc::new(kcp::etcd::Etcd),
        Arc::new(kcp::front_proxy::FrontProxy),
        Arc::new(kcp::kubeconfig::Kubeconfig),
        Arc::new(kcp::ready::Ready),
        Arc::new(kcp::root_shard::RootShard),
        Arc::new(kcp::shard::Shard),
        Arc::new(pki::ca::Ca::default()),
        Arc::new(pki::leaf::Leaf::default()),
        Arc::new(tls::check::Check),
        Arc::new(value::set::Set),
    ]
}

/// What the engine does on behalf of WASM steps, with the means of this machine.
pub fn host() -> Host {
    host::of_machine()
}

/// The same for a world apart whose names this resolver knows, such as a lab's: its own port is that of every name server there.
pub fn host_asking(resolver: SocketAddr) -> Host {
    host::asking(resolver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_describes_itself_and_the_list_is_alphabetical() {
        let kinds: Vec<String> =
            builtin().iter().map(|step| step.describe().expect("a schema in the subset").kind.to_string()).collect();
        assert!(kinds.is_sorted(), "{kinds:?}");
    }
}
