//! What applying would change, asked of the API server by dry run; and by the same means whether something was changed since.

use serde_json::Value;
use steps_sdk::outcome::{Certainty, Change, ChangeAction, FieldChange};
use steps_sdk::{StepError, Verdict};

use super::apply::{Applier, Run};
use super::classify;
use super::diff;
use super::discovery::Served;
use super::reference::ObjectRef;
use super::request::{Asked, Failure};
use super::wanted::{Wanted, brings_kind_of, brings_namespace_of};

impl Applier<'_> {
    /// One change for each object, in the order of `wanted`.
    pub(crate) async fn preview(&self, wanted: &[Wanted]) -> Result<Vec<Change>, StepError> {
        let mut changes = Vec::with_capacity(wanted.len());
        for one in wanted {
            changes.push(self.preview_one(wanted, one).await?);
        }
        Ok(changes)
    }

    async fn preview_one(&self, wanted: &[Wanted], one: &Wanted) -> Result<Change, StepError> {
        let reference = &one.reference;
        if self.cluster.served(reference).await?.is_none() {
            return Ok(match brings_kind_of(wanted, reference) {
                true => create(reference, Certainty::Schema),
                false => create_after(reference, definition_of(reference)),
            });
        }
        let served = self.cluster.must_be_served(reference).await?;
        let live = self.cluster.live(reference, &served).await?;
        match self.send(one, &served, Run::Dry).await {
            Ok(after) => Ok(self.change(reference, live.as_ref(), &after)),
            Err(failure) => self.refused(wanted, reference, &served, live.is_some(), &failure),
        }
    }

    fn change(&self, reference: &ObjectRef, live: Option<&Value>, after: &Value) -> Change {
        let Some(live) = live else { return create(reference, Certainty::Server) };
        let mut fields = diff::fields(live, after);
        if fields.is_empty() && diff::owned_by(live, &self.manager) != diff::owned_by(after, &self.manager) {
            // The values are as wanted, but the API server will write down whose they are.
            fields.push(FieldChange {
                path: "metadata.managedFields".into(),
                before: None,
                after: Some(Value::String(format!("fields owned by {}", self.manager))),
            });
        }
        let action = if fields.is_empty() { ChangeAction::Same } else { ChangeAction::Update };
        Change { action, fields, ..create(reference, Certainty::Server) }
    }

    /// A refusal that a plan can show, or an error.
    fn refused(
        &self,
        wanted: &[Wanted],
        reference: &ObjectRef,
        served: &Served,
        is_there: bool,
        failure: &Failure,
    ) -> Result<Change, StepError> {
        let error = || {
            classify::failure(
                self.cluster.name,
                &Asked { verb: "patch", object: reference, resource: Some(served) },
                failure,
            )
        };
        let Failure::Answered(kube::Error::Api(status)) = failure else { return Err(error()) };
        let owners = classify::owners(status);
        if !owners.is_empty() {
            let action = if is_there { ChangeAction::Update } else { ChangeAction::Create };
            return Ok(Change { action, conflict: Some(owners.join(", ")), ..create(reference, Certainty::Server) });
        }
        match classify::missing_namespace(reference, status) {
            Some(_) if brings_namespace_of(wanted, reference) => Ok(create(reference, Certainty::Schema)),
            Some(namespace) => Ok(create_after(reference, format!("Namespace/{namespace}"))),
            None => Err(error()),
        }
    }

    /// Whether all objects are still as wanted. `recorded` are the references that the run put out, with their uids.
    pub(crate) async fn verify(&self, wanted: &[Wanted], recorded: &[ObjectRef]) -> Result<Verdict, StepError> {
        let mut gone = Vec::new();
        let mut drifted = Vec::new();
        for one in wanted {
            let change = self.preview_one(wanted, one).await?;
            match change.action {
                ChangeAction::Create => gone.push(change.object),
                ChangeAction::Same => drifted.extend(self.replaced(one, recorded).await?),
                _ => drifted.push(change),
            }
        }
        Ok(match (gone.is_empty(), drifted.is_empty()) {
            (false, _) => Verdict::Gone(format!("not there: {}", gone.join(", "))),
            (true, false) => Verdict::Drifted(drifted),
            (true, true) => Verdict::Intact,
        })
    }

    /// An object of the same name and content that is not the one that was made.
    async fn replaced(&self, one: &Wanted, recorded: &[ObjectRef]) -> Result<Option<Change>, StepError> {
        let Some(before) =
            recorded.iter().find(|other| other.bare() == one.reference).and_then(|other| other.uid.as_deref())
        else {
            return Ok(None);
        };
        let served = self.cluster.must_be_served(&one.reference).await?;
        let live = self.cluster.live(&one.reference, &served).await?;
        let now = live.as_ref().and_then(|object| object.pointer("/metadata/uid")).and_then(Value::as_str);
        if now == Some(before) {
            return Ok(None);
        }
        let uid = FieldChange { path: "metadata.uid".into(), before: Some(before.into()), after: now.map(Value::from) };
        Ok(Some(Change {
            action: ChangeAction::Update,
            fields: vec![uid],
            ..create(&one.reference, Certainty::Server)
        }))
    }
}

/// The plural in a definition's name is not known before it is there; what belongs to no group of its own has none.
fn definition_of(reference: &ObjectRef) -> String {
    match reference.group().filter(|group| group.contains('.')) {
        Some(group) => format!("CustomResourceDefinition/*.{group}"),
        None => format!("the kind {} of {}", reference.kind, reference.api_version),
    }
}

fn create(reference: &ObjectRef, certainty: Certainty) -> Change {
    Change {
        object: reference.to_string(),
        action: ChangeAction::Create,
        certainty,
        fields: Vec::new(),
        conflict: None,
        waits_for: None,
    }
}

fn create_after(reference: &ObjectRef, missing: String) -> Change {
    Change { waits_for: Some(missing), ..create(reference, Certainty::Later) }
}
