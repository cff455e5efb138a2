//! Where secrets may go. Which values hold one is known by their type.

use steps_sdk::schema::{Reference, Schema, Shape};

/// Whether a place of this schema takes a secret, or a value that holds one.
pub(super) fn takes_secret(schema: &Schema) -> bool {
    match &schema.shape {
        Shape::Reference(reference) => *reference == Reference::Secret,
        Shape::List(inner) | Shape::Map(inner) => takes_secret(inner),
        Shape::Object(object) => object.fields.iter().any(|field| takes_secret(&field.schema)),
        Shape::OneOf(choices) => choices.iter().any(|choice| takes_secret(&choice.schema)),
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
