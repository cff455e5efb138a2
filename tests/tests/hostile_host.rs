//! Guests that mean harm, over the host that the program really has, and servers that mean harm to guests. What is compared with grants
//! is tested by the hundred in `engine/src/wasm/hostile`; here it is seen that nothing leaves the machine, and that no answer is too
//! long or too slow. Names that lead elsewhere a moment later are in `steps/src/host/http/tests.rs`, which can choose what a name says.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]

mod guests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use engine::wasm::testing::{Do, Guest};
use guests::bound;
use serde_json::{Value, json};
use steps_sdk::Secret;
use steps_sdk::grant::{Grants, HttpGrant, Inject};
use steps_sdk::testing::Rig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const SECRET: &str = "s3cr3t-t0ken";

/// What a server does with whoever connects.
#[derive(Clone)]
enum Habit {
    /// Says this, and closes.
    Says(String),
    /// Gives back what it was sent, in a header and in the body.
    Echoes,
    /// Says the first, then the second for ever.
    Endless(&'static str, String),
    /// Says one byte of it at a time, with a pause that no limit of a connection notices.
    Drips(&'static str),
}

struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Server {
    async fn that(habit: Habit) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&connections);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                open.spawn(serve(stream, habit.clone()));
            }
        });
        Server { address, connections, _task: task }
    }

    fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A client that closes the line is the end of it.
