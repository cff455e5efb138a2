//! Late values, by facts alone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{id, plan, step};
use crate::id::{RunId, StepId, Timestamp};
use crate::plan::{EvaluateError, Fact, Facts, Plan, evaluate_inputs, evaluate_outputs, evaluate_when};

enum Known {
    Outputs(Value),
    Skipped,
    Failed,
}

fn known(outputs: Value) -> Known {
    Known::Outputs(outputs)
}

fn with_facts<T>(facts: &[(&str, Known)], then: impl FnOnce(&Facts<'_>) -> T) -> T {
    let by_step: BTreeMap<StepId, &Known> = facts.iter().map(|(path, fact)| (id(path), fact)).collect();
    let fact = |step: &StepId| match by_step.get(step) {
        None => Fact::Unfinished,
        Some(Known::Outputs(outputs)) => Fact::Succeeded(outputs),
        Some(Known::Skipped) => Fact::Skipped,
        Some(Known::Failed) => Fact::Failed,
    };
    let run: RunId = "t-1".parse().unwrap();
    then(&Facts { fact: &fact, run_id: &run, started: Timestamp(86_400_000) })
}

fn inputs(plan: &Plan, path: &str, facts: &[(&str, Known)]) -> Result<Value, EvaluateError> {
    with_facts(facts, |facts| evaluate_inputs(step(plan, path), facts))
}

#[test]
fn a_stored_plan_evaluates_without_its_text() {
    let made = plan(
        "step a uses=t.every\nstep b uses=t.every {\n text \"${a.text} of ${inputs.n}, run ${run.id} of ${run.started}\"\n count \"${a.count + inputs.n}\"\n secret token\n free { deep \"${a.list}\" }\n}",
    );
    let stored: Plan = serde_json::from_str(&serde_json::to_string(&made).unwrap()).unwrap();
    assert_eq!(stored, made);
    let value = inputs(&stored, "b", &[("a", known(json!({ "count": 4, "text": "x", "list": ["p"] })))]).unwrap();
    assert_eq!(
        value,
        json!({ "count": 7, "text": "x of 3, run t-1 of 1970-01-02T00:00:00Z", "free": { "deep": ["p"] }, "secret": { "from": "env", "name": "TOKEN" } })
    );
}

#[test]
fn late_lists_repeat_their_items() {
    let plan = plan(
        "step a uses=t.every\nstep b uses=d.records { zone \"a.b\"; record A \"x.a.b\" \"0\"; for-each s in=\"a.list\" { record A \"${s}.a.b\" \"${a.text}\" } }",
    );
    let value = inputs(&plan, "b", &[("a", known(json!({ "text": "t", "list": ["p", "q"] })))]).unwrap();
    let names: Vec<&str> =
        value["record"].as_array().unwrap().iter().map(|record| record["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["x.a.b", "p.a.b", "q.a.b"]);
    let error = inputs(&plan, "b", &[("a", known(json!({ "text": "t", "list": "no list" })))]).unwrap_err();
    assert!(error.message.contains("needs a list"), "{error}");
}

#[test]
fn groups_are_records_of_their_instances() {
    let plan = plan(
        "for-each s in=\"inputs.list\" as=g { step a uses=t.every; step b uses=t.every { text \"${a.text}\" } }\n\
         step all uses=value.set { x \"${g.map(k, g[k].a.text)}\"; n \"${size(g)}\"; one \"${g['b'].a.text}\" }",
    );
    let facts = || [("g[a].a", known(json!({ "text": "1" }))), ("g[b].a", known(json!({ "text": "2" })))];
    assert_eq!(inputs(&plan, "g[b].b", &facts()).unwrap(), json!({ "text": "2" }));
    assert_eq!(inputs(&plan, "all", &facts()).unwrap(), json!({ "x": ["1", "2"], "n": 2, "one": "2" }));
}

#[test]
fn conditions_ask_how_steps_ended() {
    let plan = plan(
        "step a uses=t.every\nstep failed_a uses=t.every when=\"failed(a)\"\nstep ended uses=t.every when=\"succeeded(a) || skipped(a)\"\nstep plain uses=t.every\nstep large uses=t.every when=\"a.count > 3\"\nstep never uses=t.every when=\"inputs.n == 4\"",
    );
    let when = |path: &str, fact: Known| {
        with_facts(&[("a", fact)], |facts| evaluate_when(step(&plan, path), facts).map(|failing| failing.is_none()))
    };
    assert_eq!(when("failed_a", Known::Failed), Ok(true));
    assert_eq!(when("failed_a", known(json!({}))), Ok(false));
    assert_eq!(when("ended", Known::Skipped), Ok(true));
    assert_eq!(when("ended", known(json!({}))), Ok(true));
    assert_eq!(when("ended", Known::Failed), Ok(false));
    assert_eq!(when("plain", Known::Failed), Ok(true));
    assert_eq!(when("large", known(json!({ "count": 4 }))), Ok(true));
    assert_eq!(when("never", Known::Failed), Ok(false));
    assert_eq!(step(&plan, "never").when.as_ref().unwrap().text, "inputs.n == 4");
}

#[test]
fn a_value_that_is_not_there_is_explained_by_its_step() {
    let plan = plan(
        "step a uses=t.every\nstep b uses=t.every { text \"${a.text}\" }\nstep c uses=t.every { text \"n ${a.late}\" }",
    );
    let error = inputs(&plan, "b", &[("a", Known::Skipped)]).unwrap_err();
    assert!(error.message.contains("step `a` was skipped"), "{error}");
    assert!(error.help.is_some());
    let error = inputs(&plan, "c", &[("a", known(json!({ "late": { "x": 1 } })))]).unwrap_err();
    assert!(error.message.contains("cannot stand in a text"), "{error}");
}

#[test]
fn outputs_of_the_workflow_have_values_or_reasons() {
    let plan = plan(
        "step a uses=t.every\noutput known \"${inputs.domain}\"\noutput late \"${a.text}\"\noutput other \"${a.count}\"",
    );
    let found = with_facts(&[("a", known(json!({ "text": "x" })))], |facts| {
        evaluate_outputs(&plan, facts)
            .into_iter()
            .map(|(output, value)| (output.name.clone(), value.ok()))
            .collect::<Vec<_>>()
    });
    assert_eq!(
        found,
        [
            ("known".to_owned(), Some(json!("example.io"))),
            ("late".to_owned(), Some(json!("x"))),
            ("other".to_owned(), None)
        ]
    );
}
