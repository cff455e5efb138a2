//! What a failed request to an API server means: the one table of this family.
//!
//! | answer | code | class |
//! |---|---|---|
//! | no connection | K201 | transient |
//! | certificate not accepted | K215 | permanent |
//! | no answer in time | K202 | transient |
//! | 408, 410, 429, 500, 502, 503, 504, an answer cut off | K203 | transient |
//! | 401, credentials cannot be made | K206 | needs a person |
//! | 403 | K207 | permanent: a resume after the right was granted runs the step again, without a word from anybody |
//! | 403, namespace being terminated | K208 | transient |
//! | 403, quota | K209 | permanent |
//! | 409, fields owned by others | K210 | permanent |
//! | 409, anything else | K214 | transient |
//! | 400, 422, and the 500s that say an object has the wrong form | K211 | permanent |
//! | denied by an admission webhook or policy | K216 | permanent |
//! | 404, kind or path | K212 | transient |
//! | 404, namespace | K213 | transient |
//! | 404, the object | K217 | transient |
//! | anything else | K218 | permanent |
//!
//! Absence is transient because things appear: a kind after its definition, a namespace after the step that makes it. The retry
//! policy of the step bounds it. That an object of the wrong form is answered with 500 was measured (kube-apiserver 1.34:
//! `failed to create typed patch object`, `failed to convert new object`): taken as it looks, it would be repeated for nothing.

use kube::core::Status;
use steps_sdk::StepError;

use super::reference::ObjectRef;
use super::request::{Asked, Failure};

/// Turns a failure into the step's error.
pub(crate) fn failure(cluster: &str, asked: &Asked<'_>, failure: &Failure) -> StepError {
    match failure {
        Failure::Stopped => {
            StepError::transient("E130", format!("stopped while cluster `{cluster}` was asked for {}", asked.object))
        }
        Failure::TimedOut(limit) => StepError::transient(
            "K202",
            format!(
                "cluster `{cluster}` did not answer within {} s about {}",
                limit.as_secs_f32().round(),
                asked.object
            ),
        )
        .help("see whether the API server is overloaded or a proxy swallows the connection"),
        Failure::Answered(kube::Error::Api(status)) => answer(cluster, asked, status),
        Failure::Answered(error) => unanswered(cluster, asked, error),
    }
}

/// The API server answered with a Status.
pub(crate) fn answer(cluster: &str, asked: &Asked<'_>, status: &Status) -> StepError {
    let object = asked.object;
    let error = match status.code {
        401 => StepError::needs_person("K206", format!("cluster `{cluster}` does not know who is asking"))
            .help("renew the credentials of this context in the kubeconfig, then resume"),
        403 => forbidden(cluster, asked, status),
        404 => absent(cluster, object, status),
        409 => conflict(cluster, object, status),
        400..=499 if is_denial(status) => denied(cluster, object),
        400 | 422 => wrong_form(cluster, object, status),
        500 if is_wrong_form(status) => wrong_form(cluster, object, status),
        408 | 410 | 429 | 500 | 502 | 503 | 504 => StepError::transient(
            "K203",
            format!("cluster `{cluster}` could not take care of {object} just now (HTTP {})", status.code),
        ),
        code => StepError::permanent(
            "K218",
            format!("cluster `{cluster}` refused to {} {object} (HTTP {code})", asked.verb),
        ),
    };
    let mut error = error.cause(words_of(object, status));
    if let Some(seconds) =
        status.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0)
    {
        error.retry_after_ms = Some(u64::from(seconds) * 1000);
    }
    error
}

