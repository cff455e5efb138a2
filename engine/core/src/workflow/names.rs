//! The names that a file gives: collected before anything else is read, so that order in the file does not matter.
//!
//! Names live in five rooms that do not mix: what expressions can begin with (steps, groups, secrets, variables of `for-each`),
//! inputs, clusters, types, components. Within a room nothing may be named twice and nothing may hide another.

use std::collections::{BTreeMap, BTreeSet};

use steps_sdk::Value;

use super::{component, wording};
use crate::diagnostic::{Place, Problem, Spanned};
use crate::expr::{PathRef, Segment};
use crate::syntax::{Document, Node, Scalar, TextStyle, ident};

/// What a name in a file stands for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub inputs: BTreeMap<String, Place>,
    pub types: BTreeMap<String, Place>,
    pub clusters: BTreeMap<String, Place>,
    pub secrets: BTreeMap<String, Place>,
    /// Families of custom steps.
    pub components: BTreeMap<String, Place>,
    /// A `use` gives no name that a family can have, so that any family may be meant by it.
    pub has_nameless_component: bool,
    /// Steps outside of groups, by their place in [`super::Workflow::steps`].
    pub steps: BTreeMap<String, usize>,
    pub groups: BTreeMap<String, GroupNames>,
    /// Of every step: its id and its group.
    pub step_ids: Vec<(String, Option<String>)>,
    /// Given by nodes that this version cannot read: nothing is said about them.
    pub beyond: BTreeSet<String>,
    /// Parts of the file could not be read, so a name that is not here may stand there.
    pub has_gaps: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct GroupNames {
    pub index: usize,
    pub steps: BTreeMap<String, usize>,
}

/// The node of a step, with what its place says of it.
pub(super) struct StepHead<'d> {
    pub node: &'d Node,
    pub id: Spanned<String>,
    /// Index into [`super::Workflow::groups`].
    pub group: Option<usize>,
}

/// The node of a group.
pub(super) struct GroupHead<'d> {
    pub node: &'d Node,
    pub id: Spanned<String>,
    pub variable: Spanned<String>,
}

/// What the root of a path in an expression is, seen from a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Root {
    /// Something that is there before the run: inputs, a variable, a secret.
    Plain,
    Step(usize),
    /// Steps of another group: of one instance or of all.
    Group {
        group: String,
        key: KeyOf,
        steps: Vec<usize>,
    },
    /// The group that the step is in.
    OwnGroup(String),
    /// A step that can only be reached through its group.
    Inside {
        group: String,
    },
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyOf {
    All,
    One(String),
    /// Computed by the expression at these bytes of the text.
    Computed(std::ops::Range<usize>),
}

/// Everything that [`Names::collect`] finds.
pub(super) struct Collected<'d> {
    pub names: Names,
    pub steps: Vec<StepHead<'d>>,
    pub groups: Vec<GroupHead<'d>>,
}

