//! What happens before a resumed run goes on: what a person settled, what is reset, what is asked; and the lines that say so.

use std::collections::BTreeMap;

use engine_core::id::{Digest, RunId, StepId, StepIndex};
use engine_core::plan::Plan;
use engine_core::run::resume::{Recheck, Restart, Unacceptable};
use engine_core::run::{Event, RunState, StepState, Unparked};
use engine_core::workflow::Specs;
use steps_sdk::Value;

use super::args::ResumeArgs;
use super::error::CliError;
use super::exit::Exit;
use crate::report::resume::{Fate, ResumeLine};
use crate::run::runner::Opening;

/// What a person says about steps, with the reason.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    answers: BTreeMap<StepId, Answer>,
    abandoned: Vec<(StepId, String)>,
    because: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Again,
    Done,
    Skip,
}

impl Settled {
    /// Checks every name against the run before anything is done.
    pub fn of(args: &ResumeArgs, state: &RunState) -> Result<Settled, CliError> {
        let mut settled = Settled { because: args.because.clone().unwrap_or_default(), ..Settled::default() };
        for (names, answer) in [(&args.again, Answer::Again), (&args.done, Answer::Done), (&args.skip, Answer::Skip)] {
            for name in names {
                let index = step_of(state, name)?;
                may(state, index, answer)?;
                let id = state.plan().step(index).id.clone();
                if settled.answers.insert(id, answer).is_some_and(|other| other != answer) {
                    return Err(CliError::new(Exit::Usage, format!("two different answers were given for `{name}`")));
                }
            }
        }
        for name in &args.abandon_hold {
            let known = name.rsplit_once('/').and_then(|(step, hold)| {
                let index = state.index_of(&StepId::new(step))?;
                state.record(index).holds.contains_key(hold).then(|| (StepId::new(step), hold.to_owned()))
            });
            settled.abandoned.push(known.ok_or_else(|| {
                CliError::new(Exit::Usage, format!("there is no open hold `{name}`"))
                    .hint("holds are named STEP/NAME, as `engine status` shows them")
            })?);
        }
        Ok(settled)
    }
}

fn step_of(state: &RunState, name: &str) -> Result<StepIndex, CliError> {
    state.index_of(&StepId::new(name)).ok_or_else(|| {
        let error = CliError::new(Exit::Usage, format!("the run has no step `{name}`"));
        match engine_core::diagnostic::nearest(name, state.plan().steps.iter().map(|step| step.id.as_str())) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error,
        }
    })
}

/// A person settles what waits, is in doubt, failed or was stopped; a finished step may be done again; what has not begun may be
/// left out.
fn may(state: &RunState, index: StepIndex, answer: Answer) -> Result<(), CliError> {
    let record = state.record(index);
    let allowed = match (&record.state, answer) {
        (
            StepState::Parked { .. }
            | StepState::Failed { .. }
            | StepState::Cancelled { .. }
            | StepState::Running { .. },
            _,
        ) => true,
        (StepState::Succeeded | StepState::Skipped { .. } | StepState::Undone, Answer::Again) => true,
        (StepState::Pending, Answer::Skip) => true,
        (
            StepState::Succeeded
            | StepState::Skipped { .. }
            | StepState::Undone
            | StepState::Pending
            | StepState::Retrying { .. },
            _,
        ) => false,
    };
    if allowed {
        return Ok(());
    }
    let flag = match answer {
        Answer::Again => "--again",
        Answer::Done => "--done",
        Answer::Skip => "--skip",
    };
    let step = &state.plan().step(index).id;
    Err(CliError::new(Exit::Usage, format!("`{flag} {step}` does not fit: the step is {}", record.state.word())))
}

/// The opening of a resume, and a line for each step that says what becomes of it.
pub fn resume(
    state: &RunState,
    run: &RunId,
    settled: &Settled,
    recheck: Recheck,
    first: Event,
    person: &str,
) -> (Opening, Vec<ResumeLine>) {
    let mut opening = Opening { events: vec![first], ask: Vec::new() };
    let mut lines = Vec::with_capacity(state.plan().steps.len());
    for (step, name) in &settled.abandoned {
        let because = format!("given up by {person}: {}", settled.because);
        opening.events.push(Event::HoldReleased { step: step.clone(), name: name.clone(), because });
    }
    for (i, step) in state.plan().steps.iter().enumerate() {
        let index = StepIndex(i);
        let (fate, reason) = match settled.answers.get(&step.id) {
            Some(answer) => {
                opening.events.push(answered(state, index, *answer, settled, person));
                let fate = if *answer == Answer::Again { Fate::Again } else { Fate::Kept };
                (fate, settled.because.clone())
            }
            None => {
                let restart = state.restart(index, state.effect(index, run), recheck);
                treat(&mut opening, index, &step.id, restart, &state.record(index).state)
            }
        };
        lines.push(ResumeLine { step: step.id.clone(), cluster: step.on.clone(), fate, reason });
    }
    (opening, lines)
}

fn answered(state: &RunState, index: StepIndex, answer: Answer, settled: &Settled, person: &str) -> Event {
    let step = state.plan().step(index).id.clone();
    let reason = settled.because.clone();
    let again_from_the_end =
        matches!(state.record(index).state, StepState::Succeeded | StepState::Skipped { .. } | StepState::Undone);
    let to = match answer {
        Answer::Again if again_from_the_end => return Event::StepReset { step, reason: format!("{person}: {reason}") },
        Answer::Again => Unparked::Again,
        // What a person declares done keeps the outputs of an earlier success, if there was one.
        Answer::Done => Unparked::Done {
            outputs: state.record(index).outputs.clone().unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        },
        Answer::Skip => Unparked::Skipped,
    };
    Event::StepUnparked { step, by: person.to_owned(), reason, to }
}

fn treat(
    opening: &mut Opening,
    index: StepIndex,
    step: &StepId,
    restart: Restart,
    state: &StepState,
) -> (Fate, String) {
    match restart {
        Restart::Keep => match state {
            StepState::Skipped { because } => (Fate::Kept, because.clone()),
            _ => (Fate::Kept, "finished".into()),
        },
        Restart::NotStarted => (Fate::NotStarted, "not started".into()),
        Restart::Retry => (Fate::Again, "its next attempt is due".into()),
        Restart::Reset { reason } => {
            opening.events.push(Event::StepReset { step: step.clone(), reason: reason.clone() });
            (Fate::Again, reason)
        }
        Restart::Ask { reason } => {
            opening.ask.push(index);
            (Fate::Asked, reason)
        }
        Restart::Waits { why } => (Fate::Parked, why),
    }
}

/// Whether this binary's kinds may go on with the run.
pub fn acceptable(plan: &Plan, specs: &Specs) -> Result<(), Unacceptable> {
    for (kind, pin) in &plan.kinds {
        let spec = specs.get(kind.as_str()).ok_or_else(|| Unacceptable::Missing { kind: kind.clone() })?;
        let (version, ours) = (pin.version, spec.version);
        if version > ours {
            return Err(Unacceptable::TooNew { kind: kind.clone(), version, ours });
        }
        if version < spec.accepts_from {
            return Err(Unacceptable::TooOld { kind: kind.clone(), version, ours, accepts_from: spec.accepts_from });
        }
        if version == ours && pin.digest != Digest::of_value(&spec.canonical()) {
            return Err(Unacceptable::Changed { kind: kind.clone(), version });
        }
    }
    Ok(())
}
