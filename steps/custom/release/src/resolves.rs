//! `resolves`: waits until a name leads to these addresses and no other, at its zone's own servers. Caches of resolvers may say
//! something else for as long as they remember; what is asked here is what everybody gets when they have forgotten.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use steps_sdk::grant::{Ask, Permission};
use steps_sdk::guest::dns::Answer;
use steps_sdk::guest::{About, Call, Done, GuestStep, clock, dns, report};
use steps_sdk::outcome::FieldChange;
use steps_sdk::spec::TimeLimit;
use steps_sdk::value::{Hostname, Span};
use steps_sdk::{Certainty, Change, ChangeAction, ErrorClass, Preview, StepError, Value, Verdict};

/// Left for the answer when the time is nearly over.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One name.
pub struct Resolves;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["host"]))]
pub struct Inputs {
    /// The name.
    host: Hostname,
    /// An address that it leads to, of either family. May repeat.
    address: Vec<String>,
    /// How often the zone's servers are asked.
    #[serde(default = "two_seconds")]
    every: Span,
}

fn two_seconds() -> Span {
    Span(Duration::from_secs(2))
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The addresses, sorted.
    addresses: Vec<String>,
}

impl GuestStep for Resolves {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about() -> About {
        let doc = "Waits until a name leads to these addresses and no other.\n\n\
            The zone's own servers are asked, past every cache. An alias counts with where it ends.";
        let what = Permission::Dns { domains: Vec::new() };
        About {
            time_limit: TimeLimit::Wait { for_ms: 10 * 60_000 },
            asks: vec![Ask { what, why: "to ask where the name of the step leads to".into() }],
            ..About::pure("resolves", doc)
        }
    }

    fn preview(_call: &Call, inputs: Inputs) -> Result<Preview, StepError> {
        let wanted = wanted(&inputs)?;
        let found = found(&inputs)?;
        Ok(Preview::Changes(vec![change(&inputs, &wanted, &found)]))
    }

    fn run(call: &Call, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let wanted = wanted(&inputs)?;
        let began = clock::now_ms();
        loop {
            let reason = match found(&inputs)? {
                Found::Addresses(addresses) if addresses == wanted => {
                    let summary = format!("{} leads to {}", inputs.host, listed(&wanted));
                    return Ok(Done::same(Outputs { addresses: texts(&wanted) }, summary));
                }
                other => told(&inputs, &other),
            };
            let elapsed = Duration::from_millis(clock::now_ms().saturating_sub(began));
            if elapsed + inputs.every.0 + LAST_WORDS > call.remaining {
                let message = format!("{} did not lead to {} in time", inputs.host, listed(&wanted));
                return Err(StepError::permanent("RELEASE02", message)
                    .cause(format!("last seen: {reason}"))
                    .help("see the records of the zone; when they are right, or with a longer `wait for=…`, resume"));
            }
            report::waiting(&reason);
            clock::sleep(inputs.every.0)?;
        }
    }

    fn verify(_call: &Call, inputs: Inputs, _outputs: Option<Outputs>) -> Result<Verdict, StepError> {
        let wanted = wanted(&inputs)?;
        Ok(match found(&inputs)? {
            Found::Addresses(addresses) if addresses == wanted => Verdict::Intact,
            other => Verdict::Drifted(vec![change(&inputs, &wanted, &other)]),
        })
    }

    fn undo(_call: &Call, _inputs: Inputs, _outputs: Option<Outputs>) -> Result<String, StepError> {
        Ok("nothing outside was changed".into())
    }
}

/// What one look found.
#[derive(Debug, PartialEq)]
enum Found {
    /// None: the name is there, without addresses.
    Addresses(BTreeSet<IpAddr>),
    /// There is no such name, or nobody who knows; it may pass.
    Nothing(String),
}

