//! Names of objects: what a step puts out so that another can point at it, and how an input points at one.
//!
//! Where the kind is served is not here: see `discovery.rs`.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use steps_sdk::StepError;

/// One object on one cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectRef {
    /// Group and version, for instance `apps/v1`.
    pub(crate) api_version: String,
    /// For instance `Deployment`.
    pub(crate) kind: String,
    /// Absent for objects that live in no namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    /// Its name.
    pub(crate) name: String,
    /// The cluster's name in this workflow; absent: the step's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<String>,
    /// Tells this object from another that had or will have the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<String>,
}

/// How an input points at an object: `object "${step.ref}"`, or `object apiVersion=… kind=… name=… namespace=…`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kdl-args" = ["ref"]))]
pub(crate) struct Named {
    /// What another step gave out as `ref`.
    #[serde(default)]
    r#ref: Option<ObjectRef>,
    /// Group and version, for instance `apps/v1`.
    #[serde(default)]
    api_version: Option<String>,
    /// For instance `Deployment`.
    #[serde(default)]
    kind: Option<String>,
    /// Its name.
    #[serde(default)]
    name: Option<String>,
    /// Left out for objects that live in no namespace.
    #[serde(default)]
    namespace: Option<String>,
}

impl Named {
    pub(crate) fn resolve(self) -> Result<ObjectRef, StepError> {
        let refuse = |message: &str| {
            StepError::permanent("K220", message)
                .help("write `object \"${step.ref}\"`, or `object apiVersion=… kind=… name=… namespace=…`")
                .not_started()
        };
        let reference = match self {
            Named { r#ref: Some(reference), api_version: None, kind: None, name: None, namespace: None } => reference,
            Named { r#ref: Some(_), .. } => {
                return Err(refuse("the object is named by a reference and by its fields at once"));
            }
            Named { r#ref: None, api_version: Some(api_version), kind: Some(kind), name: Some(name), namespace } => {
                ObjectRef { api_version, kind, namespace, name, cluster: None, uid: None }
            }
            _ => return Err(refuse("the object is not named: apiVersion, kind and name are needed")),
        };
        reference.check()
    }
}

impl ObjectRef {
    /// The name in an object's own JSON. `None` if it does not say what it is.
    pub(crate) fn of(object: &Value) -> Option<ObjectRef> {
        let text = |at: &str| object.pointer(at).and_then(Value::as_str).map(str::to_owned);
        Some(ObjectRef {
            api_version: text("/apiVersion")?,
            kind: text("/kind")?,
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name")?,
            cluster: None,
            uid: text("/metadata/uid"),
        })
    }

    /// Names become path segments of requests: what could leave its segment is refused before anything is asked.
    pub(crate) fn check(self) -> Result<ObjectRef, StepError> {
        let version = self.api_version.split('/');
        let segments = version.chain([self.name.as_str()]).chain(self.namespace.as_deref());
        for segment in segments {
            if segment.is_empty()
                || segment == "."
                || segment == ".."
                || segment.contains(['/', '%', '?', '#'])
                || segment.chars().any(|c| c.is_whitespace() || c.is_control())
            {
                return Err(StepError::permanent("K220", format!("`{segment}` cannot be part of an object's name"))
                    .not_started());
            }
        }
        Ok(self)
    }

    /// The reference, if it is of this cluster or says nothing about its cluster.
    pub(crate) fn on(self, cluster: &str) -> Result<ObjectRef, StepError> {
        match self.cluster.as_deref() {
            Some(other) if other != cluster => {
                Err(StepError::permanent("K223", format!("{self} is on cluster `{other}`, not on `{cluster}`"))
                    .help("name the cluster on which the object is")
                    .not_started())
            }
            _ => Ok(self),
        }
    }

    /// The same object, whatever uid and cluster are known of it.
    pub(crate) fn bare(&self) -> ObjectRef {
        ObjectRef { cluster: None, uid: None, ..self.clone() }
    }

    /// `None` for the core group.
    pub(crate) fn group(&self) -> Option<&str> {
        self.api_version.split_once('/').map(|(group, _)| group)
    }

    pub(crate) fn is_secret(&self) -> bool {
        self.kind == "Secret" && self.group().is_none()
    }

    pub(crate) fn is_namespace(&self) -> bool {
        self.kind == "Namespace" && self.group().is_none()
    }

    pub(crate) fn is_crd(&self) -> bool {
        self.kind == "CustomResourceDefinition" && self.group() == Some("apiextensions.k8s.io")
    }
}

/// `Kind/name`, and `Kind/namespace/name` for what lives in a namespace.
impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.kind, self.name),
            None => write!(f, "{}/{}", self.kind, self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(json: Value) -> Result<ObjectRef, StepError> {
        serde_json::from_value::<Named>(json).unwrap().resolve()
    }

    #[test]
    fn an_object_is_named_by_reference_or_by_fields_but_not_by_both() {
        let reference = json!({ "apiVersion": "v1", "kind": "Secret", "namespace": "a", "name": "b", "uid": "u" });
        assert_eq!(named(json!({ "ref": reference })).unwrap().to_string(), "Secret/a/b");
        assert_eq!(
            named(json!({ "apiVersion": "v1", "kind": "Namespace", "name": "b" })).unwrap().to_string(),
            "Namespace/b"
        );
        assert_eq!(named(json!({ "ref": reference, "name": "c" })).unwrap_err().code, "K220");
        assert_eq!(named(json!({ "kind": "Secret", "name": "c" })).unwrap_err().code, "K220");
    }

    #[test]
    fn a_name_that_would_leave_its_path_segment_is_refused() {
        for name in ["a/b", "..", "a%2fb", "a?b", "a#b", "", "a b", "a\n"] {
            let error =
                named(json!({ "apiVersion": "v1", "kind": "Secret", "namespace": "a", "name": name })).unwrap_err();
            assert!(error.not_started && error.code == "K220", "{name:?}: {error:?}");
        }
    }
}
