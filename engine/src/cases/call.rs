//! One call of one verb, as the engine would make it, with everything that the step says meanwhile.
//!
//! The caller's runtime keeps the time: where it is paused, time passes by itself as soon as the step only waits, so that a step
//! which waits for minutes is tested in milliseconds, and one which waits for ever meets its deadline at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use steps_sdk::context::{
    CallIdentity, ClusterHandle, Clusters, Evaluator, LogLevel, Request, RequestSender, SecretBytes, StepContext,
    Surroundings,
};
use steps_sdk::native::StepHandler;
use steps_sdk::value::{Predicate, Span};
use steps_sdk::{Outcome, Preview, Secret, StepError, Value, Verdict};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::case::{Case, Verb};

/// What a call needs beside the case.
pub struct Stage<'s> {
    pub handler: Arc<dyn StepHandler>,
    pub clusters: Clusters,
    /// Opens a secret that a grant injects.
    pub secrets: &'s (dyn Fn(&Secret) -> Result<SecretBytes, StepError> + Sync),
}

/// What came of it.
#[derive(Debug)]
pub struct Happened {
    pub ended: Result<Ended, StepError>,
    pub waiting: Vec<String>,
    pub log: Vec<(LogLevel, String)>,
    /// In their order; a key may be there more than once.
    pub memos: Vec<(String, Value)>,
    pub holds: Vec<(String, Value)>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Ran(Outcome),
    Previewed(Preview),
    Verified(Verdict),
    Undone(String),
    Released,
}

pub async fn carry_out(case: &Case, stage: Stage<'_>) -> Happened {
    let Stage { handler, clusters, secrets } = stage;
    let (requests, inbox) = RequestSender::channel();
    let (deadline, seen) = watch::channel(Instant::now() + case.time);
    let around = Surroundings {
        deadline: seen,
        cancel: CancellationToken::new(),
        notes: case.notes.clone(),
        clusters,
        evaluator: Evaluator::new(evaluate),
    };
    let name = &case.name.value;
    let identity = CallIdentity {
        run: "case".to_owned(),
        step: name.clone(),
        owner: format!("engine/case/{name}"),
        once: format!("case-{name}-once"),
        attempt: case.attempt,
        on: case.on.clone(),
    };
    let context = StepContext::new(identity, requests, around);
    let mut listener = Listener {
        inbox,
        deadline,
        secrets,
        kept: BTreeMap::new(),
        happened: Happened {
            // What is there before the call has ended; replaced below.
            ended: Ok(Ended::Released),
            waiting: Vec::new(),
            log: Vec::new(),
            memos: Vec::new(),
            holds: Vec::new(),
        },
    };
    let work = perform(handler.as_ref(), &context, case);
    let ended = listener.attend(work, case).await;
    listener.drain();
    Happened { ended, ..listener.happened }
}

async fn perform(handler: &dyn StepHandler, cx: &StepContext, case: &Case) -> Result<Ended, StepError> {
    let inputs = case.inputs.clone();
    Ok(match &case.verb {
        Verb::Run => Ended::Ran(handler.run(cx, inputs).await?),
        Verb::Preview => Ended::Previewed(handler.preview(cx, inputs).await?),
        Verb::Verify(outputs) => Ended::Verified(handler.verify(cx, inputs, outputs.clone()).await?),
        Verb::Undo(outputs) => Ended::Undone(handler.undo(cx, inputs, outputs.clone()).await?),
        Verb::Release { name, data } => {
            handler.release(cx, name, data.clone()).await?;
            Ended::Released
        }
    })
}

struct Listener<'s> {
    inbox: mpsc::UnboundedReceiver<Request>,
    deadline: watch::Sender<Instant>,
    secrets: &'s (dyn Fn(&Secret) -> Result<SecretBytes, StepError> + Sync),
    kept: BTreeMap<String, SecretBytes>,
    happened: Happened,
}

impl Listener<'_> {
    async fn attend(
        &mut self,
        work: impl Future<Output = Result<Ended, StepError>>,
        case: &Case,
    ) -> Result<Ended, StepError> {
        tokio::pin!(work);
        loop {
            let ends = *self.deadline.borrow();
            tokio::select! {
                biased;
                ended = &mut work => return ended,
                Some(request) = self.inbox.recv() => self.serve(request),
                () = tokio::time::sleep_until(ends) => return Err(out_of_time(case, self.happened.waiting.last())),
            }
        }
    }

    /// What was said in the same breath as the answer.
    fn drain(&mut self) {
        while let Ok(request) = self.inbox.try_recv() {
            self.serve(request);
        }
    }

    fn serve(&mut self, request: Request) {
        let happened = &mut self.happened;
        match request {
            Request::Waiting { reason } if happened.waiting.last() == Some(&reason) => {}
            Request::Waiting { reason } => happened.waiting.push(reason),
            Request::Log { level, message } => happened.log.push((level, message)),
            Request::BeginWait { limit } => drop(self.deadline.send_replace(Instant::now() + limit)),
            // A step that no longer listens has ended by itself.
            Request::MemoPut { key, value, done } => {
                happened.memos.push((key, value));
                drop(done.send(Ok(())));
            }
            Request::HoldTake { name, data, done } => {
                happened.holds.push((name, data));
                drop(done.send(Ok(())));
            }
            Request::SecretOpen { secret, done } => drop(done.send((self.secrets)(&secret))),
            Request::SecretKept { name, done } => drop(done.send(Ok(self.kept.get(&name).cloned()))),
            Request::SecretKeep { name, bytes, done } => {
                self.kept.insert(name, bytes);
                drop(done.send(Ok(())));
            }
        }
    }
}

fn out_of_time(case: &Case, waited_for: Option<&String>) -> StepError {
    let limit = Span(case.time);
    let mut error = if case.is_wait {
        StepError::permanent("E102", format!("still waiting after {limit}"))
    } else {
        StepError::transient("E101", format!("did not end within its timeout of {limit}"))
    };
    error.causes.extend(waited_for.cloned());
    error
}

fn evaluate(predicate: &Predicate, object: &Value) -> Result<bool, StepError> {
    let refuse = |e: &dyn std::error::Error| {
        StepError::permanent("E103", format!("the condition `{}` cannot be evaluated", predicate.0)).caused_by(e)
    };
    let condition = engine_core::expr::predicate::parse(&predicate.0).map_err(|e| refuse(&e))?;
    engine_core::expr::predicate::holds(&condition, object).map_err(|e| refuse(&e))
}

/// Handles of clusters that nobody reaches: the mocked host answers in their name. To be called inside of a runtime.
pub fn stand_ins(case: &Case) -> Result<Clusters, StepError> {
    let handle = |name: &str| {
        let nowhere = "http://cluster.invalid".parse().expect("an address");
        let client = kube::Client::try_from(kube::Config::new(nowhere))
            .map_err(|e| StepError::permanent("A120", "a stand-in for a cluster cannot be made").caused_by(&e))?;
        let refuse = Arc::new(|| Err(StepError::permanent("A120", "a cluster of a case has no kubeconfig")));
        Ok(ClusterHandle::new(name.to_owned(), format!("case-{name}"), client, refuse))
    };
    let handles: Result<Vec<ClusterHandle>, StepError> = case.clusters.iter().map(|name| handle(&name.0)).collect();
    handles.map(Clusters::new)
}

/// What stands for a secret in a case: nobody's secret.
pub fn stand_in_secret(secret: &Secret) -> Result<SecretBytes, StepError> {
    let word: String = secret.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    Ok(SecretBytes::new(format!("case-{word}").into_bytes()))
}
