//! A schema in words and in KDL: the name of its type, how it is written in a workflow, and an example.

use steps_sdk::Value;
use steps_sdk::schema::{Field, Format, ObjectShape, Reference, Schema, Shape};

/// `string`, `list of hostname`, `one of GET, PUT`, `cluster`.
pub fn type_name(schema: &Schema) -> String {
    match &schema.shape {
        Shape::Any => "anything".to_owned(),
        Shape::Bool => "bool".to_owned(),
        Shape::Integer { min, max } => match (min, max) {
            (Some(min), Some(max)) => format!("int {min} to {max}"),
            (Some(min), None) if *min != 0 => format!("int from {min}"),
            (None, Some(max)) => format!("int up to {max}"),
            (Some(_) | None, None) => "int".to_owned(),
        },
        Shape::Number => "float".to_owned(),
        Shape::String(format) => format.name().to_owned(),
        Shape::Enum(words) => format!("one of {}", words.join(", ")),
        Shape::List(item) => format!("list of {}", type_name(item)),
        Shape::Map(value) => format!("map of {}", type_name(value)),
        Shape::Object(_) => "block".to_owned(),
        Shape::OneOf(choices) => {
            let names: Vec<&str> = choices.iter().map(|choice| choice.name.as_str()).collect();
            format!("one of {}", names.join(", "))
        }
        Shape::Reference(Reference::Cluster) => "cluster".to_owned(),
        Shape::Reference(Reference::Secret) => "secret".to_owned(),
        Shape::Reference(Reference::Step) => "step".to_owned(),
        Shape::Predicate => "CEL over object".to_owned(),
        Shape::YamlTemplate => "YAML file".to_owned(),
    }
}

/// How a field is written: `record TYPE NAME VALUE ttl=INT`, one line.
pub fn usage(field: &Field) -> String {
    match &field.schema.shape {
        Shape::List(item) => usage_of(&field.name, item) + "   (may repeat)",
        _ => usage_of(&field.name, &field.schema),
    }
}

fn usage_of(name: &str, schema: &Schema) -> String {
    match &schema.shape {
        Shape::Object(object) => format!("{name}{}", fields_usage(object)),
        Shape::OneOf(choices) => {
            let way = |choice: &Field| match &choice.schema.shape {
                Shape::Object(object) => format!("{name} {}{}", choice.name, fields_usage(object)),
                _ => format!("{name} {}={}", choice.name, placeholder(&choice.schema)),
            };
            let ways: Vec<String> = choices.iter().map(way).collect();
            ways.join(" | ")
        }
        Shape::Map(value) => format!("{name} {{ NAME {} }}", placeholder(value)),
        Shape::Any => format!("{name} ..."),
        _ => format!("{name} {}", placeholder(schema)),
    }
}

/// Arguments first, in their order, then the other fields as properties or as a block.
fn fields_usage(object: &ObjectShape) -> String {
    let mut text = String::new();
    for name in &object.args {
        let Some(field) = object.field(name) else { continue };
        let many = if matches!(field.schema.shape, Shape::List(_)) { "..." } else { "" };
        text.push_str(&bracketed(field.required, &format!("{}{many}", name.to_uppercase())));
    }
    let mut has_block = false;
    for field in object.fields.iter().filter(|field| !object.args.contains(&field.name)) {
        if is_scalar(&field.schema) {
            text.push_str(&bracketed(field.required, &format!("{}={}", field.name, placeholder(&field.schema))));
        } else {
            has_block = true;
        }
    }
    if has_block {
        text.push_str(" { ... }");
    }
    text
}

fn bracketed(required: bool, text: &str) -> String {
    if required { format!(" {text}") } else { format!(" [{text}]") }
}

fn is_scalar(schema: &Schema) -> bool {
    match &schema.shape {
        Shape::Bool
        | Shape::Integer { .. }
        | Shape::Number
        | Shape::String(_)
        | Shape::Enum(_)
        | Shape::Reference(_)
        | Shape::Predicate => true,
        Shape::Any | Shape::List(_) | Shape::Map(_) | Shape::Object(_) | Shape::OneOf(_) | Shape::YamlTemplate => false,
    }
}

