//! Types of expressions, written as the language writes them.

use std::fmt;

use steps_sdk::schema::{Field, Format, Reference, Schema, Shape};

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
    List(Box<Type>),
    /// Keys are strings.
    Map(Box<Type>),
    Object(Vec<TypeField>),
    /// The value or null.
    Nullable(Box<Type>),
    /// What `semver()` gives.
    Version,
    /// What `cidr()` gives.
    Network,
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
    ///
    /// What may turn out right is accepted: a plain string for a hostname is checked once its value is known.
    pub fn accepts(&self, given: &Type) -> bool {
        match (self, given) {
            (Type::Any, _) | (_, Type::Any) => true,
            (Type::Nullable(_), Type::Null) => true,
            (Type::Nullable(wanted), Type::Nullable(given)) => wanted.accepts(given),
            (Type::Nullable(wanted), given) => wanted.accepts(given),
            (wanted, Type::Nullable(given)) => wanted.accepts(given),
            (Type::Float, Type::Int) => true,
            (Type::String(wanted), Type::String(given)) => formats_overlap(*wanted, *given),
            (Type::String(wanted), Type::Enum(words)) => words.iter().any(|word| wanted.check(word).is_ok()),
            (Type::String(wanted), Type::Version) => matches!(wanted, Format::Plain | Format::Semver),
            (Type::String(Format::Plain), Type::Network | Type::Cluster) => true,
            (Type::Enum(_), Type::String(_)) => true,
            (Type::Enum(wanted), Type::Enum(given)) => given.iter().any(|word| wanted.contains(word)),
            (Type::List(wanted), Type::List(given)) | (Type::Map(wanted), Type::Map(given)) => wanted.accepts(given),
            (Type::Map(wanted), Type::Object(fields)) => fields.iter().all(|field| wanted.accepts(&field.ty)),
            (Type::Object(fields), Type::Map(values)) => fields.iter().all(|field| field.ty.accepts(values)),
            (Type::Object(wanted), Type::Object(given)) => fields_fit(wanted, given),
            (Type::Step(_), Type::Step(_)) => true,
            (wanted, given) => wanted == given,
        }
    }

    /// The type of a value that is of one of two.
    pub fn common(self, other: Type) -> Type {
        match (self, other) {
            (a, b) if a == b => a,
            (Type::Null, Type::Nullable(b)) => Type::Nullable(b),
            (Type::Nullable(a), Type::Null) => Type::Nullable(a),
            (Type::Null, b) if b != Type::Any => Type::Nullable(Box::new(b)),
            (a, Type::Null) if a != Type::Any => Type::Nullable(Box::new(a)),
            (Type::Nullable(a), Type::Nullable(b)) => Type::Nullable(Box::new(a.common(*b))),
            (Type::Nullable(a), b) | (b, Type::Nullable(a)) => Type::Nullable(Box::new(a.common(b))),
            (Type::String(_) | Type::Enum(_), Type::String(_) | Type::Enum(_)) => Type::TEXT,
            (Type::List(a), Type::List(b)) => Type::List(Box::new(a.common(*b))),
            (Type::Map(a), Type::Map(b)) => Type::Map(Box::new(a.common(*b))),
            // What may be a secret is treated as one.
            (Type::Secret, _) | (_, Type::Secret) => Type::Secret,
            _ => Type::Any,
        }
    }

    /// Whether it is a secret, or holds one.
    pub fn has_secret(&self) -> bool {
        match self {
            Type::Secret => true,
            Type::List(inner) | Type::Map(inner) | Type::Nullable(inner) => inner.has_secret(),
            Type::Object(fields) => fields.iter().any(|field| field.ty.has_secret()),
            // The name of a step is no value; its outputs are looked at one by one.
            Type::Step(_) => false,
            Type::Any | Type::Null | Type::Bool | Type::Int | Type::Float => false,
            Type::String(_) | Type::Enum(_) | Type::Version | Type::Network | Type::Cluster => false,
        }
    }

    /// Without the possibility of null.
    pub(super) fn present(&self) -> &Type {
        match self {
            Type::Nullable(inner) => inner.present(),
            other => other,
        }
    }
}

fn fields_fit(wanted: &[TypeField], given: &[TypeField]) -> bool {
    let find = |fields: &[TypeField], name: &str| fields.iter().find(|field| field.name == name).cloned();
    let is_complete = wanted.iter().all(|field| !field.required || find(given, &field.name).is_some());
    let is_known =
        given.iter().all(|field| find(wanted, &field.name).is_some_and(|wanted| wanted.ty.accepts(&field.ty)));
    is_complete && is_known
}

/// Whether a string can have both formats.
fn formats_overlap(a: Format, b: Format) -> bool {
    match (a, b) {
        (Format::Plain, _) | (_, Format::Plain) => true,
        (Format::Hostname, Format::DnsLabel) | (Format::DnsLabel, Format::Hostname) => true,
        (a, b) => a == b,
    }
}

impl TypeField {
    pub fn new(name: impl Into<String>, ty: Type) -> TypeField {
        TypeField { name: name.into(), ty, required: true }
    }

    fn of(field: &Field, required: bool) -> TypeField {
        TypeField { name: field.name.clone(), ty: Type::of_schema(&field.schema), required }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Any => f.write_str("any"),
            Type::Null => f.write_str("null"),
            Type::Bool => f.write_str("bool"),
            Type::Int => f.write_str("int"),
            Type::Float => f.write_str("float"),
            Type::String(format) => f.write_str(format.name()),
            Type::Enum(words) => f.write_str(&words.join("|")),
            Type::List(items) => write!(f, "list<{items}>"),
            Type::Map(values) => write!(f, "map<{values}>"),
            Type::Object(fields) => {
                f.write_str("{")?;
                for (index, field) in fields.iter().enumerate() {
                    let comma = if index > 0 { ", " } else { " " };
                    let optional = if field.required { "" } else { "?" };
                    write!(f, "{comma}{}{optional}: {}", field.name, field.ty)?;
                }
                f.write_str(" }")
            }
            Type::Nullable(inner) => write!(f, "{inner} or null"),
            Type::Version => f.write_str("version"),
            Type::Network => f.write_str("network"),
            Type::Secret => f.write_str("secret"),
            Type::Cluster => f.write_str("cluster"),
            Type::Step(_) => f.write_str("step"),
        }
    }
}
