//! What is settled before a run goes on, and before it ends: steps in doubt, and holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine_core::id::StepIndex;
use engine_core::run::resume::{Judgement, judge};
use engine_core::run::{Event, Outputs, Prepared, RunOutcome, StepState};
use steps_sdk::{StepError, Value, Verdict};

use super::{Message, RunError, Runner, Then, What};
use crate::report::Notice;
use crate::run::verbs::{self, Answer, Said, Verb};

/// Between two tries to give back a hold.
const RELEASE_PAUSE: Duration = Duration::from_secs(5);

impl Runner<'_> {
    /// Asks a step's `verify` before the run goes on.
    pub(super) fn ask(&mut self, index: StepIndex) {
        let step = self.state.plan().step(index).clone();
        let record = self.state.record(index);
        let outputs =
            matches!(record.state, StepState::Succeeded).then(|| record.outputs.clone().unwrap_or(Value::Null));
        let unknown = |why: String| What::Judged(Verdict::Unknown(why));
        self.asked += 1;
        let setting = match self.state.prepare(index, &self.run) {
            Prepared::Start { inputs, kubeconfigs, .. } => {
                let setting = self.means.desk.side_call(&step, inputs, record.memo.clone());
                setting.map(|setting| setting.opening(kubeconfigs))
            }
            Prepared::Skip { because } => Err(StepError::permanent("E107", because)),
            Prepared::Fail(error) => Err(error),
        };
        let outbox = self.outbox.clone();
        self.calls.spawn(async move {
            let what = match setting {
                Ok(setting) => match verbs::call(setting, Verb::Verify { outputs }, |_| {}).await {
                    Ok(Answer::Verified(verdict)) => What::Judged(verdict),
                    Ok(other) => unreachable!("`verify` was called and answered {other:?}"),
                    Err(error) => unknown(error.to_string()),
                },
                Err(error) => unknown(error.to_string()),
            };
            drop(outbox.send(Message { index, what }));
        });
    }

    pub(super) fn settle(&mut self, index: StepIndex, verdict: Verdict) -> Result<(), RunError> {
        let step = self.state.plan().step(index).id.clone();
        let effect = self.state.effect(index, &self.run);
        match judge(&self.state.record(index).state, effect, verdict) {
            Judgement::Succeed(outcome) => {
                let outputs = Outputs::Inline(outcome.outputs.clone());
                self.succeed(index, outcome, outputs)
            }
            Judgement::Reset { reason } => self.happen(Event::StepReset { step, reason }),
            Judgement::Park { why } => self.happen(Event::StepParked { step, why }),
            Judgement::Keep { note } => {
                let time = (self.means.clock)();
                Ok(self.reporter.event(&Notice::Remark { step: Some(step), time, text: note })?)
            }
        }
    }

    /// Gives back one hold, again and again until it succeeds or the run is stopped.
    pub(super) fn release(&mut self, index: StepIndex, name: String) {
        let key = (index, name);
        if self.kept_back.contains(&key) || !self.releasing.insert(key.clone()) {
            return;
        }
        let (_, name) = key;
        let step = self.state.plan().step(index).clone();
        let record = self.state.record(index);
        let hold = record.holds.get(&name).expect("decide names only holds that are open");
        let (data, notes) = (hold.data.clone(), record.memo.clone());
        let (inputs, kubeconfigs) = match self.state.prepare(index, &self.run) {
            Prepared::Start { inputs, kubeconfigs, .. } => (inputs, kubeconfigs),
            Prepared::Skip { .. } | Prepared::Fail(_) => (Value::Null, BTreeMap::new()),
        };
        let (outbox, desk) = (self.outbox.clone(), Arc::clone(&self.means.desk));
        self.calls.spawn(async move {
            let what = loop {
                let verb = Verb::Release { name: name.clone(), data: data.clone() };
                let given_back = match desk.release_call(&step, inputs.clone(), notes.clone()) {
                    Ok(setting) => verbs::call(setting.opening(kubeconfigs.clone()), verb, |_| {}).await,
                    Err(error) => Err(error),
                };
                let Err(error) = given_back else {
                    break What::Released { name };
                };
                if desk.cancel.is_cancelled() {
                    break What::NotReleased { name };
                }
                let reason = format!("`{name}` is not given back yet: {error}");
                drop(outbox.send(Message { index, what: What::Said(Said::Waiting { reason }) }));
                tokio::time::sleep(RELEASE_PAUSE).await;
            };
            drop(outbox.send(Message { index, what }));
        });
    }

    /// After a stop, holds that cannot be given back do not keep the process: the next resume gives them back first.
    pub(super) fn leave_with_holds(&mut self) -> Result<(), RunError> {
        let idle = self.asked == 0 && self.releasing.is_empty() && self.state.running() == 0;
        if self.leaving || self.kept_back.is_empty() || !idle {
            return Ok(());
        }
        self.happen(Event::RunFinished { outcome: RunOutcome::Cancelled })?;
        self.then.push(Then::Leave(RunOutcome::Cancelled));
        self.leaving = true;
        Ok(())
    }
}
