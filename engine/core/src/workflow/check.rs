//! Types: what each expression gives, whether it fits its place, whether what it refers to can be absent, and where secrets go.
//!
//! Steps are looked at in the order of their edges, because a kind such as `value.set` gives what it is given: the types of its
//! outputs are those of its inputs. Names of a scope are put together per expression, so that a thousand steps cost a thousand
//! small scopes and not one million entries.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use steps_sdk::schema::Shape;
use steps_sdk::spec::Outputs;

use super::early;
use super::fit::may_name_cluster;
use super::infer::{common, type_of_value};
use super::names::{FILE, ScopeId};
use super::taint::takes_secret;
use super::types::{InputDecl, OutputDecl, Step, Workflow};
use super::written::{Content, Formula, Written};
use crate::diagnostic::{Place, Problem};
use crate::expr::{Scope, Type, TypeField, TypeProblem};

pub(super) struct Checker<'w> {
    pub(super) workflow: &'w Workflow,
    /// Templates that are included and not called: they need not fit the workflow's inputs.
    pub(super) idle: &'w BTreeSet<usize>,
    pub(super) problems: &'w mut Vec<Problem>,
    pub(super) inputs: Type,
    pub(super) clusters: Type,
    /// Of the steps that were looked at.
    pub(super) outputs: Vec<Type>,
    /// Of the calls that were looked at: what their templates give.
    pub(super) given: Vec<Type>,
    /// Of the elements of groups.
    pub(super) elements: Vec<Type>,
    /// By template.
    pub(super) params: Vec<Type>,
    template_outputs: Vec<Type>,
    /// By template: params that decide about the plan, and where.
    pub(super) early: Vec<BTreeMap<String, Place>>,
}

/// Where an expression stands.
#[derive(Clone, Copy)]
pub(super) struct Spot<'s> {
    /// The condition of the step or call that it is in.
    pub when: Option<&'s Formula>,
    pub scope: ScopeId,
    /// Nothing that a step gives can be known here.
    pub is_early: bool,
    pub variables: &'s [(String, Type)],
}

impl Spot<'_> {
    pub fn in_scope(scope: ScopeId) -> Spot<'static> {
        Spot { when: None, scope, is_early: false, variables: &[] }
    }

    pub fn early(self) -> Self {
        Spot { is_early: true, ..self }
    }
}

fn types_of(declared: &[InputDecl]) -> Type {
    let field = |input: &InputDecl| TypeField::new(input.name.value.clone(), Type::of_schema(&input.schema));
    Type::Object(declared.iter().map(field).collect())
}

