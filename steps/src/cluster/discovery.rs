//! Where a kind is served: its plural and its scope, asked of the API server once per group version.
//!
//! Only what was found is remembered, for the time of one call: a kind that is not there may appear at any moment.

use std::collections::HashMap;
use std::sync::Mutex;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::api::{ApiResource, DynamicObject};
use kube::core::{GroupVersionKind, Request, Resource};
use steps_sdk::StepError;

use super::Cluster;
use super::classify;
use super::reference::ObjectRef;
use super::request::Asked;

/// Group versions that were asked for in this call, with the kinds they serve.
#[derive(Default)]
pub(crate) struct Kinds(Mutex<HashMap<String, Vec<Served>>>);

/// A kind that the API server serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    resource: ApiResource,
    pub(crate) is_namespaced: bool,
}

impl Served {
    /// The resource's name in requests and in RBAC rules, for instance `deployments`.
    pub(crate) fn plural(&self) -> &str {
        &self.resource.plural
    }

    /// Builds requests for the collection in which the object lives.
    pub(crate) fn collection(&self, reference: &ObjectRef) -> Request {
        let namespace = reference.namespace.as_deref().filter(|_| self.is_namespaced);
        Request::new(DynamicObject::url_path(&self.resource, namespace))
    }
}

impl Cluster<'_> {
    /// Where objects of this kind are served; `None` if the API server does not know the kind (yet).
    pub(crate) async fn served(&self, reference: &ObjectRef) -> Result<Option<Served>, StepError> {
        if let Some(found) = self.kinds.find(reference) {
            return Ok(Some(found));
        }
        let version = &reference.api_version;
        let asked = Asked { verb: "discover", object: reference, resource: None };
        let list = self
            .ask_if_there(&asked, || async {
                match reference.group() {
                    None => self.client.list_core_api_resources(version).await,
                    Some(_) => self.client.list_api_group_resources(version).await,
                }
            })
            .await?;
        if let Some(list) = list {
            self.kinds.remember(version, kinds_of(version, list));
        }
        Ok(self.kinds.find(reference))
    }

    /// Like [`Cluster::served`], for a caller that cannot go on without; also checks that a namespace is given where one is needed.
    pub(crate) async fn must_be_served(&self, reference: &ObjectRef) -> Result<Served, StepError> {
        let Some(served) = self.served(reference).await? else {
            return Err(classify::not_served(self.name, reference));
        };
        if served.is_namespaced && reference.namespace.is_none() {
            return Err(StepError::permanent(
                "K221",
                format!("{reference} has no namespace, and objects of its kind live in one"),
            )
            .help("write `metadata namespace=…`; there is no current namespace")
            .not_started());
        }
        Ok(served)
    }

    /// The path of this kind gave 404: what is remembered of its group version is out of date.
    pub(crate) fn forget_kind(&self, reference: &ObjectRef) {
        self.kinds.known().remove(&reference.api_version);
    }
}

impl Kinds {
    fn find(&self, reference: &ObjectRef) -> Option<Served> {
        self.known().get(&reference.api_version)?.iter().find(|served| served.resource.kind == reference.kind).cloned()
    }

    fn remember(&self, version: &str, kinds: Vec<Served>) {
        self.known().insert(version.to_owned(), kinds);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Served>>> {
        self.0.lock().expect("no code panics while it holds the known kinds")
    }
}

/// Subresources (`deployments/scale`) are in the list too and are left out.
fn kinds_of(version: &str, list: APIResourceList) -> Vec<Served> {
    let (group, bare_version) = version.split_once('/').unwrap_or(("", version));
    list.resources
        .into_iter()
        .filter(|resource| !resource.name.contains('/'))
        .map(|resource| Served {
            resource: ApiResource::from_gvk_with_plural(
                &GroupVersionKind::gvk(group, bare_version, &resource.kind),
                &resource.name,
            ),
            is_namespaced: resource.namespaced,
        })
        .collect()
}
