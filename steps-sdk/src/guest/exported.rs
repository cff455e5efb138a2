//! Answers the engine's calls: decodes, calls the step, encodes. What a panic says is logged before the component ends.

use std::marker::PhantomData;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{Call, Done, GuestStep, report};
use crate::error::{ErrorClass, StepError};
use crate::grant::{Ask, KubernetesVerb, Permission};
use crate::outcome::{Certainty, Change, ChangeAction, FieldChange, Outcome, Preview, Verdict};
use crate::schema::json_schema_of;
use crate::spec::{Effect, EffectOf, OnCluster, TimeLimit, UndoDefault};
use crate::value::Value;

use super::bindings::engine::step::types;

/// A step without its types.
pub trait Erased: Sync {
    fn verb(&self) -> &'static str;
    fn describe(&self) -> types::Kind;
    fn preview(&self, call: types::Call) -> Result<types::Previewed, types::Failure>;
    fn run(&self, call: types::Call) -> Result<types::Outcome, types::Failure>;
    fn verify(&self, call: types::Call, outputs: Option<String>) -> Result<types::Verdict, types::Failure>;
    fn undo(&self, call: types::Call, outputs: Option<String>) -> Result<String, types::Failure>;
    fn release(&self, call: types::Call, name: &str, data: &str) -> Result<(), types::Failure>;
}

/// The bridge from [`Erased`] to one [`GuestStep`].
pub struct Of<S>(PhantomData<fn() -> S>);

impl<S: GuestStep> Of<S> {
    pub const NEW: Of<S> = Of(PhantomData);
}

impl<S: GuestStep> Erased for Of<S> {
    fn verb(&self) -> &'static str {
        S::about().verb
    }

    fn describe(&self) -> types::Kind {
        let about = S::about();
        types::Kind {
            verb: about.verb.to_owned(),
            version: about.version,
            accepts_from: about.accepts_from,
            doc: about.doc.to_owned(),
            inputs: json_schema_of::<S::Inputs>().to_string(),
            outputs: json_schema_of::<S::Outputs>().to_string(),
            effect: effect_of(about.effect),
            undo: match about.undo {
                UndoDefault::Keep => types::UndoDefault::Keep,
                UndoDefault::Delete => types::UndoDefault::Delete,
                UndoDefault::Restore => types::UndoDefault::Restore,
                UndoDefault::Ask => types::UndoDefault::Ask,
            },
            time_limit: match about.time_limit {
                TimeLimit::Action { timeout_ms } => types::TimeLimit::Action(timeout_ms),
                TimeLimit::Wait { for_ms } => types::TimeLimit::Wait(for_ms),
            },
            on: match about.on {
                OnCluster::Required => types::OnCluster::Required,
                OnCluster::Optional => types::OnCluster::Optional,
                OnCluster::Refused => types::OnCluster::Refused,
            },
            asks: about.asks.into_iter().map(ask).collect(),
        }
    }

    fn preview(&self, call: types::Call) -> Result<types::Previewed, types::Failure> {
        let (call, inputs) = opened(call)?;
        match S::preview(&call, inputs).map_err(failure)? {
            Preview::Changes(changes) => Ok(types::Previewed::Changes(changes.into_iter().map(change).collect())),
            Preview::Later(what) => Ok(types::Previewed::Later(what)),
        }
    }

    fn run(&self, call: types::Call) -> Result<types::Outcome, types::Failure> {
        let (call, inputs) = opened(call)?;
        let Done { outputs, summary, same } = S::run(&call, inputs).map_err(failure)?;
        let outputs = serde_json::to_string(&outputs)
            .map_err(|e| StepError::permanent("E901", "the step's outputs cannot be written as JSON").caused_by(&e))
            .map_err(failure)?;
        Ok(types::Outcome { outputs, summary, same })
    }

    fn verify(&self, call: types::Call, outputs: Option<String>) -> Result<types::Verdict, types::Failure> {
        let (call, inputs) = opened(call)?;
        Ok(verdict(S::verify(&call, inputs, recorded(outputs)?).map_err(failure)?))
    }

    fn undo(&self, call: types::Call, outputs: Option<String>) -> Result<String, types::Failure> {
        let (call, inputs) = opened(call)?;
        S::undo(&call, inputs, recorded(outputs)?).map_err(failure)
    }

    fn release(&self, call: types::Call, name: &str, data: &str) -> Result<(), types::Failure> {
        let data: Value = decoded(data, "hold")?;
        S::release(&identity(&call), name, data).map_err(failure)
    }
}

