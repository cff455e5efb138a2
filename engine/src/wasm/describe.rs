//! What a component says of itself, as it is cached, and the specs that this makes.
//!
//! How a component is asked is in `call.rs`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use engine_core::id::Digest;
use serde::{Deserialize, Serialize};
use steps_sdk::grant::{Ask, KubernetesVerb, Permission};
use steps_sdk::spec::{About, OnCluster, SpecSource, TimeLimit};
use steps_sdk::{Effect, EffectOf, StepSpec, UndoDefault, Value};

use super::bindings::types;
use super::error::{Refusal, WasmError};
use super::limits::{Bytes, DOC_BYTES_MAX, KINDS_MAX, LINE_BYTES_MAX, SCHEMA_BYTES_MAX};
use super::words;

/// A component without its code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Of the component's bytes.
    pub digest: Digest,
    /// Of the component's bytes.
    pub size: u64,
    /// The contract that it was built against: `engine:step@0.1.0`.
    pub wit: String,
    /// Names of the interfaces that it imports, of the contract and others.
    pub imports: Vec<String>,
    pub kinds: Vec<Kind>,
}

/// One kind of a component; `steps-sdk/wit/step.wit` says what the fields mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    pub verb: String,
    pub version: u32,
    pub accepts_from: u32,
    pub doc: String,
    pub inputs: Value,
    pub outputs: Value,
    pub effect: EffectOf,
    pub undo: UndoDefault,
    pub time_limit: TimeLimit,
    pub on: OnCluster,
    pub asks: Vec<Ask>,
}

impl Description {
    /// The specs of its kinds under the family that a file chose.
    pub fn specs(&self, family: &str) -> Result<Vec<StepSpec>, WasmError> {
        self.kinds.iter().map(|kind| kind.spec(family)).collect()
    }

    /// Checks everything that does not depend on the family's name, so that a lie is found when a component is described.
    pub(super) fn check(&self) -> Result<(), WasmError> {
        if self.kinds.is_empty() {
            return Err(lie("", "#", "it provides no kind"));
        }
        if self.kinds.len() > KINDS_MAX {
            return Err(lie(
                "",
                "#",
                format!("it provides {} kinds, at most {KINDS_MAX} are allowed", self.kinds.len()),
            ));
        }
        let mut verbs = BTreeSet::new();
        for kind in &self.kinds {
            if !verbs.insert(&kind.verb) {
                return Err(lie(&kind.verb, "verb", "two of its kinds have this name"));
            }
            kind.spec("component")?;
        }
        Ok(())
    }
}

impl Kind {
    pub(super) fn read(kind: types::Kind) -> Result<Kind, WasmError> {
        let json = |field: &str, text: &str| {
            if text.len() > SCHEMA_BYTES_MAX {
                let limit = Bytes(SCHEMA_BYTES_MAX as u64);
                return Err(lie(&kind.verb, field, format!("{} bytes are more than its limit of {limit}", text.len())));
            }
            let schema = serde_json::from_str::<Value>(text)
                .map_err(|error| lie(&kind.verb, field, format!("this is not JSON: {error}")))?;
            // Its descriptions are shown to people as they are.
            match words::is_plain(text) && is_plain(&schema) {
                true => Ok(schema),
                false => Err(lie(&kind.verb, field, "it holds a control character")),
            }
        };
        let (inputs, outputs) = (json("inputs", &kind.inputs)?, json("outputs", &kind.outputs)?);
        let asks =
            kind.asks.into_iter().enumerate().map(|(i, ask)| read_ask(&kind.verb, i, ask)).collect::<Result<_, _>>()?;
        Ok(Kind {
            verb: kind.verb,
            version: kind.version,
            accepts_from: kind.accepts_from,
            doc: words::page(&kind.doc, DOC_BYTES_MAX),
            inputs,
            outputs,
            effect: read_effect(kind.effect),
            undo: match kind.undo {
                types::UndoDefault::Keep => UndoDefault::Keep,
                types::UndoDefault::Delete => UndoDefault::Delete,
                types::UndoDefault::Restore => UndoDefault::Restore,
                types::UndoDefault::Ask => UndoDefault::Ask,
            },
            time_limit: match kind.time_limit {
                types::TimeLimit::Action(timeout_ms) => TimeLimit::Action { timeout_ms },
                types::TimeLimit::Wait(for_ms) => TimeLimit::Wait { for_ms },
            },
            on: match kind.on {
                types::OnCluster::Required => OnCluster::Required,
                types::OnCluster::Optional => OnCluster::Optional,
                types::OnCluster::Refused => OnCluster::Refused,
            },
            asks,
        })
    }

