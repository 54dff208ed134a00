//! Runs a compiled condition on a message.
use std::borrow::Cow;

use super::Verdict;
use super::body::Subject;
use super::compile::{Instruction, Program, Type};
use super::function;
use super::syntax::Literal;
use super::value::{self, Value};

/// Evaluates a program. It never fails: what cannot be answered is undefined.
pub(super) fn evaluate(program: &Program, subject: &Subject) -> Verdict {
    let mut stack = Vec::new();
    for instruction in &program.instructions {
        let pushed = step(instruction, &mut stack, subject);
        stack.push(pushed);
    }
    match stack.pop() {
        Some(Value::Bool(true)) => Verdict::True,
        Some(Value::Bool(false)) => Verdict::False,
        Some(Value::Null) if program.result == Type::Null => Verdict::False,
        _ => Verdict::Undefined,
    }
}

fn step<'a>(instruction: &'a Instruction, stack: &mut Vec<Value<'a>>, subject: &'a Subject) -> Value<'a> {
    match instruction {
        Instruction::Literal(literal) => literal_value(literal),
        Instruction::Application(name) => application(name, subject).unwrap_or(Value::Undefined),
        Instruction::System { application: alias, name } => alias
            .as_deref()
            .and_then(|alias| application(alias, subject))
            .or_else(|| system(name, subject))
            .unwrap_or(Value::Undefined),
        Instruction::Body { application: alias, path } => {
            alias.as_deref().and_then(|alias| application(alias, subject)).unwrap_or_else(|| subject.body_value(path))
        }
        Instruction::Negate => match pop(stack) {
            Value::Number(number) => Value::Number(-number),
            _ => Value::Undefined,
        },
        Instruction::Not => match pop(stack) {
            Value::Bool(operand) => Value::Bool(!operand),
            Value::Null => Value::Bool(true),
            _ => Value::Undefined,
        },
        Instruction::NotDynamic => match pop(stack) {
            Value::Bool(operand) => Value::Bool(!operand),
            _ => Value::Undefined,
        },
        Instruction::Call { function, arguments } => {
            let given = stack.split_off(stack.len().saturating_sub(*arguments));
            function::call(*function, &given)
        }
        _ => {
            let right = pop(stack);
            binary(instruction, pop(stack), right)
        }
    }
}

fn binary<'a>(instruction: &Instruction, left: Value<'a>, right: Value<'a>) -> Value<'a> {
    match instruction {
        Instruction::Arithmetic(operator) => match value::calculate(*operator, &left, &right) {
            Value::Number(number) => Value::number(number),
            other => other,
        },
        Instruction::ArithmeticDynamic(operator) => value::calculate(*operator, &left, &right),
        Instruction::Compare(_) if value::is_text_without_value(&left) || value::is_text_without_value(&right) => {
            Value::Undefined
        }
        Instruction::Compare(comparison) | Instruction::CompareDynamic(comparison) => value::order(&left, &right)
            .map_or(Value::Undefined, |order| Value::Bool(value::satisfies(order, *comparison))),
        Instruction::And => value::and(&left, &right),
        Instruction::Or => value::or(left, right),
        Instruction::AndDynamic => value::both_bool(&left, &right, |left, right| left && right),
        Instruction::OrDynamic => value::both_bool(&left, &right, |left, right| left || right),
        Instruction::Coalesce => {
            if left.is_defined() {
                left
            } else {
                right
            }
        }
        _ => Value::Undefined,
    }
}

fn pop<'a>(stack: &mut Vec<Value<'a>>) -> Value<'a> {
    stack.pop().unwrap_or(Value::Undefined)
}

fn literal_value(literal: &Literal) -> Value<'_> {
    match literal {
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Number(number) => Value::Number(*number),
        Literal::Text(text) => Value::Text(Some(Cow::Borrowed(text))),
        Literal::Null => Value::Null,
        Literal::Undefined => Value::Undefined,
    }
}

fn application<'a>(name: &str, subject: &'a Subject) -> Option<Value<'a>> {
    subject.message.application(name).map(Value::Text)
}

/// A system property; the correlation id has two names.
fn system<'a>(name: &str, subject: &'a Subject) -> Option<Value<'a>> {
    let other_name = if name.eq_ignore_ascii_case("correlationId") {
        Some("cid")
    } else if name.eq_ignore_ascii_case("cid") {
        Some("correlationId")
    } else {
        None
    };
    let found = subject.message.system(name).or_else(|| subject.message.system(other_name?));
    found.map(|value| Value::Text(Some(value)))
}
