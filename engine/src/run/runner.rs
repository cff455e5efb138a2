//! The loop: the one owner of a run's state, of its journal and of every call that is under way.
//!
//! ```text
//!  outcome -> apply -> decide -> append(outcome + starts, one batch) -> durable -> report, answer, call -> outcome …
//! ```
//!
//! While calls are under way the loop does not wait for the disk: during one flush it applies the next outcomes and hands them over,
//! and the committer joins what has piled up. A chain of steps costs one flush a step, a wide plan a fraction of one. When nothing is
//! under way there is only the disk to wait for, and the batch is written at once, without a change of thread.

mod doubt;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use engine_core::id::{RunId, Sequence, StepIndex, Timestamp};
use engine_core::limits::MEMO_BYTES_MAX;
use engine_core::run::retry::next_attempt;
use engine_core::run::{Decision, Event, Gate, IllegalTransition, Outputs, Prepared, Recorded, RunOutcome, RunState};
use futures::stream::FuturesOrdered;
use futures::{FutureExt, StreamExt};
use steps_sdk::spec::Effect;
use steps_sdk::{ErrorClass, Outcome, StepError, Verdict};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::attempt::{Desk, store_outputs};
use super::step_log::StepLog;
use super::verbs::{self, Answer, Said, Setting, Verb};
use super::{Chance, Clock};
use crate::journal::{Journal, JournalError, Receipt, RunDir};
use crate::report::{Notice, Reporter};

/// How often the reporter may redraw, and heartbeats are checked.
const TICK: Duration = Duration::from_millis(100);

/// What a run is carried out with.
pub struct Means {
    pub desk: Arc<Desk>,
    pub journal: Box<dyn Journal>,
    pub files: RunDir,
    pub clock: Clock,
    pub chance: Chance,
    pub fail_fast: bool,
    /// Each message asks for a stop; closed: nobody can ask.
    pub stops: mpsc::Receiver<()>,
    /// What others in this process have to say to the person, such as that a key was made.
    pub remarks: mpsc::UnboundedReceiver<String>,
}

/// What happens before the first decision.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Opening {
    /// `RunStarted` or `RunResumed`, what a person settled, and the resets.
    pub events: Vec<Event>,
    /// Steps whose `verify` is asked first.
    pub ask: Vec<StepIndex>,
}

