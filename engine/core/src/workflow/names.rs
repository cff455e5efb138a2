//! The names that a file gives, and what a name in an expression stands for.
//!
//! Names live in rooms that do not mix: what expressions can begin with (steps, groups, calls, secrets, variables of `for-each`),
//! inputs, clusters, types, templates, components. What expressions begin with is told apart by scope: the file, each group, each
//! template. A group sees what is around it; a template sees nothing of it, only its params and the inputs. Within a scope nothing
//! is named twice and nothing hides what it sees.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use steps_sdk::Value;

use crate::diagnostic::Place;
use crate::expr::{PathRef, Segment};

/// What a name in a file stands for.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub inputs: BTreeMap<String, Place>,
    pub types: BTreeMap<String, Place>,
    pub clusters: BTreeMap<String, Place>,
    pub secrets: BTreeMap<String, Place>,
    /// By their index in [`super::Workflow::templates`].
    pub templates: BTreeMap<String, (usize, Place)>,
    /// Families of custom steps.
    pub components: BTreeMap<String, Place>,
    /// A `use` gives no name that a family can have, so that any family may be meant by it.
    pub has_nameless_component: bool,
    /// The first is that of the file.
    pub scopes: Vec<Scope>,
    /// Given by nodes that this version cannot read: nothing is said about them.
    pub beyond: BTreeSet<String>,
    /// Parts of the file could not be read, so a name that is not here may stand there.
    pub has_gaps: bool,
}

/// Position of a scope in [`Names::scopes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ScopeId(pub usize);

/// The scope of the file itself.
pub(crate) const FILE: ScopeId = ScopeId(0);

/// A stretch of the file in which names mean the same.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub opened_by: OpenedBy,
    /// Where names are looked for that are not found here; a template has none.
    pub outer: Option<ScopeId>,
    /// Of a group.
    pub variable: Option<String>,
    pub names: BTreeMap<String, Member>,
    /// In the order of the file, those without a usable name among them.
    pub members: Vec<Member>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenedBy {
    File,
    Group(usize),
    Template(usize),
}

/// What stands in a scope, by its index in the workflow's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Member {
    Step(usize),
    Group(usize),
    Call(usize),
}

/// What the root of a path in an expression is, seen from a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Root {
    /// Something that is there before the run: inputs, a variable, a secret.
    Plain,
    /// What the call gives.
    Param,
    Step(usize),
    Call(usize),
    /// Members of another group: of one instance or of all.
    Group(GroupPath),
    /// A group that the scope is in.
    OwnGroup(String),
    /// A member of a group that can only be reached through the group.
    Inside {
        group: String,
    },
    /// It is there, but outside of the template.
    Closed {
        template: usize,
    },
    Unknown,
}

/// How a path goes through a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupPath {
    pub group: usize,
    pub key: KeyOf,
    /// The steps and calls that it may read; of groups inside of it too.
    pub reads: Vec<Member>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyOf {
    All,
    One(String),
    /// Computed by the expression at these bytes of the text.
    Computed(Range<usize>),
}

impl KeyOf {
    /// The key that a path names right after a group.
    pub fn of(segment: Option<&Segment>) -> KeyOf {
        match segment {
            Some(Segment::Field(key) | Segment::Index(Value::String(key))) => KeyOf::One(key.clone()),
            Some(Segment::Dynamic(range)) => KeyOf::Computed(range.clone()),
            Some(Segment::Index(_)) | None => KeyOf::All,
        }
    }
}

/// The name that a path gives after a key.
pub(crate) fn named(segment: Option<&Segment>) -> Option<&str> {
    match segment {
        Some(Segment::Field(name) | Segment::Index(Value::String(name))) => Some(name),
        Some(Segment::Index(_) | Segment::Dynamic(_)) | None => None,
    }
}

impl Default for Names {
    /// A file that names nothing.
    fn default() -> Self {
        Names {
            inputs: BTreeMap::new(),
            types: BTreeMap::new(),
            clusters: BTreeMap::new(),
            secrets: BTreeMap::new(),
            templates: BTreeMap::new(),
            components: BTreeMap::new(),
            has_nameless_component: false,
            scopes: vec![Scope::new(OpenedBy::File, None)],
            beyond: BTreeSet::new(),
            has_gaps: false,
        }
    }
}

impl Scope {
    pub fn new(opened_by: OpenedBy, outer: Option<ScopeId>) -> Scope {
        Scope { opened_by, outer, variable: None, names: BTreeMap::new(), members: Vec::new() }
    }
}

impl Names {
    pub fn scope(&self, id: ScopeId) -> &Scope {
        &self.scopes[id.0]
    }

    /// This scope and those that it sees, innermost first.
    pub fn seen_from(&self, id: ScopeId) -> impl Iterator<Item = (ScopeId, &Scope)> {
        std::iter::successors(Some(id), |id| self.scope(*id).outer).map(|id| (id, self.scope(id)))
    }

