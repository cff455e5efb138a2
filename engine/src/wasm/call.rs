//! One call of a guest: a fresh store, a fresh instance, one question, one answer. Nothing of it is used again.

use std::sync::Arc;

use steps_sdk::{Outcome, Preview, StepError, Verdict};
use wasmtime::{Store, UpdateDeadline};

use super::bindings::{Step, StepPre, handler, spoken, types};
use super::compile::reason_of;
use super::convert;
use super::guest::Guest;
use super::limits::HANDED_OVER_BYTES_MAX;
use super::machine::Machine;
use super::meter::{Metered, Time, Turn};
use super::pool::Linked;
use super::trap::Fault;

/// What a guest is asked.
pub(super) enum Question {
    Describe,
    Preview(types::Call),
    Run(types::Call),
    Verify(types::Call, Option<String>),
    Undo(types::Call, Option<String>),
    Release { call: types::Call, name: String, data: String },
}

/// What it answered, in the engine's words.
pub(super) enum Answer {
    Described(Vec<types::Kind>),
    Previewed(Preview),
    Ran(Outcome),
    Verified(Verdict),
    Undone(String),
    Released,
}

/// Asks, within the guest's limits. The guest comes back with what it did meanwhile, whatever the answer is.
pub(super) async fn ask(
    machine: &Machine,
    linked: &Linked,
    guest: Guest,
    time: Time,
    question: Question,
) -> (Result<Answer, Fault>, Guest) {
    machine.tick();
    let place = match linked.place(machine, guest.allowance.memory_max()) {
        Ok(place) => place,
        Err(error) => return (Err(Fault::Trap(wasmtime::Error::new(error))), guest),
    };
    let mut store = Store::new(place.engine, guest);
    store.limiter(|guest| &mut guest.allowance);
    store.set_hostcall_fuel(HANDED_OVER_BYTES_MAX);
    let turn = Turn::new(Arc::clone(&machine.turns));
    let yielding = Arc::clone(&turn);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| Ok(UpdateDeadline::YieldCustom(1, Box::pin(Arc::clone(&yielding).next()))));
    let answered = Metered::new(put(place.code, &mut store, question), time, turn).await;
    let mut guest = store.into_data();
    guest.speech.end();
    let answer = match answered {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(refused))) => Err(Fault::Failed(refused)),
        Ok(Err(trap)) => Err(Fault::Trap(trap)),
        Err(limit) => Err(Fault::OutOfTime(limit, time)),
    };
    (answer, guest)
}

/// The outer error is a trap, the inner one the guest's own failure, or an answer that cannot be read.
async fn put(
    code: &StepPre<Guest>,
    store: &mut Store<Guest>,
    question: Question,
) -> wasmtime::Result<Result<Answer, StepError>> {
    if matches!(question, Question::Describe) {
        return describe(code, store).await.map(Ok);
    }
    let step = code.instantiate_async(&mut *store).await?;
    let handler: &handler::Guest = step.engine_step_handler();
    Ok(match question {
        Question::Describe => unreachable!("it was asked above"),
        Question::Preview(call) => {
            read(handler.call_preview(store, &call).await?, |answer| convert::preview(answer).map(Answer::Previewed))
        }
        Question::Run(call) => {
            read(handler.call_run(store, &call).await?, |answer| convert::outcome(answer).map(Answer::Ran))
        }
        Question::Verify(call, outputs) => {
            let verified = handler.call_verify(store, &call, outputs.as_ref()).await?;
            read(verified, |answer| convert::verdict(answer).map(Answer::Verified))
        }
        Question::Undo(call, outputs) => {
            let undone = handler.call_undo(store, &call, outputs.as_ref()).await?;
            read(undone, |summary| Ok(Answer::Undone(summary)))
        }
        Question::Release { call, name, data } => {
            read(handler.call_release(store, &call, &name, &data).await?, |()| Ok(Answer::Released))
        }
    })
}

/// The first call of a component, which finds out too whether all of its exports have the types of the contract.
async fn describe(code: &StepPre<Guest>, store: &mut Store<Guest>) -> wasmtime::Result<Answer> {
    let instance = code.instance_pre().instantiate_async(&mut *store).await?;
    let step = Step::new(&mut *store, &instance).map_err(|error| Unfit { reason: reason_of(&error) })?;
    Ok(Answer::Described(step.engine_step_handler().call_describe(store).await?))
}

/// The exports of a component are not those of the contract under whose name it comes.
#[derive(Debug, thiserror::Error)]
#[error("it does not fit `{}`: {reason}", spoken())]
pub(super) struct Unfit {
    reason: String,
}

fn read<T>(
    answer: Result<T, types::Failure>,
    convert: impl FnOnce(T) -> Result<Answer, StepError>,
) -> Result<Answer, StepError> {
    answer.map_err(convert::failure).and_then(convert)
}
