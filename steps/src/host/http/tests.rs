//! Against real servers on loopback. `private` is set wherever a test connects; what is refused without it is in `target.rs`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::PrivatePkcs8KeyDer;
use steps_sdk::context::SecretBytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::*;

/// A server that reads one request and then does what the test wants. Dropping it ends every connection.
struct Server {
    address: SocketAddr,
    requests: tokio::sync::mpsc::UnboundedReceiver<String>,
    connections: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

enum Answer {
    Text(String),
    /// This, and then silence with the connection open.
    TextThenSilence(&'static str),
    /// This head, and then chunks until the client has had enough.
    Endless(&'static str, &'static str),
}

impl Server {
    async fn of(answer: Answer) -> Server {
        Server::with(answer, None).await
    }

    async fn with(answer: Answer, tls: Option<TlsAcceptor>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (told, requests) = tokio::sync::mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let answer = Arc::new(answer);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (told, answer, tls) = (told.clone(), Arc::clone(&answer), tls.clone());
                lines.spawn(async move {
                    // A client that goes away in the middle is what several tests are about.
                    let _ = match tls {
                        None => serve(stream, &told, &answer).await,
                        Some(acceptor) => match acceptor.accept(stream).await {
                            Ok(stream) => serve(stream, &told, &answer).await,
                            Err(refused) => Err(refused),
                        },
                    };
                });
            }
        });
        Server { address, requests, connections, _serving: serving }
    }

    fn url(&self) -> String {
        format!("http://{}/v1/a?b=c", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    told: &tokio::sync::mpsc::UnboundedSender<String>,
    answer: &Answer,
) -> io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await?;
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        if read == 0 || text.split_once("\r\n\r\n").is_some_and(|(head, body)| body.len() >= length_of(head)) {
            break;
        }
    }
    // A test that ended does not want to know.
    let _ = told.send(String::from_utf8_lossy(&request).into_owned());
    match answer {
        Answer::Text(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.shutdown().await
        }
        Answer::TextThenSilence(text) => {
            stream.write_all(text.as_bytes()).await?;
            stream.flush().await?;
            std::future::pending().await
        }
        Answer::Endless(head, chunk) => {
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(chunk.as_bytes()).await?;
            }
        }
    }
}

fn length_of(head: &str) -> usize {
    let line = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    line.map_or(0, |length| length.parse().unwrap())
}

fn text(answer: &str) -> Answer {
    Answer::Text(answer.replace('\n', "\r\n"))
}

fn request(url: impl Into<String>) -> HttpRequest {
    HttpRequest {
        method: "GET".into(),
        url: url.into(),
        headers: Vec::new(),
        secret_header: None,
        body: Vec::new(),
        timeout: Duration::from_secs(10),
        private: true,
        response_bytes_max: 1 << 20,
    }
}

/// A client whose resolver gives these answers in turn, and counts its questions.
fn client(answers: &[&[&str]]) -> (Client, Arc<AtomicUsize>) {
    let answers: Vec<Vec<IpAddr>> =
        answers.iter().map(|answer| answer.iter().map(|text| text.parse().unwrap()).collect()).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let resolve: Resolve = Arc::new(move |_| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        let answer = answers.get(number).or(answers.last()).cloned().unwrap_or_default();
        Box::pin(async move { Ok(answer) })
    });
    (Client { resolve, trust: OnceCell::new() }, asked)
}

async fn send(request: HttpRequest) -> Result<HttpResponse, HttpError> {
    client(&[]).0.send(request).await
}

#[tokio::test]
async fn a_request_arrives_as_it_was_given_and_its_answer_comes_back() {
    let mut server = Server::of(text("HTTP/1.1 201 Created\nX-Id: 7\nContent-Length: 2\n\nok")).await;
    let answer = send(HttpRequest {
        method: "PUT".into(),
        headers: vec![
            ("content-type".into(), "text/plain".into()),
            ("x-a".into(), "1".into()),
            ("x-a".into(), "2".into()),
        ],
        secret_header: Some(("authorization".into(), SecretBytes::new(b"Bearer hunter2".to_vec()))),
        body: b"hello".to_vec(),
        ..request(server.url())
    })
    .await
    .unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (201, b"ok".as_slice()));
    assert!(answer.headers.contains(&("x-id".into(), "7".into())), "{:?}", answer.headers);
    let seen = server.requests.recv().await.unwrap();
    assert!(seen.starts_with("PUT /v1/a?b=c HTTP/1.1\r\n") && seen.ends_with("\r\n\r\nhello"), "{seen}");
    for line in [
        &format!("host: {}", server.address),
        "authorization: Bearer hunter2",
        "content-length: 5",
        "connection: close",
        "x-a: 1\r\nx-a: 2",
        "user-agent: engine/",
    ] {
        assert!(seen.contains(line), "{line} in {seen}");
    }
    assert!(!seen.contains("accept-encoding") && !seen.contains("cookie"), "{seen}");
}

