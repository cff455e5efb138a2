//! Questions about names on behalf of a step that nobody has to trust.
//!
//! A question goes to the machine's resolver (the `nameserver` lines of `/etc/resolv.conf`, over TCP; the hosts file and search
//! domains are not for records), or past it to the zone's own servers: the resolver says which zone the name is in and who
//! serves it, and the first of those that answers with authority is believed. Then no cache stands between a record that was just
//! written and the step that looks for it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use steps_sdk::host::{Dns, DnsAnswer, DnsError};
use tokio::time::Instant;

use crate::dns::classify::Trouble;
use crate::dns::client::{Client, Until};
use crate::dns::resolve;
use crate::dns::wanted::plain;

/// Where the resolvers of a Unix machine are written down.
const RESOLVERS: &str = "/etc/resolv.conf";

/// As the C library does, when no resolver is written down.
const RESOLVER_DEFAULT: &str = "127.0.0.1";

/// Types that can be asked for. Others have forms that no step has asked for yet.
const TYPES: [RecordType; 10] = [
    RecordType::A,
    RecordType::AAAA,
    RecordType::CAA,
    RecordType::CNAME,
    RecordType::MX,
    RecordType::NS,
    RecordType::PTR,
    RecordType::SOA,
    RecordType::SRV,
    RecordType::TXT,
];

/// The resolvers of one machine.
pub(super) struct Resolvers {
    /// Asked for the list each time: laptops move.
    servers: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Of every authoritative server.
    port: u16,
}

impl Resolvers {
    pub(super) fn of_machine() -> Resolvers {
        let servers = || written_down(&std::fs::read_to_string(RESOLVERS).unwrap_or_default());
        Resolvers { servers: Box::new(servers), port: 53 }
    }

    /// One resolver, on whose port the servers of its zones are too.
    pub(super) fn at(resolver: SocketAddr) -> Resolvers {
        Resolvers { servers: Box::new(move || vec![resolver.to_string()]), port: resolver.port() }
    }

    async fn ask(
        &self,
        name: &Name,
        of_type: RecordType,
        authoritative: bool,
        until: Instant,
    ) -> Result<Message, DnsError> {
        let mut last = DnsError::Other("this machine has no resolver".into());
        for server in (self.servers)() {
            let mut client = Client::until(Until::Moment(until), &server);
            let asked = match authoritative {
                true => self.ask_zone(&mut client, name, of_type, until).await,
                false => answered(&mut client, name, of_type).await,
            };
            match asked {
                // Another resolver may know better than one that does not answer; what one says of the name holds.
                Err(error @ (DnsError::ServerFailure | DnsError::Timeout | DnsError::Other(_))) => last = error,
                settled => return settled,
            }
        }
        Err(last)
    }

    async fn ask_zone(
        &self,
        resolver: &mut Client<'_>,
        name: &Name,
        of_type: RecordType,
        until: Instant,
    ) -> Result<Message, DnsError> {
        let zone = zone_of(resolver, name).await?;
        let mut last =
            DnsError::Other(format!("the resolver {} knows no server of the zone {}", resolver.server, plain(&zone)));
        for server in servers_of(resolver, &zone).await? {
            for address in addresses_of(resolver, &server).await? {
                let address = match address {
                    IpAddr::V4(v4) => format!("{v4}:{}", self.port),
                    IpAddr::V6(v6) => format!("[{v6}]:{}", self.port),
                };
                match answered(&mut Client::until(Until::Moment(until), &address), name, of_type).await {
                    Ok(answer) if answer.metadata.authoritative => return Ok(answer),
                    Ok(_) => {
                        last = DnsError::Other(format!(
                            "{address}, a server of the zone {}, does not answer for it with authority",
                            plain(&zone)
                        ));
                    }
                    Err(DnsError::NoSuchName) => return Err(DnsError::NoSuchName),
                    Err(error) => last = error,
                }
            }
        }
        Err(last)
    }
}

#[async_trait]
impl Dns for Resolvers {
    async fn query(
        &self,
        name: &str,
        record_type: &str,
        authoritative: bool,
        timeout: Duration,
    ) -> Result<Vec<DnsAnswer>, DnsError> {
        let of_type = type_of(record_type)?;
        let mut name =
            Name::from_ascii(name).map_err(|e| DnsError::Other(format!("`{name}` is not a DNS name: {e}")))?;
        name.set_fqdn(true);
        let until = Instant::now() + timeout;
        let asked = tokio::time::timeout(timeout, self.ask(&name, of_type, authoritative, until)).await;
        let answer = asked.unwrap_or(Err(DnsError::Timeout))?;
        Ok(answer.answers.iter().map(shown).collect())
    }
}

