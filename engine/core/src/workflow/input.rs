//! The nodes `input`, `param` and `type`, and the types that a file can write.

use std::collections::BTreeMap;

use steps_sdk::Value;
use steps_sdk::schema::{Field, Format, ObjectShape, Reference, Schema, Shape};

use super::decode::Decoder;
use super::fields::{self, Form, check_form, only_arg};
use super::list::bare;
use super::types::{InputCheck, InputDecl};
use super::wording;
use crate::diagnostic::{Problem, Spanned};
use crate::syntax::{Arg, Document, Node};

const INPUT: Form =
    Form { what: "an input", args_max: 1, props: &["type", "default", "doc"], children: &["default", "doc", "check"] };
const PARAM: Form = Form { what: "a param", ..INPUT };
const FIELD: Form = Form { what: "a field of a type", args_max: 0, props: &["type", "default", "doc"], children: &[] };
const CHECK: Form = Form { what: "`check`", args_max: 1, props: &["message"], children: &[] };

const INTEGERS: [(&str, i64, Option<i64>); 9] = [
    ("u8", 0, Some(u8::MAX as i64)),
    ("u16", 0, Some(u16::MAX as i64)),
    ("u32", 0, Some(u32::MAX as i64)),
    ("u64", 0, None),
    ("i8", i8::MIN as i64, Some(i8::MAX as i64)),
    ("i16", i16::MIN as i64, Some(i16::MAX as i64)),
    ("i32", i32::MIN as i64, Some(i32::MAX as i64)),
    ("i64", i64::MIN, Some(i64::MAX)),
    ("int", i64::MIN, Some(i64::MAX)),
];

/// Types by name; a type is read when it is first used.
pub(super) struct Types<'d> {
    nodes: BTreeMap<&'d str, &'d Node>,
    read: BTreeMap<&'d str, Schema>,
    /// Being read, outermost first: a name that comes again contains itself.
    open: Vec<&'d str>,
    /// `secret` is a type here: of a param.
    takes_secrets: bool,
}

