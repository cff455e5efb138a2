//! How a field is written, for people who left it out.

use steps_sdk::schema::{Field, ObjectShape, Shape};

/// What a node's arguments fill.
pub(super) fn arguments(shape: &ObjectShape) -> String {
    match shape.args.as_slice() {
        [] => "no arguments".to_owned(),
        names => {
            format!("the arguments {}", names.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>().join(" "))
        }
    }
}

/// How a missing field is written.
pub(super) fn example(field: &Field, shape: &ObjectShape) -> String {
    if shape.args.contains(&field.name) {
        return shape.args.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>().join(" ");
    }
    match &field.schema.shape {
        Shape::Bool => field.name.clone(),
        Shape::Object(_) | Shape::Map(_) | Shape::Any => format!("{} {{ … }}", field.name),
        Shape::OneOf(choices) => {
            format!("{} {} …", field.name, choices.first().map_or("NAME", |choice| choice.name.as_str()))
        }
        Shape::Integer { .. } | Shape::Number => format!("{} NUMBER", field.name),
        Shape::Enum(words) => format!("{} {}", field.name, words.join("|")),
        Shape::String(_) | Shape::Predicate | Shape::YamlTemplate => format!("{} \"…\"", field.name),
        Shape::Reference(_) => format!("{} NAME", field.name),
        Shape::List(_) => format!("{} VALUE…", field.name),
    }
}
