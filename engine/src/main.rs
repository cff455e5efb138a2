//! The roof: the only file that names `steps` and `sandbox`, and hands them to the command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use engine::cli::{self, Eventually, Playground, Roof};
use sandbox::dns::{Zone, ZoneSettings};
use sandbox::tls::{Endpoint, Identity};

fn main() -> ExitCode {
    cli::main(Roof { kinds: steps::builtin(), host: steps::host, playground })
}

/// The world of the demo: a zone, an endpoint that answers, and one that is brought up later.
fn playground(directory: PathBuf) -> Eventually<Playground> {
    Box::pin(async move {
        let words = |error: &dyn std::error::Error| error.to_string();
        let zone = Zone::serve(ZoneSettings::new("demo.test")).await.map_err(|e| words(&e))?;
        let west = Endpoint::serve(Identity::file(directory.join("west.pem"))).await.map_err(|e| words(&e))?;
        let reserved = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
        let east: SocketAddr = reserved.map_err(|e| words(&e))?;
        let (server, key) = (zone.address().to_string(), zone.key().to_owned());
        let sites = vec![("west", west.address().port()), ("east", east.port())];
        let (hand_in, kept) = std::sync::mpsc::channel();
        let repair = Box::pin(async move {
            let endpoint = Endpoint::serve_on(east, Identity::file(directory.join("east.pem")))
                .await
                .map_err(|e| e.to_string())?;
            // The receiver lives in `alive`, as long as the demo.
            hand_in.send(endpoint).map_err(|e| e.to_string())
        });
        Ok(Playground { server, key, sites, broken: "east", repair, alive: Box::new((zone, west, kept)) })
    })
}
