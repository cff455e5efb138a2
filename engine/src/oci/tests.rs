//! Registries that mean harm, or sign people in: each is a list of answers on a port of this machine.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use engine_core::id::Digest;
use engine_core::workflow::{Address, ArtifactPlace};
use miette::Diagnostic as _;

use super::credentials::Credentials;
use super::manifest::{Interfaces, pack};
use super::pull::{MANIFEST_BYTES_MAX, Pull};

const COMPONENT: &[u8] = b"a component";

/// What was asked, and by whom: `PATH` and the header `Authorization`.
type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// An answer: its head without the end, its body, and whether that never ends.
struct Answer {
    head: String,
    body: Vec<u8>,
    endless: bool,
}

fn answer(status: &str, headers: &str, body: impl Into<Vec<u8>>) -> Answer {
    let body = body.into();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}", body.len());
    Answer { head, body, endless: false }
}

fn endless() -> Answer {
    Answer { head: "HTTP/1.1 200 OK\r\n".into(), body: vec![b' '; 64 << 10], endless: true }
}

fn manifest() -> (Vec<u8>, Digest) {
    let packed = pack(COMPONENT, &Interfaces { exports: vec![], imports: vec![] });
    (packed.manifest, packed.digest)
}

/// Serves until the process ends; gives the host.
fn serve(answers: impl Fn(&str, &str) -> Answer + Send + 'static) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            // A client that has had enough goes away; that is what some of the tests are about.
            let _ = serve_one(connection.unwrap(), &answers, &seen);
        }
    });
    (host, asked)
}

fn serve_one(mut connection: TcpStream, answers: &impl Fn(&str, &str) -> Answer, seen: &Asked) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    let first = lines.next().ok_or(std::io::ErrorKind::UnexpectedEof)??;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut authorization = String::new();
    for line in lines {
        let line = line?;
        if let Some(value) = line.strip_prefix("authorization: ") {
            authorization = value.to_owned();
        }
        if line.is_empty() {
            break;
        }
    }
    seen.lock().unwrap().push((path.clone(), authorization.clone()));
    let Answer { head, body, endless } = answers(&path, &authorization);
    connection.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
    loop {
        connection.write_all(&body)?;
        if !endless {
            return Ok(());
        }
    }
}

/// Pulls `x` at a host: the code of the error, or the component.
async fn pulled(host: &str, digest: Option<&Digest>, credentials: &Credentials) -> Result<Vec<u8>, String> {
    let address: Address = match digest {
        Some(digest) => format!("oci://{host}/x@sha256:{digest}").parse().unwrap(),
        None => format!("oci://{host}/x:v1").parse().unwrap(),
    };
    let place: &ArtifactPlace = &address.place;
    let mut pull = Pull::new(place, credentials).unwrap();
    pull.all(&address, 100).await.map(|pulled| pulled.layer).map_err(|error| error.code().unwrap().to_string())
}

fn person() -> Credentials {
    Credentials::Basic { name: "me".into(), secret: "secret".into() }
}

/// The usual answers, some of them replaced.
fn usual(path: &str) -> Answer {
    let (manifest, _) = manifest();
    match path {
        path if path.contains("/manifests/") => answer("200 OK", "", manifest),
        path if path.contains("/blobs/") => answer("200 OK", "", COMPONENT),
        _ => answer("404 Not Found", "", ""),
    }
}

