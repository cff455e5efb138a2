//! Makes objects as they should be, by server-side apply.
//!
//! The field manager is the step's owner key, the same in every run, so that a second run finds its own fields and a field that was
//! dropped from the file is dropped from the object. Fields of others are never taken unless the step says so. Nothing is decided
//! from a local comparison: the API server merges, and whether it wrote anything is read from what it answers.
//!
//! Before the first object is made, the step notes which objects were not there: only these may be deleted by `undo`.

use kube::api::{Patch, PatchParams, ValidationDirective};
use serde_json::Value;
use sha2::{Digest, Sha256};
use steps_sdk::StepError;
use steps_sdk::context::StepContext;

use super::Cluster;
use super::classify;
use super::diff;
use super::discovery::Served;
use super::goal::Goal;
use super::reference::ObjectRef;
use super::request::{Asked, Failure};
use super::wait::Wait;
use super::wanted::{Turn, Wanted, brings_kind_of};

/// The API server's limit for a field manager.
const MANAGER_MAX: usize = 128;

/// The note that lists what was not there before this run.
const MADE: &str = "made";

/// How objects are applied: on which cluster, in whose name, and whether fields of others are taken.
pub(crate) struct Applier<'a> {
    pub(crate) cluster: &'a Cluster<'a>,
    pub(crate) manager: String,
    pub(crate) takes_ownership: bool,
}

/// One object after it was applied.
#[derive(Debug)]
pub(crate) struct Applied {
    /// With cluster and uid.
    pub(crate) reference: ObjectRef,
    /// As the API server answered.
    pub(crate) live: Value,
    pub(crate) how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Created,
    Changed,
    Same,
}

impl<'a> Applier<'a> {
    pub(crate) fn new(cluster: &'a Cluster<'a>, takes_ownership: bool) -> Self {
        Applier { cluster, manager: manager(&cluster.cx.call.owner), takes_ownership }
    }

    /// Applies all objects, namespaces and definitions first; answers in the order of `wanted`.
    pub(crate) async fn apply(&self, wanted: &[Wanted]) -> Result<Vec<Applied>, StepError> {
        let before = self.look(wanted).await?;
        let absent =
            wanted.iter().zip(&before).filter(|(_, live)| live.is_none()).map(|(one, _)| one.reference.clone());
        note_made(self.cluster.cx, absent.collect()).await?;

        let mut applied: Vec<Option<Applied>> = wanted.iter().map(|_| None).collect();
        for turn in [Turn::Namespaces, Turn::Definitions, Turn::Rest] {
            for (place, one) in wanted.iter().enumerate().filter(|(_, one)| one.turn() == turn) {
                applied[place] = Some(self.apply_one(one, before[place].as_ref()).await?);
            }
            if turn == Turn::Definitions {
                self.established(wanted).await?;
            }
        }
        Ok(applied.into_iter().flatten().collect())
    }

    /// What is there before anything is written. A kind that neither the cluster nor this step brings ends the step here.
    async fn look(&self, wanted: &[Wanted]) -> Result<Vec<Option<Value>>, StepError> {
        let mut found = Vec::with_capacity(wanted.len());
        for Wanted { reference, .. } in wanted {
            found.push(match self.cluster.served(reference).await? {
                None if brings_kind_of(wanted, reference) => None,
                _ => {
                    let served = self.cluster.must_be_served(reference).await?;
                    self.cluster.live(reference, &served).await?
                }
            });
        }
        Ok(found)
    }

    async fn apply_one(&self, one: &Wanted, before: Option<&Value>) -> Result<Applied, StepError> {
        let cluster = self.cluster;
        let reference = &one.reference;
        let served = cluster.must_be_served(reference).await?;
        let classified = |failure: Failure| {
            if failure.status() == Some(404) {
                cluster.forget_kind(reference);
            }
            classify::failure(
                cluster.name,
                &Asked { verb: "patch", object: reference, resource: Some(&served) },
                &failure,
            )
        };
        if let Some(before) = before.filter(|before| diff::has_no_owners(before)) {
            // Any apply, even of what is already so, would give such an object owners, and that is a write. It has none
            // because it was made from nothing but its name, by us for instance.
            let after = self.send(one, &served, Run::Dry).await.map_err(classified)?;
            if diff::owned_by(&after, &self.manager).is_none() && diff::fields(before, &after).is_empty() {
                return Ok(self.applied(reference, before.clone(), How::Same));
            }
        }
        let live = self.send(one, &served, Run::Real).await.map_err(classified)?;
        let how = match before {
            None => How::Created,
            Some(before) if self.is_same(before, &live) => How::Same,
            Some(_) => How::Changed,
        };
        Ok(self.applied(reference, live, how))
    }

