//! An authoritative name server of one zone, on loopback, that takes dynamic updates (RFC 2136) signed with TSIG (RFC 8945).
//!
//! In reading order: [`Zone`] is the handle; `update.rs` holds the rules of RFC 2136 as a pure function over the records;
//! `handler.rs` joins both with the server of the `hickory-server` crate and checks signatures.

mod handler;
mod update;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, TSigner};
use hickory_server::Server;
use hickory_server::zone_handler::Catalog;
use tokio::net::{TcpListener, UdpSocket};

use handler::Handler;

/// How far two clocks may differ, in seconds; what other servers use too.
const FUDGE: u16 = 300;

/// How long an idle TCP connection stays open.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// What a zone is started with. [`ZoneSettings::new`] fills in what seldom matters.
pub struct ZoneSettings {
    /// The zone's name, for instance `demo.test`.
    pub name: String,
    /// Where it listens, over UDP and TCP; with port 0 the operating system chooses.
    pub listen: SocketAddr,
    /// The key that signs updates, as [`Zone::key`] gives it; without one a new key is made.
    pub key: Option<String>,
    /// A file that keeps the records, so that the zone is the same when a later process serves it.
    pub saved_in: Option<PathBuf>,
}

impl ZoneSettings {
    pub fn new(name: impl Into<String>) -> ZoneSettings {
        ZoneSettings { name: name.into(), listen: (Ipv4Addr::LOCALHOST, 0).into(), key: None, saved_in: None }
    }
}

/// Why a zone cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    #[error("`{0}` is not a zone's name")]
    Name(String),
    #[error("the key is not `hmac-sha256:NAME:BASE64`")]
    Key,
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    #[error("cannot read the zone saved in `{}`", .0.display())]
    Saved(PathBuf, #[source] io::Error),
    #[error("the operating system gave no random bytes for a key")]
    Random,
}

/// A zone that is being served. Dropping it stops the server.
pub struct Zone {
    address: SocketAddr,
    key: String,
    handler: Arc<Handler>,
    server: Server<Catalog>,
}

impl Zone {
    /// Starts to serve. When this returns, questions are answered.
    pub async fn serve(settings: ZoneSettings) -> Result<Zone, ZoneError> {
        let ZoneSettings { name, listen, key, saved_in } = settings;
        let mut origin = Name::from_ascii(&name).map_err(|_| ZoneError::Name(name.clone()))?;
        origin.set_fqdn(true);
        let key = match key {
            Some(key) => key,
            None => new_key()?,
        };
        let handler = Arc::new(Handler::new(&origin, signer(&key)?, saved_in)?);
        let (tcp, udp, address) = bind(listen).await.map_err(|e| ZoneError::Listen(listen, e))?;
        let mut catalog = Catalog::new();
        catalog.upsert(origin.into(), vec![Arc::clone(&handler) as Arc<_>]);
        let mut server = Server::new(catalog);
        server.register_listener(tcp, IDLE_MAX, 64 * 1024);
        server.register_socket(udp);
        Ok(Zone { address, key, handler, server })
    }

    /// Where it answers, over UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The key that signs updates, as `hmac-sha256:NAME:BASE64`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Every record as one line of text, sorted; the SOA among them.
    pub async fn records(&self) -> Vec<String> {
        self.handler.lines().await
    }

    /// Stops and waits until everything that served has ended.
    pub async fn stop(mut self) {
        if let Err(error) = self.server.shutdown_gracefully().await {
            tracing::warn!(%error, "the sandbox's name server did not end cleanly");
        }
    }
}

/// TCP and UDP on one port. If the system chose a TCP port whose UDP twin is taken, another is tried.
async fn bind(listen: SocketAddr) -> io::Result<(TcpListener, UdpSocket, SocketAddr)> {
    let mut attempts_left = 16;
    loop {
        let tcp = TcpListener::bind(listen).await?;
        let address = tcp.local_addr()?;
        match UdpSocket::bind(address).await {
            Ok(udp) => return Ok((tcp, udp, address)),
            Err(_) if listen.port() == 0 && attempts_left > 0 => attempts_left -= 1,
            Err(error) => return Err(error),
        }
    }
}

fn new_key() -> Result<String, ZoneError> {
    let mut bytes = [0; 32];
    rustls::crypto::ring::default_provider().secure_random.fill(&mut bytes).map_err(|_| ZoneError::Random)?;
    Ok(format!("hmac-sha256:sandbox-key:{}", STANDARD.encode(bytes)))
}

