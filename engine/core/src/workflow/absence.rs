//! What may have been skipped can be absent: an expression that reads it has to ask first, or to be skipped with it.

use super::names::{Member, ScopeId};
use super::types::Workflow;
use super::written::Formula;
use crate::diagnostic::{Place, Problem};
use crate::expr::PathRef;

/// The condition of the step or call that an expression stands in, and where that is.
#[derive(Clone, Copy)]
pub(super) struct Asking<'w> {
    pub when: Option<&'w Formula>,
    pub scope: ScopeId,
}

/// What is wrong with a reference to these steps and calls, written at `at`.
pub(super) fn check(
    workflow: &Workflow,
    path: &PathRef,
    members: &[Member],
    asking: Asking<'_>,
    at: Place,
) -> Option<Problem> {
    if path.guard.is_some() || path.is_protected {
        return None;
    }
    let (skipped, when) = members.iter().find_map(|member| {
        let (when, scope) = workflow.condition_of(*member)?;
        (!are_skipped_together(workflow, when, scope, asking)).then_some((*member, when))
    })?;
    let title = workflow.title(skipped);
    Some(
        Problem::error("L217", at, format!("`{title}` may be skipped, and then it gives nothing"))
            .help(format!("ask first: `exists({title}) ? {title}.… : …`; or give this step the same `when`"))
            .related(when.at, "it is skipped when this is false"),
    )
}

/// Both have the same condition, over names that mean the same for both.
fn are_skipped_together(workflow: &Workflow, when: &Formula, scope: ScopeId, asking: Asking<'_>) -> bool {
    let Some(other) = asking.when else { return false };
    let means_the_same = |name: &str| {
        let names = &workflow.names;
        let is_plain = ["inputs", "clusters", "run", "param"].contains(&name);
        let of_group = names.is_variable(name, scope) || names.is_variable(name, asking.scope);
        (is_plain && names.template_of(scope) == names.template_of(asking.scope))
            || (!of_group && names.find(name, scope) == names.find(name, asking.scope))
            || scope == asking.scope
    };
    when.text().map(str::trim) == other.text().map(str::trim)
        && when.references().iter().all(|path| means_the_same(&path.root))
}