    /// The template that a scope is in.
    pub fn template_of(&self, id: ScopeId) -> Option<usize> {
        self.seen_from(id).find_map(|(_, scope)| match scope.opened_by {
            OpenedBy::Template(template) => Some(template),
            OpenedBy::File | OpenedBy::Group(_) => None,
        })
    }

    /// What a name stands for that is looked for outwards, with the scope that has it.
    pub fn find(&self, name: &str, from: ScopeId) -> Option<(ScopeId, Member)> {
        self.seen_from(from).find_map(|(id, scope)| scope.names.get(name).map(|member| (id, *member)))
    }

    /// Whether a variable of a group around the scope has this name.
    pub fn is_variable(&self, name: &str, from: ScopeId) -> bool {
        self.seen_from(from).any(|(_, scope)| scope.variable.as_deref() == Some(name))
    }

    /// What a path begins with, for an expression in a scope. `is_repeated` knows the variables of repetitions inside of a step.
    pub fn resolve(&self, path: &PathRef, from: ScopeId, is_repeated: impl Fn(&str) -> bool) -> Root {
        let root = path.root.as_str();
        if is_repeated(root) || root == "inputs" || self.is_variable(root, from) {
            return Root::Plain;
        }
        if let Some(template) = self.template_of(from) {
            return match root {
                "param" => Root::Param,
                _ => self.resolve_member(path, from).unwrap_or_else(|| self.unseen(root, from, Some(template))),
            };
        }
        if ["clusters", "run"].contains(&root) || self.secrets.contains_key(root) || self.beyond.contains(root) {
            return Root::Plain;
        }
        self.resolve_member(path, from).unwrap_or_else(|| self.unseen(root, from, None))
    }

    fn resolve_member(&self, path: &PathRef, from: ScopeId) -> Option<Root> {
        Some(match self.find(&path.root, from)?.1 {
            Member::Step(step) => Root::Step(step),
            Member::Call(call) => Root::Call(call),
            Member::Group(group) => {
                if self.seen_from(from).any(|(_, scope)| scope.opened_by == OpenedBy::Group(group)) {
                    return Some(Root::OwnGroup(path.root.clone()));
                }
                let key = KeyOf::of(path.segments.first());
                let mut reads = Vec::new();
                self.reads(group, &path.segments, &mut reads);
                Root::Group(GroupPath { group, key, reads })
            }
        })
    }

    /// The members of a group that a path goes on to: those that it names, or all.
    fn reads(&self, group: usize, segments: &[Segment], reads: &mut Vec<Member>) {
        let inside = self.scope(self.inside(group));
        let chosen: Vec<Member> = match named(segments.get(1)) {
            Some(name) => inside.names.get(name).copied().into_iter().collect(),
            None => inside.members.clone(),
        };
        for member in chosen {
            match member {
                Member::Step(_) | Member::Call(_) => reads.push(member),
                Member::Group(inner) => self.reads(inner, segments.get(2..).unwrap_or_default(), reads),
            }
        }
    }

    /// The scope that a group opens.
    pub fn inside(&self, group: usize) -> ScopeId {
        let opened = self.scopes.iter().position(|scope| scope.opened_by == OpenedBy::Group(group));
        ScopeId(opened.expect("every group opens a scope"))
    }

    /// Every step and call in a scope, those in groups inside of it too.
    pub fn all_in(&self, scope: ScopeId) -> Vec<Member> {
        let mut found = Vec::new();
        for member in &self.scope(scope).members {
            match member {
                Member::Step(_) | Member::Call(_) => found.push(*member),
                Member::Group(group) => found.extend(self.all_in(self.inside(*group))),
            }
        }
        found
    }

    /// What is known of a name that cannot be seen.
    fn unseen(&self, root: &str, from: ScopeId, template: Option<usize>) -> Root {
        let inside = self.group_inside(root, from);
        match (inside, template) {
            (Some(group), _) => Root::Inside { group },
            (None, Some(template)) if self.is_outside(root) => Root::Closed { template },
            (None, _) => Root::Unknown,
        }
    }

    /// Whether the file around a template has something of this name.
    fn is_outside(&self, root: &str) -> bool {
        ["clusters", "run"].contains(&root)
            || self.secrets.contains_key(root)
            || self.beyond.contains(root)
            || self.scope(FILE).names.contains_key(root)
    }

    /// The group, among those that can be seen, that has a member of this name.
    pub fn group_inside(&self, name: &str, from: ScopeId) -> Option<String> {
        self.seen_from(from).find_map(|(_, scope)| {
            scope.names.iter().find_map(|(group, member)| match member {
                Member::Group(index) if self.scope(self.inside(*index)).names.contains_key(name) => Some(group.clone()),
                Member::Group(_) | Member::Step(_) | Member::Call(_) => None,
            })
        })
    }

    /// Whether a variable of this name would hide something.
    pub(super) fn hidden_by(&self, name: &str, from: ScopeId) -> bool {
        self.find(name, from).is_some() || (self.template_of(from).is_none() && self.secrets.contains_key(name))
    }
}