/// The deepest zone that holds the name: whose SOA record the resolver shows when it is asked for the name's.
async fn zone_of(resolver: &mut Client<'_>, name: &Name) -> Result<Name, DnsError> {
    let mut at = name.clone();
    loop {
        let answer = resolver.try_ask(&at, RecordType::SOA).await.map_err(troubled)?;
        refused(&resolver.server, answer.metadata.response_code, true)?;
        let mut records = answer.answers.iter().chain(&answer.authorities);
        // An alias shows the zone in which it ends, which is another one: the name's own is above it.
        let apex = records.find(|record| record.record_type() == RecordType::SOA && record.name.zone_of(name));
        match apex {
            Some(soa) => return Ok(soa.name.clone()),
            None if at.is_root() => {
                return Err(DnsError::Other(format!(
                    "the resolver {} knows no zone of {}",
                    resolver.server,
                    plain(name)
                )));
            }
            None => at = at.base_name(),
        }
    }
}

/// The names of the zone's servers; the zone's primary one when it names no others.
async fn servers_of(resolver: &mut Client<'_>, zone: &Name) -> Result<Vec<Name>, DnsError> {
    let answer = answered(resolver, zone, RecordType::NS).await?;
    let named = answer.answers.into_iter().filter_map(|record| match record.data {
        RData::NS(server) => Some(server.0),
        _ => None,
    });
    Ok(named.collect())
}

async fn addresses_of(resolver: &mut Client<'_>, server: &Name) -> Result<Vec<IpAddr>, DnsError> {
    resolve::addresses(resolver, server).await.map_err(|error| {
        DnsError::Other(format!("the address of the name server {}: {}", plain(server), error.message))
    })
}

/// What the server says of the name; a refusal is an error.
async fn answered(client: &mut Client<'_>, name: &Name, of_type: RecordType) -> Result<Message, DnsError> {
    let answer = client.try_ask(name, of_type).await.map_err(troubled)?;
    refused(&client.server, answer.metadata.response_code, false)?;
    Ok(answer)
}

fn refused(server: &str, code: ResponseCode, absence_is_an_answer: bool) -> Result<(), DnsError> {
    match code {
        ResponseCode::NoError => Ok(()),
        ResponseCode::NXDomain if absence_is_an_answer => Ok(()),
        ResponseCode::NXDomain => Err(DnsError::NoSuchName),
        ResponseCode::ServFail => Err(DnsError::ServerFailure),
        code => Err(DnsError::Other(format!("the name server {server} refused the question: {code}"))),
    }
}

fn troubled(trouble: Trouble) -> DnsError {
    if matches!(trouble, Trouble::Silent { .. }) {
        return DnsError::Timeout;
    }
    let error = steps_sdk::StepError::from(trouble);
    let causes = error.causes.iter().map(|cause| format!(": {cause}")).collect::<String>();
    DnsError::Other(format!("{}{causes}", error.message))
}

fn type_of(text: &str) -> Result<RecordType, DnsError> {
    TYPES.into_iter().find(|known| known.to_string() == text.to_ascii_uppercase()).ok_or_else(|| {
        let known: Vec<String> = TYPES.iter().map(ToString::to_string).collect();
        DnsError::Other(format!("`{text}` is not a type of record that can be asked for: {}", known.join(" ")))
    })
}

fn shown(record: &Record) -> DnsAnswer {
    let value = match &record.data {
        RData::TXT(text) => text.txt_data.iter().map(|part| quoted(part)).collect::<Vec<_>>().join(" "),
        RData::CAA(caa) => format!("{} {} {}", caa.flags(), caa.tag, quoted(&caa.value)),
        other => other.to_string(),
    };
    DnsAnswer { name: plain(&record.name), record_type: record.record_type().to_string(), ttl: record.ttl, value }
}

/// A character string as zone files write it (RFC 1035 §5.1).
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\{other:03}")),
        }
    }
    text.push('"');
    text
}

/// The servers that a `resolv.conf` names.
fn written_down(text: &str) -> Vec<String> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()).flatten()
    });
    let servers: Vec<String> = named.map(str::to_owned).collect();
    if servers.is_empty() { vec![RESOLVER_DEFAULT.to_owned()] } else { servers }
}

#[cfg(test)]
#[path = "dns_tests.rs"]
mod tests;
