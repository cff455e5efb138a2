//! Arithmetic and comparison. Whole numbers stay whole, and an overflow is an error, never a wrong number.

use std::cmp::Ordering;

use super::tree::Operator;
use super::val::Val;

/// Applies an operator; the error reads by itself. `cost` grows with the data that was looked at.
pub fn apply<'a>(operator: Operator, left: &Val<'a>, right: &Val<'a>, cost: &mut u64) -> Result<Val<'a>, String> {
    match operator {
        Operator::Equal => Ok(Val::Bool(left.equals(right, cost))),
        Operator::NotEqual => Ok(Val::Bool(!left.equals(right, cost))),
        Operator::Less => compare(operator, left, right, Ordering::is_lt),
        Operator::LessOrEqual => compare(operator, left, right, Ordering::is_le),
        Operator::Greater => compare(operator, left, right, Ordering::is_gt),
        Operator::GreaterOrEqual => compare(operator, left, right, Ordering::is_ge),
        Operator::In => contains(right, left, cost).map(Val::Bool),
        Operator::Add => add(left, right),
        Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder => {
            calculate(operator, left, right)
        }
    }
}

pub fn negate<'a>(value: &Val<'a>) -> Result<Val<'a>, String> {
    match value {
        Val::Int(number) => number.checked_neg().map(Val::Int).ok_or_else(overflow),
        Val::Float(number) => Ok(Val::Float(-number)),
        other => Err(format!("`-` takes a number, not {}", other.kind())),
    }
}

fn compare<'a>(
    operator: Operator,
    left: &Val<'a>,
    right: &Val<'a>,
    holds: fn(Ordering) -> bool,
) -> Result<Val<'a>, String> {
    match left.compare(right) {
        Some(ordering) => Ok(Val::Bool(holds(ordering))),
        // A float that is no number is in no order, and so in none that is asked for.
        None if matches!((left, right), (Val::Int(_) | Val::Float(_), Val::Int(_) | Val::Float(_))) => {
            Ok(Val::Bool(false))
        }
        None => Err(do_not_go(operator, left, right)),
    }
}

fn contains<'a>(whole: &Val<'a>, part: &Val<'a>, cost: &mut u64) -> Result<bool, String> {
    if let Some(items) = whole.items() {
        return Ok(items.iter().any(|item| item.equals(part, cost)));
    }
    match (whole.is_map(), part) {
        (true, Val::Text(key)) => Ok(whole.field(key).is_some()),
        (true, Val::Bool(_) | Val::Int(_) | Val::Float(_)) => Ok(false),
        (true, key) => Err(format!("{} is no key of a map", key.kind())),
        (false, _) => Err(format!("`in` looks into a list or a map, not {}", whole.kind())),
    }
}

fn add<'a>(left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>, String> {
    match (left, right) {
        (Val::Text(a), Val::Text(b)) => {
            let mut text = String::with_capacity(a.len() + b.len());
            text.push_str(a);
            text.push_str(b);
            Ok(Val::text(text))
        }
        (Val::Int(_) | Val::Float(_), Val::Int(_) | Val::Float(_)) => calculate(Operator::Add, left, right),
        _ => match (left.items(), right.items()) {
            (Some(mut a), Some(b)) => {
                a.extend(b);
                Ok(Val::list(a))
            }
            _ => Err(do_not_go(Operator::Add, left, right)),
        },
    }
}

fn calculate<'a>(operator: Operator, left: &Val<'a>, right: &Val<'a>) -> Result<Val<'a>, String> {
    match (left, right) {
        (Val::Int(a), Val::Int(b)) => {
            let result = match operator {
                Operator::Add => a.checked_add(*b),
                Operator::Subtract => a.checked_sub(*b),
                Operator::Multiply => a.checked_mul(*b),
                _ if *b == 0 => return Err("a number cannot be divided by zero".into()),
                Operator::Divide => a.checked_div(*b),
                _ => a.checked_rem(*b),
            };
            result.map(Val::Int).ok_or_else(overflow)
        }
        (Val::Float(a), Val::Float(b)) => match operator {
            Operator::Add => Ok(Val::Float(a + b)),
            Operator::Subtract => Ok(Val::Float(a - b)),
            Operator::Multiply => Ok(Val::Float(a * b)),
            Operator::Divide => Ok(Val::Float(a / b)),
            _ => Err(do_not_go(operator, left, right)),
        },
        (Val::Int(_) | Val::Float(_), Val::Int(_) | Val::Float(_)) => {
            Err(format!("`{}` takes two numbers of one type: convert one with `double()` or `int()`", operator.sign()))
        }
        _ => Err(do_not_go(operator, left, right)),
    }
}

fn do_not_go(operator: Operator, left: &Val<'_>, right: &Val<'_>) -> String {
    format!("`{}` does not go with {} and {}", operator.sign(), left.kind(), right.kind())
}

fn overflow() -> String {
    "the result is out of the range of whole numbers".into()
}
