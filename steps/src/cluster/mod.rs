//! What steps do to an API server, named by deed: apply, wait, delete, look, compare.
//!
//! The kinds of `k8s` (and later of `kcp` and `helm`) are thin over this. Three rules are kept here so that no kind can forget them:
//! every request has a deadline and listens to cancellation ([`request`]); what an answer means is decided in one table
//! ([`classify`]); and the values of Secrets leave this module only towards an API server ([`shown`]).
//!
//! Objects are plain JSON values, not `kube`'s typed ones: they come from files and go into outputs as JSON, and a typed decoder
//! that fails would put the whole answer, Secrets included, into a log line.
//!
//! In reading order: [`mod@reference`] names an object, [`discovery`] finds where its kind is served, [`request`] asks, [`classify`]
//! judges the answer; [`wanted`] is what should be there, [`apply`] makes it so, [`preview`] and [`diff`] say what that would
//! change; [`readiness`] is the table of what ready means, [`goal`] is what can be waited for, [`wait`] waits for it; [`delete`] takes back.

pub(crate) mod apply;
pub(crate) mod classify;
pub(crate) mod delete;
pub(crate) mod diff;
pub(crate) mod discovery;
pub(crate) mod goal;
pub(crate) mod preview;
pub(crate) mod readiness;
pub(crate) mod reference;
pub(crate) mod request;
pub(crate) mod shown;
pub(crate) mod wait;
pub(crate) mod wanted;

#[cfg(test)]
pub(crate) mod scripted;

use steps_sdk::StepError;
use steps_sdk::context::{ClusterHandle, StepContext};
use steps_sdk::value::ClusterName;

/// One cluster, for the time of one call of a verb.
pub(crate) struct Cluster<'a> {
    pub(crate) cx: &'a StepContext,
    pub(crate) name: &'a str,
    client: kube::Client,
    kinds: discovery::Kinds,
}

impl<'a> Cluster<'a> {
    /// The cluster that the step names with `on=`.
    pub(crate) fn of_step(cx: &'a StepContext) -> Result<Self, StepError> {
        let Some(name) = &cx.call.on else {
            return Err(StepError::permanent("K223", "the step does not say on which cluster it works")
                .help("write `on=NAME` after `uses=…`, with the name of a `cluster` of this workflow")
                .not_started());
        };
        Self::named(cx, name)
    }

    /// A cluster that the inputs name.
    pub(crate) fn named(cx: &'a StepContext, name: &ClusterName) -> Result<Self, StepError> {
        Ok(Self::open(cx, cx.clusters.get(name)?))
    }

    /// A cluster whose handle the caller has.
    pub(crate) fn open(cx: &'a StepContext, handle: &'a ClusterHandle) -> Self {
        Cluster { cx, name: &handle.name, client: handle.client(), kinds: discovery::Kinds::default() }
    }

    /// For requests that are not in this module; they go through [`Cluster::try_ask`] like all others.
    pub(crate) fn client(&self) -> &kube::Client {
        &self.client
    }
}
