//! What the names of an expression stand for where it is written, with their types: the part of the checker that knows scopes.

use super::absence::{self, Asking};
use super::check::{Checker, Spot};
use super::names::{Member, OpenedBy, Root};
use super::written::Formula;
use super::{early, outer};
use crate::diagnostic::{Place, Problem};
use crate::expr::{PathRef, Scope, Type, TypeField};

impl Checker<'_> {
    /// The type of a root; `None` when there is no such name.
    pub(super) fn type_of_root(
        &mut self,
        formula: &Formula,
        path: &PathRef,
        spot: Spot<'_>,
        is_clear: &mut bool,
    ) -> Option<Type> {
        let workflow = self.workflow;
        let root = path.root.as_str();
        let is_repeated = |name: &str| spot.variables.iter().any(|(variable, _)| variable == name);
        let at = formula.inside(path.range.clone());
        let unclear = |problem: Problem, checker: &mut Self, is_clear: &mut bool| {
            checker.problems.push(problem);
            *is_clear = false;
            Some(Type::Any)
        };
        match workflow.names.resolve(path, spot.scope, is_repeated) {
            // A plan is made before there is a run.
            Root::Plain if root == "run" && spot.is_early => unclear(early::too_late(root, at), self, is_clear),
            Root::Plain => Some(self.type_of_plain(root, spot)),
            Root::Param => {
                let template = workflow.names.template_of(spot.scope).expect("params are known in templates only");
                if spot.is_early {
                    early::mark(self, template, path, at);
                }
                Some(self.params[template].clone())
            }
            Root::Step(_) | Root::Call(_) | Root::Group(_) if spot.is_early => {
                unclear(early::too_late(root, at), self, is_clear)
            }
            Root::Step(step) => {
                self.check_absence(path, &[Member::Step(step)], spot, at);
                Some(Type::Step(Box::new(self.outputs[step].clone())))
            }
            Root::Call(call) => {
                self.check_absence(path, &[Member::Call(call)], spot, at);
                Some(self.given[call].clone())
            }
            Root::Group(through) => {
                self.check_absence(path, &through.reads, spot, at);
                Some(self.type_of_group(through.group))
            }
            Root::OwnGroup(group) => unclear(outer::own_group(&group, at), self, is_clear),
            Root::Inside { group } => unclear(outer::inside(&group, root, at), self, is_clear),
            Root::Closed { template } => {
                unclear(outer::closed(&workflow.templates[template], root, at), self, is_clear)
            }
            Root::Unknown if workflow.names.has_gaps => Some(Type::Any),
            Root::Unknown if root == "param" => unclear(outer::no_param(at), self, is_clear),
            Root::Unknown => None,
        }
    }

    fn check_absence(&mut self, path: &PathRef, members: &[Member], spot: Spot<'_>, at: Place) {
        let asking = Asking { when: spot.when, scope: spot.scope };
        self.problems.extend(absence::check(self.workflow, path, members, asking, at));
    }

    fn type_of_plain(&self, root: &str, spot: Spot<'_>) -> Type {
        if let Some((_, ty)) = spot.variables.iter().rev().find(|(variable, _)| variable == root) {
            return ty.clone();
        }
        let group = self.workflow.names.seen_from(spot.scope).find_map(|(_, scope)| match scope.opened_by {
            OpenedBy::Group(group) if scope.variable.as_deref() == Some(root) => Some(group),
            OpenedBy::Group(_) | OpenedBy::File | OpenedBy::Template(_) => None,
        });
        if let Some(group) = group {
            return self.elements[group].clone();
        }
        let template = self.workflow.names.template_of(spot.scope);
        match root {
            "inputs" if template.is_some_and(|template| self.idle.contains(&template)) => Type::Any,
            "inputs" => self.inputs.clone(),
            "clusters" => self.clusters.clone(),
            "run" => run_type(),
            _ if self.workflow.names.secrets.contains_key(root) => Type::Secret,
            _ => Type::Any,
        }
    }

    fn type_of_group(&self, group: usize) -> Type {
        let names = &self.workflow.names;
        let inside = &names.scope(names.inside(group)).names;
        let fields = inside.iter().map(|(name, member)| TypeField::new(name.clone(), self.type_of_member(*member)));
        Type::Map(Box::new(Type::Object(fields.collect())))
    }

    fn type_of_member(&self, member: Member) -> Type {
        match member {
            Member::Step(step) => Type::Step(Box::new(self.outputs[step].clone())),
            Member::Call(call) => self.given[call].clone(),
            Member::Group(group) => self.type_of_group(group),
        }
    }

    /// For "did you mean": only when a name is unknown, since it costs the whole file.
    pub(super) fn add_every_name(&self, scope: &mut Scope, spot: Spot<'_>) {
        let names = &self.workflow.names;
        for (_, around) in names.seen_from(spot.scope) {
            for (name, member) in &around.names {
                scope.names.entry(name.clone()).or_insert_with(|| self.type_of_member(*member));
            }
            if let Some(variable) = &around.variable {
                scope.names.entry(variable.clone()).or_insert_with(|| self.type_of_plain(variable, spot));
            }
        }
        let mut roots = vec!["inputs"];
        match names.template_of(spot.scope) {
            Some(template) => {
                scope.names.entry("param".to_owned()).or_insert_with(|| self.params[template].clone());
            }
            None => roots.extend(["clusters", "run"].into_iter().chain(names.secrets.keys().map(String::as_str))),
        }
        for root in roots.into_iter().chain(spot.variables.iter().map(|(name, _)| name.as_str())) {
            scope.names.entry(root.to_owned()).or_insert_with(|| self.type_of_plain(root, spot));
        }
    }
}

/// `run.id` and `run.started`.
fn run_type() -> Type {
    Type::Object(vec![TypeField::new("id", Type::TEXT), TypeField::new("started", Type::TEXT)])
}
