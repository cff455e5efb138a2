//! Edges between steps and calls, before groups and calls are opened: from references, from `needs`, and whether they run in a
//! circle. A call is one thing here: what refers to it waits for all of its steps.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

use super::names::{FILE, KeyOf, Member, Names, OpenedBy, Root, ScopeId};
use super::recursion;
use super::types::Workflow;
use super::wording;
use super::written::{Content, Formula, Mention, Written};
use crate::diagnostic::{Place, Problem, Spanned};
use crate::expr::PathRef;

/// One step or call waits for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edge {
    pub to: Member,
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
    /// The `needs` of a group around the step.
    GroupNeeds,
    /// It works on a cluster that the other makes.
    Cluster,
}

/// What is looked at, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    Step(usize),
    Call(usize),
    /// Its outputs, after everything inside.
    Template(usize),
}

/// Finds the edges of every step and call; reports unknown names, needless needs and circles. Answers in which order they can be
/// looked at: a template before the calls of it.
pub(super) fn link(workflow: &Workflow, problems: &mut Vec<Problem>) -> Vec<Look> {
    let members = members(workflow);
    let edges: BTreeMap<Member, Vec<Edge>> =
        members.iter().map(|member| (*member, edges_of(workflow, *member, problems))).collect();
    for group in &workflow.groups {
        for need in &group.needs {
            targets(workflow, need, group.scope, Some(group.id.value.as_str()), problems);
        }
    }
    let recursive = recursion::check(workflow, problems);
    let mut graph = Graph::default();
    for member in &members {
        graph.node(look(*member));
        edges[member].iter().for_each(|edge| graph.edge(look(edge.to), look(*member)));
    }
    for (index, template) in workflow.templates.iter().enumerate() {
        graph.node(Look::Template(index));
        for member in workflow.names.all_in(template.inside) {
            graph.edge(look(member), Look::Template(index));
        }
    }
    for (index, call) in workflow.calls.iter().enumerate() {
        if let Some(template) = call.template.filter(|_| !recursive.contains(&index)) {
            graph.edge(Look::Template(template), Look::Call(index));
        }
    }
    match toposort(&graph.graph, None) {
        Ok(order) => order.into_iter().map(|node| graph.graph[node]).collect(),
        Err(_) => {
            report_circles(workflow, &members, &edges, problems);
            graph.nodes.keys().copied().collect()
        }
    }
}

#[derive(Default)]
struct Graph {
    graph: DiGraph<Look, ()>,
    nodes: BTreeMap<Look, NodeIndex>,
}

impl Graph {
    fn node(&mut self, look: Look) -> NodeIndex {
        *self.nodes.entry(look).or_insert_with(|| self.graph.add_node(look))
    }

    fn edge(&mut self, before: Look, after: Look) {
        let (before, after) = (self.node(before), self.node(after));
        self.graph.update_edge(before, after, ());
    }
}

fn look(member: Member) -> Look {
    match member {
        Member::Step(step) => Look::Step(step),
        Member::Call(call) => Look::Call(call),
        Member::Group(_) => unreachable!("edges lead to the members of groups"),
    }
}

fn members(workflow: &Workflow) -> Vec<Member> {
    let steps = (0..workflow.steps.len()).map(Member::Step);
    steps.chain((0..workflow.calls.len()).map(Member::Call)).collect()
}

