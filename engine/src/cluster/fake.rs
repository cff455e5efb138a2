//! An API server with one answer: enough to ask a cluster who it is. Counts what it was asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::json;

/// What the server says to every request.
#[derive(Debug, Clone)]
pub(super) enum Says {
    /// A namespace with this UID, to whoever has the token (if one is set).
    Uid(&'static str),
    UidToBearer(&'static str, &'static str),
    Status(u16),
    /// This object.
    Object(serde_json::Value),
    /// Nothing: the connection stays open.
    Silence,
}

/// Listens on loopback until it is dropped.
pub(super) struct FakeCluster {
    pub server: String,
    requests: Arc<Mutex<Vec<String>>>,
    stop: Arc<Mutex<bool>>,
    thread: Option<JoinHandle<()>>,
}

impl FakeCluster {
    pub(super) fn that(says: Says) -> FakeCluster {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let (requests, stop) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<bool>>::default());
        let (asked, stopping) = (Arc::clone(&requests), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut silent = Vec::new();
            for connection in listener.incoming().map_while(Result::ok) {
                if *stopping.lock().unwrap() {
                    break;
                }
                silent.extend(answer(connection, &says, &asked));
            }
        });
        FakeCluster { server, requests, stop, thread: Some(thread) }
    }

    /// Method and path of every request.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for FakeCluster {
    fn drop(&mut self) {
        *self.stop.lock().unwrap() = true;
        // A connection wakes the listener, so that it sees the flag.
        drop(TcpStream::connect(self.server.trim_start_matches("http://")));
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Answers one request and closes; returns a connection that is to stay open.
fn answer(mut connection: TcpStream, says: &Says, requests: &Mutex<Vec<String>>) -> Option<TcpStream> {
    let mut head = Vec::new();
    for line in BufReader::new(connection.try_clone().unwrap()).lines() {
        match line {
            Ok(line) if !line.is_empty() => head.push(line),
            _ => break,
        }
    }
    let request = head.first()?.trim_end_matches(" HTTP/1.1").to_owned();
    requests.lock().unwrap().push(request);
    let bearer = head.iter().find_map(|line| line.strip_prefix("authorization: Bearer "));
    let (status, body) = match says {
        Says::Silence => return Some(connection),
        Says::Object(object) => (200, object.clone()),
        Says::Uid(uid) => (200, namespace(uid)),
        Says::UidToBearer(uid, token) if bearer == Some(token) => (200, namespace(uid)),
        Says::UidToBearer(..) => (401, failure(401)),
        Says::Status(status) => (*status, failure(*status)),
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    // The client may have given up.
    let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(body.as_bytes()));
    None
}

fn namespace(uid: &str) -> serde_json::Value {
    json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": { "name": "kube-system", "uid": uid } })
}

fn failure(code: u16) -> serde_json::Value {
    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "message": "no", "reason": "Refused", "code": code })
}
