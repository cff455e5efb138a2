//! Types of values that are written out: what `value.set` gives is what it was given.

use steps_sdk::Value;

use crate::expr::{Type, TypeField};

pub(super) fn type_of_value(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Number(number) if number.is_f64() => Type::Float,
        Value::Number(_) => Type::Int,
        Value::String(_) => Type::TEXT,
        Value::Array(items) => Type::List(Box::new(common(&items.iter().map(type_of_value).collect::<Vec<_>>()))),
        Value::Object(map) => {
            Type::Object(map.iter().map(|(name, value)| TypeField::new(name.clone(), type_of_value(value))).collect())
        }
    }
}

/// The type that all items have.
pub(super) fn common(types: &[Type]) -> Type {
    types.iter().cloned().reduce(Type::common).unwrap_or(Type::Any)
}
