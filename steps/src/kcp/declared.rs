//! The verbs of a kind that is a set of objects: preview, apply, verify and take back, and the addresses that operators bring.

use steps_sdk::context::StepContext;
use steps_sdk::{Preview, StepError, Value, Verdict};

use crate::cluster::Cluster;
use crate::cluster::apply::{Applied, Applier, made};
use crate::cluster::goal::Goal;
use crate::cluster::readiness;
use crate::cluster::reference::ObjectRef;
use crate::cluster::wait::Wait;
use crate::cluster::wanted::wanted;

/// The API that kcp-operator serves.
pub const OPERATOR: &str = "operator.kcp.io/v1alpha1";

/// An object of the operator with nothing but a spec.
pub fn object(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    serde_json::json!({ "apiVersion": OPERATOR, "kind": kind, "spec": spec,
                        "metadata": { "name": name, "namespace": namespace } })
}

pub async fn preview(cx: &StepContext, objects: Vec<Value>) -> Result<Preview, StepError> {
    let cluster = Cluster::of_step(cx)?;
    Ok(Preview::Changes(Applier::new(&cluster, false).preview(&wanted(objects)?).await?))
}

pub async fn apply(cluster: &Cluster<'_>, objects: Vec<Value>) -> Result<Vec<Applied>, StepError> {
    Applier::new(cluster, false).apply(&wanted(objects)?).await
}

/// `recorded` is what the run put out; `None` if it ended before it could.
pub async fn verify(
    cx: &StepContext,
    objects: Vec<Value>,
    recorded: Option<Vec<ObjectRef>>,
) -> Result<Verdict, StepError> {
    let cluster = Cluster::of_step(cx)?;
    let refs = recorded.as_deref().unwrap_or_default();
    match Applier::new(&cluster, false).verify(&wanted(objects)?, refs).await? {
        Verdict::Intact if recorded.is_none() => {
            Ok(Verdict::Unknown("the objects are as wanted, but what they led to was not recorded".into()))
        }
        verdict => Ok(verdict),
    }
}

pub async fn undo(
    cx: &StepContext,
    objects: Vec<Value>,
    recorded: Option<Vec<ObjectRef>>,
) -> Result<String, StepError> {
    let cluster = Cluster::of_step(cx)?;
    let references: Vec<ObjectRef> = wanted(objects)?.into_iter().map(|one| one.reference).collect();
    Applier::new(&cluster, false).take_back(&references, &made(cx), &recorded.unwrap_or_default()).await
}

/// Waits until the Service has a load balancer's address: an IP, or else a host name.
pub async fn address(cluster: &Cluster<'_>, service: &ObjectRef) -> Result<Option<String>, StepError> {
    let live = Wait::new(cluster, service).until(&[Goal::Address]).await?;
    Ok(live.as_ref().and_then(|live| readiness::addresses(live).into_iter().next()))
}

/// An object beside one that is known, on the same cluster.
pub fn beside(reference: &ObjectRef, api_version: &str, kind: &str, name: impl Into<String>) -> ObjectRef {
    ObjectRef { api_version: api_version.into(), kind: kind.into(), name: name.into(), ..reference.bare() }
}

/// The Deployment and Service that kcp-operator makes for an object of its kinds; `None` for kinds without.
pub fn server_of(reference: &ObjectRef) -> Option<String> {
    if reference.group() != Some("operator.kcp.io") {
        return None;
    }
    let name = &reference.name;
    match reference.kind.as_str() {
        "RootShard" => Some(format!("{name}-kcp")),
        "Shard" => Some(format!("{name}-shard-kcp")),
        "FrontProxy" => Some(format!("{name}-front-proxy")),
        _ => None,
    }
}
