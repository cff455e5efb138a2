//! What can be waited for, and whether one look at the object shows it. The waiting itself is in `wait.rs`.

use serde_json::Value;
use steps_sdk::StepError;
use steps_sdk::value::Predicate;

use super::Cluster;
use super::readiness::{self, State};
use super::reference::ObjectRef;

/// What is waited for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Goal {
    Exists,
    Absent,
    /// By the table of `readiness.rs`.
    Ready,
    /// A condition of the object has this status.
    Condition {
        kind: String,
        is: String,
    },
    /// An expression of the file holds.
    Until(Predicate),
    /// It has a load balancer's address.
    Address,
    /// These keys are among its data.
    Keys(Vec<String>),
    /// It shall have replicas at all: none is as ready as it gets, and means that nothing runs.
    Replicas,
}

/// Judges one look at the object: the first goal that does not hold, or none.
pub(crate) fn state(
    cluster: &Cluster<'_>,
    reference: &ObjectRef,
    goals: &[Goal],
    object: Option<&Value>,
) -> Result<State, StepError> {
    for goal in goals {
        match state_of(cluster, reference, goal, object)? {
            State::Reached => {}
            other => return Ok(other),
        }
    }
    Ok(State::Reached)
}

fn state_of(
    cluster: &Cluster<'_>,
    reference: &ObjectRef,
    goal: &Goal,
    object: Option<&Value>,
) -> Result<State, StepError> {
    let Some(object) = object else {
        return Ok(match goal {
            Goal::Absent => State::Reached,
            _ => State::NotYet(format!("not there yet on cluster {}", cluster.name)),
        });
    };
    let found = match goal {
        Goal::Exists => State::Reached,
        Goal::Absent => return Ok(State::NotYet(leaving(object))),
        Goal::Address => readiness::has_address(object),
        Goal::Keys(keys) => has_keys(object, keys),
        Goal::Replicas => readiness::has_replicas(object),
        Goal::Ready => return Ok(readiness::ready(reference, object)),
        Goal::Condition { .. } | Goal::Until(_) if let Some(reason) = readiness::stale(object) => {
            return Ok(State::NotYet(reason));
        }
        Goal::Condition { kind, is } => readiness::condition(object, kind, is),
        Goal::Until(predicate) => match cluster.cx.eval(predicate, object)? {
            true => State::Reached,
            false => State::NotYet(format!(
                "`{}` does not hold yet{}",
                predicate.0,
                readiness::conditions_in_words(object).map(|words| format!("; {words}")).unwrap_or_default()
            )),
        },
    };
    Ok(match found {
        State::NotYet(reason) => {
            readiness::final_failure(reference, object).map_or(State::NotYet(reason), State::Failed)
        }
        other => other,
    })
}

/// Why the goals do not hold now; `None` if they do. One look, without waiting.
pub(crate) async fn unmet(
    cluster: &Cluster<'_>,
    reference: &ObjectRef,
    goals: &[Goal],
) -> Result<Option<String>, StepError> {
    let live = match cluster.served(reference).await? {
        Some(_) => {
            let served = cluster.must_be_served(reference).await?;
            cluster.live(reference, &served).await?
        }
        None => None,
    };
    Ok(match state(cluster, reference, goals, live.as_ref())? {
        State::Reached => None,
        State::NotYet(reason) | State::Failed(reason) => Some(reason),
    })
}

fn leaving(object: &Value) -> String {
    let finalizers = object.pointer("/metadata/finalizers").and_then(Value::as_array).filter(|all| !all.is_empty());
    let is_leaving = object.pointer("/metadata/deletionTimestamp").is_some();
    match (is_leaving, finalizers) {
        (false, _) => "still there, and nobody has deleted it".into(),
        (true, None) => "it is being deleted".into(),
        (true, Some(all)) => {
            let names: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            format!("it is being deleted and waits for {}", names.join(", "))
        }
    }
}

fn has_keys(object: &Value, keys: &[String]) -> State {
    let has = |key: &String| {
        ["data", "binaryData"].iter().any(|field| object.get(*field).is_some_and(|data| data.get(key).is_some()))
    };
    let absent: Vec<&str> = keys.iter().filter(|key| !has(key)).map(String::as_str).collect();
    match absent.is_empty() {
        true => State::Reached,
        false => State::NotYet(format!("it has no key {} yet", absent.join(", "))),
    }
}

/// Readable after "did not".
pub(crate) fn in_words(goals: &[Goal]) -> String {
    goals.iter().map(one_in_words).collect::<Vec<_>>().join(" and ")
}

fn one_in_words(goal: &Goal) -> String {
    match goal {
        Goal::Exists => "appear".into(),
        Goal::Absent => "disappear".into(),
        Goal::Ready => "become ready".into(),
        Goal::Condition { kind, is } if is == "True" => format!("become {kind}"),
        Goal::Condition { kind, is } => format!("get to {kind}={is}"),
        Goal::Until(predicate) => format!("come to `{}`", predicate.0),
        Goal::Address => "get an address".into(),
        Goal::Replicas => "get replicas".into(),
        Goal::Keys(keys) => format!("get the keys {}", keys.join(", ")),
    }
}
