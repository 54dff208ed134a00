//! The aggregate functions: one accumulator for each item of each group.

use super::syntax::AggregateFunction;
use crate::row::Value;

/// What an aggregate has seen so far.
#[derive(Debug, Clone)]
pub(super) enum Accumulator {
    Count(u64),
    Sum(Total),
    Average(Total),
    Smallest(Option<Value>),
    Largest(Option<Value>),
    First(Option<(i64, u64, Value)>),
    Last(Option<(i64, u64, Value)>),
}

/// A sum that stays whole while the numbers are.
#[derive(Debug, Clone, Default)]
pub(super) struct Total {
    integers: i128,
    doubles: f64,
    has_doubles: bool,
    count: u64,
}

/// Whether the function has a use for the value.
pub(super) fn takes(function: AggregateFunction, value: &Value) -> bool {
    match function {
        AggregateFunction::Count | AggregateFunction::First | AggregateFunction::Last => true,
        AggregateFunction::Avg | AggregateFunction::Max | AggregateFunction::Min | AggregateFunction::Sum => {
            value.as_number().is_some_and(|number| !number.is_nan())
        }
    }
}

impl Accumulator {
    pub fn new(function: AggregateFunction) -> Self {
        match function {
            AggregateFunction::Count => Accumulator::Count(0),
            AggregateFunction::Sum => Accumulator::Sum(Total::default()),
            AggregateFunction::Avg => Accumulator::Average(Total::default()),
            AggregateFunction::Min => Accumulator::Smallest(None),
            AggregateFunction::Max => Accumulator::Largest(None),
            AggregateFunction::First => Accumulator::First(None),
            AggregateFunction::Last => Accumulator::Last(None),
        }
    }

    /// Counts a message that has the column; all that `COUNT($ts)` needs.
    pub fn count(&mut self) {
        if let Accumulator::Count(count) = self {
            *count += 1;
        }
    }

    /// Takes the value of a message, one that the function [`takes`].
    pub fn add(&mut self, ts_ms: i64, offset: u64, value: &Value) {
        match self {
            Accumulator::Count(count) => *count += 1,
            Accumulator::Sum(total) | Accumulator::Average(total) => total.add(value),
            Accumulator::Smallest(smallest) => keep_if(smallest, value, |new, kept| new < kept),
            Accumulator::Largest(largest) => keep_if(largest, value, |new, kept| new > kept),
            Accumulator::First(first) => {
                if first.as_ref().is_none_or(|(ts, at, _)| (ts_ms, offset) < (*ts, *at)) {
                    *first = Some((ts_ms, offset, value.clone()));
                }
            }
            Accumulator::Last(last) => {
                if last.as_ref().is_none_or(|(ts, at, _)| (ts_ms, offset) >= (*ts, *at)) {
                    *last = Some((ts_ms, offset, value.clone()));
                }
            }
        }
    }

    /// The result; `None` when there was no value to take it of.
    pub fn result(&self) -> Option<Value> {
        match self {
            Accumulator::Count(count) => Some(Value::Integer(i64::try_from(*count).unwrap_or(i64::MAX))),
            Accumulator::Sum(total) => total.sum(),
            Accumulator::Average(total) => total.average(),
            Accumulator::Smallest(value) | Accumulator::Largest(value) => value.clone(),
            Accumulator::First(value) | Accumulator::Last(value) => value.as_ref().map(|(_, _, value)| value.clone()),
        }
    }
}

impl Total {
    fn add(&mut self, value: &Value) {
        match value {
            Value::Integer(value) => self.integers += i128::from(*value),
            Value::Double(value) => {
                self.doubles += value;
                self.has_doubles = true;
            }
            Value::Boolean(_) | Value::Text(_) | Value::Json(_) => return,
        }
        self.count += 1;
    }

    fn sum(&self) -> Option<Value> {
        match (self.count, self.has_doubles, i64::try_from(self.integers)) {
            (0, _, _) => None,
            (_, false, Ok(sum)) => Some(Value::Integer(sum)),
            _ => Some(Value::Double(self.doubles + self.integers as f64)),
        }
    }

    fn average(&self) -> Option<Value> {
        (self.count > 0).then(|| Value::Double((self.doubles + self.integers as f64) / self.count as f64))
    }
}

fn keep_if(kept: &mut Option<Value>, value: &Value, is_better: fn(f64, f64) -> bool) {
    let Some(number) = value.as_number() else { return };
    if kept.as_ref().and_then(Value::as_number).is_none_or(|kept| is_better(number, kept)) {
        *kept = Some(value.clone());
    }
}
