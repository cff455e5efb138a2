//! Joins the records with the server of `hickory-server`: questions are answered by that crate's in-memory zone, which knows aliases
//! and wildcards; updates, which it refuses, are taken here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::tsig::TsigError;
use hickory_proto::rr::rdata::{NS, SOA};
use hickory_proto::rr::{LowerName, Name, RData, Record, RecordSet, RecordType, TSigResponseContext, TSigner};
use hickory_server::dnssec::NxProofKind;
use hickory_server::server::{Request, RequestInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{
    AuthLookup, AxfrPolicy, LookupControlFlow, LookupOptions, Nsec3QueryInfo, UpdateRequest as _, ZoneHandler, ZoneType,
};
use tokio::sync::Mutex;

use super::ZoneError;
use super::update::{Records, Update, key_of};

/// Seconds for which "there is no such name" may be remembered: short, because names appear while somebody waits for them.
const NEGATIVE_TTL: u32 = 1;

pub(super) struct Handler {
    answers: InMemoryZoneHandler,
    /// What `answers` was filled from. Locked for the length of an update, so that updates come one after the other.
    records: Mutex<Records>,
    signer: TSigner,
    saved_in: Option<PathBuf>,
}

impl Handler {
    pub(super) fn new(origin: &Name, signer: TSigner, saved_in: Option<PathBuf>) -> Result<Handler, ZoneError> {
        let saved = saved_in
            .as_deref()
            .map(|path| load(path).map_err(|e| ZoneError::Saved(path.to_owned(), e)))
            .transpose()?
            .flatten();
        let records = saved.unwrap_or_else(|| first_records(origin));
        let mut answers = InMemoryZoneHandler::empty(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny, None);
        answers.records_get_mut().extend(sets(&records));
        Ok(Handler { answers, records: Mutex::new(records), signer, saved_in })
    }

    pub(super) async fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.records.lock().await.values().flatten().map(ToString::to_string).collect();
        lines.sort();
        lines
    }

    /// RFC 8945 §5.2: whether the request was signed with the zone's key, and how the answer is to be signed.
    fn check_signature(&self, request: &Request, now: u64) -> (Result<(), ResponseCode>, Option<TSigResponseContext>) {
        let Some(signature) = request.signature() else {
            return (Err(ResponseCode::Refused), None);
        };
        let id = request.metadata.id;
        if signature.name != *self.signer.signer_name() {
            return (
                Err(ResponseCode::NotAuth),
                Some(TSigResponseContext::unknown_key(id, now, signature.name.clone())),
            );
        }
        let Ok((_, _, acceptable)) = self.signer.verify_message_byte(request.as_slice(), None, true) else {
            return (
                Err(ResponseCode::NotAuth),
                Some(TSigResponseContext::bad_signature(id, now, self.signer.clone())),
            );
        };
        let (verdict, error) = if acceptable.contains(&now) {
            (Ok(()), None)
        } else {
            (Err(ResponseCode::NotAuth), Some(TsigError::BadTime))
        };
        (verdict, Some(TSigResponseContext::new(id, now, self.signer.clone(), signature.data.mac.clone(), error)))
    }

    async fn apply(&self, request: &Request) -> Result<bool, ResponseCode> {
        let mut records = self.records.lock().await;
        let update = Update {
            origin: self.answers.origin(),
            prerequisites: request.prerequisites(),
            changes: request.updates(),
        };
        let Some(after) = update.apply_to(&records)? else {
            return Ok(false);
        };
        if let Some(path) = &self.saved_in {
            save(path, &after).map_err(|error| {
                tracing::error!(%error, path = %path.display(), "the sandbox's zone cannot be saved");
                ResponseCode::ServFail
            })?;
        }
        let mut answers = self.answers.records_mut().await;
        answers.clear();
        answers.extend(sets(&after));
        *records = after;
        Ok(true)
    }
}

#[async_trait]
impl ZoneHandler for Handler {
    fn zone_type(&self) -> ZoneType {
        ZoneType::Primary
    }

    fn axfr_policy(&self) -> AxfrPolicy {
        AxfrPolicy::Deny
    }

    async fn update(&self, request: &Request, now: u64) -> (Result<bool, ResponseCode>, Option<TSigResponseContext>) {
        match self.check_signature(request, now) {
            (Ok(()), signature) => (self.apply(request).await, signature),
            (Err(code), signature) => (Err(code), signature),
        }
    }

    fn origin(&self) -> &LowerName {
        self.answers.origin()
    }

    async fn lookup(
        &self,
        name: &LowerName,
        of_type: RecordType,
        request: Option<&RequestInfo<'_>>,
        options: LookupOptions,
    ) -> LookupControlFlow<AuthLookup> {
        self.answers.lookup(name, of_type, request, options).await
    }

    async fn search(
        &self,
        request: &Request,
        options: LookupOptions,
    ) -> (LookupControlFlow<AuthLookup>, Option<TSigResponseContext>) {
        self.answers.search(request, options).await
    }

    async fn nsec_records(&self, name: &LowerName, options: LookupOptions) -> LookupControlFlow<AuthLookup> {
        self.answers.nsec_records(name, options).await
    }

    async fn nsec3_records(&self, info: Nsec3QueryInfo<'_>, options: LookupOptions) -> LookupControlFlow<AuthLookup> {
        self.answers.nsec3_records(info, options).await
    }

    /// The zone is not signed.
    fn nx_proof_kind(&self) -> Option<&NxProofKind> {
        None
    }
}

/// What a zone must have: who is responsible for it, and its name server.
fn first_records(origin: &Name) -> Records {
    let server = origin.prepend_label("ns").unwrap_or_else(|_| origin.clone());
    let contact = origin.prepend_label("hostmaster").unwrap_or_else(|_| origin.clone());
    let soa = SOA::new(server.clone(), contact, 1, 3600, 600, 86_400, NEGATIVE_TTL);
    let apex = [RData::SOA(soa), RData::NS(NS(server.clone()))]
        .map(|data| Record::from_rdata(origin.clone(), NEGATIVE_TTL, data));
    let address = Record::from_rdata(server, NEGATIVE_TTL, RData::A(std::net::Ipv4Addr::LOCALHOST.into()));
    collect(apex.into_iter().chain([address]))
}

fn collect(records: impl IntoIterator<Item = Record>) -> Records {
    let mut sets = Records::new();
    for record in records {
        sets.entry(key_of(&record)).or_default().push(record);
    }
    sets
}

/// The records in the form that answers questions.
fn sets(records: &Records) -> impl Iterator<Item = (hickory_proto::rr::RrKey, Arc<RecordSet>)> {
    records.iter().filter_map(|(key, records)| {
        let first = records.first()?;
        let mut set = RecordSet::with_ttl(first.name.clone(), key.record_type, first.ttl);
        for record in records {
            set.insert(record.clone(), 0);
        }
        Some((key.clone(), Arc::new(set)))
    })
}

/// All records as one DNS message: the one form that holds every type exactly.
fn save(path: &Path, records: &Records) -> io::Result<()> {
    let mut message = Message::new(0, MessageType::Response, OpCode::Query);
    message.answers = records.values().flatten().cloned().collect();
    let bytes = message.to_vec().map_err(io::Error::other)?;
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, bytes)?;
    fs::rename(&beside, path)
}

fn load(path: &Path) -> io::Result<Option<Records>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(collect(Message::from_vec(&bytes).map_err(io::Error::other)?.answers))),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
