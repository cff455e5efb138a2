//! Opens the groups and calls of a workflow, from outside inwards: one instance for each element of a group's list, named by its
//! key, and one site for each call.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use steps_sdk::Value;

use super::evaluate::kind_of;
use super::fold::{Folder, Known, as_value};
use super::tree::{Instance, OpenCall, Opening, ROOT, Site, SiteId, Tree};
use super::types::{Membership, PlannedGroup};
use crate::diagnostic::Problem;
use crate::expr::{EvalError, Values};
use crate::limits::{KEY_CHARACTERS_MAX, STEPS_MAX};
use crate::workflow::names::Member;
use crate::workflow::{Call, Code, Formula, Group, Template, Workflow};

/// Everything that is known before the run, and the groups of the plan.
pub(super) fn open<'w>(
    workflow: &'w Workflow,
    roots: BTreeMap<String, Value>,
    problems: &mut Vec<Problem>,
) -> (Known<'w>, Vec<PlannedGroup>) {
    let known = Known { workflow, roots, tree: Tree::new(), kubeconfigs: BTreeMap::new() };
    let mut opener = Opener { known, groups: Vec::new(), count: 0, problems };
    opener.fill(ROOT);
    let Opener { known, groups, count, problems } = opener;
    if count > STEPS_MAX {
        let at = workflow.name.at;
        problems.push(
            Problem::error("P009", at, format!("the plan has more than {STEPS_MAX} steps"))
                .help("split the workflow, or give it shorter lists"),
        );
    }
    (known, groups)
}

struct Opener<'w, 'p> {
    known: Known<'w>,
    groups: Vec<PlannedGroup>,
    /// Of steps and sites: calls within calls grow as fast as lists within lists.
    count: usize,
    problems: &'p mut Vec<Problem>,
}

impl<'w> Opener<'w, '_> {
    fn fill(&mut self, site: SiteId) {
        let workflow = self.known.workflow;
        for member in &workflow.names.scope(self.known.tree.site(site).scope).members {
            self.count += 1;
            if self.count > STEPS_MAX {
                return;
            }
            match *member {
                Member::Step(_) => {}
                Member::Group(group) => self.group(group, site),
                Member::Call(call) => self.call(call, site),
            }
        }
    }

    fn group(&mut self, index: usize, site: SiteId) {
        let workflow = self.known.workflow;
        let group = &workflow.groups[index];
        let before = self.problems.len();
        let elements = self.instances(group, site);
        self.known.tell_calls(site, &mut self.problems[before..]);
        let prefix = self.known.tree.site(site).prefix.clone();
        let planned = self.groups.len();
        self.groups.push(PlannedGroup {
            id: format!("{prefix}{}", group.id.value),
            parallel: group.parallel,
            on_failure: group.on_failure,
            outer: self.known.tree.instance_around(site).map(|instance| instance.member.clone()),
        });
        let mut opened = Vec::with_capacity(elements.len());
        for (key, element) in elements {
            self.count += 1;
            if self.count > STEPS_MAX {
                break;
            }
            let member = Membership { group: planned, key: key.clone() };
            opened.push(self.known.tree.add(Site {
                scope: workflow.names.inside(index),
                outer: Some(site),
                prefix: format!("{prefix}{}[{key}].", group.id.value),
                opening: Opening::Instance(Instance { group: index, key, element, member }),
                groups: BTreeMap::new(),
                calls: BTreeMap::new(),
            }));
        }
        self.known.tree.sites[site.0].groups.insert(index, opened.clone());
        opened.into_iter().for_each(|instance| self.fill(instance));
    }

    fn call(&mut self, index: usize, site: SiteId) {
        let workflow = self.known.workflow;
        let call = &workflow.calls[index];
        let number = call.template.expect("a workflow without errors has a template for each call");
        let template = &workflow.templates[number];
        let before = self.problems.len();
        let early = self.early(call, template, site);
        self.check_params(call, template, &early);
        self.known.tell_calls(site, &mut self.problems[before..]);
        let opening = OpenCall {
            call: index,
            template: number,
            early,
            args: template.params.iter().map(|param| (param.name.value.clone(), OnceCell::new())).collect(),
            outputs: template.outputs.iter().map(|output| (output.name.value.clone(), OnceCell::new())).collect(),
            condition: OnceCell::new(),
        };
        let prefix = format!("{}{}.", self.known.tree.site(site).prefix, call.id.value);
        let opened = self.known.tree.add(Site {
            scope: template.inside,
            outer: Some(site),
            prefix,
            opening: Opening::Call(opening),
            groups: BTreeMap::new(),
            calls: BTreeMap::new(),
        });
        self.known.tree.sites[site.0].calls.insert(index, opened);
        self.fill(opened);
    }

    /// Values of the params that decide about the plan: they refer to nothing that comes late, so no step has to be known yet.
    fn early(&mut self, call: &Call, template: &Template, site: SiteId) -> BTreeMap<String, Value> {
        let mut early = BTreeMap::new();
        for name in template.early.keys() {
            let Some(arg) = call.arg(name) else { continue };
            let folded = Folder::new(&self.known, site, self.problems).written(arg);
            early.extend(as_value(&folded).map(|value| (name.clone(), value)));
        }
        early
    }

    fn check_params(&mut self, call: &Call, template: &Template, early: &BTreeMap<String, Value>) {
        let param = Value::Object(early.iter().map(|(name, value)| (name.clone(), value.clone())).collect());
        for declared in &template.params {
            let name = &declared.name.value;
            let at = call.arg(name).map_or(call.at, |arg| arg.at);
            for check in &declared.checks {
                let Code::Bare(expr) = &check.condition.code else {
                    unreachable!("a check is a bare expression");
                };
                let values = Values::new().with("param", &param).with("inputs", &self.known.roots["inputs"]);
                let problem = match expr.evaluate(&values) {
                    Ok(Value::Bool(true)) => continue,
                    Ok(_) => {
                        let message =
                            check.message.clone().unwrap_or_else(|| format!("`{}` does not hold", expr.text()));
                        Problem::error("P004", at, format!("param `{name}`: {message}"))
                            .label("the value that is given")
                            .help(format!("give `{name}` another value"))
                    }
                    Err(error) => Problem::error(
                        "P007",
                        at,
                        format!("the check of param `{name}` cannot be computed: {}", error.message),
                    ),
                };
                self.problems.push(problem.related(check.condition.at, "this must hold"));
            }
        }
    }

    /// Key and element of each instance.
    fn instances(&mut self, group: &Group, site: SiteId) -> Vec<(String, Value)> {
        let early = self.known.early(site);
        let elements = match compute(&group.list, &early, None) {
            Ok(Value::Array(elements)) => elements,
            Ok(other) => {
                self.problems.push(Problem::error(
                    "P006",
                    group.list.at,
                    format!("`in` is a list, and this gives {}", kind_of(&other)),
                ));
                return Vec::new();
            }
            Err(error) => {
                self.problems.push(failed(&group.list, &error, &format!("the list of group `{}`", group.id.value)));
                return Vec::new();
            }
        };
        let mut instances: Vec<(String, Value)> = Vec::new();
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        for (position, element) in elements.into_iter().enumerate() {
            let Some(key) = key_of(group, &element, position, &early, self.problems) else {
                continue;
            };
            if let Some(first) = seen.insert(key.clone(), position) {
                let at = group.key.as_ref().map_or(group.list.at, |key| key.at);
                let message = format!("two instances of group `{}` have the key `{key}`", group.id.value);
                self.problems.push(
                    Problem::error("P005", at, message)
                        .label(format!("elements {first} and {position}"))
                        .help("a key names one instance in every run: use a field that is different in each element"),
                );
                continue;
            }
            instances.push((key, element));
        }
        instances
    }
}

