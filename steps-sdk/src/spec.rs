//! What a kind says of itself: the answer to `describe`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::grant::Ask;
use crate::schema::{ObjectShape, Schema, SchemaError, Shape};
use crate::value::{NotValid, Value};

/// The name of a kind: `family.verb`, for instance `k8s.apply`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepKind(String);

impl StepKind {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn family(&self) -> &str {
        self.0.split('.').next().unwrap_or_default()
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StepKind {
    type Err = NotValid;
    fn from_str(text: &str) -> Result<Self, NotValid> {
        let is_word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
        };
        match text.split_once('.') {
            Some((family, verb)) if is_word(family) && is_word(verb) => Ok(StepKind(text.to_owned())),
            _ => Err(NotValid { reason: "write it as `family.verb`".into() }),
        }
    }
}

/// What may happen when a step is run again after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Touches nothing outside.
    Pure,
    /// Any number of runs lead to the same world.
    Converge,
    /// Must not happen twice: after a crash `verify` decides, or a person.
    Once,
}

/// The effect class of a kind: fixed, or read from one of its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EffectOf {
    Fixed(Effect),
    /// By the value of a top-level input; a value that is not listed, and an absent one, is [`Effect::Once`].
    FromInput {
        input: String,
        effects: Vec<(String, Effect)>,
    },
}

impl EffectOf {
    /// The class for these inputs.
    pub fn for_inputs(&self, inputs: &Value) -> Effect {
        match self {
            EffectOf::Fixed(effect) => *effect,
            EffectOf::FromInput { input, effects } => {
                let chosen = inputs.get(input).and_then(Value::as_str);
                effects
                    .iter()
                    .find(|(value, _)| Some(value.as_str()) == chosen)
                    .map_or(Effect::Once, |(_, effect)| *effect)
            }
        }
    }
}

/// What `undo` does when the file does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UndoDefault {
    Keep,
    Delete,
    Restore,
    Ask,
}

/// How long one attempt may take when the file does not say, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeLimit {
    /// An action: bounded by `timeout`; a `wait` after it has its own clock.
    Action { timeout_ms: u64 },
    /// The action is a wait: bounded by `wait for=`, and `timeout` is refused.
    Wait { for_ms: u64 },
}

/// Whether a step of this kind says `on=CLUSTER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnCluster {
    /// It works on one cluster, and that is how it is named.
    Required,
    /// It works without, and uses one if it is named.
    Optional,
    /// It names its clusters in its inputs, or touches none.
    Refused,
}

/// Everything the engine knows about a kind.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSpec {
    pub kind: StepKind,
    /// Raised when inputs, outputs or meaning change.
    pub version: u32,
    /// A run that was started with this version or a newer one can be resumed by this kind.
    pub accepts_from: u32,
    /// Markdown: the first line says what it does.
    pub doc: String,
    /// Always an object or a map.
    pub inputs: Schema,
    pub outputs: Outputs,
    /// Fields of the `wait` child that are this kind's own, beside `for`; `None`: the kind does not wait.
    pub wait: Option<ObjectShape>,
    pub effect: EffectOf,
    pub undo: UndoDefault,
    pub time_limit: TimeLimit,
    pub on: OnCluster,
    /// What a WASM kind needs from the host.
    pub asks: Vec<Ask>,
    /// The schemas as they were handed over; what digests are made of.
    pub source: SpecSource,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Outputs {
    Fields(Schema),
    /// Every input is an output of the same name (`value.set`).
    SameAsInputs,
}

/// The JSON that a spec was made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecSource {
    pub inputs: Value,
    pub outputs: Value,
}

/// What [`StepSpec::new`] takes beside the schemas.
#[derive(Debug, Clone, PartialEq)]
pub struct About {
    pub kind: StepKind,
    pub version: u32,
    pub accepts_from: u32,
    pub doc: Cow<'static, str>,
    pub effect: EffectOf,
    pub undo: UndoDefault,
    pub time_limit: TimeLimit,
    pub on: OnCluster,
    /// What it needs from the host; a native kind asks for nothing.
    pub asks: Vec<Ask>,
}

