//! Types of expressions.

use std::fmt;

use steps_sdk::schema::{Format, Reference, Schema, Shape};

#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// Known only when it is evaluated.
    Any,
    Null,
    Bool,
    Int,
    Float,
    String(Format),
    /// A string that is one of these.
    Enum(Vec<String>),
    Bytes,
    List(Box<Type>),
    /// Keys are strings.
    Map(Box<Type>),
    Object(Vec<TypeField>),
    /// The value or null.
    Nullable(Box<Type>),
    Secret,
    Cluster,
    /// The name of a step; the type inside is that of its outputs.
    Step(Box<Type>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct TypeField {
    pub name: String,
    pub ty: Type,
    pub required: bool,
}

impl Type {
    /// A string without a rule of its own.
    pub const TEXT: Type = Type::String(Format::Plain);

    /// The type of what a schema describes.
    pub fn of_schema(schema: &Schema) -> Type {
        let ty = match &schema.shape {
            Shape::Any => return Type::Any,
            Shape::Bool => Type::Bool,
            Shape::Integer { .. } => Type::Int,
            Shape::Number => Type::Float,
            Shape::String(format) => Type::String(*format),
            Shape::Enum(words) => Type::Enum(words.clone()),
            Shape::List(items) => Type::List(Box::new(Type::of_schema(items))),
            Shape::Map(values) => Type::Map(Box::new(Type::of_schema(values))),
            Shape::Object(object) => {
                Type::Object(object.fields.iter().map(|field| TypeField::of(field, field.required)).collect())
            }
            Shape::OneOf(choices) => Type::Object(choices.iter().map(|choice| TypeField::of(choice, false)).collect()),
            Shape::Reference(Reference::Cluster) => Type::Cluster,
            Shape::Reference(Reference::Secret) => Type::Secret,
            Shape::Reference(Reference::Step) => Type::Step(Box::new(Type::Any)),
            Shape::Predicate => Type::TEXT,
            Shape::YamlTemplate => Type::List(Box::new(Type::Any)),
        };
        if schema.nullable { Type::Nullable(Box::new(ty)) } else { ty }
    }

    /// Whether a value of type `given` can stand where this type is wanted, as far as it can be known before it is evaluated.
    pub fn accepts(&self, given: &Type) -> bool {
        self == given || *self == Type::Any || *given == Type::Any
    }
}

impl TypeField {
    pub fn new(name: impl Into<String>, ty: Type) -> TypeField {
        TypeField { name: name.into(), ty, required: true }
    }

    fn of(field: &steps_sdk::schema::Field, required: bool) -> TypeField {
        TypeField { name: field.name.clone(), ty: Type::of_schema(&field.schema), required }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}
