//! Carries out what was decided. An action that fails is logged and comes back with the next look at the world: that is the retry.

use std::collections::HashMap;

use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::Error;
use super::world::{Kind, World, meta, name, namespace, text};

/// What a controller wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// This object is to be so (server-side apply, by force).
    Apply(Value),
    /// The object's status is to have these fields; `status` is all that is read besides its name.
    Status(Value),
    /// A merge patch of the object, for what cannot be owned: finalizers, annotations that are used up.
    Merge(Value),
    /// The object is to go.
    Delete { kind: &'static str, namespace: String, name: String },
}

/// Acts on one API server, and remembers what it has done so as not to do it again for nothing.
pub(super) struct Hand {
    client: Client,
    manager: String,
    kinds: &'static [Kind],
    applied: HashMap<(String, String, String), Applied>,
}

struct Applied {
    object: Value,
    /// What the server called the result: anything else there now was written by somebody else, or by a status.
    version: String,
}

impl Hand {
    pub(super) fn new(client: Client, manager: &str, kinds: &'static [Kind]) -> Hand {
        Hand { client, manager: manager.to_owned(), kinds, applied: HashMap::new() }
    }

    pub(super) async fn carry_out(&mut self, world: &World, actions: Vec<Action>) {
        for action in actions {
            if let Err(error) = self.act(world, action).await {
                tracing::warn!(error = %chain(&error), "will be tried again");
            }
        }
    }

    async fn act(&mut self, world: &World, action: Action) -> Result<(), Error> {
        match action {
            Action::Apply(object) => self.apply(world, object).await,
            Action::Status(object) if is_told(world, &object) => Ok(()),
            Action::Status(object) => {
                let patch = json!({ "status": object["status"] });
                let (api, params) = (self.api(&object), PatchParams::default());
                let done = api.patch_status(name(&object), &params, &Patch::Merge(&patch)).await;
                finish(done.map(|_| ()), "writing the status of", &object)
            }
            Action::Merge(object) => {
                let done =
                    self.api(&object).patch(name(&object), &PatchParams::default(), &Patch::Merge(&object)).await;
                finish(done.map(|_| ()), "patching", &object)
            }
            Action::Delete { kind, namespace, name } => {
                let object = json!({ "kind": kind, "metadata": { "namespace": namespace, "name": name } });
                let done = self.api(&object).delete(&name, &DeleteParams::background()).await;
                finish(done.map(|_| ()), "deleting", &object)
            }
        }
    }

    async fn apply(&mut self, world: &World, object: Value) -> Result<(), Error> {
        let (kind, space, called) = (text(&object["kind"]), namespace(&object), name(&object));
        let key = (kind.to_owned(), space.to_owned(), called.to_owned());
        let seen = world.get(kind, space, called).map(|now| text(meta(now, "resourceVersion")));
        if let (Some(before), Some(seen)) = (self.applied.get(&key), seen)
            && before.object == object
            && before.version == seen
        {
            return Ok(());
        }
        let params = PatchParams::apply(&self.manager).force();
        let done = self.api(&object).patch(called, &params, &Patch::Apply(&object)).await;
        let done = done.map(|written| written.metadata.resource_version.unwrap_or_default());
        if let Ok(version) = &done {
            if self.applied.get(&key).is_none_or(|before| before.object != object) {
                tracing::info!("{kind} {space}/{called}");
            }
            self.applied.insert(key, Applied { object: object.clone(), version: version.clone() });
        }
        finish(done.map(|_| ()), "applying", &object)
    }

    fn api(&self, object: &Value) -> Api<DynamicObject> {
        let kind = self.kinds.iter().find(|kind| kind.kind == text(&object["kind"]));
        let kind = kind.expect("a controller acts only on the kinds that it watches");
        Api::namespaced_with(self.client.clone(), namespace(object), &kind.resource())
    }
}

/// Whether the object has this status already.
fn is_told(world: &World, object: &Value) -> bool {
    let now = world.get(text(&object["kind"]), namespace(object), name(object));
    let mut fields = object["status"].as_object().into_iter().flatten();
    now.is_some_and(|now| fields.all(|(field, value)| now["status"][field] == *value))
}

/// Gone meanwhile, or changed under our hands: both are seen by the watch and decided anew.
fn finish(done: Result<(), kube::Error>, doing: &str, object: &Value) -> Result<(), Error> {
    match done {
        Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {
            tracing::debug!("{doing} {} {}: {}", text(&object["kind"]), name(object), status.message);
            Ok(())
        }
        Err(source) => {
            let doing = format!("{doing} {} {}/{}", text(&object["kind"]), namespace(object), name(object));
            Err(Error::Api { doing, source: Box::new(source) })
        }
        Ok(()) => Ok(()),
    }
}

/// An error with all its causes, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
