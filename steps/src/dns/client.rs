//! Asks one name server, over TCP, one question at a time.
//!
//! TCP, because an answer that was lost must be seen as lost: over UDP it could still arrive, or the question be applied twice.
//! Answers to updates count only if the server signed them; reading needs no signature, because what is done with it is guarded by
//! prerequisites that the server checks itself.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, Record, RecordType, TSigner};
use steps_sdk::StepError;
use steps_sdk::context::StepContext;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::classify::Trouble;
use super::wanted::plain;

/// No connection and no answer takes longer than this.
const ANSWER_MAX: Duration = Duration::from_secs(5);

const PORT: u16 = 53;

/// What ends the questions of a client.
#[derive(Clone, Copy)]
pub enum Until<'a> {
    /// The step's call: its deadline, which may move, and its cancellation.
    Call(&'a StepContext),
    /// A moment.
    Moment(Instant),
}

impl Until<'_> {
    fn remaining(self) -> Duration {
        match self {
            Until::Call(cx) => cx.clock.remaining(),
            Until::Moment(end) => end.saturating_duration_since(Instant::now()),
        }
    }

    async fn stopped(self) {
        match self {
            Until::Call(cx) => cx.cancel.cancelled().await,
            Until::Moment(_) => std::future::pending().await,
        }
    }
}

/// A line to one name server, opened when it is first needed and again after it broke.
pub struct Client<'a> {
    until: Until<'a>,
    /// As the file names it.
    pub server: String,
    stream: Option<TcpStream>,
}

/// What became of an update.
#[derive(Debug)]
pub enum Sent {
    Applied,
    /// What was read before is no longer so; nothing was changed.
    PrerequisiteFailed,
    /// It may or may not have been applied.
    Unknown(StepError),
}

