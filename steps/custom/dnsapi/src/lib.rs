//! `record`: one set of records of a zone at a DNS provider with an HTTP API.
//!
//! The set has an owner, which the provider keeps in its field `comment`: the step's owner key. A set of somebody else is never
//! changed. The step reads what is there and writes only what differs, so that a second run writes nothing; a run that was
//! killed after its request finds the set and goes on.
//!
//! The API, as `provider.rs` speaks it, is the smallest that providers have in common; a provider that differs is a copy of
//! this crate with that one file changed.

mod provider;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use steps_sdk::grant::{Ask, Permission};
use steps_sdk::guest::{About, Call, Done, GuestStep};
use steps_sdk::outcome::FieldChange;
use steps_sdk::value::{Hostname, Span, Url};
use steps_sdk::{Certainty, Change, ChangeAction, Preview, StepError, UndoDefault, Verdict};

use provider::{Provider, RecordSet, Wrote};

/// One set of records.
pub struct Record;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// Where the provider's API is, as `https://api.provider.example/v1`.
    endpoint: Url,
    /// The zone, by its name.
    zone: Hostname,
    /// The name that gets the records.
    name: Hostname,
    /// Their type.
    r#type: RecordType,
    /// A value, as zone files write it: `203.0.113.7`. May repeat.
    value: Vec<String>,
    /// How long others may remember them.
    #[serde(default = "five_minutes")]
    ttl: Span,
}

fn five_minutes() -> Span {
    Span(Duration::from_secs(300))
}

/// Types of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RecordType {
    A,
    AAAA,
    CNAME,
    TXT,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The provider's own name for the set.
    id: String,
    /// The name that has the records.
    name: String,
    /// The values, sorted.
    values: Vec<String>,
}

impl GuestStep for Record {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about() -> About {
        let doc = "Ensures one set of records of a zone, at a DNS provider with an HTTP API.\n\n\
            The set is marked with the step's owner key; one of somebody else is left alone and reported. `undo` deletes what this step wrote.";
        let methods = ["GET", "POST", "PUT", "DELETE"].map(str::to_owned).to_vec();
        let what = Permission::Http { origin: None, methods, path: None };
        About {
            undo: UndoDefault::Delete,
            asks: vec![Ask { what, why: "to read and write records at the provider that `endpoint` names".into() }],
            ..About::converging("record", doc)
        }
    }

    fn preview(call: &Call, inputs: Inputs) -> Result<Preview, StepError> {
        let wanted = wanted(call, &inputs)?;
        let there = provider(&inputs).find(&wanted)?;
        Ok(Preview::Changes(vec![change(&wanted, there.as_ref())]))
    }

    fn run(call: &Call, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let wanted = wanted(call, &inputs)?;
        let provider = provider(&inputs);
        let label = label(&wanted);
        let (written, word) = match provider.find(&wanted)? {
            Some(there) if there.comment != wanted.comment => return Err(foreign(&wanted, &there)),
            Some(there) if there.is_like(&wanted) => {
                return Ok(Done::same(outputs(&wanted, there.id), format!("{label} unchanged")));
            }
            Some(there) => (provider.replace(&there.id, &wanted)?, "changed"),
            None => (provider.create(&wanted, &call.once_key)?, "created"),
        };
        match written {
            Wrote::Done(set) => Ok(Done::changed(outputs(&wanted, set.id), format!("{label} {word}"))),
            Wrote::WouldDo => Ok(Done::changed(outputs(&wanted, None), format!("{label} would be {word}"))),
        }
    }

    fn verify(call: &Call, inputs: Inputs, _outputs: Option<Outputs>) -> Result<Verdict, StepError> {
        let wanted = wanted(call, &inputs)?;
        Ok(match provider(&inputs).find(&wanted)? {
            None => Verdict::Gone(format!("{} is not there", label(&wanted))),
            Some(there) if there.comment == wanted.comment && there.is_like(&wanted) => Verdict::Intact,
            Some(there) => Verdict::Drifted(vec![change(&wanted, Some(&there))]),
        })
    }

    fn undo(call: &Call, inputs: Inputs, _outputs: Option<Outputs>) -> Result<String, StepError> {
        let wanted = wanted(call, &inputs)?;
        let provider = provider(&inputs);
        let label = label(&wanted);
        match provider.find(&wanted)? {
            None => Ok(format!("{label} was gone already")),
            Some(there) if there.comment != wanted.comment => Ok(format!("{label} stays: it belongs to somebody else")),
            Some(there) => provider.delete(&there.id).map(|()| format!("{label} deleted")),
        }
    }
}

fn provider(inputs: &Inputs) -> Provider {
    Provider::new(inputs.endpoint.as_str(), inputs.zone.as_str())
}