/// The step that a call is for. Also the first thing that every call does, so the place where panics learn to speak.
pub fn chosen(
    steps: &'static [&'static dyn Erased],
    call: &types::Call,
) -> Result<&'static dyn Erased, types::Failure> {
    std::panic::set_hook(Box::new(|panic| report::log(report::Level::Error, &panic.to_string().replace(":\n", ": "))));
    steps.iter().copied().find(|step| step.verb() == call.kind).ok_or_else(|| {
        failure(StepError::permanent("E901", format!("this component has no kind `{}`", call.kind)).not_started())
    })
}

/// Implements the contract's interface for the type that [`export!`](crate::export) makes.
#[doc(hidden)]
#[macro_export]
macro_rules! __answer_for {
    ($component:ty) => {
        const _: () = {
            use $crate::guest::bindings::engine::step::types;
            use $crate::guest::exported::chosen;

            impl $crate::guest::bindings::exports::engine::step::handler::Guest for $component {
                fn describe() -> ::std::vec::Vec<types::Kind> {
                    Self::STEPS.iter().map(|step| step.describe()).collect()
                }
                fn preview(call: types::Call) -> ::std::result::Result<types::Previewed, types::Failure> {
                    chosen(Self::STEPS, &call)?.preview(call)
                }
                fn run(call: types::Call) -> ::std::result::Result<types::Outcome, types::Failure> {
                    chosen(Self::STEPS, &call)?.run(call)
                }
                fn verify(
                    call: types::Call,
                    outputs: ::std::option::Option<::std::string::String>,
                ) -> ::std::result::Result<types::Verdict, types::Failure> {
                    chosen(Self::STEPS, &call)?.verify(call, outputs)
                }
                fn undo(
                    call: types::Call,
                    outputs: ::std::option::Option<::std::string::String>,
                ) -> ::std::result::Result<::std::string::String, types::Failure> {
                    chosen(Self::STEPS, &call)?.undo(call, outputs)
                }
                fn release(
                    call: types::Call,
                    name: ::std::string::String,
                    data: ::std::string::String,
                ) -> ::std::result::Result<(), types::Failure> {
                    chosen(Self::STEPS, &call)?.release(call, &name, &data)
                }
            }
        };
    };
}

fn opened<I: DeserializeOwned>(call: types::Call) -> Result<(Call, I), types::Failure> {
    let inputs = decoded(&call.inputs, "inputs")?;
    Ok((identity(&call), inputs))
}

fn recorded<O: DeserializeOwned>(outputs: Option<String>) -> Result<Option<O>, types::Failure> {
    outputs.map(|outputs| decoded(&outputs, "outputs")).transpose()
}

/// Inputs were checked against the schema before; what fails here is a late value of the wrong form.
fn decoded<T: DeserializeOwned>(json: &str, what: &str) -> Result<T, types::Failure> {
    serde_json::from_str(json).map_err(|e| {
        let message = format!("the step's {what} do not have the form that it declared");
        failure(StepError::permanent("E901", message).caused_by(&e).not_started())
    })
}

fn identity(call: &types::Call) -> Call {
    Call {
        step: call.step.clone(),
        run: call.run.clone(),
        owner_key: call.owner_key.clone(),
        once_key: call.once_key.clone(),
        attempt: call.attempt,
        remaining: Duration::from_millis(call.remaining_ms),
        on: call.on.clone(),
        clusters: call.clusters.clone(),
    }
}

fn failure(error: StepError) -> types::Failure {
    let StepError { class, code, message, causes, help, not_started, retry_after_ms } = error;
    let problem = types::Problem { code, message, help, causes, retry_after_ms, not_started };
    match class {
        ErrorClass::Transient => types::Failure::Transient(problem),
        ErrorClass::Permanent => types::Failure::Permanent(problem),
        ErrorClass::NeedsPerson => types::Failure::NeedsPerson(problem),
    }
}

