//! Collecting the answer: rows of messages, or rows of groups.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::aggregate::{Accumulator, takes};
use super::plan::{OrderKey, Plan, Source};
use super::syntax::AggregateFunction;
use super::{Answer, DeviceFacts, QueryDevices};
use crate::limits::QUERY_ACCUMULATORS_MAX;
use crate::row::{Row, Value};
use crate::segment::SegmentMeta;
use crate::store::top::Top;
use crate::store::{Order, ScanError, SegmentOrder, Visitor, ties, time_key};
use model::timestamp::format_timestamp;

/// The devices met so far: each is asked for once.
struct KnownDevices<'a> {
    context: &'a dyn QueryDevices,
    known: HashMap<Arc<str>, Option<DeviceFacts>>,
}

impl KnownDevices<'_> {
    /// The facts of the row's device if the row counts: its device is visible, and it passes the condition.
    fn facts_if_counted(&mut self, plan: &Plan, row: &Row) -> Option<DeviceFacts> {
        let facts = match self.known.get(&row.device) {
            Some(facts) => *facts,
            None => {
                let facts = self.context.device(&row.device);
                self.known.insert(row.device.clone(), facts);
                facts
            }
        }?;
        plan.check.as_ref().is_none_or(|check| check.passes(row, facts)).then_some(facts)
    }
}

/// A value to order by. Numbers first, then booleans, then text; a missing value after all, whichever way.
#[derive(Debug, Clone, PartialEq)]
enum SortValue {
    Time(i64),
    Number(f64),
    Boolean(bool),
    Text(Arc<str>),
}

impl SortValue {
    fn of(value: &Value) -> SortValue {
        match value {
            Value::Double(number) => SortValue::Number(*number),
            Value::Integer(number) => SortValue::Number(*number as f64),
            Value::Boolean(value) => SortValue::Boolean(*value),
            Value::Text(text) | Value::Json(text) => SortValue::Text(text.clone()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            SortValue::Time(_) => 0,
            SortValue::Number(_) => 1,
            SortValue::Boolean(_) => 2,
            SortValue::Text(_) => 3,
        }
    }

    fn compare(&self, other: &SortValue) -> Ordering {
        match (self, other) {
            (SortValue::Time(left), SortValue::Time(right)) => left.cmp(right),
            (SortValue::Number(left), SortValue::Number(right)) => left.total_cmp(right),
            (SortValue::Boolean(left), SortValue::Boolean(right)) => left.cmp(right),
            (SortValue::Text(left), SortValue::Text(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// A value to order by, with its direction.
#[derive(Debug, Clone)]
struct SortKey {
    value: Option<SortValue>,
    descending: bool,
}

impl Ord for SortKey {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.value, &other.value) {
            (Some(left), Some(right)) if self.descending => right.compare(left),
            (Some(left), Some(right)) => left.compare(right),
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
        }
    }
}

impl PartialOrd for SortKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for SortKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for SortKey {}

/// Place of a message in the answer: `ORDER BY`, then time and offset.
type MessageKey = (Vec<SortKey>, (i64, u64));

/// The rows of messages that come first.
pub(super) struct MessageRows<'a> {
    plan: &'a Plan,
    devices: KnownDevices<'a>,
    selects_telemetry: bool,
    has_ts: bool,
    /// The direction of time, if time decides first which rows are kept.
    leading_time: Option<Order>,
    tie: Order,
    top: Top<MessageKey, Map<String, Json>>,
}

impl<'a> MessageRows<'a> {
    pub fn new(plan: &'a Plan, context: &'a dyn QueryDevices) -> Self {
        let direction = |descending: bool| if descending { Order::NewestFirst } else { Order::OldestFirst };
        let time = plan.order.iter().position(|order| matches!(order.by, OrderKey::Source(Source::Ts)));
        let tie = time.map_or(Order::NewestFirst, |key| direction(plan.order[key].descending));
        Self {
            plan,
            devices: KnownDevices { context, known: HashMap::new() },
            selects_telemetry: plan.items.iter().any(|item| item.source.telemetry().is_some()),
            has_ts: plan.items.iter().any(|item| item.source == Source::Ts),
            leading_time: (plan.order.is_empty() || time == Some(0)).then_some(tie),
            tie,
            top: Top::new(plan.rows_max, ties(tie)),
        }
    }

    pub fn into_answer(self) -> Answer {
        self.top.into_values().collect()
    }

    fn key(&self, row: &Row, facts: DeviceFacts) -> MessageKey {
        let keys = self.plan.order.iter().map(|order| {
            let value = match &order.by {
                OrderKey::Source(source) => source_value(source, row, facts),
                OrderKey::Item(_) => None,
            };
            SortKey { value, descending: order.descending }
        });
        (keys.collect(), time_key(self.tie, row.ts_ms, row.offset))
    }

    fn map(&self, row: &Row, facts: DeviceFacts) -> Map<String, Json> {
        let mut map = Map::new();
        for item in &self.plan.items {
            let json = match &item.source {
                Source::Telemetry(column) => column.value(row).map(Value::to_json),
                Source::Ts => Some(format_timestamp(row.ts_ms).into()),
                source => device_json(source, &row.device, facts),
            };
            insert_present(&mut map, &item.output, json);
        }
        if !self.has_ts {
            map.insert("$ts".to_owned(), format_timestamp(row.ts_ms).into());
        }
        map
    }
}

impl Visitor for MessageRows<'_> {
    fn segment_order(&self) -> SegmentOrder {
        SegmentOrder::Time(self.tie)
    }

    fn wants(&self, segment: &SegmentMeta) -> bool {
        let Some(order) = self.leading_time else { return true };
        let ts_ms = match order {
            Order::OldestFirst => segment.ts_min_ms,
            Order::NewestFirst => segment.ts_max_ms,
        };
        // The smallest key a row of the segment can have: fewer keys come before more.
        let first = self
            .plan
            .order
            .first()
            .map(|order| SortKey { value: Some(SortValue::Time(ts_ms)), descending: order.descending });
        let (ts_key, _) = time_key(order, ts_ms, 0);
        self.top.wants(&(first.into_iter().collect(), (ts_key, 0)))
    }

    fn visit(&mut self, row: Cow<'_, Row>) -> Result<(), ScanError> {
        let has_selected = || {
            self.plan
                .items
                .iter()
                .any(|item| item.source.telemetry().is_some_and(|column| column.value(&row).is_some()))
        };
        if self.selects_telemetry && !has_selected() {
            return Ok(());
        }
        if let Some(facts) = self.devices.facts_if_counted(self.plan, &row) {
            let key = self.key(&row, facts);
            if self.top.wants(&key) {
                let map = self.map(&row, facts);
                self.top.insert(key, || map);
            }
        }
        Ok(())
    }
}

/// Start of the window and device, as far as the query groups by them.
type GroupKey = (Option<i64>, Option<Arc<str>>);

struct Group {
    facts: DeviceFacts,
    /// One for each aggregating item.
    accumulators: Vec<Accumulator>,
}

/// The rows of groups.
pub(super) struct GroupRows<'a> {
    plan: &'a Plan,
    devices: KnownDevices<'a>,
    by_device: bool,
    groups: BTreeMap<GroupKey, Group>,
    groups_max: usize,
    overflow: bool,
}

impl<'a> GroupRows<'a> {
    pub fn new(plan: &'a Plan, context: &'a dyn QueryDevices) -> Self {
        Self {
            plan,
            devices: KnownDevices { context, known: HashMap::new() },
            by_device: plan.is_by_device(),
            groups: BTreeMap::new(),
            groups_max: QUERY_ACCUMULATORS_MAX / plan.items.len().max(1),
            overflow: false,
        }
    }