fn wanted(inputs: &Inputs) -> Result<BTreeSet<IpAddr>, StepError> {
    let refuse = |message: String| {
        StepError::permanent("RELEASE01", message).help("write `address \"203.0.113.7\"`, once for each").not_started()
    };
    let read = |text: &String| text.parse().map_err(|_| refuse(format!("`{text}` is not an address")));
    let addresses = inputs.address.iter().map(read).collect::<Result<BTreeSet<IpAddr>, _>>()?;
    if addresses.is_empty() { Err(refuse(format!("no address for {}", inputs.host))) } else { Ok(addresses) }
}

fn found(inputs: &Inputs) -> Result<Found, StepError> {
    let mut addresses = BTreeSet::new();
    for of_type in ["A", "AAAA"] {
        match dns::query_authoritative(inputs.host.as_str(), of_type) {
            Ok(answers) => addresses.extend(answers.iter().filter_map(address)),
            // A name that is not there yet, a server that does not answer now.
            Err(error) if error.class == ErrorClass::Transient => return Ok(Found::Nothing(error.message)),
            Err(error) => return Err(error),
        }
    }
    Ok(Found::Addresses(addresses))
}

/// Aliases on the way are among the answers.
fn address(answer: &Answer) -> Option<IpAddr> {
    ["A", "AAAA"].contains(&answer.record_type.as_str()).then(|| answer.value.parse().ok()).flatten()
}

fn texts(addresses: &BTreeSet<IpAddr>) -> Vec<String> {
    addresses.iter().map(IpAddr::to_string).collect()
}

fn listed(addresses: &BTreeSet<IpAddr>) -> String {
    if addresses.is_empty() { "nowhere".to_owned() } else { texts(addresses).join(", ") }
}

fn told(inputs: &Inputs, found: &Found) -> String {
    match found {
        Found::Addresses(addresses) => format!("{} leads to {}", inputs.host, listed(addresses)),
        Found::Nothing(why) => format!("{}: {why}", inputs.host),
    }
}

fn change(inputs: &Inputs, wanted: &BTreeSet<IpAddr>, found: &Found) -> Change {
    let is_there = *found == Found::Addresses(wanted.clone());
    let field = (!is_there).then(|| FieldChange {
        path: "addresses".into(),
        before: Some(Value::from(told(inputs, found))),
        after: Some(Value::from(listed(wanted))),
    });
    Change {
        object: format!("name {}", inputs.host),
        action: if is_there { ChangeAction::Same } else { ChangeAction::Unknown },
        certainty: Certainty::Server,
        fields: field.into_iter().collect(),
        conflict: None,
        waits_for: (!is_there).then(|| "the zone to be changed".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn inputs(addresses: &[&str]) -> Inputs {
        serde_json::from_value(json!({ "host": "www.example.io", "address": addresses })).expect("inputs")
    }

    #[test]
    fn addresses_are_compared_and_not_their_spelling() {
        let set = wanted(&inputs(&["2001:DB8:0::7", "203.0.113.7", "203.0.113.7"])).expect("addresses");
        assert_eq!(listed(&set), "203.0.113.7, 2001:db8::7");
        for odd in [&["203.0.113"][..], &[]] {
            let error = wanted(&inputs(odd)).expect_err("refused");
            assert!(error.code == "RELEASE01" && error.not_started && error.help.is_some(), "{error:?}");
        }
    }

    #[test]
    fn only_addresses_count_among_the_answers() {
        let answer = |record_type: &str, value: &str| Answer {
            name: "www.example.io".into(),
            record_type: record_type.into(),
            ttl: 60,
            value: value.into(),
        };
        assert_eq!(address(&answer("A", "203.0.113.7")), "203.0.113.7".parse().ok());
        assert_eq!(address(&answer("CNAME", "web.example.io.")), None);
    }

    #[test]
    fn a_preview_says_where_the_name_leads_now() {
        let (inputs, set) = (inputs(&["203.0.113.7"]), wanted(&inputs(&["203.0.113.7"])).expect("addresses"));
        assert_eq!(change(&inputs, &set, &Found::Addresses(set.clone())).action, ChangeAction::Same);
        let other = change(&inputs, &set, &Found::Addresses(BTreeSet::new()));
        assert_eq!(other.fields[0].before, Some("www.example.io leads to nowhere".into()));
    }
}