/// There was no answer that could be read.
fn unanswered(cluster: &str, asked: &Asked<'_>, error: &kube::Error) -> StepError {
    let object = asked.object;
    let is_broken_off =
        matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_));
    let is_refused_by_us = is_broken_off && mentions(error, "invalid peer certificate");
    let is_refused_by_them = is_broken_off && mentions(error, "fatal alert") && mentions(error, "ertificate");
    let step_error = match error {
        _ if is_refused_by_us => {
            StepError::permanent("K215", format!("the certificate of cluster `{cluster}` is not accepted")).help(
                "correct certificate-authority-data, tls-server-name or the clock; \
                 there is no way to go on without verification",
            )
        }
        _ if is_refused_by_them => {
            StepError::needs_person("K206", format!("cluster `{cluster}` does not accept our client certificate"))
                .help("renew the client certificate of this context in the kubeconfig, then resume")
        }
        _ if is_broken_off => StepError::transient("K201", format!("cluster `{cluster}` cannot be reached"))
            .help("see whether its API server runs and the network leads there"),
        kube::Error::Auth(_) => {
            StepError::needs_person("K206", format!("no credentials for cluster `{cluster}` could be made"))
                .help("see that the credential plugin or token file of this context works, then resume")
        }
        // Cut off in the middle: what was asked may have been done, and asking again is harmless.
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) => {
            StepError::transient("K203", format!("the answer of cluster `{cluster}` about {object} could not be read"))
        }
        _ => StepError::permanent("K218", format!("cluster `{cluster}` cannot be asked to {} {object}", asked.verb)),
    };
    step_error.caused_by(error)
}

fn forbidden(cluster: &str, asked: &Asked<'_>, status: &Status) -> StepError {
    let object = asked.object;
    if causes(status).any(|cause| cause.reason == "NamespaceTerminating") {
        let namespace = object.namespace.as_deref().unwrap_or(&object.name);
        return StepError::transient(
            "K208",
            format!("namespace {namespace} on cluster `{cluster}` is being deleted, so {object} cannot be made in it"),
        )
        .help("wait until it is gone; if it stays, look for finalizers of what is left in it");
    }
    if status.message.contains("exceeded quota") {
        return StepError::permanent("K209", format!("a quota on cluster `{cluster}` leaves no room for {object}"))
            .help("raise the ResourceQuota named below or free some of it");
    }
    if is_denial(status) {
        return denied(cluster, object);
    }
    let resource = asked.resource.map_or("the kind", |served| served.plural());
    let group = object.group().map(|group| format!(" in API group {group}")).unwrap_or_default();
    let scope = object.namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default();
    StepError::permanent("K207", format!("not allowed to {} {object} on cluster `{cluster}`", asked.verb))
        .help(format!("grant the verb `{}` on {resource}{group}{scope}, then resume", asked.verb))
}

fn absent(cluster: &str, object: &ObjectRef, status: &Status) -> StepError {
    if let Some(namespace) = missing_namespace(object, status) {
        return StepError::transient(
            "K213",
            format!("namespace {namespace} is not there on cluster `{cluster}`, so {object} cannot be made in it"),
        )
        .help("make the namespace in this step or in one that this step needs");
    }
    if status.details.as_ref().is_some_and(|details| details.name == object.name) {
        return StepError::transient("K217", format!("{object} is not there on cluster `{cluster}`"));
    }
    not_served(cluster, object)
}

/// The cluster does not know the kind (yet).
pub(crate) fn not_served(cluster: &str, object: &ObjectRef) -> StepError {
    let ObjectRef { kind, api_version, .. } = object;
    StepError::transient("K212", format!("cluster `{cluster}` does not serve the kind {kind} of {api_version}")).help(
        "install what brings this kind (a CustomResourceDefinition or an APIService) in a step before this one, \
         or correct apiVersion and kind",
    )
}

/// The namespace whose absence is the reason of a 404.
pub(crate) fn missing_namespace<'s>(object: &ObjectRef, status: &'s Status) -> Option<&'s str> {
    let details = status
        .details
        .as_ref()
        .filter(|details| status.code == 404 && details.kind == "namespaces" && !object.is_namespace())?;
    Some(&details.name)
}

fn conflict(cluster: &str, object: &ObjectRef, status: &Status) -> StepError {
    let owned = owners(status);
    if owned.is_empty() {
        return StepError::transient(
            "K214",
            format!("{object} on cluster `{cluster}` was changed by somebody else at the same moment"),
        );
    }
    let message = format!("{object} on cluster `{cluster}` has fields that belong to others: {}", owned.join(", "));
    StepError::permanent("K210", message).help(
        "leave these fields out; or change them where their owner gets them from; \
         or write `take-ownership #true` to take them away from it",
    )
}

/// `spec.replicas ("hpa-controller")` for each field that another manager owns.
pub(crate) fn owners(status: &Status) -> Vec<String> {
    causes(status)
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| {
            // The cause reads `conflict with "NAME" using apps/v1`: the name is all that the field does not say.
            let owner = cause.message.strip_prefix("conflict with ").unwrap_or(&cause.message);
            format!("{} ({owner})", cause.field.trim_start_matches('.'))
        })
        .collect()
}

