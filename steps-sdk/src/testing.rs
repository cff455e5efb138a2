//! A stand-in for the engine in tests of steps: it answers, in memory, what a step asks of its context, and runs the generic
//! tests that every step must pass, native or WASM (run twice; killed anywhere, stopped anywhere and run again; each question and
//! each call failing once; undone twice; holds given back twice).
//!
//! The world that a step changes is not here: a test brings its own (a directory, a zone, an API server).
//!
//! Only with the feature `testing`, for dev-dependencies.
//!
//! ```
//! use async_trait::async_trait;
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use steps_sdk::StepError;
//! use steps_sdk::context::StepContext;
//! use steps_sdk::native::{Done, Step};
//! use steps_sdk::spec::About;
//! use steps_sdk::testing::{Rig, World, runs_twice, survives_kills, survives_refusals};
//!
//! struct Count;
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Nothing {}
//!
//! #[async_trait]
//! impl Step for Count {
//!     type Inputs = Nothing;
//!     type Outputs = Nothing;
//!
//!     fn about(&self) -> About {
//!         About::converging("example.count", "Notes that it was here.")
//!     }
//!
//!     async fn run(&self, cx: &StepContext, _: Nothing) -> Result<Done<Nothing>, StepError> {
//!         if cx.memo.get("here").is_some() {
//!             return Ok(Done::same(Nothing {}, "was here"));
//!         }
//!         cx.memo.put("here", true.into()).await?;
//!         Ok(Done::changed(Nothing {}, "is here"))
//!     }
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(async {
//! let make = async || World { rig: Rig::new(), inputs: serde_json::json!({}), outside: () };
//! runs_twice(&Count, &make().await).await;
//! let noted = async |world: &World<()>, _: &_| assert_eq!(world.rig.note("here"), Some(true.into()));
//! survives_kills(&Count, make, noted).await;
//! survives_refusals(&Count, make, noted).await;
//! # });
//! ```

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use crate::context::{
    CallIdentity, Clusters, Evaluator, LogLevel, Request, RequestSender, SecretBytes, StepContext, Surroundings,
};
use crate::native::StepHandler;
use crate::value::ClusterName;
use crate::{ErrorClass, Outcome, Preview, Secret, StepError, Value, Verdict};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An engine of one step. What it remembers (notes, kept secrets) outlives a call, as the journal does.
pub struct Rig {
    pub call: CallIdentity,
    pub clusters: Clusters,
    pub cancel: CancellationToken,
    /// How long a call may take.
    pub limit: Duration,
    /// Answers the conditions of a file; without one, asking is an error.
    evaluator: Evaluator,
    engine: Arc<Mutex<Engine>>,
}

#[derive(Default)]
struct Engine {
    notes: BTreeMap<String, Value>,
    holds: BTreeMap<String, Value>,
    /// By owner key and name: shared between rigs that stand for steps of one engine.
    kept: BTreeMap<(String, String), SecretBytes>,
    secrets: BTreeMap<Secret, SecretBytes>,
    log: Vec<(LogLevel, String)>,
    waits: Vec<String>,
    /// Questions asked so far, and the one that is answered with an error.
    asked: usize,
    fails_at: Option<usize>,
}

impl Default for Rig {
    fn default() -> Rig {
        Rig::new()
    }
}

impl Rig {
    pub fn new() -> Rig {
        Rig::of_step("step")
    }

    /// `step` names the call, so that two rigs of one engine do not share an owner key.
    pub fn of_step(step: &str) -> Rig {
        let call = CallIdentity {
            run: "r1".to_owned(),
            step: step.to_owned(),
            owner: format!("engine/test/{step}"),
            once: format!("once-{step}"),
            attempt: 1,
            on: None,
        };
        Rig {
            call,
            clusters: Clusters::default(),
            cancel: CancellationToken::new(),
            limit: Duration::from_secs(60),
            evaluator: Evaluator::new(|predicate, _| {
                Err(StepError::permanent("E000", format!("no evaluator for {predicate:?} in this test")))
            }),
            engine: Arc::default(),
        }
    }

    /// Another step of the same engine: it can open what this one kept.
    pub fn beside(&self, step: &str) -> Rig {
        Rig { engine: Arc::clone(&self.engine), ..Rig::of_step(step) }
    }

    pub fn with_secret(self, secret: Secret, bytes: &[u8]) -> Rig {
        self.engine().secrets.insert(secret, SecretBytes::new(bytes.to_vec()));
        self
    }

    pub fn with_clusters(self, clusters: Clusters) -> Rig {
        Rig { clusters, ..self }
    }

    /// A call may take this long.
    pub fn with_limit(self, limit: Duration) -> Rig {
        Rig { limit, ..self }
    }

    /// The step has `on=CLUSTER`.
    pub fn on(mut self, cluster: &str) -> Rig {
        self.call.on = Some(ClusterName(cluster.to_owned()));
        self
    }

    /// `holds` stands in for the engine's expressions.
    pub fn with_evaluator(self, holds: fn(&str, &Value) -> bool) -> Rig {
        Rig { evaluator: Evaluator::new(move |predicate, object| Ok(holds(&predicate.0, object))), ..self }
    }

    /// What an earlier attempt noted.
    pub fn with_note(self, key: &str, value: Value) -> Rig {
        self.engine().notes.insert(key.to_owned(), value);
        self
    }

    /// The n-th question from now on is answered with an error.
    pub fn failing_at(self, number: usize) -> Rig {
        let mut engine = self.engine();
        engine.fails_at = Some(engine.asked + number);
        drop(engine);
        self
    }

    pub fn note(&self, key: &str) -> Option<Value> {
        self.engine().notes.get(key).cloned()
    }

    /// What this step keeps in the keystore under `name`.
    pub fn kept(&self, name: &str) -> Option<SecretBytes> {
        self.engine().kept.get(&(self.call.owner.clone(), name.to_owned())).cloned()
    }

    /// What the step took and has not given back, with its data.
    pub fn holds(&self) -> BTreeMap<String, Value> {
        self.engine().holds.clone()
    }

    /// Gives back every hold, the way the engine does at the end of a step: it is forgotten when the step has done its part.
    pub async fn release(&self, step: &dyn StepHandler) -> Result<(), StepError> {
        for (name, data) in self.holds() {
            self.answering(async |cx| step.release(cx, &name, data).await).await?;
            self.engine().holds.remove(&name);
        }
        Ok(())
    }

    /// The step's log lines so far.
    pub fn log(&self) -> Vec<String> {
        self.engine().log.iter().map(|(_, line)| line.clone()).collect()
    }

    /// The wait reasons so far.
    pub fn waits(&self) -> Vec<String> {
        self.engine().waits.clone()
    }

    pub async fn run(&self, step: &dyn StepHandler, inputs: &Value) -> Result<Outcome, StepError> {
        self.answering(async |cx| step.run(cx, inputs.clone()).await).await
    }

    pub async fn preview(&self, step: &dyn StepHandler, inputs: &Value) -> Result<Preview, StepError> {
        self.answering(async |cx| step.preview(cx, inputs.clone()).await).await
    }

    pub async fn verify(
        &self,
        step: &dyn StepHandler,
        inputs: &Value,
        outputs: Option<&Value>,
    ) -> Result<Verdict, StepError> {
        self.answering(async |cx| step.verify(cx, inputs.clone(), outputs.cloned()).await).await
    }

    pub async fn undo(
        &self,
        step: &dyn StepHandler,
        inputs: &Value,
        outputs: Option<&Value>,
    ) -> Result<String, StepError> {
        self.answering(async |cx| step.undo(cx, inputs.clone(), outputs.cloned()).await).await
    }

    /// Runs `call` with a context whose questions are answered by this rig, in the same task: dropping the future kills both.
    pub async fn answering<T>(&self, call: impl AsyncFnOnce(&StepContext) -> T) -> T {
        let (requests, mut line) = RequestSender::channel();
        let (deadline, seen) = watch::channel(Instant::now() + self.limit);
        let around = Surroundings {
            deadline: seen,
            cancel: self.cancel.clone(),
            notes: self.engine().notes.clone(),
            clusters: self.clusters.clone(),
            evaluator: self.evaluator.clone(),
        };
        let cx = StepContext::new(self.call.clone(), requests, around);
        tokio::select! {
            biased;
            done = call(&cx) => {
                while let Ok(request) = line.try_recv() {
                    self.answer(request, &deadline);
                }
                done
            }
            never = self.answer_all(&mut line, &deadline) => match never {},
        }
    }

    async fn answer_all(
        &self,
        line: &mut mpsc::UnboundedReceiver<Request>,
        deadline: &watch::Sender<Instant>,
    ) -> std::convert::Infallible {
        while let Some(request) = line.recv().await {
            self.answer(request, deadline);
        }
        std::future::pending().await
    }

    fn answer(&self, request: Request, deadline: &watch::Sender<Instant>) {
        let mut engine = self.engine();
        let owner = &self.call.owner;
        match request {
            Request::Waiting { reason } => engine.waits.push(reason),
            Request::Log { level, message } => engine.log.push((level, message)),
            Request::BeginWait { limit } => drop(deadline.send(Instant::now() + limit)),
            Request::MemoPut { key, value, done } => {
                let answer = engine.next_answer().map(|()| drop(engine.notes.insert(key, value)));
                drop(done.send(answer));
            }
            Request::HoldTake { name, data, done } => {
                let answer = engine.next_answer().map(|()| drop(engine.holds.insert(name, data)));
                drop(done.send(answer));
            }
            Request::SecretOpen { secret, done } => {
                let answer = engine.next_answer().and_then(|()| engine.open(&secret));
                drop(done.send(answer));
            }
            Request::SecretKept { name, done } => {
                let answer = engine.next_answer().map(|()| engine.kept.get(&(owner.clone(), name)).cloned());
                drop(done.send(answer));
            }
            Request::SecretKeep { name, bytes, done } => {
                let answer = engine.next_answer().map(|()| drop(engine.kept.insert((owner.clone(), name), bytes)));
                drop(done.send(answer));
            }
        }
    }

    fn engine(&self) -> std::sync::MutexGuard<'_, Engine> {
        self.engine.lock().expect("no test panics while it holds the engine")
    }
}

impl Engine {
    /// Counts the question; the error if this is the one that fails.
    fn next_answer(&mut self) -> Result<(), StepError> {
        self.asked += 1;
        match self.fails_at {
            Some(number) if number == self.asked => {
                Err(StepError::transient("E000", format!("question {number} fails in this test")))
            }
            _ => Ok(()),
        }
    }

    fn open(&self, secret: &Secret) -> Result<SecretBytes, StepError> {
        let found = match secret {
            Secret::Sealed { owner, name } => self.kept.get(&(owner.clone(), name.clone())),
            elsewhere => self.secrets.get(elsewhere),
        };
        found.cloned().ok_or_else(|| StepError::permanent("S000", format!("there is no {secret} in this test")))
    }
}

/// A world that a step can change, with everything that must stay alive beside it.
pub struct World<W> {
    pub rig: Rig,
    pub inputs: Value,
    pub outside: W,
}

/// The first two runs: the second finds everything as the first left it, and says so. Returns the first outcome.
pub async fn runs_twice<W>(step: &dyn StepHandler, world: &World<W>) -> Outcome {
    let first = world.rig.run(step, &world.inputs).await.expect("the first run");
    let second = world.rig.run(step, &world.inputs).await.expect("the second run");
    assert!(second.same, "the second run changed something: {}", second.summary);
    assert_eq!(second.outputs, first.outputs, "outputs of the second run");
    first
}

/// For every number of steps that the call's future may make: a fresh world, the call dropped there, and run again to its end.
/// `check` looks at each world afterwards.
pub async fn survives_kills<W>(
    step: &dyn StepHandler,
    make: impl AsyncFn() -> World<W>,
    check: impl AsyncFn(&World<W>, &Outcome),
) {
    for polls in 1.. {
        let world = make().await;
        let killed = polled(world.rig.run(step, &world.inputs), polls).await.is_none();
        let outcome = world
            .rig
            .run(step, &world.inputs)
            .await
            .unwrap_or_else(|error| panic!("run again after a kill at {polls}: {error:?}"));
        check(&world, &outcome).await;
        if !killed {
            return;
        }
    }
}

/// For every number of steps that the call's future may make: a fresh world, the step asked to stop there, and run again to its end.
/// Whoever is asked to stop ends, well or not, within ten seconds.
pub async fn survives_stops<W>(
    step: &dyn StepHandler,
    make: impl AsyncFn() -> World<W>,
    check: impl AsyncFn(&World<W>, &Outcome),
) {
    for polls in 1.. {
        let mut world = make().await;
        let stop = world.rig.cancel.clone();
        let stopping = stopped_at(world.rig.run(step, &world.inputs), polls, &stop);
        let ended = tokio::time::timeout(Duration::from_secs(10), stopping).await;
        ended.unwrap_or_else(|_| panic!("it goes on, ten seconds after it was asked to stop at {polls}")).ok();
        let was_stopped = stop.is_cancelled();
        world.rig.cancel = CancellationToken::new();
        let outcome = world
            .rig
            .run(step, &world.inputs)
            .await
            .unwrap_or_else(|error| panic!("run again after a stop at {polls}: {error:?}"));
        check(&world, &outcome).await;
        if !was_stopped {
            return;
        }
    }
}

/// Each question that the step asks the engine fails once, in a fresh world: the step says so, and works when it is run again.
pub async fn survives_refusals<W>(
    step: &dyn StepHandler,
    make: impl AsyncFn() -> World<W>,
    check: impl AsyncFn(&World<W>, &Outcome),
) {
    for number in 1.. {
        let world = make().await;
        let asked_before = world.rig.engine().asked;
        world.rig.engine().fails_at = Some(asked_before + number);
        let first = world.rig.run(step, &world.inputs).await;
        let was_reached = world.rig.engine().asked >= asked_before + number;
        if !was_reached {
            first.expect("no question failed");
            return;
        }
        let error = first.expect_err("a failed question must not be swallowed");
        assert_eq!(error.code, "E000", "{error:?}");
        let outcome = world
            .rig
            .run(step, &world.inputs)
            .await
            .unwrap_or_else(|error| panic!("run again after question {number} failed: {error:?}"));
        check(&world, &outcome).await;
    }
}

/// A world outside whose calls can be made to fail, one at a time.
pub trait Failing {
    /// In how many ways a call can fail.
    const WAYS: usize;

    /// The n-th call from now on fails in this way.
    fn fail(&self, number: usize, way: usize);

    /// Calls so far.
    fn calls(&self) -> usize;
}

/// Each call to the world outside fails once, in every way, in a fresh world: the step goes on or says that it may be tried
/// again, and works when it is.
pub async fn survives_failures<W: Failing>(
    step: &dyn StepHandler,
    make: impl AsyncFn() -> World<W>,
    check: impl AsyncFn(&World<W>, &Outcome),
) {
    for way in 0..W::WAYS {
        for number in 1.. {
            let world = make().await;
            let calls_before = world.outside.calls();
            world.outside.fail(number, way);
            let outcome = match world.rig.run(step, &world.inputs).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    assert_eq!(error.class, ErrorClass::Transient, "call {number} failed once: {error:?}");
                    let again = world.rig.run(step, &world.inputs).await;
                    again.unwrap_or_else(|error| panic!("run again after call {number} failed: {error:?}"))
                }
            };
            check(&world, &outcome).await;
            if world.outside.calls() - calls_before < number {
                break;
            }
        }
    }
}

