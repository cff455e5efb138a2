//! HTTP through the host, within the file's grants. Secrets are put in by the host; redirects are not followed.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::bindings::engine::step::http as wit;
use crate::StepError;

pub use wit::Error;

/// A request that is being put together.
#[derive(Debug, Clone)]
pub struct Request(wit::Request);

/// What came of a request.
#[derive(Debug, Clone)]
pub enum Answer {
    Done(Response),
    /// This is a preview: a request that writes was sent nowhere.
    WouldDo,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, url: impl Into<String>) -> Request {
        Request(wit::Request {
            method: method.to_owned(),
            url: url.into(),
            headers: Vec::new(),
            body: None,
            timeout_ms: None,
        })
    }

    pub fn get(url: impl Into<String>) -> Request {
        Request::new("GET", url)
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Request {
        self.0.headers.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub fn body(mut self, bytes: Vec<u8>) -> Request {
        self.0.body = Some(bytes);
        self
    }

    /// A JSON body with its content type.
    pub fn json<T: Serialize>(self, value: &T) -> Result<Request, StepError> {
        let bytes = serde_json::to_vec(value)
            .map_err(|e| StepError::permanent("G101", "the request's body cannot be written as JSON").caused_by(&e))?;
        Ok(self.header("content-type", "application/json").body(bytes))
    }

    /// For the whole exchange.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Request {
        self.0.timeout_ms = Some(u32::try_from(limit.as_millis()).unwrap_or(u32::MAX));
        self
    }

    pub fn send(self) -> Result<Answer, Error> {
        match wit::send(&self.0)? {
            wit::Answer::Done(wit::Response { status, headers, body }) => {
                Ok(Answer::Done(Response { status, headers, body }))
            }
            wit::Answer::WouldDo => Ok(Answer::WouldDo),
        }
    }

    /// For a request that only reads, which is sent in a preview too.
    pub fn read(self) -> Result<Response, StepError> {
        let about = format!("{} {}", self.0.method, self.0.url);
        match self.send()? {
            Answer::Done(response) => Ok(response),
            Answer::WouldDo => {
                Err(StepError::permanent("G101", format!("{about} writes, so a preview has no answer to it")))
            }
        }
    }
}

impl Response {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of this name, which is written in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        serde_json::from_slice(&self.body).map_err(|e| {
            let message = format!("the answer (HTTP {}) is not the JSON that was expected", self.status);
            StepError::permanent("G101", message).caused_by(&e)
        })
    }

    /// The beginning of the body as text, for messages.
    pub fn excerpt(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(200).collect()
    }
}

/// What may be tried again is transient: no answer in time, no connection.
impl From<Error> for StepError {
    fn from(error: Error) -> StepError {
        match error {
            Error::NotGranted(what) => StepError::permanent("G101", what)
                .help("grant it in the workflow's file, in the `grant` of this component"),
            Error::Timeout => StepError::transient("G101", "the server did not answer in time"),
            Error::Dns(what) | Error::Connect(what) => StepError::transient("G101", what),
            Error::Tls(what) | Error::Other(what) => StepError::permanent("G101", what),
            Error::TooLarge(limit) => StepError::permanent("G101", format!("the response has more than {limit} bytes")),
        }
    }
}