    fn applied(&self, reference: &ObjectRef, live: Value, how: How) -> Applied {
        let uid = live.pointer("/metadata/uid").and_then(Value::as_str).map(str::to_owned);
        let reference = ObjectRef { cluster: Some(self.cluster.name.to_owned()), uid, ..reference.clone() };
        Applied { reference, live, how }
    }

    /// Sends one object; [`Run::Dry`] changes nothing and answers what would be there.
    pub(crate) async fn send(&self, one: &Wanted, served: &Served, run: Run) -> Result<Value, Failure> {
        let params = PatchParams {
            dry_run: run == Run::Dry,
            force: self.takes_ownership,
            field_manager: Some(self.manager.clone()),
            field_validation: Some(ValidationDirective::Strict),
        };
        let collection = served.collection(&one.reference);
        self.cluster
            .try_ask(|| async {
                let request = collection
                    .patch(&one.reference.name, &params, &Patch::Apply(&one.object))
                    .map_err(kube::Error::BuildRequest)?;
                self.cluster.client.request::<Value>(request).await
            })
            .await
    }

    /// Objects of a new kind, of this step or of a later one, are accepted once its definition is established; and a moment
    /// after that the kind is in discovery.
    async fn established(&self, wanted: &[Wanted]) -> Result<(), StepError> {
        for one in wanted.iter().filter(|one| one.turn() == Turn::Definitions) {
            Wait::new(self.cluster, &one.reference).until(&[Goal::Ready]).await?;
            for kind in one.defined() {
                Wait::new(self.cluster, &kind).until_served().await?;
            }
        }
        Ok(())
    }

    /// Whether applying wrote nothing. The resource version alone would count the writes of controllers, which update a status at
    /// any time, as ours: it is enough, but if it differs, our own entry in the managed fields (it carries the time of
    /// our last write) and everything outside status decide.
    fn is_same(&self, before: &Value, after: &Value) -> bool {
        let version = |object: &Value| object.pointer("/metadata/resourceVersion").cloned();
        let ours = |object: &Value| diff::managed_by(object, &self.manager).cloned();
        version(before) == version(after)
            || (ours(before).is_some() && ours(before) == ours(after) && diff::fields(before, after).is_empty())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    Real,
    Dry,
}

/// The owner key, cut and hashed at its end if it is too long for a field manager.
pub(crate) fn manager(owner: &str) -> String {
    if owner.len() <= MANAGER_MAX {
        return owner.to_owned();
    }
    let digest = Sha256::digest(owner.as_bytes());
    let tail: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let end = owner.floor_char_boundary(MANAGER_MAX - tail.len() - 1);
    format!("{}-{tail}", &owner[..end])
}

/// Objects that this run made, or was about to make when it was killed.
pub(crate) fn made(cx: &StepContext) -> Vec<ObjectRef> {
    cx.memo.get(MADE).and_then(|noted| serde_json::from_value(noted).ok()).unwrap_or_default()
}

async fn note_made(cx: &StepContext, absent: Vec<ObjectRef>) -> Result<(), StepError> {
    let mut all = made(cx);
    let noted = all.len();
    all.extend(absent);
    all.sort();
    all.dedup();
    if all.len() == noted {
        return Ok(());
    }
    let list = serde_json::to_value(all).expect("references have only text fields");
    cx.memo.put(MADE, list).await
}

/// One line: what was done to how many.
pub(crate) fn summary(applied: &[Applied]) -> String {
    let word = |how: How| match how {
        How::Created => "created",
        How::Changed => "changed",
        How::Same => "unchanged",
    };
    if let [only] = applied {
        return format!("{} {}", only.reference, word(only.how));
    }
    let counts: Vec<String> = [How::Created, How::Changed, How::Same]
        .into_iter()
        .map(|how| (applied.iter().filter(|one| one.how == how).count(), word(how)))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    format!("{} objects: {}", applied.len(), counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_key_that_is_too_long_keeps_its_head_and_a_hash_of_the_whole() {
        assert_eq!(manager("engine/kcp_zheng/region[alpha].deploy"), "engine/kcp_zheng/region[alpha].deploy");
        let long = |end: &str| manager(&format!("engine/{}/{end}", "ä".repeat(80)));
        assert!(long("a").len() <= MANAGER_MAX && long("a").starts_with("engine/ä"), "{}", long("a"));
        assert_ne!(long("a"), long("b"));
        assert_eq!(long("a"), long("a"));
    }
}
