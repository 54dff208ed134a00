//! The functions of conditions: names, argument types, results.
//!
//! A body value is accepted for every argument. Whatever is not of the wanted type when the message arrives makes the
//! result undefined, except for the `is_…` questions, which answer false.
use std::borrow::Cow;

use super::compile::Type;
use super::value::Value;
use super::{literal, text};

/// A function chosen for the types of its arguments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Function {
    OfNumber(NumberFunction),
    Power,
    AsNumber,
    IsBool,
    IsNumber,
    IsText,
    IsTextWithoutValue,
    /// **Quirk**: true for every body value that is there, null included, false for a missing path.
    IsNotMissing,
    IsDefined,
    /// The types alone decide.
    Always(bool),
    Concat,
    Length,
    Lower,
    Upper,
    Substring,
    IndexOf,
    StartsWith,
    EndsWith,
    Contains,
}

/// A function of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberFunction {
    Abs,
    Ceiling,
    Exp,
    Floor,
    Sign,
    Sqrt,
    Square,
}

/// Why a call does not compile.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CallError {
    UnknownFunction,
    WrongArguments,
}

/// Finds the function of a name, in any case, for arguments of these types, and the type of its result.
pub(super) fn resolve(name: &str, arguments: &[Type]) -> Result<(Function, Type), CallError> {
    let name = name.to_ascii_lowercase();
    let number = |argument: &Type| matches!(argument, Type::Number | Type::Dynamic);
    let string = |argument: &Type| matches!(argument, Type::Text | Type::Dynamic);
    let (function, result, fits) = match name.as_str() {
        "abs" | "ceiling" | "exp" | "floor" | "sign" | "sqrt" | "square" => {
            let function = Function::OfNumber(function_of_number(&name));
            (function, Type::Number, matches!(arguments, [argument] if number(argument)))
        }
        "power" => (Function::Power, Type::Number, arguments.len() == 2 && arguments.iter().all(number)),
        "as_number" => {
            let fits = matches!(arguments, [argument] if string(argument) || number(argument));
            (Function::AsNumber, Type::Number, fits)
        }
        "is_bool" | "is_number" | "is_string" | "is_null" | "is_defined" => {
            let [argument] = arguments else { return Err(CallError::WrongArguments) };
            (question(&name, *argument), Type::Bool, true)
        }
        "concat" => (Function::Concat, Type::Text, arguments.len() >= 2 && arguments.iter().all(string)),
        "length" => (Function::Length, Type::Number, matches!(arguments, [argument] if string(argument))),
        "lower" => (Function::Lower, Type::Text, matches!(arguments, [argument] if string(argument))),
        "upper" => (Function::Upper, Type::Text, matches!(arguments, [argument] if string(argument))),
        "substring" => {
            let fits = matches!(arguments, [whole, places @ ..]
                if string(whole) && matches!(places.len(), 1 | 2) && places.iter().all(number));
            (Function::Substring, Type::Text, fits)
        }
        "index_of" | "starts_with" | "ends_with" | "contains" => {
            let (function, result) = match name.as_str() {
                "index_of" => (Function::IndexOf, Type::Number),
                "starts_with" => (Function::StartsWith, Type::Bool),
                "ends_with" => (Function::EndsWith, Type::Bool),
                _ => (Function::Contains, Type::Bool),
            };
            (function, result, arguments.len() == 2 && arguments.iter().all(string))
        }
        _ => return Err(CallError::UnknownFunction),
    };
    if fits { Ok((function, result)) } else { Err(CallError::WrongArguments) }
}

fn function_of_number(name: &str) -> NumberFunction {
    match name {
        "abs" => NumberFunction::Abs,
        "ceiling" => NumberFunction::Ceiling,
        "exp" => NumberFunction::Exp,
        "floor" => NumberFunction::Floor,
        "sign" => NumberFunction::Sign,
        "sqrt" => NumberFunction::Sqrt,
        _ => NumberFunction::Square,
    }
}

fn of_number(function: NumberFunction, number: f64) -> f64 {
    match function {
        NumberFunction::Abs => number.abs(),
        NumberFunction::Ceiling => number.ceil(),
        NumberFunction::Exp => number.exp(),
        NumberFunction::Floor => number.floor(),
        NumberFunction::Sign if number == 0.0 => 0.0,
        NumberFunction::Sign => number.signum(),
        NumberFunction::Sqrt => number.sqrt(),
        NumberFunction::Square => number * number,
    }
}

