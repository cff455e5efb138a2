//! What each name of an expression stands for at its place: a value, the outputs of a step or call, the instances of a group, what
//! a call gives. On the way it is noted what the step waits for.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::fold::{Folder, as_value};
use super::tree::{Opening, SiteId};
use super::types::{Bound, Input, NeedRule};
use crate::diagnostic::{Place, Problem};
use crate::expr::{Expr, Guard, PathRef, Segment, Values};
use crate::workflow::Formula;
use crate::workflow::names::{KeyOf, Member, Root, named};

/// A reference, and where it stands.
#[derive(Clone, Copy)]
struct Reading<'r> {
    path: &'r PathRef,
    expr: &'r Expr,
    at: Place,
}

impl Reading<'_> {
    fn rule(self) -> NeedRule {
        match self.path.guard {
            Some(Guard::Succeeded | Guard::Failed | Guard::Skipped) => NeedRule::End,
            Some(Guard::Exists) | None => NeedRule::Success,
        }
    }
}

impl Folder<'_, '_> {
    /// Every name of an expression; `offset` is where the expression begins in the formula's text.
    pub fn names(&mut self, expr: &Expr, formula: &Formula, offset: usize) -> BTreeMap<String, Bound> {
        let references = expr.references();
        let mut names = BTreeMap::new();
        for path in &references {
            let range = &path.range;
            let at = formula.inside(range.start + offset..range.end + offset);
            let bound = self.bind(Reading { path, expr, at }, &references);
            merge(&mut names, &path.root, bound);
        }
        names
    }

    fn bind(&mut self, reading: Reading<'_>, all: &[PathRef]) -> Bound {
        let path = reading.path;
        let root = path.root.as_str();
        if let Some((_, value)) = self.variables.iter().rev().find(|(name, _)| name == root) {
            return value.clone().map_or(Bound::Element, Bound::Value);
        }
        let known = self.known;
        let (workflow, tree) = (known.workflow, &known.tree);
        match workflow.names.resolve(path, tree.site(self.site).scope, |_| false) {
            Root::Plain => match (self.element(root), root) {
                (Some(element), _) => Bound::Value(element.clone()),
                (None, "run") => Bound::Run,
                (None, "inputs") => Bound::Value(only_used(&known.roots["inputs"], all)),
                (None, _) => Bound::Value(known.roots[root].clone()),
            },
            Root::Param => self.bind_params(all),
            Root::Step(step) => {
                let site = tree.site_of(workflow.steps[step].scope, self.site);
                self.bind_step(step, site, reading)
            }
            Root::Call(call) => {
                let site = tree.site_of(workflow.calls[call].scope, self.site);
                self.bind_call(call, site, &path.segments, reading)
            }
            Root::Group(through) => {
                let site = tree.site_of(workflow.groups[through.group].scope, self.site);
                self.bind_group(through.group, site, &path.segments, reading)
            }
            Root::OwnGroup(_) | Root::Inside { .. } | Root::Closed { .. } | Root::Unknown => {
                unreachable!("a workflow without errors has no unknown names: {root}")
            }
        }
    }

    /// What the variable of a group around the place is.
    fn element(&self, name: &str) -> Option<&Value> {
        self.known.tree.seen_from(self.site).find_map(|(_, site)| match &site.opening {
            Opening::Instance(instance) if self.known.workflow.groups[instance.group].variable.value == name => {
                Some(&instance.element)
            }
            Opening::Instance(_) | Opening::File | Opening::Call(_) => None,
        })
    }

    fn bind_step(&mut self, step: usize, site: SiteId, reading: Reading<'_>) -> Bound {
        let id = self.known.path(step, site);
        self.wait(id.clone(), reading.rule());
        Bound::Step(id)
    }

    /// Of a call's params those that the expression reads. All of them known: a value as any other.
    fn bind_params(&mut self, all: &[PathRef]) -> Bound {
        let known = self.known;
        let (site, call) = known.tree.call_around(self.site).expect("params are known in templates only");
        let used = used_fields(all, "param");
        let names = call.args.keys().filter(|name| used.as_ref().is_none_or(|used| used.contains(name.as_str())));
        let mut params: BTreeMap<String, Input> = BTreeMap::new();
        for name in names {
            let arg = known.arg(site, name);
            arg.needs.iter().for_each(|(step, rule)| self.wait(step.clone(), *rule));
            params.insert(name.clone(), arg.input.clone());
        }
        let values: Option<Map<String, Value>> =
            params.iter().map(|(name, input)| Some((name.clone(), as_value(input)?))).collect();
        values.map_or(Bound::Params(params), |values| Bound::Value(Value::Object(values)))
    }

    /// What refers to a call waits for all of its steps.
    fn bind_call(&mut self, call: usize, around: SiteId, segments: &[Segment], reading: Reading<'_>) -> Bound {
        let known = self.known;
        let site = known.tree.site(around).calls[&call];
        let steps = known.paths(Member::Call(call), around);
        steps.iter().for_each(|step| self.wait(step.clone(), reading.rule()));
        let mut outputs = BTreeMap::new();
        if reading.path.guard.is_none() {
            let read = named(segments.first());
            let all = known.open_call(site).outputs.keys();
            for name in all.filter(|name| read.is_none_or(|read| read == name.as_str())) {
                let output = known.output(site, name);
                output.needs.iter().for_each(|(step, rule)| self.wait(step.clone(), *rule));
                outputs.insert(name.clone(), output.input.clone());
            }
        }
        Bound::Call { steps, outputs }
    }

