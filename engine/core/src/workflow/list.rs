//! Lists: repeated children, arguments that go on, `- item`, and `for-each` inside a step.

use steps_sdk::schema::{Schema, Shape};

use super::collect::identity;
use super::decode::{Body, Child, Decoder, no_list};
use super::fields::{self, parse_problem};
use super::written::{Content, Formula, Repeat, Wanted, Written};
use crate::diagnostic::{Problem, Spanned};
use crate::expr::Expr;
use crate::syntax::{Arg, Node};

impl Decoder<'_> {
    /// Children with the repetitions among them taken apart.
    pub fn children<'n>(&mut self, nodes: Vec<&'n Node>) -> Vec<Child<'n>> {
        nodes
            .into_iter()
            .filter_map(|node| if node.name.value == "for-each" { self.repeat(node) } else { Some(Child::Node(node)) })
            .collect()
    }

    fn repeat<'n>(&mut self, node: &'n Node) -> Option<Child<'n>> {
        for prop in node.props.iter().filter(|prop| prop.name.value != "in") {
            let problem = Problem::error(
                "L203",
                prop.name.at,
                format!("a `for-each` inside a step has no property `{}`", prop.name.value),
            );
            self.problems.push(problem.help(
                "it is written `for-each VARIABLE in=\"LIST\" { … }`; a group of steps stands at the top of the file",
            ));
        }
        if let Some(extra) = node.args.get(1) {
            self.problems.push(
                Problem::error("L236", extra.at, "a `for-each` inside a step has one variable")
                    .help("write `for-each VARIABLE in=\"LIST\"`"),
            );
        }
        let variable = identity(node, "the variable of a `for-each`", self.problems)?;
        if self.names.hidden_by(&variable.value, self.scope) {
            let problem = Problem::error(
                "L206",
                variable.at,
                format!("`{}` hides a step, a group or a secret of the same name", variable.value),
            );
            self.problems.push(problem.help("give the variable another name"));
        }
        let Some(list) = node.prop("in") else {
            self.problems.push(
                Problem::error("L204", node.name.at, "a `for-each` needs a list")
                    .help("write `for-each VARIABLE in=\"inputs.list\"`"),
            );
            return None;
        };
        let list = self.bare(&list.value, &Schema::of(Shape::List(Box::new(Schema::of(Shape::Any)))), "in")?;
        let children = self.children(node.children().iter().collect());
        Some(Child::Repeat { variable, list: Box::new(list), children, at: node.head() })
    }

    /// An expression that stands without `${…}`.
    pub fn bare(&mut self, arg: &Arg, schema: &Schema, what: &str) -> Option<Formula> {
        bare(arg, schema, what, self.problems)
    }

    /// The children of one name, where a list is wanted.
    pub fn list_of_children(&mut self, children: &[Child<'_>], name: &str, items: &Schema, what: &str) -> Written {
        let mut nodes = children.iter().filter(|child| matches!(child, Child::Node(node) if node.name.value == name));
        let only = match (nodes.next(), nodes.next()) {
            (Some(Child::Node(node)), None) if children.iter().filter(|child| is_about(child, name)).count() == 1 => {
                Some(*node)
            }
            _ => None,
        };
        if let Some(node) = only {
            let body = self.body(node);
            return self.list_of_body(&body, items, what);
        }
        let mut list = Vec::new();
        self.collect(children, name, items, what, &mut list);
        let at = list.iter().map(|item| item.at).reduce(crate::diagnostic::Place::to);
        Written::new(Content::List(list), at.expect("there is at least one child of this name"))
    }

    fn collect(&mut self, children: &[Child<'_>], name: &str, items: &Schema, what: &str, list: &mut Vec<Written>) {
        for child in children {
            match child {
                Child::Node(node) if node.name.value == name => {
                    let body = self.body(node);
                    self.items_of_body(&body, items, what, list);
                }
                Child::Repeat { variable, list: over, children, at } if is_about(child, name) => {
                    let mut repeated = Vec::new();
                    self.collect(children, name, items, what, &mut repeated);
                    let repeat = Repeat { name: variable.value.clone(), list: (**over).clone(), items: repeated };
                    list.push(Written::new(Content::Repeat(repeat), *at));
                }
                Child::Node(_) | Child::Repeat { .. } => {}
            }
        }
    }

    /// One node that gives the whole list.
    pub fn list_of_body(&mut self, body: &Body<'_>, items: &Schema, what: &str) -> Written {
        if let ([arg], true, true) = (body.args, body.is_plain(), takes_whole_list(items)) {
            return self.item_or_list(arg, items, what);
        }
        let mut list = Vec::new();
        self.items_of_body(body, items, what, &mut list);
        Written::new(Content::List(list), body.at)
    }

    pub fn list_of_args(&mut self, args: &[Arg], items: &Schema, what: &str) -> Written {
        if let [arg] = args {
            return self.item_or_list(arg, items, what);
        }
        let list: Vec<Written> = args.iter().map(|arg| self.arg(arg, items, what)).collect();
        let at = args.iter().map(|arg| arg.at).reduce(crate::diagnostic::Place::to);
        Written::new(Content::List(list), at.expect("called with at least one argument"))
    }

    /// `dns "${inputs.names}"` may be the list or its only item: the checker decides by the expression's type.
    fn item_or_list(&mut self, arg: &Arg, items: &Schema, what: &str) -> Written {
        let item = self.arg(arg, items, what);
        match item.content {
            Content::Formula(formula) if formula.text().is_some() => {
                let list = formula.wanting(Schema::of(Shape::List(Box::new(items.clone()))));
                Written::new(Content::Formula(list), item.at)
            }
            content => {
                let at = item.at;
                Written::new(Content::List(vec![Written::new(content, at)]), at)
            }
        }
    }

    fn items_of_body(&mut self, body: &Body<'_>, items: &Schema, what: &str, list: &mut Vec<Written>) {
        let is_dashes =
            body.args.is_empty() && body.props.is_empty() && body.children.as_deref().is_some_and(is_dash_list);
        if is_dashes {
            self.dashes(body.children.as_deref().unwrap_or_default(), items, what, list);
        } else if body.is_plain() && !body.args.is_empty() && takes_arguments(items) {
            list.extend(body.args.iter().map(|arg| self.arg(arg, items, what)));
        } else {
            list.push(self.value(body, items, what));
        }
    }

    /// `- item` for each item.
    pub fn dashes(&mut self, children: &[Child<'_>], items: &Schema, what: &str, list: &mut Vec<Written>) {
        for child in children {
            match child {
                Child::Node(node) if node.name.value == "-" => {
                    let body = self.body(node);
                    list.push(self.value(&body, items, what));
                }
                Child::Node(node) => {
                    let problem = Problem::error(
                        "L237",
                        node.name.at,
                        format!("`{}` stands among items of a list", node.name.value),
                    );
                    self.problems.push(
                        problem.help("a list is made of `- item`; names with values make a map: use one of them"),
                    );
                }
                Child::Repeat { variable, list: over, children, at } => {
                    let mut repeated = Vec::new();
                    self.dashes(children, items, what, &mut repeated);
                    if repeated.is_empty() {
                        self.problems.push(no_list(*at));
                    }
                    list.push(Written::new(
                        Content::Repeat(Repeat {
                            name: variable.value.clone(),
                            list: (**over).clone(),
                            items: repeated,
                        }),
                        *at,
                    ));
                }
            }
        }
    }
}

/// Every child is an item, or repeats items.
pub(super) fn is_dash_list(children: &[Child<'_>]) -> bool {
    !children.is_empty()
        && children.iter().all(|child| match child {
            Child::Node(node) => node.name.value == "-",
            Child::Repeat { children, .. } => is_dash_list(children),
        })
}

fn is_about(child: &Child<'_>, name: &str) -> bool {
    match child {
        Child::Node(node) => node.name.value == name,
        Child::Repeat { children, .. } => children.iter().any(|child| is_about(child, name)),
    }
}

/// Several arguments are several items.
fn takes_arguments(items: &Schema) -> bool {
    match &items.shape {
        Shape::Any
        | Shape::Bool
        | Shape::Integer { .. }
        | Shape::Number
        | Shape::String(_)
        | Shape::Enum(_)
        | Shape::Reference(_)
        | Shape::Predicate => true,
        Shape::List(_) | Shape::Map(_) | Shape::Object(_) | Shape::OneOf(_) | Shape::YamlTemplate => false,
    }
}

/// A single argument can stand for the whole list: it does not fill a field of an item.
fn takes_whole_list(items: &Schema) -> bool {
    match &items.shape {
        Shape::Object(object) => object.args.is_empty(),
        Shape::YamlTemplate | Shape::OneOf(_) => false,
        Shape::Any
        | Shape::Bool
        | Shape::Integer { .. }
        | Shape::Number
        | Shape::String(_)
        | Shape::Enum(_)
        | Shape::Reference(_)
        | Shape::Predicate
        | Shape::List(_)
        | Shape::Map(_) => true,
    }
}

/// An expression that stands without `${…}`: `when="…"`, `in="…"`.
pub(super) fn bare(arg: &Arg, schema: &Schema, what: &str, problems: &mut Vec<Problem>) -> Option<Formula> {
    let wants = Wanted { schema: schema.clone(), what: what.to_owned() };
    let Some(text) = arg.text() else {
        problems.push(
            Problem::error(
                "L205",
                arg.at,
                format!("`{what}` is an expression in quotes, not {}", fields::article(arg.value.kind())),
            )
            .help(format!("write `{what}=\"…\"`")),
        );
        return None;
    };
    match Expr::parse(&text.value) {
        Ok(expr) => Some(Formula::bare(expr, arg, wants.into())),
        Err(error) => {
            let is_interpolated = text.value.contains("${");
            let problem = parse_problem(error, |range| arg.inside(range));
            problems.push(if is_interpolated {
                problem.help(format!("`{what}` is an expression already: write it without `${{…}}`"))
            } else {
                problem
            });
            None
        }
    }
}

/// The names of steps or groups in `needs a b`.
pub(super) fn names_in(node: &Node, problems: &mut Vec<Problem>) -> Vec<Spanned<String>> {
    if node.args.is_empty() {
        problems.push(Problem::error("L204", node.name.at, "`needs` names no step").help("write `needs STEP…`"));
    }
    if let Some(prop) = node.props.first() {
        let problem = Problem::error("L203", prop.name.at, format!("`needs` has no property `{}`", prop.name.value));
        problems.push(problem.help("write the names on its line: `needs a b`"));
    }
    if let Some(child) = node.children().first() {
        problems.push(
            Problem::error("L203", child.name.at, "`needs` has no children")
                .help("write the names on its line: `needs a b`"),
        );
    }
    node.args.iter().filter_map(|arg| fields::text(arg, "what is needed", problems)).collect()
}
