//! What may have been skipped can be absent: an expression that reads it has to ask first, or to be skipped with it.

use super::types::{Step, Workflow};
use crate::diagnostic::{Place, Problem};
use crate::expr::PathRef;

/// What is wrong with a reference to these steps, written at `at` in the step `asking`.
pub(super) fn check(
    workflow: &Workflow,
    path: &PathRef,
    steps: &[usize],
    asking: Option<&Step>,
    at: Place,
) -> Option<Problem> {
    if path.guard.is_some() || path.is_protected {
        return None;
    }
    let skipped = steps
        .iter()
        .map(|index| &workflow.steps[*index])
        .find(|step| step.when.is_some() && !are_skipped_together(workflow, step, asking))?;
    let title = workflow.title(skipped);
    let problem = Problem::error("L217", at, format!("`{title}` may be skipped, and then it gives nothing"))
        .help(format!("ask first: `exists({title}) ? {title}.… : …`; or give this step the same `when`"));
    Some(match &skipped.when {
        Some(when) => problem.related(when.at, "it is skipped when this is false"),
        None => problem,
    })
}

/// Both have the same condition, over names that mean the same for both.
fn are_skipped_together(workflow: &Workflow, one: &Step, other: Option<&Step>) -> bool {
    let (Some(first), Some(second)) = (&one.when, other.and_then(|other| other.when.as_ref())) else {
        return false;
    };
    let is_everywhere =
        |name: &str| workflow.names.steps.contains_key(name) || ["inputs", "clusters", "run"].contains(&name);
    let same_group = other.is_some_and(|other| other.group == one.group);
    let means_the_same = || same_group || first.references().iter().all(|path| is_everywhere(&path.root));
    first.text().map(str::trim) == second.text().map(str::trim) && means_the_same()
}
