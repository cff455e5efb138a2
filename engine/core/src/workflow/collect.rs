//! The names of a file and of what it includes, collected before anything else is read, so that order does not matter.

use std::collections::{BTreeMap, VecDeque};

use super::names::{FILE, Member, Names, OpenedBy, Scope, ScopeId};
use super::{component, wording};
use crate::diagnostic::{Place, Problem, Spanned};
use crate::syntax::{Arg, Document, Node, Scalar, TextStyle, ident};

/// The node of a step, with what its place says of it.
pub(super) struct StepHead<'d> {
    pub node: &'d Node,
    pub id: Spanned<String>,
    pub scope: ScopeId,
}

/// The node of a group.
pub(super) struct GroupHead<'d> {
    pub node: &'d Node,
    pub id: Spanned<String>,
    pub variable: Spanned<String>,
    pub scope: ScopeId,
}

/// The node of a call.
pub(super) struct CallHead<'d> {
    pub node: &'d Node,
    pub id: Spanned<String>,
    pub scope: ScopeId,
}

/// The node of a template.
pub(super) struct TemplateHead<'d> {
    pub node: &'d Node,
    pub name: Spanned<String>,
    pub inside: ScopeId,
}

/// Everything that [`collect`] finds. Groups come after those that they are in.
pub(super) struct Collected<'d> {
    pub names: Names,
    pub steps: Vec<StepHead<'d>>,
    pub groups: Vec<GroupHead<'d>>,
    pub calls: Vec<CallHead<'d>>,
    pub templates: Vec<TemplateHead<'d>>,
}

/// Of the workflow's own file, which comes first, and of those that it includes.
pub(super) fn collect<'d>(documents: &[&'d Document], has_gaps: bool, problems: &mut Vec<Problem>) -> Collected<'d> {
    let has_gaps = has_gaps || documents.iter().any(|document| !document.is_whole);
    let mut collector = Collector {
        names: Names { has_gaps, ..Names::default() },
        problems,
        steps: Vec::new(),
        groups: Vec::new(),
        calls: Vec::new(),
        templates: Vec::new(),
        given: vec![BTreeMap::new()],
        open: VecDeque::new(),
    };
    let (own, included) = documents.split_first().expect("there is the workflow's own file");
    own.nodes.iter().for_each(|node| collector.top_level(node));
    included.iter().flat_map(|document| &document.nodes).for_each(|node| collector.shared(node));
    while let Some((scope, nodes)) = collector.open.pop_front() {
        collector.check_variable(scope);
        nodes.iter().for_each(|node| collector.member(node, scope));
    }
    collector.in_order()
}

struct Collector<'d, 'p> {
    names: Names,
    problems: &'p mut Vec<Problem>,
    steps: Vec<StepHead<'d>>,
    groups: Vec<GroupHead<'d>>,
    calls: Vec<CallHead<'d>>,
    templates: Vec<TemplateHead<'d>>,
    /// By scope: what expressions can begin with, and the place of each first definition.
    given: Vec<BTreeMap<String, Place>>,
    /// Blocks that were met and not looked into: a name inside may hide one that stands further down outside.
    open: VecDeque<(ScopeId, &'d [Node])>,
}

impl<'d> Collector<'d, '_> {
    fn top_level(&mut self, node: &'d Node) {
        match node.name.value.as_str() {
            "input" => self.named(node, "an input", |names| &mut names.inputs),
            "cluster" => self.named(node, "a cluster", |names| &mut names.clusters),
            "secret" => {
                if let Some(id) = identity(node, "a secret", self.problems).and_then(|id| self.take(id, FILE)) {
                    self.names.secrets.insert(id.value, id.at);
                }
            }
            "use" => self.component(node),
            "type" | "template" => self.shared(node),
            _ => self.member(node, FILE),
        }
    }

    /// What an included file may have too.
    fn shared(&mut self, node: &'d Node) {
        match node.name.value.as_str() {
            "type" => self.named(node, "a type", |names| &mut names.types),
            "template" => self.template(node),
            _ => {}
        }
    }

