//! Names and numbers that identify things: newtypes, so that none is mistaken for another.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use steps_sdk::Value;
use steps_sdk::value::NotValid;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_id!(
    /// A run: `[a-z0-9][a-z0-9-]*`, at most 64 characters, so that it can be a directory name and a label value.
    RunId
);
text_id!(
    /// A step's path as people write it: `ca`, `region[alpha].deploy`. The same in every run of the file.
    StepId
);
text_id!(
    /// SHA-256 in lower-case hex.
    Digest
);

impl FromStr for RunId {
    type Err = NotValid;
    fn from_str(text: &str) -> Result<Self, NotValid> {
        let allowed = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !allowed || text.is_empty() || text.len() > 64 || text.starts_with('-') {
            return Err(NotValid {
                reason: "a run's id has 1 to 64 characters of `a-z`, `0-9` and `-`, and does not begin with `-`".into(),
            });
        }
        Ok(RunId(text.to_owned()))
    }
}

impl FromStr for Digest {
    type Err = NotValid;
    fn from_str(text: &str) -> Result<Self, NotValid> {
        let is_digest = text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        match is_digest {
            true => Ok(Digest(text.to_owned())),
            false => Err(NotValid { reason: "a digest has 64 characters of `0-9` and `a-f`".into() }),
        }
    }
}

impl StepId {
    /// Only the planner makes paths; everything else takes them from a plan.
    pub fn new(path: impl Into<String>) -> Self {
        StepId(path.into())
    }
}

impl Digest {
    pub fn of_bytes(bytes: &[u8]) -> Digest {
        Digest(hex::encode(Sha256::digest(bytes)))
    }

    /// Of the meaning of a value: the order of keys does not count.
    pub fn of_value(value: &Value) -> Digest {
        let mut hasher = Sha256::new();
        hash_canonical(value, &mut hasher);
        Digest(hex::encode(hasher.finalize()))
    }

    /// The first characters, enough to tell digests apart on a screen.
    pub fn short(&self) -> &str {
        &self.0[..8.min(self.0.len())]
    }
}

/// Keys sorted at every level; scalars as JSON writes them. `serde_json`'s maps keep insertion order here, so sorting is ours.
fn hash_canonical(value: &Value, hasher: &mut Sha256) {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<(&String, &Value)> = map.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            hasher.update(b"{");
            for (key, value) in fields {
                hasher.update(serde_json::to_vec(key).expect("a text can be written as JSON"));
                hasher.update(b":");
                hash_canonical(value, hasher);
                hasher.update(b",");
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                hash_canonical(item, hasher);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        scalar => hasher.update(scalar.to_string().as_bytes()),
    }
}

/// Position of a record in a journal, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u64);

/// How often a journal has been opened for writing; it never falls within a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Milliseconds since 1970-01-01T00:00:00Z. Read at the roof and handed down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    pub fn plus_ms(self, ms: u64) -> Timestamp {
        Timestamp(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this; 0 when a clock went back.
    pub fn since(self, earlier: Timestamp) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Position of a step in its plan. Never stored: what is on disk names steps by [`StepId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepIndex(pub usize);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_digest_of_a_value_ignores_the_order_of_keys_and_nothing_else() {
        let digest = |value| Digest::of_value(&value);
        assert_eq!(digest(json!({ "a": 1, "b": [1, 2] })), digest(json!({ "b": [1, 2], "a": 1 })));
        for other in
            [json!({ "a": 1, "b": [2, 1] }), json!({ "a": "1", "b": [1, 2] }), json!({ "a": 1 }), json!([1, [2]])]
        {
            assert_ne!(digest(json!({ "a": 1, "b": [1, 2] })), digest(other));
        }
        assert_ne!(digest(json!([["a"], "b"])), digest(json!(["a", ["b"]])));
    }

    #[test]
    fn run_ids_are_directory_names() {
        assert!("zheng-7f3a".parse::<RunId>().is_ok());
        for bad in ["", "-a", "A", "a/b", "..", "a b", &"a".repeat(65)] {
            assert!(bad.parse::<RunId>().is_err(), "{bad:?}");
        }
    }
}
