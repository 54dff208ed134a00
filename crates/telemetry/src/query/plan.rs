//! From the syntax tree to what has to be computed: names resolved, types checked, everything unusable refused with its place.

use std::sync::Arc;

use super::condition::{Check, plan_condition};
use super::syntax::{AggregateFunction, Column, Condition, Expression, Item, Query};
use super::{ColumnKind, ColumnSchema, QueryColumns, QueryDevices, RunQueryError};
use crate::limits::QUERY_ROWS_MAX;
use crate::row::{Row, Value};
use crate::selection::{Devices, Names, Part, Selection, TimeRange};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Source {
    Id,
    Ts,
    Provisioned,
    Simulated,
    Telemetry(TelemetryColumn),
}

/// A telemetry column of the template.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TelemetryColumn {
    pub module: Option<Arc<str>>,
    pub component: Option<Arc<str>>,
    pub name: Arc<str>,
    pub schema: ColumnSchema,
}

impl TelemetryColumn {
    /// The value of the column in a message.
    pub fn value<'a>(&self, row: &'a Row) -> Option<&'a Value> {
        if row.is_of(self.module.as_deref(), self.component.as_deref()) { row.value(&self.name) } else { None }
    }
}

/// One item of the answer.
#[derive(Debug)]
pub(super) struct PlannedItem {
    pub output: String,
    pub source: Source,
    pub aggregate: Option<AggregateFunction>,
}

/// One key of the order.
#[derive(Debug)]
pub(super) struct PlannedOrder {
    pub by: OrderKey,
    pub descending: bool,
}

#[derive(Debug)]
pub(super) enum OrderKey {
    /// A value of the message (or the group's window and device).
    Source(Source),
    /// An aggregated item, by its place in `SELECT`.
    Item(usize),
}

/// A query ready to run.
#[derive(Debug)]
pub(super) struct Plan {
    pub items: Vec<PlannedItem>,
    pub check: Option<Check>,
    pub group_window_ms: Option<i64>,
    pub order: Vec<PlannedOrder>,
    pub rows_max: usize,
}

impl Plan {
    pub fn new(query: &Query, context: &dyn QueryColumns, now_ms: i64) -> Result<Plan, RunQueryError> {
        let resolver = Resolver { items: &query.items, context };
        refuse_properties(query, &resolver)?;
        let items = query.items.iter().map(|item| resolver.item(item)).collect::<Result<Vec<_>, _>>()?;
        let plan = Plan {
            check: query
                .condition
                .as_ref()
                .map(|condition| plan_condition(condition, &resolver, now_ms))
                .transpose()?,
            group_window_ms: query.group_window_ms,
            rows_max: query
                .top
                .map_or(QUERY_ROWS_MAX, |top| usize::try_from(top).unwrap_or(QUERY_ROWS_MAX))
                .min(QUERY_ROWS_MAX),
            order: Vec::new(),
            items,
        };
        if plan.is_aggregate() || plan.group_window_ms.is_some() {
            plan.check_grouping(query)?;
        }
        let order = query.order.iter().map(|order| {
            Ok(PlannedOrder { by: plan.order_key(&order.column, &resolver)?, descending: order.descending })
        });
        let order = order.collect::<Result<Vec<_>, _>>()?;
        Ok(Plan { order, ..plan })
    }

    pub fn is_aggregate(&self) -> bool {
        self.items.iter().any(|item| item.aggregate.is_some())
    }

    /// Whether there is a row for each device.
    pub fn is_by_device(&self) -> bool {
        self.items.iter().any(|item| {
            item.aggregate.is_none() && matches!(item.source, Source::Id | Source::Provisioned | Source::Simulated)
        })
    }

    /// Beside aggregates only what is the same for all messages of a group can stand.
    fn check_grouping(&self, query: &Query) -> Result<(), RunQueryError> {
        if !self.is_aggregate() {
            return Err(RunQueryError::invalid(1, "GROUP BY WINDOW needs an aggregate function in SELECT"));
        }
        for (planned, item) in self.items.iter().zip(&query.items) {
            let column = item.column();
            let message = match (&planned.source, planned.aggregate) {
                (Source::Telemetry(_), None) => format!("{} has to be in an aggregate function", column.path),
                (Source::Ts, None) if self.group_window_ms.is_none() => "$ts needs GROUP BY WINDOW here".to_owned(),
                _ => continue,
            };
            return Err(RunQueryError::invalid(column.position, message));
        }
        Ok(())
    }

