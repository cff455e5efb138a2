//! A web server on loopback that keeps what it is given: resources by their path, and records of a DNS provider's zone. It counts the
//! requests, and one of them can be made to fail. Requests are carried out one after the other, in the order of their connections: what
//! a killed client had sent is done before what its successor asks.

#![allow(clippy::unwrap_used, reason = "everything in this file is a test or serves one")]
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use steps_sdk::testing::Failing;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// It ends when the last of its handles is dropped.
#[derive(Clone)]
pub struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    _task: Arc<JoinSet<()>>,
}

#[derive(Default)]
pub struct State {
    /// Bodies by path.
    pub kept: BTreeMap<String, Vec<u8>>,
    /// Every request, as `PUT /marker`, in its order.
    pub seen: Vec<String>,
    /// Writes that changed something.
    pub writes: usize,
    /// Questions for `/ready` that are answered with 404 before it is there.
    pub unready: usize,
    calls: usize,
    /// Which call fails, and in which way.
    fails: Option<(usize, usize)>,
}

impl Server {
    pub async fn new() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, state) = (listener.local_addr().unwrap(), Arc::<Mutex<State>>::default());
        let mut task = JoinSet::new();
        let kept = Arc::clone(&state);
        task.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &kept).await;
            }
        });
        Server { address, state, _task: Arc::new(task) }
    }

    /// The same server in a world where nothing has happened yet.
    pub fn anew(&self) -> Server {
        *self.state() = State::default();
        self.clone()
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Failing for Server {
    /// Refused with 503; cut before anything is done; cut after it was done.
    const WAYS: usize = 3;

    fn fail(&self, number: usize, way: usize) {
        let mut state = self.state();
        state.fails = Some((state.calls + number, way));
    }

    fn calls(&self) -> usize {
        self.state().calls
    }
}

/// One request. A client that was killed leaves half of one, which is nothing.
async fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let mut bytes = Vec::new();
    let (head, body) = loop {
        let mut part = [0; 4096];
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => return,
            Ok(read) => bytes.extend(&part[..read]),
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if bytes.len() >= end + 4 + length.unwrap_or(0) {
            break (head, bytes[end + 4..].to_vec());
        }
    };
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let answered = {
        let mut state = state.lock().unwrap();
        state.calls += 1;
        state.seen.push(format!("{method} {path}"));
        match state.fails.filter(|(number, _)| *number == state.calls) {
            Some((_, 0)) => Some((503, Vec::new())),
            Some((_, 1)) => None,
            Some(_) => {
                state.answer(method, path, &body);
                None
            }
            None => Some(state.answer(method, path, &body)),
        }
    };
    if let Some((status, body)) = answered {
        let head = format!("HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        // Whoever is gone needs no answer.
        let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
    }
}

impl State {
    /// What is kept, by its names.
    pub fn names(&self) -> Vec<&str> {
        self.kept.keys().map(String::as_str).collect()
    }

    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        if let Some(rest) = path.strip_prefix("/zones/demo.test/records") {
            return self.record(method, rest, body);
        }
        match (method, self.kept.contains_key(path)) {
            ("GET", _) if path == "/ready" => {
                let is_ready = self.unready == 0;
                self.unready = self.unready.saturating_sub(1);
                (if is_ready { 200 } else { 404 }, Vec::new())
            }
            ("GET", is_there) => (if is_there { 200 } else { 404 }, self.kept.get(path).cloned().unwrap_or_default()),
            ("PUT", is_there) => {
                self.put(path, body);
                (if is_there { 200 } else { 201 }, Vec::new())
            }
            ("DELETE", is_there) => {
                self.kept.remove(path);
                (if is_there { 204 } else { 404 }, Vec::new())
            }
            _ => (405, Vec::new()),
        }
    }

    fn put(&mut self, path: &str, body: &[u8]) {
        let before = self.kept.insert(path.to_owned(), body.to_vec());
        self.writes += usize::from(before.as_deref() != Some(body));
    }

    /// The API of `steps/custom/dnsapi`: a set of records is kept under its name.
    fn record(&mut self, method: &str, rest: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let sets = || self.kept.values().map(|set| serde_json::from_slice(set).unwrap()).collect::<Vec<Value>>();
        match (method, rest.strip_prefix('/')) {
            ("GET", None) => (200, json!({ "records": sets() }).to_string().into_bytes()),
            ("POST" | "PUT", _) => {
                let mut set: Value = serde_json::from_slice(body).unwrap();
                let name = set["name"].as_str().unwrap().to_owned();
                set["id"] = name.clone().into();
                self.put(&name, set.to_string().as_bytes());
                (200, set.to_string().into_bytes())
            }
            ("DELETE", Some(name)) => {
                let was_there = self.kept.remove(name).is_some();
                (if was_there { 204 } else { 404 }, Vec::new())
            }
            _ => (405, Vec::new()),
        }
    }
}
