//! `check`: holds manifests against rules before anything is applied. It touches nothing and asks nothing of the host.
//!
//! Pods are looked for wherever they stand: by themselves, in the templates of Deployments, Jobs, CronJobs and the like, and in
//! kinds that nobody has heard of: every object below `spec` that has a list `containers` is a pod's spec.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use steps_sdk::guest::{About, Call, Done, GuestStep};
use steps_sdk::value::Manifests;
use steps_sdk::{Certainty, Change, ChangeAction, Preview, StepError, Verdict};

mod image;
mod pods;

/// Checks.
pub struct Check;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inputs {
    /// An object, written as Kubernetes writes it. May repeat.
    #[serde(default)]
    object: Vec<Value>,
    /// Objects from YAML files. May repeat.
    #[serde(default)]
    manifest: Vec<Manifest>,
    /// Labels that every object must have.
    #[serde(default)]
    required_labels: Vec<String>,
    /// Registries from which images may come, as `ghcr.io/acme`; without any, all.
    #[serde(default)]
    registries: Vec<String>,
    /// An image without a tag or digest, or with the tag `latest`, is no violation.
    #[serde(default)]
    allow_latest: bool,
    /// A container with all rights over its machine is no violation.
    #[serde(default)]
    allow_privileged: bool,
}

/// YAML files.
#[derive(Deserialize, JsonSchema)]
#[schemars(extend("x-kdl-args" = ["documents"]))]
pub struct Manifest {
    /// A file, a directory or a glob, relative to the workflow's file.
    documents: Manifests,
}

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Outputs {
    /// How many objects were checked.
    objects: u32,
    /// Every image, each once.
    images: Vec<String>,
}

impl GuestStep for Check {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn about() -> About {
        let doc = "Checks manifests against rules, and fails with the list of what violates them.\n\n\
            Rules: labels that every object must have, registries from which images may come, no `latest`, nothing privileged.";
        About::pure("check", doc)
    }

    fn preview(_call: &Call, inputs: Inputs) -> Result<Preview, StepError> {
        let found = violations(&inputs);
        let conflict = (!found.is_empty()).then(|| found.join("; "));
        Ok(Preview::Changes(vec![Change {
            object: format!("policy of {} objects", objects(&inputs).count()),
            action: ChangeAction::Run,
            certainty: Certainty::Schema,
            fields: Vec::new(),
            conflict,
            waits_for: None,
        }]))
    }

    fn run(_call: &Call, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
        let found = violations(&inputs);
        if !found.is_empty() {
            return Err(refused(&found));
        }
        let count = objects(&inputs).count();
        let mut images: Vec<String> = objects(&inputs)
            .flat_map(pods::of)
            .flat_map(|pod| pods::containers(pod).filter_map(|container| text(container, "image")))
            .map(str::to_owned)
            .collect();
        images.sort();
        images.dedup();
        let outputs = Outputs { objects: u32::try_from(count).unwrap_or(u32::MAX), images };
        Ok(Done::same(outputs, format!("{count} objects follow the rules")))
    }

    fn verify(_call: &Call, _inputs: Inputs, _outputs: Option<Outputs>) -> Result<Verdict, StepError> {
        // The same inputs give the same answer; other inputs lead to a new run.
        Ok(Verdict::Intact)
    }

    fn undo(_call: &Call, _inputs: Inputs, _outputs: Option<Outputs>) -> Result<String, StepError> {
        Ok("nothing outside was changed".into())
    }
}

fn refused(found: &[String]) -> StepError {
    let count = match found.len() {
        1 => "1 violation".to_owned(),
        many => format!("{many} violations"),
    };
    let error = StepError::permanent("POLICY01", format!("the manifests do not follow the rules: {count}"));
    found
        .iter()
        .fold(error, |error, one| error.cause(one))
        .help("change the manifests; the rules stand in this step")
        .not_started()
}

/// The objects to check; lists are opened, empty documents left out.
fn objects(inputs: &Inputs) -> impl Iterator<Item = &Value> {
    let written = inputs.object.iter().chain(inputs.manifest.iter().flat_map(|manifest| &manifest.documents.0));
    written.filter(|object| !object.is_null()).flat_map(|object| match object.get("items").and_then(Value::as_array) {
        Some(items) if text(object, "kind").is_some_and(|kind| kind.ends_with("List")) => items.iter().collect(),
        _ => vec![object],
    })
}

