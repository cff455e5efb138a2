//! Values while an expression is evaluated: borrowed from what was given wherever that is possible, so that a path into a large
//! value costs nothing but the way.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::{Map, Number};
use steps_sdk::Value;

use super::network::Network;
use super::semver::Version;
use super::values::Binding;

#[derive(Debug, Clone)]
pub enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    JsonList(&'a [Value]),
    List(Rc<Vec<Val<'a>>>),
    JsonMap(&'a Map<String, Value>),
    /// In the order in which it was written.
    Map(Rc<Vec<(String, Val<'a>)>>),
    Fields(&'a BTreeMap<String, Binding<'a>>),
    Version(Rc<Version>),
    Network(Network),
}

impl<'a> Val<'a> {
    pub fn text(text: impl Into<String>) -> Val<'a> {
        Val::Text(Cow::Owned(text.into()))
    }

    pub fn list(items: Vec<Val<'a>>) -> Val<'a> {
        Val::List(Rc::new(items))
    }

    pub fn of_json(value: &'a Value) -> Val<'a> {
        match value {
            Value::Null => Val::Null,
            Value::Bool(value) => Val::Bool(*value),
            // Numbers that fit no 64-bit integer become floats, as JSON itself has only one kind.
            Value::Number(number) => {
                number.as_i64().map_or_else(|| Val::Float(number.as_f64().unwrap_or(f64::MAX)), Val::Int)
            }
            Value::String(text) => Val::Text(Cow::Borrowed(text)),
            Value::Array(items) => Val::JsonList(items),
            Value::Object(map) => Val::JsonMap(map),
        }
    }

    pub fn of_binding(binding: &'a Binding<'a>) -> Val<'a> {
        match binding {
            Binding::Borrowed(value) => Val::of_json(value),
            Binding::Owned(value) => Val::of_json(value),
            Binding::Fields(fields) => Val::Fields(fields),
        }
    }

    /// What it is, with an article, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Val::Null => "null",
            Val::Bool(_) => "a bool",
            Val::Int(_) => "an int",
            Val::Float(_) => "a float",
            Val::Text(_) => "a string",
            Val::JsonList(_) | Val::List(_) => "a list",
            Val::JsonMap(_) | Val::Map(_) | Val::Fields(_) => "a map",
            Val::Version(_) => "a version",
            Val::Network(_) => "a network",
        }
    }

    /// The name that `type()` gives.
    pub fn type_name(&self) -> &'static str {
        match self {
            Val::Null => "null_type",
            Val::Bool(_) => "bool",
            Val::Int(_) => "int",
            Val::Float(_) => "double",
            Val::Text(_) => "string",
            Val::JsonList(_) | Val::List(_) => "list",
            Val::JsonMap(_) | Val::Map(_) | Val::Fields(_) => "map",
            Val::Version(_) => "semver",
            Val::Network(_) => "cidr",
        }
    }

    /// The elements of a list; `None` for anything else.
    pub fn items(&self) -> Option<Vec<Val<'a>>> {
        match self {
            Val::JsonList(items) => Some(items.iter().map(Val::of_json).collect()),
            Val::List(items) => Some(items.as_ref().clone()),
            _ => None,
        }
    }

    /// The keys of a map; `None` for anything else.
    pub fn keys(&self) -> Option<Vec<String>> {
        match self {
            Val::JsonMap(map) => Some(map.keys().cloned().collect()),
            Val::Map(entries) => Some(entries.iter().map(|(key, _)| key.clone()).collect()),
            Val::Fields(fields) => Some(fields.keys().cloned().collect()),
            _ => None,
        }
    }

    /// Number of elements, entries or characters.
    pub fn len(&self) -> Option<usize> {
        match self {
            Val::Text(text) => Some(text.chars().count()),
            Val::JsonList(items) => Some(items.len()),
            Val::List(items) => Some(items.len()),
            Val::JsonMap(map) => Some(map.len()),
            Val::Map(entries) => Some(entries.len()),
            Val::Fields(fields) => Some(fields.len()),
            _ => None,
        }
    }

    pub fn is_map(&self) -> bool {
        matches!(self, Val::JsonMap(_) | Val::Map(_) | Val::Fields(_))
    }

    pub fn field(&self, name: &str) -> Option<Val<'a>> {
        match self {
            Val::JsonMap(map) => map.get(name).map(Val::of_json),
            Val::Map(entries) => entries.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()),
            Val::Fields(fields) => fields.get(name).map(Val::of_binding),
            Val::Version(version) => version.field(name),
            Val::Network(network) => network.field(name),
            _ => None,
        }
    }

    /// A number as the position of an element; `None` for one with a fraction and for anything else.
    pub fn position(&self) -> Option<i64> {
        match self {
            Val::Int(position) => Some(*position),
            // Any list is shorter than the numbers that a float cannot hold exactly.
            Val::Float(position) if position.fract() == 0.0 => Some(*position as i64),
            _ => None,
        }
    }

    pub fn element(&self, index: i64) -> Option<Val<'a>> {
        let index = usize::try_from(index).ok()?;
        match self {
            Val::JsonList(items) => items.get(index).map(Val::of_json),
            Val::List(items) => items.get(index).cloned(),
            _ => None,
        }
    }

    /// A scalar as text; `None` for null, lists and maps.
    pub fn scalar_text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Val::Text(text) => Cow::Borrowed(text),
            Val::Bool(value) => Cow::Owned(value.to_string()),
            Val::Int(value) => Cow::Owned(value.to_string()),
            Val::Float(value) => Cow::Owned(value.to_string()),
            Val::Version(version) => Cow::Owned(version.to_string()),
            Val::Network(network) => Cow::Owned(network.to_string()),
            Val::Null | Val::JsonList(_) | Val::List(_) | Val::JsonMap(_) | Val::Map(_) | Val::Fields(_) => {
                return None;
            }
        })
    }

    /// The value as JSON, unless it has more bytes than are left; those it takes are taken off.
    pub fn to_json(&self, bytes_left: &mut usize) -> Option<Value> {
        let own = match self {
            Val::Text(text) => text.len() + 2,
            Val::JsonList(_) | Val::List(_) | Val::JsonMap(_) | Val::Map(_) | Val::Fields(_) => 2,
            Val::Null | Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Version(_) | Val::Network(_) => 8,
        };
        *bytes_left = bytes_left.checked_sub(own)?;
        let mut object = |entries: &mut dyn Iterator<Item = (&str, Val<'a>)>| {
            let mut map = Map::new();
            for (key, value) in entries {
                *bytes_left = bytes_left.checked_sub(key.len() + 4)?;
                map.insert(key.to_owned(), value.to_json(bytes_left)?);
            }
            Some(Value::Object(map))
        };
        Some(match self {
            Val::Null => Value::Null,
            Val::Bool(value) => Value::Bool(*value),
            Val::Int(value) => Value::from(*value),
            Val::Float(value) => Number::from_f64(*value).map_or(Value::Null, Value::Number),
            Val::Text(text) => Value::String(text.clone().into_owned()),
            Val::JsonList(items) => {
                Value::Array(items.iter().map(|item| Val::of_json(item).to_json(bytes_left)).collect::<Option<_>>()?)
            }
            Val::List(items) => Value::Array(items.iter().map(|item| item.to_json(bytes_left)).collect::<Option<_>>()?),
            Val::JsonMap(map) => object(&mut map.iter().map(|(key, value)| (key.as_str(), Val::of_json(value))))?,
            Val::Map(entries) => object(&mut entries.iter().map(|(key, value)| (key.as_str(), value.clone())))?,
            Val::Fields(fields) => {
                object(&mut fields.iter().map(|(key, value)| (key.as_str(), Val::of_binding(value))))?
            }
            Val::Version(version) => Value::String(version.to_string()),
            Val::Network(network) => Value::String(network.to_string()),
        })
    }

    /// Equality as CEL has it: numbers by their value, everything else only with its own kind. `cost` grows with what was compared.
    pub fn equals(&self, other: &Val<'a>, cost: &mut u64) -> bool {
        *cost += 1;
        match (self, other) {
            (Val::Null, Val::Null) => true,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::Text(a), Val::Text(b)) => {
                *cost += a.len() as u64 / BYTES_PER_STEP;
                a == b
            }
            (Val::Version(a), Val::Version(b)) => a == b,
            (Val::Network(a), Val::Network(b)) => a == b,
            (Val::Int(_) | Val::Float(_), Val::Int(_) | Val::Float(_)) => self.compare(other) == Some(Ordering::Equal),
            _ => match (self.items(), other.items()) {
                (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.equals(b, cost)),
                (None, None) if self.is_map() && other.is_map() && self.len() == other.len() => {
                    let keys = self.keys().unwrap_or_default();
                    keys.iter().all(|key| match (self.field(key), other.field(key)) {
                        (Some(a), Some(b)) => a.equals(&b, cost),
                        _ => false,
                    })
                }
                _ => false,
            },
        }
    }

    /// The order of two values of one kind; `None` where there is none.
    pub fn compare(&self, other: &Val<'a>) -> Option<Ordering> {
        match (self, other) {
            (Val::Int(a), Val::Int(b)) => Some(a.cmp(b)),
            (Val::Float(a), Val::Float(b)) => a.partial_cmp(b),
            (Val::Int(a), Val::Float(b)) => compare_mixed(*a, *b),
            (Val::Float(a), Val::Int(b)) => compare_mixed(*b, *a).map(Ordering::reverse),
            (Val::Text(a), Val::Text(b)) => Some(a.cmp(b)),
            (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(b)),
            (Val::Version(a), Val::Version(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// Bytes that cost as much as one step.
pub const BYTES_PER_STEP: u64 = 64;

/// Exact also where an integer has more digits than a float can hold.
fn compare_mixed(int: i64, float: f64) -> Option<Ordering> {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if float.is_nan() {
        None
    } else if float >= BEYOND {
        Some(Ordering::Less)
    } else if float < -BEYOND {
        Some(Ordering::Greater)
    } else {
        // The whole part fits, so the cast is exact; the fraction decides between equal whole parts.
        let whole = int.cmp(&(float.trunc() as i64));
        Some(whole.then_with(|| 0.0_f64.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal)))
    }
}
