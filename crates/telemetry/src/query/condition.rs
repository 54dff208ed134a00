//! Conditions of `WHERE`: checked against the columns' types, evaluated on a message, and turned into bounds of time and devices
//! so that most of what cannot match is never read.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plan::{Resolver, Source, TelemetryColumn};
use super::syntax::{Column, Comparison, Condition, Literal, Window};
use super::{ColumnSchema, DeviceFacts, RunQueryError};
use crate::row::{Row, Value};
use crate::selection::{Devices, TimeRange};
use model::timestamp::parse_timestamp;

/// A condition whose columns are known and whose types fit.
#[derive(Debug)]
pub(super) enum Check {
    All(Vec<Check>),
    Any(Vec<Check>),
    Telemetry { column: TelemetryColumn, comparison: Comparison, literal: Literal },
    TelemetryIn { column: TelemetryColumn, literals: Vec<Literal> },
    IdIn(BTreeSet<Arc<str>>),
    IdIsNot(Arc<str>),
    Provisioned(bool),
    Simulated(bool),
    Time(TimeRange),
    TimeIsNot(i64),
}

pub(super) fn plan_condition(
    condition: &Condition,
    resolver: &Resolver<'_>,
    now_ms: i64,
) -> Result<Check, RunQueryError> {
    let plan_all = |parts: &[Condition]| -> Result<Vec<Check>, RunQueryError> {
        parts.iter().map(|part| plan_condition(part, resolver, now_ms)).collect()
    };
    match condition {
        Condition::And(parts) => Ok(Check::All(plan_all(parts)?)),
        Condition::Or(parts) => Ok(Check::Any(plan_all(parts)?)),
        Condition::WithinWindow { window, .. } => Ok(Check::Time(match window {
            Window::Fixed(range) => *range,
            Window::Last(length_ms) => {
                TimeRange { from_ms: now_ms.saturating_sub(*length_ms), to_ms: now_ms.saturating_add(1) }
            }
        })),
        Condition::Compare { column, comparison, literal } => {
            plan_comparison(column, resolver.source(column)?, *comparison, literal)
        }
        Condition::In { column, literals } => plan_in(column, resolver.source(column)?, literals),
    }
}

fn plan_comparison(
    column: &Column,
    source: Source,
    comparison: Comparison,
    literal: &Literal,
) -> Result<Check, RunQueryError> {
    let is_equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    match (source, literal) {
        (Source::Telemetry(telemetry), _) => {
            check_type(column, &telemetry, literal)?;
            if !is_equality && !matches!(literal, Literal::Number(_)) {
                return Err(RunQueryError::invalid(
                    column.position,
                    "text and booleans can be compared with = and != only",
                ));
            }
            Ok(Check::Telemetry { column: telemetry, comparison, literal: literal.clone() })
        }
        (Source::Id, Literal::Text(id)) if comparison == Comparison::Equal => {
            Ok(Check::IdIn(BTreeSet::from([Arc::from(id.as_str())])))
        }
        (Source::Id, Literal::Text(id)) if comparison == Comparison::NotEqual => {
            Ok(Check::IdIsNot(Arc::from(id.as_str())))
        }
        (Source::Provisioned, Literal::Boolean(value)) if is_equality => {
            Ok(Check::Provisioned(*value == (comparison == Comparison::Equal)))
        }
        (Source::Simulated, Literal::Boolean(value)) if is_equality => {
            Ok(Check::Simulated(*value == (comparison == Comparison::Equal)))
        }
        (Source::Ts, Literal::Text(text)) => match parse_timestamp(text) {
            Some(ts_ms) => Ok(time_check(comparison, ts_ms)),
            None => Err(RunQueryError::invalid(column.position, format!("'{text}' is not a time"))),
        },
        (Source::Id | Source::Ts | Source::Provisioned | Source::Simulated, _) => {
            Err(RunQueryError::invalid(column.position, format!("{} cannot be compared like this", column.path)))
        }
    }
}

fn plan_in(column: &Column, source: Source, literals: &[Literal]) -> Result<Check, RunQueryError> {
    match source {
        Source::Telemetry(telemetry) => {
            for literal in literals {
                check_type(column, &telemetry, literal)?;
            }
            Ok(Check::TelemetryIn { column: telemetry, literals: literals.to_vec() })
        }
        Source::Id => {
            let ids = literals.iter().map(|literal| match literal {
                Literal::Text(id) => Ok(Arc::from(id.as_str())),
                _ => Err(RunQueryError::invalid(column.position, "$id is a text")),
            });
            Ok(Check::IdIn(ids.collect::<Result<_, _>>()?))
        }
        Source::Ts | Source::Provisioned | Source::Simulated => {
            Err(RunQueryError::invalid(column.position, format!("IN cannot be used with {}", column.path)))
        }
    }
}

fn check_type(column: &Column, telemetry: &TelemetryColumn, literal: &Literal) -> Result<(), RunQueryError> {
    let holds = match (telemetry.schema, literal) {
        (ColumnSchema::Unknown, _)
        | (ColumnSchema::Number, Literal::Number(_))
        | (ColumnSchema::Text, Literal::Text(_))
        | (ColumnSchema::Boolean, Literal::Boolean(_)) => return Ok(()),
        (ColumnSchema::Structured, _) => {
            let message = format!("{} can be selected, but not compared", column.path);
            return Err(RunQueryError::invalid(column.position, message));
        }
        (ColumnSchema::Number, _) => "numbers",
        (ColumnSchema::Text, _) => "text",
        (ColumnSchema::Boolean, _) => "booleans",
    };
    Err(RunQueryError::invalid(column.position, format!("{} holds {holds}", column.path)))
}

