//! Templates that call themselves, directly or through others: their steps would have no end.

use std::collections::{BTreeMap, BTreeSet};

use super::types::Workflow;
use crate::diagnostic::Problem;

/// Reports each such circle once; answers the calls that are a part of one.
pub(super) fn check(workflow: &Workflow, problems: &mut Vec<Problem>) -> BTreeSet<usize> {
    // By template: the calls in it, each with what it calls.
    let mut calls: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (index, call) in workflow.calls.iter().enumerate() {
        if let (Some(from), Some(to)) = (workflow.names.template_of(call.scope), call.template) {
            calls.entry(from).or_default().push((index, to));
        }
    }
    let mut of_circles = BTreeSet::new();
    for template in 0..workflow.templates.len() {
        let Some(circle) = circle_from(template, &calls) else { continue };
        // The same circle is met again at each of its templates: it is told where its first one calls.
        if circle.iter().all(|(from, _)| *from >= template) {
            problems.push(problem(workflow, &circle));
        }
        of_circles.extend(circle.iter().map(|(_, call)| *call));
    }
    of_circles
}

/// A shortest way from a template back to it: each template with the call that leads on.
fn circle_from(start: usize, calls: &BTreeMap<usize, Vec<(usize, usize)>>) -> Option<Vec<(usize, usize)>> {
    let mut ways: Vec<Vec<(usize, usize)>> = vec![Vec::new()];
    let mut seen = BTreeSet::new();
    let mut ends = vec![start];
    while !ends.is_empty() {
        let (mut next_ends, mut next_ways) = (Vec::new(), Vec::new());
        for (end, way) in ends.iter().zip(&ways) {
            for (call, to) in calls.get(end).into_iter().flatten() {
                let way: Vec<_> = way.iter().copied().chain([(*end, *call)]).collect();
                if *to == start {
                    return Some(way);
                }
                if seen.insert(*to) {
                    next_ends.push(*to);
                    next_ways.push(way);
                }
            }
        }
        (ends, ways) = (next_ends, next_ways);
    }
    None
}

fn problem(workflow: &Workflow, circle: &[(usize, usize)]) -> Problem {
    let name = |template: usize| workflow.templates[template].name.value.as_str();
    let (start, call) = circle[0];
    let names: Vec<&str> = circle.iter().map(|(template, _)| name(*template)).chain([name(start)]).collect();
    let problem =
        Problem::error("L262", workflow.calls[call].at, format!("a template calls itself: {}", names.join(" → ")))
            .label("here")
            .help("its steps would have no end: for steps that are made several times use `for-each`");
    circle[1..].iter().fold(problem, |problem, (template, call)| {
        problem.related(workflow.calls[*call].at, format!("called by `{}`", name(*template)))
    })
}
