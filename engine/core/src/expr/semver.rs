//! Versions that can be compared: what `semver()` gives (semver.org §11).

use std::cmp::Ordering;
use std::fmt;

use super::val::Val;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    text: String,
    numbers: [u64; 3],
    /// Between `-` and `+`; empty: a release.
    pre: Vec<String>,
}

impl Version {
    /// The error reads after "`…` is not a version: ".
    pub fn parse(text: &str) -> Result<Version, String> {
        // A leading `v` is how tags are written; what is meant is the same.
        let plain = text.strip_prefix('v').unwrap_or(text);
        plain.parse::<steps_sdk::value::Semver>().map_err(|error| error.to_string())?;
        let without_build = plain.split('+').next().unwrap_or_default();
        let (core, pre) = match without_build.split_once('-') {
            Some((core, pre)) => (core, pre.split('.').map(str::to_owned).collect()),
            None => (without_build, Vec::new()),
        };
        let mut numbers = [0; 3];
        for (number, digits) in numbers.iter_mut().zip(core.split('.')) {
            *number = digits.parse().map_err(|_| format!("`{digits}` is out of range"))?;
        }
        Ok(Version { text: plain.to_owned(), numbers, pre })
    }

    pub fn field<'a>(&self, name: &str) -> Option<Val<'a>> {
        let number = |index: usize| i64::try_from(self.numbers[index]).ok().map(Val::Int);
        match name {
            "major" => number(0),
            "minor" => number(1),
            "patch" => number(2),
            "pre" => Some(Val::text(self.pre.join("."))),
            _ => None,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_pre = || match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            // A release comes after its previews.
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self
                .pre
                .iter()
                .map(String::as_str)
                .map(Part::of)
                .cmp(other.pre.iter().map(String::as_str).map(Part::of)),
        };
        // The text last, only so that what compares equal is equal: it differs in the build alone.
        self.numbers.cmp(&other.numbers).then_with(by_pre).then_with(|| self.text.cmp(&other.text))
    }
}

/// Numbers come before words.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Number(u64),
    Word(&'a str),
}

impl Part<'_> {
    fn of(text: &str) -> Part<'_> {
        text.parse().map_or(Part::Word(text), Part::Number)
    }
}