impl<'d> Types<'d> {
    /// Of two types of one name the first counts, as with every name.
    pub fn of(documents: &[&'d Document]) -> Types<'d> {
        let mut types = Types { nodes: BTreeMap::new(), read: BTreeMap::new(), open: Vec::new(), takes_secrets: false };
        for node in documents.iter().flat_map(|document| document.nodes_named("type")) {
            if let Some(name) = node.args.first().and_then(Arg::as_str) {
                types.nodes.entry(name).or_insert(node);
            }
        }
        types
    }

    /// Every type of the file, so that one that nothing uses is checked too.
    pub fn read_all(&mut self, decoder: &mut Decoder<'_>) {
        for name in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.named(name, decoder);
        }
    }

    fn named(&mut self, name: &'d str, decoder: &mut Decoder<'_>) -> Schema {
        if let Some(schema) = self.read.get(name) {
            return schema.clone();
        }
        let node = self.nodes[name];
        if let Some(prop) = node.props.first() {
            let problem = Problem::error("L203", prop.name.at, format!("a type has no property `{}`", prop.name.value));
            decoder.problems.push(problem.help("its fields stand in its block: `type NAME { FIELD type=string }`"));
        }
        self.open.push(name);
        let takes_secrets = std::mem::replace(&mut self.takes_secrets, false);
        let mut shape = ObjectShape::default();
        for child in node.children() {
            if let Some(first) = shape.fields.iter().position(|field| field.name == child.name.value) {
                let problem = Problem::error("L206", child.name.at, format!("`{}` is defined twice", child.name.value));
                decoder.problems.push(problem.related(node.children()[first].name.at, "first defined here"));
                continue;
            }
            shape.fields.push(self.field(child, decoder));
        }
        if shape.fields.is_empty() {
            decoder.problems.push(
                Problem::error("L204", node.name.at, "a type needs at least one field")
                    .help("write `type NAME { FIELD type=string }`"),
            );
        }
        self.open.pop();
        self.takes_secrets = takes_secrets;
        let schema = Schema::of(Shape::Object(shape));
        self.read.insert(name, schema.clone());
        schema
    }

    fn field(&mut self, node: &'d Node, decoder: &mut Decoder<'_>) -> Field {
        check_form(node, &FIELD, decoder.problems);
        let mut schema = match node.prop("type") {
            Some(prop) => self.written(&prop.value, decoder),
            None => {
                decoder.problems.push(
                    Problem::error("L204", node.name.at, "a field needs a type")
                        .help(format!("write `{} type=string`", node.name.value)),
                );
                Schema::of(Shape::Any)
            }
        };
        if let Some(doc) = node.prop("doc").and_then(|prop| fields::text(&prop.value, "`doc`", decoder.problems)) {
            schema.doc = doc.value;
        }
        schema.default =
            node.prop("default").and_then(|prop| literal(decoder.arg(&prop.value, &schema, &node.name.value), decoder));
        Field { name: node.name.value.clone(), required: schema.default.is_none(), schema }
    }

    /// A type as it is written: `u8`, `list<shard>`.
    pub fn written(&mut self, arg: &Arg, decoder: &mut Decoder<'_>) -> Schema {
        match fields::text(arg, "a type", decoder.problems) {
            Some(text) => self.parse(&text.value, 0, arg, decoder),
            None => Schema::of(Shape::Any),
        }
    }

    /// `start` counts bytes from the start of the argument's text.
    fn parse(&mut self, text: &str, start: usize, arg: &Arg, decoder: &mut Decoder<'_>) -> Schema {
        let start = start + text.len() - text.trim_start().len();
        let text = text.trim();
        for (opening, wrap) in [("list<", Shape::List as fn(Box<Schema>) -> Shape), ("map<", Shape::Map)] {
            if let Some(inner) = text.strip_prefix(opening).and_then(|rest| rest.strip_suffix('>')) {
                let inner = self.parse(inner, start + opening.len(), arg, decoder);
                return Schema::of(wrap(Box::new(inner)));
            }
        }
        if let Some((_, min, max)) = INTEGERS.iter().find(|(name, ..)| *name == text) {
            return Schema::of(Shape::Integer {
                min: (*min != i64::MIN).then_some(*min),
                max: max.filter(|max| *max != i64::MAX),
            });
        }
        let shape = match text {
            "bool" => Shape::Bool,
            "float" => Shape::Number,
            "cluster" => Shape::Reference(Reference::Cluster),
            "any" => Shape::Any,
            "secret" if self.takes_secrets => Shape::Reference(Reference::Secret),
            _ => match Format::by_name(text) {
                Some(format) => Shape::String(format),
                None => {
                    return self
                        .by_name(&Spanned::new(text.to_owned(), arg.inside(start..start + text.len())), decoder);
                }
            },
        };
        Schema::of(shape)
    }

    fn by_name(&mut self, name: &Spanned<String>, decoder: &mut Decoder<'_>) -> Schema {
        if let Some(known) = self.nodes.keys().copied().find(|known| *known == name.value) {
            if let Some(position) = self.open.iter().position(|open| *open == known) {
                let circle: Vec<&str> = self.open[position..].iter().copied().chain([known]).collect();
                decoder.problems.push(
                    Problem::error("L208", name.at, format!("a type cannot contain itself: {}", circle.join(" → ")))
                        .help("a value of it would have no end: take the field out"),
                );
                return Schema::of(Shape::Any);
            }
            return self.named(known, decoder);
        }
        if name.value == "bytes" {
            decoder.problems.push(wording::unsupported(name.at, "the type `bytes`"));
            return Schema::of(Shape::Any);
        }
        if name.value == "secret" {
            decoder.problems.push(
                Problem::error("L208", name.at, "only a param of a template can be a secret")
                    .help("a workflow's secrets are declared apart: `secret NAME { from env=VARIABLE }`"),
            );
            return Schema::of(Shape::Any);
        }
        if decoder.names.has_gaps {
            return Schema::of(Shape::Any);
        }
        let known = [
            "string",
            "bool",
            "int",
            "float",
            "u8",
            "u16",
            "u32",
            "u64",
            "hostname",
            "dns-label",
            "duration",
            "quantity",
            "semver",
            "url",
            "cluster",
            "list",
            "map",
        ];
        let problem = wording::unknown("L208", "type", name, known.into_iter().chain(self.nodes.keys().copied()));
        let problem = if ["list", "map"].contains(&name.value.as_str()) {
            problem.help(format!("say what it holds, in quotes: `type=\"{}<string>\"`", name.value))
        } else {
            problem
        };
        decoder.problems.push(problem);
        Schema::of(Shape::Any)
    }
}

/// Every `input` of the file.
pub(super) fn read_all<'d>(document: &'d Document, types: &mut Types<'d>, decoder: &mut Decoder<'_>) -> Vec<InputDecl> {
    let mut inputs: Vec<InputDecl> = Vec::new();
    for node in document.nodes_named("input") {
        if let Some(input) = read(node, &INPUT, types, decoder)
            && inputs.iter().all(|other| other.name.value != input.name.value)
        {
            inputs.push(input);
        }
    }
    inputs
}

