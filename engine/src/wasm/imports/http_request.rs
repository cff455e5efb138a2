//! A guest's HTTP request in the one form that is compared and sent: what could be read in two ways is refused, not repaired.

use url::Url;

use crate::wasm::bindings::http::Request;
use crate::wasm::limits::RESPONSE_BYTES_MAX;
use crate::wasm::words;

const URL_BYTES_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 100;
const HEADER_BYTES_MAX: usize = 16 << 10;

/// Set by the host or by the protocol; a guest that sets them could make two requests of one, or speak to another host.
const HOST_HEADERS: [&str; 16] = [
    "host",
    "content-length",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
];

/// A request whose parts mean what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Normal {
    pub(super) method: String,
    /// `https://api.example.io`, without the scheme's own port.
    pub(super) origin: String,
    pub(super) path: String,
    /// As it is sent.
    pub(super) url: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// What is wrong with a request, for the guest.
pub(super) fn normal(request: Request) -> Result<Normal, String> {
    let method = method(&request.method)?;
    let url = address(&request.url)?;
    let headers = headers(request.headers)?;
    let body = request.body.unwrap_or_default();
    if body.len() > RESPONSE_BYTES_MAX {
        return Err(format!("the body has {} bytes, at most {RESPONSE_BYTES_MAX} are allowed", body.len()));
    }
    Ok(Normal {
        method,
        origin: url.origin().ascii_serialization(),
        path: url.path().to_owned(),
        url: url.into(),
        headers,
        body,
    })
}

fn method(method: &str) -> Result<String, String> {
    let is_token = (1..=20).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
    let upper = method.to_ascii_uppercase();
    match upper.as_str() {
        _ if !is_token => Err(format!("`{}` is not a method", words::line(method, 40))),
        // They are about connections, not about resources.
        "CONNECT" | "TRACE" => Err(format!("the method {upper} is not for steps")),
        _ => Ok(upper),
    }
}

/// The URL without anything that a server may read otherwise than the grants do.
fn address(text: &str) -> Result<Url, String> {
    let refuse = |why: &str| Err(format!("the URL `{}` {why}", words::line(text, 200)));
    if text.len() > URL_BYTES_MAX {
        return refuse("is too long");
    }
    // The parser drops tabs and line breaks, and takes `\` for `/`.
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return refuse("holds a space, a control character or a backslash");
    }
    let Some((scheme, rest)) = text.split_once("://") else { return refuse("is not absolute") };
    if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
        return refuse("is neither http nor https");
    }
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, after) = rest.split_at(authority_end);
    if authority.is_empty() || authority.contains('@') {
        return refuse(if authority.is_empty() { "names no host" } else { "holds a user name" });
    }
    // A name that is written in another way, such as with percent signs, is one that nobody granted.
    if !authority.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b)) {
        return refuse("has a host that is not written plainly");
    }
    if after.contains('#') {
        return refuse("has a fragment");
    }
    if let Err(why) = path(after.split('?').next().unwrap_or_default()) {
        return refuse(why);
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return refuse(&format!("is not a URL: {error}")),
    };
    let host = url.host_str().unwrap_or_default();
    // Several ways to write an IPv4 address are one address: only the usual one is taken.
    let is_plain =
        authority.to_ascii_lowercase().strip_prefix(host).is_some_and(|port| port.is_empty() || port.starts_with(':'));
    if host.is_empty() || !is_plain || url.port() == Some(0) {
        return refuse("has a host that is not written plainly");
    }
    if host.ends_with('.') {
        return refuse("has a host that ends in a dot");
    }
    Ok(url)
}

/// The path as it was written: the parser would resolve its dots before anybody could see them.
fn path(path: &str) -> Result<(), &'static str> {
    let lower = path.to_ascii_lowercase();
    if lower.contains("%2f") || lower.contains("%5c") {
        return Err("hides a slash in its path");
    }
    if lower.contains("%00") || lower.contains("%0a") || lower.contains("%0d") || lower.contains("%25") {
        return Err("hides a character in its path that servers read in different ways");
    }
    let is_dots = |segment: &str| matches!(segment.replace("%2e", ".").as_str(), "." | "..");
    // `;` begins parameters, which some servers drop before they resolve dots.
    if lower.split('/').any(|segment| is_dots(segment.split(';').next().unwrap_or_default())) {
        return Err("has `.` or `..` in its path");
    }
    if path.contains("//") {
        return Err("has an empty part in its path");
    }
    Ok(())
}

