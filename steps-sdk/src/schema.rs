//! The closed subset of JSON Schema that describes a kind's inputs and outputs, and our extensions to it.
//!
//! A kind hands over JSON Schema (2020-12), from `schemars` or from a WASM component. [`Schema::parse`] turns it into types that
//! decoding, checking, completion and `explain` match exhaustively, and refuses whatever is outside the subset: a schema that
//! is accepted here can be read from KDL without surprises.
//!
//! | extension | on | meaning |
//! |---|---|---|
//! | `x-kdl-args: [field, …]` | object | positional arguments fill these fields, in order; the last may be a list and then takes the rest |
//! | `x-ref: cluster\|secret\|step` | string | a bare word is a reference to what the workflow declares |
//! | `x-cel: true` | string | a bare CEL expression over `object` |
//! | `x-secret: true` | | the value is a [`crate::Secret`]; never bytes |
//! | `x-kdl-file: yaml-template` | array | the file names YAML documents; `load` reads them, expressions inside are kept |
//! | `x-same-as-inputs: true` | outputs object | every input is an output of the same name and type |

use std::collections::BTreeMap;

use crate::value::Value;

/// Nesting deeper than this is refused; it also ends recursion through `$ref`.
pub const DEPTH_MAX: usize = 16;

/// The shape of one value.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    pub doc: String,
    pub shape: Shape,
    pub nullable: bool,
    pub default: Option<Value>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Free-form JSON, written by the JSON-in-KDL convention.
    Any,
    Bool,
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    Number,
    String(Format),
    /// One of these strings.
    Enum(Vec<String>),
    List(Box<Schema>),
    /// Keys of the author's choice.
    Map(Box<Schema>),
    Object(ObjectShape),
    /// Exactly one of these names, with its value: `{"secret": {…}}`, written `secret …` or `file=…` in KDL.
    OneOf(Vec<Field>),
    Reference(Reference),
    /// A bare CEL condition over `object`.
    Predicate,
    /// A list of objects read from the YAML file that is named.
    YamlTemplate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    Cluster,
    Secret,
    Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Plain,
    Hostname,
    DnsLabel,
    Duration,
    Quantity,
    Semver,
    Url,
}

impl Format {
    /// The name in JSON Schema's `format` and in the step language.
    pub fn name(self) -> &'static str {
        match self {
            Format::Plain => "string",
            Format::Hostname => "hostname",
            Format::DnsLabel => "dns-label",
            Format::Duration => "duration",
            Format::Quantity => "quantity",
            Format::Semver => "semver",
            Format::Url => "url",
        }
    }

    pub fn by_name(name: &str) -> Option<Format> {
        [
            Format::Plain,
            Format::Hostname,
            Format::DnsLabel,
            Format::Duration,
            Format::Quantity,
            Format::Semver,
            Format::Url,
        ]
        .into_iter()
        .find(|format| format.name() == name)
    }

    /// Whether `text` has this format; the error says why not.
    pub fn check(self, text: &str) -> Result<(), crate::value::NotValid> {
        use crate::value::{DnsLabel, Hostname, Quantity, Semver, Span, Url};
        match self {
            Format::Plain => Ok(()),
            Format::Hostname => text.parse::<Hostname>().map(drop),
            Format::DnsLabel => text.parse::<DnsLabel>().map(drop),
            Format::Duration => text.parse::<Span>().map(drop),
            Format::Quantity => text.parse::<Quantity>().map(drop),
            Format::Semver => text.parse::<Semver>().map(drop),
            Format::Url => text.parse::<Url>().map(drop),
        }
    }
}

/// A struct: named fields, some of which positional arguments may fill.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ObjectShape {
    pub fields: Vec<Field>,
    /// Names of the fields that arguments fill, in order.
    pub args: Vec<String>,
}

impl ObjectShape {
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: String,
    pub schema: Schema,
    pub required: bool,
}

