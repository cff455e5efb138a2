//! `http`: requests through the host, within the grants of the file; the host puts secrets in. Verbs that only look send reads only.

use std::time::Duration;

use steps_sdk::context::SecretBytes;
use steps_sdk::grant::{HttpGrant, Inject};
use steps_sdk::host::{HttpError, HttpRequest};
use steps_sdk::{Certainty, Change, ChangeAction, StepError};

use super::http_request::{Normal, normal};
use super::mask::Mask;
use super::ungranted;
use crate::wasm::bindings::http::{Answer, Error, Host, Request, Response};
use crate::wasm::guest::{Called, Guest, Writes};
use crate::wasm::limits::{LINE_BYTES_MAX, RESPONSE_BYTES_MAX};
use crate::wasm::words;

/// When the guest sets no limit of its own.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Host for Guest {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Result<Answer, Error>> {
        self.count_host_call()?;
        let writes = self.verb.writes();
        let step = self.step("http.send")?;
        let timeout = request.timeout_ms.map_or(TIMEOUT, |ms| Duration::from_millis(ms.into()));
        let (method, url) = (request.method.clone(), request.url.clone());
        let normal = match normal(request) {
            Ok(normal) => normal,
            Err(_) if step.bound.grants.http.is_empty() => return Err(no_grant(&method, &url, None)),
            Err(why) => return Ok(Err(Error::Other(why))),
        };
        if step.bound.grants.http.is_empty() {
            return Err(no_grant(&method, &url, Some(&normal)));
        }
        send(step, normal, timeout, writes).await
    }
}

fn no_grant(method: &str, url: &str, normal: Option<&Normal>) -> wasmtime::Error {
    let asked = format!("{} {}", words::line(method, 20), words::line(url, 200));
    let line = match normal {
        Some(normal) => format!("http \"{}\" {{ methods {} }}", normal.origin, normal.method),
        None => "http \"https://HOST\"".to_owned(),
    };
    ungranted("W201", &asked, "http", &line)
}

/// Errors stop the call: the host could not do its part. Refusals are answers.
async fn send(
    step: &mut Called,
    request: Normal,
    timeout: Duration,
    writes: Writes,
) -> wasmtime::Result<Result<Answer, Error>> {
    let grants = std::sync::Arc::clone(&step.bound.grants);
    let Some((index, grant)) = grants.http(&request.method, &request.origin, &request.path) else {
        let granted: Vec<String> = grants.http.iter().map(HttpGrant::to_string).collect();
        let (method, origin, path) = (&request.method, &request.origin, words::line(&request.path, 200));
        let words = format!("{method} {origin}{path} is not granted; the file grants {}", granted.join("; "));
        return Ok(Err(Error::NotGranted(words)));
    };
    if let Some(inject) = &grant.inject
        && request.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(&inject.header))
    {
        let words = format!("the header `{}` is set by the host, with the secret of the file", inject.header);
        return Ok(Err(Error::NotGranted(words)));
    }
    step.bound.used.count(index);
    if writes != Writes::Done && !["GET", "HEAD"].contains(&request.method.as_str()) {
        let asked = words::line(&format!("{} {}{}", request.method, request.origin, request.path), LINE_BYTES_MAX);
        if writes == Writes::Refused {
            return Err(Called::read_only(&asked));
        }
        step.would_do(Change {
            object: asked,
            action: ChangeAction::Run,
            certainty: Certainty::Schema,
            fields: Vec::new(),
            conflict: None,
            waits_for: None,
        });
        return Ok(Ok(Answer::WouldDo));
    }
    let (secret_header, mask) = match &grant.inject {
        Some(inject) => {
            let (header, mask) = open(step, inject).await?;
            (Some(header), Some(mask))
        }
        None => (None, None),
    };
    let sent = step.bound.host.http.send(HttpRequest {
        method: request.method,
        url: request.url,
        headers: request.headers,
        secret_header,
        body: request.body,
        timeout: timeout.min(step.cx.clock.remaining()),
        private: grant.private,
        response_bytes_max: RESPONSE_BYTES_MAX,
    });
    let answer = match sent.await {
        Ok(response) => {
            Ok(Answer::Done(Response { status: response.status, headers: response.headers, body: response.body }))
        }
        Err(error) => Err(failure(error)),
    };
    Ok(match mask {
        Some(mask) => masked(answer, &mask),
        None => answer,
    })
}

/// The header with the secret in it, and what hides the secret in the answer.
async fn open(step: &Called, inject: &Inject) -> Result<((String, SecretBytes), Mask), StepError> {
    let unopened = |error: StepError| StepError {
        message: format!("needs a secret that cannot be opened: {}", error.message),
        ..error
    };
    let secret = step.cx.secrets.open(&inject.secret).await.map_err(unopened)?;
    let text = secret.expose_text().map_err(unopened)?;
    if text.chars().any(char::is_control) {
        let message = format!("needs the secret of {} in a header, and it holds a control character", inject.secret);
        return Err(StepError::permanent("W204", message)
            .help("a header takes one line of text: look for a line break at the end of the secret"));
    }
    let value = SecretBytes::new(inject.format.replace("{}", text).into_bytes());
    Ok(((inject.header.clone(), value), Mask::new(&secret)))
}

fn masked(answer: Result<Answer, Error>, mask: &Mask) -> Result<Answer, Error> {
    match answer {
        Ok(Answer::Done(response)) => Ok(Answer::Done(Response {
            status: response.status,
            headers: response.headers.into_iter().map(|(name, value)| (mask.text(name), mask.text(value))).collect(),
            body: mask.bytes(response.body),
        })),
        Ok(Answer::WouldDo) => Ok(Answer::WouldDo),
        Err(Error::NotGranted(words)) => Err(Error::NotGranted(mask.text(words))),
        Err(Error::Dns(words)) => Err(Error::Dns(mask.text(words))),
        Err(Error::Connect(words)) => Err(Error::Connect(mask.text(words))),
        Err(Error::Tls(words)) => Err(Error::Tls(mask.text(words))),
        Err(Error::Other(words)) => Err(Error::Other(mask.text(words))),
        Err(error @ (Error::Timeout | Error::TooLarge(_))) => Err(error),
    }
}

fn failure(error: HttpError) -> Error {
    match error {
        HttpError::NotGranted(words) => Error::NotGranted(words),
        HttpError::Timeout => Error::Timeout,
        HttpError::Dns(words) => Error::Dns(words),
        HttpError::Connect(words) => Error::Connect(words),
        HttpError::Tls(words) => Error::Tls(words),
        HttpError::TooLarge(bytes) => Error::TooLarge(bytes),
        HttpError::Other(words) => Error::Other(words),
    }
}