fn key_of(
    group: &Group,
    element: &Value,
    position: usize,
    early: &BTreeMap<String, Value>,
    problems: &mut Vec<Problem>,
) -> Option<String> {
    let (value, at) = match &group.key {
        None => (element.clone(), group.list.at),
        Some(key) => match compute(key, early, Some((&group.variable.value, element))) {
            Ok(value) => (value, key.at),
            Err(error) => {
                problems.push(failed(key, &error, &format!("the key of element {position}")));
                return None;
            }
        },
    };
    let key = match value {
        Value::String(text) => text,
        Value::Number(number) if !number.is_f64() => number.to_string(),
        other => {
            problems.push(Problem::error(
                "P005",
                at,
                format!("the key of element {position} is {}, not a text", kind_of(&other)),
            ));
            return None;
        }
    };
    let is_word = key.starts_with(|c: char| c.is_ascii_alphanumeric())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    if !is_word || key.chars().count() > KEY_CHARACTERS_MAX {
        let problem = Problem::error("P005", at, format!("`{key}` cannot be the key of an instance"));
        problems.push(problem.help(format!("keys have up to {KEY_CHARACTERS_MAX} letters, digits, `.`, `_` and `-`, and begin with a letter or digit: they become parts of names on clusters")));
        return None;
    }
    Some(key)
}

fn compute(
    formula: &Formula,
    early: &BTreeMap<String, Value>,
    variable: Option<(&str, &Value)>,
) -> Result<Value, EvalError> {
    let mut values = Values::new();
    for (name, value) in early {
        values = values.with(name.as_str(), value);
    }
    if let Some((name, value)) = variable {
        values = values.with(name, value);
    }
    match &formula.code {
        Code::Bare(expr) => expr.evaluate(&values),
        Code::Template(template) => template.evaluate(&values),
    }
}

fn failed(formula: &Formula, error: &EvalError, what: &str) -> Problem {
    let at = error.range.clone().map_or(formula.at, |range| formula.inside(range));
    Problem::error("P007", at, format!("{what} cannot be computed: {}", error.message))
}