/// The JSON Schema of a Rust type, as a kind hands it over.
#[cfg(any(feature = "native", feature = "guest"))]
pub fn json_schema_of<T: schemars::JsonSchema>() -> Value {
    schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// Why a schema was refused, with the JSON pointer of the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("schema at `{pointer}`: {reason}")]
pub struct SchemaError {
    pub pointer: String,
    pub reason: String,
}

const KEYWORDS: [&str; 25] = [
    "$schema",
    "$defs",
    "$ref",
    "title",
    "description",
    "type",
    "format",
    "enum",
    "const",
    "oneOf",
    "anyOf",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "minimum",
    "maximum",
    "default",
    "x-kdl-args",
    "x-ref",
    "x-cel",
    "x-secret",
    "x-kdl-file",
    "x-same-as-inputs",
    "deprecated",
];

impl Schema {
    /// Reads JSON Schema; refuses what is outside the subset.
    pub fn parse(json: &Value) -> Result<Schema, SchemaError> {
        let none = BTreeMap::new();
        let defs = match json.get("$defs").and_then(Value::as_object) {
            Some(map) => map.iter().map(|(name, schema)| (format!("#/$defs/{name}"), schema)).collect(),
            None => none,
        };
        Reader { defs }.schema(json, "#", 0)
    }

    /// An object without fields: the inputs of a kind that takes none.
    pub fn empty_object() -> Schema {
        Schema::of(Shape::Object(ObjectShape::default()))
    }

    pub fn of(shape: Shape) -> Schema {
        Schema { doc: String::new(), shape, nullable: false, default: None }
    }
}

struct Reader<'a> {
    defs: BTreeMap<String, &'a Value>,
}

impl<'a> Reader<'a> {
    fn schema(&self, json: &'a Value, at: &str, depth: usize) -> Result<Schema, SchemaError> {
        let refuse = |reason: String| Err(SchemaError { pointer: at.to_owned(), reason });
        if depth > DEPTH_MAX {
            return refuse(format!("nested deeper than {DEPTH_MAX} levels, or recursive"));
        }
        let Some(map) = json.as_object() else {
            return match json {
                Value::Bool(true) => Ok(Schema::of(Shape::Any)),
                _ => refuse("expected an object or `true`".into()),
            };
        };
        if let Some(odd) = map.keys().find(|key| !KEYWORDS.contains(&key.as_str()) && !key.starts_with("x-kdl-")) {
            return refuse(format!("keyword `{odd}` is outside the subset"));
        }
        let doc = map.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        let default = map.get("default").cloned();
        if let Some(name) = map.get("$ref").and_then(Value::as_str) {
            let Some(target) = self.defs.get(name) else {
                return refuse(format!("`$ref` to `{name}`, which is not defined here"));
            };
            let mut schema = self.schema(target, name, depth + 1)?;
            if !doc.is_empty() {
                schema.doc = doc;
            }
            schema.default = default.or(schema.default);
            return Ok(schema);
        }
        let (shape, nullable) = self.shape(map, at, depth)?;
        Ok(Schema { doc, shape, nullable, default })
    }