fn headers(headers: Vec<(String, String)>) -> Result<Vec<(String, String)>, String> {
    if headers.len() > HEADERS_MAX {
        return Err(format!("{} headers are too many, at most {HEADERS_MAX} are allowed", headers.len()));
    }
    headers.into_iter().map(|(name, value)| header(&name, value)).collect()
}

fn header(name: &str, value: String) -> Result<(String, String), String> {
    let shown = words::line(name, 80);
    let lower = name.to_ascii_lowercase();
    let is_token = !name.is_empty()
        && name.len() <= 200
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b));
    if !is_token {
        return Err(format!("`{shown}` is not a header's name"));
    }
    if HOST_HEADERS.contains(&lower.as_str()) || lower.starts_with("proxy-") {
        return Err(format!("the header `{shown}` is the host's to set"));
    }
    if value.len() > HEADER_BYTES_MAX || value.bytes().any(|b| b < b' ' && b != b'\t' || b == 0x7f) {
        return Err(format!("the value of the header `{shown}` is too long or holds a control character"));
    }
    Ok((lower, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal_of(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Normal, String> {
        normal(Request {
            method: method.into(),
            url: url.into(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            body: None,
            timeout_ms: None,
        })
    }

    #[test]
    fn a_request_has_one_form() {
        let request = normal_of("put", "HTTPS://API.CDN.example:443/v1/zones/7?q=a%2Fb", &[("X-Id", "7")]).unwrap();
        assert_eq!(request.method, "PUT");
        assert_eq!(request.origin, "https://api.cdn.example");
        assert_eq!(request.path, "/v1/zones/7");
        assert_eq!(request.url, "https://api.cdn.example/v1/zones/7?q=a%2Fb");
        assert_eq!(request.headers, [("x-id".to_owned(), "7".to_owned())]);
        assert_eq!(normal_of("GET", "http://10.0.0.1:8080", &[]).unwrap().origin, "http://10.0.0.1:8080");
        assert_eq!(normal_of("GET", "http://[::1]:8080/", &[]).unwrap().origin, "http://[::1]:8080");
        assert_eq!(normal_of("GET", "https://a.example/%C3%A4.b/..c", &[]).unwrap().path, "/%C3%A4.b/..c");
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for url in [
            "/v1",
            "file:///etc/passwd",
            "ftp://a.example/",
            "unix://socket",
            "https://",
            "https:///v1",
            "https://user@a.example/",
            "https://a.example@evil.example/",
            "https://a.example:80@evil.example/",
            "https://a.example/#x",
            "https://a.example/a/../b",
            "https://a.example/a/./b",
            "https://a.example/a/%2e%2E/b",
            "https://a.example/a/.%2e/b",
            "https://a.example/a/..;x=1/b",
            "https://a.example/a%2fb",
            "https://a.example/a%5Cb",
            "https://a.example/a%252e%252e/b",
            "https://a.example/a//b",
            "https://a.example\\@evil.example/",
            "https://a.example/a\r\nHost: evil.example",
            "https://a.example/a b",
            "https://a.exa%6dple/",
            "https://аpple.example/",
            "https://a.example./",
            "https://a.example:0/",
            "https://a.example:99999/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://0177.0.0.1/",
            "http://[::ffff:7f00:0001]/",
        ] {
            assert!(normal_of("GET", url, &[]).is_err(), "{url:?}");
        }
        for method in ["", "GET /", "G\r\nT", "CONNECT", "trace", "PÜT"] {
            assert!(normal_of(method, "https://a.example/", &[]).is_err(), "{method:?}");
        }
        for (name, value) in [
            ("Host", "evil.example"),
            ("content-length", "0"),
            ("Transfer-Encoding", "chunked"),
            ("proxy-anything", "1"),
            ("x\r\ny", "1"),
            ("", "1"),
            ("x", "1\r\ny: 2"),
            ("x", "1\0"),
            ("x y", "1"),
        ] {
            assert!(normal_of("GET", "https://a.example/", &[(name, value)]).is_err(), "{name:?}: {value:?}");
        }
    }
}
