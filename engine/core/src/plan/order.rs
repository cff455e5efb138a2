//! The order of a plan: every step after what it needs, and otherwise as the file has it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::types::PlannedStep;
use crate::id::StepId;

/// Sorts steps that are in the order of the file. The same file always gives the same order.
///
/// # Panics
/// When needs run in a circle or name no step: a workflow without errors has neither.
pub(super) fn sort(steps: Vec<PlannedStep>) -> Vec<PlannedStep> {
    let index: BTreeMap<StepId, usize> =
        steps.iter().enumerate().map(|(position, step)| (step.id.clone(), position)).collect();
    let mut successors: Vec<Vec<usize>> = vec![Vec::new(); steps.len()];
    let mut open: Vec<usize> = Vec::with_capacity(steps.len());
    for (position, step) in steps.iter().enumerate() {
        open.push(step.needs.len());
        for need in &step.needs {
            successors[index[&need.step]].push(position);
        }
    }
    let mut free: BinaryHeap<Reverse<usize>> =
        open.iter().enumerate().filter(|(_, count)| **count == 0).map(|(position, _)| Reverse(position)).collect();
    let mut waiting: Vec<Option<PlannedStep>> = steps.into_iter().map(Some).collect();
    let mut sorted = Vec::with_capacity(waiting.len());
    while let Some(Reverse(position)) = free.pop() {
        sorted.push(waiting[position].take().expect("a step becomes free once"));
        for successor in &successors[position] {
            open[*successor] -= 1;
            if open[*successor] == 0 {
                free.push(Reverse(*successor));
            }
        }
    }
    assert!(waiting.iter().all(Option::is_none), "the workflow was checked for circles before its groups were opened");
    sorted
}