    fn shape(
        &self,
        map: &'a serde_json::Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> Result<(Shape, bool), SchemaError> {
        let refuse = |reason: String| Err(SchemaError { pointer: at.to_owned(), reason });
        if let Some(options) = map.get("anyOf").and_then(Value::as_array) {
            // The one use of anyOf: a value or null.
            let is_null = |option: &Value| option.get("type").and_then(Value::as_str) == Some("null");
            let mut real = options.iter().filter(|option| !is_null(option));
            return match (real.next(), real.next()) {
                (Some(only), None) => {
                    Ok((self.schema(only, &format!("{at}/anyOf"), depth + 1)?.shape, options.len() > 1))
                }
                _ => refuse("`anyOf` may only join one schema with null".into()),
            };
        }
        if let Some(reference) = map.get("x-ref").and_then(Value::as_str) {
            let reference = match reference {
                "cluster" => Reference::Cluster,
                "secret" => Reference::Secret,
                "step" => Reference::Step,
                odd => return refuse(format!("`x-ref` to `{odd}`: use cluster, secret or step")),
            };
            return Ok((Shape::Reference(reference), types(map).contains(&"null")));
        }
        if let Some(options) = map.get("oneOf").and_then(Value::as_array) {
            return Ok((self.one_of(options, at, depth)?, false));
        }
        if map.get("x-kdl-file").is_some() {
            return match map.get("x-kdl-file").and_then(Value::as_str) {
                Some("yaml-template") => Ok((Shape::YamlTemplate, false)),
                odd => refuse(format!("`x-kdl-file` is {odd:?}: use yaml-template")),
            };
        }
        if let Some(values) = map.get("enum").and_then(Value::as_array) {
            return Ok((
                Shape::Enum(strings(values).ok_or_else(|| SchemaError {
                    pointer: at.into(),
                    reason: "`enum` of other than strings".into(),
                })?),
                types(map).contains(&"null"),
            ));
        }
        let named = types(map);
        let nullable = named.contains(&"null");
        let real: Vec<&str> = named.into_iter().filter(|name| *name != "null").collect();
        let shape = match real.as_slice() {
            [] => Shape::Any,
            ["boolean"] => Shape::Bool,
            ["integer"] => Shape::Integer {
                min: map.get("minimum").and_then(Value::as_i64),
                max: map.get("maximum").and_then(Value::as_i64),
            },
            ["number"] => Shape::Number,
            ["string"] if map.get("x-cel") == Some(&Value::Bool(true)) => Shape::Predicate,
            ["string"] => Shape::String(format_of(map)),
            ["array"] => Shape::List(Box::new(match map.get("items") {
                Some(items) => self.schema(items, &format!("{at}/items"), depth + 1)?,
                None => Schema::of(Shape::Any),
            })),
            ["object"] => self.object(map, at, depth)?,
            several => return refuse(format!("one type is allowed, found {several:?}")),
        };
        Ok((shape, nullable))
    }

    fn object(&self, map: &'a serde_json::Map<String, Value>, at: &str, depth: usize) -> Result<Shape, SchemaError> {
        let refuse = |reason: String| Err(SchemaError { pointer: at.to_owned(), reason });
        let Some(properties) = map.get("properties").and_then(Value::as_object) else {
            return match map.get("additionalProperties") {
                Some(Value::Bool(false)) => Ok(Shape::Object(ObjectShape::default())),
                Some(values) => {
                    Ok(Shape::Map(Box::new(self.schema(values, &format!("{at}/additionalProperties"), depth + 1)?)))
                }
                None if map.get("title").is_some() || map.get("x-kdl-args").is_some() => {
                    Ok(Shape::Object(ObjectShape::default()))
                }
                None => Ok(Shape::Any),
            };
        };
        let required =
            map.get("required").and_then(Value::as_array).and_then(|names| strings(names)).unwrap_or_default();
        let mut object = ObjectShape::default();
        for (name, schema) in properties {
            let schema = self.schema(schema, &format!("{at}/properties/{name}"), depth + 1)?;
            object.fields.push(Field { name: name.clone(), required: required.contains(name), schema });
        }
        if let Some(args) = map.get("x-kdl-args") {
            let Some(args) = args.as_array().and_then(|names| strings(names)) else {
                return refuse("`x-kdl-args` is a list of field names".into());
            };
            if let Some(odd) = args.iter().find(|name| object.field(name).is_none()) {
                return refuse(format!("`x-kdl-args` names `{odd}`, which is not a field"));
            }
            object.args = args;
        }
        Ok(Shape::Object(object))
    }