/// Times have whole milliseconds, so every comparison but `!=` is a half-open range.
fn time_check(comparison: Comparison, ts_ms: i64) -> Check {
    let after = ts_ms.saturating_add(1);
    let (from_ms, to_ms) = match comparison {
        Comparison::NotEqual => return Check::TimeIsNot(ts_ms),
        Comparison::Equal => (ts_ms, after),
        Comparison::Greater => (after, i64::MAX),
        Comparison::GreaterOrEqual => (ts_ms, i64::MAX),
        Comparison::Less => (i64::MIN, ts_ms),
        Comparison::LessOrEqual => (i64::MIN, after),
    };
    Check::Time(TimeRange { from_ms, to_ms })
}

impl Check {
    /// Whether a message passes.
    pub fn passes(&self, row: &Row, facts: DeviceFacts) -> bool {
        match self {
            Check::All(checks) => checks.iter().all(|check| check.passes(row, facts)),
            Check::Any(checks) => checks.iter().any(|check| check.passes(row, facts)),
            Check::Telemetry { column, comparison, literal } => {
                column.value(row).is_some_and(|value| compare(value, *comparison, literal))
            }
            Check::TelemetryIn { column, literals } => column
                .value(row)
                .is_some_and(|value| literals.iter().any(|literal| compare(value, Comparison::Equal, literal))),
            Check::IdIn(ids) => ids.contains(&row.device),
            Check::IdIsNot(id) => row.device != *id,
            Check::Provisioned(wanted) => facts.provisioned == *wanted,
            Check::Simulated(wanted) => facts.simulated == *wanted,
            Check::Time(range) => range.contains(row.ts_ms),
            Check::TimeIsNot(ts_ms) => row.ts_ms != *ts_ms,
        }
    }

    /// A range of time outside of which no message passes.
    pub fn range(&self) -> TimeRange {
        const NOTHING: TimeRange = TimeRange { from_ms: 0, to_ms: 0 };
        match self {
            Check::All(checks) => {
                checks.iter().map(Check::range).fold(TimeRange::ALL, |range, other| range.intersect(other))
            }
            Check::Any(checks) => checks.iter().map(Check::range).fold(NOTHING, |range, other| range.hull(other)),
            Check::Time(range) => *range,
            _ => TimeRange::ALL,
        }
    }

    /// Devices other than which no message passes.
    pub fn devices(&self) -> Devices {
        match self {
            Check::All(checks) => {
                checks.iter().map(Check::devices).fold(Devices::Any, |known, other| match (known, other) {
                    (Devices::Any, devices) | (devices, Devices::Any) => devices,
                    (Devices::Listed(known), Devices::Listed(other)) => {
                        Devices::Listed(known.intersection(&other).cloned().collect())
                    }
                })
            }
            Check::Any(checks) => {
                checks.iter().map(Check::devices).fold(Devices::Listed(BTreeSet::new()), |known, other| {
                    match (known, other) {
                        (Devices::Any, _) | (_, Devices::Any) => Devices::Any,
                        (Devices::Listed(known), Devices::Listed(other)) => {
                            Devices::Listed(known.union(&other).cloned().collect())
                        }
                    }
                })
            }
            Check::IdIn(ids) => Devices::Listed(ids.clone()),
            _ => Devices::Any,
        }
    }

    /// The telemetry names that have to be read to check.
    pub fn collect_names(&self, names: &mut Vec<Arc<str>>) {
        match self {
            Check::All(checks) | Check::Any(checks) => {
                for check in checks {
                    check.collect_names(names);
                }
            }
            Check::Telemetry { column, .. } | Check::TelemetryIn { column, .. } => names.push(column.name.clone()),
            _ => {}
        }
    }
}

/// A value of another type than the literal never matches, not even `!=`.
fn compare(value: &Value, comparison: Comparison, literal: &Literal) -> bool {
    match (value, literal) {
        (Value::Text(value), Literal::Text(text)) => is_equality_true(comparison, value.as_ref() == text),
        (Value::Boolean(value), Literal::Boolean(boolean)) => is_equality_true(comparison, value == boolean),
        (Value::Double(_) | Value::Integer(_), Literal::Number(number)) => {
            let value = value.as_number().unwrap_or(f64::NAN);
            match comparison {
                Comparison::Equal => value == *number,
                Comparison::NotEqual => value != *number,
                Comparison::Greater => value > *number,
                Comparison::Less => value < *number,
                Comparison::GreaterOrEqual => value >= *number,
                Comparison::LessOrEqual => value <= *number,
            }
        }
        _ => false,
    }
}

fn is_equality_true(comparison: Comparison, is_equal: bool) -> bool {
    match comparison {
        Comparison::Equal => is_equal,
        Comparison::NotEqual => !is_equal,
        Comparison::Greater | Comparison::Less | Comparison::GreaterOrEqual | Comparison::LessOrEqual => false,
    }
}
