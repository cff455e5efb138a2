//! Takes back objects that a step made: only those, only as long as they are the same, and any number of times.

use kube::api::{DeleteParams, Preconditions, PropagationPolicy};
use serde_json::Value;
use steps_sdk::StepError;

use super::apply::{Applier, Run};
use super::classify;
use super::diff;
use super::discovery::Served;
use super::goal::Goal;
use super::reference::ObjectRef;
use super::request::{Asked, Failure};
use super::wait::Wait;

/// What became of an object that is to be taken back.
enum Fate {
    Deleted,
    WasGone,
    Stays(&'static str),
}

impl Applier<'_> {
    /// Deletes what this run made, last made first, and waits until it is gone. `wanted` is all that the step applies, `made` what was
    /// not there before, `recorded` what the run put out. Says what was deleted and what stays.
    pub(crate) async fn take_back(
        &self,
        wanted: &[ObjectRef],
        made: &[ObjectRef],
        recorded: &[ObjectRef],
    ) -> Result<String, StepError> {
        let (mut deleted, mut stays) = (Vec::new(), Vec::new());
        for reference in wanted.iter().rev() {
            let uid = recorded.iter().find(|other| other.bare() == *reference).and_then(|other| other.uid.as_deref());
            let fate = match made.contains(reference) {
                true => self.take_back_one(reference, uid).await?,
                false => Fate::Stays("was there before this run"),
            };
            match fate {
                Fate::Deleted => deleted.push(reference.to_string()),
                Fate::WasGone => {}
                Fate::Stays(why) => stays.push(format!("{reference} stays: it {why}")),
            }
        }
        let first = match deleted.is_empty() {
            true => "nothing to delete".to_owned(),
            false => format!("deleted {}", deleted.join(", ")),
        };
        Ok([vec![first], stays].concat().join("; "))
    }

    async fn take_back_one(&self, reference: &ObjectRef, recorded: Option<&str>) -> Result<Fate, StepError> {
        let cluster = self.cluster;
        let Some(served) = cluster.served(reference).await? else { return Ok(Fate::WasGone) };
        let Some(live) = cluster.live(reference, &served).await? else { return Ok(Fate::WasGone) };
        let uid = live.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or_default();
        if recorded.is_some_and(|recorded| recorded != uid) {
            return Ok(Fate::Stays("was made anew by somebody else"));
        }
        // Killed before its outcome was recorded: without a uid, only our mark tells that it was made by this step.
        if recorded.is_none() && diff::managed_by(&live, &self.manager).is_none() {
            return Ok(Fate::Stays("does not carry this step's mark"));
        }
        match self.delete(reference, &served, uid, Run::Real).await {
            Ok(()) => {}
            Err(failure) if failure.status() == Some(404) => return Ok(Fate::WasGone),
            Err(failure) => {
                return Err(classify::failure(
                    cluster.name,
                    &Asked { verb: "delete", object: reference, resource: Some(&served) },
                    &failure,
                ));
            }
        }
        Wait::new(cluster, reference).until(&[Goal::Absent]).await?;
        Ok(Fate::Deleted)
    }

    /// Deletes the object with this uid and no other; [`Run::Dry`] only asks whether that would be done.
    pub(crate) async fn delete(
        &self,
        reference: &ObjectRef,
        served: &Served,
        uid: &str,
        run: Run,
    ) -> Result<(), Failure> {
        let params = DeleteParams {
            dry_run: run == Run::Dry,
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        let collection = served.collection(reference);
        self.cluster
            .try_ask(|| async {
                let request = collection.delete(&reference.name, &params).map_err(kube::Error::BuildRequest)?;
                self.cluster.client.request::<Value>(request).await.map(drop)
            })
            .await
    }
}
