//! Against a zone that is served in this process, and against servers that do not answer.

use hickory_proto::rr::rdata::{CAA, CNAME, MX, NS, PTR, SOA, SRV, TXT};
use hickory_server::Server;
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use std::sync::Arc;
use tokio::net::TcpListener;

use super::*;

fn name(text: &str) -> Name {
    Name::from_ascii(text).unwrap()
}

/// A server of `demo.test` on loopback; its own NS record names it, so that it is found by the walk through the zone.
struct Served {
    address: std::net::SocketAddr,
    _server: Server<Catalog>,
}

async fn served(ns: &str) -> Served {
    let origin = name("demo.test.");
    let mut zone: InMemoryZoneHandler =
        InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny, None);
    let text = |bytes: &[u8]| TXT::from_bytes(vec![bytes, b"second"]);
    let records = [
        ("demo.test.", RData::SOA(SOA::new(name("ns.demo.test."), name("admin.demo.test."), 7, 3600, 600, 86_400, 60))),
        ("demo.test.", RData::NS(NS(name(ns)))),
        ("ns.demo.test.", RData::A(std::net::Ipv4Addr::LOCALHOST.into())),
        ("www.demo.test.", RData::A(std::net::Ipv4Addr::new(203, 0, 113, 7).into())),
        ("www.demo.test.", RData::AAAA(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7).into())),
        ("alias.demo.test.", RData::CNAME(CNAME(name("www.demo.test.")))),
        ("demo.test.", RData::MX(MX::new(10, name("mail.demo.test.")))),
        ("_kcp._tcp.demo.test.", RData::SRV(SRV::new(1, 2, 6443, name("www.demo.test.")))),
        ("txt.demo.test.", RData::TXT(text(b"v=\"1\" \\ \xc3\xa4"))),
        ("demo.test.", RData::CAA(CAA::new_issue(false, Some(name("ca.test.")), Vec::new()))),
        ("7.demo.test.", RData::PTR(PTR(name("www.demo.test.")))),
    ];
    for (at, data) in records {
        zone.upsert_mut(Record::from_rdata(name(at), 60, data), 0);
    }
    let mut catalog = Catalog::new();
    catalog.upsert(origin.into(), vec![Arc::new(zone)]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = Server::new(catalog);
    server.register_listener(listener, Duration::from_secs(5), 64 * 1024);
    Served { address, _server: server }
}

fn resolvers(servers: &[std::net::SocketAddr], port: u16) -> Resolvers {
    let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
    Resolvers { servers: Box::new(move || servers.clone()), port }
}

async fn asked(dns: &Resolvers, name: &str, of_type: &str, authoritative: bool) -> Result<Vec<String>, DnsError> {
    let answers = dns.query(name, of_type, authoritative, Duration::from_secs(5)).await?;
    Ok(answers.into_iter().map(|one| format!("{} {} {} {}", one.name, one.ttl, one.record_type, one.value)).collect())
}

#[tokio::test]
async fn every_type_is_answered_in_the_form_of_zone_files() {
    let zone = served("ns.demo.test.").await;
    let dns = resolvers(&[zone.address], zone.address.port());
    for (at, of_type, expected) in [
        ("www.demo.test", "A", "www.demo.test 60 A 203.0.113.7"),
        ("WWW.demo.test.", "aaaa", "www.demo.test 60 AAAA 2001:db8::7"),
        ("alias.demo.test", "CNAME", "alias.demo.test 60 CNAME www.demo.test."),
        ("demo.test", "MX", "demo.test 60 MX 10 mail.demo.test."),
        ("demo.test", "NS", "demo.test 60 NS ns.demo.test."),
        ("7.demo.test", "PTR", "7.demo.test 60 PTR www.demo.test."),
        ("demo.test", "SOA", "demo.test 60 SOA ns.demo.test. admin.demo.test. 7 3600 600 86400 60"),
        ("_kcp._tcp.demo.test", "SRV", "_kcp._tcp.demo.test 60 SRV 1 2 6443 www.demo.test."),
        ("txt.demo.test", "TXT", "txt.demo.test 60 TXT \"v=\\\"1\\\" \\\\ \\195\\164\" \"second\""),
        ("demo.test", "CAA", "demo.test 60 CAA 0 issue \"ca.test.\""),
    ] {
        for authoritative in [false, true] {
            let answers = asked(&dns, at, of_type, authoritative).await;
            let answers = answers.unwrap_or_else(|error| panic!("{of_type} {at} ({authoritative}): {error:?}"));
            assert_eq!(
                answers.first().map(|line| line.to_lowercase()),
                Some(expected.to_lowercase()),
                "{of_type} {at}"
            );
        }
    }
}

