//! How a step's body becomes its inputs: children, properties and arguments fill the fields that the kind's schema names.
//!
//! The schema directs the reading, so that native kinds and WASM kinds read alike. Scalars are in `scalar.rs`, lists and
//! repetition in `list.rs`, values without a schema of their own in `free.rs`.

use std::sync::Arc;

use steps_sdk::schema::{ObjectShape, Schema, Shape};
use steps_sdk::spec::SHARED_CHILDREN;

use super::example::{arguments, example};
use super::names::{Names, ScopeId};
use super::specs::Files;
use super::written::{Content, Formula, Wanted, Written};
use crate::diagnostic::{Place, Problem, Spanned, nearest};
use crate::syntax::{Arg, Node, Prop};

/// Reads values; collects every problem.
pub(super) struct Decoder<'a> {
    pub names: &'a Names,
    pub files: &'a Files,
    pub problems: &'a mut Vec<Problem>,
    /// Files that are named and not at hand.
    pub wanted_files: &'a mut Vec<Spanned<String>>,
    /// Where it stands: which names are known, and which a variable would hide.
    pub scope: ScopeId,
    /// What `explain` shows the fields of: `k8s.apply`.
    pub subject: String,
}

/// A node without its name, taken apart; a step's body is one as well, without its identity and what every step shares.
#[derive(Clone)]
pub(super) struct Body<'n> {
    /// The node's name, for what is missing.
    pub name: Place,
    pub at: Place,
    pub args: &'n [Arg],
    pub props: Vec<&'n Prop>,
    /// `None`: no block.
    pub children: Option<Vec<Child<'n>>>,
}

/// A child, or children that are repeated.
#[derive(Clone)]
pub(super) enum Child<'n> {
    Node(&'n Node),
    Repeat { variable: Spanned<String>, list: Box<Formula>, children: Vec<Child<'n>>, at: Place },
}

impl<'n> Body<'n> {
    pub fn has_block(&self) -> bool {
        self.children.is_some()
    }

    /// Nothing but arguments.
    pub fn is_plain(&self) -> bool {
        self.props.is_empty() && self.children.is_none()
    }

    /// Every node that a child is or repeats.
    fn nodes(&self) -> Vec<&'n Node> {
        fn walk<'n>(children: &[Child<'n>], nodes: &mut Vec<&'n Node>) {
            for child in children {
                match child {
                    Child::Node(node) => nodes.push(node),
                    Child::Repeat { children, .. } => walk(children, nodes),
                }
            }
        }
        let mut nodes = Vec::new();
        walk(self.children.as_deref().unwrap_or_default(), &mut nodes);
        nodes
    }
}

