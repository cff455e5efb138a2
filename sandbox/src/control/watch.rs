//! Follows one kind of object: lists, watches from there, lists again whenever the watch is lost. What is seen goes to the loop.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::{Client, Error as KubeError};
use serde_json::Value;
use tokio::sync::mpsc::Sender;

use super::Error;
use super::world::{Change, Kind};

/// Between two attempts to list; an API server that is away for a minute is found back this soon.
const PAUSE: Duration = Duration::from_secs(1);

/// Fails if the server does not serve the kind: a controller ends at once then, as controller-runtime does when its cache cannot start.
pub(super) async fn is_served(client: &Client, kind: &Kind) -> Result<(), Error> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.resource());
    match api.list(&ListParams::default().limit(1)).await {
        Ok(_) => Ok(()),
        Err(KubeError::Api(status)) if status.code == 404 => {
            Err(Error::NotServed { kind: kind.kind, version: kind.version })
        }
        Err(source) => Err(Error::Api { doing: format!("listing {}", kind.plural), source: Box::new(source) }),
    }
}

/// Follows until nobody listens any more.
pub(super) async fn watch(client: Client, kind: &'static Kind, changes: Sender<Change>) -> Error {
    let api: Api<DynamicObject> = Api::all_with(client, &kind.resource());
    while !changes.is_closed() {
        if let Err(error) = follow(&api, kind, &changes).await {
            tracing::warn!(%error, "the watch of {} is begun anew", kind.plural);
            tokio::time::sleep(PAUSE).await;
        }
    }
    Error::WatchEnded { plural: kind.plural }
}

/// One list and the watches that go on from it, until one fails or its place in history is forgotten by the server.
async fn follow(api: &Api<DynamicObject>, kind: &'static Kind, changes: &Sender<Change>) -> Result<(), KubeError> {
    let found = api.list(&ListParams::default()).await?;
    let mut version = found.metadata.resource_version.unwrap_or_default();
    let objects = found.items.into_iter().map(|object| value(kind, object)).collect::<Result<_, _>>()?;
    if changes.send(Change::Listed(kind.kind, objects)).await.is_err() {
        return Ok(());
    }
    loop {
        let mut events = api.watch(&WatchParams::default(), &version).await?.boxed();
        while let Some(event) = events.try_next().await? {
            let change = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    version = object.metadata.resource_version.clone().unwrap_or_default();
                    Change::Put(kind.kind, value(kind, object)?)
                }
                WatchEvent::Deleted(object) => {
                    version = object.metadata.resource_version.clone().unwrap_or_default();
                    Change::Gone(kind.kind, value(kind, object)?)
                }
                WatchEvent::Bookmark(mark) => {
                    version = mark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(status) => return Err(KubeError::Api(status)),
            };
            if changes.send(change).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Lists leave out the kind of their items, and what is decided goes by it.
fn value(kind: &Kind, object: DynamicObject) -> Result<Value, KubeError> {
    let mut value = serde_json::to_value(object).map_err(KubeError::SerdeError)?;
    value["apiVersion"] = kind.version.into();
    value["kind"] = kind.kind.into();
    Ok(value)
}
