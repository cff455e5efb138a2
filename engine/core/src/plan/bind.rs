//! What each name of an expression stands for at its place: a value, the outputs of a step, the instances of a group. On the way
//! it is noted what the step waits for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::fold::Folder;
use super::open::{Instance, path};
use super::types::{Bound, NeedRule};
use crate::diagnostic::{Place, Problem};
use crate::expr::{Expr, Guard, PathRef, Segment, Values};
use crate::id::StepId;
use crate::workflow::Formula;
use crate::workflow::names::{KeyOf, Root};

impl Folder<'_, '_> {
    /// Every name of an expression; `offset` is where the expression begins in the formula's text.
    pub fn names(&mut self, expr: &Expr, formula: &Formula, offset: usize) -> BTreeMap<String, Bound> {
        let references = expr.references();
        let mut names = BTreeMap::new();
        for reference in &references {
            let range = &reference.range;
            let at = formula.inside(range.start + offset..range.end + offset);
            let bound = self.bind(reference, &references, expr, at);
            merge(&mut names, &reference.root, bound);
        }
        names
    }

    fn bind(&mut self, reference: &PathRef, all: &[PathRef], expr: &Expr, at: Place) -> Bound {
        let root = reference.root.as_str();
        if let Some((_, value)) = self.variables.iter().rev().find(|(name, _)| name == root) {
            return value.clone().map_or(Bound::Element, Bound::Value);
        }
        let workflow = self.known.workflow;
        let group = self.around.map(|(group, instance)| (&workflow.groups[group], instance));
        if let Some((_, instance)) = group.filter(|(group, _)| group.variable.value == root) {
            return Bound::Value(instance.element.clone());
        }
        if root == "run" {
            return Bound::Run;
        }
        if let Some(value) = self.known.roots.get(root) {
            return Bound::Value(if root == "inputs" { only_used(value, all) } else { value.clone() });
        }
        let rule = match reference.guard {
            Some(Guard::Succeeded | Guard::Failed | Guard::Skipped) => NeedRule::End,
            Some(Guard::Exists) | None => NeedRule::Success,
        };
        match workflow.names.resolve(reference, group.map(|(group, _)| group.id.value.as_str()), |_| false) {
            Root::Step(step) => {
                let key = workflow.steps[step].group.and(group).map(|(_, instance)| instance.key.as_str());
                let id = path(workflow, step, key);
                self.wait(id.clone(), rule);
                Bound::Step(id)
            }
            Root::Group { group, key, steps } => self.bind_group(&group, &key, &steps, rule, expr, at),
            Root::Plain | Root::OwnGroup(_) | Root::Inside { .. } | Root::Unknown => {
                unreachable!("a workflow without errors has no unknown names: {root}")
            }
        }
    }

    fn bind_group(
        &mut self,
        group: &str,
        key: &KeyOf,
        steps: &[usize],
        rule: NeedRule,
        expr: &Expr,
        at: Place,
    ) -> Bound {
        let workflow = self.known.workflow;
        let index = workflow
            .groups
            .iter()
            .position(|other| other.id.value == group)
            .expect("names are those of the workflow's groups");
        let chosen = match key {
            KeyOf::All => None,
            KeyOf::One(key) => Some(key.clone()),
            KeyOf::Computed(range) => self.computed_key(&expr.text()[range.clone()]),
        };
        let known = self.known;
        let instances: Vec<&Instance> = known.instances[index]
            .iter()
            .filter(|instance| chosen.as_ref().is_none_or(|key| *key == instance.key))
            .collect();
        if let (Some(key), true) = (&chosen, instances.is_empty()) {
            let keys: Vec<&str> = known.instances[index].iter().map(|instance| instance.key.as_str()).collect();
            let problem = Problem::error("P008", at, format!("group `{group}` has no instance `{key}`"));
            let there =
                if keys.is_empty() { "its list is empty".to_owned() } else { format!("there are {}", keys.join(", ")) };
            self.problems.push(problem.help(there));
        }
        let mut bound = BTreeMap::new();
        for instance in instances {
            let ids: BTreeMap<String, StepId> = steps
                .iter()
                .map(|step| (workflow.steps[*step].id.value.clone(), path(workflow, *step, Some(&instance.key))))
                .collect();
            ids.values().for_each(|id| self.wait(id.clone(), rule));
            bound.insert(instance.key.clone(), ids);
        }
        Bound::Instances(bound)
    }

    /// `export[shard.name]` inside of a group: a key that depends on nothing late picks one instance. Otherwise all are waited for.
    fn computed_key(&self, text: &str) -> Option<String> {
        let key = Expr::parse(text).ok()?;
        let mut values = Values::new();
        let references = key.references();
        for reference in &references {
            let root = reference.root.as_str();
            let value = match self.variables.iter().rev().find(|(name, _)| name == root) {
                Some((_, value)) => value.as_ref()?,
                None => {
                    match self.around.filter(|(group, _)| self.known.workflow.groups[*group].variable.value == root) {
                        Some((_, instance)) => &instance.element,
                        None => self.known.roots.get(root)?,
                    }
                }
            };
            values = values.with(root, value);
        }
        match key.evaluate(&values).ok()? {
            Value::String(key) => Some(key),
            _ => None,
        }
    }
}

/// Of a large object of inputs only the fields that the expression reads: a plan stores them with each late expression.
fn only_used(inputs: &Value, references: &[PathRef]) -> Value {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for reference in references.iter().filter(|reference| reference.root == "inputs") {
        match reference.segments.first() {
            Some(Segment::Field(name)) => drop(used.insert(name)),
            _ => return inputs.clone(),
        }
    }
    let fields: Map<String, Value> = inputs
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| used.contains(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Value::Object(fields)
}

/// Two paths of one root: of a group, the instances and steps of both.
fn merge(names: &mut BTreeMap<String, Bound>, root: &str, bound: Bound) {
    match (names.get_mut(root), bound) {
        (Some(Bound::Instances(first)), Bound::Instances(second)) => {
            for (key, steps) in second {
                first.entry(key).or_default().extend(steps);
            }
        }
        (Some(_), _) => {}
        (None, bound) => drop(names.insert(root.to_owned(), bound)),
    }
}