impl Decoder<'_> {
    /// The same reader for what stands in another scope.
    pub fn within(&mut self, scope: ScopeId, subject: &str) -> Decoder<'_> {
        Decoder {
            names: self.names,
            files: self.files,
            problems: self.problems,
            wanted_files: self.wanted_files,
            scope,
            subject: subject.to_owned(),
        }
    }

    pub fn body<'n>(&mut self, node: &'n Node) -> Body<'n> {
        let children = node.children.as_ref().map(|children| self.children(children.iter().collect()));
        Body { name: node.name.at, at: node.head(), args: &node.args, props: node.props.iter().collect(), children }
    }

    /// The value of one node, as the schema says.
    pub fn node(&mut self, node: &Node, schema: &Schema, what: &str) -> Written {
        let body = self.body(node);
        self.value(&body, schema, what)
    }

    pub fn value(&mut self, body: &Body<'_>, schema: &Schema, what: &str) -> Written {
        if body.is_plain()
            && let [arg] = body.args
            && schema.nullable
            && arg.value == crate::syntax::Scalar::Null
        {
            return Written::literal(serde_json::Value::Null, arg.at);
        }
        match &schema.shape {
            Shape::Any => self.free(body, what),
            Shape::Object(shape) => self.object_or_formula(body, shape, schema, what),
            Shape::Map(values) => self.map(body, values, schema, what),
            Shape::List(items) => self.list_of_body(body, items, what),
            Shape::OneOf(choices) => self.choice(body, choices, what),
            Shape::Bool if body.args.is_empty() && body.is_plain() => Written::literal(true.into(), body.at),
            Shape::Bool
            | Shape::Integer { .. }
            | Shape::Number
            | Shape::String(_)
            | Shape::Enum(_)
            | Shape::Reference(_)
            | Shape::Predicate
            | Shape::YamlTemplate => self.scalar_of_body(body, schema, what),
        }
    }

    /// An object may also be given whole by an expression, when its arguments do not mean something else.
    fn object_or_formula(&mut self, body: &Body<'_>, shape: &ObjectShape, schema: &Schema, what: &str) -> Written {
        if let ([arg], true, true) = (body.args, body.is_plain(), shape.args.is_empty()) {
            return self.arg(arg, schema, what);
        }
        let fields = self.object(body, shape, what);
        Written::new(Content::Map(fields), body.at)
    }

    /// The fields of an object, in the order of its schema.
    pub fn object(&mut self, body: &Body<'_>, shape: &ObjectShape, what: &str) -> Vec<(String, Written)> {
        let mut filled: Vec<(String, Written)> = Vec::new();
        self.fill_by_arguments(body, shape, what, &mut filled);
        for prop in &body.props {
            match shape.field(&prop.name.value) {
                Some(field) if !self.is_given(&filled, &prop.name) => {
                    let value = self.arg(&prop.value, &field.schema, &path(what, &field.name));
                    filled.push((field.name.clone(), value));
                }
                Some(_) => {}
                None => self.unknown_field(&prop.name, shape, what),
            }
        }
        self.fill_by_children(body, shape, what, &mut filled);
        self.fill_defaults(body, shape, what, &mut filled);
        let position = |name: &String| shape.fields.iter().position(|field| field.name == *name);
        filled.sort_by_key(|(name, _)| position(name));
        filled
    }

    fn fill_by_arguments(
        &mut self,
        body: &Body<'_>,
        shape: &ObjectShape,
        what: &str,
        filled: &mut Vec<(String, Written)>,
    ) {
        let mut rest = body.args;
        for (position, name) in shape.args.iter().enumerate() {
            if rest.is_empty() {
                return;
            }
            let field = shape.field(name).expect("a schema names only its own fields as arguments");
            let what = path(what, name);
            let is_last = position + 1 == shape.args.len();
            let value = match &field.schema.shape {
                Shape::List(items) if is_last => {
                    let all = std::mem::take(&mut rest);
                    self.list_of_args(all, items, &what)
                }
                _ => {
                    let arg = &rest[0];
                    rest = &rest[1..];
                    self.arg(arg, &field.schema, &what)
                }
            };
            filled.push((name.clone(), value));
        }
        if let Some(extra) = rest.first() {
            let problem = Problem::error(
                "L236",
                extra.at,
                format!("`{}` takes {}", subject(what, &self.subject), arguments(shape)),
            );
            self.problems.push(problem.help(self.fields_help(shape)));
        }
    }

    fn fill_by_children(
        &mut self,
        body: &Body<'_>,
        shape: &ObjectShape,
        what: &str,
        filled: &mut Vec<(String, Written)>,
    ) {
        let children = body.children.as_deref().unwrap_or_default();
        let mut seen: Vec<&str> = Vec::new();
        for node in body.nodes() {
            let name = node.name.value.as_str();
            if seen.contains(&name) {
                continue;
            }
            seen.push(name);
            let Some(field) = shape.field(name) else {
                self.unknown_field(&node.name, shape, what);
                continue;
            };
            if self.is_given(filled, &node.name) {
                continue;
            }
            let what = path(what, name);
            let value = match &field.schema.shape {
                Shape::List(items) => self.list_of_children(children, name, items, &what),
                _ => match self.only_child(children, name) {
                    Some(only) => self.node(only, &field.schema, &what),
                    None => continue,
                },
            };
            filled.push((field.name.clone(), value));
        }
    }

    /// The only child of this name; a second one, and a repeated one, is reported.
    pub fn only_child<'n>(&mut self, children: &[Child<'n>], name: &str) -> Option<&'n Node> {
        let mut only: Option<&'n Node> = None;
        for child in children {
            match child {
                Child::Node(node) if node.name.value == name => match only {
                    Some(first) => {
                        let problem = Problem::error("L235", node.name.at, format!("`{name}` is given twice"))
                            .related(first.name.at, "first given here");
                        self.problems.push(problem.help("it takes one value: leave one of them out"));
                    }
                    None => only = Some(node),
                },
                Child::Repeat { children, at, .. } if contains(children, name) => {
                    let problem =
                        Problem::error("L240", *at, format!("`{name}` takes one value, so it cannot be repeated"));
                    self.problems.push(problem.help("a `for-each` inside a step repeats children that fill a list"));
                }
                Child::Node(_) | Child::Repeat { .. } => {}
            }
        }
        only
    }

    fn is_given(&mut self, filled: &[(String, Written)], name: &Spanned<String>) -> bool {
        let first = filled.iter().find(|(field, _)| *field == name.value);
        if let Some((_, first)) = first {
            let problem = Problem::error("L235", name.at, format!("`{}` is given twice", name.value))
                .related(first.at, "first given here");
            self.problems.push(problem.help("leave one of them out"));
        }
        first.is_some()
    }

    fn fill_defaults(&mut self, body: &Body<'_>, shape: &ObjectShape, what: &str, filled: &mut Vec<(String, Written)>) {
        for field in &shape.fields {
            if filled.iter().any(|(name, _)| *name == field.name) {
                continue;
            }
            match &field.schema.default {
                Some(default) if !default.is_null() => {
                    filled.push((field.name.clone(), Written::literal(default.clone(), body.at)))
                }
                _ if field.required && !field.schema.nullable => {
                    let problem = Problem::error(
                        "L231",
                        body.name,
                        format!("`{}` needs `{}`", subject(what, &self.subject), field.name),
                    );
                    let doc = field.schema.doc.lines().next().unwrap_or_default();
                    let example = format!("write `{}`", example(field, shape));
                    self.problems.push(problem.help(if doc.is_empty() {
                        example
                    } else {
                        format!("{example}: {doc}")
                    }));
                }
                _ => {}
            }
        }
    }

    pub fn unknown_field(&mut self, name: &Spanned<String>, shape: &ObjectShape, what: &str) {
        let problem = Problem::error(
            "L230",
            name.at,
            format!("`{}` has no field `{}`", subject(what, &self.subject), name.value),
        );
        // At the top of a step stand the children that every step has, too.
        let shared: &[&str] = if what.is_empty() { &SHARED_CHILDREN } else { &[] };
        let known = shape.fields.iter().map(|field| field.name.as_str()).chain(shared.iter().copied());
        let problem = match nearest(&name.value, known) {
            Some(near) => problem.label(format!("did you mean `{near}`?")),
            None => problem,
        };
        self.problems.push(problem.help(self.fields_help(shape)));
    }

    fn fields_help(&self, shape: &ObjectShape) -> String {
        let fields: Vec<&str> = shape.fields.iter().map(|field| field.name.as_str()).collect();
        let more = self.more();
        if fields.is_empty() {
            format!("it has no fields; {more}")
        } else {
            format!("fields: {}; {more}", fields.join(", "))
        }
    }

    /// Where more is told about the fields.
    pub fn more(&self) -> String {
        match self.names.templates.contains_key(&self.subject) {
            true => format!("its params stand in `template {}`", self.subject),
            false => format!("more: engine explain {}", self.subject),
        }
    }

    fn map(&mut self, body: &Body<'_>, values: &Schema, schema: &Schema, what: &str) -> Written {
        if let ([arg], true) = (body.args, body.is_plain()) {
            return self.arg(arg, schema, what);
        }
        if let Some(extra) = body.args.first() {
            self.problems.push(
                Problem::error("L236", extra.at, format!("`{what}` takes names with values, no arguments"))
                    .help("write each as `NAME VALUE` in a block, or as NAME=VALUE"),
            );
        }
        let fields = self.map_fields(body, values, what);
        Written::new(Content::Map(fields), body.at)
    }

    /// Names of the author's choice.
    pub fn map_fields(&mut self, body: &Body<'_>, values: &Schema, what: &str) -> Vec<(String, Written)> {
        let mut fields: Vec<(String, Written)> = Vec::new();
        for prop in &body.props {
            if !self.is_given(&fields, &prop.name) {
                let value = self.arg(&prop.value, values, &path(what, &prop.name.value));
                fields.push((prop.name.value.clone(), value));
            }
        }
        for child in body.children.as_deref().unwrap_or_default() {
            match child {
                Child::Node(node) if !self.is_given(&fields, &node.name) => {
                    let value = self.node(node, values, &path(what, &node.name.value));
                    fields.push((node.name.value.clone(), value));
                }
                Child::Node(_) => {}
                Child::Repeat { at, .. } => self.problems.push(no_list(*at)),
            }
        }
        fields
    }

    pub fn wanted(&self, schema: &Schema, what: &str) -> Arc<Wanted> {
        Arc::new(Wanted { schema: schema.clone(), what: subject(what, &self.subject).to_owned() })
    }
}

pub(super) fn contains(children: &[Child<'_>], name: &str) -> bool {
    children.iter().any(|child| match child {
        Child::Node(node) => node.name.value == name,
        Child::Repeat { children, .. } => contains(children, name),
    })
}

/// A repetition where there is no list to fill.
pub(super) fn no_list(at: Place) -> Problem {
    Problem::error("L240", at, "nothing here is a list, so nothing can be repeated")
        .help("a `for-each` inside a step repeats children that fill a list")
}

pub(super) fn path(what: &str, name: &str) -> String {
    if what.is_empty() { name.to_owned() } else { format!("{what}.{name}") }
}

/// What a message calls the place: the field, or the kind itself at the top.
pub(super) fn subject<'a>(what: &'a str, kind: &'a str) -> &'a str {
    if what.is_empty() { kind } else { what }
}
