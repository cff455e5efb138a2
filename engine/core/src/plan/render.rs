//! A plan's graph as text: a tree for the terminal, Mermaid and DOT for what draws.
//!
//! Edges that follow from others are left out: where `c` needs `a` and `b`, and `b` needs `a`, one arrow from `b` says it all.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use petgraph::algo::tred::{dag_to_toposorted_adjacency_list, dag_transitive_reduction_closure};
use petgraph::graph::DiGraph;

use super::types::{NeedRule, Plan, PlannedStep};
use crate::id::StepId;

/// Above this many steps every edge is drawn: finding the needless ones takes room that grows with the square.
const REDUCED_STEPS_MAX: usize = 2_000;

/// Each step once, under the need that comes last in the plan; further needs stand behind it in words.
pub fn tree(plan: &Plan) -> String {
    let edges = Edges::of(plan);
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); plan.steps.len()];
    let mut roots = Vec::new();
    for index in 0..plan.steps.len() {
        match edges.needs[index].iter().map(|(need, _)| *need).max() {
            Some(parent) => children[parent].push(index),
            None => roots.push(index),
        }
    }
    let mut lines: Vec<(String, String)> = Vec::new();
    // Depth first without recursion: a chain may be as long as the plan.
    let mut open: Vec<(usize, String, bool)> = Vec::new();
    let push_all = |open: &mut Vec<(usize, String, bool)>, of: &[usize], prefix: &str| {
        open.extend(
            of.iter().enumerate().rev().map(|(position, index)| (*index, prefix.to_owned(), position + 1 == of.len())),
        );
    };
    push_all(&mut open, &roots, "");
    while let Some((index, prefix, is_last)) = open.pop() {
        let step = &plan.steps[index];
        let branch = if is_last { "└─ " } else { "├─ " };
        lines.push((format!("{prefix}{branch}{}", step.id), words(plan, step, &edges, index)));
        let below = format!("{prefix}{}", if is_last { "   " } else { "│  " });
        push_all(&mut open, &children[index], &below);
    }
    let width = lines.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0);
    let mut text = format!("{}\n", plan.workflow);
    for (left, right) in lines {
        let _ = writeln!(text, "{left:<width$}  {right}");
    }
    text
}

/// What stands behind a step in the tree.
fn words(plan: &Plan, step: &PlannedStep, edges: &Edges, index: usize) -> String {
    let mut words = step.kind.to_string();
    if !step.clusters.is_empty() {
        let names: Vec<&str> = step.clusters.iter().map(|cluster| cluster.0.as_str()).collect();
        let _ = write!(words, " on {}", names.join(", "));
    }
    let parent = edges.needs[index].iter().map(|(need, _)| *need).max();
    let others: Vec<&str> = edges.needs[index]
        .iter()
        .filter(|(need, _)| Some(*need) != parent)
        .map(|(need, _)| plan.steps[*need].id.as_str())
        .collect();
    if !others.is_empty() {
        let _ = write!(words, ", also after {}", others.join(", "));
    }
    for (position, when) in step.conditions().enumerate() {
        let _ = write!(words, "{} {}", if position == 0 { ", when" } else { " and" }, when.text);
    }
    words
}

/// A flowchart; instances of groups in boxes of their own. A dotted arrow waits for any end, not for success.
pub fn mermaid(plan: &Plan) -> String {
    let edges = Edges::of(plan);
    let mut text = "flowchart TD\n".to_owned();
    let escaped =
        |words: &str| words.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;");
    for (number, (title, members)) in boxes(plan).into_iter().enumerate() {
        let indent = if title.is_empty() { "  " } else { "    " };
        if !title.is_empty() {
            let _ = writeln!(text, "  subgraph g{number}[\"{}\"]", escaped(&title));
        }
        for index in members {
            let step = &plan.steps[index];
            let _ = writeln!(text, "{indent}s{index}[\"{}<br/>{}\"]", escaped(step.id.as_str()), escaped(&on(step)));
        }
        if !title.is_empty() {
            text.push_str("  end\n");
        }
    }
    for (index, needs) in edges.needs.iter().enumerate() {
        for (need, rule) in needs {
            let arrow = match rule {
                NeedRule::Success => "-->",
                NeedRule::End => "-.->",
            };
            let _ = writeln!(text, "  s{need} {arrow} s{index}");
        }
    }
    text
}