#[tokio::test]
async fn what_is_sent_is_read_up_to_a_limit_and_compared() {
    type Replace = fn(&str) -> Option<Answer>;
    let cases: [(&str, Replace, Result<(), &str>); 11] = [
        ("as usual", |_| None, Ok(())),
        ("endless manifest", |path| path.contains("manifests").then(endless), Err("W021")),
        ("endless component", |path| path.contains("blobs").then(endless), Err("W021")),
        (
            "large manifest, announced",
            |path| {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n", MANIFEST_BYTES_MAX + 1);
                path.contains("manifests").then(|| Answer { head, body: Vec::new(), endless: false })
            },
            Err("W021"),
        ),
        ("another manifest", |path| path.contains("manifests").then(|| answer("200 OK", "", "{}")), Err("W019")),
        ("another component", |path| path.contains("blobs").then(|| answer("200 OK", "", "a componenT")), Err("W019")),
        ("half a component", |path| path.contains("blobs").then(|| answer("200 OK", "", "a comp")), Err("W019")),
        ("one byte more", |path| path.contains("blobs").then(|| answer("200 OK", "", "a component!")), Err("W021")),
        ("no component", |path| path.contains("blobs").then(|| answer("404 Not Found", "", "")), Err("W018")),
        ("a failure", |path| path.contains("blobs").then(|| answer("500 Oh", "", "x")), Err("W022")),
        ("no HTTP", |_| Some(Answer { head: "hello\r\n".into(), body: Vec::new(), endless: false }), Err("W016")),
    ];
    let (_, digest) = manifest();
    for (what, replace, wanted) in cases {
        let (host, _) = serve(move |path, _| replace(path).unwrap_or_else(|| usual(path)));
        let found = pulled(&host, Some(&digest), &Credentials::Anonymous).await;
        match wanted {
            Ok(()) => assert_eq!(found.as_deref(), Ok(COMPONENT), "{what}"),
            Err(code) => assert_eq!(found, Err(code.to_owned()), "{what}"),
        }
    }
    let (host, _) = serve(|_, _| answer("200 OK", "", "<html>"));
    assert_eq!(pulled(&host, None, &Credentials::Anonymous).await, Err("W020".to_owned()), "a tag has no digest");
}

#[tokio::test]
async fn a_token_is_fetched_where_the_registry_says() {
    let (tokens, asked_for_tokens) = serve(|_, _| answer("200 OK", "", r#"{ "token": "t0ken" }"#));
    let challenge = format!("www-authenticate: Bearer realm=\"http://{tokens}/sign-in\",service=\"reg\"\r\n");
    let (host, asked) = serve(move |path, authorization| match authorization {
        "Bearer t0ken" => usual(path),
        _ => answer("401 Unauthorized", &challenge, ""),
    });
    let (_, digest) = manifest();
    assert_eq!(pulled(&host, Some(&digest), &person()).await.as_deref(), Ok(COMPONENT));
    assert_eq!(pulled(&host, Some(&digest), &Credentials::Anonymous).await.as_deref(), Ok(COMPONENT));
    let tokens = asked_for_tokens.lock().unwrap();
    assert_eq!(tokens[0], ("/sign-in?scope=repository%3Ax%3Apull&service=reg".into(), "Basic bWU6c2VjcmV0".into()));
    assert_eq!(tokens[1].1, "", "nobody signs in");
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|(_, authorization)| !authorization.starts_with("Basic")), "{asked:?}");
}

#[tokio::test]
async fn a_registry_that_cannot_be_signed_in_to_is_an_error_of_one_kind() {
    let (endless_tokens, _) = serve(|_, _| endless());
    let (denying, _) = serve(|_, _| answer("403 Forbidden", "", ""));
    let (empty, _) = serve(|_, _| answer("200 OK", "", "{}"));
    for (challenge, wanted) in [
        ("Basic realm=x".to_owned(), "W017"),
        ("Negotiate".to_owned(), "W022"),
        (String::new(), "W022"),
        ("Bearer realm=nowhere".to_owned(), "W022"),
        (format!("Bearer realm=\"http://{endless_tokens}/\""), "W021"),
        (format!("Bearer realm=\"http://{denying}/\""), "W017"),
        (format!("Bearer realm=\"http://{empty}/\""), "W022"),
    ] {
        let header = format!("www-authenticate: {challenge}\r\n");
        let (host, _) = serve(move |_, _| answer("401 Unauthorized", &header, ""));
        assert_eq!(pulled(&host, None, &person()).await, Err(wanted.to_owned()), "{challenge}");
    }
}

#[tokio::test]
async fn credentials_do_not_follow_to_another_host() {
    let (storage, asked_of_storage) = serve(|path, _| usual(path));
    // Another name of the same machine is another host.
    let elsewhere = storage.replace("127.0.0.1", "localhost");
    let (host, _) = serve(move |path, authorization| match authorization {
        "" => answer("401 Unauthorized", "www-authenticate: Basic realm=x\r\n", ""),
        _ if path.contains("/blobs/") => {
            answer("307 Temporary Redirect", &format!("location: http://{elsewhere}{path}\r\n"), "")
        }
        _ => usual(path),
    });
    let (_, digest) = manifest();
    assert_eq!(pulled(&host, Some(&digest), &person()).await.as_deref(), Ok(COMPONENT));
    let asked = asked_of_storage.lock().unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].1, "", "the secret went to another host");
}
