//! Types: what each expression gives, whether it fits its place, whether what it refers to can be absent, and where secrets go.
//!
//! Steps are looked at in the order of their edges, because a kind such as `value.set` gives what it is given: the types of its
//! outputs are those of its inputs. Names of a scope are put together per expression, so that a thousand steps cost a thousand
//! small scopes and not one million entries.

use std::ops::Range;

use steps_sdk::schema::Shape;
use steps_sdk::spec::Outputs;

use super::absence;
use super::fit::may_name_cluster;
use super::infer::{common, type_of_value};
use super::names::Root;
use super::taint::takes_secret;
use super::types::{Step, Workflow};
use super::written::{Content, Formula, Written};
use crate::diagnostic::{Place, Problem};
use crate::expr::{PathRef, Scope, Type, TypeField, TypeProblem};

pub(super) struct Checker<'w> {
    workflow: &'w Workflow,
    problems: &'w mut Vec<Problem>,
    inputs: Type,
    clusters: Type,
    /// Of the steps that were looked at.
    outputs: Vec<Type>,
    /// Of the elements of groups.
    elements: Vec<Type>,
}

/// Where an expression stands.
#[derive(Clone, Copy)]
struct Spot<'s> {
    /// The step, if it is in one.
    step: Option<&'s Step>,
    group: Option<usize>,
    /// Nothing that a step gives can be known here.
    is_early: bool,
    variables: &'s [(String, Type)],
}

