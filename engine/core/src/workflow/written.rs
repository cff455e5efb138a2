//! A value as it stands in a file: literals and expressions, each with its place and what is wanted there.
//!
//! This is the symbolic form. `check` works on it without inputs; the planner folds it into the inputs of a plan.

use std::ops::Range;
use std::sync::Arc;

use steps_sdk::Value;
use steps_sdk::schema::Schema;

use crate::diagnostic::Place;
use crate::expr::{Expr, Part, PathRef, Scope, Template, Type, TypeProblem};
use crate::syntax::Arg;

#[derive(Debug, Clone)]
pub struct Written {
    pub at: Place,
    pub content: Content,
}

#[derive(Debug, Clone)]
pub enum Content {
    Literal(Value),
    Formula(Formula),
    /// A list; among its items may be a [`Content::Repeat`].
    List(Vec<Written>),
    Map(Vec<(String, Written)>),
    /// A cluster by its name.
    Cluster(String),
    /// A secret by its name.
    Secret(String),
    /// A step by its name: makes an edge, and its value is the step's path.
    Step(String),
    /// Only in a list: the items once for each element.
    Repeat(Repeat),
}

#[derive(Debug, Clone)]
pub struct Repeat {
    pub name: String,
    pub list: Formula,
    pub items: Vec<Written>,
}

/// An expression, or a string with expressions in it.
#[derive(Debug, Clone)]
pub struct Formula {
    pub code: Code,
    pub at: Place,
    origin: Origin,
    /// What the place takes.
    pub wants: Arc<Wanted>,
}

#[derive(Debug, Clone)]
pub enum Code {
    Template(Template),
    Bare(Expr),
}

/// What a place takes, and what it is called in messages: `zone.server`.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub schema: Schema,
    pub what: String,
}

/// How bytes of the text become places of a file.
#[derive(Debug, Clone)]
enum Origin {
    Kdl(Arg),
    /// A scalar in YAML, where quoting is not tracked: its whole place.
    Whole,
}

impl Written {
    pub fn literal(value: Value, at: Place) -> Written {
        Written { at, content: Content::Literal(value) }
    }

    pub fn new(content: Content, at: Place) -> Written {
        Written { at, content }
    }

    /// The value, when nothing in it has to be computed.
    pub fn as_literal(&self) -> Option<Value> {
        match &self.content {
            Content::Literal(value) => Some(value.clone()),
            Content::List(items) => {
                items.iter().map(Written::as_literal).collect::<Option<Vec<Value>>>().map(Value::Array)
            }
            Content::Map(fields) => {
                let fields: Option<serde_json::Map<String, Value>> =
                    fields.iter().map(|(name, field)| field.as_literal().map(|value| (name.clone(), value))).collect();
                fields.map(Value::Object)
            }
            Content::Cluster(name) => Some(Value::String(name.clone())),
            Content::Formula(_) | Content::Secret(_) | Content::Step(_) | Content::Repeat(_) => None,
        }
    }
}

impl Written {
    /// A text as the file has it, expressions unread; empty for what is no text.
    pub(crate) fn source(&self) -> String {
        match &self.content {
            Content::Literal(value) => value.as_str().unwrap_or_default().to_owned(),
            Content::Formula(formula) => formula.source(),
            Content::Cluster(name) | Content::Secret(name) | Content::Step(name) => name.clone(),
            Content::List(_) | Content::Map(_) | Content::Repeat(_) => String::new(),
        }
    }
}

/// Something in a value that may refer to a step, or to a cluster that a step makes.
pub(crate) enum Mention<'w> {
    /// With the variables of the repetitions around it.
    Formula(&'w Formula, &'w [&'w str]),
    Step(&'w str, Place),
    Cluster(&'w str, Place),
}

impl Written {
    /// Shows every formula and every step and cluster that is named, outermost first.
    pub(crate) fn visit<'w>(&'w self, visitor: &mut dyn FnMut(Mention<'_>)) {
        self.visit_under(&mut Vec::new(), visitor);
    }

    fn visit_under<'w>(&'w self, variables: &mut Vec<&'w str>, visitor: &mut dyn FnMut(Mention<'_>)) {
        match &self.content {
            Content::Formula(formula) => visitor(Mention::Formula(formula, variables)),
            Content::Step(name) => visitor(Mention::Step(name, self.at)),
            Content::Cluster(name) => visitor(Mention::Cluster(name, self.at)),
            Content::List(items) => items.iter().for_each(|item| item.visit_under(variables, visitor)),
            Content::Map(fields) => fields.iter().for_each(|(_, field)| field.visit_under(variables, visitor)),
            Content::Repeat(repeat) => {
                visitor(Mention::Formula(&repeat.list, variables));
                variables.push(&repeat.name);
                repeat.items.iter().for_each(|item| item.visit_under(variables, visitor));
                variables.pop();
            }
            Content::Literal(_) | Content::Secret(_) => {}
        }
    }
}

impl Formula {
    pub fn template(template: Template, arg: &Arg, wants: Arc<Wanted>) -> Formula {
        Formula { code: Code::Template(template), at: arg.at, origin: Origin::Kdl(arg.clone()), wants }
    }

    pub fn bare(expr: Expr, arg: &Arg, wants: Arc<Wanted>) -> Formula {
        Formula { code: Code::Bare(expr), at: arg.at, origin: Origin::Kdl(arg.clone()), wants }
    }

    /// A scalar of a YAML file.
    pub fn in_file(template: Template, at: Place, wants: Arc<Wanted>) -> Formula {
        Formula { code: Code::Template(template), at, origin: Origin::Whole, wants }
    }

    /// The same expression in a place that takes something else.
    pub(super) fn wanting(&self, schema: Schema) -> Formula {
        Formula { wants: Arc::new(Wanted { schema, what: self.wants.what.clone() }), ..self.clone() }
    }

    pub fn references(&self) -> Vec<PathRef> {
        match &self.code {
            Code::Template(template) => template.references(),
            Code::Bare(expr) => expr.references(),
        }
    }

    pub fn check(&self, scope: &Scope) -> (Type, Vec<TypeProblem>) {
        match &self.code {
            Code::Template(template) => template.check(scope),
            Code::Bare(expr) => expr.check(scope),
        }
    }

    /// Bytes of the text as a place of the file.
    pub fn inside(&self, range: Range<usize>) -> Place {
        match &self.origin {
            Origin::Kdl(arg) => arg.inside(range),
            Origin::Whole => self.at,
        }
    }

    fn source(&self) -> String {
        match &self.code {
            Code::Bare(expr) => expr.text().to_owned(),
            Code::Template(template) => {
                let part = |part: &Part| match part {
                    Part::Literal(text) => text.clone(),
                    Part::Expr { expr, .. } => format!("${{{}}}", expr.text()),
                };
                template.parts().iter().map(part).collect()
            }
        }
    }

    /// The text of the expression, when there is but one.
    pub fn text(&self) -> Option<&str> {
        match &self.code {
            Code::Template(template) => template.single().map(Expr::text),
            Code::Bare(expr) => Some(expr.text()),
        }
    }
}
