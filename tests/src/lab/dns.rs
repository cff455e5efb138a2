//! The DNS server: knot, authoritative for one zone, which a key may change by dynamic updates (RFC 2136, TSIG).

use std::fs;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Lab;
use super::address;
use super::error::LabError;
use super::network::Place;
use super::programs::Programs;
use super::record::{Dns, Key, write_private};

/// The zone of a lab on loopback addresses, and that of `lab up --zheng`.
pub(super) const TRUST: &str = "trust.example.test.";
pub(super) const ZHENG: &str = "zheng.example.test.";
const KEY: &str = "lab.";

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(2);

/// A new zone at an address, with a new key.
pub fn new(server: SocketAddrV4, zone: &str) -> Dns {
    let mut secret = [0; 32];
    rustls::crypto::ring::default_provider().secure_random.fill(&mut secret).expect("the system has randomness");
    let key = Key { name: KEY.into(), algorithm: "hmac-sha256".into(), secret: STANDARD.encode(secret) };
    Dns { server, zone: zone.into(), key }
}

/// Writes what the server reads, and says how to start it.
pub fn prepare(programs: &Programs, dns: &Dns, lab: &Path) -> Result<(Command, PathBuf), LabError> {
    let home = lab.join("dns");
    fs::create_dir_all(home.join("data")).map_err(LabError::file(format!("make {}", home.display())))?;
    write_private(&home.join("zone"), &zone(dns))?;
    write_private(&home.join("knot.conf"), &config(dns))?;
    let mut command = programs.knotd();
    command.arg("--config=knot.conf");
    Ok((command, home))
}

/// Writes what programs in a network of the lab's own find as `/etc/resolv.conf`, outside of the regions and in each.
pub(super) fn write_resolvers(lab: &Lab) -> Result<(), LabError> {
    let write = |place, text: String| {
        let file = lab.resolver_file(place);
        let write =
            || fs::create_dir_all(file.parent().expect("it is in a directory")).and_then(|()| fs::write(&file, text));
        write().map_err(LabError::file(format!("write {}", file.display())))
    };
    write(Place::World, format!("nameserver {}\n", lab.dns.address()))?;
    for index in 0..lab.clusters.len() {
        let server = address::resolver(index);
        let names = "search svc.cluster.local cluster.local\noptions ndots:5\n";
        write(Place::Region(index), format!("nameserver {server}\n{names}"))?;
    }
    Ok(())
}

/// Paths are relative to where the server is started: it makes a socket, and the path of a socket may not be long.
fn config(dns: &Dns) -> String {
    let Dns { server, zone, key } = dns;
    let (address, port) = (server.ip(), server.port());
    let Key { name, algorithm, secret } = key;
    format!(
        "server:
    listen: {address}@{port}
    rundir: .
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: stderr
    any: info
database:
    storage: data
    journal-db-max-size: 64M
    kasp-db-max-size: 16M
    timer-db-max-size: 16M
    catalog-db-max-size: 16M
key:
  - id: {name}
    algorithm: {algorithm}
    secret: {secret}
acl:
  - id: change
    key: {name}
    action: [update, transfer]
zone:
  - domain: {zone}
    file: ../zone
    storage: data
    acl: change
"
    )
}

/// The zone before anybody has changed it.
fn zone(dns: &Dns) -> String {
    let (zone, address) = (&dns.zone, dns.address());
    format!(
        "$ORIGIN {zone}
$TTL 5
@  SOA ns hostmaster 1 60 60 3600 5
@  NS  ns
ns A   {address}
"
    )
}

/// Asks the server for its zone's SOA record; an error says in words what came instead.
pub fn answers(dns: &Dns) -> Result<(), String> {
    let ask = || -> std::io::Result<Vec<u8>> {
        let socket = UdpSocket::bind((dns.address(), 0))?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.connect(SocketAddr::V4(dns.server))?;
        socket.send(&question(&dns.zone))?;
        let mut answer = vec![0; 512];
        let length = socket.recv(&mut answer)?;
        answer.truncate(length);
        Ok(answer)
    };
    let answer = ask().map_err(|error| error.to_string())?;
    // The header: id, flags, four counts. The answer is authoritative (0x04), without error, and holds one record.
    match answer.get(..8) {
        Some([_, _, high, low, _, _, 0, 1]) if high & 0x04 != 0 && low & 0x0f == 0 => Ok(()),
        Some([_, _, _, low, ..]) => Err(format!("no authority for {} (code {})", dns.zone, low & 0x0f)),
        _ => Err(format!("an answer of {} bytes", answer.len())),
    }
}

/// A question for the SOA record of a zone.
fn question(zone: &str) -> Vec<u8> {
    let mut message = vec![0x1a, 0xb0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in zone.split_terminator('.') {
        message.push(u8::try_from(label.len()).expect("a label has at most 63 bytes"));
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 6, 0, 1]); // the root, type SOA, class IN
    message
}