fn wanted(call: &Call, inputs: &Inputs) -> Result<RecordSet, StepError> {
    let (zone, name) = (inputs.zone.as_str().to_ascii_lowercase(), inputs.name.as_str().to_ascii_lowercase());
    let refuse = |message: String, help: &str| StepError::permanent("DNSAPI01", message).help(help).not_started();
    if name != zone && !name.strip_suffix(&zone).is_some_and(|rest| rest.ends_with('.')) {
        return Err(refuse(
            format!("{name} is not a name of the zone {zone}"),
            "name the zone that holds it in `zone`",
        ));
    }
    let mut values = inputs.value.clone();
    values.sort();
    values.dedup();
    if values.is_empty() || (inputs.r#type == RecordType::CNAME && values.len() > 1) {
        return Err(refuse(format!("{} values for {name}", values.len()), "write `value`; a CNAME has exactly one"));
    }
    Ok(RecordSet {
        id: None,
        name,
        r#type: inputs.r#type,
        ttl: inputs.ttl.0.as_secs(),
        values,
        comment: call.owner_key.clone(),
    })
}

fn outputs(wanted: &RecordSet, id: Option<String>) -> Outputs {
    Outputs { id: id.unwrap_or_default(), name: wanted.name.clone(), values: wanted.values.clone() }
}

fn label(set: &RecordSet) -> String {
    format!("{:?} {}", set.r#type, set.name)
}

fn change(wanted: &RecordSet, there: Option<&RecordSet>) -> Change {
    let field = |path: &str, before: serde_json::Value, after: serde_json::Value| {
        (before != after).then(|| FieldChange { path: path.into(), before: Some(before), after: Some(after) })
    };
    let fields: Vec<FieldChange> = there.map_or_else(Vec::new, |there| {
        let values = field("values", json!(there.sorted_values()), json!(wanted.values));
        let ttl = field("ttl", json!(there.ttl), json!(wanted.ttl));
        values.into_iter().chain(ttl).collect()
    });
    let action = match there {
        None => ChangeAction::Create,
        Some(_) if fields.is_empty() => ChangeAction::Same,
        Some(_) => ChangeAction::Update,
    };
    let conflict =
        there.filter(|there| there.comment != wanted.comment).map(|there| format!("it belongs to {}", there.owner()));
    Change { object: label(wanted), action, certainty: Certainty::Server, fields, conflict, waits_for: None }
}

fn foreign(wanted: &RecordSet, there: &RecordSet) -> StepError {
    StepError::needs_person("DNSAPI02", format!("{} belongs to somebody else", label(wanted)))
        .cause(format!("its comment says: {}", there.owner()))
        .help(format!("delete it, or hand it over by setting its comment to `{}`, then resume", wanted.comment))
        .not_started()
}

steps_sdk::export!(Record);

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Call {
        Call {
            step: "www".into(),
            run: "r1".into(),
            owner_key: "engine/shop/www".into(),
            once_key: "once".into(),
            attempt: 1,
            remaining: Duration::from_secs(60),
            on: None,
            clusters: Vec::new(),
        }
    }

    fn of(json: serde_json::Value) -> Result<RecordSet, StepError> {
        let mut inputs = json!({ "endpoint": "https://api.dns.example/v1", "zone": "Example.io", "type": "A" });
        for (field, value) in json.as_object().expect("fields") {
            inputs[field] = value.clone();
        }
        wanted(&call(), &serde_json::from_value(inputs).expect("inputs"))
    }

    #[test]
    fn a_set_is_what_is_written_in_one_form() {
        let set = of(json!({ "name": "WWW.example.io", "value": ["203.0.113.8", "203.0.113.7", "203.0.113.8"] }))
            .expect("a set");
        assert_eq!((set.name.as_str(), set.ttl, set.comment.as_str()), ("www.example.io", 300, "engine/shop/www"));
        assert_eq!(set.values, ["203.0.113.7", "203.0.113.8"]);
        for odd in [
            json!({ "name": "www.example.com", "value": ["203.0.113.7"] }),
            json!({ "name": "badexample.io", "value": ["203.0.113.7"] }),
            json!({ "name": "www.example.io", "value": [] }),
            json!({ "name": "www.example.io", "type": "CNAME", "value": ["a.", "b."] }),
        ] {
            let error = of(odd).expect_err("refused");
            assert!(error.code == "DNSAPI01" && error.not_started && error.help.is_some(), "{error:?}");
        }
    }

    #[test]
    fn a_preview_tells_what_differs_and_whose_it_is() {
        let wanted = of(json!({ "name": "www.example.io", "value": ["203.0.113.7"] })).expect("a set");
        assert_eq!(change(&wanted, None).action, ChangeAction::Create);
        let same = RecordSet { id: Some("7".into()), ..wanted.clone() };
        assert_eq!(change(&wanted, Some(&same)).action, ChangeAction::Same);
        let other = RecordSet { ttl: 60, values: vec!["203.0.113.9".into()], comment: String::new(), ..same };
        let seen = change(&wanted, Some(&other));
        assert_eq!((seen.action, seen.fields.len()), (ChangeAction::Update, 2));
        assert_eq!(seen.conflict.as_deref(), Some("it belongs to nobody that it names"));
    }
}