impl<'w> Checker<'w> {
    pub fn new(workflow: &'w Workflow, problems: &'w mut Vec<Problem>) -> Checker<'w> {
        let inputs = workflow
            .inputs
            .iter()
            .map(|input| TypeField::new(input.name.value.clone(), Type::of_schema(&input.schema)))
            .collect();
        let clusters =
            workflow.clusters.iter().map(|cluster| TypeField::new(cluster.name.value.clone(), Type::Cluster)).collect();
        let outputs = vec![Type::Any; workflow.steps.len()];
        let elements = vec![Type::Any; workflow.groups.len()];
        Checker {
            workflow,
            problems,
            inputs: Type::Object(inputs),
            clusters: Type::Object(clusters),
            outputs,
            elements,
        }
    }

    /// What is known before any step: input checks, the lock, identities, grants, groups.
    pub fn check_early(&mut self) {
        let workflow = self.workflow;
        let early = Spot { step: None, group: None, is_early: true, variables: &[] };
        for check in workflow.inputs.iter().flat_map(|input| &input.checks) {
            self.formula(&check.condition, early);
        }
        for written in
            workflow.lock.iter().chain(workflow.clusters.iter().filter_map(|cluster| cluster.identity.as_ref()))
        {
            self.written(written, early);
        }
        for written in workflow.components.iter().flat_map(|component| component.grants.texts()) {
            self.written(written, early);
        }
        for (index, group) in workflow.groups.iter().enumerate() {
            let element = match self.formula(&group.list, early) {
                Type::List(element) => *element,
                _ => Type::Any,
            };
            self.elements[index] = element.clone();
            let inside = Spot { group: Some(index), ..early };
            match &group.key {
                Some(key) => {
                    let ty = self.formula(key, inside);
                    if !Type::TEXT.accepts(&ty) && !Type::Int.accepts(&ty) {
                        self.problems.push(
                            Problem::error("L222", key.at, format!("a key is a text or a whole number, not {ty}"))
                                .help("keys name the instances: `key=\"item.name\"`"),
                        );
                    }
                }
                None if !Type::TEXT.accepts(&element) => {
                    let problem = Problem::error(
                        "L204",
                        group.id.at,
                        format!("the elements of group `{}` are no texts, so it needs a key", group.id.value),
                    );
                    self.problems
                        .push(problem.help(format!("name the instances: `key=\"{}.NAME\"`", group.variable.value)));
                }
                None => {}
            }
        }
    }

    /// One step. The answer is its body with the formulas settled that could be a list or its only item.
    pub fn check_step(&mut self, index: usize) -> Written {
        let step = &self.workflow.steps[index];
        let spot = Spot { step: Some(step), group: step.group, is_early: false, variables: &[] };
        if let Some(when) = &step.when {
            self.formula(when, spot);
        }
        if let Some(on) = &step.on {
            self.written(on, Spot { is_early: true, ..spot });
        }
        let (body, ty) = self.written(&step.body, spot);
        self.outputs[index] = match &step.spec.outputs {
            Outputs::SameAsInputs => ty,
            Outputs::Fields(schema) => Type::of_schema(schema),
        };
        body
    }

    pub fn check_outputs(&mut self) {
        for output in &self.workflow.outputs {
            let spot = Spot { step: None, group: None, is_early: false, variables: &[] };
            let mut tainted = Vec::new();
            self.find_secrets(&output.value, spot, &mut tainted);
            if let (Some(at), false) = (tainted.first(), output.secret) {
                let problem = Problem::error("L219", *at, format!("output `{}` touches a secret", output.name.value));
                self.problems.push(
                    problem.help("mark it: `secret=#true`; what is printed is where the secret is, never its bytes"),
                );
            }
        }
    }

    fn find_secrets(&mut self, written: &Written, spot: Spot<'_>, tainted: &mut Vec<Place>) {
        match &written.content {
            Content::Formula(formula) => {
                if self.type_of(formula, spot).has_secret() {
                    tainted.push(formula.at);
                }
            }
            Content::List(items) => items.iter().for_each(|item| self.find_secrets(item, spot, tainted)),
            Content::Map(fields) => fields.iter().for_each(|(_, field)| self.find_secrets(field, spot, tainted)),
            Content::Repeat(repeat) => {
                let variables = self.repeated(repeat, spot);
                let spot = Spot { variables: &variables, ..spot };
                repeat.items.iter().for_each(|item| self.find_secrets(item, spot, tainted));
            }
            Content::Literal(_) | Content::Cluster(_) | Content::Secret(_) | Content::Step(_) => {}
        }
    }

    fn repeated(&mut self, repeat: &super::Repeat, spot: Spot<'_>) -> Vec<(String, Type)> {
        let element = match self.formula(&repeat.list, spot) {
            Type::List(element) => *element,
            _ => Type::Any,
        };
        let mut variables = spot.variables.to_vec();
        variables.push((repeat.name.clone(), element));
        variables
    }

    /// A value with its type.
    fn written(&mut self, written: &Written, spot: Spot<'_>) -> (Written, Type) {
        let (content, ty) = match &written.content {
            Content::Literal(value) => (written.content.clone(), type_of_value(value)),
            Content::Cluster(_) => (written.content.clone(), Type::Cluster),
            Content::Secret(_) => (written.content.clone(), Type::Secret),
            Content::Step(_) => (written.content.clone(), Type::TEXT),
            Content::Formula(formula) => self.settled(formula, spot),
            Content::List(items) => {
                let (items, types): (Vec<_>, Vec<_>) = items.iter().map(|item| self.written(item, spot)).unzip();
                (Content::List(items), Type::List(Box::new(common(&types))))
            }
            Content::Map(fields) => {
                let mut typed = Vec::with_capacity(fields.len());
                let mut settled = Vec::with_capacity(fields.len());
                for (name, field) in fields {
                    let (field, ty) = self.written(field, spot);
                    typed.push(TypeField::new(name.clone(), ty));
                    settled.push((name.clone(), field));
                }
                (Content::Map(settled), Type::Object(typed))
            }
            Content::Repeat(repeat) => {
                let variables = self.repeated(repeat, spot);
                let spot = Spot { variables: &variables, ..spot };
                let (items, types): (Vec<_>, Vec<_>) = repeat.items.iter().map(|item| self.written(item, spot)).unzip();
                (Content::Repeat(super::Repeat { items, ..repeat.clone() }), common(&types))
            }
        };
        (Written { at: written.at, content }, ty)
    }

    /// A formula where a list is wanted may be the list or its only item.
    fn settled(&mut self, formula: &Formula, spot: Spot<'_>) -> (Content, Type) {
        let ty = self.type_of(formula, spot);
        if let Shape::List(items) = &formula.wants.schema.shape
            && !matches!(ty, Type::List(_))
        {
            let item = formula.wanting((**items).clone());
            self.fits(&item, &ty, spot);
            let at = item.at;
            return (Content::List(vec![Written::new(Content::Formula(item), at)]), Type::List(Box::new(ty)));
        }
        self.fits(formula, &ty, spot);
        (Content::Formula(formula.clone()), ty)
    }

    fn formula(&mut self, formula: &Formula, spot: Spot<'_>) -> Type {
        let ty = self.type_of(formula, spot);
        self.fits(formula, &ty, spot);
        ty
    }

    fn type_of(&mut self, formula: &Formula, spot: Spot<'_>) -> Type {
        let mut scope = Scope::default();
        let mut is_clear = true;
        let mut has_unknown = false;
        for path in formula.references() {
            let Some(ty) = self.type_of_root(formula, &path, spot, &mut is_clear) else {
                has_unknown = true;
                continue;
            };
            scope.names.insert(path.root, ty);
        }
        if has_unknown {
            self.add_every_name(&mut scope, spot);
        }
        let (ty, found) = formula.check(&scope);
        for problem in found {
            self.problems.push(as_problem(problem, |range| formula.inside(range)));
        }
        if is_clear { ty } else { Type::Any }
    }

    /// The type of a root; `None` when there is no such name.
    fn type_of_root(&mut self, formula: &Formula, path: &PathRef, spot: Spot<'_>, is_clear: &mut bool) -> Option<Type> {
        let workflow = self.workflow;
        let root = path.root.as_str();
        let group = spot.group.map(|group| &workflow.groups[group]);
        let is_variable = |name: &str| {
            spot.variables.iter().any(|(variable, _)| variable == name)
                || group.is_some_and(|group| group.variable.value == name)
        };
        let at = formula.inside(path.range.clone());
        let unclear = |problem: Problem, checker: &mut Self, is_clear: &mut bool| {
            checker.problems.push(problem);
            *is_clear = false;
            Some(Type::Any)
        };
        match workflow.names.resolve(path, group.map(|group| group.id.value.as_str()), is_variable) {
            Root::Plain => Some(self.type_of_plain(root, spot)),
            Root::Step(_) | Root::Group { .. } if spot.is_early => {
                let problem = Problem::error("L220", at, format!("`{root}` is known only while the workflow runs"));
                unclear(problem.help("the plan is complete before the first step: use inputs here"), self, is_clear)
            }
            Root::Step(step) => {
                self.problems.extend(absence::check(workflow, path, &[step], spot.step, at));
                Some(Type::Step(Box::new(self.outputs[step].clone())))
            }
            Root::Group { group, steps, .. } => {
                self.problems.extend(absence::check(workflow, path, &steps, spot.step, at));
                Some(self.type_of_group(&group))
            }
            Root::OwnGroup(group) => {
                let problem =
                    Problem::error("L216", at, format!("a step of group `{group}` refers to the group itself"));
                unclear(
                    problem.help("inside a group a step's name means the same instance: leave `GROUP[KEY].` out"),
                    self,
                    is_clear,
                )
            }
            Root::Inside { group } => {
                let problem =
                    Problem::error("L216", at, format!("`{root}` is a step of group `{group}`, one for each instance"));
                unclear(problem.help(format!("say which one: `{group}[\"KEY\"].{root}`, or take all: `{group}.map(key, {group}[key].{root}…)`")), self, is_clear)
            }
            Root::Unknown if workflow.names.has_gaps => Some(Type::Any),
            Root::Unknown => None,
        }
    }

    fn type_of_plain(&self, root: &str, spot: Spot<'_>) -> Type {
        if let Some((_, ty)) = spot.variables.iter().rev().find(|(variable, _)| variable == root) {
            return ty.clone();
        }
        if let Some(group) = spot.group.filter(|group| self.workflow.groups[*group].variable.value == root) {
            return self.elements[group].clone();
        }
        match root {
            "inputs" => self.inputs.clone(),
            "clusters" => self.clusters.clone(),
            "run" => run_type(),
            _ if self.workflow.names.secrets.contains_key(root) => Type::Secret,
            _ => Type::Any,
        }
    }

    fn type_of_group(&self, group: &str) -> Type {
        let steps = &self.workflow.names.groups[group].steps;
        let fields = steps
            .iter()
            .map(|(name, index)| TypeField::new(name.clone(), Type::Step(Box::new(self.outputs[*index].clone()))));
        Type::Map(Box::new(Type::Object(fields.collect())))
    }

    /// For "did you mean": only when a name is unknown, since it costs the whole file.
    fn add_every_name(&self, scope: &mut Scope, spot: Spot<'_>) {
        let names = &self.workflow.names;
        let siblings = spot.group.map(|group| &names.groups[&self.workflow.groups[group].id.value].steps);
        for (name, index) in names.steps.iter().chain(siblings.into_iter().flatten()) {
            scope.names.entry(name.clone()).or_insert_with(|| Type::Step(Box::new(self.outputs[*index].clone())));
        }
        let variable = spot.group.map(|group| self.workflow.groups[group].variable.value.as_str());
        let roots = ["inputs", "clusters", "run"]
            .into_iter()
            .chain(variable)
            .chain(names.secrets.keys().map(String::as_str))
            .chain(spot.variables.iter().map(|(name, _)| name.as_str()));
        for root in roots {
            scope.names.entry(root.to_owned()).or_insert_with(|| self.type_of_plain(root, spot));
        }
        for group in names.groups.keys() {
            scope.names.entry(group.clone()).or_insert_with(|| self.type_of_group(group));
        }
    }

    /// Whether a formula of this type can stand at its place.
    fn fits(&mut self, formula: &Formula, ty: &Type, spot: Spot<'_>) {
        let wants = &formula.wants;
        if ty.has_secret() && !takes_secret(&wants.schema) {
            let problem = Problem::error("L218", formula.at, format!("`{}` does not take a secret", wants.what));
            self.problems.push(problem.help("secrets go only to fields that are made for them, such as `key=NAME`"));
            return;
        }
        let wanted = Type::of_schema(&wants.schema);
        if !wanted.accepts(ty) {
            let problem = Problem::error(
                "L222",
                formula.at,
                format!("`{}` is {}, and this gives {ty}", wants.what, super::fit::describe(&wants.schema)),
            );
            let is_text =
                matches!(wanted, Type::String(_) | Type::Enum(_)) && matches!(ty, Type::Int | Type::Float | Type::Bool);
            self.problems.push(match (is_text, formula.text()) {
                (true, Some(text)) => problem.help(format!("make a text of it: `string({text})`")),
                _ => problem.label(format!("of type {ty}")),
            });
            return;
        }
        if !spot.is_early && may_name_cluster(&wants.schema) {
            let workflow = self.workflow;
            let group = spot.group.map(|group| &workflow.groups[group]);
            let is_variable = |name: &str| group.is_some_and(|group| group.variable.value == name);
            let late = formula.references().into_iter().find(|path| {
                let root = workflow.names.resolve(path, group.map(|group| group.id.value.as_str()), is_variable);
                matches!(root, Root::Step(_) | Root::Group { .. })
            });
            if let Some(path) = late {
                let problem = Problem::error(
                    "L220",
                    formula.inside(path.range),
                    format!(
                        "`{}` names a cluster, and `{}` is known only while the workflow runs",
                        wants.what, path.root
                    ),
                );
                self.problems.push(
                    problem.help("which clusters a step touches is known before the first step: use inputs here"),
                );
            }
        }
    }
}

pub(super) fn as_problem(problem: TypeProblem, place: impl Fn(Range<usize>) -> Place) -> Problem {
    let found = Problem::error(problem.code, place(problem.range), problem.message);
    match problem.help {
        Some(help) => found.help(help),
        None => found,
    }
}

/// `run.id` and `run.started`.
fn run_type() -> Type {
    Type::Object(vec![TypeField::new("id", Type::TEXT), TypeField::new("started", Type::TEXT)])
}
