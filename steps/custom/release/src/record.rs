//! `record`: a ConfigMap that says which version of an app a cluster runs, for people and for whatever else wants to know:
//! `kubectl get configmaps -A -l app.kubernetes.io/component=release -o custom-columns=APP:.data.app,VERSION:.data.version`.
//!
//! What is there is read first, and written only when it differs: a second run writes nothing. The fields belong to the step, so
//! that a record of somebody else is a conflict that the API server reports, never overwritten.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use steps_sdk::grant::{Ask, KubernetesVerb, Permission};
use steps_sdk::guest::kubernetes::{self, Target};
use steps_sdk::guest::{About, Call, Done, GuestStep};
use steps_sdk::outcome::FieldChange;
use steps_sdk::spec::OnCluster;
use steps_sdk::value::DnsLabel;
use steps_sdk::{Certainty, Change, ChangeAction, Preview, StepError, UndoDefault, Value, Verdict};

/// One app on one cluster.
pub struct Record;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-kdl-args" = ["app", "version"]))]
pub struct Inputs {
    /// The app; its record is the ConfigMap `release-APP`.
    app: DnsLabel,
    /// The version that runs now.
    version: String,
    /// Where the record lies.
    namespace: DnsLabel,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// The record, as `ConfigMap/release-web`.
    object: String,
    /// The version that it names.
    version: String,
}

impl GuestStep for Record {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about() -> About {
        let doc = "Writes down which version of an app a cluster runs.\n\n\
            The record is a ConfigMap `release-APP` with the label `app.kubernetes.io/component=release`. `undo` deletes it, unless it names another version by then.";
        let verbs = vec![KubernetesVerb::Get, KubernetesVerb::Apply, KubernetesVerb::Delete];
        let what = Permission::Kubernetes { verbs, kinds: vec!["ConfigMap".into()] };
        About {
            undo: UndoDefault::Delete,
            on: OnCluster::Required,
            asks: vec![Ask { what, why: "to read, write and take back the record of the app".into() }],
            ..About::converging("record", doc)
        }
    }

    fn preview(call: &Call, inputs: Inputs) -> Result<Preview, StepError> {
        let there = kubernetes::get(&target(call, &inputs)?)?;
        if !there.as_ref().is_some_and(|there| is_like(there, &inputs)) {
            // In a preview this is a dry run: what the server would refuse is known before anything is done.
            kubernetes::apply(call.on()?, &object(&inputs))?;
        }
        Ok(Preview::Changes(vec![change(&inputs, there.as_ref())]))
    }

    fn run(call: &Call, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let there = kubernetes::get(&target(call, &inputs)?)?;
        let outputs = Outputs { object: label(&inputs), version: inputs.version.clone() };
        if there.as_ref().is_some_and(|there| is_like(there, &inputs)) {
            return Ok(Done::same(outputs, format!("{} is on record already", told(&inputs))));
        }
        kubernetes::apply(call.on()?, &object(&inputs))?;
        let before = match there.as_ref().and_then(version) {
            Some(before) => format!(", {before} before"),
            None => String::new(),
        };
        Ok(Done::changed(outputs, format!("{} is on record{before}", told(&inputs))))
    }

    fn verify(call: &Call, inputs: Inputs, _outputs: Option<Outputs>) -> Result<Verdict, StepError> {
        Ok(match kubernetes::get(&target(call, &inputs)?)? {
            None => Verdict::Gone(format!("{} is not there", label(&inputs))),
            Some(there) if is_like(&there, &inputs) => Verdict::Intact,
            Some(there) => Verdict::Drifted(vec![change(&inputs, Some(&there))]),
        })
    }

    fn undo(call: &Call, inputs: Inputs, _outputs: Option<Outputs>) -> Result<String, StepError> {
        let (target, label) = (target(call, &inputs)?, label(&inputs));
        let Some(there) = kubernetes::get(&target)? else { return Ok(format!("{label} was gone already")) };
        if version(&there) != Some(&inputs.version) {
            return Ok(format!("{label} stays: it names {} by now", version(&there).unwrap_or("no version")));
        }
        // Only the object that was just read: what somebody puts in its place meanwhile stays.
        let uid = there.pointer("/metadata/uid").and_then(Value::as_str);
        kubernetes::delete(&target, uid)?;
        Ok(format!("{label} deleted"))
    }
}