async fn serve(mut stream: TcpStream, habit: Habit) {
    let mut asked = Vec::new();
    while !asked.windows(4).any(|four| four == b"\r\n\r\n") {
        let mut part = [0; 1024];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return,
            Ok(read) => asked.extend(&part[..read]),
        }
    }
    let _ = match habit {
        Habit::Says(answer) => stream.write_all(answer.as_bytes()).await,
        Habit::Echoes => {
            let asked = String::from_utf8_lossy(&asked).into_owned();
            let line = asked.lines().find(|line| line.starts_with("authorization")).unwrap_or_default();
            let answer = format!("HTTP/1.1 200 OK\r\nx-echo: {line}\r\nconnection: close\r\n\r\n{asked}");
            stream.write_all(answer.as_bytes()).await
        }
        Habit::Endless(head, part) => {
            let _ = stream.write_all(head.as_bytes()).await;
            // Large writes: the limit is to be reached soon.
            let parts = part.repeat(64);
            while stream.write_all(parts.as_bytes()).await.is_ok() {}
            Ok(())
        }
        Habit::Drips(answer) => {
            for byte in answer.bytes().cycle() {
                if stream.write_all(&[byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        }
    };
}

fn grant(origin: &str, private: bool) -> HttpGrant {
    let methods = vec!["GET".to_owned(), "PUT".to_owned()];
    HttpGrant { origin: origin.to_owned(), methods, paths: Vec::new(), private, inject: None }
}

fn send(method: &str, url: &str, headers: &Value, timeout_ms: u64) -> Do {
    let request = json!({ "method": method, "url": url, "headers": headers, "body": null, "timeout-ms": timeout_ms });
    let errors = ["not-granted", "dns", "connect", "tls", "other", "timeout"];
    let mut keep: Vec<Vec<&str>> = errors.iter().map(|error| vec!["err", error]).collect();
    keep.push(vec!["ok", "done", "body"]);
    Do::Call { interface: "http", function: "send", args: vec![request], keep }
}

/// What a guest under these grants is told when it does this.
async fn told(grants: Vec<HttpGrant>, doing: Vec<Do>) -> String {
    let step = bound(&Guest::new().on("run", doing).pack(), Grants { http: grants, ..Grants::default() });
    let rig = Rig::new().with_secret(secret(), SECRET.as_bytes());
    match rig.run(&*step, &json!({})).await {
        Ok(outcome) => outcome.summary,
        Err(error) => format!("{} {}", error.code, error.message),
    }
}

fn secret() -> Secret {
    Secret::Env { name: "TOKEN".to_owned() }
}

#[tokio::test]
async fn a_redirect_leads_nowhere() {
    let inner = Server::that(Habit::Says("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\ninside".into())).await;
    for status in [301, 302, 303, 307, 308] {
        let head = format!("HTTP/1.1 {status} There\r\nlocation: {}\r\ncontent-length: 4\r\n\r\ngone", inner.origin());
        let server = Server::that(Habit::Says(head)).await;
        // Both are granted: it is the guest's to ask the other, with a request of its own.
        let grants = vec![grant(&server.origin(), true), grant(&inner.origin(), true)];
        assert_eq!(told(grants, vec![send("GET", &server.origin(), &json!([]), 5_000)]).await, "gone", "{status}");
    }
    assert_eq!(inner.connections(), 0);
}

#[tokio::test]
async fn a_secret_goes_to_its_own_origin_and_is_masked_in_the_echo() {
    let (server, other) = (Server::that(Habit::Echoes).await, Server::that(Habit::Echoes).await);
    let inject = Inject { secret: secret(), header: "authorization".into(), format: "Bearer {}".into() };
    let grants =
        vec![HttpGrant { inject: Some(inject), ..grant(&server.origin(), true) }, grant(&other.origin(), true)];
    let echo = told(grants.clone(), vec![send("GET", &server.origin(), &json!([]), 5_000)]).await;
    assert!(echo.contains("authorization: Bearer ") && !echo.contains(SECRET), "{echo}");
    let echo = told(grants.clone(), vec![send("GET", &other.origin(), &json!([]), 5_000)]).await;
    assert!(!echo.contains("authorization") && !echo.contains(SECRET), "{echo}");
    let own = json!([["Authorization", "Bearer mine"]]);
    let refused = told(grants, vec![send("GET", &server.origin(), &own, 5_000)]).await;
    assert!(refused.contains("the header `authorization` is set by the host"), "{refused}");
    assert_eq!((server.connections(), other.connections()), (1, 1));
}

#[tokio::test]
async fn special_addresses_are_not_reached_without_the_word_for_it() {
    let server = Server::that(Habit::Echoes).await;
    let port = server.address.port();
    for (host, words) in [
        (format!("127.0.0.1:{port}"), "loopback"),
        (format!("localhost:{port}"), "loopback"),
        (format!("[::1]:{port}"), "loopback"),
        ("10.0.0.1".to_owned(), "private"),
        ("192.168.0.1".to_owned(), "private"),
        ("169.254.169.254".to_owned(), "link-local"),
        ("[fe80::1]".to_owned(), "link-local"),
        ("[fd00:ec2::254]".to_owned(), "metadata"),
    ] {
        let origin = format!("http://{host}");
        let refused = told(vec![grant(&origin, false)], vec![send("GET", &origin, &json!([]), 5_000)]).await;
        assert!(refused.contains(words), "{host}: {refused}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn tricks_with_urls_and_headers_send_nothing() {
    let server = Server::that(Habit::Echoes).await;
    let origin = server.origin();
    let (host, port) = ("127.0.0.1", server.address.port());
    let allowed = HttpGrant { paths: vec!["/allowed/*".to_owned()], ..grant(&origin, true) };
    let urls = [
        format!("{origin}/secret"),
        format!("{origin}/allowed/../secret"),
        format!("{origin}/allowed/%2e%2e/secret"),
        format!("{origin}/allowed/..%2fsecret"),
        format!("{origin}/allowed/..;a=1/secret"),
        format!("{origin}/allowed%252f..%252fsecret"),
        format!("{origin}//secret"),
        format!("{origin}/allowed//../secret"),
        format!("{origin}\\allowed\\..\\secret"),
        format!("http://user@{host}:{port}/allowed/a"),
        format!("http://{host}.:{port}/allowed/a"),
        format!("http://2130706433:{port}/allowed/a"),
        format!("http://0x7f.1:{port}/allowed/a"),
        format!("http://[::ffff:127.0.0.1]:{port}/allowed/a"),
        format!("{origin}/allowed/a HTTP/1.1\r\nhost: evil.example\r\n\r\nGET /secret"),
        format!("https://{host}:{port}/allowed/a"),
    ];
    for url in urls {
        let refused = told(vec![allowed.clone()], vec![send("GET", &url, &json!([]), 5_000)]).await;
        assert!(refused.contains("not granted") || refused.contains("the URL `"), "{url:?}: {refused}");
    }
    for (name, value) in [
        ("x-a", "1\r\nx-b: 2"),
        ("x-a\r\nx-b", "1"),
        ("host", "evil.example"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive"),
    ] {
        let doing = send("GET", &format!("{origin}/allowed/a"), &json!([[name, value]]), 5_000);
        let refused = told(vec![allowed.clone()], vec![doing]).await;
        assert!(refused.contains("header"), "{name:?}: {refused}");
    }
    assert_eq!(server.connections(), 0);
    let upper =
        told(vec![allowed], vec![send("get", &format!("HTTP://{host}:{port}/allowed/a"), &json!([]), 5_000)]).await;
    assert!(upper.starts_with("GET /allowed/a HTTP/1.1"), "one way to write what is granted: {upper}");
}

#[tokio::test]
async fn answers_without_end_end() {
    let too_large = |server: &Server| {
        let answer = json!({ "ok": { "outputs": "{}", "summary": "too large", "same": false } });
        let ask = send("GET", &server.origin(), &json!([]), 30_000);
        (
            vec![grant(&server.origin(), true)],
            vec![ask, Do::AnswerIf { path: vec!["err", "too-large"], is: None, answer }],
        )
    };
    for (head, part) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n", "hello".to_owned()),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", format!("1000\r\n{}\r\n", "h".repeat(0x1000))),
        ("HTTP/1.1 200 OK\r\n\r\n", "hello".to_owned()),
    ] {
        let server = Server::that(Habit::Endless(head, part)).await;
        let (grants, doing) = too_large(&server);
        assert_eq!(told(grants, doing).await, "too large", "{head}");
    }
    let flood = Server::that(Habit::Endless("HTTP/1.1 200 OK\r\n", "x-more: of it\r\n".to_owned())).await;
    let ask = send("GET", &flood.origin(), &json!([]), 30_000);
    let ended = told(vec![grant(&flood.origin(), true)], vec![ask]).await;
    assert!(ended.contains("header"), "{ended}");
}

#[tokio::test]
async fn an_answer_that_drips_ends_with_the_limit_of_the_request() {
    for answer in ["HTTP/1.1 200 OK\r\nx-slow: and slower\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n"] {
        let server = Server::that(Habit::Drips(answer)).await;
        let began = Instant::now();
        let ask = send("GET", &server.origin(), &json!([]), 400);
        assert_eq!(told(vec![grant(&server.origin(), true)], vec![ask]).await, "timeout");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

/// Nothing is unpacked on the way, so that a small answer cannot become a large one.
#[tokio::test]
async fn what_is_packed_stays_packed() {
    let head = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 6\r\n\r\npacked";
    let server = Server::that(Habit::Says(head.into())).await;
    let ask = send("GET", &server.origin(), &json!([]), 5_000);
    assert_eq!(told(vec![grant(&server.origin(), true)], vec![ask]).await, "packed");
}