/// Undo works, and works again.
pub async fn undone_twice<W>(step: &dyn StepHandler, world: &World<W>) -> (String, String) {
    let outcome = world.rig.run(step, &world.inputs).await.expect("the run before undo");
    let first = world.rig.undo(step, &world.inputs, Some(&outcome.outputs)).await.expect("the first undo");
    let second = world.rig.undo(step, &world.inputs, Some(&outcome.outputs)).await.expect("the second undo");
    (first, second)
}

/// Killed anywhere, nothing that was taken is lost: every hold is recorded before the taking, and can be given back, also twice.
/// `check` looks at each world when all is given back.
pub async fn gives_back_after_kills<W>(
    step: &dyn StepHandler,
    make: impl AsyncFn() -> World<W>,
    check: impl AsyncFn(&World<W>),
) {
    let mut was_held = false;
    for polls in 1.. {
        let world = make().await;
        let killed = polled(world.rig.run(step, &world.inputs), polls).await.is_none();
        was_held |= !world.rig.holds().is_empty();
        let holds = world.rig.engine().holds.clone();
        world.rig.release(step).await.unwrap_or_else(|error| panic!("given back after a kill at {polls}: {error:?}"));
        // The engine may be killed between the giving back and the record of it.
        world.rig.engine().holds = holds;
        world.rig.release(step).await.unwrap_or_else(|error| panic!("given back again ({polls}): {error:?}"));
        check(&world).await;
        if !killed {
            assert!(was_held, "the step never took a hold");
            return;
        }
    }
}

/// Waits until the condition holds, at most ten seconds.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not in ten seconds: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Polls the future at most `polls` times, then drops it: `None`.
async fn polled<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await
}

/// Polls the future to its end, and asks it to stop after so many polls.
async fn stopped_at<T>(future: impl Future<Output = T>, polls: usize, stop: &CancellationToken) -> T {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() && left > 0 {
            left -= 1;
            if left == 0 {
                stop.cancel();
            }
        }
        polled
    })
    .await
}