/// Everything that is against the rules, in the order of the objects.
fn violations(inputs: &Inputs) -> Vec<String> {
    objects(inputs).flat_map(|object| violations_of(inputs, object)).collect()
}

fn violations_of(inputs: &Inputs, object: &Value) -> Vec<String> {
    let name = name_of(object);
    let mut found: Vec<String> = inputs
        .required_labels
        .iter()
        .filter(|label| object.pointer("/metadata/labels").and_then(|labels| labels.get(label.as_str())).is_none())
        .map(|label| format!("{name} has no label `{label}`"))
        .collect();
    for pod in pods::of(object) {
        if !inputs.allow_privileged {
            found.extend(pods::shared_namespaces(pod).map(|field| format!("{name} sets `{field}`")));
        }
        for container in pods::containers(pod) {
            let whose = format!("{name}, container `{}`,", text(container, "name").unwrap_or("?"));
            found.extend(
                text(container, "image")
                    .and_then(|image| image::violation(inputs, image))
                    .map(|what| format!("{whose} {what}")),
            );
            if !inputs.allow_privileged && pods::is_privileged(container) {
                found.push(format!("{whose} is privileged"));
            }
        }
    }
    found
}

/// `Kind/namespace/name`, with what is there.
fn name_of(object: &Value) -> String {
    let kind = text(object, "kind").unwrap_or("an object without a kind");
    let at = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    [Some(kind), at("/metadata/namespace"), at("/metadata/name")].into_iter().flatten().collect::<Vec<_>>().join("/")
}

fn text<'v>(value: &'v Value, field: &str) -> Option<&'v str> {
    value.get(field).and_then(Value::as_str)
}

steps_sdk::export!(Check);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(inputs: Value) -> Vec<String> {
        violations(&serde_json::from_value(inputs).expect("inputs"))
    }

    fn deployment(container: Value) -> Value {
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "shop" },
                "spec": { "template": { "spec": { "containers": [container] } } } })
    }

    #[test]
    fn each_rule_is_violated_and_followed() {
        let good = deployment(json!({ "name": "a", "image": "ghcr.io/acme/web:1.4.0" }));
        assert!(found(json!({ "object": [good], "registries": ["ghcr.io/acme"] })).is_empty());
        let labelled = found(json!({ "object": [good], "required-labels": ["team", "app"] }));
        assert_eq!(labelled, ["Deployment/shop/web has no label `team`", "Deployment/shop/web has no label `app`"]);
        let elsewhere = found(json!({ "object": [good], "registries": ["ghcr.io/acm", "quay.io"] }));
        assert!(elsewhere[0].contains("container `a`, uses the image `ghcr.io/acme/web:1.4.0`"), "{elsewhere:?}");
        let latest = deployment(json!({ "name": "a", "image": "web" }));
        assert_eq!(found(json!({ "object": [latest] })).len(), 1);
        assert!(found(json!({ "object": [latest], "allow-latest": true })).is_empty());
        let privileged =
            deployment(json!({ "name": "a", "image": "web:1", "securityContext": { "privileged": true } }));
        assert_eq!(found(json!({ "object": [privileged] })), ["Deployment/shop/web, container `a`, is privileged"]);
        assert!(found(json!({ "object": [privileged], "allow-privileged": true })).is_empty());
    }

    #[test]
    fn lists_are_opened_and_the_error_names_every_violation() {
        let list = json!({ "kind": "List", "items": [deployment(json!({ "name": "a", "image": "a" })),
                                                     deployment(json!({ "name": "b", "image": "b:latest" }))] });
        let violations = found(json!({ "object": [list, null] }));
        assert_eq!(violations.len(), 2);
        let error = refused(&violations);
        assert_eq!((error.code.as_str(), error.causes.len(), error.not_started), ("POLICY01", 2, true));
        assert!(error.message.contains("2 violations"), "{}", error.message);
    }
}
