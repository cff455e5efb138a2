//! A line to a name server that breaks when a test asks for it: before the server saw a question, or before its answer came back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Carries questions one by one. Dropping it ends every connection.
pub(super) struct Faulty {
    address: SocketAddr,
    state: Arc<State>,
    _carrying: JoinSet<()>,
}

#[derive(Default)]
struct State {
    calls: AtomicUsize,
    /// The question that fails, counted from 1; 0 for none.
    fails_at: AtomicUsize,
    way: AtomicUsize,
}

impl Faulty {
    pub(super) const WAYS: usize = 2;
    const QUESTION_LOST: usize = 0;
    /// The server has seen and answered the question, but the answer never arrives.
    pub(super) const ANSWER_LOST: usize = 1;

    pub(super) async fn before(server: SocketAddr) -> Faulty {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let mut carrying = JoinSet::new();
        let shared = Arc::clone(&state);
        carrying.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                // A connection that ends, by whichever side, is what is being tested.
                connections.spawn(async move { carry(client, server, &shared).await.unwrap_or_default() });
            }
        });
        Faulty { address, state, _carrying: carrying }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The n-th question from now on fails in this way.
    pub(super) fn fail(&self, number: usize, way: usize) {
        self.state.way.store(way, Ordering::SeqCst);
        self.state.fails_at.store(self.calls() + number, Ordering::SeqCst);
    }

    pub(super) fn calls(&self) -> usize {
        self.state.calls.load(Ordering::SeqCst)
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, state: &State) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    loop {
        let question = message(&mut client).await?;
        let number = state.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let fails = (number == state.fails_at.load(Ordering::SeqCst)).then(|| state.way.load(Ordering::SeqCst));
        if fails == Some(Faulty::QUESTION_LOST) {
            return Ok(());
        }
        server.write_all(&question).await?;
        let answer = message(&mut server).await?;
        if fails == Some(Faulty::ANSWER_LOST) {
            return Ok(());
        }
        client.write_all(&answer).await?;
    }
}

/// One message with the two bytes of its length.
async fn message(from: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let length = from.read_u16().await?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.resize(2 + usize::from(length), 0);
    from.read_exact(&mut framed[2..]).await?;
    Ok(framed)
}
