//! One request and its response over one connection: HTTP/1.1, everything that comes back is limited while it comes.

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use steps_sdk::host::{HttpError, HttpRequest, HttpResponse};

use super::line::Line;
use super::target::Target;

/// The response's status line and headers together.
const HEAD_BYTES_MAX: usize = 64 << 10;
const HEADERS_MAX: usize = 128;

/// Sends the message and reads the whole response.
pub(super) async fn exchange(
    line: Line,
    target: &Target,
    message: Request<Full<Bytes>>,
    limit: usize,
) -> Result<HttpResponse, HttpError> {
    let failed = |error: hyper::Error| broken(target, &error);
    let (mut sender, mut connection) = http1::Builder::new()
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake::<_, Full<Bytes>>(TokioIo::new(line))
        .await
        .map_err(failed)?;
    let mut answer = std::pin::pin!(async {
        let response = sender.send_request(message).await.map_err(failed)?;
        read(target, response, limit).await
    });
    // The connection is driven here and not in a task of its own: who drops this call drops the connection.
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        ended = &mut connection => ended.map_err(failed)?,
    }
    answer.await
}

/// The request as it is sent. What could make two requests of one is refused here, before anything is connected to.
pub(super) fn message(target: &Target, request: HttpRequest) -> Result<Request<Full<Bytes>>, HttpError> {
    let other = |reason: String| HttpError::Other(reason);
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| other(format!("`{}` is not a method", request.method)))?;
    if method == Method::CONNECT {
        return Err(other("CONNECT opens a tunnel, and a step has no use for one".into()));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &request.headers {
        let (name, value) = header(name, value.as_bytes())?;
        headers.append(name, value);
    }
    if let Some((name, secret)) = &request.secret_header {
        let (name, mut value) = header(name, secret.expose())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let host = HeaderValue::from_str(&target.authority).map_err(|_| other("the URL's host is no header".into()))?;
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(concat!("engine/", env!("CARGO_PKG_VERSION"))));
    let mut message = Request::builder()
        .method(method)
        .uri(&target.path)
        .body(Full::new(Bytes::from(request.body)))
        .map_err(|e| other(format!("the URL's path cannot be sent: {e}")))?;
    *message.headers_mut() = headers;
    Ok(message)
}

/// The error names the header and not its value, which may be a secret.
fn header(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), HttpError> {
    let refuse = |reason: &str| HttpError::Other(format!("the header `{name}` {reason}"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| refuse("has no valid name"))?;
    let value =
        HeaderValue::from_bytes(value).map_err(|_| refuse("has a value with line breaks or control characters"))?;
    Ok((name, value))
}

async fn read(target: &Target, response: Response<Incoming>, limit: usize) -> Result<HttpResponse, HttpError> {
    let too_large = || HttpError::TooLarge(limit as u64);
    let (head, mut body) = response.into_parts();
    // What the response announces of itself; one that announces nothing, or lies, is stopped below.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    // As it came: what is compressed stays compressed, so that a small response cannot become a large one.
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| broken(target, &error))?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > limit {
            return Err(too_large());
        }
        bytes.extend_from_slice(data);
    }
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Ok(HttpResponse { status: head.status.as_u16(), headers, body: bytes })
}

/// Why there is no whole answer.
fn broken(target: &Target, error: &hyper::Error) -> HttpError {
    let host = target.host();
    // A client's build of the library has no question for this one.
    if error.is_parse() && error.to_string().contains("too large") {
        return HttpError::Other(format!(
            "the response of {host} has more than {HEADERS_MAX} headers, or they have more than {} KiB",
            HEAD_BYTES_MAX >> 10
        ));
    }
    if error.is_parse() {
        return HttpError::Other(format!("what {host} answers is not HTTP/1.1: {error}"));
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return HttpError::Connect(format!("{host} closed the connection before its answer was complete"));
    }
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    HttpError::Connect(format!("the connection to {host} broke: {error}{source}"))
}
