//! The provider's API: JSON over HTTP, one resource for each set of records.
//!
//! | request | answer |
//! |---|---|
//! | `GET /zones/ZONE/records?name=NAME&type=TYPE` | `{ "records": [ { "id", "name", "type", "ttl", "values", "comment" } ] }` |
//! | `POST /zones/ZONE/records`, with `idempotency-key` | the set that was made |
//! | `PUT /zones/ZONE/records/ID` | the set as it is then |
//! | `DELETE /zones/ZONE/records/ID` | nothing; 404 if it was gone |
//!
//! The credential is none of this file's business: the host puts it in, as the grant's `inject` says.

use serde::{Deserialize, Serialize};
use steps_sdk::StepError;
use steps_sdk::guest::http::{Answer, Request, Response};

use crate::RecordType;

/// One zone at the provider.
pub struct Provider {
    records: String,
}

/// Records of one name and type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSet {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub name: String,
    pub r#type: RecordType,
    pub ttl: u64,
    pub values: Vec<String>,
    /// Whose it is.
    #[serde(default)]
    pub comment: String,
}

/// What came of a write.
pub enum Wrote {
    Done(RecordSet),
    /// This was a preview.
    WouldDo,
}

#[derive(Deserialize)]
struct Found {
    records: Vec<RecordSet>,
}

impl RecordSet {
    pub fn is_like(&self, wanted: &RecordSet) -> bool {
        self.ttl == wanted.ttl && self.sorted_values() == wanted.values
    }

    /// Providers answer in any order.
    pub fn sorted_values(&self) -> Vec<String> {
        let mut values = self.values.clone();
        values.sort();
        values
    }

    pub fn owner(&self) -> &str {
        if self.comment.is_empty() { "nobody that it names" } else { &self.comment }
    }
}

impl Provider {
    pub fn new(endpoint: &str, zone: &str) -> Provider {
        Provider { records: format!("{}/zones/{}/records", endpoint.trim_end_matches('/'), zone.to_ascii_lowercase()) }
    }

    /// The set of this name and type, if it is there.
    pub fn find(&self, wanted: &RecordSet) -> Result<Option<RecordSet>, StepError> {
        let RecordSet { name, r#type, .. } = wanted;
        let response = Request::get(format!("{}?name={name}&type={type:?}", self.records)).read()?;
        let found: Found = accepted(&response)?.json()?;
        // A provider that does not know the filter answers with the whole zone.
        Ok(found.records.into_iter().find(|set| set.r#type == *r#type && set.name.eq_ignore_ascii_case(name)))
    }

    /// `once` is the same in every attempt: an API that knows it makes the set once, however often it is asked.
    pub fn create(&self, set: &RecordSet, once: &str) -> Result<Wrote, StepError> {
        wrote(Request::new("POST", &self.records).header("idempotency-key", once).json(set)?.send()?)
    }

    pub fn replace(&self, id: &Option<String>, set: &RecordSet) -> Result<Wrote, StepError> {
        wrote(Request::new("PUT", self.of(id)?).json(set)?.send()?)
    }

    pub fn delete(&self, id: &Option<String>) -> Result<(), StepError> {
        match Request::new("DELETE", self.of(id)?).send()? {
            Answer::Done(response) if response.status == 404 => Ok(()),
            Answer::Done(response) => accepted(&response).map(drop),
            Answer::WouldDo => Ok(()),
        }
    }

    fn of(&self, id: &Option<String>) -> Result<String, StepError> {
        // `..` would be a step up in the path.
        let is_plain = |id: &&String| {
            id.chars().any(|c| c.is_ascii_alphanumeric())
                && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        };
        match id.as_ref().filter(is_plain) {
            Some(id) => Ok(format!("{}/{id}", self.records)),
            None => Err(StepError::permanent("DNSAPI03", "the provider names the set in a way that no URL can hold")),
        }
    }
}

fn wrote(answer: Answer) -> Result<Wrote, StepError> {
    match answer {
        Answer::Done(response) => accepted(&response)?.json().map(Wrote::Done),
        Answer::WouldDo => Ok(Wrote::WouldDo),
    }
}

/// What a status means for the step: the one table of this kind.
fn accepted(response: &Response) -> Result<&Response, StepError> {
    if response.is_success() {
        return Ok(response);
    }
    let status = response.status;
    let error = match status {
        401 | 403 => StepError::needs_person("DNSAPI04", format!("the provider does not accept the credential (HTTP {status})"))
            .help("see that the grant of this component injects the provider's token, and that it may write the zone; then resume"),
        404 => StepError::permanent("DNSAPI05", "the provider does not know the zone").help("see `zone` and `endpoint`"),
        409 => StepError::transient("DNSAPI06", "the set was changed by somebody else at the same moment"),
        429 => StepError::transient("DNSAPI07", "the provider asks to wait"),
        500..=599 => StepError::transient("DNSAPI07", format!("the provider could not take care of it just now (HTTP {status})")),
        _ => StepError::permanent("DNSAPI08", format!("the provider refused the request (HTTP {status})")),
    };
    let mut error = if response.body.is_empty() { error } else { error.cause(response.excerpt()) };
    let seconds = response.header("retry-after").and_then(|value| value.parse::<u64>().ok());
    error.retry_after_ms = seconds.map(|seconds| seconds.saturating_mul(1000));
    Err(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use steps_sdk::ErrorClass::{self, NeedsPerson, Permanent, Transient};

    #[test]
    fn statuses_are_judged_by_the_table() {
        let judged = |status: u16| -> Option<ErrorClass> {
            let headers = vec![("retry-after".to_owned(), "7".to_owned())];
            let response = Response { status, headers, body: b"why".to_vec() };
            accepted(&response).err().map(|error| {
                assert_eq!(
                    (error.retry_after_ms, error.causes.as_slice()),
                    (Some(7000), ["why".to_owned()].as_slice())
                );
                error.class
            })
        };
        for (status, class) in [
            (200, None),
            (204, None),
            (400, Some(Permanent)),
            (401, Some(NeedsPerson)),
            (403, Some(NeedsPerson)),
            (404, Some(Permanent)),
            (409, Some(Transient)),
            (429, Some(Transient)),
            (502, Some(Transient)),
        ] {
            assert_eq!(judged(status), class, "{status}");
        }
    }

    #[test]
    fn an_id_that_would_leave_its_path_segment_is_refused() {
        let zone = Provider::new("https://api.dns.example/v1/", "Example.io");
        assert_eq!(zone.of(&Some("a-7".into())), Ok("https://api.dns.example/v1/zones/example.io/records/a-7".into()));
        for odd in
            [None, Some(String::new()), Some("..".into()), Some("a/b".into()), Some("..?x".into()), Some("a%2f".into())]
        {
            assert!(zone.of(&odd).is_err(), "{odd:?}");
        }
    }
}