/// A `param` of a template: declared like an input, and it may be a secret.
pub(super) fn param<'d>(node: &'d Node, types: &mut Types<'d>, decoder: &mut Decoder<'_>) -> Option<InputDecl> {
    types.takes_secrets = true;
    let param = read(node, &PARAM, types, decoder);
    types.takes_secrets = false;
    param
}

fn read<'d>(node: &'d Node, form: &Form, types: &mut Types<'d>, decoder: &mut Decoder<'_>) -> Option<InputDecl> {
    check_form(node, form, decoder.problems);
    let arg = node.args.first()?;
    let name = Spanned::new(arg.as_str()?.to_owned(), arg.at);
    let type_prop = node.prop("type");
    let mut schema = match type_prop {
        Some(prop) => types.written(&prop.value, decoder),
        None => {
            decoder.problems.push(
                Problem::error("L204", node.name.at, format!("{} `{}` needs a type", node.name.value, name.value))
                    .help(format!("write `{} {} type=string`", node.name.value, name.value)),
            );
            Schema::of(Shape::Any)
        }
    };
    let type_text = type_prop.and_then(|prop| prop.value.as_str()).unwrap_or("any").to_owned();
    let mut doc =
        node.prop("doc").and_then(|prop| fields::text(&prop.value, "`doc`", decoder.problems)).map(|text| text.value);
    let default = default(node, &mut schema, &name.value, decoder);
    let mut checks = Vec::new();
    for child in node.children() {
        match child.name.value.as_str() {
            "doc" => {
                doc = only_arg(child, "`doc`", decoder.problems)
                    .and_then(|arg| fields::text(arg, "`doc`", decoder.problems))
                    .map(|text| text.value)
            }
            "check" => checks.extend(check(child, decoder)),
            _ => {}
        }
    }
    Some(InputDecl { name, schema, type_text, default, doc: doc.unwrap_or_default(), checks })
}

/// `default=VALUE`, or a child for what has structure. `default=#null` says that the input may be left out and is null then.
fn default(node: &Node, schema: &mut Schema, name: &str, decoder: &mut Decoder<'_>) -> Option<Value> {
    let prop = node.prop("default");
    let child = node.child("default");
    if let (Some(prop), Some(child)) = (prop, child) {
        decoder.problems.push(
            Problem::error("L235", child.name.at, "`default` is given twice").related(prop.name.at, "first given here"),
        );
    }
    let is_null = |arg: &Arg| arg.value == crate::syntax::Scalar::Null;
    let given_null = prop.is_some_and(|prop| is_null(&prop.value))
        || child
            .is_some_and(|child| child.children.is_none() && matches!(child.args.as_slice(), [arg] if is_null(arg)));
    if given_null {
        schema.nullable = true;
        return Some(Value::Null);
    }
    let written = match (prop, child) {
        (Some(prop), _) => decoder.arg(&prop.value, schema, name),
        (None, Some(child)) => decoder.node(child, schema, name),
        (None, None) => return None,
    };
    literal(written, decoder)
}

/// What is written out; a default is no expression.
fn literal(written: super::Written, decoder: &mut Decoder<'_>) -> Option<Value> {
    let value = written.as_literal();
    if value.is_none() {
        decoder.problems.push(fields::computed(written.at, "a default"));
    }
    value
}

fn check(node: &Node, decoder: &mut Decoder<'_>) -> Option<InputCheck> {
    check_form(node, &CHECK, decoder.problems);
    let arg = only_arg(node, "`check`", decoder.problems)?;
    let message = node
        .prop("message")
        .and_then(|prop| fields::text(&prop.value, "`message`", decoder.problems))
        .map(|text| text.value);
    let condition = bare(arg, &Schema::of(Shape::Bool), "check", decoder.problems)?;
    Some(InputCheck { condition, message })
}
