//! Values that pass between the engine and its steps, and the typed strings of the step language.
//!
//! What a type accepts is decided here once: the checker of the language and a step that decodes its inputs use the same
//! `FromStr`. Secret bytes do not live here; a [`Secret`] only says where they are.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What flows between steps: JSON. Maps keep the order in which they were written.
pub type Value = serde_json::Value;

/// A string that a typed string refused. The message reads after "`…` is not a hostname: ".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct NotValid {
    pub reason: String,
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, NotValid> {
    Err(NotValid { reason: reason.into() })
}

/// Where secret bytes are, never what they are. Steps open it through their context.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "kebab-case")]
pub enum Secret {
    /// An environment variable of the engine's process.
    Env { name: String },
    /// A file; its whole content, without a final line break.
    File { path: String },
    /// One key of a Kubernetes Secret.
    K8s { cluster: String, namespace: String, name: String, key: String },
    /// A value sealed in the engine's keystore, under the owner key of the step that made it.
    Sealed { owner: String, name: String },
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Secret::Env { name } => write!(f, "environment variable {name}"),
            Secret::File { path } => write!(f, "file {path}"),
            Secret::K8s { cluster, namespace, name, key } => {
                write!(f, "Secret {namespace}/{name} key {key} on cluster {cluster}")
            }
            Secret::Sealed { owner, name } => write!(f, "{name} of {owner} in the keystore"),
        }
    }
}

/// Declares a string newtype that can only be made through its `FromStr`.
macro_rules! typed_string {
    ($(#[$doc:meta])* $name:ident, $format:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|e: NotValid| serde::de::Error::custom(format!("`{text}` is not a {}: {e}", $format)))
            }
        }

        #[cfg(any(feature = "native", feature = "guest"))]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": $format })
            }
        }
    };
}

typed_string!(
    /// A DNS host name of at least one label, at most 253 characters, without a final dot (RFC 1123 §2.1).
    Hostname, "hostname"
);
typed_string!(
    /// One DNS label as Kubernetes takes it for names: `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, at most 63 characters (RFC 1123).
    DnsLabel, "dns-label"
);
typed_string!(
    /// A semantic version `MAJOR.MINOR.PATCH[-PRE][+BUILD]` (semver.org).
    Semver, "semver"
);
typed_string!(
    /// An absolute address `scheme://…` (RFC 3986 §3).
    Url, "url"
);
typed_string!(
    /// An amount as Kubernetes writes it: a number with an optional suffix such as `m`, `k`, `Gi` (apimachinery's Quantity).
    Quantity, "quantity"
);

fn check_label(label: &str, upper_allowed: bool) -> Result<(), NotValid> {
    if label.is_empty() {
        return refuse("a label is empty");
    }
    if label.len() > 63 {
        return refuse(format!("the label `{label}` has {} characters, at most 63 are allowed", label.len()));
    }
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || (upper_allowed && c.is_ascii_uppercase());
    if let Some(odd) = label.chars().find(|c| !allowed(*c)) {
        return refuse(format!("`{odd}` is not allowed in the label `{label}`"));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return refuse(format!("the label `{label}` begins or ends with a hyphen"));
    }
    Ok(())
}

impl FromStr for Hostname {
    type Err = NotValid;
    fn from_str(text: &str) -> Result<Self, NotValid> {
        if text.len() > 253 {
            return refuse(format!("it has {} characters, at most 253 are allowed", text.len()));
        }
        for (position, label) in text.split('.').enumerate() {
            // A leading wildcard label is legal in certificates and in DNS zones (RFC 4592), and nowhere else.
            if position == 0 && label == "*" && text.len() > 1 {
                continue;
            }
            check_label(label, true)?;
        }
        Ok(Hostname(text.to_owned()))
    }
}

impl FromStr for DnsLabel {
    type Err = NotValid;
    fn from_str(text: &str) -> Result<Self, NotValid> {
        check_label(text, false)?;
        Ok(DnsLabel(text.to_owned()))
    }
}

impl FromStr for Semver {
    type Err = NotValid;
    fn from_str(text: &str) -> Result<Self, NotValid> {
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let numbers: Vec<&str> = core.split('.').collect();
        let is_number =
            |n: &&str| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit()) && (n.len() == 1 || !n.starts_with('0'));
        if numbers.len() != 3 || !numbers.iter().all(is_number) {
            return refuse("write three numbers, as in `1.4.0`");
        }
        Ok(Semver(text.to_owned()))
    }
}

impl FromStr for Url {
    type Err = NotValid;
    fn from_str(text: &str) -> Result<Self, NotValid> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return refuse("it has no `scheme://`");
        };
        if scheme.is_empty() || !scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) {
            return refuse(format!("`{scheme}` is not a scheme"));
        }
        if rest.is_empty() || text.chars().any(char::is_whitespace) {
            return refuse("it names no host, or contains white space");
        }
        Ok(Url(text.to_owned()))
    }
}

