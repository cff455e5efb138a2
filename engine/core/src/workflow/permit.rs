//! The texts of a grant: an origin, a path, a namespace, a domain. One that is written out is held to its form when the file is read,
//! one that is computed when the plan is made.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use steps_sdk::value::{DnsLabel, Hostname};

/// Why a text cannot be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Bytes of the text.
    pub range: Range<usize>,
    pub message: String,
    pub help: String,
    /// What to write instead of the whole text, where that is certain.
    pub instead: Option<String>,
}

/// What a text of a grant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `https://api.example.io`, as a URL has it after normalising: the host compares texts.
    Origin,
    /// `/v1/zones/*`.
    Path,
    Namespace,
    ObjectName,
    /// `example.io`, `*`.
    Domain,
}

impl Form {
    pub fn check(self, text: &str) -> Result<(), Refusal> {
        match self {
            Form::Origin => origin(text),
            Form::Path => path(text),
            Form::Namespace => text.parse::<DnsLabel>().map(drop).map_err(|reason| {
                whole(
                    text,
                    format!("`{text}` is not a namespace: {reason}"),
                    "leave `namespace` out to grant every one",
                )
            }),
            Form::ObjectName => object_name(text),
            Form::Domain => domain(text),
        }
    }
}

fn whole(text: &str, message: impl Into<String>, help: impl Into<String>) -> Refusal {
    Refusal { range: 0..text.len(), message: message.into(), help: help.into(), instead: None }
}

fn origin(text: &str) -> Result<(), Refusal> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(whole(text, format!("`{text}` is not an origin: it has no scheme"), "write `https://HOST`"));
    };
    let lower = text.to_ascii_lowercase();
    let start = scheme.len() + 3;
    let end = rest.find(['/', '?', '#', '\\']).map_or(text.len(), |at| start + at);
    if lower[..end] != text[..end] && ["http", "https"].contains(&&lower[..scheme.len()]) {
        let refusal = whole(
            text,
            format!("`{text}` is not an origin: it has upper-case letters"),
            "origins are compared as they are written: use lower case",
        );
        return Err(Refusal { range: 0..end, instead: Some(format!("{}{}", &lower[..end], &text[end..])), ..refusal });
    }
    if !["http", "https"].contains(&scheme) {
        let refusal = whole(
            text,
            format!("`{scheme}` is not a scheme that can be granted"),
            "requests go over `https://` or `http://`",
        );
        return Err(Refusal { range: 0..scheme.len(), ..refusal });
    }
    if end < text.len() {
        let (what, help) = match text.as_bytes()[end] {
            b'?' => ("a query", "leave it out: a grant does not look at queries".to_owned()),
            b'#' => ("a fragment", "leave it out: fragments are not sent".to_owned()),
            _ if &text[end..] == "/" => ("a `/` at its end", "leave it out".to_owned()),
            _ => ("a path", format!("give the path a line of its own: `path \"{}\"`", &text[end..])),
        };
        let refusal = whole(text, format!("`{text}` is not an origin: it has {what}"), help);
        let instead = (&text[end..] == "/").then(|| text[..end].to_owned());
        return Err(Refusal { range: end..text.len(), instead, ..refusal });
    }
    let authority = &text[start..];
    if let Some(at) = authority.rfind('@') {
        let refusal = whole(
            text,
            "an origin has no user and no password",
            "declare a secret, and have it put in: `inject secret=NAME header=Authorization`",
        );
        return Err(Refusal { range: start..start + at + 1, ..refusal });
    }
    let (host, port) = host_and_port(authority);
    check_host(host)
        .map_err(|(message, help)| Refusal { range: start..start + host.len(), ..whole(text, message, help) })?;
    let Some(port) = port else { return Ok(()) };
    check_port(scheme, port).map_err(|(message, help)| {
        let range = text.len() - port.len() - 1..text.len();
        let is_own = port == own_port(scheme);
        Refusal { instead: is_own.then(|| text[..range.start].to_owned()), range, ..whole(text, message, help) }
    })
}

/// The brackets of an IPv6 address belong to the host.
fn host_and_port(authority: &str) -> (&str, Option<&str>) {
    let after_brackets = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[after_brackets..].find(':') {
        Some(colon) => {
            let colon = after_brackets + colon;
            (&authority[..colon], Some(&authority[colon + 1..]))
        }
        None => (authority, None),
    }
}

