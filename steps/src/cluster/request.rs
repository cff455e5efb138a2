//! One request to an API server: at most thirty seconds, never longer than the call has left, ended by cancellation.
//!
//! What an answer means is decided in `classify.rs`; repeating a failed request is the engine's business (the step's `retry`).
//! One exception: 429 says that nothing was done and when to come back, so it is taken at its word here, in the open.

use std::future::Future;
use std::time::Duration;

use kube::api::GetParams;
use serde_json::Value;
use steps_sdk::StepError;

use super::Cluster;
use super::classify;
use super::discovery::Served;
use super::reference::ObjectRef;

/// No answer takes longer than this.
pub(crate) const REQUEST_MAX: Duration = Duration::from_secs(30);

/// Left at the end of a call for saying what was seen last: the engine's own end of a call can only say that time is up.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(200);

const BUSY_ANSWERS_MAX: u32 = 5;

/// What is being asked, for messages.
pub(crate) struct Asked<'a> {
    /// As RBAC names it: get, list, watch, patch, delete.
    pub(crate) verb: &'static str,
    pub(crate) object: &'a ObjectRef,
    /// Where its kind is served, once that is known.
    pub(crate) resource: Option<&'a Served>,
}

/// Why a request brought no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    Answered(kube::Error),
    TimedOut(Duration),
    Stopped,
}

impl Failure {
    /// HTTP status of the answer, if there was one.
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Failure::Answered(kube::Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }
}

impl Cluster<'_> {
    /// Sends a request; `None` for 404, any other failure is classified.
    pub(crate) async fn ask_if_there<T, F>(
        &self,
        asked: &Asked<'_>,
        send: impl Fn() -> F,
    ) -> Result<Option<T>, StepError>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        match self.try_ask(send).await {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.status() == Some(404) => Ok(None),
            Err(failure) => Err(classify::failure(self.name, asked, &failure)),
        }
    }

    /// The live object; `None` if it is not there.
    pub(crate) async fn live(&self, reference: &ObjectRef, served: &Served) -> Result<Option<Value>, StepError> {
        let asked = Asked { verb: "get", object: reference, resource: Some(served) };
        self.ask_if_there(&asked, || async {
            let request = served
                .collection(reference)
                .get(&reference.name, &GetParams::default())
                .map_err(kube::Error::BuildRequest)?;
            self.client.request::<Value>(request).await
        })
        .await
    }

    /// Like [`Cluster::ask_if_there`], for who wants to look at the failure.
    pub(crate) async fn try_ask<T, F>(&self, send: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, kube::Error>>,
    {
        let mut busy_answers = 0;
        loop {
            match self.bounded(REQUEST_MAX, send()).await {
                Err(Failure::Answered(kube::Error::Api(status)))
                    if status.code == 429 && busy_answers < BUSY_ANSWERS_MAX =>
                {
                    busy_answers += 1;
                    let asked_for = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
                    let pause = Duration::from_secs(u64::from(asked_for)).max(Duration::from_millis(500));
                    if pause >= self.time_left() {
                        return Err(Failure::Answered(kube::Error::Api(status)));
                    }
                    self.cx.progress.waiting(format!("cluster {} asks to wait: {}", self.name, status.message));
                    self.cx.clock.sleep(pause, &self.cx.cancel).await.map_err(|_| Failure::Stopped)?;
                }
                answer => return answer,
            }
        }
    }

    /// Any future over this cluster, under the deadline and cancellation of the call.
    pub(crate) async fn bounded<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Failure> {
        let limit = limit.min(self.time_left());
        tokio::select! {
            biased;
            () = self.cx.cancel.cancelled() => Err(Failure::Stopped),
            answer = answer => answer.map_err(Failure::Answered),
            () = tokio::time::sleep(limit) => Err(Failure::TimedOut(limit)),
        }
    }

    /// What this call has left, less the time for its last words.
    pub(crate) fn time_left(&self) -> Duration {
        self.cx.clock.remaining().saturating_sub(LAST_WORDS)
    }
}
