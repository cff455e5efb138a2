//! The kinds that a file of cases is about: those of one component.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine_core::id::Digest;
use steps_sdk::StepSpec;

/// Kinds by their verb, under the family that they are called by.
#[derive(Debug, Clone)]
pub struct Kinds {
    pub family: String,
    /// Of the component.
    pub digest: Digest,
    specs: BTreeMap<String, Arc<StepSpec>>,
}

impl Kinds {
    pub fn new(family: &str, digest: Digest, specs: impl IntoIterator<Item = Arc<StepSpec>>) -> Kinds {
        let by_verb = |spec: Arc<StepSpec>| {
            let verb = spec.kind.as_str().rsplit('.').next().unwrap_or_default().to_owned();
            (verb, spec)
        };
        Kinds { family: family.to_owned(), digest, specs: specs.into_iter().map(by_verb).collect() }
    }

    pub fn get(&self, verb: &str) -> Option<&Arc<StepSpec>> {
        self.specs.get(verb)
    }

    pub fn verbs(&self) -> impl Iterator<Item = &str> {
        self.specs.keys().map(String::as_str)
    }

    pub fn specs(&self) -> impl Iterator<Item = &Arc<StepSpec>> {
        self.specs.values()
    }
}

/// A word that kinds can be called by, made of a file's name: `dns-check.wasm` is `dns-check`.
pub fn family_of(stem: &str) -> String {
    let word: String = stem
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
        .collect();
    if word.starts_with(|c: char| c.is_ascii_lowercase()) { word } else { format!("step-{word}") }
}