fn edges_of(workflow: &Workflow, member: Member, problems: &mut Vec<Problem>) -> Vec<Edge> {
    let names = &workflow.names;
    let (when, on, body, needs, scope): (_, _, &Written, _, ScopeId) = match member {
        Member::Step(step) => {
            let step = &workflow.steps[step];
            (&step.when, step.on.as_ref(), &step.body, &step.needs, step.scope)
        }
        Member::Call(call) => {
            let call = &workflow.calls[call];
            (&call.when, None, &call.args, &call.needs, call.scope)
        }
        Member::Group(_) => unreachable!("a group has no edges of its own"),
    };
    let mut edges = Vec::new();
    let mut add = |formula: &Formula, variables: &[&str]| {
        for path in formula.references() {
            edges.extend(edges_of_path(names, formula, &path, scope, |name| variables.contains(&name)));
        }
    };
    if let Some(when) = when {
        add(when, &[]);
    }
    let (mut named, mut clusters) = (Vec::new(), Vec::new());
    body.visit(&mut |mention| match mention {
        Mention::Formula(formula, variables) => add(formula, variables),
        Mention::Step(name, at) => named.push(Spanned::new(name.to_owned(), at)),
        Mention::Cluster(name, at) => clusters.push(Spanned::new(name.to_owned(), at)),
    });
    if let Some(Written { content: Content::Cluster(name), at }) = on {
        clusters.push(Spanned::new(name.clone(), *at));
    }
    edges.extend(clusters.iter().flat_map(|cluster| edges_of_cluster(workflow, cluster)));
    for name in &named {
        if let Some((_, to @ Member::Step(_))) = names.find(&name.value, scope) {
            edges.push(Edge { to, at: name.at, by: By::Reference { all: true } });
        }
    }
    for need in needs {
        let to = targets(workflow, need, scope, None, problems);
        problems.extend(needless(need, &to, &edges));
        edges.extend(to.into_iter().map(|to| Edge { to, at: need.at, by: By::Needs }));
    }
    for (_, around) in names.seen_from(scope) {
        let OpenedBy::Group(group) = around.opened_by else { continue };
        let group = &workflow.groups[group];
        for need in &group.needs {
            // Unknown names are reported once, for the group.
            let to = targets(workflow, need, group.scope, Some(group.id.value.as_str()), &mut Vec::new());
            edges.extend(to.into_iter().map(|to| Edge { to, at: need.at, by: By::GroupNeeds }));
        }
    }
    edges
}

fn needless(need: &Spanned<String>, to: &[Member], edges: &[Edge]) -> Option<Problem> {
    let is_implied =
        |to: &Member| edges.iter().any(|edge| edge.to == *to && matches!(edge.by, By::Reference { all: true }));
    if to.is_empty() || !to.iter().all(is_implied) {
        return None;
    }
    let problem = Problem::warning("L213", need.at, format!("`needs {}` says nothing new", need.value))
        .help("a reference already waits for it: leave the `needs` out");
    Some(match edges.iter().find(|edge| edge.to == to[0]) {
        Some(edge) => problem.related(edge.at, "this reference makes the edge"),
        None => problem,
    })
}

fn edges_of_path(
    names: &Names,
    formula: &Formula,
    path: &PathRef,
    scope: ScopeId,
    is_repeated: impl Fn(&str) -> bool,
) -> Vec<Edge> {
    let at = formula.inside(path.range.clone());
    let edge = |to, all| Edge { to, at, by: By::Reference { all } };
    match names.resolve(path, scope, is_repeated) {
        Root::Step(to) => vec![edge(Member::Step(to), true)],
        Root::Call(to) => vec![edge(Member::Call(to), true)],
        Root::Group(path) => {
            let all = path.key == KeyOf::All;
            path.reads.into_iter().map(|to| edge(to, all)).collect()
        }
        Root::Plain | Root::Param | Root::OwnGroup(_) | Root::Inside { .. } | Root::Closed { .. } | Root::Unknown => {
            Vec::new()
        }
    }
}

/// The steps that make a cluster. Which one a computed `on` names is known to the plan only, which looks for circles again.
fn edges_of_cluster(workflow: &Workflow, cluster: &Spanned<String>) -> Vec<Edge> {
    let declared = workflow.clusters.iter().find(|declared| declared.name.value == cluster.value);
    let Some(Content::Formula(formula)) =
        declared.and_then(|declared| declared.from.as_ref()).map(|from| &from.content)
    else {
        return Vec::new();
    };
    let found = formula
        .references()
        .into_iter()
        .flat_map(|path| edges_of_path(&workflow.names, formula, &path, FILE, |_| false));
    found.map(|edge| Edge { at: cluster.at, by: By::Cluster, ..edge }).collect()
}

