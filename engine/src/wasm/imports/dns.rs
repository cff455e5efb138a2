//! `dns`: questions about names, within the grants of the file.

use std::time::Duration;

use steps_sdk::host::DnsError;

use super::ungranted;
use crate::wasm::bindings::dns::{Answer, Error, Host};
use crate::wasm::guest::{Called, Guest};
use crate::wasm::limits::LINE_BYTES_MAX;
use crate::wasm::words;

/// Longer than any server that answers takes, shorter than a step's patience.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A name in presentation form (RFC 1035 §2.3.4).
const NAME_BYTES_MAX: usize = 254;

impl Host for Guest {
    async fn query(
        &mut self,
        name: String,
        record_type: String,
        authoritative: bool,
    ) -> wasmtime::Result<Result<Vec<Answer>, Error>> {
        self.count_host_call()?;
        let step = self.step("dns.query")?;
        if step.bound.grants.dns.is_empty() {
            let asked = format!("{} {}", words::line(&record_type, 20), words::line(&name, NAME_BYTES_MAX));
            let line = format!("dns \"{}\"", words::line(&name, NAME_BYTES_MAX));
            return Err(ungranted("W203", &asked, "dns", &line));
        }
        Ok(query(step, &name, &record_type, authoritative).await)
    }
}

async fn query(step: &Called, name: &str, record_type: &str, authoritative: bool) -> Result<Vec<Answer>, Error> {
    let name = question(name, record_type)?;
    let grants = &step.bound.grants;
    let Some(grant) = grants.dns(&name) else {
        let granted: Vec<String> = grants.dns.iter().map(ToString::to_string).collect();
        return Err(Error::NotGranted(format!(
            "questions about {name} are not granted; the file grants {}",
            granted.join("; ")
        )));
    };
    step.bound.used.count(grant);
    let timeout = step.cx.clock.remaining().min(TIMEOUT);
    let record_type = record_type.to_ascii_uppercase();
    let answers = step.bound.host.dns.query(&name, &record_type, authoritative, timeout).await.map_err(failure)?;
    Ok(answers
        .into_iter()
        .map(|answer| Answer {
            name: answer.name,
            record_type: answer.record_type,
            ttl: answer.ttl,
            value: answer.value,
        })
        .collect())
}

/// The name in lower case, if it is one.
fn question(name: &str, record_type: &str) -> Result<String, Error> {
    let is_name = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.strip_suffix('.').unwrap_or(name).split('.').all(is_label);
    if !is_name {
        return Err(Error::Other(format!("`{}` is not a name", words::line(name, NAME_BYTES_MAX))));
    }
    if record_type.is_empty() || record_type.len() > 10 || !record_type.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err(Error::Other(format!("`{}` is not a record type", words::line(record_type, 20))));
    }
    Ok(name.to_ascii_lowercase())
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' || byte == b'*';
    (1..=63).contains(&label.len()) && label.bytes().all(allowed)
}

fn failure(error: DnsError) -> Error {
    match error {
        DnsError::NoSuchName => Error::NoSuchName,
        DnsError::ServerFailure => Error::ServerFailure,
        DnsError::Timeout => Error::Timeout,
        DnsError::Other(words) => Error::Other(words::line(&words, LINE_BYTES_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_types_are_asked_about() {
        assert_eq!(question("A.Example.IO.", "txt").unwrap(), "a.example.io.");
        assert_eq!(question("_acme-challenge.example.io", "TXT").unwrap(), "_acme-challenge.example.io");
        for (name, record_type) in
            [("", "A"), (".", "A"), ("a..b", "A"), ("a b", "A"), ("a\nb", "A"), ("a/b", "A"), ("a", ""), ("a", "A A")]
        {
            assert!(question(name, record_type).is_err(), "{name:?} {record_type:?}");
        }
        assert!(question(&"a".repeat(64), "A").is_err());
    }
}