impl About {
    /// A first version that converges, keeps what it made, has five minutes, and may or may not be given a cluster.
    ///
    /// # Panics
    /// When `kind` is not `family.verb`: it is a literal in the kind's own file.
    pub fn converging(kind: &str, doc: &'static str) -> About {
        About {
            kind: kind.parse().expect("a built-in kind is named family.verb"),
            version: 1,
            accepts_from: 1,
            doc: Cow::Borrowed(doc),
            effect: EffectOf::Fixed(Effect::Converge),
            undo: UndoDefault::Keep,
            time_limit: TimeLimit::Action { timeout_ms: 5 * 60_000 },
            on: OnCluster::Optional,
            asks: Vec::new(),
        }
    }
}

/// Children that the language itself gives a meaning to in every step; `wait` may be extended by a kind, the others may not be inputs.
pub const SHARED_CHILDREN: [&str; 8] = ["needs", "wait", "verify", "retry", "timeout", "undo", "doc", "tags"];

impl StepSpec {
    /// Checks a kind's schemas against the closed subset. An input called `wait` is taken as the kind's part of the shared child `wait`.
    pub fn new(about: About, source: SpecSource) -> Result<StepSpec, SchemaError> {
        let mut inputs = Schema::parse(&source.inputs)?;
        let refuse = |reason: String| SchemaError { pointer: "#".into(), reason };
        let mut wait = None;
        match &mut inputs.shape {
            Shape::Object(object) => {
                if let Some(position) = object.fields.iter().position(|field| field.name == "wait") {
                    match object.fields.remove(position).schema.shape {
                        Shape::Object(fields) => wait = Some(fields),
                        other => return Err(refuse(format!("`wait` is an object, not {other:?}"))),
                    }
                }
                if let Some(odd) = object.fields.iter().find(|field| SHARED_CHILDREN.contains(&field.name.as_str())) {
                    return Err(refuse(format!(
                        "an input may not be called `{}`: every step has that child",
                        odd.name
                    )));
                }
            }
            Shape::Map(_) => {}
            other => return Err(refuse(format!("inputs are an object, not {other:?}"))),
        }
        let outputs = match source.outputs.get("x-same-as-inputs") {
            Some(Value::Bool(true)) => Outputs::SameAsInputs,
            _ => Outputs::Fields(Schema::parse(&source.outputs)?),
        };
        let About { kind, version, accepts_from, doc, effect, undo, time_limit, on, asks } = about;
        Ok(StepSpec {
            kind,
            version,
            accepts_from,
            doc: doc.into_owned(),
            inputs,
            outputs,
            wait,
            effect,
            undo,
            time_limit,
            on,
            asks,
            source,
        })
    }

    /// What a digest of this spec covers: everything that decides what a step of this kind means.
    pub fn canonical(&self) -> Value {
        serde_json::json!({
            "kind": self.kind, "version": self.version, "inputs": self.source.inputs, "outputs": self.source.outputs,
            "effect": self.effect, "undo": self.undo, "time-limit": self.time_limit, "on": self.on,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(inputs: Value) -> Result<StepSpec, SchemaError> {
        StepSpec::new(
            About::converging("x.y", "Does x."),
            SpecSource { inputs, outputs: json!({ "type": "object", "properties": {} }) },
        )
    }

    #[test]
    fn wait_is_taken_out_of_the_inputs_and_other_shared_names_are_refused() {
        let waits = spec(json!({ "type": "object", "properties": {
            "name": { "type": "string" },
            "wait": { "type": "object", "properties": { "ready": { "type": "boolean" } } } } }))
        .unwrap();
        assert!(waits.wait.unwrap().field("ready").is_some());
        let Shape::Object(inputs) = waits.inputs.shape else { panic!("an object") };
        assert!(inputs.field("wait").is_none() && inputs.field("name").is_some());
        assert!(
            spec(json!({ "type": "object", "properties": { "needs": { "type": "string" } } }))
                .unwrap_err()
                .reason
                .contains("`needs`")
        );
        assert!(spec(json!({ "type": "string" })).is_err());
    }

    #[test]
    fn an_effect_that_no_input_settles_is_once() {
        let effect = EffectOf::FromInput { input: "effect".into(), effects: vec![("pure".into(), Effect::Pure)] };
        assert_eq!(effect.for_inputs(&json!({ "effect": "pure" })), Effect::Pure);
        assert_eq!(effect.for_inputs(&json!({ "effect": "other" })), Effect::Once);
        assert_eq!(effect.for_inputs(&json!({})), Effect::Once);
    }
}