fn verdict(verdict: Verdict) -> types::Verdict {
    match verdict {
        Verdict::Done(Outcome { outputs, summary, same }) => {
            types::Verdict::Done(types::Outcome { outputs: outputs.to_string(), summary, same })
        }
        Verdict::Intact => types::Verdict::Intact,
        Verdict::Drifted(changes) => types::Verdict::Drifted(changes.into_iter().map(change).collect()),
        Verdict::Gone(why) => types::Verdict::Gone(why),
        Verdict::Unknown(why) => types::Verdict::Unknown(why),
    }
}

fn change(change: Change) -> types::Change {
    let field = |field: FieldChange| types::FieldChange {
        path: field.path,
        before: field.before.map(|value| value.to_string()),
        after: field.after.map(|value| value.to_string()),
    };
    types::Change {
        object: change.object,
        action: match change.action {
            ChangeAction::Create => types::ChangeAction::Create,
            ChangeAction::Update => types::ChangeAction::Update,
            ChangeAction::Same => types::ChangeAction::Same,
            ChangeAction::Delete => types::ChangeAction::Delete,
            ChangeAction::Run => types::ChangeAction::Run,
            ChangeAction::Unknown => types::ChangeAction::Unknown,
        },
        certainty: match change.certainty {
            Certainty::Server => types::Certainty::Server,
            Certainty::Schema => types::Certainty::Schema,
            Certainty::Later => types::Certainty::Later,
        },
        fields: change.fields.into_iter().map(field).collect(),
        conflict: change.conflict,
    }
}

fn effect_of(effect: EffectOf) -> types::EffectOf {
    let one = |effect: Effect| match effect {
        Effect::Pure => types::Effect::Pure,
        Effect::Converge => types::Effect::Converge,
        Effect::Once => types::Effect::Once,
    };
    match effect {
        EffectOf::Fixed(effect) => types::EffectOf::Fixed(one(effect)),
        EffectOf::FromInput { input, effects } => {
            let effects = effects.into_iter().map(|(value, effect)| (value, one(effect))).collect();
            types::EffectOf::FromInput(types::EffectByInput { input, effects })
        }
    }
}

