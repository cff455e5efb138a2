//! Waits until an object is as it should be: a loop of its own, since the ready-made ones end at the first watch error or never.
//!
//! Each round lists the one object, judges it, and watches from there; a watch that ends, breaks or stays silent leads to the next
//! round. Absence is waiting: no object yet, no kind yet, no API server just now. It ends early on what is known to be final
//! (`readiness.rs`), and a little before its limit, so that the last word is the reason and not the clock.

use std::time::Duration;

use futures::TryStreamExt;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::Request;
use serde_json::Value;
use steps_sdk::value::Span;
use steps_sdk::{ErrorClass, StepError};
use tokio::time::Instant;

use super::Cluster;
use super::classify;
use super::goal::{self, Goal};
use super::readiness::State;
use super::reference::ObjectRef;
use super::request::{Asked, Failure, LAST_WORDS};

/// A watch is asked to end after this time, and given up a little later: a connection that has died says nothing.
const WATCH_SECONDS: u32 = 25;
const WATCH_MAX: Duration = Duration::from_secs(30);

const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// One wait for one object.
pub(crate) struct Wait<'a> {
    cluster: &'a Cluster<'a>,
    reference: &'a ObjectRef,
    began: Instant,
    /// When to give up, if before the call's own end.
    until: Option<Instant>,
    /// Why it is not there yet, as it was told last.
    reason: Option<String>,
    pause: Duration,
}

/// How a round ended.
enum Round {
    Reached(Option<Value>),
    /// The watch ended as watches do: look again at once.
    Again,
    /// Something is in the way: look again after a pause.
    Later,
}

impl<'a> Wait<'a> {
    pub(crate) fn new(cluster: &'a Cluster<'a>, reference: &'a ObjectRef) -> Self {
        Wait { cluster, reference, began: Instant::now(), until: None, reason: None, pause: PAUSE_FIRST }
    }

    /// Gives up after this time, or at the end of the call if that is earlier.
    pub(crate) fn within(self, limit: Duration) -> Self {
        Wait { until: Some(self.began + limit), ..self }
    }

    /// Waits until all goals hold at once; answers the object as it was then seen, `None` if it is not there.
    pub(crate) async fn until(mut self, goals: &[Goal]) -> Result<Option<Value>, StepError> {
        let cluster = self.cluster;
        let reached = tokio::select! {
            biased;
            () = cluster.cx.cancel.cancelled() => Some(Err(self.stopped())),
            // Before the rounds: a request that is cut off by the end of the time is no news.
            () = out_of_time(cluster, self.until) => None,
            reached = self.rounds(goals) => Some(reached),
        };
        reached.unwrap_or_else(|| Err(self.expired(&goal::in_words(goals))))
    }

    /// Waits until the API server knows the object's kind.
    pub(crate) async fn until_served(mut self) -> Result<(), StepError> {
        while self.cluster.served(self.reference).await?.is_none() {
            self.tell(format!(
                "cluster {} does not serve the kind {} of {} yet",
                self.cluster.name, self.reference.kind, self.reference.api_version
            ));
            if self.pause > self.cluster.time_left() {
                return Err(classify::not_served(self.cluster.name, self.reference));
            }
            self.rest().await?;
        }
        Ok(())
    }