/// A host as a normalised URL has it: numbers that only look like an address would be sent to another one.
fn check_host(host: &str) -> Result<(), (String, String)> {
    const HELP: &str = "write the host's name or address: `https://api.example.io`, `http://10.0.0.1:8080`";
    if host.is_empty() {
        return Err(("the origin names no host".to_owned(), HELP.to_owned()));
    }
    if let Some(inside) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return match inside.parse::<Ipv6Addr>() {
            Ok(address) if address.to_string() == inside => Ok(()),
            Ok(address) => Err((format!("`{host}` is not how that address is sent"), format!("write `[{address}]`"))),
            Err(_) => Err((format!("`{host}` is not an address"), HELP.to_owned())),
        };
    }
    if host.contains('*') {
        let help = "grant each origin by its own name".to_owned();
        return Err((format!("`{host}` stands for several hosts"), help));
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    if last.starts_with(|c: char| c.is_ascii_digit()) {
        let is_address = host.parse::<Ipv4Addr>().is_ok_and(|address| address.to_string() == host);
        return if is_address { Ok(()) } else { Err((format!("`{host}` is not an address"), HELP.to_owned())) };
    }
    match host.parse::<Hostname>() {
        Ok(_) => Ok(()),
        Err(reason) => Err((format!("`{host}` is not a host name: {reason}"), HELP.to_owned())),
    }
}

fn own_port(scheme: &str) -> &'static str {
    if scheme == "https" { "443" } else { "80" }
}

fn check_port(scheme: &str, port: &str) -> Result<(), (String, String)> {
    if port == own_port(scheme) {
        return Err((format!("{port} is the port of {scheme} anyway"), "leave it out".to_owned()));
    }
    let is_number = port.bytes().all(|b| b.is_ascii_digit()) && !port.starts_with('0');
    match port.parse::<u16>() {
        Ok(_) if is_number => Ok(()),
        _ => Err((format!("`{port}` is not a port"), "ports are between 1 and 65535".to_owned())),
    }
}

fn path(text: &str) -> Result<(), Refusal> {
    let refuse = |range: Range<usize>, message: &str, help: &str| {
        Err(Refusal { range, ..whole(text, format!("`{text}` is not a path: {message}"), help) })
    };
    if !text.starts_with('/') {
        return refuse(0..text.len(), "it does not begin with `/`", "write it as `/v1/zones/*`");
    }
    if let Some(at) = text.find(['?', '#']) {
        return refuse(at..text.len(), "it goes on after its end", "a grant does not look at queries: leave it out");
    }
    if let Some(at) = text.find('*').filter(|at| at + 1 < text.len()) {
        return refuse(at..at + 1, "`*` stands at the end only", "one `*` at the end is any rest: `/v1/zones/*`");
    }
    if let Some(at) = text.find(|c: char| !c.is_ascii_graphic() || "\\\"<>^`{|}".contains(c)) {
        let end = at + text[at..].chars().next().map_or(1, char::len_utf8);
        return refuse(
            at..end,
            "it has a character that is not sent as it is",
            "write it as it is in the address, with `%` and two digits",
        );
    }
    if text.split('/').any(|segment| segment == "." || segment == "..") {
        return refuse(
            0..text.len(),
            "it has a segment `.` or `..`",
            "write the path that is meant: it is compared after it was normalised",
        );
    }
    Ok(())
}

fn object_name(text: &str) -> Result<(), Refusal> {
    if text.is_empty() {
        return Err(whole(text, "the name of an object is empty", "leave `names` out to grant any name"));
    }
    if text.contains(['*', '/', '%']) || text.contains(char::is_whitespace) {
        let message = format!("`{text}` is not the name of an object");
        return Err(whole(text, message, "names are compared as they are: leave `names` out to grant any name"));
    }
    Ok(())
}