#[tokio::test]
async fn every_request_has_a_connection_of_its_own() {
    let server = Server::of(Answer::TextThenSilence("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")).await;
    let (client, _) = client(&[]);
    for _ in 0..3 {
        assert_eq!(client.send(request(server.url())).await.unwrap().status, 200);
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn a_name_is_resolved_once_and_a_second_answer_is_never_asked_for() {
    let server = Server::of(text("HTTP/1.1 200 OK\nContent-Length: 0\n\n")).await;
    let url = format!("http://api.example:{}/", server.address.port());
    // Public when it is checked, loopback a moment later: the connection goes where the check looked, which answers nothing here.
    let (rebinding, asked) = client(&[&["192.0.2.1"], &["127.0.0.1"]]);
    let refused = rebinding.send(HttpRequest { private: false, ..request(&url) }).await.unwrap_err();
    assert!(matches!(refused, HttpError::NotGranted(_)), "{refused:?}");
    assert_eq!((asked.load(Ordering::SeqCst), server.connections()), (1, 0));
    let (steady, asked) = client(&[&["127.0.0.1"], &["192.0.2.1"]]);
    assert_eq!(steady.send(request(&url)).await.unwrap().status, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let refused = steady.send(HttpRequest { private: false, ..request(&url) }).await.unwrap_err();
    assert!(refused.to_string().contains("documentation"), "{refused}");
}

#[tokio::test]
async fn a_private_address_is_not_connected_to_without_the_word_for_it() {
    let server = Server::of(text("HTTP/1.1 200 OK\nContent-Length: 0\n\n")).await;
    let refused = send(HttpRequest { private: false, ..request(server.url()) }).await.unwrap_err();
    assert!(refused.to_string().contains("127.0.0.1 is a loopback address"), "{refused}");
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_machines_own_name_leads_to_itself_and_is_judged_like_any_other() {
    let server = Server::of(text("HTTP/1.1 200 OK\nContent-Length: 0\n\n")).await;
    let url = format!("http://localhost:{}/", server.address.port());
    let machine = Client::of_machine();
    let refused = machine.send(HttpRequest { private: false, ..request(&url) }).await.unwrap_err();
    assert!(refused.to_string().contains("localhost leads to "), "{refused}");
    assert_eq!(server.connections(), 0);
    assert_eq!(machine.send(request(&url)).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let secret = Server::of(text("HTTP/1.1 200 OK\nContent-Length: 6\n\nsecret")).await;
    for status in [301, 302, 303, 307, 308] {
        let head = format!("HTTP/1.1 {status} Elsewhere\nLocation: {}\nContent-Length: 0\n\n", secret.url());
        let server = Server::of(text(&head)).await;
        let answer = send(request(server.url())).await.unwrap();
        assert_eq!(answer.status, status);
        assert!(answer.headers.contains(&("location".into(), secret.url())));
    }
    assert_eq!(secret.connections(), 0);
}

#[tokio::test]
async fn a_response_is_limited_while_it_comes() {
    let limited = |server: &Server, limit| HttpRequest { response_bytes_max: limit, ..request(server.url()) };
    let announced =
        Server::of(Answer::TextThenSilence("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")).await;
    assert_eq!(send(limited(&announced, 1000)).await, Err(HttpError::TooLarge(1000)));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (head, chunk) in [(chunked, "5\r\nhello\r\n"), ("HTTP/1.1 200 OK\r\n\r\n", "hello hello hello hello")] {
        let endless = Server::of(Answer::Endless(head, chunk)).await;
        assert_eq!(send(limited(&endless, 100_000)).await, Err(HttpError::TooLarge(100_000)));
    }
    let exact = Server::of(text("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello")).await;
    assert_eq!(send(limited(&exact, 5)).await.unwrap().body, b"hello");
    assert_eq!(send(limited(&exact, 4)).await, Err(HttpError::TooLarge(4)));
    let head_only = HttpRequest { method: "HEAD".into(), ..limited(&announced, 1000) };
    assert_eq!(send(head_only).await.unwrap().body, b"");
}

#[tokio::test]
async fn what_is_compressed_stays_compressed() {
    let server = Server::of(text("HTTP/1.1 200 OK\nContent-Encoding: gzip\nContent-Length: 4\n\nzzzz")).await;
    let answer = send(request(server.url())).await.unwrap();
    assert_eq!(answer.body, b"zzzz");
    assert!(answer.headers.contains(&("content-encoding".into(), "gzip".into())));
}

#[tokio::test]
async fn a_flood_of_headers_ends() {
    let many = (0..200).map(|number| format!("x-{number}: a\n")).collect::<String>();
    let server = Server::of(text(&format!("HTTP/1.1 200 OK\n{many}\n"))).await;
    let error = send(request(server.url())).await.unwrap_err();
    assert!(error.to_string().contains("more than 128 headers"), "{error}");
    let long =
        Server::of(Answer::Endless("HTTP/1.1 200 OK\r\nx-a: ", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
            .await;
    let error = send(request(long.url())).await.unwrap_err();
    assert!(error.to_string().contains("64 KiB"), "{error}");
    let informational = Server::of(Answer::Endless("", "HTTP/1.1 100 Continue\r\n\r\n")).await;
    let impatient = HttpRequest { timeout: Duration::from_millis(300), ..request(informational.url()) };
    assert_eq!(send(impatient).await, Err(HttpError::Timeout));
}

#[tokio::test]
async fn one_deadline_covers_everything() {
    let began = Instant::now();
    let short = Duration::from_millis(200);
    let silent = Server::of(Answer::TextThenSilence("")).await;
    let halfway = Server::of(Answer::TextThenSilence("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")).await;
    for url in [silent.url(), halfway.url(), format!("https://{}/", silent.address)] {
        assert_eq!(send(HttpRequest { timeout: short, ..request(&url) }).await, Err(HttpError::Timeout), "{url}");
    }
    let never: Resolve = Arc::new(|_| Box::pin(std::future::pending()));
    let lost = Client { resolve: never, trust: OnceCell::new() };
    let asked = lost.send(HttpRequest { timeout: short, ..request("http://api.example/") }).await;
    assert_eq!(asked, Err(HttpError::Timeout));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn each_failure_says_what_it_is() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = send(request(format!("http://{closed}/"))).await.unwrap_err();
    assert!(matches!(&error, HttpError::Connect(text) if text.contains("refused")), "{error:?}");
    let cut = Server::of(text("HTTP/1.1 200 OK\nContent-Length: 10\n\nhello")).await;
    let error = send(request(cut.url())).await.unwrap_err();
    assert!(matches!(&error, HttpError::Connect(_)), "{error:?}");
    let gone = Server::of(text("")).await;
    let error = send(request(gone.url())).await.unwrap_err();
    assert!(matches!(&error, HttpError::Connect(text) if text.contains("before its answer was complete")), "{error:?}");
    let foreign = Server::of(text("SSH-2.0-OpenSSH_9.2\n\n")).await;
    let error = send(request(foreign.url())).await.unwrap_err();
    assert!(matches!(&error, HttpError::Other(text) if text.contains("not HTTP/1.1")), "{error:?}");
    let failing: Resolve = Arc::new(|_| Box::pin(async { Err(io::Error::other("no such host")) }));
    let lost = Client { resolve: failing, trust: OnceCell::new() };
    let error = lost.send(request("http://api.example/")).await.unwrap_err();
    assert_eq!(error, HttpError::Dns("this machine finds no address of api.example: no such host".into()));
}

#[tokio::test]
async fn a_header_that_could_split_the_request_is_refused_and_a_secret_not_shown() {
    let server = Server::of(text("HTTP/1.1 200 OK\nContent-Length: 0\n\n")).await;
    for (name, value) in [("x-a", "1\r\nx-b: 2"), ("x-a", "1\n"), ("x a", "1"), ("", "1"), ("x-a\r\nb", "1")] {
        let odd = HttpRequest { headers: vec![(name.into(), value.into())], ..request(server.url()) };
        assert!(matches!(send(odd).await, Err(HttpError::Other(_))), "{name:?}: {value:?}");
    }
    let secret = SecretBytes::new(b"hunter2\n".to_vec());
    let odd = HttpRequest { secret_header: Some(("authorization".into(), secret)), ..request(server.url()) };
    let error = send(odd).await.unwrap_err().to_string();
    assert!(error.contains("`authorization`") && !error.contains("hunter2"), "{error}");
    for method in ["CONNECT", "GE T", "GET\r\n", ""] {
        let odd = HttpRequest { method: method.into(), ..request(server.url()) };
        assert!(matches!(send(odd).await, Err(HttpError::Other(_))), "{method:?}");
    }
    assert_eq!(server.connections(), 0);
}

/// A CA, and a server whose certificate it issued for `name`.
async fn secured(name: &str, not_after: Option<(i32, u8, u8)>) -> (Server, RootCertStore) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::default();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "private CA");
    let ca_certificate = ca.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    if let Some((year, month, day)) = not_after {
        leaf.not_after = rcgen::date_time_ymd(year, month, day);
    }
    let certificate = leaf.signed_by(&key, &issuer).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone(), ca_certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .unwrap();
    let answer = text("HTTP/1.1 200 OK\nContent-Length: 2\n\nok");
    let server = Server::with(answer, Some(TlsAcceptor::from(Arc::new(config)))).await;
    let mut roots = RootCertStore::empty();
    roots.add(ca_certificate.der().clone()).unwrap();
    (server, roots)
}

async fn over_tls(server: &Server, host: &str, roots: RootCertStore) -> Result<HttpResponse, HttpError> {
    let trust = Trust { roots: Arc::new(roots), origin: "the 1 CAs that this machine trusts".into() };
    let client = Client { trust: OnceCell::new_with(Some(trust)), ..client(&[&["127.0.0.1"]]).0 };
    client.send(request(format!("https://{host}:{}/", server.address.port()))).await
}

#[tokio::test]
async fn a_certificate_is_verified_for_the_name_in_the_url() {
    let (server, roots) = secured("api.example", None).await;
    assert_eq!(over_tls(&server, "api.example", roots.clone()).await.unwrap().body, b"ok");
    let error = over_tls(&server, "other.example", roots).await.unwrap_err().to_string();
    for words in ["is not valid for other.example", "api.example", "CN=private CA"] {
        assert!(error.contains(words), "{words} in {error}");
    }
    let (by_address, roots) = secured("127.0.0.1", None).await;
    assert_eq!(over_tls(&by_address, "127.0.0.1", roots).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_says_who_issued_it_and_what_to_do() {
    let (server, _) = secured("api.example", None).await;
    let (_, other_roots) = secured("api.example", None).await;
    let error = over_tls(&server, "api.example", other_roots).await.unwrap_err();
    assert!(matches!(error, HttpError::Tls(_)), "{error:?}");
    let (ended, roots) = secured("api.example", Some((2020, 1, 1))).await;
    let words = over_tls(&ended, "api.example", roots).await.unwrap_err().to_string();
    assert!(words.contains("has ended") && words.contains("2020-01-01"), "{words}");
    let machine = client(&[&["127.0.0.1"]]).0;
    let words =
        machine.send(request(format!("https://api.example:{}/", server.address.port()))).await.unwrap_err().to_string();
    for part in ["was issued by CN=private CA", "which is not among the", "SSL_CERT_FILE"] {
        assert!(words.contains(part), "{part} in {words}");
    }
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", plain.local_addr().unwrap());
    let speaks_first = async {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        std::future::pending().await
    };
    let error = tokio::select! {
        answer = send(request(url)) => answer.unwrap_err(),
        () = speaks_first => unreachable!("it waits for ever"),
    };
    assert!(matches!(&error, HttpError::Tls(text) if text.contains("handshake")), "{error:?}");
}

#[tokio::test]
async fn a_call_that_is_dropped_closes_its_connection() {
    let mut server = Server::of(Answer::TextThenSilence("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")).await;
    let url = server.url();
    let mut call = Box::pin(send(request(url)));
    let seen = tokio::select! {
        answer = &mut call => panic!("the answer never ends: {answer:?}"),
        seen = server.requests.recv() => seen,
    };
    assert!(seen.is_some());
    drop(call);
    assert_eq!(server.connections(), 1);
}