/// A question about one value: where the type already answers, the value is not looked at.
fn question(name: &str, argument: Type) -> Function {
    match (name, argument) {
        ("is_bool", Type::Bool | Type::Dynamic) => Function::IsBool,
        ("is_number", Type::Number | Type::Dynamic) => Function::IsNumber,
        ("is_string", Type::Text | Type::Dynamic) => Function::IsText,
        ("is_null", Type::Text) => Function::IsTextWithoutValue,
        ("is_null", Type::Dynamic) => Function::IsNotMissing,
        ("is_null" | "is_defined", Type::Null) => Function::Always(true),
        ("is_defined", Type::Undefined) => Function::Always(false),
        ("is_defined", _) => Function::IsDefined,
        _ => Function::Always(false),
    }
}

/// Calls a function; `arguments` are as many as it was resolved for.
pub(super) fn call<'a>(function: Function, arguments: &[Value<'a>]) -> Value<'a> {
    match (function, arguments) {
        (Function::OfNumber(function), [Value::Number(number)]) => Value::number(of_number(function, *number)),
        (Function::Power, [Value::Number(base), Value::Number(power)]) => Value::number(base.powf(*power)),
        (Function::AsNumber, [argument]) => match argument {
            Value::Number(number) => Value::number(*number),
            Value::Text(Some(text)) => literal::number_of_text(text).map_or(Value::Undefined, Value::number),
            _ => Value::Undefined,
        },
        (Function::IsBool, [argument]) => match argument {
            Value::Undefined => Value::Undefined,
            other => Value::Bool(matches!(other, Value::Bool(_))),
        },
        (Function::IsNumber, [argument]) => {
            Value::Bool(matches!(argument, Value::Number(number) if number.is_finite()))
        }
        (Function::IsText, [argument]) => Value::Bool(matches!(argument, Value::Text(Some(_)))),
        (Function::IsTextWithoutValue, [argument]) => Value::Bool(*argument == Value::Text(None)),
        (Function::IsNotMissing, [argument]) => match argument {
            Value::Undefined => Value::Undefined,
            other => Value::Bool(*other != Value::Missing),
        },
        (Function::IsDefined, [argument]) => Value::Bool(argument.is_defined()),
        (Function::Always(answer), _) => Value::Bool(answer),
        (Function::Concat, parts) => concat(parts),
        (Function::Length, [Value::Text(Some(text))]) => Value::number(text::length(text) as f64),
        (Function::Lower, [Value::Text(Some(text))]) => owned(text::lower(text)),
        (Function::Upper, [Value::Text(Some(text))]) => owned(text::upper(text)),
        (Function::Substring, [Value::Text(Some(text)), Value::Number(start), count @ ..]) => {
            substring(text, *start, count)
        }
        (_, [Value::Text(Some(text)), Value::Text(Some(part))]) => search(function, text, part),
        _ => Value::Undefined,
    }
}

fn owned<'a>(text: String) -> Value<'a> {
    Value::Text(Some(Cow::Owned(text)))
}

/// Joins texts; one without value counts as empty, anything else makes the result undefined.
fn concat<'a>(parts: &[Value]) -> Value<'a> {
    let mut joined = String::new();
    for part in parts {
        match part {
            Value::Text(text) => joined.push_str(text.as_deref().unwrap_or_default()),
            _ => return Value::Undefined,
        }
    }
    owned(joined)
}

/// With a count the start must be below the length; without one it may be the length. Fractions are cut after the check.
fn substring<'a>(text: &str, start: f64, count: &[Value]) -> Value<'a> {
    let length = text::length(text) as f64;
    match count {
        [] if (0.0..=length).contains(&start) => owned(text::substring(text, start as usize, None)),
        [Value::Number(count)] if (0.0..length).contains(&start) && (0.0..=length - start).contains(count) => {
            owned(text::substring(text, start as usize, Some(*count as usize)))
        }
        _ => Value::Undefined,
    }
}

fn search<'a>(function: Function, text: &str, part: &str) -> Value<'a> {
    match function {
        Function::IndexOf => Value::Number(text::index_of(text, part).map_or(-1.0, |at| at as f64)),
        Function::StartsWith => Value::Bool(text.starts_with(part)),
        Function::EndsWith => Value::Bool(text.ends_with(part)),
        Function::Contains => Value::Bool(text.contains(part)),
        _ => Value::Undefined,
    }
}