#[tokio::test]
async fn an_alias_is_answered_with_what_stands_at_its_end() {
    let zone = served("ns.demo.test.").await;
    let dns = resolvers(&[zone.address], zone.address.port());
    let answers = asked(&dns, "alias.demo.test", "A", true).await.unwrap();
    assert_eq!(answers, ["alias.demo.test 60 CNAME www.demo.test.", "www.demo.test 60 A 203.0.113.7"]);
}

#[tokio::test]
async fn absence_is_a_name_that_is_not_there_or_no_records() {
    let zone = served("ns.demo.test.").await;
    let dns = resolvers(&[zone.address], zone.address.port());
    for authoritative in [false, true] {
        assert_eq!(asked(&dns, "www.demo.test", "TXT", authoritative).await, Ok(Vec::new()), "{authoritative}");
        assert_eq!(asked(&dns, "no.demo.test", "A", authoritative).await, Err(DnsError::NoSuchName), "{authoritative}");
    }
    let elsewhere = asked(&dns, "www.other.test", "A", false).await;
    assert!(matches!(&elsewhere, Err(DnsError::Other(text)) if text.contains("Refused")), "{elsewhere:?}");
}

#[tokio::test]
async fn a_question_that_cannot_be_asked_says_why() {
    let dns = resolvers(&[], 53);
    let odd = asked(&dns, "www.demo.test", "HINFO", false).await;
    assert!(
        matches!(&odd, Err(DnsError::Other(text)) if text.contains("`HINFO`") && text.contains("A AAAA CAA")),
        "{odd:?}"
    );
    let odd = asked(&dns, &format!("{}.demo.test", "a".repeat(64)), "A", false).await;
    assert!(matches!(&odd, Err(DnsError::Other(text)) if text.contains("not a DNS name")), "{odd:?}");
    let none = asked(&dns, "www.demo.test", "A", false).await;
    assert!(matches!(&none, Err(DnsError::Other(text)) if text.contains("no resolver")), "{none:?}");
}

#[tokio::test]
async fn a_resolver_that_does_not_answer_leads_to_the_next_and_to_an_end() {
    let zone = served("ns.demo.test.").await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let dns = resolvers(&[closed, zone.address], zone.address.port());
    assert_eq!(asked(&dns, "www.demo.test", "A", false).await.unwrap().len(), 1);
    let dns = resolvers(&[closed], 53);
    let error = asked(&dns, "www.demo.test", "A", true).await;
    assert!(matches!(&error, Err(DnsError::Other(text)) if text.contains("cannot connect")), "{error:?}");
    // It takes the connection and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dns = resolvers(&[silent.local_addr().unwrap()], 53);
    let began = Instant::now();
    let late = dns.query("www.demo.test", "A", false, Duration::from_millis(100)).await;
    assert_eq!(late, Err(DnsError::Timeout));
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test]
async fn a_zone_whose_server_cannot_be_found_is_an_error_and_not_an_empty_answer() {
    let zone = served("lost.demo.test.").await;
    let dns = resolvers(&[zone.address], zone.address.port());
    let error = asked(&dns, "www.demo.test", "A", true).await;
    assert!(matches!(&error, Err(DnsError::Other(text)) if text.contains("demo.test")), "{error:?}");
}

#[test]
fn resolvers_are_read_as_the_c_library_reads_them() {
    assert_eq!(
        written_down("# a\nsearch a b\nnameserver 192.0.2.1\n nameserver  2001:db8::1 # b\noptions x\n"),
        ["192.0.2.1", "2001:db8::1"]
    );
    assert_eq!(written_down(""), ["127.0.0.1"]);
}