    /// The answer, or how many groups there may be if there are more.
    pub fn into_answer(mut self) -> Result<Answer, usize> {
        if self.overflow {
            return Err(self.groups_max);
        }
        if self.plan.group_window_ms.is_none() && !self.by_device && self.groups.is_empty() {
            // Nothing counted is an answer: zero.
            let facts = DeviceFacts { provisioned: false, simulated: false };
            self.groups.insert((None, None), Group { facts, accumulators: new_accumulators(self.plan) });
        }
        let mut rows: Vec<(Vec<SortKey>, Map<String, Json>)> = Vec::with_capacity(self.groups.len());
        // Newest window first, then by device: the order that stays where ORDER BY leaves a choice.
        let mut groups: Vec<(GroupKey, Group)> = std::mem::take(&mut self.groups).into_iter().collect();
        groups.sort_by(|((left, _), _), ((right, _), _)| right.cmp(left)); // stable: devices stay in order
        for (key, group) in &groups {
            let map = self.map(key, group);
            if !map.is_empty() {
                rows.push((self.keys(key, group), map));
            }
        }
        rows.sort_by(|(left, _), (right, _)| left.cmp(right));
        rows.truncate(self.plan.rows_max);
        Ok(rows.into_iter().map(|(_, map)| map).collect())
    }