    fn order_key(&self, column: &Column, resolver: &Resolver<'_>) -> Result<OrderKey, RunQueryError> {
        if !self.is_aggregate() {
            return Ok(OrderKey::Source(resolver.source(column)?));
        }
        if let Some(item) = self.items.iter().position(|item| item.output == column.path) {
            return Ok(match self.items[item].aggregate {
                Some(_) => OrderKey::Item(item),
                None => OrderKey::Source(self.items[item].source.clone()),
            });
        }
        match resolver.source(column)? {
            Source::Ts if self.group_window_ms.is_some() => Ok(OrderKey::Source(Source::Ts)),
            _ => {
                let message = format!("{} is not in the answer and cannot order it", column.path);
                Err(RunQueryError::invalid(column.position, message))
            }
        }
    }

    /// Devices other than which none can be in the answer.
    pub fn devices(&self) -> Devices {
        self.check.as_ref().map_or(Devices::Any, Check::devices)
    }

    /// The rows and values that have to be read. `None` when no device can match.
    pub fn selection(&self, context: &dyn QueryDevices) -> (Selection, Names) {
        let range = self.check.as_ref().map_or(TimeRange::ALL, Check::range);
        let mut devices = self.devices();
        if let Devices::Listed(listed) = &mut devices {
            listed.retain(|device| context.device(device).is_some());
        }
        let selected: Vec<&TelemetryColumn> = self.items.iter().filter_map(|item| item.source.telemetry()).collect();
        // Messages without any selected telemetry are left out, so only the parts it comes from have to be read.
        let only_telemetry_counts = !selected.is_empty()
            && self.items.iter().all(|item| item.aggregate.is_none() || item.source.telemetry().is_some());
        let (module, component) = if only_telemetry_counts {
            let modules = selected.iter().map(|column| &column.module);
            (Part::common(modules), Part::common(selected.iter().map(|column| &column.component)))
        } else {
            (Part::Any, Part::Any)
        };
        let mut names: Vec<Arc<str>> = selected.iter().map(|column| column.name.clone()).collect();
        if let Some(check) = &self.check {
            check.collect_names(&mut names);
        }
        names.extend(self.order.iter().filter_map(|order| match &order.by {
            OrderKey::Source(source) => source.telemetry().map(|column| column.name.clone()),
            OrderKey::Item(_) => None,
        }));
        (Selection { devices, module, component, range }, Names::Listed(names.into_iter().collect()))
    }
}

impl Source {
    pub fn telemetry(&self) -> Option<&TelemetryColumn> {
        match self {
            Source::Telemetry(column) => Some(column),
            _ => None,
        }
    }
}

/// Finds what names mean.
pub(super) struct Resolver<'a> {
    items: &'a [Item],
    context: &'a dyn QueryColumns,
}