impl Names {
    pub(super) fn collect<'d>(document: &'d Document, problems: &mut Vec<Problem>) -> Collected<'d> {
        let mut collector = Collector {
            names: Names { has_gaps: !document.is_whole, ..Names::default() },
            roots: BTreeMap::new(),
            problems,
            steps: Vec::new(),
            groups: Vec::new(),
        };
        for node in &document.nodes {
            collector.top_level(node);
        }
        for index in 0..collector.groups.len() {
            collector.group_steps(index);
        }
        // Steps were met outside first and inside groups later: put them back into the order of the file.
        let Collector { mut names, mut steps, groups, .. } = collector;
        steps.sort_by_key(|head| head.node.at.start);
        for (index, head) in steps.iter().enumerate() {
            let id = head.id.value.clone();
            match head.group {
                None => {
                    names.steps.entry(id.clone()).or_insert(index);
                }
                Some(group) => {
                    let group = names.groups.get_mut(&groups[group].id.value).expect("every group was named above");
                    group.steps.entry(id.clone()).or_insert(index);
                }
            }
            names.step_ids.push((id, head.group.map(|group| groups[group].id.value.clone())));
        }
        Collected { names, steps, groups }
    }

    /// What a path begins with, for an expression of a step in `group`.
    pub(crate) fn resolve(&self, path: &PathRef, group: Option<&str>, is_variable: impl Fn(&str) -> bool) -> Root {
        let root = path.root.as_str();
        if is_variable(root)
            || ["inputs", "clusters", "run"].contains(&root)
            || self.secrets.contains_key(root)
            || self.beyond.contains(root)
        {
            return Root::Plain;
        }
        if let Some(step) = group
            .and_then(|group| self.groups.get(group))
            .and_then(|names| names.steps.get(root))
            .or_else(|| self.steps.get(root))
        {
            return Root::Step(*step);
        }
        if group == Some(root) {
            return Root::OwnGroup(root.to_owned());
        }
        if let Some(names) = self.groups.get(root) {
            let key = match path.segments.first() {
                Some(Segment::Field(key) | Segment::Index(Value::String(key))) => KeyOf::One(key.clone()),
                Some(Segment::Dynamic(range)) => KeyOf::Computed(range.clone()),
                Some(Segment::Index(_)) | None => KeyOf::All,
            };
            let steps = match path.segments.get(1) {
                Some(Segment::Field(step) | Segment::Index(Value::String(step))) => {
                    names.steps.get(step).copied().into_iter().collect()
                }
                _ => names.steps.values().copied().collect(),
            };
            return Root::Group { group: root.to_owned(), key, steps };
        }
        match self.groups.iter().find(|(_, names)| names.steps.contains_key(root)) {
            Some((group, _)) => Root::Inside { group: group.clone() },
            None => Root::Unknown,
        }
    }

    /// Whether a variable of this name would hide something.
    pub(super) fn hidden_by(&self, name: &str, group: Option<&str>) -> bool {
        self.steps.contains_key(name)
            || self.groups.contains_key(name)
            || self.secrets.contains_key(name)
            || group.and_then(|group| self.groups.get(group)).is_some_and(|names| names.steps.contains_key(name))
    }
}

struct Collector<'d, 'p> {
    names: Names,
    /// The room of expressions, with the place of each first definition.
    roots: BTreeMap<String, Place>,
    problems: &'p mut Vec<Problem>,
    steps: Vec<StepHead<'d>>,
    groups: Vec<GroupHead<'d>>,
}