impl<'w> Checker<'w> {
    pub fn new(workflow: &'w Workflow, idle: &'w BTreeSet<usize>, problems: &'w mut Vec<Problem>) -> Checker<'w> {
        let clusters =
            workflow.clusters.iter().map(|cluster| TypeField::new(cluster.name.value.clone(), Type::Cluster)).collect();
        Checker {
            workflow,
            idle,
            problems,
            inputs: types_of(&workflow.inputs),
            clusters: Type::Object(clusters),
            outputs: vec![Type::Any; workflow.steps.len()],
            given: vec![Type::Step(Box::new(Type::Any)); workflow.calls.len()],
            elements: vec![Type::Any; workflow.groups.len()],
            params: workflow.templates.iter().map(|template| types_of(&template.params)).collect(),
            template_outputs: vec![Type::Any; workflow.templates.len()],
            early: vec![BTreeMap::new(); workflow.templates.len()],
        }
    }

    /// What is known before any step: checks, the lock, identities, grants, groups.
    pub fn check_early(&mut self) {
        let workflow = self.workflow;
        let early = Spot::in_scope(FILE).early();
        for check in workflow.inputs.iter().flat_map(|input| &input.checks) {
            self.formula(&check.condition, early);
        }
        for template in &workflow.templates {
            for check in template.params.iter().flat_map(|param| &param.checks) {
                self.formula(&check.condition, Spot::in_scope(template.inside).early());
            }
        }
        let of_clusters =
            workflow.clusters.iter().flat_map(|cluster| cluster.identity.iter().chain(&cluster.workspace));
        for written in workflow.lock.iter().chain(of_clusters) {
            self.written(written, early);
        }
        for written in workflow.components.iter().flat_map(|component| component.grants.texts()) {
            self.written(written, early);
        }
        (0..workflow.groups.len()).for_each(|group| self.check_group(group));
    }

    /// Groups come after those that they are in, whose elements they may be made of.
    fn check_group(&mut self, index: usize) {
        let group = &self.workflow.groups[index];
        let element = match self.formula(&group.list, Spot::in_scope(group.scope).early()) {
            Type::List(element) => *element,
            _ => Type::Any,
        };
        self.elements[index] = element.clone();
        match &group.key {
            Some(key) => {
                let ty = self.formula(key, Spot::in_scope(self.workflow.names.inside(index)).early());
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

    /// One call. The answer is its values with the formulas settled that could be a list or its only item.
    pub fn check_call(&mut self, index: usize) -> Written {
        let call = &self.workflow.calls[index];
        let spot = Spot { when: call.when.as_ref(), ..Spot::in_scope(call.scope) };
        if let Some(when) = &call.when {
            self.formula(when, spot);
        }
        let before = self.problems.len();
        let (args, _) = self.written(&call.args, spot);
        if let Some(template) = call.template {
            self.given[index] = Type::Step(Box::new(self.template_outputs[template].clone()));
            if self.problems.len() == before {
                early::check_args(self, call, template);
            }
        }
        args
    }

    /// What a template gives, after everything in it was looked at.
    pub fn check_template(&mut self, index: usize) {
        let template = &self.workflow.templates[index];
        let spot = Spot::in_scope(template.inside);
        let field = |output: &OutputDecl| TypeField::new(output.name.value.clone(), self.check_output(output, spot));
        self.template_outputs[index] = Type::Object(template.outputs.iter().map(field).collect());
    }

    /// One step. The answer is its body with the formulas settled that could be a list or its only item.
    pub fn check_step(&mut self, index: usize) -> Written {
        let step: &Step = &self.workflow.steps[index];
        let spot = Spot { when: step.when.as_ref(), ..Spot::in_scope(step.scope) };
        if let Some(when) = &step.when {
            self.formula(when, spot);
        }
        if let Some(on) = &step.on {
            self.written(on, spot.early());
        }
        let (body, ty) = self.written(&step.body, spot);
        self.outputs[index] = match &step.spec.outputs {
            Outputs::SameAsInputs => ty,
            Outputs::Fields(schema) => Type::of_schema(schema),
        };
        body
    }

    /// Kubeconfigs that steps give, and the outputs of the workflow: what may read every step.
    pub fn check_late(&mut self) {
        for from in self.workflow.clusters.iter().filter_map(|cluster| cluster.from.as_ref()) {
            self.written(from, Spot::in_scope(FILE));
        }
        for output in &self.workflow.outputs {
            self.check_output(output, Spot::in_scope(FILE));
        }
    }

    fn check_output(&mut self, output: &OutputDecl, spot: Spot<'_>) -> Type {
        let mut tainted = Vec::new();
        let ty = self.shown(&output.value, spot, &mut tainted);
        if let (Some(at), false) = (tainted.first(), output.secret) {
            let problem = Problem::error("L219", *at, format!("output `{}` touches a secret", output.name.value));
            self.problems
                .push(problem.help("mark it: `secret=#true`; what is printed is where the secret is, never its bytes"));
        }
        ty
    }

    /// The type of what an output gives, which takes everything; the places of secrets in it are noted.
    fn shown(&mut self, written: &Written, spot: Spot<'_>, tainted: &mut Vec<Place>) -> Type {
        match &written.content {
            Content::Formula(formula) => {
                let ty = self.type_of(formula, spot);
                if ty.has_secret() {
                    tainted.push(formula.at);
                }
                ty
            }
            Content::List(items) => {
                let types: Vec<_> = items.iter().map(|item| self.shown(item, spot, tainted)).collect();
                Type::List(Box::new(common(&types)))
            }
            Content::Map(fields) => Type::Object(
                fields.iter().map(|(name, field)| TypeField::new(name, self.shown(field, spot, tainted))).collect(),
            ),
            Content::Repeat(repeat) => {
                let variables = self.repeated(repeat, spot);
                let spot = Spot { variables: &variables, ..spot };
                let types: Vec<_> = repeat.items.iter().map(|item| self.shown(item, spot, tainted)).collect();
                common(&types)
            }
            Content::Literal(value) => type_of_value(value),
            Content::Cluster(_) => Type::Cluster,
            Content::Secret(_) => Type::Secret,
            Content::Step(_) => Type::TEXT,
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
            early::check_cluster(self, formula, spot);
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