/// For Graphviz; drawn like [`mermaid`].
pub fn dot(plan: &Plan) -> String {
    let edges = Edges::of(plan);
    let quoted = |words: &str| format!("\"{}\"", words.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    let mut text = format!("digraph {} {{\n  rankdir=TB;\n  node [shape=box];\n", quoted(&plan.workflow));
    for (number, (title, members)) in boxes(plan).into_iter().enumerate() {
        let indent = if title.is_empty() { "  " } else { "    " };
        if !title.is_empty() {
            let _ = writeln!(text, "  subgraph cluster_{number} {{\n    label={};", quoted(&title));
        }
        for index in members {
            let step = &plan.steps[index];
            let _ = writeln!(text, "{indent}s{index} [label={}];", quoted(&format!("{}\n{}", step.id, on(step))));
        }
        if !title.is_empty() {
            text.push_str("  }\n");
        }
    }
    for (index, needs) in edges.needs.iter().enumerate() {
        for (need, rule) in needs {
            let style = match rule {
                NeedRule::Success => "",
                NeedRule::End => " [style=dotted]",
            };
            let _ = writeln!(text, "  s{need} -> s{index}{style};");
        }
    }
    text.push_str("}\n");
    text
}

fn on(step: &PlannedStep) -> String {
    let names: Vec<&str> = step.clusters.iter().map(|cluster| cluster.0.as_str()).collect();
    if names.is_empty() { step.kind.to_string() } else { format!("{} on {}", step.kind, names.join(", ")) }
}

/// Steps by the box around them, in the order in which each box first appears; outside of groups the title is empty.
fn boxes(plan: &Plan) -> Vec<(String, Vec<usize>)> {
    let mut boxes: Vec<(String, Vec<usize>)> = Vec::new();
    let mut place: BTreeMap<String, usize> = BTreeMap::new();
    for (index, step) in plan.steps.iter().enumerate() {
        let title = step
            .group
            .as_ref()
            .map(|member| format!("{}[{}]", plan.groups[member.group].id, member.key))
            .unwrap_or_default();
        let position = *place.entry(title.clone()).or_insert_with(|| {
            boxes.push((title, Vec::new()));
            boxes.len() - 1
        });
        boxes[position].1.push(index);
    }
    boxes
}

/// Needs by position in the plan, without those that others imply.
struct Edges {
    needs: Vec<Vec<(usize, NeedRule)>>,
}

impl Edges {
    fn of(plan: &Plan) -> Edges {
        let index: BTreeMap<&StepId, usize> =
            plan.steps.iter().enumerate().map(|(position, step)| (&step.id, position)).collect();
        let mut needs: Vec<Vec<(usize, NeedRule)>> = plan
            .steps
            .iter()
            .map(|step| step.needs.iter().filter_map(|need| Some((*index.get(&need.step)?, need.rule))).collect())
            .collect();
        needs.iter_mut().for_each(|needs| needs.sort_unstable_by_key(|(need, _)| *need));
        if plan.steps.len() <= REDUCED_STEPS_MAX {
            reduce(&mut needs);
        }
        Edges { needs }
    }
}

fn reduce(needs: &mut [Vec<(usize, NeedRule)>]) {
    let edges = needs
        .iter()
        .enumerate()
        .flat_map(|(index, needs)| needs.iter().map(move |(need, _)| (index_of(*need), index_of(index))));
    let mut graph: DiGraph<(), ()> = DiGraph::from_edges(edges);
    while graph.node_count() < needs.len() {
        graph.add_node(());
    }
    // A plan's own order is a topological one.
    let order: Vec<_> = graph.node_indices().collect();
    let (sorted, _) = dag_to_toposorted_adjacency_list::<_, u32>(&graph, &order);
    let (reduction, _) = dag_transitive_reduction_closure(&sorted);
    for (index, needs) in needs.iter_mut().enumerate() {
        needs.retain(|(need, _)| reduction.contains_edge(index_of(*need), index_of(index)));
    }
}

fn index_of(index: usize) -> u32 {
    u32::try_from(index).expect("a plan has fewer steps than that")
}