    fn map(&self, (window, device): &GroupKey, group: &Group) -> Map<String, Json> {
        let mut map = Map::new();
        let mut accumulators = group.accumulators.iter();
        let window = window.map(|start| Json::from(format_timestamp(start)));
        for item in &self.plan.items {
            let json = match (item.aggregate, &item.source, device) {
                (Some(_), _, _) => accumulators.next().and_then(Accumulator::result).map(|value| value.to_json()),
                (None, Source::Ts, _) => window.clone(),
                (None, source, Some(device)) => device_json(source, device, group.facts),
                (None, _, None) => None,
            };
            insert_present(&mut map, &item.output, json);
        }
        let has_ts = self.plan.items.iter().any(|item| item.aggregate.is_none() && item.source == Source::Ts);
        if !has_ts {
            insert_present(&mut map, "$ts", window);
        }
        map
    }

    fn keys(&self, (window, device): &GroupKey, group: &Group) -> Vec<SortKey> {
        let keys = self.plan.order.iter().map(|order| {
            let value = match &order.by {
                OrderKey::Item(item) => {
                    let place = self.plan.items[..*item].iter().filter(|item| item.aggregate.is_some()).count();
                    group.accumulators[place].result().as_ref().map(SortValue::of)
                }
                OrderKey::Source(Source::Ts) => window.map(SortValue::Time),
                OrderKey::Source(Source::Id) => device.clone().map(SortValue::Text),
                OrderKey::Source(Source::Provisioned) => Some(SortValue::Boolean(group.facts.provisioned)),
                OrderKey::Source(Source::Simulated) => Some(SortValue::Boolean(group.facts.simulated)),
                OrderKey::Source(Source::Telemetry(_)) => None,
            };
            SortKey { value, descending: order.descending }
        });
        keys.collect()
    }

    fn group(&mut self, row: &Row, facts: DeviceFacts) -> Option<&mut Group> {
        let window = self.plan.group_window_ms.map(|length| row.ts_ms.div_euclid(length).saturating_mul(length));
        let key = (window, self.by_device.then(|| row.device.clone()));
        if !self.groups.contains_key(&key) && self.groups.len() >= self.groups_max {
            self.overflow = true;
            return None;
        }
        let plan = self.plan;
        Some(self.groups.entry(key).or_insert_with(|| Group { facts, accumulators: new_accumulators(plan) }))
    }
}

fn new_accumulators(plan: &Plan) -> Vec<Accumulator> {
    plan.items.iter().filter_map(|item| item.aggregate).map(Accumulator::new).collect()
}

impl Visitor for GroupRows<'_> {
    fn wants(&self, _segment: &SegmentMeta) -> bool {
        !self.overflow
    }

    fn visit(&mut self, row: Cow<'_, Row>) -> Result<(), ScanError> {
        let plan = self.plan;
        let aggregates =
            || plan.items.iter().filter_map(|item| item.aggregate.map(|function| (function, &item.source)));
        if self.overflow || !aggregates().any(|(function, source)| taken(function, source, &row).is_some()) {
            return Ok(());
        }
        let Some(facts) = self.devices.facts_if_counted(plan, &row) else { return Ok(()) };
        let Some(group) = self.group(&row, facts) else { return Ok(()) };
        for ((function, source), accumulator) in aggregates().zip(&mut group.accumulators) {
            match taken(function, source, &row) {
                Some(Taken::Message) => accumulator.count(),
                Some(Taken::Value(value)) => accumulator.add(row.ts_ms, row.offset, value),
                None => {}
            }
        }
        Ok(())
    }
}

/// What an aggregate takes of a message.
enum Taken<'a> {
    /// That it is there: `COUNT($ts)`.
    Message,
    Value(&'a Value),
}

fn taken<'a>(function: AggregateFunction, source: &Source, row: &'a Row) -> Option<Taken<'a>> {
    match source.telemetry() {
        None => Some(Taken::Message),
        Some(column) => column.value(row).filter(|value| takes(function, value)).map(Taken::Value),
    }
}

fn source_value(source: &Source, row: &Row, facts: DeviceFacts) -> Option<SortValue> {
    Some(match source {
        Source::Telemetry(column) => SortValue::of(column.value(row)?),
        Source::Ts => SortValue::Time(row.ts_ms),
        Source::Id => SortValue::Text(row.device.clone()),
        Source::Provisioned => SortValue::Boolean(facts.provisioned),
        Source::Simulated => SortValue::Boolean(facts.simulated),
    })
}

fn device_json(source: &Source, device: &str, facts: DeviceFacts) -> Option<Json> {
    match source {
        Source::Id => Some(Json::from(device)),
        Source::Provisioned => Some(Json::from(facts.provisioned)),
        Source::Simulated => Some(Json::from(facts.simulated)),
        Source::Ts | Source::Telemetry(_) => None,
    }
}

/// Only what is there is in the answer.
fn insert_present(map: &mut Map<String, Json>, name: &str, json: Option<Json>) {
    if let Some(json) = json.filter(|json| !json.is_null()) {
        map.insert(name.to_owned(), json);
    }
}
