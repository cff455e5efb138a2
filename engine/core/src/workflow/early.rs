//! What must be known before the first step, and what is known too late for that: the plan is complete before anything runs.
//!
//! A param of a template may be given a value that comes late, unless the template needs it for its plan: for `on`, for the list
//! or key of a group, for a field that names a cluster, in a `check`. Which params these are is found where they are used, and held
//! against each call.

use super::check::{Checker, Spot};
use super::names::Root;
use super::types::Call;
use super::written::{Formula, Mention};
use crate::diagnostic::{Place, Problem};
use crate::expr::{PathRef, Segment};

/// Notes that a template needs what this path reads before the run.
pub(super) fn mark(checker: &mut Checker<'_>, template: usize, path: &PathRef, at: Place) {
    let params = &checker.workflow.templates[template].params;
    match path.segments.first() {
        Some(Segment::Field(name)) => drop(checker.early[template].entry(name.clone()).or_insert(at)),
        _ => {
            for param in params {
                checker.early[template].entry(param.name.value.clone()).or_insert(at);
            }
        }
    }
}

pub(super) fn too_late(root: &str, at: Place) -> Problem {
    Problem::error("L220", at, format!("`{root}` is known only while the workflow runs"))
        .help("the plan is complete before the first step: use inputs here")
}

/// Which clusters a step touches is a part of the plan.
pub(super) fn check_cluster(checker: &mut Checker<'_>, formula: &Formula, spot: Spot<'_>) {
    let is_repeated = |name: &str| spot.variables.iter().any(|(variable, _)| variable == name);
    for path in formula.references() {
        let at = formula.inside(path.range.clone());
        match checker.workflow.names.resolve(&path, spot.scope, is_repeated) {
            Root::Param => {
                let template = checker.workflow.names.template_of(spot.scope);
                mark(checker, template.expect("params are known in templates only"), &path, at);
            }
            Root::Step(_) | Root::Call(_) | Root::Group(_) => {
                let message = format!(
                    "`{}` names a cluster, and `{}` is known only while the workflow runs",
                    formula.wants.what, path.root
                );
                checker.problems.push(
                    Problem::error("L220", at, message)
                        .help("which clusters a step touches is known before the first step: use inputs here"),
                );
                return;
            }
            Root::Plain | Root::OwnGroup(_) | Root::Inside { .. } | Root::Closed { .. } | Root::Unknown => {}
        }
    }
}

/// Whether a call gives the params early that its template needs early.
pub(super) fn check_args(checker: &mut Checker<'_>, call: &Call, template: usize) {
    let workflow = checker.workflow;
    for (param, asked) in checker.early[template].clone() {
        let Some(arg) = call.arg(&param) else { continue };
        let mut late = None;
        let mut params = Vec::new();
        arg.visit(&mut |mention| match mention {
            Mention::Formula(formula, variables) => {
                for path in formula.references() {
                    let at = formula.inside(path.range.clone());
                    match workflow.names.resolve(&path, call.scope, |name| variables.contains(&name)) {
                        Root::Step(_) | Root::Call(_) | Root::Group(_) => {
                            late.get_or_insert((path.root.clone(), at));
                        }
                        // A run's id is not known while its plan is made.
                        Root::Plain if path.root == "run" => {
                            late.get_or_insert((path.root.clone(), at));
                        }
                        Root::Param => params.push((path, at)),
                        Root::Plain | Root::OwnGroup(_) | Root::Inside { .. } | Root::Closed { .. } | Root::Unknown => {
                        }
                    }
                }
            }
            Mention::Step(..) | Mention::Cluster(..) => {}
        });
        for (path, at) in params {
            let around = workflow.names.template_of(call.scope).expect("params are known in templates only");
            mark(checker, around, &path, at);
        }
        if let Some((root, at)) = late {
            let title = &workflow.templates[template].name.value;
            checker.problems.push(
                Problem::error("L220", at, format!("`{root}` is known only while the workflow runs"))
                    .related(asked, format!("`{title}` needs `{param}` before the first step"))
                    .help(format!("give `{param}` a value that depends on inputs only")),
            );
        }
    }
}