impl Resolver<'_> {
    fn item(&self, item: &Item) -> Result<PlannedItem, RunQueryError> {
        let column = item.column();
        let source = self.template_source(column)?;
        let aggregate = match &item.expression {
            Expression::Column(_) => None,
            Expression::Aggregate(function, _) => {
                check_aggregate(*function, column, &source)?;
                Some(*function)
            }
        };
        Ok(PlannedItem { output: item.output_name(), source, aggregate })
    }

    /// What a name in `WHERE` or `ORDER BY` means: an alias, else a column.
    pub fn source(&self, column: &Column) -> Result<Source, RunQueryError> {
        match self.aliased(column) {
            Some(Expression::Column(aliased)) => self.template_source(aliased),
            Some(Expression::Aggregate(..)) => Err(RunQueryError::invalid(
                column.position,
                format!("{} is an aggregate and cannot be used here", column.path),
            )),
            None => self.template_source(column),
        }
    }

    fn aliased(&self, column: &Column) -> Option<&Expression> {
        self.items.iter().find(|item| item.alias.as_ref() == Some(&column.path)).map(|item| &item.expression)
    }

    fn template_source(&self, column: &Column) -> Result<Source, RunQueryError> {
        match column.path.as_str() {
            "$id" => Ok(Source::Id),
            "$ts" => Ok(Source::Ts),
            "$provisioned" => Ok(Source::Provisioned),
            "$simulated" => Ok(Source::Simulated),
            path => match self.context.column(path) {
                Some(resolved) if resolved.kind == ColumnKind::Telemetry => Ok(Source::Telemetry(TelemetryColumn {
                    module: resolved.module,
                    component: resolved.component,
                    name: resolved.name,
                    schema: resolved.schema,
                })),
                Some(_) => {
                    Err(RunQueryError::Unsupported { part: format!("the property {path}"), position: column.position })
                }
                None => Err(RunQueryError::UnknownColumn { name: path.to_owned(), position: column.position }),
            },
        }
    }

    /// The kind of a name, through its alias; `None` for those that go with either kind.
    fn kind(&self, column: &Column) -> Result<Option<ColumnKind>, RunQueryError> {
        let column = self.aliased(column).map_or(column, |expression| match expression {
            Expression::Column(column) | Expression::Aggregate(_, column) => column,
        });
        match self.template_source(column) {
            Ok(Source::Telemetry(_) | Source::Ts) => Ok(Some(ColumnKind::Telemetry)),
            Ok(Source::Id | Source::Provisioned | Source::Simulated) => Ok(None),
            Err(RunQueryError::Unsupported { .. }) => Ok(Some(ColumnKind::Property)),
            Err(error) => Err(error),
        }
    }
}

fn check_aggregate(function: AggregateFunction, column: &Column, source: &Source) -> Result<(), RunQueryError> {
    use AggregateFunction::{Avg, Count, First, Last, Max, Min, Sum};
    let takes = match (function, source) {
        (Count, _) | (First | Last, Source::Telemetry(_)) => true,
        (Avg | Max | Min | Sum, Source::Telemetry(column)) => {
            matches!(column.schema, ColumnSchema::Number | ColumnSchema::Unknown)
        }
        (_, Source::Id | Source::Ts | Source::Provisioned | Source::Simulated) => false,
    };
    if takes {
        return Ok(());
    }
    let message = format!("{} cannot be taken of {}", function.name().to_uppercase(), column.path);
    Err(RunQueryError::invalid(column.position, message))
}

/// A query is over telemetry or over properties, never both; over properties it is not answered here.
fn refuse_properties(query: &Query, resolver: &Resolver<'_>) -> Result<(), RunQueryError> {
    let mut columns: Vec<&Column> = query.items.iter().map(Item::column).collect();
    let mut has_window = false;
    if let Some(condition) = &query.condition {
        collect_columns(condition, &mut columns, &mut has_window);
    }
    let has_aggregate = query.items.iter().any(|item| matches!(item.expression, Expression::Aggregate(..)));
    let mut over_telemetry = has_window || has_aggregate || query.group_window_ms.is_some();
    let mut property: Option<&Column> = None;
    for column in columns {
        match resolver.kind(column)? {
            Some(ColumnKind::Telemetry) => over_telemetry = true,
            Some(ColumnKind::Property) => property = property.or(Some(column)),
            None => {}
        }
    }
    match (property, over_telemetry) {
        (None, true) => Ok(()),
        (Some(column), true) => {
            let message =
                format!("{} is a property: a query is over telemetry or over properties, never both", column.path);
            Err(RunQueryError::invalid(column.position, message))
        }
        (Some(column), false) => {
            Err(RunQueryError::Unsupported { part: format!("the property {}", column.path), position: column.position })
        }
        (None, false) => {
            Err(RunQueryError::Unsupported { part: "a list of devices without telemetry".to_owned(), position: 1 })
        }
    }
}

fn collect_columns<'a>(condition: &'a Condition, columns: &mut Vec<&'a Column>, has_window: &mut bool) {
    match condition {
        Condition::And(parts) | Condition::Or(parts) => {
            for part in parts {
                collect_columns(part, columns, has_window);
            }
        }
        Condition::Compare { column, .. } | Condition::In { column, .. } => columns.push(column),
        Condition::WithinWindow { .. } => *has_window = true,
    }
}