impl FromStr for Quantity {
    type Err = NotValid;
    fn from_str(text: &str) -> Result<Self, NotValid> {
        const SUFFIXES: [&str; 14] = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti"];
        let digits_end =
            text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+')).unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits_end);
        if number.parse::<f64>().is_err() {
            return refuse("it does not begin with a number");
        }
        let is_exponent = |s: &str| s.strip_prefix(['e', 'E']).is_some_and(|n| n.parse::<i32>().is_ok());
        if !(SUFFIXES.contains(&suffix) || ["Pi", "Ei"].contains(&suffix) || is_exponent(suffix)) {
            return refuse(format!("`{suffix}` is not a suffix of Kubernetes quantities"));
        }
        Ok(Quantity(text.to_owned()))
    }
}

/// A length of time written `"1h30m"`, `"250ms"`, `"15m"`: whole numbers with the units `ms s m h d`, largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for Span {
    type Err = NotValid;
    fn from_str(text: &str) -> Result<Self, NotValid> {
        let mut rest = text;
        let mut total_ms: u64 = 0;
        let mut last = u64::MAX;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let Ok(amount) = rest[..digits].parse::<u64>() else {
                return refuse("write it as `5m`, `1h30m` or `250ms`");
            };
            let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |n| n + digits);
            let unit = &rest[digits..unit_end];
            let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return refuse(if unit.is_empty() {
                    "the unit is missing: `ms`, `s`, `m`, `h` or `d`".into()
                } else {
                    format!("`{unit}` is not a unit: use `ms`, `s`, `m`, `h` or `d`")
                });
            };
            if *factor >= last {
                return refuse("units go from large to small, each once");
            }
            last = *factor;
            total_ms = match amount.checked_mul(*factor).and_then(|ms| total_ms.checked_add(ms)) {
                Some(sum) => sum,
                None => return refuse("it is longer than can be counted"),
            };
            rest = &rest[unit_end..];
        }
        if text.is_empty() {
            return refuse("it is empty");
        }
        Ok(Span(Duration::from_millis(total_ms)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_millis() as u64;
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in UNITS {
            if left >= factor && (left.is_multiple_of(factor) || factor <= 86_400_000) {
                let amount = left / factor;
                if amount > 0 {
                    write!(f, "{amount}{unit}")?;
                    left %= factor;
                }
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|e: NotValid| serde::de::Error::custom(format!("`{text}` is not a duration: {e}")))
    }
}

/// The name of a cluster that the workflow declares. In a file it is written as a bare word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClusterName(pub String);

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A CEL condition over `object`, checked when the file was read; a step asks its context to evaluate it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Predicate(pub String);

/// A file that the workflow names. `load` has read it: what a step gets is the content, not the path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manifests(pub Vec<Value>);

#[cfg(any(feature = "native", feature = "guest"))]
mod schemas {
    //! Schemas of the types whose form `typed_string!` does not give.
    use super::{ClusterName, Manifests, Predicate, Secret, Span};
    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use std::borrow::Cow;

    macro_rules! schema {
        ($type:ty, $name:literal, $json:tt) => {
            impl JsonSchema for $type {
                fn schema_name() -> Cow<'static, str> {
                    $name.into()
                }
                fn inline_schema() -> bool {
                    true
                }
                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!($json)
                }
            }
        };
    }
    schema!(Span, "Duration", { "type": "string", "format": "duration" });
    schema!(ClusterName, "Cluster", { "type": "string", "x-ref": "cluster" });
    schema!(Secret, "Secret", { "type": "object", "x-ref": "secret", "x-secret": true });
    schema!(Predicate, "Predicate", { "type": "string", "x-cel": true });
    schema!(Manifests, "Manifests", { "type": "array", "items": {}, "x-kdl-file": "yaml-template" });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_alike() {
        for (text, ms) in [
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("2s", 2_000),
            ("87600h", 315_360_000_000),
            ("0s", 0),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.0.as_millis(), ms, "{text}");
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span, "{text} through {span}");
        }
        assert_eq!("90s".parse::<Span>().unwrap().to_string(), "1m30s");
        for text in ["", "5", "m", "5 m", "5x", "1m1h", "1m1m", "-1s", "99999999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn names_are_held_to_their_rfc() {
        for good in ["a", "api.zheng.example.io", "*.example.io", "Root.Example.IO", "1.example"] {
            assert!(good.parse::<Hostname>().is_ok(), "{good}");
        }
        for bad in ["", ".", "a..b", "-a.b", "a_b.c", "a.*.b", "*", "a b"] {
            assert!(bad.parse::<Hostname>().is_err(), "{bad:?}");
        }
        assert!("kcp-zheng".parse::<DnsLabel>().is_ok());
        for bad in ["Kcp", "a.b", "", "a-", &"x".repeat(64)] {
            assert!(bad.parse::<DnsLabel>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn other_formats_accept_and_refuse() {
        assert!("0.32.3-rc.1+x".parse::<Semver>().is_ok());
        assert!(
            "1.4".parse::<Semver>().is_err()
                && "v1.4.0".parse::<Semver>().is_err()
                && "01.0.0".parse::<Semver>().is_err()
        );
        assert!("https://a:1/x".parse::<Url>().is_ok());
        assert!("a.b/c".parse::<Url>().is_err() && "https://".parse::<Url>().is_err());
        for good in ["64Mi", "1", "250m", "1e3", "0.5Gi"] {
            assert!(good.parse::<Quantity>().is_ok(), "{good}");
        }
        for bad in ["Mi", "1MiB", "", "ten"] {
            assert!(bad.parse::<Quantity>().is_err(), "{bad:?}");
        }
    }
}