    async fn rounds(&mut self, goals: &[Goal]) -> Result<Option<Value>, StepError> {
        loop {
            match self.round(goals).await {
                Ok(Round::Reached(object)) => return Ok(object),
                Ok(Round::Again) => {}
                Ok(Round::Later) => self.rest().await?,
                Err(error) if error.class == ErrorClass::Transient && error.code != "E130" => {
                    let seen = self
                        .reason
                        .as_deref()
                        .and_then(|reason| reason.split("; last seen: ").last())
                        .map(|reason| format!("; last seen: {reason}"));
                    self.tell(format!("{}{}", error.message, seen.unwrap_or_default()));
                    self.rest().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn round(&mut self, goals: &[Goal]) -> Result<Round, StepError> {
        let Some(served) = self.cluster.served(self.reference).await? else {
            return self.judge(goals, None, Round::Later);
        };
        if served.is_namespaced && self.reference.namespace.is_none() {
            self.cluster.must_be_served(self.reference).await?;
        }
        let collection = served.collection(self.reference);
        let asked = Asked { verb: "list", object: self.reference, resource: Some(&served) };
        let only = format!("metadata.name={}", self.reference.name);
        let params = ListParams::default().fields(&only);
        let list = self
            .cluster
            .ask_if_there(&asked, || async {
                let request = collection.list(&params).map_err(kube::Error::BuildRequest)?;
                self.cluster.client.request::<Value>(request).await
            })
            .await?;
        let Some(list) = list else {
            self.cluster.forget_kind(self.reference);
            return self.judge(goals, None, Round::Later);
        };
        let version = list.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        // Items of a list do not say what they are; a single object does.
        let object = list.pointer("/items/0").cloned().map(|object| self.completed(object));
        match self.judge(goals, object, Round::Again)? {
            Round::Again => self.watch(goals, &collection, &asked, &only, &version).await,
            reached => Ok(reached),
        }
    }

    async fn watch(
        &mut self,
        goals: &[Goal],
        collection: &Request,
        asked: &Asked<'_>,
        only: &str,
        version: &str,
    ) -> Result<Round, StepError> {
        let params = WatchParams::default().fields(only).timeout(WATCH_SECONDS);
        let cluster = self.cluster;
        let open = async {
            let request = collection.watch(&params, version).map_err(kube::Error::BuildRequest)?;
            cluster.client.request_events::<Value>(request).await
        };
        let began = Instant::now();
        let classified = |failure: Failure| classify::failure(cluster.name, asked, &failure);
        let mut events = std::pin::pin!(cluster.bounded(WATCH_MAX, open).await.map_err(classified)?);
        loop {
            let left = WATCH_MAX.saturating_sub(began.elapsed());
            let seen = match cluster.bounded(left, events.try_next()).await {
                Ok(Some(WatchEvent::Added(object) | WatchEvent::Modified(object))) => Some(object),
                Ok(Some(WatchEvent::Deleted(_))) => None,
                Ok(Some(WatchEvent::Bookmark(_))) => continue,
                // The version is too old to watch from: a new list gives a new one.
                Ok(Some(WatchEvent::Error(status))) if status.code == 410 => return Ok(Round::Again),
                Ok(Some(WatchEvent::Error(status))) => return Err(classify::answer(cluster.name, asked, &status)),
                Err(Failure::Stopped) => return Err(classified(Failure::Stopped)),
                // An end that comes at once, again and again, must not become a storm of lists.
                Ok(None) | Err(_) if began.elapsed() < PAUSE_FIRST => return Ok(Round::Later),
                Ok(None) | Err(_) => return Ok(Round::Again),
            };
            self.pause = PAUSE_FIRST;
            match self.judge(goals, seen, Round::Again)? {
                Round::Again => {}
                reached => return Ok(reached),
            }
        }
    }

    /// `otherwise` when the goal is not reached.
    fn judge(&mut self, goals: &[Goal], object: Option<Value>, otherwise: Round) -> Result<Round, StepError> {
        match goal::state(self.cluster, self.reference, goals, object.as_ref())? {
            State::Reached => Ok(Round::Reached(object)),
            State::NotYet(reason) => {
                self.tell(format!("{}: {reason}", self.reference));
                Ok(otherwise)
            }
            State::Failed(reason) => Err(self.failed(&reason)),
        }
    }

    fn completed(&self, mut object: Value) -> Value {
        if let Some(fields) = object.as_object_mut() {
            fields.entry("apiVersion").or_insert_with(|| Value::String(self.reference.api_version.clone()));
            fields.entry("kind").or_insert_with(|| Value::String(self.reference.kind.clone()));
        }
        object
    }

    /// Only a new reason is told: who shows it counts its age.
    fn tell(&mut self, reason: String) {
        if self.reason.as_ref() != Some(&reason) {
            self.cluster.cx.progress.waiting(reason.clone());
            self.reason = Some(reason);
        }
    }

    async fn rest(&mut self) -> Result<(), StepError> {
        self.cluster.cx.clock.sleep(self.pause, &self.cluster.cx.cancel).await?;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        Ok(())
    }

    fn stopped(&self) -> StepError {
        StepError::transient("E130", format!("stopped while waiting for {}", self.reference))
    }

    fn failed(&self, reason: &str) -> StepError {
        let message = format!("{} on cluster `{}` has failed: {reason}", self.reference, self.cluster.name);
        StepError::permanent("K205", message)
            .help("waiting does not change this: see the object's events and logs, remove the cause, then resume")
    }

    fn expired(&self, goal: &str) -> StepError {
        let left_for_words = if self.until.is_some() { Duration::ZERO } else { LAST_WORDS };
        let waited = (self.began.elapsed() + left_for_words).as_secs_f64().round() as u64;
        let limit = Span(Duration::from_secs(waited));
        let error = StepError::permanent(
            "K204",
            format!("{} on cluster `{}` did not {goal} within {limit}", self.reference, self.cluster.name),
        )
        .help("see what holds it up; when that is solved, or with a longer `wait for=…`, resume");
        match &self.reason {
            Some(reason) => error.cause(format!("last seen: {reason}")),
            None => error.cause("the cluster gave no answer in that time"),
        }
    }
}

/// Ends when the wait's own time is up, or the call's, but for its last words. The call's deadline may move while this waits.
async fn out_of_time(cluster: &Cluster<'_>, until: Option<Instant>) {
    let left = || {
        let own = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        cluster.time_left().min(own)
    };
    while !left().is_zero() {
        tokio::time::sleep(left()).await;
    }
}
