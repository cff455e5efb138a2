//! The order of a plan: every step after what it needs, and otherwise as the file has it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::types::PlannedStep;
use crate::id::StepId;

/// Sorts steps that are in the order of the file. The same file always gives the same order. The error is a circle in the order of its
/// needs, each step before what it waits for.
///
/// # Panics
/// When a need names no step: a workflow without errors has none.
pub(super) fn sort(steps: Vec<PlannedStep>) -> Result<Vec<PlannedStep>, Vec<PlannedStep>> {
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
    if let Some(start) = waiting.iter().flatten().next() {
        return Err(circle(start, &waiting, &index));
    }
    Ok(sorted)
}

/// Every step that is left waits for another that is left: following them leads back to one that was met.
fn circle(start: &PlannedStep, waiting: &[Option<PlannedStep>], index: &BTreeMap<StepId, usize>) -> Vec<PlannedStep> {
    let mut way: Vec<&PlannedStep> = vec![start];
    loop {
        let last = way.last().expect("it begins with a step");
        let next = last.needs.iter().find_map(|need| waiting[index[&need.step]].as_ref());
        let next = next.expect("a step that is left waits for one that is left");
        if let Some(first) = way.iter().position(|step| step.id == next.id) {
            return way[first..].iter().map(|step| (*step).clone()).collect();
        }
        way.push(next);
    }
}