fn signer(key: &str) -> Result<TSigner, ZoneError> {
    let mut parts = key.split(':');
    let (Some("hmac-sha256"), Some(name), Some(secret), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(ZoneError::Key);
    };
    let name = Name::from_ascii(name).map_err(|_| ZoneError::Key)?;
    let secret = STANDARD.decode(secret).map_err(|_| ZoneError::Key)?;
    TSigner::new(secret, TsigAlgorithm::HmacSha256, name, FUDGE).map_err(|_| ZoneError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hickory_net::client::{Client, ClientHandle as _};
    use hickory_net::runtime::TokioRuntimeProvider;
    use hickory_net::tcp::TcpClientStream;
    use hickory_net::xfer::DnsMultiplexer;
    use hickory_proto::op::{DnsResponse, ResponseCode};
    use hickory_proto::rr::rdata::A;
    use hickory_proto::rr::{DNSClass, RData, Record, RecordSet, RecordType};
    use std::str::FromStr as _;
    use tokio::task::JoinSet;

    /// A client of the `hickory-net` crate, which shares no code with our handler, with the task that serves it.
    struct Asker {
        client: Client<TokioRuntimeProvider>,
        origin: Name,
        _background: JoinSet<()>,
    }

    impl Asker {
        async fn of(zone: &Zone, key: Option<&str>) -> Asker {
            let (connecting, sender) = TcpClientStream::new(zone.address(), None, None, TokioRuntimeProvider::new());
            let mut multiplexer = DnsMultiplexer::new(connecting.await.unwrap(), sender);
            if let Some(key) = key {
                multiplexer = multiplexer.with_signer(signer(key).unwrap());
            }
            let (client, background) = Client::from_sender(multiplexer);
            let mut tasks = JoinSet::new();
            tasks.spawn(background);
            Asker { client, origin: name("demo.test."), _background: tasks }
        }

        async fn addresses(&mut self, of: &str) -> Vec<String> {
            let answer = self.client.query(name(of), DNSClass::IN, RecordType::A).await.unwrap();
            answer.answers.iter().map(|record| record.data.to_string()).collect()
        }
    }

    fn name(text: &str) -> Name {
        Name::from_str(text).unwrap()
    }

    fn address(at: &str, last: u8) -> RecordSet {
        RecordSet::from(Record::from_rdata(name(at), 60, RData::A(A::new(127, 0, 0, last))))
    }

    fn code(answer: Result<DnsResponse, hickory_net::NetError>) -> ResponseCode {
        answer.unwrap().metadata.response_code
    }

    async fn zone() -> Zone {
        Zone::serve(ZoneSettings::new("demo.test")).await.unwrap()
    }

    #[tokio::test]
    async fn a_signed_update_is_applied_and_seen() {
        let zone = zone().await;
        let mut asker = Asker::of(&zone, Some(zone.key())).await;
        let origin = asker.origin.clone();
        let (first, second) = (address("api.demo.test.", 1), address("api.demo.test.", 2));
        assert_eq!(code(asker.client.create(first.clone(), origin.clone()).await), ResponseCode::NoError);
        assert_eq!(code(asker.client.create(first.clone(), origin.clone()).await), ResponseCode::YXRRSet);
        assert_eq!(asker.addresses("api.demo.test.").await, ["127.0.0.1"]);
        assert_eq!(
            code(asker.client.compare_and_swap(first.clone(), second.clone(), origin.clone()).await),
            ResponseCode::NoError
        );
        assert_eq!(
            code(asker.client.compare_and_swap(first, second.clone(), origin.clone()).await),
            ResponseCode::NXRRSet
        );
        assert_eq!(asker.addresses("api.demo.test.").await, ["127.0.0.2"]);
        assert_eq!(code(asker.client.delete_by_rdata(second, origin).await), ResponseCode::NoError);
        assert!(asker.addresses("api.demo.test.").await.is_empty());
    }

    #[tokio::test]
    async fn an_update_without_the_right_signature_changes_nothing() {
        let zone = zone().await;
        let before = zone.records().await;
        let mut unsigned = Asker::of(&zone, None).await;
        let origin = unsigned.origin.clone();
        assert_eq!(
            code(unsigned.client.create(address("api.demo.test.", 1), origin.clone()).await),
            ResponseCode::Refused
        );
        let same_name_other_secret = new_key().unwrap();
        let other_name = zone.key().replace("sandbox-key", "other-key");
        for key in [same_name_other_secret, other_name] {
            let mut asker = Asker::of(&zone, Some(&key)).await;
            // The refusal carries no signature that this client could check, so it reports an error of its own.
            assert!(asker.client.create(address("api.demo.test.", 1), origin.clone()).await.is_err());
        }
        assert_eq!(zone.records().await, before);
    }

    #[tokio::test]
    async fn a_saved_zone_is_the_same_in_a_later_process() {
        let room = tempfile::tempdir().unwrap();
        let settings =
            |key| ZoneSettings { key, saved_in: Some(room.path().join("zone")), ..ZoneSettings::new("demo.test") };
        let first = Zone::serve(settings(None)).await.unwrap();
        let key = first.key().to_owned();
        let mut asker = Asker::of(&first, Some(&key)).await;
        let origin = asker.origin.clone();
        assert_eq!(code(asker.client.create(address("api.demo.test.", 1), origin).await), ResponseCode::NoError);
        let before = first.records().await;
        drop(asker);
        first.stop().await;
        let second = Zone::serve(settings(Some(key))).await.unwrap();
        assert_eq!(second.records().await, before);
        assert_eq!(Asker::of(&second, None).await.addresses("api.demo.test.").await, ["127.0.0.1"]);
    }

    #[tokio::test]
    async fn questions_over_udp_are_answered_and_unknown_names_are_said_to_be_so() {
        let zone = zone().await;
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut question = hickory_proto::op::Message::query();
        question.add_query(hickory_proto::op::Query::query(name("nothing.demo.test."), RecordType::A));
        socket.send_to(&question.to_vec().unwrap(), zone.address()).await.unwrap();
        let mut bytes = [0; 512];
        let length = tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut bytes)).await.unwrap().unwrap();
        let answer = hickory_proto::op::Message::from_vec(&bytes[..length]).unwrap();
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
        assert!(answer.metadata.authoritative);
    }

    #[tokio::test]
    async fn a_dropped_zone_answers_no_more() {
        let zone = zone().await;
        let address = zone.address();
        drop(zone);
        let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            assert!(tokio::time::Instant::now() < deadline, "it still accepts");
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn keys_of_another_form_are_refused() {
        for key in ["", "hmac-sha256:a", "hmac-md5:a:AAAA", "hmac-sha256:a:not base64!", "hmac-sha256:a:AAAA:x"] {
            assert!(matches!(signer(key), Err(ZoneError::Key)), "{key}");
        }
    }
}
