//! What an expression takes from outside: the scope-aware walk that edges come from.

use std::ops::Range;

use steps_sdk::Value;

use super::tree::{Kind, Node};

/// One path that begins at a free name.
#[derive(Debug, Clone, PartialEq)]
pub struct PathRef {
    pub root: String,
    pub segments: Vec<Segment>,
    /// Of the whole path, in bytes from the start of the text.
    pub range: Range<usize>,
    /// It is the argument of a question about a step's outcome, and so needs no outputs.
    pub guard: Option<Guard>,
    /// It stands where `exists` or `succeeded` of a part of this path is known to be true:
    /// `exists(ha) ? ha.table : []`, `exists(ha) && ha.ok`.
    pub is_protected: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Segment {
    Field(String),
    /// A literal in brackets.
    Index(Value),
    /// Anything else in brackets: known only when it is evaluated. The range is that of the expression between the brackets, so
    /// that the planner can compute a key that depends on inputs only: `export[shard.name].ref`.
    Dynamic(Range<usize>),
}

/// The functions that ask about a step's outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    Exists,
    Succeeded,
    Failed,
    Skipped,
}

impl Guard {
    pub fn by_name(name: &str) -> Option<Guard> {
        Some(match name {
            "exists" => Guard::Exists,
            "succeeded" => Guard::Succeeded,
            "failed" => Guard::Failed,
            "skipped" => Guard::Skipped,
            _ => return None,
        })
    }
}

/// All references of a tree, in the order in which they were written.
pub fn references(node: &Node, text: &str) -> Vec<PathRef> {
    let mut walk = Walk { text, variables: Vec::new(), known: Vec::new(), found: Vec::new() };
    walk.node(node);
    walk.found
}

/// The path of a step as outcomes are kept under: `region[alpha].deploy`. `key` gives the text of what stands in brackets.
/// `Ok(None)`: the tree is no path.
pub fn step_path<'n, E>(
    node: &'n Node,
    mut key: impl FnMut(&'n Node) -> Result<String, E>,
) -> Result<Option<String>, E> {
    let mut parts = Vec::new();
    let mut at = node;
    loop {
        match &at.kind {
            Kind::Name(name) => {
                parts.push(name.clone());
                return Ok(Some(parts.into_iter().rev().collect()));
            }
            Kind::Field { of, name, .. } => {
                parts.push(format!(".{name}"));
                at = of;
            }
            Kind::Index { of, index } => {
                parts.push(format!("[{}]", key(index)?));
                at = of;
            }
            _ => return Ok(None),
        }
    }
}

/// Whether a call asks about the outcome of a step.
pub fn question(node: &Node) -> Option<(Guard, &Node)> {
    match &node.kind {
        Kind::Call(call) if call.target.is_none() => match call.args.as_slice() {
            [step] => Guard::by_name(&call.name).map(|guard| (guard, step)),
            _ => None,
        },
        _ => None,
    }
}

struct Walk<'t> {
    text: &'t str,
    /// Of the comprehensions around the node.
    variables: Vec<&'t str>,
    /// Paths whose `exists` is known to be true here.
    known: Vec<Vec<String>>,
    found: Vec<PathRef>,
}

impl<'t> Walk<'t> {
    fn node(&mut self, node: &'t Node) {
        if let Some((guard, step)) = question(node) {
            if !self.path(step, Some(guard)) {
                self.node(step);
            }
            return;
        }
        if self.path(node, None) {
            return;
        }
        match &node.kind {
            Kind::Choice { condition, yes, no } => {
                self.node(condition);
                self.under(facts(condition, true, self.text), |walk| walk.node(yes));
                self.under(facts(condition, false, self.text), |walk| walk.node(no));
            }
            Kind::All(terms) | Kind::Any(terms) => {
                let is_all = matches!(node.kind, Kind::All(_));
                let before = self.known.len();
                for term in terms {
                    self.node(term);
                    self.known.extend(facts(term, is_all, self.text));
                }
                self.known.truncate(before);
            }
            Kind::Comprehension(c) => {
                self.node(&c.over);
                self.variables.push(&c.variable);
                if let Some(condition) = &c.condition {
                    self.node(condition);
                }
                let facts = c.condition.as_ref().map(|condition| facts(condition, true, self.text)).unwrap_or_default();
                self.under(facts, |walk| walk.node(&c.body));
                self.variables.pop();
            }
            _ => node.kind.children().into_iter().for_each(|child| self.node(child)),
        }
    }

    fn under(&mut self, facts: Vec<Vec<String>>, walk: impl FnOnce(&mut Self)) {
        let before = self.known.len();
        self.known.extend(facts);
        walk(self);
        self.known.truncate(before);
    }

    /// Reads a path, if the node is one; what stands in its brackets is walked too.
    fn path(&mut self, node: &'t Node, guard: Option<Guard>) -> bool {
        let mut segments = Vec::new();
        let mut inner = Vec::new();
        let mut at = node;
        let root = loop {
            match &at.kind {
                Kind::Name(name) => break name,
                Kind::Field { of, name, .. } | Kind::Has { of, name, .. } => {
                    segments.push(Segment::Field(name.clone()));
                    at = of;
                }
                Kind::Index { of, index } => {
                    segments.push(match &index.kind {
                        Kind::Text(text) => Segment::Index(Value::from(text.as_str())),
                        Kind::Int(number) => Segment::Index(Value::from(*number)),
                        _ => {
                            inner.push(index.as_ref());
                            Segment::Dynamic(index.range.clone())
                        }
                    });
                    at = of;
                }
                _ => return false,
            }
        };
        let is_free = !self.variables.contains(&root.as_str());
        if is_free {
            segments.reverse();
            let keys = keys(node, self.text);
            let is_protected = self.known.iter().any(|known| keys.starts_with(known));
            self.found.push(PathRef { root: root.clone(), segments, range: node.range.clone(), guard, is_protected });
        }
        inner.into_iter().rev().for_each(|index| self.node(index));
        true
    }
}

/// Paths of steps that are known to have outputs where the condition is `truth`.
fn facts(condition: &Node, truth: bool, text: &str) -> Vec<Vec<String>> {
    match (&condition.kind, truth) {
        (Kind::Not(of), _) => facts(of, !truth, text),
        (Kind::All(terms), true) | (Kind::Any(terms), false) => {
            terms.iter().flat_map(|term| facts(term, truth, text)).collect()
        }
        (Kind::Call(_), true) => match question(condition) {
            Some((Guard::Exists | Guard::Succeeded, step)) => vec![keys(step, text)],
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// A path by its parts, so that paths can be compared: what stands in brackets as it was written.
fn keys(node: &Node, text: &str) -> Vec<String> {
    match &node.kind {
        Kind::Field { of, name, .. } | Kind::Has { of, name, .. } => {
            let mut keys = keys(of, text);
            keys.push(name.clone());
            keys
        }
        Kind::Index { of, index } => {
            let mut keys = keys(of, text);
            keys.push(match &index.kind {
                Kind::Text(key) => key.clone(),
                _ => format!("[{}]", &text[index.range.clone()]),
            });
            keys
        }
        _ => vec![text[node.range.clone()].to_owned()],
    }
}
