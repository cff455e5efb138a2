//! The record sets that the inputs ask for, checked against the rules of DNS before any server is asked.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::rdata::{CNAME, MX, SRV, TXT};
use hickory_proto::rr::{Name, RData, RecordType};
use schemars::JsonSchema;
use serde::Deserialize;
use steps_sdk::StepError;
use steps_sdk::value::Hostname;

use super::classify::Trouble;

/// In seconds.
const TTL_DEFAULT: u32 = 300;

/// One record of the file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["type", "name", "value"]))]
pub struct RecordInput {
    /// The record's type; `auto` is A, AAAA or CNAME, as the value has it.
    r#type: TypeInput,
    /// The full name, inside of the zone.
    name: Hostname,
    /// An address, a host name, or text. `MX` takes `PREFERENCE HOST`, `SRV` takes `PRIORITY WEIGHT PORT HOST`.
    value: String,
    /// For how many seconds others may remember it; the same for all records of one name and type.
    #[serde(default = "ttl_default")]
    ttl: u32,
}

fn ttl_default() -> u32 {
    TTL_DEFAULT
}

/// The types of records that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TypeInput {
    #[serde(rename = "auto")]
    Auto,
    A,
    #[serde(rename = "AAAA")]
    Aaaa,
    #[serde(rename = "CNAME")]
    Cname,
    #[serde(rename = "TXT")]
    Txt,
    #[serde(rename = "MX")]
    Mx,
    #[serde(rename = "SRV")]
    Srv,
}

/// All values of one type at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    pub ttl: u32,
    pub values: Vec<RData>,
}

impl Set {
    /// The same values in whatever order; the TTL is not looked at.
    pub fn has_values_of(&self, other: &Set) -> bool {
        self.values.len() == other.values.len() && self.values.iter().all(|value| other.values.contains(value))
    }

    /// As a person reads it: `203.0.113.1, 203.0.113.2 (ttl 60)`.
    pub fn text(&self) -> String {
        let mut values: Vec<String> = self.values.iter().map(ToString::to_string).collect();
        values.sort();
        format!("{} (ttl {})", values.join(", "), self.ttl)
    }
}

pub type Sets = BTreeMap<RecordType, Set>;

/// What should be in the zone.
#[derive(Debug)]
pub struct Wanted {
    pub zone: Name,
    pub names: BTreeMap<Name, Sets>,
}

impl Wanted {
    pub fn of(zone: &Hostname, records: &[RecordInput]) -> Result<Wanted, StepError> {
        let zone = absolute(zone)?;
        let mut names: BTreeMap<Name, Sets> = BTreeMap::new();
        if records.is_empty() {
            return Err(refuse(
                format!("there is no record for the zone {}", plain(&zone)),
                "add `record TYPE NAME VALUE`",
            ));
        }
        for record in records {
            let name = absolute(&record.name)?;
            if !zone.zone_of(&name) {
                return Err(refuse(
                    format!("{} is not inside of the zone {}", record.name, plain(&zone)),
                    "write the full name, ending in the zone's",
                ));
            }
            let data = data(record)?;
            let of_type = data.record_type();
            let set = names
                .entry(name.clone())
                .or_default()
                .entry(of_type)
                .or_insert(Set { ttl: record.ttl, values: Vec::new() });
            if set.ttl != record.ttl {
                let reason = format!("the records {of_type} {} have different `ttl`", record.name);
                return Err(refuse(reason, "one name and type has one TTL (RFC 2181)"));
            }
            if !set.values.contains(&data) {
                set.values.push(data);
            }
        }
        for (name, sets) in &names {
            check_alias(&zone, name, sets)?;
        }
        Ok(Wanted { zone, names })
    }
}

/// An alias stands alone at its name, once, and never at the top of a zone.
fn check_alias(zone: &Name, name: &Name, sets: &Sets) -> Result<(), StepError> {
    let Some(alias) = sets.get(&RecordType::CNAME) else {
        return Ok(());
    };
    let help = "a CNAME stands alone at its name, and never at the top of a zone (RFC 1034); give addresses instead";
    if alias.values.len() > 1 || sets.len() > 1 {
        return Err(refuse(format!("{} has a CNAME and another record", plain(name)), help));
    }
    if name == zone {
        return Err(refuse(format!("{} is the zone itself and cannot be a CNAME", plain(name)), help));
    }
    Ok(())
}

fn data(record: &RecordInput) -> Result<RData, StepError> {
    let RecordInput { r#type, name, value, .. } = record;
    let wrong = |what: &str, help| refuse(format!("the value `{value}` of {name} is not {what}"), help);
    let address = |help| value.parse::<IpAddr>().map_err(|_| wrong("an address", help));
    let words: Vec<&str> = value.split_whitespace().collect();
    match r#type {
        TypeInput::Auto => match value.parse::<IpAddr>() {
            Ok(IpAddr::V4(v4)) => Ok(RData::A(v4.into())),
            Ok(IpAddr::V6(v6)) => Ok(RData::AAAA(v6.into())),
            Err(_) => Ok(RData::CNAME(CNAME(
                host(value)
                    .ok_or_else(|| wrong("an address or a host name", "`auto` takes what a load balancer gives"))?,
            ))),
        },
        TypeInput::A => value
            .parse::<Ipv4Addr>()
            .map(|v4| RData::A(v4.into()))
            .map_err(|_| wrong("an IPv4 address", "use AAAA for IPv6, CNAME for a host name, or auto")),
        TypeInput::Aaaa => match address("use A for IPv4, CNAME for a host name, or auto")? {
            IpAddr::V6(v6) => Ok(RData::AAAA(Ipv6Addr::into(v6))),
            IpAddr::V4(_) => Err(wrong("an IPv6 address", "use A for IPv4, or auto")),
        },
        TypeInput::Cname => Ok(RData::CNAME(CNAME(
            host(value).ok_or_else(|| wrong("a host name", "use A or AAAA for an address, or auto"))?,
        ))),
        TypeInput::Txt => Ok(RData::TXT(text(value))),
        TypeInput::Mx => match words.as_slice() {
            [preference, at] => {
                number(preference).zip(host(at)).map(|(preference, at)| RData::MX(MX::new(preference, at)))
            }
            _ => None,
        }
        .ok_or_else(|| wrong("`PREFERENCE HOST`", "for instance \"10 mail.example.io\"")),
        TypeInput::Srv => match words.as_slice() {
            [priority, weight, port, at] => match (number(priority), number(weight), number(port), host(at)) {
                (Some(priority), Some(weight), Some(port), Some(at)) => {
                    Some(RData::SRV(SRV::new(priority, weight, port, at)))
                }
                _ => None,
            },
            _ => None,
        }
        .ok_or_else(|| wrong("`PRIORITY WEIGHT PORT HOST`", "for instance \"0 5 6443 api.example.io\"")),
    }
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok()
}

