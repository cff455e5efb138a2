//! One call of any verb of a step, with everything that can go wrong around it.
//!
//! The call is polled together with the requests that the step makes, its deadline and its cancellation. A panic in a step, a
//! deadline and a stop become [`StepError`]s; the engine lives on.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use steps_sdk::context::{
    CallIdentity, Clusters, Evaluator, LogLevel, Request, RequestSender, StepContext, Surroundings,
};
use steps_sdk::native::StepHandler;
use steps_sdk::value::{ClusterName, Predicate, Span};
use steps_sdk::{Outcome, Preview, Secret, StepError, Value, Verdict};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::late::ToOpen;
use super::secrets::SecretStore;

/// How long a cancelled step may take to reach a safe point.
pub const GRACE: Duration = Duration::from_secs(10);

/// The verb that is called, with what it takes beside the inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    Preview,
    Run,
    Verify { outputs: Option<Value> },
    Release { name: String, data: Value },
}

/// What the verb answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Previewed(Preview),
    Ran(Outcome),
    Verified(Verdict),
    Released,
}

/// What a running step says that is not its answer.
#[derive(Debug)]
pub enum Said {
    Waiting {
        reason: String,
    },
    Log {
        level: LogLevel,
        message: String,
    },
    /// To be journaled; `done` is answered when it is durable.
    Memo {
        key: String,
        value: Value,
        done: oneshot::Sender<Result<(), StepError>>,
    },
    Hold {
        name: String,
        data: Value,
        done: oneshot::Sender<Result<(), StepError>>,
    },
}

/// Everything that a call needs beside its verb.
pub struct Setting {
    pub handler: Arc<dyn StepHandler>,
    pub identity: CallIdentity,
    pub inputs: Value,
    pub notes: BTreeMap<String, Value>,
    /// Those that are open.
    pub clusters: Clusters,
    /// Those that are opened first, as a part of the call.
    pub to_open: ToOpen,
    pub secrets: Arc<SecretStore>,
    pub cancel: CancellationToken,
    pub limit: Limit,
    /// What the file says in `wait for=`, for the wait after an action.
    pub wait_for: Option<Duration>,
}

impl Setting {
    /// With the kubeconfigs of clusters that steps have made.
    #[must_use]
    pub fn opening(mut self, kubeconfigs: BTreeMap<ClusterName, Secret>) -> Setting {
        self.to_open.kubeconfigs = kubeconfigs;
        self
    }
}

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// An action; a wait after it has its own clock.
    Action(Duration),
    /// The whole call is a wait.
    Wait(Duration),
}

impl Limit {
    fn duration(self) -> Duration {
        match self {
            Limit::Action(duration) | Limit::Wait(duration) => duration,
        }
    }
}

/// Calls the verb and sees it through. `said` gets what the step says meanwhile.
pub async fn call(setting: Setting, verb: Verb, said: impl Fn(Said) + Send) -> Result<Answer, StepError> {
    let Setting { handler, identity, inputs, notes, clusters, to_open, secrets, cancel, limit, wait_for } = setting;
    let (requests, inbox) = RequestSender::channel();
    let (deadline, deadline_seen) = watch::channel(Instant::now() + limit.duration());
    let owner = identity.owner.clone();
    let around = Surroundings {
        deadline: deadline_seen,
        cancel: cancel.clone(),
        notes,
        clusters,
        evaluator: Evaluator::new(evaluate),
    };
    let opener = Arc::clone(&secrets);
    let work = async move {
        let mut around = around;
        if !to_open.kubeconfigs.is_empty() {
            let opened = to_open.open(&opener).await?;
            around.clusters = Clusters::new(around.clusters.iter().cloned().chain(opened));
        }
        let context = StepContext::new(identity, requests, around);
        perform(handler.as_ref(), &context, verb, inputs).await
    };
    let work = AssertUnwindSafe(work).catch_unwind();
    let desk = Desk { inbox, deadline, limit, wait_for, waited_for: None, owner, secrets, said };
    tokio::pin!(work);
    desk.attend(work, cancel).await
}

async fn perform(handler: &dyn StepHandler, cx: &StepContext, verb: Verb, inputs: Value) -> Result<Answer, StepError> {
    Ok(match verb {
        Verb::Preview => Answer::Previewed(handler.preview(cx, inputs).await?),
        Verb::Run => Answer::Ran(handler.run(cx, inputs).await?),
        Verb::Verify { outputs } => Answer::Verified(handler.verify(cx, inputs, outputs).await?),
        Verb::Release { name, data } => {
            handler.release(cx, &name, data).await?;
            Answer::Released
        }
    })
}

