//! Edges between steps, before groups are opened: from references, from `needs`, and whether they run in a circle.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use super::names::{KeyOf, Names, Root};
use super::types::{Step, Workflow};
use super::wording;
use super::written::{Formula, Mention};
use crate::diagnostic::{Place, Problem, Spanned};
use crate::expr::PathRef;

/// One step waits for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edge {
    pub to: usize,
    pub at: Place,
    pub by: By,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// Of all instances, when the step is in a group.
    Reference {
        all: bool,
    },
    Needs,
    /// The `needs` of the group around the step.
    GroupNeeds,
}

/// Finds the edges of every step; reports unknown names, needless needs and circles. Answers in which order the steps can be looked at.
pub(super) fn link(workflow: &Workflow, problems: &mut Vec<Problem>) -> Vec<usize> {
    let edges: Vec<Vec<Edge>> = workflow.steps.iter().map(|step| edges_of(workflow, step, problems)).collect();
    for group in &workflow.groups {
        for need in &group.needs {
            targets(&workflow.names, need, Some(&group.id.value), true, problems);
        }
    }
    let mut graph: DiGraph<usize, ()> = DiGraph::with_capacity(edges.len(), edges.len());
    let nodes: Vec<NodeIndex> = (0..edges.len()).map(|index| graph.add_node(index)).collect();
    for (from, edges) in edges.iter().enumerate() {
        for edge in edges {
            graph.update_edge(nodes[edge.to], nodes[from], ());
        }
    }
    match toposort(&graph, None) {
        Ok(order) => order.into_iter().map(|node| graph[node]).collect(),
        Err(_) => {
            for circle in tarjan_scc(&graph) {
                let members: BTreeSet<usize> = circle.iter().map(|node| graph[*node]).collect();
                let first = *members.iter().next().expect("a component has members");
                if members.len() > 1 || edges[first].iter().any(|edge| edge.to == first) {
                    problems.push(circle_problem(workflow, &edges, &members));
                }
            }
            (0..edges.len()).collect()
        }
    }
}

fn edges_of(workflow: &Workflow, step: &Step, problems: &mut Vec<Problem>) -> Vec<Edge> {
    let names = &workflow.names;
    let group = workflow.group_of(step);
    let group_id = group.map(|group| group.id.value.as_str());
    let mut edges = Vec::new();
    let mut add = |formula: &Formula, variables: &[&str]| {
        for path in formula.references() {
            let is_variable =
                |name: &str| variables.contains(&name) || group.is_some_and(|group| group.variable.value == name);
            edges.extend(edges_of_path(names, formula, &path, group_id, is_variable));
        }
    };
    if let Some(when) = &step.when {
        add(when, &[]);
    }
    let mut named = Vec::new();
    step.body.visit(&mut |mention| match mention {
        Mention::Formula(formula, variables) => add(formula, variables),
        Mention::Step(name, at) => named.push(Spanned::new(name.to_owned(), at)),
    });
    for name in &named {
        let to = group_id
            .and_then(|group| names.groups[group].steps.get(&name.value))
            .or_else(|| names.steps.get(&name.value));
        edges.extend(to.map(|to| Edge { to: *to, at: name.at, by: By::Reference { all: true } }));
    }
    for need in &step.needs {
        let to = targets(names, need, group_id, false, problems);
        let is_implied =
            |to: &usize| edges.iter().any(|edge| edge.to == *to && matches!(edge.by, By::Reference { all: true }));
        if !to.is_empty() && to.iter().all(is_implied) {
            let reference = edges.iter().find(|edge| edge.to == to[0]).map(|edge| edge.at);
            let problem = Problem::warning("L213", need.at, format!("`needs {}` says nothing new", need.value))
                .help("a reference already waits for it: leave the `needs` out");
            problems.push(match reference {
                Some(at) => problem.related(at, "this reference makes the edge"),
                None => problem,
            });
        }
        edges.extend(to.into_iter().map(|to| Edge { to, at: need.at, by: By::Needs }));
    }
    for need in group.map(|group| group.needs.as_slice()).unwrap_or_default() {
        // Unknown names are reported once, for the group.
        let to = targets(names, need, group_id, true, &mut Vec::new());
        edges.extend(to.into_iter().map(|to| Edge { to, at: need.at, by: By::GroupNeeds }));
    }
    edges
}