/// Load balancers and zone files write host names with a final dot or without.
fn host(text: &str) -> Option<Name> {
    let name: Hostname = text.strip_suffix('.').unwrap_or(text).parse().ok()?;
    absolute(&name).ok()
}

/// One record of text is a list of strings of at most 255 bytes each (RFC 1035 §3.3.14).
pub fn text(value: &str) -> TXT {
    let bytes = value.as_bytes();
    let chunks: Vec<&[u8]> = if bytes.is_empty() { vec![bytes] } else { bytes.chunks(255).collect() };
    TXT::from_bytes(chunks)
}

pub fn absolute(name: &Hostname) -> Result<Name, StepError> {
    let mut name = Name::from_ascii(name.as_str()).map_err(|e| {
        refuse(
            format!("`{name}` is not a DNS name: {e}"),
            "write it in ASCII; international names in their `xn--` form",
        )
    })?;
    name.set_fqdn(true);
    Ok(name)
}

/// Without the final dot, as people write it.
pub fn plain(name: &Name) -> String {
    let text = name.to_string();
    text.strip_suffix('.').unwrap_or(&text).to_owned()
}

fn refuse(reason: String, help: &'static str) -> StepError {
    Trouble::Inputs { reason, help }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wanted(records: &[(&str, &str, &str)]) -> Result<Wanted, StepError> {
        let records: Vec<RecordInput> = records
            .iter()
            .map(|(of_type, name, value)| {
                serde_json::from_value(json!({ "type": of_type, "name": name, "value": value })).unwrap()
            })
            .collect();
        Wanted::of(&"demo.test".parse().unwrap(), &records)
    }

    #[test]
    fn auto_follows_the_value() {
        for (value, of_type) in [
            ("203.0.113.1", RecordType::A),
            ("2001:db8::1", RecordType::AAAA),
            ("lb-1.cloud.example", RecordType::CNAME),
            ("lb-1.cloud.example.", RecordType::CNAME),
        ] {
            let wanted = wanted(&[("auto", "api.demo.test", value)]).unwrap();
            let sets = wanted.names.values().next().unwrap();
            assert_eq!(sets.keys().collect::<Vec<_>>(), [&of_type], "{value}");
        }
    }

    #[test]
    fn records_of_one_name_and_type_become_one_set() {
        let wanted = wanted(&[
            ("A", "api.demo.test", "203.0.113.1"),
            ("A", "API.demo.test", "203.0.113.2"),
            ("A", "api.demo.test", "203.0.113.1"),
            ("TXT", "api.demo.test", "x"),
        ])
        .unwrap();
        assert_eq!(wanted.names.len(), 1);
        let sets = wanted.names.values().next().unwrap();
        assert_eq!(sets[&RecordType::A].text(), "203.0.113.1, 203.0.113.2 (ttl 300)");
        assert_eq!(sets.len(), 2);
    }

    #[test]
    fn long_text_is_cut_into_strings() {
        let long = "x".repeat(600);
        assert_eq!(text(&long).txt_data.iter().map(|part| part.len()).collect::<Vec<_>>(), [255, 255, 90]);
        assert_eq!(text("").txt_data.len(), 1);
    }

    #[test]
    fn what_dns_does_not_allow_is_refused_before_any_server_is_asked() {
        for (records, named) in [
            (vec![], "no record"),
            (vec![("A", "api.other.test", "203.0.113.1")], "not inside"),
            (vec![("A", "api.demo.test", "lb.example")], "IPv4"),
            (vec![("AAAA", "api.demo.test", "203.0.113.1")], "IPv6"),
            (vec![("CNAME", "api.demo.test", "a b")], "host name"),
            (vec![("auto", "api.demo.test", "a_b")], "address or a host name"),
            (vec![("MX", "api.demo.test", "mail.demo.test")], "PREFERENCE"),
            (vec![("SRV", "api.demo.test", "0 5 99999 x.test")], "PORT"),
            (vec![("CNAME", "demo.test", "a.test")], "zone itself"),
            (vec![("CNAME", "a.demo.test", "b.test"), ("A", "a.demo.test", "203.0.113.1")], "another record"),
            (vec![("CNAME", "a.demo.test", "b.test"), ("CNAME", "a.demo.test", "c.test")], "another record"),
        ] {
            let error = wanted(&records).unwrap_err();
            assert_eq!((error.code.as_str(), error.not_started), ("D301", true), "{records:?}");
            assert!(error.message.contains(named) && error.help.is_some(), "{records:?}: {error:?}");
        }
    }
}
