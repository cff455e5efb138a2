//! Values with expressions in them become [`Input`]s: what depends on inputs only is computed now, the rest keeps its expression
//! with the meaning of each of its names at this place.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use steps_sdk::value::ClusterName;

use super::evaluate::kind_of;
use super::inputs::unknown_cluster;
use super::tree::{SiteId, Tree};
use super::types::{Bound, Input, Late, NeedRule, Repeat, TextPart};
use crate::diagnostic::Problem;
use crate::expr::{EvalError, Expr, Part, Values};
use crate::id::StepId;
use crate::workflow::names::Member;
use crate::workflow::{Code, Content, Formula, Workflow, Written, fit};

/// What is known before the run, for all steps.
pub(super) struct Known<'w> {
    pub workflow: &'w Workflow,
    /// `inputs`, `clusters`, and each secret by its place.
    pub roots: BTreeMap<String, Value>,
    pub tree: Tree,
    /// Of the clusters that have one: the kubeconfig that a step gives, or a secret.
    pub kubeconfigs: BTreeMap<String, Folded>,
}

/// A value that others refer to: what a call is given, or gives.
pub(super) struct Folded {
    pub input: Input,
    pub needs: BTreeMap<StepId, NeedRule>,
    pub problems: Vec<Problem>,
}

impl Folded {
    pub fn known(value: Value) -> Folded {
        Folded { input: Input::Known(value), needs: BTreeMap::new(), problems: Vec::new() }
    }
}

/// Folds the values of one place, and notes what it waits for and which clusters it touches.
pub(super) struct Folder<'k, 'p> {
    pub(super) known: &'k Known<'k>,
    pub(super) problems: &'p mut Vec<Problem>,
    /// Where the place is.
    pub(super) site: SiteId,
    /// Variables of repetitions, innermost last; `None`: its list comes late.
    pub(super) variables: Vec<(String, Option<Value>)>,
    pub needs: BTreeMap<StepId, NeedRule>,
    pub clusters: Vec<ClusterName>,
}

impl<'k, 'p> Folder<'k, 'p> {
    pub fn new(known: &'k Known<'k>, site: SiteId, problems: &'p mut Vec<Problem>) -> Folder<'k, 'p> {
        Folder { known, problems, site, variables: Vec::new(), needs: BTreeMap::new(), clusters: Vec::new() }
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
                let id = self.named_step(name);
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

    /// A step that is named, not read.
    fn named_step(&self, name: &str) -> StepId {
        let known = self.known;
        let scope = known.tree.site(self.site).scope;
        let Some((found, Member::Step(step))) = known.workflow.names.find(name, scope) else {
            unreachable!("a workflow without errors names only steps that are there");
        };
        known.path(step, known.tree.site_of(found, self.site))
    }

    /// A condition that is known to hold needs no evaluation; one that is known not to hold is kept, so that the skip can say why.
    pub fn condition(&mut self, formula: &Formula) -> Option<Late> {
        match self.formula(formula) {
            Input::Late(late) => Some(late),
            Input::Known(Value::Bool(true)) => None,
            _ => {
                let Code::Bare(expr) = &formula.code else {
                    unreachable!("`when` is a bare expression");
                };
                Some(Late::new(expr.text(), self.names(expr, formula, 0), formula.at))
            }
        }
    }

    pub fn wait(&mut self, id: StepId, rule: NeedRule) {
        wait(&mut self.needs, id, rule);
    }

    pub fn touch(&mut self, cluster: &str) {
        if self.clusters.iter().all(|known| known.0 != cluster) {
            self.clusters.push(ClusterName(cluster.to_owned()));
        }
    }
}

/// Asking how a step ended lifts the rule that it must have succeeded, whatever else refers to it.
pub(super) fn wait(needs: &mut BTreeMap<StepId, NeedRule>, id: StepId, rule: NeedRule) {
    let entry = needs.entry(id).or_insert(rule);
    if rule == NeedRule::End {
        *entry = NeedRule::End;
    }
}

/// What is known of an input before the run; a secret stands for its place, as in every expression.
pub(super) fn as_value(input: &Input) -> Option<Value> {
    match input {
        Input::Known(value) => Some(value.clone()),
        Input::Secret(secret) => Some(serde_json::to_value(secret).expect("a secret's place is plain JSON")),
        Input::List(items) => items.iter().map(as_value).collect::<Option<Vec<Value>>>().map(Value::Array),
        Input::Map(fields) => {
            let fields: Option<serde_json::Map<String, Value>> =
                fields.iter().map(|(name, field)| Some((name.clone(), as_value(field)?))).collect();
            fields.map(Value::Object)
        }
        Input::Late(_) | Input::Text(_) | Input::Repeat(_) => None,
    }
}

/// When all of the names are values.
fn values(names: &BTreeMap<String, Bound>) -> Option<Values<'_>> {
    let mut values = Values::new();
    for (name, bound) in names {
        match bound {
            Bound::Value(value) => values = values.with(name.as_str(), value),
            Bound::Step(_)
            | Bound::Call { .. }
            | Bound::Instances(_)
            | Bound::Params(_)
            | Bound::Run
            | Bound::Element => return None,
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