fn wrong_form(cluster: &str, object: &ObjectRef, status: &Status) -> StepError {
    let fields: Vec<&str> =
        causes(status).map(|cause| cause.field.as_str()).filter(|field| !field.is_empty()).collect();
    let which = if fields.is_empty() { String::new() } else { format!(": {}", fields.join(", ")) };
    let error = StepError::permanent("K211", format!("cluster `{cluster}` does not accept {object}{which}"));
    match causes(status).any(|cause| cause.message.contains("field is immutable"))
        || status.message.contains("field is immutable")
    {
        true => error.help(
            "this field can only be set when the object is made: delete the object first, or leave the field as it is",
        ),
        false => {
            error.help(format!("correct the object; `kubectl explain {}` shows its fields", object.kind.to_lowercase()))
        }
    }
}

fn denied(cluster: &str, object: &ObjectRef) -> StepError {
    StepError::permanent("K216", format!("a policy of cluster `{cluster}` does not admit {object}"))
        .help("change the object as the policy asks, or ask whoever keeps the policy")
}

fn is_denial(status: &Status) -> bool {
    let message = &status.message;
    message.contains("denied the request")
        || message.contains("ValidatingAdmissionPolicy")
        || message.contains("violates PodSecurity")
}

fn is_wrong_form(status: &Status) -> bool {
    ["failed to create typed", "failed to convert new object", "failed to create manager for existing fields"]
        .iter()
        .any(|start| status.message.starts_with(start))
}

fn causes(status: &Status) -> impl Iterator<Item = &kube::core::response::StatusCause> {
    status.details.iter().flat_map(|details| &details.causes)
}

/// The server's own words, or the code where it has none. It quotes values of the wrong type (measured: `expected string, got
/// &value.valueUnstructured{Value:2}`): in a Secret these are secret.
fn words_of(object: &ObjectRef, status: &Status) -> String {
    let words = match status.message.trim() {
        "" => format!("HTTP {} {}", status.code, status.reason),
        text => text.chars().take(2_000).collect(),
    };
    match words.find(", got ") {
        Some(end) if object.is_secret() => words[..end].to_owned(),
        _ => words,
    }
}