fn target(call: &Call, inputs: &Inputs) -> Result<Target, StepError> {
    Ok(Target {
        cluster: call.on()?.to_owned(),
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        namespace: Some(inputs.namespace.to_string()),
        name: name(inputs),
    })
}

fn name(inputs: &Inputs) -> String {
    format!("release-{}", inputs.app)
}

fn label(inputs: &Inputs) -> String {
    format!("ConfigMap/{}", name(inputs))
}

fn told(inputs: &Inputs) -> String {
    format!("{} {}", inputs.app, inputs.version)
}

fn object(inputs: &Inputs) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name(inputs),
            "namespace": inputs.namespace.to_string(),
            "labels": { "app.kubernetes.io/component": "release", "app.kubernetes.io/name": inputs.app.to_string() },
        },
        "data": { "app": inputs.app.to_string(), "version": inputs.version },
    })
}

fn version(there: &Value) -> Option<&str> {
    there.pointer("/data/version").and_then(Value::as_str)
}

/// Labels and data are as they are wanted; what others added is theirs.
fn is_like(there: &Value, inputs: &Inputs) -> bool {
    let wanted = object(inputs);
    ["/metadata/labels", "/data"].into_iter().all(|part| {
        let fields = wanted.pointer(part).and_then(Value::as_object).into_iter().flatten();
        fields.into_iter().all(|(name, value)| there.pointer(part).and_then(|there| there.get(name)) == Some(value))
    })
}

fn change(inputs: &Inputs, there: Option<&Value>) -> Change {
    let action = match there {
        None => ChangeAction::Create,
        Some(there) if is_like(there, inputs) => ChangeAction::Same,
        Some(_) => ChangeAction::Update,
    };
    let before = there.and_then(version);
    let is_other = action == ChangeAction::Update && before != Some(&inputs.version);
    let field = is_other.then(|| FieldChange {
        path: "data.version".into(),
        before: before.map(Value::from),
        after: Some(inputs.version.clone().into()),
    });
    Change {
        object: label(inputs),
        action,
        certainty: Certainty::Server,
        fields: field.into_iter().collect(),
        conflict: None,
        waits_for: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call;

    fn inputs(version: &str) -> Inputs {
        serde_json::from_value(json!({ "app": "web", "version": version, "namespace": "shop" })).expect("inputs")
    }

    #[test]
    fn a_record_is_like_what_is_wanted_whatever_others_added() {
        let mut there = object(&inputs("1.4.0"));
        there["metadata"]["labels"]["team"] = "shop".into();
        there["data"]["notes"] = "https://shop.example/1.4.0".into();
        assert!(is_like(&there, &inputs("1.4.0")) && !is_like(&there, &inputs("1.5.0")));
        there["metadata"]["labels"]["app.kubernetes.io/component"] = "web".into();
        assert!(!is_like(&there, &inputs("1.4.0")));
    }

    #[test]
    fn a_preview_tells_the_version_that_was() {
        let there = object(&inputs("1.4.0"));
        assert_eq!(change(&inputs("1.4.0"), None).action, ChangeAction::Create);
        assert_eq!(change(&inputs("1.4.0"), Some(&there)).action, ChangeAction::Same);
        let update = change(&inputs("1.5.0"), Some(&there));
        assert_eq!((update.action, update.object.as_str()), (ChangeAction::Update, "ConfigMap/release-web"));
        assert_eq!((&update.fields[0].before, &update.fields[0].after), (&Some("1.4.0".into()), &Some("1.5.0".into())));
    }

    #[test]
    fn the_record_lies_on_the_cluster_of_the_step() {
        let target = target(&call(), &inputs("1")).expect("a cluster");
        assert_eq!((target.cluster.as_str(), target.name.as_str()), ("eu", "release-web"));
        let nowhere = Call { on: None, ..call() };
        assert!(super::target(&nowhere, &inputs("1")).is_err());
    }
}
