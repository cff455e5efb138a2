//! From files and inputs to plans, and from plans and facts to values.

mod clusters;
mod components;
mod digest;
mod evaluate;
mod groups;
mod inputs;
mod mutations;
mod order;
mod render;
mod templates;

use std::collections::BTreeMap;

use super::{Input, InputValue, Plan, PlannedStep, compile};
use crate::diagnostic::Problem;
use crate::id::StepId;
use crate::workflow::tests::workflow;

pub(super) const HEAD: &str = "workflow test { lock \"t/${inputs.domain}\" }\ncluster eu { kubeconfig context=a }\ncluster us { kubeconfig context=b }\n\
    input domain type=hostname default=\"example.io\"\ninput n type=int default=3\ninput list type=\"list<string>\" { default a b }\nsecret token { from env=TOKEN }\n";

pub(super) fn try_plan(text: &str, given: &[(&str, &str)]) -> Result<Plan, Vec<Problem>> {
    let given: BTreeMap<String, InputValue> =
        given.iter().map(|(name, text)| ((*name).to_owned(), InputValue::Text((*text).to_owned()))).collect();
    compile(&workflow(text), given)
}

/// The plan of a text with [`HEAD`] before it.
pub(super) fn plan(text: &str) -> Plan {
    let text = format!("{HEAD}{text}");
    try_plan(&text, &[]).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
}

/// Codes and messages of what is wrong.
pub(super) fn refused(text: &str, given: &[(&str, &str)]) -> Vec<(&'static str, String)> {
    let problems = try_plan(text, given).expect_err("it must be refused");
    problems.into_iter().map(|problem| (problem.code, problem.message)).collect()
}

pub(super) fn step<'p>(plan: &'p Plan, id: &str) -> &'p PlannedStep {
    plan.steps
        .iter()
        .find(|step| step.id.as_str() == id)
        .unwrap_or_else(|| panic!("no step {id} among {:?}", ids(plan)))
}

pub(super) fn ids(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.id.as_str()).collect()
}

pub(super) fn needs(plan: &Plan, id: &str) -> Vec<String> {
    step(plan, id).needs.iter().map(|need| format!("{} {:?}", need.step, need.rule)).collect()
}

pub(super) fn field(plan: &Plan, id: &str, name: &str) -> Input {
    match &step(plan, id).inputs {
        Input::Map(fields) => {
            fields.iter().find(|(field, _)| field == name).unwrap_or_else(|| panic!("{id} has no {name}")).1.clone()
        }
        Input::Known(value) => Input::Known(value[name].clone()),
        other => panic!("{other:?}"),
    }
}

pub(super) fn id(path: &str) -> StepId {
    StepId::new(path)
}