fn placeholder(schema: &Schema) -> String {
    match &schema.shape {
        Shape::Enum(words) => words.join("|"),
        Shape::Bool => "#true|#false".to_owned(),
        Shape::Integer { .. } => "INT".to_owned(),
        _ => type_name(schema).to_uppercase().replace(' ', "-"),
    }
}

/// The type, where [`usage`] has not said it already.
pub fn type_beside_usage(schema: &Schema) -> Option<String> {
    match &schema.shape {
        Shape::Enum(_) | Shape::Object(_) | Shape::OneOf(_) | Shape::Bool => None,
        Shape::List(item) => type_beside_usage(item),
        _ => Some(type_name(schema)),
    }
}

/// A value that stands for the type in an example, written in KDL.
pub fn example_value(schema: &Schema) -> String {
    match &schema.shape {
        Shape::Bool => "#true".to_owned(),
        Shape::Integer { min, .. } => min.unwrap_or(1).max(1).to_string(),
        Shape::Number => "0.5".to_owned(),
        Shape::String(format) => match format {
            Format::Plain => "\"...\"",
            Format::Hostname => "\"api.example.io\"",
            Format::DnsLabel => "example",
            Format::Duration => "\"5m\"",
            Format::Quantity => "\"64Mi\"",
            Format::Semver => "\"1.4.0\"",
            Format::Url => "\"https://example.io\"",
        }
        .to_owned(),
        Shape::Enum(words) => words.first().cloned().unwrap_or_default(),
        Shape::Reference(Reference::Cluster) => "hub".to_owned(),
        Shape::Reference(Reference::Secret) => "my_secret".to_owned(),
        Shape::Reference(Reference::Step) => "other_step".to_owned(),
        Shape::Predicate => "\"has(object.status)\"".to_owned(),
        Shape::YamlTemplate => "\"manifests/example.yaml\"".to_owned(),
        Shape::Any | Shape::Object(_) | Shape::OneOf(_) | Shape::Map(_) | Shape::List(_) => "{ }".to_owned(),
    }
}

/// A field as an example writes it, its required parts only.
pub fn example(field: &Field) -> String {
    example_of(&field.name, &field.schema)
}

fn example_of(name: &str, schema: &Schema) -> String {
    match &schema.shape {
        Shape::List(item) => example_of(name, item),
        Shape::Object(object) => format!("{name}{}", example_fields(object)),
        Shape::OneOf(choices) => match choices.first() {
            Some(Field { name: choice, schema: Schema { shape: Shape::Object(object), .. }, .. }) => {
                format!("{name} {choice}{}", example_fields(object))
            }
            Some(choice) => format!("{name} {}={}", choice.name, example_value(&choice.schema)),
            None => name.to_owned(),
        },
        Shape::Map(value) => format!("{name} {{ example {} }}", example_value(value)),
        Shape::Any => format!("{name} {{ }}"),
        _ => format!("{name} {}", example_value(schema)),
    }
}

fn example_fields(object: &ObjectShape) -> String {
    let mut text = String::new();
    for name in &object.args {
        if let Some(field) = object.field(name).filter(|field| field.required) {
            let item = if let Shape::List(item) = &field.schema.shape { item } else { &field.schema };
            text.push_str(&format!(" {}", example_value(item)));
        }
    }
    for field in object
        .fields
        .iter()
        .filter(|field| field.required && !object.args.contains(&field.name) && is_scalar(&field.schema))
    {
        text.push_str(&format!(" {}={}", field.name, example_value(&field.schema)));
    }
    text
}

/// A default as KDL writes it.
pub fn kdl_value(value: &Value) -> String {
    match value {
        Value::Null => "#null".to_owned(),
        Value::Bool(yes) => format!("#{yes}"),
        other => other.to_string(),
    }
}

/// The fields inside a value, however it is wrapped.
pub fn fields(schema: &Schema) -> &[Field] {
    match &schema.shape {
        Shape::Object(object) => &object.fields,
        Shape::OneOf(choices) => choices,
        Shape::List(item) | Shape::Map(item) => fields(item),
        Shape::Any
        | Shape::Bool
        | Shape::Integer { .. }
        | Shape::Number
        | Shape::String(_)
        | Shape::Enum(_)
        | Shape::Reference(_)
        | Shape::Predicate
        | Shape::YamlTemplate => &[],
    }
}