    /// One instance or all; of each what the path goes on to.
    fn bind_group(&mut self, group: usize, site: SiteId, segments: &[Segment], reading: Reading<'_>) -> Bound {
        let known = self.known;
        let instances = self.chosen(group, site, segments.first(), reading);
        let mut bound = BTreeMap::new();
        for instance_site in instances {
            let site = known.tree.site(instance_site);
            let Opening::Instance(instance) = &site.opening else {
                unreachable!("a group is opened into instances");
            };
            let names = &known.workflow.names.scope(site.scope).names;
            let read = named(segments.get(1));
            let rest = segments.get(2..).unwrap_or_default();
            let mut members = BTreeMap::new();
            for (name, member) in names.iter().filter(|(name, _)| read.is_none_or(|read| read == name.as_str())) {
                let member = match *member {
                    Member::Step(step) => self.bind_step(step, instance_site, reading),
                    Member::Call(call) => self.bind_call(call, instance_site, rest, reading),
                    Member::Group(inner) => self.bind_group(inner, instance_site, rest, reading),
                };
                members.insert(name.clone(), member);
            }
            bound.insert(instance.key.clone(), members);
        }
        Bound::Instances(bound)
    }

    fn chosen(&mut self, group: usize, site: SiteId, segment: Option<&Segment>, reading: Reading<'_>) -> Vec<SiteId> {
        let known = self.known;
        let key = match KeyOf::of(segment) {
            KeyOf::All => None,
            KeyOf::One(key) => Some(key),
            KeyOf::Computed(range) => self.computed_key(&reading.expr.text()[range], reading.at),
        };
        let all = &known.tree.site(site).groups[&group];
        let key_of = |site: &SiteId| known.tree.instance_around(*site).map(|instance| instance.key.as_str());
        let Some(key) = key else { return all.clone() };
        let chosen: Vec<SiteId> = all.iter().copied().filter(|site| key_of(site) == Some(key.as_str())).collect();
        if chosen.is_empty() {
            let keys: Vec<&str> = all.iter().filter_map(key_of).collect();
            let there =
                if keys.is_empty() { "its list is empty".to_owned() } else { format!("there are {}", keys.join(", ")) };
            let title = &known.workflow.groups[group].id.value;
            let message = format!("group `{title}` has no instance `{key}`");
            self.problems.push(Problem::error("P008", reading.at, message).help(there));
        }
        chosen
    }

    /// `export[shard.name]` inside of a group: a key that depends on nothing late picks one instance. Otherwise all are waited for.
    fn computed_key(&mut self, text: &str, at: Place) -> Option<String> {
        let key = Expr::parse(text).ok()?;
        let references = key.references();
        let mut bound = BTreeMap::new();
        for path in &references {
            let is_plain = matches!(
                self.known.workflow.names.resolve(path, self.known.tree.site(self.site).scope, |_| false),
                Root::Plain | Root::Param
            );
            let is_repeated = self.variables.iter().any(|(name, _)| *name == path.root);
            if !is_plain && !is_repeated {
                return None;
            }
            let reading = Reading { path, expr: &key, at };
            bound.insert(path.root.clone(), self.bind(reading, &references));
        }
        let mut values = Values::new();
        for (name, bound) in &bound {
            let Bound::Value(value) = bound else { return None };
            values = values.with(name.as_str(), value);
        }
        match key.evaluate(&values).ok()? {
            Value::String(key) => Some(key),
            _ => None,
        }
    }
}

/// The fields of a root that an expression reads; `None`: the root as a whole.
fn used_fields<'r>(references: &'r [PathRef], root: &str) -> Option<BTreeSet<&'r str>> {
    let mut used = BTreeSet::new();
    for reference in references.iter().filter(|reference| reference.root == root) {
        match reference.segments.first() {
            Some(Segment::Field(name)) => drop(used.insert(name.as_str())),
            _ => return None,
        }
    }
    Some(used)
}

/// Of a large object of inputs only the fields that the expression reads: a plan stores them with each late expression.
fn only_used(inputs: &Value, references: &[PathRef]) -> Value {
    let Some(used) = used_fields(references, "inputs") else {
        return inputs.clone();
    };
    let fields: Map<String, Value> = inputs
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| used.contains(name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Value::Object(fields)
}

/// Two paths of one root: of a group, the instances and members of both; of a call, the outputs of both.
fn merge(names: &mut BTreeMap<String, Bound>, root: &str, bound: Bound) {
    match names.get_mut(root) {
        Some(first) => join(first, bound),
        None => drop(names.insert(root.to_owned(), bound)),
    }
}

fn join(first: &mut Bound, second: Bound) {
    match (first, second) {
        (Bound::Instances(first), Bound::Instances(second)) => {
            for (key, members) in second {
                let into = first.entry(key).or_default();
                members.into_iter().for_each(|(name, bound)| merge(into, &name, bound));
            }
        }
        (Bound::Call { outputs: first, .. }, Bound::Call { outputs: second, .. }) => first.extend(second),
        // Everything else is the same for every path of its root.
        _ => {}
    }
}