fn ask(ask: Ask) -> types::Ask {
    let verbs = |verbs: Vec<KubernetesVerb>| verbs.into_iter().map(|verb| verb.word().to_owned()).collect();
    let what = match ask.what {
        Permission::Http { origin, methods, path } => types::Permission::Http(types::HttpAsk { origin, methods, path }),
        Permission::Kubernetes { verbs: granted, kinds } => {
            types::Permission::Kubernetes(types::KubernetesAsk { verbs: verbs(granted), kinds })
        }
        Permission::Dns { domains } => types::Permission::Dns(types::DnsAsk { domains }),
    };
    types::Ask { what, why: ask.why }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::About;
    use super::*;
    use crate::schema::{Schema, Shape};

    struct Double;

    #[derive(serde::Deserialize, schemars::JsonSchema)]
    struct Inputs {
        /// What is doubled.
        number: i64,
    }

    #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    struct Outputs {
        number: i64,
    }

    impl GuestStep for Double {
        type Inputs = Inputs;
        type Outputs = Outputs;

        fn about() -> About {
            let what = Permission::Kubernetes { verbs: vec![KubernetesVerb::Watch], kinds: vec!["Service".into()] };
            About { asks: vec![Ask { what, why: "to look".into() }], ..About::pure("double", "Doubles a number.") }
        }

        fn preview(_call: &Call, _inputs: Inputs) -> Result<Preview, StepError> {
            let fields = vec![FieldChange { path: "number".into(), before: None, after: Some(json!(4)) }];
            Ok(Preview::Changes(vec![Change {
                object: "a number".into(),
                action: ChangeAction::Update,
                certainty: Certainty::Server,
                fields,
                conflict: None,
                waits_for: None,
            }]))
        }

        fn run(call: &Call, inputs: Inputs) -> Result<Done<Outputs>, StepError> {
            let too_large = || {
                let error =
                    StepError::needs_person("D01", "the number is too large").cause("overflow").help("halve it");
                StepError { retry_after_ms: Some(7), ..error }
            };
            let number = inputs.number.checked_mul(2).ok_or_else(too_large)?;
            Ok(Done::changed(Outputs { number }, format!("doubled by {}", call.step)))
        }

        fn verify(_call: &Call, _inputs: Inputs, outputs: Option<Outputs>) -> Result<Verdict, StepError> {
            Ok(match outputs {
                Some(outputs) => Verdict::Gone(format!("{} is no more", outputs.number)),
                None => Verdict::Intact,
            })
        }
    }

    const DOUBLE: Of<Double> = Of::NEW;

    fn call(inputs: Value) -> types::Call {
        types::Call {
            kind: "double".into(),
            step: "a.b".into(),
            run: "r".into(),
            owner_key: "o".into(),
            once_key: "once".into(),
            attempt: 1,
            remaining_ms: 1000,
            on: None,
            clusters: Vec::new(),
            inputs: inputs.to_string(),
        }
    }

    #[test]
    fn a_kind_describes_itself_with_schemas_of_the_subset() {
        let kind = DOUBLE.describe();
        assert_eq!((kind.verb.as_str(), kind.version, kind.accepts_from), ("double", 1, 1));
        let inputs = Schema::parse(&serde_json::from_str(&kind.inputs).unwrap()).unwrap();
        let Shape::Object(inputs) = inputs.shape else { panic!("an object") };
        assert_eq!(inputs.field("number").unwrap().schema.doc, "What is doubled.");
        assert!(matches!(kind.effect, types::EffectOf::Fixed(types::Effect::Pure)));
        let types::Permission::Kubernetes(asked) = &kind.asks[0].what else { panic!("{:?}", kind.asks) };
        assert_eq!(asked.verbs, ["watch"]);
    }

    #[test]
    fn a_call_is_decoded_carried_out_and_encoded() {
        let outcome = DOUBLE.run(call(json!({ "number": 2 }))).unwrap();
        assert_eq!((outcome.outputs.as_str(), outcome.summary.as_str()), ("{\"number\":4}", "doubled by a.b"));
        let types::Previewed::Changes(changes) = DOUBLE.preview(call(json!({ "number": 2 }))).unwrap() else {
            panic!("changes");
        };
        assert_eq!(changes[0].fields[0].after.as_deref(), Some("4"));
        let gone = DOUBLE.verify(call(json!({ "number": 2 })), Some("{\"number\":4}".into())).unwrap();
        assert!(matches!(&gone, types::Verdict::Gone(why) if why == "4 is no more"), "{gone:?}");
        assert!(matches!(DOUBLE.verify(call(json!({ "number": 2 })), None), Ok(types::Verdict::Intact)));
    }

    #[test]
    fn a_failure_keeps_its_class_and_everything_that_it_says() {
        let Err(types::Failure::NeedsPerson(problem)) = DOUBLE.run(call(json!({ "number": i64::MAX }))) else {
            panic!("a person is needed");
        };
        assert_eq!(
            (problem.code.as_str(), problem.help.as_deref(), problem.retry_after_ms),
            ("D01", Some("halve it"), Some(7))
        );
        assert_eq!(problem.causes, ["overflow"]);
        let Err(types::Failure::Permanent(problem)) = DOUBLE.run(call(json!({ "number": "two" }))) else {
            panic!("inputs of another form");
        };
        assert!(problem.not_started && problem.code == "E901", "{problem:?}");
        let Err(types::Failure::Permanent(problem)) = DOUBLE.undo(call(json!({ "number": 2 })), None) else {
            panic!("it cannot be undone");
        };
        assert_eq!(problem.code, "E903");
        let Err(types::Failure::Permanent(problem)) = DOUBLE.release(call(json!({})), "h", "{}") else {
            panic!("it takes no holds");
        };
        assert_eq!(problem.code, "E902");
    }
}