    pub(super) fn spec(&self, family: &str) -> Result<StepSpec, WasmError> {
        let refuse = |pointer: &str, reason: String| lie(&self.verb, pointer, reason);
        let kind = format!("{family}.{}", self.verb).parse().map_err(|_| {
            refuse("verb", format!("`{}` is not a name of lower-case letters, digits, `-` and `_`", self.verb))
        })?;
        if self.version == 0 || self.accepts_from == 0 || self.accepts_from > self.version {
            return Err(refuse(
                "accepts-from",
                format!("{} is not between 1 and the version, {}", self.accepts_from, self.version),
            ));
        }
        if self.doc.trim().is_empty() {
            return Err(refuse("doc", "it says nothing".to_owned()));
        }
        if matches!(self.time_limit, TimeLimit::Action { timeout_ms: 0 } | TimeLimit::Wait { for_ms: 0 }) {
            return Err(refuse("time-limit", "it leaves no time".to_owned()));
        }
        let about = About {
            kind,
            version: self.version,
            accepts_from: self.accepts_from,
            doc: Cow::Owned(self.doc.clone()),
            effect: self.effect.clone(),
            undo: self.undo,
            time_limit: self.time_limit,
            on: self.on,
            asks: self.asks.clone(),
        };
        if self.outputs.get("x-same-as-inputs").is_some() {
            return Err(refuse("outputs", "`x-same-as-inputs` is not for components".to_owned()));
        }
        let source = SpecSource { inputs: self.inputs.clone(), outputs: self.outputs.clone() };
        let spec = StepSpec::new(about, source).map_err(|error| refuse(&error.pointer, error.reason))?;
        self.check_effect(&spec)?;
        Ok(spec)
    }

    /// An effect class that is read from an input which does not exist would always be `once`, which the author did not mean.
    fn check_effect(&self, spec: &StepSpec) -> Result<(), WasmError> {
        let EffectOf::FromInput { input, .. } = &self.effect else { return Ok(()) };
        let named = spec.source.inputs.pointer("/properties").and_then(|properties| properties.get(input));
        match named {
            Some(_) => Ok(()),
            None => Err(lie(&self.verb, "effect", format!("it depends on the input `{input}`, which there is not"))),
        }
    }
}

fn is_plain(value: &Value) -> bool {
    match value {
        Value::String(text) => words::is_plain(text),
        Value::Array(items) => items.iter().all(is_plain),
        Value::Object(fields) => fields.iter().all(|(name, field)| words::is_plain(name) && is_plain(field)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

fn read_effect(effect: types::EffectOf) -> EffectOf {
    let class = |effect| match effect {
        types::Effect::Pure => Effect::Pure,
        types::Effect::Converge => Effect::Converge,
        types::Effect::Once => Effect::Once,
    };
    match effect {
        types::EffectOf::Fixed(effect) => EffectOf::Fixed(class(effect)),
        types::EffectOf::FromInput(by) => EffectOf::FromInput {
            input: by.input,
            effects: by.effects.into_iter().map(|(value, effect)| (value, class(effect))).collect(),
        },
    }
}

fn read_ask(kind: &str, position: usize, ask: types::Ask) -> Result<Ask, WasmError> {
    let what = match ask.what {
        types::Permission::Http(types::HttpAsk { origin, methods, path }) => Permission::Http { origin, methods, path },
        types::Permission::Kubernetes(types::KubernetesAsk { verbs, kinds }) => Permission::Kubernetes {
            verbs: verbs
                .iter()
                .map(|word| {
                    KubernetesVerb::by_word(word).ok_or_else(|| {
                        lie(
                            kind,
                            &format!("asks/{position}"),
                            format!("`{word}` is not among get, list, watch, apply, delete"),
                        )
                    })
                })
                .collect::<Result<_, _>>()?,
            kinds,
        },
        types::Permission::Dns(types::DnsAsk { domains }) => Permission::Dns { domains },
    };
    Ok(Ask { what, why: words::line(&ask.why, LINE_BYTES_MAX) })
}

pub(super) fn lie(kind: &str, pointer: &str, reason: impl Into<String>) -> WasmError {
    Refusal::Spec { kind: kind.to_owned(), pointer: pointer.to_owned(), reason: reason.into() }.into()
}
