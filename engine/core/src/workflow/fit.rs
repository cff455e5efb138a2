//! Whether a value fits a schema, in words that do not depend on where the value came from.

use steps_sdk::Value;
use steps_sdk::schema::{Field, Format, Reference, Schema, Shape};

use crate::diagnostic::nearest;

/// One way in which a value does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    pub code: &'static str,
    pub message: String,
    pub help: Option<String>,
}

/// Everything about the value that the schema refuses; `what` names the place: `shards[0].name`.
pub(crate) fn misfits(value: &Value, schema: &Schema, what: &str) -> Vec<Misfit> {
    let mut found = Vec::new();
    walk(value, schema, what, &mut found);
    found
}

/// Fills in what an object leaves out and its schema has a default for.
pub(crate) fn complete(value: &mut Value, schema: &Schema) {
    match (&schema.shape, value) {
        (Shape::Object(object), Value::Object(map)) => {
            for field in &object.fields {
                match (map.get_mut(&field.name), &field.schema.default) {
                    (Some(given), _) => complete(given, &field.schema),
                    (None, Some(default)) => {
                        map.insert(field.name.clone(), default.clone());
                    }
                    (None, None) => {}
                }
            }
        }
        (Shape::List(items), Value::Array(list)) => list.iter_mut().for_each(|item| complete(item, items)),
        (Shape::Map(values), Value::Object(map)) => map.values_mut().for_each(|item| complete(item, values)),
        _ => {}
    }
}

/// The names of clusters in a value.
pub(crate) fn clusters_in<'v>(value: &'v Value, schema: &Schema, found: &mut Vec<&'v str>) {
    match (&schema.shape, value) {
        (Shape::Reference(Reference::Cluster), Value::String(name)) => found.push(name),
        (Shape::Object(object), Value::Object(map)) => {
            for field in &object.fields {
                if let Some(value) = map.get(&field.name) {
                    clusters_in(value, &field.schema, found);
                }
            }
        }
        (Shape::OneOf(choices), Value::Object(map)) => {
            for choice in choices {
                if let Some(value) = map.get(&choice.name) {
                    clusters_in(value, &choice.schema, found);
                }
            }
        }
        (Shape::List(items), Value::Array(list)) => list.iter().for_each(|item| clusters_in(item, items, found)),
        (Shape::Map(values), Value::Object(map)) => map.values().for_each(|item| clusters_in(item, values, found)),
        _ => {}
    }
}

/// Whether a value of this schema may name a cluster.
pub(crate) fn may_name_cluster(schema: &Schema) -> bool {
    let any = |fields: &[Field]| fields.iter().any(|field| may_name_cluster(&field.schema));
    match &schema.shape {
        Shape::Reference(reference) => *reference == Reference::Cluster,
        Shape::List(inner) | Shape::Map(inner) => may_name_cluster(inner),
        Shape::Object(object) => any(&object.fields),
        Shape::OneOf(choices) => any(choices),
        Shape::Any
        | Shape::Bool
        | Shape::Integer { .. }
        | Shape::Number
        | Shape::String(_)
        | Shape::Enum(_)
        | Shape::Predicate
        | Shape::YamlTemplate => false,
    }
}

fn walk(value: &Value, schema: &Schema, what: &str, found: &mut Vec<Misfit>) {
    if value.is_null() && schema.nullable {
        return;
    }
    let wrong = |found: &mut Vec<Misfit>| {
        found.push(Misfit {
            code: "L232",
            message: format!("`{what}` is {}, not {}", describe(schema), shown(value)),
            help: None,
        });
    };
    match (&schema.shape, value) {
        (Shape::Any, _)
        | (Shape::Bool, Value::Bool(_))
        | (Shape::Number, Value::Number(_))
        | (Shape::Predicate, Value::String(_)) => {}
        (Shape::Integer { min, max }, Value::Number(number)) => {
            let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            match integer {
                None => wrong(found),
                Some(n) if min.is_some_and(|min| n < i128::from(min)) || max.is_some_and(|max| n > i128::from(max)) => {
                    found.push(Misfit {
                        code: "L233",
                        message: format!("`{what}` is {n}, out of range"),
                        help: Some(format!("it is {}", describe(schema))),
                    });
                }
                Some(_) => {}
            }
        }
        (Shape::String(format), Value::String(text)) => {
            if let Err(reason) = format.check(text) {
                found.push(Misfit {
                    code: "L233",
                    message: format!("`{text}` is not {}: {reason}", named(*format)),
                    help: None,
                });
            }
        }
        (Shape::Enum(words), Value::String(text)) => found.extend(not_a_choice(text, words, what)),
        (Shape::Reference(Reference::Cluster | Reference::Step), Value::String(_)) => {}
        (Shape::Reference(Reference::Secret), Value::Object(map)) if map.contains_key("from") => {}
        (Shape::List(items), Value::Array(list)) => {
            for (position, item) in list.iter().enumerate() {
                walk(item, items, &format!("{what}[{position}]"), found);
            }
        }
        (Shape::YamlTemplate, Value::Array(_)) => {}
        (Shape::Map(values), Value::Object(map)) => {
            for (name, item) in map {
                walk(item, values, &format!("{what}.{name}"), found);
            }
        }
        (Shape::Object(object), Value::Object(map)) => {
            walk_object(&object.fields, map, what, found);
        }
        (Shape::OneOf(choices), Value::Object(map)) => match map.iter().next().filter(|_| map.len() == 1) {
            Some((name, inner)) if choices.iter().any(|choice| choice.name == *name) => {
                let choice = choices.iter().find(|choice| choice.name == *name).expect("the guard found it");
                walk(inner, &choice.schema, &format!("{what}.{name}"), found);
            }
            _ => wrong(found),
        },
        _ => wrong(found),
    }
}