fn edges_of_path(
    names: &Names,
    formula: &Formula,
    path: &PathRef,
    group: Option<&str>,
    is_variable: impl Fn(&str) -> bool,
) -> Vec<Edge> {
    let at = formula.inside(path.range.clone());
    match names.resolve(path, group, is_variable) {
        Root::Step(to) => vec![Edge { to, at, by: By::Reference { all: true } }],
        Root::Group { key, steps, .. } => {
            let all = key == KeyOf::All;
            steps.into_iter().map(|to| Edge { to, at, by: By::Reference { all } }).collect()
        }
        Root::Plain | Root::OwnGroup(_) | Root::Inside { .. } | Root::Unknown => Vec::new(),
    }
}

/// What a name in `needs` stands for; for a group all of its steps.
pub(super) fn targets(
    names: &Names,
    need: &Spanned<String>,
    group: Option<&str>,
    is_group: bool,
    problems: &mut Vec<Problem>,
) -> Vec<usize> {
    let name = need.value.as_str();
    let siblings = group.map(|group| &names.groups[group].steps);
    if let Some(step) = siblings.and_then(|steps| steps.get(name)) {
        if is_group {
            problems.push(
                Problem::error("L216", need.at, format!("the group cannot wait for its own step `{name}`"))
                    .help("write `needs` on the steps that wait for it"),
            );
            return Vec::new();
        }
        return vec![*step];
    }
    if let Some(step) = names.steps.get(name) {
        return vec![*step];
    }
    if group == Some(name) {
        problems.push(
            Problem::error("L216", need.at, format!("a step of group `{name}` cannot wait for the whole group"))
                .help("name the steps that it waits for; inside the group that is the same instance's step"),
        );
        return Vec::new();
    }
    if let Some(group) = names.groups.get(name) {
        return group.steps.values().copied().collect();
    }
    if let Some((group, _)) = names.groups.iter().find(|(_, group)| group.steps.contains_key(name)) {
        problems.push(
            Problem::error("L216", need.at, format!("`{name}` is a step of group `{group}`, one for each instance"))
                .help(format!("wait for all of them: `needs {group}`")),
        );
        return Vec::new();
    }
    if !names.has_gaps && !names.beyond.contains(name) {
        let known =
            names.steps.keys().chain(names.groups.keys()).chain(siblings.map(BTreeMap::keys).into_iter().flatten());
        problems.push(wording::unknown("L212", "step", need, known.map(String::as_str).collect::<Vec<_>>()));
    }
    Vec::new()
}

/// One shortest circle within a strongly connected part, with the place of each of its edges.
fn circle_problem(workflow: &Workflow, edges: &[Vec<Edge>], members: &BTreeSet<usize>) -> Problem {
    let start = *members.iter().next().expect("a component has members");
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    let mut last = start;
    'search: while let Some(step) = queue.pop_front() {
        for edge in edges[step].iter().filter(|edge| members.contains(&edge.to)) {
            if edge.to == start {
                last = step;
                break 'search;
            }
            if let Entry::Vacant(unseen) = came_from.entry(edge.to) {
                unseen.insert(step);
                queue.push_back(edge.to);
            }
        }
    }
    let mut circle = vec![last];
    while let Some(previous) = came_from.get(circle.last().expect("it is never empty")) {
        circle.push(*previous);
    }
    circle.reverse();
    let title = |step: usize| workflow.title(&workflow.steps[step]);
    let mut text: Vec<String> = circle.iter().map(|step| title(*step)).collect();
    text.push(title(start));
    let next = |position: usize| circle.get(position + 1).copied().unwrap_or(start);
    let place =
        |position: usize| edges[circle[position]].iter().find(|edge| edge.to == next(position)).map(|edge| edge.at);
    let at = place(0).unwrap_or(workflow.steps[start].id.at);
    let message = if circle.len() == 1 {
        format!("step `{}` waits for itself", text[0])
    } else {
        format!("steps wait for each other in a circle: {}", text.join(" → "))
    };
    let mut problem = Problem::error("L214", at, message)
        .label(format!("`{}` waits for `{}`", text[0], text[1]))
        .help("take one of these references or needs away");
    for position in 1..circle.len() {
        if let Some(at) = place(position) {
            problem = problem.related(at, format!("`{}` waits for `{}`", text[position], text[position + 1]));
        }
    }
    problem
}
