//! Values with expressions in them become [`Input`]s: what depends on inputs only is computed now, the rest keeps its expression
//! with the meaning of each of its names at this place.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use steps_sdk::value::ClusterName;

use super::evaluate::kind_of;
use super::inputs::unknown_cluster;
use super::open::{Instance, path};
use super::types::{Bound, Input, Late, NeedRule, Repeat, TextPart};
use crate::diagnostic::Problem;
use crate::expr::{EvalError, Expr, Part, Values};
use crate::id::StepId;
use crate::workflow::{Code, Content, Formula, Workflow, Written, fit};

/// What is known before the run, for all steps.
pub(super) struct Known<'w> {
    pub workflow: &'w Workflow,
    /// `inputs`, `clusters`, and each secret by its place.
    pub roots: BTreeMap<String, Value>,
    /// By the group's index.
    pub instances: Vec<Vec<Instance>>,
}

/// Folds the values of one step in one instance, and notes what it waits for and which clusters it touches.
pub(super) struct Folder<'k, 'p> {
    pub(super) known: &'k Known<'k>,
    pub(super) problems: &'p mut Vec<Problem>,
    /// The group of the step and the instance.
    pub(super) around: Option<(usize, &'k Instance)>,
    /// Variables of repetitions, innermost last; `None`: its list comes late.
    pub(super) variables: Vec<(String, Option<Value>)>,
    pub needs: BTreeMap<StepId, NeedRule>,
    pub clusters: Vec<ClusterName>,
}

impl<'k, 'p> Folder<'k, 'p> {
    pub fn new(
        known: &'k Known<'k>,
        around: Option<(usize, &'k Instance)>,
        problems: &'p mut Vec<Problem>,
    ) -> Folder<'k, 'p> {
        Folder { known, problems, around, variables: Vec::new(), needs: BTreeMap::new(), clusters: Vec::new() }
    }

    pub fn written(&mut self, written: &Written) -> Input {
        match &written.content {
            Content::Literal(value) => Input::Known(value.clone()),
            Content::Cluster(name) => {
                self.touch(name);
                Input::Known(Value::String(name.clone()))
            }
            Content::Secret(name) => match self.known.workflow.secrets.iter().find(|secret| secret.name.value == *name)
            {
                Some(declared) => Input::Secret(declared.secret.clone()),
                None => unreachable!("a workflow without errors names only declared secrets"),
            },
            Content::Step(name) => {
                let id = self.sibling_or_outer(name);
                self.wait(id.clone(), NeedRule::Success);
                Input::Known(Value::String(id.as_str().to_owned()))
            }
            Content::Formula(formula) => self.formula(formula),
            Content::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                items.iter().for_each(|item| self.item(item, &mut list));
                joined_list(list)
            }
            Content::Map(fields) => {
                joined_map(fields.iter().map(|(name, field)| (name.clone(), self.written(field))).collect())
            }
            Content::Repeat(_) => unreachable!("a repetition stands only among the items of a list"),
        }
    }

    /// A repetition over a known list is unrolled; the same item then stands once for each element.
    fn item(&mut self, written: &Written, list: &mut Vec<Input>) {
        let Content::Repeat(repeat) = &written.content else {
            list.push(self.written(written));
            return;
        };
        match self.formula(&repeat.list) {
            Input::Known(Value::Array(elements)) => {
                for element in elements {
                    self.variables.push((repeat.name.clone(), Some(element)));
                    repeat.items.iter().for_each(|item| self.item(item, list));
                    self.variables.pop();
                }
            }
            Input::Late(late) => {
                self.variables.push((repeat.name.clone(), None));
                let mut items = Vec::new();
                repeat.items.iter().for_each(|item| self.item(item, &mut items));
                self.variables.pop();
                list.push(Input::Repeat(Repeat { name: repeat.name.clone(), list: late, items }));
            }
            Input::Known(other) => {
                // A failed computation was reported and left null behind.
                if !other.is_null() {
                    self.problems.push(Problem::error(
                        "P006",
                        repeat.list.at,
                        format!("`in` is a list, and this gives {}", kind_of(&other)),
                    ));
                }
            }
            Input::Text(_) | Input::List(_) | Input::Map(_) | Input::Secret(_) | Input::Repeat(_) => {
                unreachable!("a bare expression is known or late")
            }
        }
    }

    /// A formula; a value that can be computed now is held to what its place takes.
    pub fn formula(&mut self, formula: &Formula) -> Input {
        let (folded, at) = match &formula.code {
            Code::Bare(expr) => (self.expr(expr, formula, 0), formula.at),
            Code::Template(template) => match template.parts() {
                [Part::Expr { expr, range }] => (self.expr(expr, formula, range.start), formula.inside(range.clone())),
                parts => (self.text(parts, formula), formula.at),
            },
        };
        if let Input::Known(value) = &folded {
            let is_failed = value.is_null() && !formula.wants.schema.nullable;
            let misfits =
                if is_failed { Vec::new() } else { fit::misfits(value, &formula.wants.schema, &formula.wants.what) };
            for misfit in misfits {
                let problem = Problem::error("P006", at, misfit.message).label("computed from the inputs");
                self.problems.push(match misfit.help {
                    Some(help) => problem.help(help),
                    None => problem,
                });
            }
            let mut clusters = Vec::new();
            fit::clusters_in(value, &formula.wants.schema, &mut clusters);
            for name in clusters {
                if self.known.workflow.names.clusters.contains_key(name) {
                    self.touch(name);
                } else {
                    self.problems.push(unknown_cluster(
                        self.known.workflow,
                        name,
                        at,
                        &format!("`{}`", formula.wants.what),
                    ));
                }
            }
        }
        folded
    }