impl<'d> Collector<'d, '_> {
    fn top_level(&mut self, node: &'d Node) {
        match node.name.value.as_str() {
            "input" => self.named(node, "an input", |names| &mut names.inputs),
            "type" => self.named(node, "a type", |names| &mut names.types),
            "cluster" => self.named(node, "a cluster", |names| &mut names.clusters),
            "secret" => {
                if let Some(id) = self.root(node, "a secret") {
                    self.names.secrets.insert(id.value, id.at);
                }
            }
            "step" => {
                let id = self.root(node, "a step").unwrap_or_else(|| unnamed(node));
                self.steps.push(StepHead { node, id, group: None });
            }
            "for-each" => self.group(node),
            "use" => self.component(node),
            "call" | "approve" | "template" => {
                let id = node.args.first().and_then(|arg| arg.as_str());
                self.names.beyond.extend(id.map(str::to_owned));
            }
            _ => {}
        }
    }

    fn component(&mut self, node: &Node) {
        let Some(name) = component::name(node, self.problems) else {
            self.names.has_nameless_component = true;
            return;
        };
        self.names.has_nameless_component |= !component::is_family(&name.value);
        match self.names.components.get(&name.value) {
            Some(first) => self.problems.push(wording::twice(&name, *first)),
            None => drop(self.names.components.insert(name.value, name.at)),
        }
    }

    fn group(&mut self, node: &'d Node) {
        let variable = identity(node, "the variable of a `for-each`", self.problems).unwrap_or_else(|| unnamed(node));
        let id = match node.prop("as") {
            Some(prop) => checked(&prop.value, "a group", self.problems),
            None => {
                self.problems.push(
                    Problem::error("L204", node.name.at, "a `for-each` over steps needs a name")
                        .help("name it: `as=region`; expressions then write `region[\"KEY\"].STEP`"),
                );
                None
            }
        };
        let id = id
            .and_then(|id| self.take(id, "a group"))
            .unwrap_or_else(|| Spanned::new(format!("#{}", self.groups.len()), node.name.at));
        self.names.groups.insert(id.value.clone(), GroupNames { index: self.groups.len(), steps: BTreeMap::new() });
        self.groups.push(GroupHead { node, id, variable });
    }

    /// After every name outside of groups is known.
    fn group_steps(&mut self, index: usize) {
        let (node, variable) = (self.groups[index].node, self.groups[index].variable.clone());
        let mut inside: BTreeMap<String, Place> = BTreeMap::new();
        if let Some(outer) = self.roots.get(&variable.value) {
            self.problems.push(wording::hides(&variable, *outer));
        }
        inside.insert(variable.value, variable.at);
        for child in node.children() {
            match child.name.value.as_str() {
                "step" => {
                    let id = identity(child, "a step", self.problems).unwrap_or_else(|| unnamed(child));
                    if let Some(first) = inside.get(&id.value) {
                        self.problems.push(wording::twice(&id, *first));
                    } else if let Some(outer) = self.roots.get(&id.value) {
                        self.problems.push(wording::hides(&id, *outer));
                    }
                    inside.insert(id.value.clone(), id.at);
                    self.steps.push(StepHead { node: child, id, group: Some(index) });
                }
                "call" | "approve" => {
                    let id = child.args.first().and_then(|arg| arg.as_str());
                    self.names.beyond.extend(id.map(str::to_owned));
                }
                _ => {}
            }
        }
    }

    /// A name in a room of its own.
    fn named(&mut self, node: &Node, what: &str, room: fn(&mut Names) -> &mut BTreeMap<String, Place>) {
        let Some(id) = identity(node, what, self.problems) else {
            return;
        };
        match room(&mut self.names).get(&id.value) {
            Some(first) => self.problems.push(wording::twice(&id, *first)),
            None => {
                room(&mut self.names).insert(id.value, id.at);
            }
        }
    }

    /// A name in the room of expressions.
    fn root(&mut self, node: &Node, what: &str) -> Option<Spanned<String>> {
        let id = identity(node, what, self.problems)?;
        self.take(id, what)
    }

    fn take(&mut self, id: Spanned<String>, _what: &str) -> Option<Spanned<String>> {
        if let Some(first) = self.roots.get(&id.value) {
            self.problems.push(wording::twice(&id, *first));
            return None;
        }
        self.roots.insert(id.value.clone(), id.at);
        Some(id)
    }
}

/// The first argument: what the node is called.
pub(super) fn identity(node: &Node, what: &str, problems: &mut Vec<Problem>) -> Option<Spanned<String>> {
    match node.args.first() {
        Some(arg) => checked(arg, what, problems),
        None => {
            let problem = Problem::error("L204", node.name.at, format!("{what} needs a name"));
            problems.push(problem.help(format!("write it first: `{} NAME …`", node.name.value)));
            None
        }
    }
}

/// A name that may be given. A name that is only badly written is still a name: what refers to it is not wrong as well.
fn checked(arg: &crate::syntax::Arg, what: &str, problems: &mut Vec<Problem>) -> Option<Spanned<String>> {
    let Scalar::Text(text) = &arg.value else {
        problems.push(
            Problem::error("L205", arg.at, format!("{what} is named by a word, not by a {}", arg.value.kind()))
                .help("names begin with a letter"),
        );
        return None;
    };
    if let Err(reason) = ident::check(&text.value) {
        let mut problem = Problem::error(reason.code, arg.at, reason.message).help(reason.help);
        if let (Some(instead), TextStyle::Bare) = (reason.instead, text.style) {
            problem = problem.fix(arg.at, instead);
        }
        problems.push(problem);
    }
    Some(Spanned::new(text.value.clone(), arg.at))
}

/// A stand-in that nothing can refer to.
fn unnamed(node: &Node) -> Spanned<String> {
    Spanned::new(format!("#{}", node.at.start), node.name.at)
}