fn domain(text: &str) -> Result<(), Refusal> {
    if text == "*" {
        return Ok(());
    }
    if let Some(parent) = text.strip_prefix("*.") {
        let refusal =
            whole(text, format!("`{text}` is not a domain"), format!("`{parent}` is itself and every name below it"));
        return Err(Refusal { instead: Some(parent.to_owned()), ..refusal });
    }
    match text.strip_suffix('.').unwrap_or(text).parse::<Hostname>() {
        Ok(_) => Ok(()),
        Err(reason) => {
            Err(whole(text, format!("`{text}` is not a domain: {reason}"), "write it as `example.io`; `*` is any name"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The marked bytes of a refused text, or what stands instead; `ok`.
    fn checked(form: Form, text: &str) -> String {
        match form.check(text) {
            Ok(()) => "ok".to_owned(),
            Err(Refusal { range, instead: None, .. }) => format!("refused: {}", &text[range]),
            Err(Refusal { range, instead: Some(instead), .. }) => format!("refused: {} -> {instead}", &text[range]),
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_as_they_are_sent() {
        for good in [
            "https://api.cdn.example",
            "http://10.0.0.1:8080",
            "https://[2001:db8::1]:8443",
            "https://[2001:db8::1]",
            "http://localhost:80",
            "https://xn--mller-kva.example",
        ] {
            let wanted = if good == "http://localhost:80" { "refused: :80 -> http://localhost" } else { "ok" };
            assert_eq!(checked(Form::Origin, good), wanted, "{good}");
        }
        for (text, wanted) in [
            ("api.cdn.example", "refused: api.cdn.example"),
            ("", "refused: "),
            ("ftp://a.example", "refused: ftp"),
            ("://a.example", "refused: "),
            ("HTTPS://a.example", "refused: HTTPS://a.example -> https://a.example"),
            ("https://A.example/V1", "refused: https://A.example -> https://a.example/V1"),
            ("https://a.example/", "refused: / -> https://a.example"),
            ("https://a.example/v1", "refused: /v1"),
            ("https://a.example?x=1", "refused: ?x=1"),
            ("https://a.example#x", "refused: #x"),
            ("https://a.example\\b", "refused: \\b"),
            ("https://me:pw@a.example", "refused: me:pw@"),
            ("https://a.example@evil.example", "refused: a.example@"),
            ("https://", "refused: "),
            ("https://:8443", "refused: "),
            ("https://*.a.example", "refused: *.a.example"),
            ("https://a_b.example", "refused: a_b.example"),
            ("https://a.example.", "refused: a.example."),
            ("https://a b", "refused: a b"),
            ("https://müller.example", "refused: müller.example"),
            ("https://a.example:", "refused: :"),
            ("https://a.example:0", "refused: :0"),
            ("https://a.example:70000", "refused: :70000"),
            ("https://a.example:+1", "refused: :+1"),
            ("https://a.example:0443", "refused: :0443"),
            ("https://a.example:443", "refused: :443 -> https://a.example"),
            ("https://127.1", "refused: 127.1"),
            ("https://0x7f000001", "refused: 0x7f000001"),
            ("https://010.0.0.1", "refused: 010.0.0.1"),
            ("https://[::0001]", "refused: [::0001]"),
            ("https://[::1", "refused: ["),
        ] {
            assert_eq!(checked(Form::Origin, text), wanted, "{text}");
        }
    }

    #[test]
    fn paths_domains_and_names_are_held_to_what_the_host_compares() {
        for (form, text, wanted) in [
            (Form::Path, "/", "ok"),
            (Form::Path, "/v1/zones/*", "ok"),
            (Form::Path, "/*", "ok"),
            (Form::Path, "/a%20b", "ok"),
            (Form::Path, "v1", "refused: v1"),
            (Form::Path, "*", "refused: *"),
            (Form::Path, "/v1/*/x", "refused: *"),
            (Form::Path, "/v1/**", "refused: *"),
            (Form::Path, "/v1?x=1", "refused: ?x=1"),
            (Form::Path, "/a b", "refused:  "),
            (Form::Path, "/ä", "refused: ä"),
            (Form::Path, "/a/../b", "refused: /a/../b"),
            (Form::Domain, "example.io", "ok"),
            (Form::Domain, "example.io.", "ok"),
            (Form::Domain, "*", "ok"),
            (Form::Domain, "*.example.io", "refused: *.example.io -> example.io"),
            (Form::Domain, "a..b", "refused: a..b"),
            (Form::Domain, "", "refused: "),
            (Form::Namespace, "kcp", "ok"),
            (Form::Namespace, "*", "refused: *"),
            (Form::Namespace, "Kcp", "refused: Kcp"),
            (Form::ObjectName, "system:auth", "ok"),
            (Form::ObjectName, "lb-*", "refused: lb-*"),
            (Form::ObjectName, "", "refused: "),
        ] {
            assert_eq!(checked(form, text), wanted, "{form:?} {text}");
        }
    }
}