fn mentions(error: &dyn std::error::Error, word: &str) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if cause.to_string().contains(word) {
            return true;
        }
        next = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use steps_sdk::ErrorClass::{NeedsPerson, Permanent, Transient};

    fn deployment() -> ObjectRef {
        ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: Some("a".into()),
            name: "web".into(),
            cluster: None,
            uid: None,
        }
    }

    fn judged(object: &ObjectRef, status: Value) -> StepError {
        answer("hub", &Asked { verb: "patch", object, resource: None }, &serde_json::from_value(status).unwrap())
    }

    #[test]
    fn answers_are_judged_by_the_table() {
        let owned = json!({ "causes": [{ "reason": "FieldManagerConflict", "message": "conflict with \"hpa\"", "field": ".a" }] });
        let terminating = json!({ "causes": [{ "reason": "NamespaceTerminating" }] });
        for (status, class, code) in [
            (json!({ "code": 401 }), NeedsPerson, "K206"),
            (json!({ "code": 403, "reason": "Forbidden", "message": "User \"bob\" cannot patch" }), Permanent, "K207"),
            (json!({ "code": 403, "reason": "Forbidden", "details": terminating }), Transient, "K208"),
            (
                json!({ "code": 403, "reason": "Forbidden", "message": "pods \"a\" is forbidden: exceeded quota: q" }),
                Permanent,
                "K209",
            ),
            (
                json!({ "code": 403, "reason": "Forbidden", "message": "violates PodSecurity \"restricted\"" }),
                Permanent,
                "K216",
            ),
            (json!({ "code": 400, "message": "admission webhook \"w\" denied the request: no" }), Permanent, "K216"),
            (
                json!({ "code": 404, "reason": "NotFound", "details": { "kind": "namespaces", "name": "a" } }),
                Transient,
                "K213",
            ),
            (json!({ "code": 404, "reason": "NotFound", "details": {} }), Transient, "K212"),
            (
                json!({ "code": 404, "reason": "NotFound", "details": { "kind": "deployments", "name": "web" } }),
                Transient,
                "K217",
            ),
            (json!({ "code": 409, "reason": "Conflict", "details": owned }), Permanent, "K210"),
            (
                json!({ "code": 409, "reason": "Conflict", "message": "the object has been modified" }),
                Transient,
                "K214",
            ),
            (json!({ "code": 422, "reason": "Invalid" }), Permanent, "K211"),
            (
                json!({ "code": 500, "message": "failed to create typed patch object (a/web): .x: field not declared in schema" }),
                Permanent,
                "K211",
            ),
            (json!({ "code": 500, "reason": "InternalError", "message": "failed calling webhook" }), Transient, "K203"),
            (json!({ "code": 429, "details": { "retryAfterSeconds": 3 } }), Transient, "K203"),
            (json!({ "code": 502, "message": "<html>" }), Transient, "K203"),
            (json!({ "code": 503 }), Transient, "K203"),
            (json!({ "code": 504 }), Transient, "K203"),
            (json!({ "code": 413 }), Permanent, "K218"),
        ] {
            let error = judged(&deployment(), status.clone());
            assert_eq!((error.class, error.code.as_str()), (class, code), "{status}");
            assert!(error.message.contains("hub"), "{}", error.message);
            assert!(!error.causes.is_empty(), "{status}");
        }
        assert_eq!(
            judged(&deployment(), json!({ "code": 429, "details": { "retryAfterSeconds": 3 } })).retry_after_ms,
            Some(3_000)
        );
    }

    #[test]
    fn a_conflict_names_each_field_with_its_owner() {
        let error = judged(
            &deployment(),
            json!({ "code": 409, "reason": "Conflict", "details": { "causes": [
                { "reason": "FieldManagerConflict", "message": "conflict with \"hpa\" using apps/v1", "field": ".spec.replicas" },
                { "reason": "FieldManagerConflict", "message": "conflict with \"kubectl\"", "field": ".metadata.labels.a" },
            ] } }),
        );
        assert_eq!(
            error.message,
            "Deployment/a/web on cluster `hub` has fields that belong to others: \
             spec.replicas (\"hpa\" using apps/v1), metadata.labels.a (\"kubectl\")"
        );
        assert!(error.help.unwrap().contains("take-ownership #true"));
    }

    #[test]
    fn a_refusal_names_the_right_that_is_missing() {
        let error = judged(&deployment(), json!({ "code": 403, "reason": "Forbidden" }));
        assert_eq!(error.message, "not allowed to patch Deployment/a/web on cluster `hub`");
        assert_eq!(
            error.help.unwrap(),
            "grant the verb `patch` on the kind in API group apps in namespace a, then resume"
        );
    }

    #[test]
    fn the_value_that_the_server_quotes_from_a_secret_is_left_out() {
        let secret = ObjectRef { api_version: "v1".into(), kind: "Secret".into(), ..deployment() };
        let said = "failed to create typed patch object (a/web; /v1, Kind=Secret): .data.x: \
                    expected string, got &value.valueUnstructured{Value:hunter2}";
        let error = judged(&secret, json!({ "code": 500, "message": said }));
        assert!(error.causes[0].ends_with(".data.x: expected string"), "{:?}", error.causes);
        assert!(!serde_json::to_string(&error).unwrap().contains("hunter2"));
    }

    #[test]
    fn a_refused_connection_is_transient_and_a_refused_certificate_is_not() {
        let web = deployment();
        let asked = Asked { verb: "get", object: &web, resource: None };
        let fails =
            |text: &str| failure("hub", &asked, &Failure::Answered(kube::Error::Service(text.to_owned().into())));
        assert_eq!(
            (fails("connection refused").class, fails("connection refused").code),
            (Transient, "K201".to_owned())
        );
        let alert = "received fatal alert: CertificateExpired";
        assert_eq!((fails(alert).class, fails(alert).code), (NeedsPerson, "K206".to_owned()));
        assert_eq!(
            (fails("invalid peer certificate: Expired").class, fails("invalid peer certificate: Expired").code),
            (Permanent, "K215".to_owned())
        );
        assert_eq!(
            failure("hub", &asked, &Failure::TimedOut(std::time::Duration::from_secs(30))).message,
            "cluster `hub` did not answer within 30 s about Deployment/a/web"
        );
    }
}