    /// Parts that are known become one literal.
    fn text(&mut self, parts: &[Part], formula: &Formula) -> Input {
        let mut folded: Vec<TextPart> = Vec::new();
        let mut literal = String::new();
        for part in parts {
            let (expr, range) = match part {
                Part::Literal(text) => {
                    literal.push_str(text);
                    continue;
                }
                Part::Expr { expr, range } => (expr, range),
            };
            let names = self.names(expr, formula, range.start);
            match values(&names) {
                Some(values) => match expr.evaluate_text(&values) {
                    Ok(text) => literal.push_str(&text),
                    Err(error) => self.cannot_compute(error, formula, range.clone()),
                },
                None => {
                    if !literal.is_empty() {
                        folded.push(TextPart::Literal(std::mem::take(&mut literal)));
                    }
                    folded.push(TextPart::Late(Late::new(expr.text(), names, formula.inside(range.clone()))));
                }
            }
        }
        if folded.is_empty() {
            return Input::Known(Value::String(literal));
        }
        if !literal.is_empty() {
            folded.push(TextPart::Literal(literal));
        }
        Input::Text(folded)
    }

    /// Known or late. `offset` is where the expression begins in the formula's text.
    fn expr(&mut self, expr: &Expr, formula: &Formula, offset: usize) -> Input {
        let names = self.names(expr, formula, offset);
        let range = offset..offset + expr.text().len();
        match values(&names).map(|values| expr.evaluate(&values)) {
            Some(Ok(value)) => Input::Known(value),
            Some(Err(error)) => {
                self.cannot_compute(error, formula, range);
                Input::Known(Value::Null)
            }
            None => Input::Late(Late::new(expr.text(), names, formula.inside(range))),
        }
    }

    fn cannot_compute(&mut self, error: EvalError, formula: &Formula, of: Range<usize>) {
        let range = error.range.map_or(of.clone(), |range| of.start + range.start..of.start + range.end);
        let message = format!("this cannot be computed: {}", error.message);
        self.problems.push(Problem::error("P007", formula.inside(range), message).label("computed from the inputs"));
    }

    fn sibling_or_outer(&self, name: &str) -> StepId {
        let workflow = self.known.workflow;
        let siblings = self.around.map(|(group, _)| &workflow.names.groups[&workflow.groups[group].id.value].steps);
        match siblings.and_then(|steps| steps.get(name)) {
            Some(step) => path(workflow, *step, self.around.map(|(_, instance)| instance.key.as_str())),
            None => path(workflow, workflow.names.steps[name], None),
        }
    }

    /// Asking how a step ended lifts the rule that it must have succeeded, whatever else refers to it.
    pub fn wait(&mut self, id: StepId, rule: NeedRule) {
        let entry = self.needs.entry(id).or_insert(rule);
        if rule == NeedRule::End {
            *entry = NeedRule::End;
        }
    }

    pub fn touch(&mut self, cluster: &str) {
        if self.clusters.iter().all(|known| known.0 != cluster) {
            self.clusters.push(ClusterName(cluster.to_owned()));
        }
    }
}

/// When all of the names are values.
fn values(names: &BTreeMap<String, Bound>) -> Option<Values<'_>> {
    let mut values = Values::new();
    for (name, bound) in names {
        match bound {
            Bound::Value(value) => values = values.with(name.as_str(), value),
            Bound::Step(_) | Bound::Instances(_) | Bound::Run | Bound::Element => return None,
        }
    }
    Some(values)
}

fn joined_list(items: Vec<Input>) -> Input {
    if items.iter().all(|item| matches!(item, Input::Known(_))) {
        return Input::Known(Value::Array(items.into_iter().filter_map(known).collect()));
    }
    Input::List(items)
}

fn joined_map(fields: Vec<(String, Input)>) -> Input {
    if fields.iter().all(|(_, field)| matches!(field, Input::Known(_))) {
        return Input::Known(Value::Object(
            fields.into_iter().filter_map(|(name, field)| Some((name, known(field)?))).collect(),
        ));
    }
    Input::Map(fields)
}

fn known(input: Input) -> Option<Value> {
    match input {
        Input::Known(value) => Some(value),
        Input::Late(_) | Input::Text(_) | Input::List(_) | Input::Map(_) | Input::Secret(_) | Input::Repeat(_) => None,
    }
}
