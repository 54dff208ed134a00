//! Values of a condition while a message is looked at, and the logic and order of them.
//!
//! A value is *static* (its type was known when the condition was compiled: literals, properties, results of functions)
//! or *dynamic* (it came from the body). Both use [`Value`]; where the same operator means different things for the two,
//! the compiler chooses the function. What differs:
//!
//! | | static | dynamic |
//! | --- | --- | --- |
//! | not-a-number | undefined ([`Value::number`]) | a defined number below all others |
//! | text property without value | makes comparisons undefined | a text below all others |
//! | `and`, `or` | three-valued, null counts as false | undefined unless both sides are bool |
//! | types differ | cannot be: does not compile | ordered bool < number < text < null |
use std::borrow::Cow;
use std::cmp::Ordering;

use super::syntax::{Arithmetic, Comparison};
use super::text;

/// A value on the stack.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Undefined,
    Null,
    /// The null of a body path that leads nowhere. It is null for everything but `is_null`.
    Missing,
    Bool(bool),
    Number(f64),
    /// `None`: a property that is there but has no value.
    Text(Option<Cow<'a, str>>),
}

impl Value<'_> {
    /// A static number: not-a-number is how the original writes an undefined one.
    pub(super) fn number(number: f64) -> Self {
        if number.is_nan() { Self::Undefined } else { Self::Number(number) }
    }

    pub(super) fn is_defined(&self) -> bool {
        *self != Self::Undefined
    }

    /// The place of the value's type in the order across types.
    fn rank(&self) -> u8 {
        match self {
            Self::Undefined => 0,
            Self::Bool(_) => 1,
            Self::Number(_) => 2,
            Self::Text(_) => 3,
            Self::Null | Self::Missing => 4,
        }
    }
}

/// A property without value: it has no place among static texts.
pub(super) fn is_text_without_value(value: &Value) -> bool {
    matches!(value, Value::Text(None))
}

/// The order of two values, `None` when one of them is undefined.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    if !left.is_defined() || !right.is_defined() {
        return None;
    }
    Some(match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => order_of_numbers(*left, *right),
        (Value::Text(Some(left)), Value::Text(Some(right))) => text::order(left, right),
        (Value::Text(left), Value::Text(right)) => left.is_some().cmp(&right.is_some()),
        _ => left.rank().cmp(&right.rank()),
    })
}

/// Not-a-number is below all numbers and equal to itself.
fn order_of_numbers(left: f64, right: f64) -> Ordering {
    left.partial_cmp(&right).unwrap_or_else(|| right.is_nan().cmp(&left.is_nan()))
}

/// Whether an order satisfies a comparison.
pub(super) fn satisfies(order: Ordering, comparison: Comparison) -> bool {
    match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    }
}

/// Calculates with two numbers; anything else is undefined.
pub(super) fn calculate<'a>(operator: Arithmetic, left: &Value, right: &Value) -> Value<'a> {
    let (Value::Number(left), Value::Number(right)) = (left, right) else { return Value::Undefined };
    Value::Number(match operator {
        Arithmetic::Add => left + right,
        Arithmetic::Subtract => left - right,
        Arithmetic::Multiply => left * right,
        Arithmetic::Divide => left / right,
        Arithmetic::Remainder => left % right,
    })
}

/// `and` of static values. Null takes part as a value of its own: `null and true` is null.
pub(super) fn and<'a>(left: &Value, right: &Value) -> Value<'a> {
    match (left, right) {
        (Value::Null, _) | (_, Value::Null) => Value::Null,
        (Value::Bool(false), _) | (_, Value::Bool(false)) => Value::Bool(false),
        (Value::Bool(true), Value::Bool(true)) => Value::Bool(true),
        _ => Value::Undefined,
    }
}

/// `or` of static values; null gives way to the other side.
pub(super) fn or<'a>(left: Value<'a>, right: Value<'a>) -> Value<'a> {
    match (left, right) {
        (Value::Null, other) | (other, Value::Null) => other,
        (Value::Bool(true), _) | (_, Value::Bool(true)) => Value::Bool(true),
        (Value::Bool(false), Value::Bool(false)) => Value::Bool(false),
        _ => Value::Undefined,
    }
}

/// `and`, `or` as soon as the left side is from the body: undefined even where one side would decide.
pub(super) fn both_bool<'a>(left: &Value, right: &Value, decide: impl Fn(bool, bool) -> bool) -> Value<'a> {
    match (left, right) {
        (Value::Bool(left), Value::Bool(right)) => Value::Bool(decide(*left, *right)),
        _ => Value::Undefined,
    }
}
