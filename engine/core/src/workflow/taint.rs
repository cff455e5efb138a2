//! Where secrets are, by type: which values hold one, and which places take one.

use steps_sdk::schema::{Reference, Schema, Shape};

use crate::expr::Type;

/// Whether a value of this type holds a secret.
pub(super) fn has_secret(ty: &Type) -> bool {
    match ty {
        Type::Secret => true,
        Type::List(inner) | Type::Map(inner) | Type::Nullable(inner) => has_secret(inner),
        Type::Object(fields) => fields.iter().any(|field| has_secret(&field.ty)),
        // The outputs of a step are taken one by one.
        Type::Step(_)
        | Type::Any
        | Type::Null
        | Type::Bool
        | Type::Int
        | Type::Float
        | Type::String(_)
        | Type::Enum(_)
        | Type::Version
        | Type::Network
        | Type::Cluster => false,
    }
}

/// Whether a place of this schema takes one.
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