impl<'a> Client<'a> {
    /// `server` is an address or a host name, with a port or without.
    pub fn new(cx: &'a StepContext, server: &str) -> Client<'a> {
        Client::until(Until::Call(cx), server)
    }

    pub fn until(until: Until<'a>, server: &str) -> Client<'a> {
        Client { until, server: server.to_owned(), stream: None }
    }

    /// Asks for one type at one name. Whatever the server says is an answer.
    pub async fn ask(&mut self, name: &Name, of_type: RecordType) -> Result<Message, StepError> {
        Ok(self.try_ask(name, of_type).await?)
    }

    /// Like [`Client::ask`], for who wants to look at the failure.
    pub async fn try_ask(&mut self, name: &Name, of_type: RecordType) -> Result<Message, Trouble> {
        let mut question = Message::query();
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(name.clone(), of_type));
        let was_open = self.stream.is_some();
        let bytes = match self.exchange(&question).await {
            // The server may have closed an idle line just now, and reading twice harms nobody.
            Err(Failure { was_sent: true, .. }) if was_open => self.exchange(&question).await,
            first => first,
        };
        self.decode(&bytes.map_err(|failure| failure.trouble)?, &question)
    }

    /// The records of one type that stand at exactly this name.
    pub async fn set(&mut self, name: &Name, of_type: RecordType) -> Result<Vec<Record>, StepError> {
        let answer = self.ask(name, of_type).await?;
        match answer.metadata.response_code {
            // No such name, and a name without such records: both are no records.
            ResponseCode::NoError | ResponseCode::NXDomain => {}
            code => {
                let about = format!("the question for {of_type} {}", plain(name));
                return Err(Trouble::Answer { server: self.server.clone(), about, code, tsig: None }.into());
            }
        }
        let is_asked_for = |record: &Record| record.name == *name && record.record_type() == of_type;
        Ok(answer.answers.into_iter().filter(is_asked_for).collect())
    }

    /// Signs and sends an update.
    pub async fn update(
        &mut self,
        mut update: Message,
        signer: &TSigner,
        now: OffsetDateTime,
    ) -> Result<Sent, StepError> {
        let lost = |server: &str, reason: String| Trouble::Lost { server: server.to_owned(), reason };
        let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
        let unsignable = || Trouble::Key { reason: "it cannot sign" };
        let mut verifier = update.finalize(signer, seconds).map_err(|_| unsignable())?.ok_or_else(unsignable)?;
        let bytes = match self.exchange(&update).await {
            Ok(bytes) => bytes,
            Err(Failure { trouble, was_sent: true }) => return Ok(Sent::Unknown(trouble.into())),
            Err(Failure { trouble, was_sent: false }) => return Err(trouble.into()),
        };
        let answer = match self.decode(&bytes, &update) {
            Ok(answer) => answer,
            Err(trouble) => return Ok(Sent::Unknown(trouble.into())),
        };
        let is_signed = verifier.verify(&bytes).is_ok();
        match answer.metadata.response_code {
            ResponseCode::NoError if is_signed => Ok(Sent::Applied),
            ResponseCode::NoError => {
                let reason = "it says that the update was applied, but is not signed with the key".to_owned();
                Ok(Sent::Unknown(lost(&self.server, reason).into()))
            }
            ResponseCode::NXRRSet | ResponseCode::YXRRSet | ResponseCode::NXDomain | ResponseCode::YXDomain => {
                Ok(Sent::PrerequisiteFailed)
            }
            code => {
                let tsig = answer.signature.and_then(|signature| signature.data.error);
                Err(Trouble::Answer { server: self.server.clone(), about: "the update".to_owned(), code, tsig }.into())
            }
        }
    }

    fn decode(&self, bytes: &[u8], question: &Message) -> Result<Message, Trouble> {
        let lost = |reason: String| Trouble::Lost { server: self.server.clone(), reason };
        let answer = Message::from_vec(bytes).map_err(|e| lost(format!("it cannot be read: {e}")))?;
        if answer.metadata.id != question.metadata.id || answer.metadata.op_code != question.metadata.op_code {
            return Err(lost("it belongs to another question".to_owned()));
        }
        // Servers may leave the zone section out of the answer to an update (RFC 2136 §3.8).
        if question.metadata.op_code != OpCode::Update && answer.queries != question.queries {
            return Err(lost("it repeats another question".to_owned()));
        }
        Ok(answer)
    }

    /// Sends one message and reads one, over a new line if the old one was seen to be closed.
    async fn exchange(&mut self, message: &Message) -> Result<Vec<u8>, Failure> {
        let server = self.server.clone();
        let bytes = message
            .to_vec()
            .map_err(|e| Failure::before(Trouble::Lost { server: server.clone(), reason: e.to_string() }))?;
        let mut stream = match self.stream.take() {
            Some(stream) if !is_closed(&stream) => stream,
            _ => self.connect().await.map_err(Failure::before)?,
        };
        let limit = ANSWER_MAX.min(self.until.remaining());
        let answered = tokio::select! {
            answered = tokio::time::timeout(limit, send_and_receive(&mut stream, &bytes)) => answered,
            () = self.until.stopped() => return Err(Failure::after(Trouble::Stopped)),
        };
        match answered {
            Ok(Ok(answer)) => {
                self.stream = Some(stream);
                Ok(answer)
            }
            Ok(Err(error)) => Err(Failure::after(Trouble::Lost { server, reason: error.to_string() })),
            Err(_) => Err(Failure::after(Trouble::Silent { server, seconds: limit.as_secs() })),
        }
    }

    async fn connect(&self) -> Result<TcpStream, Trouble> {
        let server = self.server.clone();
        let limit = ANSWER_MAX.min(self.until.remaining());
        let connected = tokio::select! {
            connected = tokio::time::timeout(limit, TcpStream::connect(address_of(&server))) => connected,
            () = self.until.stopped() => return Err(Trouble::Stopped),
        };
        match connected {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(Trouble::Unreachable { server, error }),
            Err(_) => Err(Trouble::Silent { server, seconds: limit.as_secs() }),
        }
    }
}

/// A failed exchange, and whether the server may have seen the question.
struct Failure {
    trouble: Trouble,
    was_sent: bool,
}

impl Failure {
    fn before(trouble: Trouble) -> Failure {
        Failure { trouble, was_sent: false }
    }

    fn after(trouble: Trouble) -> Failure {
        Failure { trouble, was_sent: true }
    }
}

/// With the port of DNS where none is named; an IPv6 address with a port stands in brackets.
fn address_of(server: &str) -> String {
    let has_port =
        server.parse::<SocketAddr>().is_ok() || (server.matches(':').count() == 1 && !server.starts_with('['));
    match (has_port, server.contains(':') && !server.starts_with('[')) {
        (true, _) => server.to_owned(),
        (false, true) => format!("[{server}]:{PORT}"),
        (false, false) => format!("{server}:{PORT}"),
    }
}

/// An idle line on which something can be read was closed by the server: it never speaks first.
fn is_closed(stream: &TcpStream) -> bool {
    !matches!(stream.try_read(&mut [0; 1]), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
}

/// Each message is preceded by its length in two bytes (RFC 1035 §4.2.2).
async fn send_and_receive(stream: &mut TcpStream, message: &[u8]) -> io::Result<Vec<u8>> {
    let length =
        u16::try_from(message.len()).map_err(|_| io::Error::other("the message is longer than 65535 bytes"))?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_a_port_gets_the_port_of_dns() {
        for (server, address) in [
            ("203.0.113.53", "203.0.113.53:53"),
            ("203.0.113.53:5353", "203.0.113.53:5353"),
            ("ns1.example.io", "ns1.example.io:53"),
            ("ns1.example.io:5353", "ns1.example.io:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
        ] {
            assert_eq!(address_of(server), address, "{server}");
        }
    }
}