fn not_a_choice(text: &str, words: &[String], what: &str) -> Option<Misfit> {
    if words.iter().any(|word| word == text) {
        return None;
    }
    let near = nearest(text, words.iter().map(String::as_str));
    let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let help = format!("{near}it is one of {}", words.join(", "));
    Some(Misfit { code: "L234", message: format!("`{what}` cannot be `{text}`"), help: Some(help) })
}

fn walk_object(fields: &[Field], map: &serde_json::Map<String, Value>, what: &str, found: &mut Vec<Misfit>) {
    for (name, value) in map {
        match fields.iter().find(|field| field.name == *name) {
            Some(field) => walk(value, &field.schema, &format!("{what}.{name}"), found),
            None => {
                let known: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                found.push(Misfit {
                    code: "L230",
                    message: format!("`{what}` has no field `{name}`"),
                    help: Some(format!("fields: {}", known.join(", "))),
                });
            }
        }
    }
    for field in fields {
        if field.required && !field.schema.nullable && !map.contains_key(&field.name) {
            found.push(Misfit {
                code: "L231",
                message: format!("`{what}` needs `{}`", field.name),
                help: Some(format!("it is {}", describe(&field.schema))),
            });
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() <= 40 => format!("the text `{text}`"),
        Value::String(_) => "a text".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a map".into(),
    }
}

fn named(format: Format) -> &'static str {
    match format {
        Format::Plain => "a text",
        Format::Hostname => "a host name",
        Format::DnsLabel => "a DNS label",
        Format::Duration => "a duration",
        Format::Quantity => "a quantity",
        Format::Semver => "a version",
        Format::Url => "a URL",
    }
}

/// What a schema takes, in words that follow "is".
pub(crate) fn describe(schema: &Schema) -> String {
    let words = match &schema.shape {
        Shape::Any => "any value".to_owned(),
        Shape::Bool => "true or false".to_owned(),
        Shape::Integer { min, max } => match (min, max) {
            (Some(min), Some(max)) => format!("a whole number between {min} and {max}"),
            (Some(min), None) => format!("a whole number, {min} or more"),
            (None, Some(max)) => format!("a whole number, {max} or less"),
            (None, None) => "a whole number".to_owned(),
        },
        Shape::Number => "a number".to_owned(),
        Shape::String(format) => named(*format).to_owned(),
        Shape::Enum(words) => format!("one of {}", words.join(", ")),
        Shape::List(items) => format!("a list, each item {}", describe(items)),
        Shape::Map(_) => "a map".to_owned(),
        Shape::Object(object) if object.fields.is_empty() => "an empty map".to_owned(),
        Shape::Object(object) => format!(
            "a map with {}",
            object.fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ")
        ),
        Shape::OneOf(choices) => {
            format!("one of {}", choices.iter().map(|choice| choice.name.as_str()).collect::<Vec<_>>().join(", "))
        }
        Shape::Reference(Reference::Cluster) => "a cluster".to_owned(),
        Shape::Reference(Reference::Secret) => "a secret".to_owned(),
        Shape::Reference(Reference::Step) => "a step".to_owned(),
        Shape::Predicate => "a condition over `object`".to_owned(),
        Shape::YamlTemplate => "the path of YAML files".to_owned(),
    };
    if schema.nullable { format!("{words}, or null") } else { words }
}
