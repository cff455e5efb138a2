//! Arguments and the values of properties: literals are held to their type at once, `${…}` becomes a formula.

use serde_json::Number;
use steps_sdk::Value;
use steps_sdk::schema::{Reference, Schema, Shape};

use super::decode::{Body, Decoder, subject};
use super::fields::{computed, parse_problem};
use super::names::Member;
use super::written::{Content, Formula, Written};
use super::{fit, manifest, wording};
use crate::diagnostic::{Problem, Spanned};
use crate::expr::{Template, predicate};
use crate::syntax::{Arg, Scalar, TextStyle};

impl Decoder<'_> {
    /// A node that holds one scalar and nothing else.
    pub fn scalar_of_body(&mut self, body: &Body<'_>, schema: &Schema, what: &str) -> Written {
        if let Some(prop) = body.props.first() {
            self.problems.push(
                Problem::error("L230", prop.name.at, format!("`{what}` has no field `{}`", prop.name.value))
                    .help(format!("it is {}", fit::describe(schema))),
            );
        } else if body.has_block() {
            self.problems.push(
                Problem::error("L232", body.at, format!("`{what}` is {}, not a block", fit::describe(schema)))
                    .help(format!("write `{} VALUE`", last(what))),
            );
        }
        match body.args {
            [arg] => self.arg(arg, schema, what),
            [] => {
                if body.is_plain() {
                    self.problems.push(
                        Problem::error("L231", body.name, format!("`{what}` needs a value"))
                            .help(format!("it is {}", fit::describe(schema))),
                    );
                }
                Written::literal(Value::Null, body.at)
            }
            [_, extra, ..] => {
                self.problems.push(
                    Problem::error("L236", extra.at, format!("`{what}` takes one value"))
                        .help("if the value is an expression, quote the whole of it"),
                );
                Written::literal(Value::Null, body.at)
            }
        }
    }

    pub fn arg(&mut self, arg: &Arg, schema: &Schema, what: &str) -> Written {
        let null = Written::literal(Value::Null, arg.at);
        let Scalar::Text(text) = &arg.value else {
            return self.literal(arg, scalar_value(&arg.value), schema, what);
        };
        if let Shape::Predicate = schema.shape {
            return self.predicate(arg, &text.value);
        }
        if text.style != TextStyle::Quoted {
            return self.text(arg, &text.value, schema, what);
        }
        match Template::parse(&text.value) {
            Err(error) => {
                self.problems.push(parse_problem(error, |range| arg.inside(range)));
                null
            }
            Ok(template) => match template.literal() {
                Some(literal) => {
                    let literal = literal.to_owned();
                    self.text(arg, &literal, schema, what)
                }
                None if matches!(schema.shape, Shape::YamlTemplate | Shape::Reference(Reference::Step)) => {
                    self.problems.push(computed(arg.at, &format!("`{what}`")));
                    null
                }
                None => {
                    Written::new(Content::Formula(Formula::template(template, arg, self.wanted(schema, what))), arg.at)
                }
            },
        }
    }

    fn predicate(&mut self, arg: &Arg, text: &str) -> Written {
        if let Err(error) = predicate::parse(text) {
            self.problems.push(parse_problem(error, |range| arg.inside(range)));
        }
        Written::literal(Value::String(text.to_owned()), arg.at)
    }

    /// What the field is for, or where that is told.
    fn explain(&self, schema: &Schema) -> String {
        match schema.doc.lines().next().filter(|line| !line.is_empty()) {
            Some(doc) => format!("{}: {doc}", fit::describe(schema)),
            None => self.more(),
        }
    }

    fn text(&mut self, arg: &Arg, text: &str, schema: &Schema, what: &str) -> Written {
        let name = Spanned::new(text.to_owned(), arg.at);
        match &schema.shape {
            Shape::Reference(Reference::Cluster) => self.cluster(&name),
            Shape::Reference(Reference::Secret) => self.secret(&name),
            Shape::Reference(Reference::Step) => self.step(&name),
            Shape::YamlTemplate => manifest::written(self, &name, what),
            _ => self.literal(arg, Value::String(text.to_owned()), schema, what),
        }
    }

    pub fn cluster(&mut self, name: &Spanned<String>) -> Written {
        if let Some(problem) = self.closed("cluster", name) {
            self.problems.push(problem);
        } else if !self.names.clusters.contains_key(&name.value) && !self.names.has_gaps {
            self.problems.push(wording::unknown(
                "L210",
                "cluster",
                name,
                self.names.clusters.keys().map(String::as_str),
            ));
        }
        Written::new(Content::Cluster(name.value.clone()), name.at)
    }

    fn secret(&mut self, name: &Spanned<String>) -> Written {
        if let Some(problem) = self.closed("secret", name) {
            self.problems.push(problem);
        } else if !self.names.secrets.contains_key(&name.value) && !self.names.has_gaps {
            let problem = wording::unknown("L211", "secret", name, self.names.secrets.keys().map(String::as_str));
            let help = problem.help.clone().unwrap_or_default();
            self.problems
                .push(problem.help(format!("{help}; declare it: `secret {} {{ from env=NAME }}`", name.value)));
        }
        Written::new(Content::Secret(name.value.clone()), name.at)
    }

    /// A template names no cluster and no secret of the file around it.
    fn closed(&self, what: &str, name: &Spanned<String>) -> Option<Problem> {
        self.names.template_of(self.scope)?;
        Some(
            Problem::error("L260", name.at, format!("a template does not see the {what} `{}`", name.value)).help(
                format!("take it as a param: `param {what} type={what}`, and write `\"${{param.{what}}}\"` here"),
            ),
        )
    }

    fn step(&mut self, name: &Spanned<String>) -> Written {
        let found = self.names.find(&name.value, self.scope);
        if !matches!(found, Some((_, Member::Step(_))))
            && !self.names.has_gaps
            && !self.names.beyond.contains(&name.value)
        {
            let known: Vec<&str> = wording::members(self.names, self.scope, |member| matches!(member, Member::Step(_)));
            self.problems.push(wording::unknown("L212", "step", name, known.iter().copied()));
        }
        Written::new(Content::Step(name.value.clone()), name.at)
    }

    /// A literal against its schema.
    fn literal(&mut self, arg: &Arg, value: Value, schema: &Schema, what: &str) -> Written {
        if let Shape::OneOf(choices) = &schema.shape {
            let names: Vec<String> = choices.iter().map(|choice| format!("`{}`", choice.name)).collect();
            self.problems.push(
                Problem::error("L238", arg.at, format!("`{what}` is exactly one of {}", names.join(", ")))
                    .help("write it as a child, with the chosen one first"),
            );
            return Written::literal(Value::Null, arg.at);
        }
        for misfit in fit::misfits(&value, schema, subject(what, &self.subject)) {
            let mut problem = Problem::error(misfit.code, arg.at, misfit.message);
            problem = match (misfit.help, &schema.shape, &arg.value) {
                (_, Shape::String(_) | Shape::Enum(_), Scalar::Int(_) | Scalar::Float(_) | Scalar::Bool(_)) => {
                    problem.help("put it in quotes")
                }
                (_, Shape::Bool, Scalar::Text(_)) => problem.help("KDL writes `#true` and `#false`"),
                (_, Shape::Integer { .. } | Shape::Number, Scalar::Text(text)) if text.value.parse::<f64>().is_ok() => {
                    problem.help("write it without quotes")
                }
                (_, Shape::List(_), _) => problem.help(format!("write it as a child: `{} VALUE…`", last(what))),
                (_, Shape::Object(_) | Shape::Map(_), _) => problem.help("write it as a child with a block"),
                (Some(help), ..) => problem.help(help),
                (None, ..) => problem.help(self.explain(schema)),
            };
            self.problems.push(problem);
        }
        Written::literal(value, arg.at)
    }
}

fn last(what: &str) -> &str {
    what.rsplit('.').next().unwrap_or(what)
}

/// A scalar as JSON. A number that JSON cannot hold keeps its digits as a float, which no integer field takes.
pub(super) fn scalar_value(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => Value::Bool(*value),
        Scalar::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
            (Ok(small), _) => Value::Number(small.into()),
            (_, Ok(large)) => Value::Number(large.into()),
            _ => float(*value as f64),
        },
        Scalar::Float(value) => float(*value),
        Scalar::Text(text) => Value::String(text.value.clone()),
    }
}

fn float(value: f64) -> Value {
    // `syntax` has refused what is not finite.
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}