    /// What a scope is made of.
    fn member(&mut self, node: &'d Node, scope: ScopeId) {
        match node.name.value.as_str() {
            "step" => {
                let id = self.root(node, "a step", scope);
                self.insert(&id, Member::Step(self.steps.len()), scope);
                self.steps.push(StepHead { node, id, scope });
            }
            "call" => {
                let id = self.root(node, "a call", scope);
                self.insert(&id, Member::Call(self.calls.len()), scope);
                self.calls.push(CallHead { node, id, scope });
            }
            "for-each" => self.group(node, scope),
            "approve" => {
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

    fn template(&mut self, node: &'d Node) {
        let index = self.templates.len();
        let name = match identity(node, "a template", self.problems) {
            Some(name) => match self.names.templates.get(&name.value) {
                Some((_, first)) => {
                    self.problems.push(wording::twice(&name, *first));
                    unnamed(node)
                }
                None => {
                    self.names.templates.insert(name.value.clone(), (index, name.at));
                    name
                }
            },
            None => unnamed(node),
        };
        let inside = self.open(node, Scope::new(OpenedBy::Template(index), None));
        self.templates.push(TemplateHead { node, name, inside });
    }

    fn group(&mut self, node: &'d Node, scope: ScopeId) {
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
        let id = id.and_then(|id| self.take(id, scope)).unwrap_or_else(|| unnamed(node));
        let index = self.groups.len();
        self.insert(&id, Member::Group(index), scope);
        let opened =
            Scope { variable: Some(variable.value.clone()), ..Scope::new(OpenedBy::Group(index), Some(scope)) };
        let inside = self.open(node, opened);
        self.given[inside.0].insert(variable.value.clone(), variable.at);
        self.groups.push(GroupHead { node, id, variable, scope });
    }

    fn open(&mut self, node: &'d Node, scope: Scope) -> ScopeId {
        let id = ScopeId(self.names.scopes.len());
        self.names.scopes.push(scope);
        self.given.push(BTreeMap::new());
        self.open.push_back((id, node.children()));
        id
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

    /// A name that expressions can begin with.
    fn root(&mut self, node: &Node, what: &str, scope: ScopeId) -> Spanned<String> {
        identity(node, what, self.problems).and_then(|id| self.take(id, scope)).unwrap_or_else(|| unnamed(node))
    }

    fn take(&mut self, id: Spanned<String>, scope: ScopeId) -> Option<Spanned<String>> {
        if let Some(first) = self.given[scope.0].get(&id.value) {
            self.problems.push(wording::twice(&id, *first));
            return None;
        }
        if let Some(outer) = self.outer(&id.value, scope) {
            self.problems.push(wording::hides(&id, outer));
        }
        self.given[scope.0].insert(id.value.clone(), id.at);
        Some(id)
    }

    /// Where a scope around this one gives the same name.
    fn outer(&self, name: &str, scope: ScopeId) -> Option<Place> {
        self.names.seen_from(scope).skip(1).find_map(|(id, _)| self.given[id.0].get(name).copied())
    }

    /// When the block is looked into, everything outside of it is known.
    fn check_variable(&mut self, scope: ScopeId) {
        let OpenedBy::Group(group) = self.names.scope(scope).opened_by else { return };
        let variable = &self.groups[group].variable;
        if let Some(outer) = self.outer(&variable.value, scope) {
            self.problems.push(wording::hides(variable, outer));
        }
    }

    fn insert(&mut self, id: &Spanned<String>, member: Member, scope: ScopeId) {
        let scope = &mut self.names.scopes[scope.0];
        scope.names.insert(id.value.clone(), member);
        scope.members.push(member);
    }

    /// Steps were met from outside inwards: put them, and the calls, back into the order of the files.
    fn in_order(mut self) -> Collected<'d> {
        let steps = positions(self.steps.iter().map(|head| head.node.at));
        let calls = positions(self.calls.iter().map(|head| head.node.at));
        let moved = |member: &mut Member| match member {
            Member::Step(index) => *index = steps[*index],
            Member::Call(index) => *index = calls[*index],
            Member::Group(_) => {}
        };
        for scope in &mut self.names.scopes {
            scope.names.values_mut().for_each(moved);
            scope.members.iter_mut().for_each(moved);
        }
        self.steps.sort_by_key(|head| head.node.at);
        self.calls.sort_by_key(|head| head.node.at);
        let Collector { names, steps, groups, calls, templates, .. } = self;
        Collected { names, steps, groups, calls, templates }
    }
}

/// Where each goes when they are sorted.
fn positions(places: impl Iterator<Item = Place>) -> Vec<usize> {
    let mut order: Vec<(Place, usize)> = places.enumerate().map(|(index, at)| (at, index)).collect();
    order.sort_unstable();
    let mut positions = vec![0; order.len()];
    for (position, (_, index)) in order.into_iter().enumerate() {
        positions[index] = position;
    }
    positions
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
fn checked(arg: &Arg, what: &str, problems: &mut Vec<Problem>) -> Option<Spanned<String>> {
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