    /// Strings with a doc comment each (schemars writes them as `const`), or values tagged by their one property.
    fn one_of(&self, options: &'a [Value], at: &str, depth: usize) -> Result<Shape, SchemaError> {
        let refuse = |reason: String| Err(SchemaError { pointer: at.to_owned(), reason });
        let mut words = Vec::new();
        let mut tagged = Vec::new();
        for option in options {
            if let Some(word) = option.get("const").and_then(Value::as_str) {
                words.push(word.to_owned());
            } else if let Some(values) = option.get("enum").and_then(Value::as_array).and_then(|values| strings(values))
            {
                words.extend(values);
            } else if let Some((name, schema)) = option
                .get("properties")
                .and_then(Value::as_object)
                .filter(|p| p.len() == 1)
                .and_then(|p| p.iter().next())
            {
                let mut schema = self.schema(schema, &format!("{at}/oneOf/{name}"), depth + 1)?;
                if let Some(doc) = option.get("description").and_then(Value::as_str) {
                    schema.doc = doc.to_owned();
                }
                tagged.push(Field { name: name.clone(), schema, required: true });
            } else {
                return refuse(
                    "each choice of `oneOf` is a constant string, or an object with one property that names it".into(),
                );
            }
        }
        match (words.is_empty(), tagged.is_empty()) {
            (false, true) => Ok(Shape::Enum(words)),
            (true, false) => Ok(Shape::OneOf(tagged)),
            _ => refuse("`oneOf` mixes constants and objects, or is empty".into()),
        }
    }
}

fn types(map: &serde_json::Map<String, Value>) -> Vec<&str> {
    match map.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn strings(values: &[Value]) -> Option<Vec<String>> {
    values.iter().filter(|value| !value.is_null()).map(|value| value.as_str().map(str::to_owned)).collect()
}

/// Formats that only say how wide a number is come from schemars and carry no rule of ours.
fn format_of(map: &serde_json::Map<String, Value>) -> Format {
    map.get("format").and_then(Value::as_str).and_then(Format::by_name).unwrap_or(Format::Plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_with_arguments_references_and_choices_is_read() {
        let schema = Schema::parse(&json!({
            "type": "object",
            "x-kdl-args": ["name", "rest"],
            "required": ["name"],
            "properties": {
                "name": { "type": "string", "format": "dns-label", "description": "Its name." },
                "rest": { "type": "array", "items": { "type": "string" } },
                "on": { "type": ["string", "null"], "x-ref": "cluster" },
                "until": { "type": "string", "x-cel": true },
                "keep": { "anyOf": [{ "$ref": "#/$defs/Keep" }, { "type": "null" }] },
                "free": true,
            },
            "$defs": { "Keep": { "oneOf": [
                { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"], "additionalProperties": false },
            ] } },
        }))
        .unwrap();
        let Shape::Object(object) = schema.shape else { panic!("an object") };
        assert_eq!(object.args, ["name", "rest"]);
        let shape = |name: &str| object.field(name).unwrap().schema.shape.clone();
        assert!(object.field("name").unwrap().required && !object.field("on").unwrap().required);
        assert_eq!(shape("name"), Shape::String(Format::DnsLabel));
        assert_eq!(shape("on"), Shape::Reference(Reference::Cluster));
        assert_eq!(shape("until"), Shape::Predicate);
        assert_eq!(shape("free"), Shape::Any);
        assert!(matches!(shape("keep"), Shape::OneOf(choices) if choices[0].name == "file"));
        assert!(object.field("keep").unwrap().schema.nullable);
    }

    #[test]
    fn what_is_outside_the_subset_is_refused_with_its_place() {
        for (schema, place) in [
            (json!({ "type": "object", "properties": { "a": { "pattern": "x" } } }), "#/properties/a"),
            (json!({ "type": ["string", "integer"] }), "#"),
            (json!({ "anyOf": [{ "type": "string" }, { "type": "integer" }] }), "#"),
            (json!({ "$ref": "#/$defs/absent" }), "#"),
            (json!({ "type": "object", "properties": {}, "x-kdl-args": ["nope"] }), "#"),
            (json!({ "type": "string", "x-ref": "planet" }), "#"),
            (json!({ "oneOf": [{ "const": "a" }, { "type": "integer" }] }), "#"),
            (json!([]), "#"),
        ] {
            assert_eq!(Schema::parse(&schema).unwrap_err().pointer, place, "{schema}");
        }
        let recursive =
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "type": "array", "items": { "$ref": "#/$defs/a" } } } });
        assert!(Schema::parse(&recursive).unwrap_err().reason.contains("recursive"));
    }
}