/// What a name in `needs` stands for; for a group everything in it. `of_group`: it is the group of this name that needs it.
pub(super) fn targets(
    workflow: &Workflow,
    need: &Spanned<String>,
    scope: ScopeId,
    of_group: Option<&str>,
    problems: &mut Vec<Problem>,
) -> Vec<Member> {
    let names = &workflow.names;
    let name = need.value.as_str();
    if let Some(group) = of_group
        && names.group_inside(name, scope).as_deref() == Some(group)
        && names.find(name, scope).is_none()
    {
        problems.push(
            Problem::error("L216", need.at, format!("the group cannot wait for its own step `{name}`"))
                .help("write `needs` on the steps that wait for it"),
        );
        return Vec::new();
    }
    match names.find(name, scope) {
        Some((_, member @ (Member::Step(_) | Member::Call(_)))) => return vec![member],
        Some((_, Member::Group(group))) => {
            let is_around = of_group == Some(name)
                || names.seen_from(scope).any(|(_, scope)| scope.opened_by == OpenedBy::Group(group));
            if !is_around {
                return names.all_in(names.inside(group));
            }
            problems.push(
                Problem::error("L216", need.at, format!("a step of group `{name}` cannot wait for the whole group"))
                    .help("name the steps that it waits for; inside the group that is the same instance's step"),
            );
            return Vec::new();
        }
        None => {}
    }
    if let Some(group) = names.group_inside(name, scope) {
        problems.push(
            Problem::error("L216", need.at, format!("`{name}` is a step of group `{group}`, one for each instance"))
                .help(format!("wait for all of them: `needs {group}`")),
        );
    } else if !names.has_gaps && !names.beyond.contains(name) {
        problems.push(wording::unknown("L212", "step", need, wording::members(names, scope, |_| true)));
    }
    Vec::new()
}

fn report_circles(
    workflow: &Workflow,
    members: &[Member],
    edges: &BTreeMap<Member, Vec<Edge>>,
    problems: &mut Vec<Problem>,
) {
    let mut graph: DiGraph<Member, ()> = DiGraph::new();
    let nodes: BTreeMap<Member, NodeIndex> = members.iter().map(|member| (*member, graph.add_node(*member))).collect();
    for (from, edges) in edges {
        for edge in edges {
            graph.update_edge(nodes[&edge.to], nodes[from], ());
        }
    }
    for circle in tarjan_scc(&graph) {
        let circle: BTreeSet<Member> = circle.iter().map(|node| graph[*node]).collect();
        let first = *circle.first().expect("a component has members");
        if circle.len() > 1 || edges[&first].iter().any(|edge| edge.to == first) {
            problems.push(circle_problem(workflow, edges, &circle));
        }
    }
}

/// One shortest circle within a strongly connected part, with the place of each of its edges.
fn circle_problem(workflow: &Workflow, edges: &BTreeMap<Member, Vec<Edge>>, members: &BTreeSet<Member>) -> Problem {
    let start = *members.first().expect("a component has members");
    let mut came_from: BTreeMap<Member, Member> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    let mut last = start;
    'search: while let Some(member) = queue.pop_front() {
        for edge in edges[&member].iter().filter(|edge| members.contains(&edge.to)) {
            if edge.to == start {
                last = member;
                break 'search;
            }
            if let Entry::Vacant(unseen) = came_from.entry(edge.to) {
                unseen.insert(member);
                queue.push_back(edge.to);
            }
        }
    }
    let mut circle = vec![last];
    while let Some(previous) = came_from.get(circle.last().expect("it is never empty")) {
        circle.push(*previous);
    }
    circle.reverse();
    let mut text: Vec<String> = circle.iter().map(|member| workflow.title(*member)).collect();
    text.push(workflow.title(start));
    let next = |position: usize| circle.get(position + 1).copied().unwrap_or(start);
    let place =
        |position: usize| edges[&circle[position]].iter().find(|edge| edge.to == next(position)).map(|edge| edge.at);
    let at = place(0).expect("each of them waits for the next");
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