/// Where the requests of one call arrive.
struct Desk<F> {
    inbox: mpsc::UnboundedReceiver<Request>,
    deadline: watch::Sender<Instant>,
    limit: Limit,
    wait_for: Option<Duration>,
    waited_for: Option<String>,
    owner: String,
    secrets: Arc<SecretStore>,
    said: F,
}

type Caught = Result<Result<Answer, StepError>, Box<dyn Any + Send>>;

impl<F: Fn(Said) + Send> Desk<F> {
    async fn attend(
        mut self,
        mut work: impl Future<Output = Caught> + Unpin,
        cancel: CancellationToken,
    ) -> Result<Answer, StepError> {
        let mut grace_ends: Option<Instant> = None;
        loop {
            let ends = *self.deadline.borrow();
            let ends = grace_ends.map_or(ends, |grace| grace.min(ends));
            tokio::select! {
                // The answer first: a call that ends in the same moment as its deadline has ended.
                biased;
                caught = &mut work => return self.answer(caught),
                Some(request) = self.inbox.recv() => self.serve(request).await,
                () = cancel.cancelled(), if grace_ends.is_none() => grace_ends = Some(Instant::now() + GRACE),
                () = tokio::time::sleep_until(ends) => return Err(self.out_of_time(grace_ends.is_some())),
            }
        }
    }

    /// Requests that were sent in the same breath as the answer are still worth telling.
    fn answer(&mut self, caught: Caught) -> Result<Answer, StepError> {
        while let Ok(request) = self.inbox.try_recv() {
            if let Request::Log { level, message } = request {
                (self.said)(Said::Log { level, message });
            }
        }
        caught.unwrap_or_else(|panic| Err(panicked(panic.as_ref())))
    }

    async fn serve(&mut self, request: Request) {
        match request {
            // Many steps say it with each look; only a new reason is news.
            Request::Waiting { reason } if self.waited_for.as_ref() == Some(&reason) => {}
            Request::Waiting { reason } => {
                self.waited_for = Some(reason.clone());
                (self.said)(Said::Waiting { reason });
            }
            Request::Log { level, message } => (self.said)(Said::Log { level, message }),
            Request::BeginWait { limit } => {
                let limit = self.wait_for.unwrap_or(limit);
                self.limit = Limit::Wait(limit);
                self.deadline.send_replace(Instant::now() + limit);
            }
            Request::MemoPut { key, value, done } => (self.said)(Said::Memo { key, value, done }),
            Request::HoldTake { name, data, done } => (self.said)(Said::Hold { name, data, done }),
            // A step that no longer listens for its answer has ended by itself; `attend` will see that next.
            Request::SecretOpen { secret, done } => drop(done.send(self.secrets.open(&secret).await)),
            Request::SecretKept { name, done } => drop(done.send(self.secrets.kept(&self.owner, &name).await)),
            Request::SecretKeep { name, bytes, done } => {
                drop(done.send(self.secrets.keep(&self.owner, &name, bytes).await))
            }
        }
    }

    fn out_of_time(&self, stopping: bool) -> StepError {
        if stopping {
            return StepError::transient(
                "E130",
                format!("did not reach a safe point within {} s of the stop", GRACE.as_secs()),
            );
        }
        let limit = Span(self.limit.duration());
        let mut error = match self.limit {
            // The next attempt would wait for the same thing again: more time is for a person to give.
            Limit::Wait(_) => StepError::permanent("E102", format!("still waiting after {limit}"))
                .help("if it only needs more time, raise `wait for=` of the step; resume waits again"),
            Limit::Action(_) => StepError::transient("E101", format!("did not end within its timeout of {limit}"))
                .help("raise `timeout` of the step, or find out what keeps it"),
        };
        error.causes.extend(self.waited_for.clone());
        error
    }
}

fn panicked(panic: &(dyn Any + Send)) -> StepError {
    let words =
        panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    StepError::permanent("E100", "the step's own code failed")
        .cause(words.unwrap_or_else(|| "it gave no message".into()))
        .help("this is a bug in the kind; please report it with the file that shows it")
}

/// What a step's `cx.eval` does.
fn evaluate(predicate: &Predicate, object: &Value) -> Result<bool, StepError> {
    let refuse = |e: &dyn std::error::Error| {
        StepError::permanent("E103", format!("the condition `{}` cannot be evaluated", predicate.0)).caused_by(e)
    };
    let condition = engine_core::expr::predicate::parse(&predicate.0).map_err(|e| refuse(&e))?;
    engine_core::expr::predicate::holds(&condition, object).map_err(|e| refuse(&e))
}