/// How this process left the run.
#[derive(Debug)]
pub struct Left {
    pub state: RunState,
    pub outcome: RunOutcome,
    pub at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the journal could not be written")]
    Journal(#[from] JournalError),
    #[error("an event does not fit the run's state")]
    Illegal(#[from] IllegalTransition),
    #[error("nothing more can be shown")]
    Report(#[from] io::Error),
}

/// Everything that can move a run on.
enum Source {
    Durable(Result<Sequence, JournalError>),
    Told(Message),
    TimeCame,
    Stop,
    Remark(String),
    Tick,
}

/// What a call tells the loop.
struct Message {
    index: StepIndex,
    what: What,
}

enum What {
    Ended(Result<(Outcome, Outputs), StepError>),
    Judged(Verdict),
    Released { name: String },
    NotReleased { name: String },
    Said(Said),
}

/// What is done when a batch is durable.
enum Then {
    Call { index: StepIndex, setting: Box<Setting> },
    Answer(oneshot::Sender<Result<(), StepError>>),
    Leave(RunOutcome),
}

struct Batch {
    recorded: Vec<Recorded>,
    then: Vec<Then>,
}

pub struct Runner<'r> {
    run: RunId,
    state: RunState,
    means: Means,
    reporter: &'r mut dyn Reporter,
    calls: JoinSet<()>,
    outbox: mpsc::UnboundedSender<Message>,
    inbox: mpsc::UnboundedReceiver<Message>,
    receipts: FuturesOrdered<Receipt>,
    batches: VecDeque<Batch>,
    events: Vec<Event>,
    then: Vec<Then>,
    gate: Gate,
    /// Steps whose `verify` has been asked and has not answered.
    asked: usize,
    releasing: BTreeSet<(StepIndex, String)>,
    /// Holds that could not be given back before a stop; they stay open in the journal.
    kept_back: BTreeSet<(StepIndex, String)>,
    effects: HashMap<StepIndex, Effect>,
    wake: Option<Timestamp>,
    leaving: bool,
}

impl<'r> Runner<'r> {
    pub fn new(run: RunId, state: RunState, means: Means, reporter: &'r mut dyn Reporter) -> Self {
        let (outbox, inbox) = mpsc::unbounded_channel();
        Runner {
            run,
            state,
            means,
            reporter,
            calls: JoinSet::new(),
            outbox,
            inbox,
            receipts: FuturesOrdered::new(),
            batches: VecDeque::new(),
            events: Vec::new(),
            then: Vec::new(),
            gate: Gate::Open,
            asked: 0,
            releasing: BTreeSet::new(),
            kept_back: BTreeSet::new(),
            effects: HashMap::new(),
            wake: None,
            leaving: false,
        }
    }

    /// Carries the run out until nothing is left to do, or a stop. A fresh run and a resumed one differ only in their opening.
    pub async fn carry_out(mut self, opening: Opening) -> Result<Left, RunError> {
        for event in opening.events {
            self.happen(event)?;
        }
        for index in opening.ask {
            self.ask(index);
        }
        let mut ticker = tokio::time::interval(TICK);
        ticker.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            self.advance()?;
            match self.next(&mut ticker).await {
                Source::Durable(flushed) => {
                    flushed?;
                    if let Some(outcome) = self.durable()? {
                        self.calls.shutdown().await;
                        while let Ok(text) = self.means.remarks.try_recv() {
                            self.remark(text)?;
                        }
                        let at = (self.means.clock)();
                        return Ok(Left { state: self.state, outcome, at });
                    }
                }
                Source::Told(message) => {
                    self.take(message)?;
                    while let Ok(more) = self.inbox.try_recv() {
                        self.take(more)?;
                    }
                }
                Source::TimeCame => self.wake = None,
                Source::Stop => self.stop()?,
                Source::Remark(text) => self.remark(text)?,
                Source::Tick => self.reporter.tick((self.means.clock)())?,
            }
        }
    }

    async fn next(&mut self, ticker: &mut tokio::time::Interval) -> Source {
        let until_wake = self.wake.map(|at| Duration::from_millis(at.since((self.means.clock)())));
        tokio::select! {
            biased;
            Some(flushed) = self.receipts.next() => Source::Durable(flushed),
            Some(message) = self.inbox.recv() => Source::Told(message),
            Some(()) = self.means.stops.recv() => Source::Stop,
            Some(text) = self.means.remarks.recv() => Source::Remark(text),
            () = tokio::time::sleep(until_wake.unwrap_or_default()), if until_wake.is_some() => Source::TimeCame,
            _ = ticker.tick() => Source::Tick,
        }
    }

    /// Applies an event and puts it into the batch that is being made.
    fn happen(&mut self, event: Event) -> Result<(), RunError> {
        self.state.apply(&event, (self.means.clock)())?;
        self.events.push(event);
        Ok(())
    }

    /// Does what is decided until nothing more follows, and hands the batch over.
    fn advance(&mut self) -> Result<(), RunError> {
        // Ended calls are let go of, or a long run would keep them all; a step's own panic was caught long before.
        while let Some(ended) = self.calls.try_join_next() {
            ended.expect("a call catches what its step does");
        }
        self.wake = None;
        while !self.leaving {
            let busy = self.asked + self.releasing.len();
            let mut progressed = false;
            for decision in self.state.decide((self.means.clock)(), self.gate, busy) {
                match decision {
                    // What a resume finds in doubt, and what is still held, is settled before anything begins.
                    Decision::Start(_) if busy > 0 => {}
                    Decision::Start(index) => {
                        self.start(index)?;
                        progressed = true;
                    }
                    Decision::Release(index, name) => self.release(index, name),
                    Decision::WakeAt(at) => self.wake = Some(at),
                    Decision::Finish(outcome) => {
                        self.happen(Event::RunFinished { outcome })?;
                        self.then.push(Then::Leave(outcome));
                        self.leaving = true;
                    }
                }
            }
            if !progressed {
                break;
            }
        }
        self.leave_with_holds()?;
        self.hand_over();
        Ok(())
    }

    fn hand_over(&mut self) {
        if self.events.is_empty() {
            return;
        }
        let (events, then) = (std::mem::take(&mut self.events), std::mem::take(&mut self.then));
        let time = (self.means.clock)();
        let receipt = match self.calls.is_empty() && self.batches.is_empty() {
            true => self.means.journal.append_here(&events, time),
            false => self.means.journal.append(&events, time),
        };
        // A batch that is refused has no numbers; its error ends the run before they are seen.
        let first = (receipt.last().0 + 1).saturating_sub(events.len() as u64);
        let epoch = self.means.journal.epoch();
        let run = &self.run;
        let recorded = (first..)
            .zip(events)
            .map(|(n, event)| Recorded { sequence: Sequence(n), epoch, time, run: run.clone(), event })
            .collect();
        self.receipts.push_back(receipt);
        self.batches.push_back(Batch { recorded, then });
        if self.means.journal.checkpoint_due() {
            let folded =
                serde_json::to_vec(&self.state.folded()).expect("a folded state is plain data with string keys");
            self.means.journal.checkpoint(folded);
        }
    }

    /// The oldest batch is on disk: now it may be seen (invariant 3).
    fn durable(&mut self) -> Result<Option<RunOutcome>, RunError> {
        let batch = self.batches.pop_front().expect("each receipt belongs to one batch, in order");
        let mut leave = None;
        for then in batch.then {
            match then {
                Then::Call { index, setting } => self.call(index, *setting),
                // A step that no longer waits for its answer was stopped.
                Then::Answer(done) => drop(done.send(Ok(()))),
                Then::Leave(outcome) => leave = Some(outcome),
            }
        }
        for recorded in batch.recorded {
            self.reporter.event(&Notice::Recorded(recorded))?;
        }
        Ok(leave)
    }

    fn start(&mut self, index: StepIndex) -> Result<(), RunError> {
        let step = self.state.plan().step(index).clone();
        let failed = |error| Event::StepFailed { step: step.id.clone(), error, retry_at: None };
        match self.state.prepare(index, &self.run) {
            Prepared::Skip { because } => self.happen(Event::StepSkipped { step: step.id.clone(), because }),
            Prepared::Fail(error) => self.fail(failed(error)),
            Prepared::Start { inputs, digest, kubeconfigs } => {
                let record = self.state.record(index);
                let attempt = record.attempt + 1;
                self.effects.insert(index, step.effect.for_inputs(&inputs));
                match self.means.desk.attempt(&step, inputs, record.memo.clone(), attempt) {
                    Ok(setting) => {
                        let setting = setting.opening(kubeconfigs);
                        self.happen(Event::StepStarted { step: step.id.clone(), attempt, inputs: digest })?;
                        self.then.push(Then::Call { index, setting: Box::new(setting) });
                        Ok(())
                    }
                    Err(error) => self.fail(failed(error)),
                }
            }
        }
    }

    fn fail(&mut self, event: Event) -> Result<(), RunError> {
        self.happen(event)?;
        if self.means.fail_fast && self.gate == Gate::Open {
            self.gate = Gate::Closed(RunOutcome::Failed);
        }
        Ok(())
    }

    /// Begins a call whose start is durable.
    fn call(&mut self, index: StepIndex, setting: Setting) {
        let (outbox, files) = (self.outbox.clone(), self.means.files.clone());
        let step = self.state.plan().step(index).id.clone();
        let log = StepLog::new(files.clone(), step, self.state.record(index).attempt, Arc::clone(&self.means.clock));
        let pure = self.effects.get(&index) == Some(&Effect::Pure);
        let mut call = Box::pin(async move {
            let said = |said| {
                log.note(&said);
                drop(outbox.send(Message { index, what: What::Said(said) }));
            };
            let result = match verbs::call(setting, Verb::Run, said).await {
                Ok(Answer::Ran(outcome)) => {
                    store_outputs(&files, &outcome.outputs).await.map(|outputs| (outcome, outputs))
                }
                Ok(other) => unreachable!("`run` was called and answered {other:?}"),
                Err(error) => Err(error),
            };
            if let Err(error) = &result {
                log.error(error);
            }
            // The loop is gone only when the process ends.
            drop(outbox.send(Message { index, what: What::Ended(result) }));
        });
        // A pure step is begun on this thread: one that only computes has ended then, without a change of thread. One that waits for
        // something is polled again by the runtime, with a waker of its own.
        if !pure || call.as_mut().now_or_never().is_none() {
            self.calls.spawn(call);
        }
    }

    fn take(&mut self, message: Message) -> Result<(), RunError> {
        let Message { index, what } = message;
        match what {
            What::Ended(Ok((outcome, outputs))) => self.succeed(index, outcome, outputs),
            What::Ended(Err(error)) => self.end_without_success(index, error),
            What::Judged(verdict) => {
                self.asked -= 1;
                self.settle(index, verdict)
            }
            What::Released { name } => {
                self.releasing.remove(&(index, name.clone()));
                let step = self.state.plan().step(index).id.clone();
                self.happen(Event::HoldReleased { step, name, because: "its step has ended".into() })
            }
            What::NotReleased { name } => {
                self.releasing.remove(&(index, name.clone()));
                self.kept_back.insert((index, name));
                Ok(())
            }
            What::Said(said) => self.hear(index, said),
        }
    }

    fn succeed(&mut self, index: StepIndex, outcome: Outcome, outputs: Outputs) -> Result<(), RunError> {
        let step = self.state.plan().step(index).id.clone();
        let large = matches!(outputs, Outputs::File { .. });
        self.happen(Event::StepSucceeded { step, outputs, summary: outcome.summary, same: outcome.same })?;
        if large {
            self.state.outputs_loaded(index, outcome.outputs);
        }
        let stale: Vec<(StepIndex, String)> = self
            .state
            .ended_successors(index)
            .filter_map(|successor| Some((successor, self.state.staleness(successor, &self.run)?)))
            .collect();
        for (successor, reason) in stale {
            let step = self.state.plan().step(successor).id.clone();
            self.happen(Event::StepReset { step, reason })?;
        }
        Ok(())
    }

    fn end_without_success(&mut self, index: StepIndex, error: StepError) -> Result<(), RunError> {
        let planned = self.state.plan().step(index);
        let step = planned.id.clone();
        if self.means.desk.cancel.is_cancelled() {
            return self.happen(Event::StepCancelled { step, reason: format!("stopped: {error}") });
        }
        let effect = self.effects.get(&index).copied().unwrap_or(Effect::Once);
        let attempt = self.state.record(index).attempt;
        let now = (self.means.clock)();
        match next_attempt(&planned.retry, &error, attempt, effect, now, (self.means.chance)()) {
            Some(at) => self.happen(Event::StepFailed { step, error, retry_at: Some(at) }),
            None if error.class == ErrorClass::NeedsPerson => {
                let why = in_one_line(&error);
                self.happen(Event::StepParked { step, why })
            }
            None => self.fail(Event::StepFailed { step, error, retry_at: None }),
        }
    }

    fn hear(&mut self, index: StepIndex, said: Said) -> Result<(), RunError> {
        let step = self.state.plan().step(index).id.clone();
        let now = (self.means.clock)();
        match said {
            Said::Waiting { reason } => self.reporter.event(&Notice::StepWaiting { step, reason, since: now })?,
            Said::Log { level, message } => self.reporter.event(&Notice::Log { step, time: now, level, message })?,
            Said::Memo { value, done, .. } | Said::Hold { data: value, done, .. }
                if value.to_string().len() > MEMO_BYTES_MAX =>
            {
                let message = format!("a note of a step may have {MEMO_BYTES_MAX} bytes");
                drop(done.send(Err(StepError::permanent("E108", message))));
            }
            Said::Memo { key, value, done } => {
                self.happen(Event::MemoPut { step, key, value })?;
                self.then.push(Then::Answer(done));
            }
            Said::Hold { name, data, done } => {
                self.happen(Event::HoldTaken { step, name, data })?;
                self.then.push(Then::Answer(done));
            }
        }
        Ok(())
    }

    fn remark(&mut self, text: String) -> Result<(), RunError> {
        let time = (self.means.clock)();
        Ok(self.reporter.event(&Notice::Remark { step: None, time, text })?)
    }

    /// Nothing begins any more; what runs is asked to reach a safe point.
    fn stop(&mut self) -> Result<(), RunError> {
        self.gate = Gate::Closed(RunOutcome::Cancelled);
        self.means.desk.cancel.cancel();
        Ok(self.reporter.event(&Notice::Stopping { time: (self.means.clock)() })?)
    }
}

/// Message, causes and help of an error, for a place that has one line.
fn in_one_line(error: &StepError) -> String {
    let mut text = error.to_string();
    for cause in &error.causes {
        text.push_str(": ");
        text.push_str(cause);
    }
    if let Some(help) = &error.help {
        text.push_str("; ");
        text.push_str(help);
    }
    text
}
