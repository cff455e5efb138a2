//! A component that is ready to be called, and its kinds as steps of the engine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use steps_sdk::context::StepContext;
use steps_sdk::native::StepHandler;
use steps_sdk::schema::SchemaError;
use steps_sdk::{Certainty, Change, ChangeAction, Outcome, Preview, StepError, StepKind, StepSpec, Value, Verdict};

use super::bindings::types;
use super::call::{self, Answer, Question};
use super::describe::{Description, Kind};
use super::error::{Refusal, WasmError};
use super::guest::{Bound, Guest, Verb};
use super::limits::LINE_BYTES_MAX;
use super::machine::Machine;
use super::meter::Time;
use super::pool::Linked;
use super::{trap, words};

/// Compiled, described and linked.
pub struct Component {
    pub(super) machine: Arc<Machine>,
    pub(super) linked: Linked,
    pub(super) description: Arc<Description>,
}

impl Component {
    pub fn description(&self) -> &Arc<Description> {
        &self.description
    }

    /// Its kinds under the family that a file chose, with what that file gives them. Kinds that [`Description::specs`] refuses under
    /// this name are left out: whoever chose the name has seen the error.
    pub fn handlers(self: &Arc<Self>, family: &str, bound: Bound) -> Vec<Arc<dyn StepHandler>> {
        let handler = |kind: &Kind| {
            let name = format!("{family}.{}", kind.verb).parse().ok()?;
            let step = GuestStep {
                component: Arc::clone(self),
                kind: kind.clone(),
                name,
                family: family.to_owned(),
                bound: bound.clone(),
            };
            Some(Arc::new(step) as Arc<dyn StepHandler>)
        };
        self.description.kinds.iter().filter_map(handler).collect()
    }
}

/// One kind of a component, bound to the grants and limits of a file.
struct GuestStep {
    component: Arc<Component>,
    kind: Kind,
    name: StepKind,
    family: String,
    bound: Bound,
}

impl GuestStep {
    /// Calls the guest; the list is of writes that a preview did not do.
    async fn ask(&self, cx: &StepContext, verb: Verb, question: Question) -> Result<(Answer, Vec<Change>), StepError> {
        let limits = self.bound.limits;
        let time = Time { cpu: Duration::from_millis(limits.cpu_ms), wall: Duration::from_millis(limits.wall_ms) };
        let guest = Guest::called(cx.clone(), self.bound.clone(), verb);
        let (answer, guest) = call::ask(&self.component.machine, &self.component.linked, guest, time, question).await;
        match answer {
            Ok(answer) => Ok((answer, guest.into_would_do())),
            Err(fault) => Err(trap::explain(fault, &guest, self.name.as_str())),
        }
    }

    fn call(&self, cx: &StepContext, inputs: &Value) -> types::Call {
        let wall = Duration::from_millis(self.bound.limits.wall_ms);
        let remaining = cx.clock.remaining().min(wall).as_millis();
        types::Call {
            kind: self.kind.verb.clone(),
            step: cx.call.step.clone(),
            run: cx.call.run.clone(),
            owner_key: cx.call.owner.clone(),
            once_key: cx.call.once.clone(),
            attempt: cx.call.attempt,
            remaining_ms: u64::try_from(remaining).unwrap_or(u64::MAX),
            on: cx.call.on.as_ref().map(ToString::to_string),
            clusters: cx.clusters.iter().map(|cluster| cluster.name.clone()).collect(),
            inputs: inputs.to_string(),
        }
    }
}

#[async_trait]
impl StepHandler for GuestStep {
    fn kind(&self) -> StepKind {
        self.name.clone()
    }

    fn describe(&self) -> Result<StepSpec, SchemaError> {
        self.kind.spec(&self.family).map_err(|error| match error {
            WasmError::Refused(Refusal::Spec { pointer, reason, .. }) => SchemaError { pointer, reason },
            other => SchemaError { pointer: "#".into(), reason: other.to_string() },
        })
    }

    async fn preview(&self, cx: &StepContext, inputs: Value) -> Result<Preview, StepError> {
        let question = Question::Preview(self.call(cx, &inputs));
        let (answer, would_do) = self.ask(cx, Verb::Preview, question).await?;
        let Answer::Previewed(preview) = answer else { unreachable!("a preview is answered by a preview") };
        Ok(with_would_do(preview, would_do, self.name.as_str()))
    }

    async fn run(&self, cx: &StepContext, inputs: Value) -> Result<Outcome, StepError> {
        let (answer, _) = self.ask(cx, Verb::Run, Question::Run(self.call(cx, &inputs))).await?;
        let Answer::Ran(outcome) = answer else { unreachable!("a run is answered by an outcome") };
        Ok(outcome)
    }

    async fn verify(&self, cx: &StepContext, inputs: Value, outputs: Option<Value>) -> Result<Verdict, StepError> {
        let question = Question::Verify(self.call(cx, &inputs), outputs.map(|outputs| outputs.to_string()));
        let (answer, _) = self.ask(cx, Verb::Verify, question).await?;
        let Answer::Verified(verdict) = answer else { unreachable!("a verify is answered by a verdict") };
        Ok(verdict)
    }

    async fn release(&self, cx: &StepContext, name: &str, data: Value) -> Result<(), StepError> {
        let call = self.call(cx, &Value::Null);
        let question = Question::Release { call, name: name.to_owned(), data: data.to_string() };
        self.ask(cx, Verb::Release, question).await.map(|_| ())
    }

    async fn undo(&self, cx: &StepContext, inputs: Value, outputs: Option<Value>) -> Result<String, StepError> {
        let question = Question::Undo(self.call(cx, &inputs), outputs.map(|outputs| outputs.to_string()));
        let (answer, _) = self.ask(cx, Verb::Undo, question).await?;
        let Answer::Undone(summary) = answer else { unreachable!("an undo is answered by its summary") };
        Ok(words::line(&summary, LINE_BYTES_MAX))
    }
}

/// Adds the writes that the host saw to what the guest says itself; where both name an object the guest knows more.
fn with_would_do(preview: Preview, would_do: Vec<Change>, kind: &str) -> Preview {
    let mut changes = match preview {
        Preview::Later(_) if would_do.is_empty() => return preview,
        Preview::Changes(changes) => changes,
        Preview::Later(waits_for) => vec![Change {
            object: kind.to_owned(),
            action: ChangeAction::Unknown,
            certainty: Certainty::Later,
            fields: Vec::new(),
            conflict: None,
            waits_for: Some(waits_for),
        }],
    };
    for change in would_do {
        if changes.iter().all(|listed| listed.object != change.object) {
            changes.push(change);
        }
    }
    Preview::Changes(changes)
}
