//! Random rows, random flushes and compactions, random reads: each compared with filtering a plain list.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Insert(Vec<RowSeed>),
    Flush { release: bool },
    Compact(usize),
    Range(RangeSeed),
    Messages { device: usize, before: Option<u64>, limit: usize },
    LastValue { device: usize, module: usize, name: usize },
}

#[derive(Debug, Clone)]
struct RowSeed {
    device: usize,
    module: usize,
    component: usize,
    ts_ms: i64,
    values: Vec<(usize, Value)>,
}

#[derive(Debug, Clone)]
struct RangeSeed {
    devices: Option<Vec<usize>>,
    module: Option<usize>,
    names: Option<Vec<usize>>,
    from_ms: i64,
    length_ms: i64,
    order: Order,
    limit: usize,
}

const DEVICES: [&str; 3] = ["a", "b", "b2"];
const MODULES: [Option<&str>; 2] = [None, Some("m")];
const COMPONENTS: [Option<&str>; 2] = [None, Some("c")];
const NAMES: [&str; 4] = ["t", "t_double", "u", "more"];

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3i32..3).prop_map(|n| Value::Double(f64::from(n) / 2.0)),
        any::<i64>().prop_map(Value::Integer),
        any::<bool>().prop_map(Value::Boolean),
        "[a-c]{0,2}".prop_map(|text| Value::Text(text.into())),
        Just(Value::Json("[1]".into())),
    ]
}

fn row_seed() -> impl Strategy<Value = RowSeed> {
    let values = prop::collection::btree_map(0..NAMES.len(), value(), 0..3);
    (0..DEVICES.len(), 0..2usize, 0..2usize, 0i64..50, values).prop_map(|(device, module, component, ts_ms, values)| {
        RowSeed { device, module, component, ts_ms, values: values.into_iter().collect() }
    })
}

fn range_seed() -> impl Strategy<Value = RangeSeed> {
    let devices = prop::option::of(prop::collection::vec(0..DEVICES.len(), 0..3));
    let names = prop::option::of(prop::collection::vec(0..NAMES.len(), 0..3));
    let order = prop_oneof![Just(Order::OldestFirst), Just(Order::NewestFirst)];
    (devices, prop::option::of(0..2usize), names, -5i64..50, 0i64..60, order, 0..30usize).prop_map(
        |(devices, module, names, from_ms, length_ms, order, limit)| RangeSeed {
            devices,
            module,
            names,
            from_ms,
            length_ms,
            order,
            limit,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(row_seed(), 1..12).prop_map(Step::Insert),
        2 => any::<bool>().prop_map(|release| Step::Flush { release }),
        1 => (2..5usize).prop_map(Step::Compact),
        4 => range_seed().prop_map(Step::Range),
        1 => (0..DEVICES.len(), prop::option::of(0u64..60), 0..8usize)
            .prop_map(|(device, before, limit)| Step::Messages { device, before, limit }),
        1 => (0..DEVICES.len(), 0..2usize, 0..NAMES.len())
            .prop_map(|(device, module, name)| Step::LastValue { device, module, name }),
    ]
}

/// The plain list.
#[derive(Default)]
struct Model {
    rows: Vec<Row>,
}

impl Model {
    fn next_rows(&mut self, seeds: &[RowSeed]) -> Vec<Row> {
        let first = self.rows.len() as u64;
        let rows = seeds.iter().zip(first..).map(|(seed, offset)| Row {
            device: DEVICES[seed.device].into(),
            module: MODULES[seed.module].map(Arc::from),
            component: COMPONENTS[seed.component].map(Arc::from),
            ts_ms: seed.ts_ms,
            // Some clocks are ahead.
            enqueued_ms: seed.ts_ms + if seed.ts_ms % 3 == 0 { -5 } else { 1 },
            offset,
            template: None,
            values: seed.values.iter().map(|(name, value)| (Arc::from(NAMES[*name]), value.clone())).collect(),
        });
        let rows: Vec<Row> = rows.collect();
        self.rows.extend(rows.iter().cloned());
        rows
    }

    fn range(&self, request: &RangeRequest) -> Vec<Row> {
        let mut rows: Vec<Row> = self.rows.iter().filter(|row| request.selection.contains(row)).cloned().collect();
        for row in &mut rows {
            row.values.retain(|(name, _)| request.names.contains(name));
        }
        rows.retain(|row| request.names == Names::All || !row.values.is_empty());
        rows.sort_by_key(|row| (row.ts_ms, row.offset));
        if request.order == Order::NewestFirst {
            rows.reverse();
        }
        rows.truncate(request.limit);
        rows
    }

    fn messages(&self, device: &str, before: Option<u64>, limit: usize) -> Vec<Row> {
        let wanted = |row: &&Row| row.device.as_ref() == device && before.is_none_or(|before| row.offset < before);
        self.rows.iter().rev().filter(wanted).take(limit).cloned().collect()
    }

    fn last_value(&self, device: &str, module: Option<&str>, name: &str) -> Option<Value> {
        let of_part = self.rows.iter().filter(|row| row.device.as_ref() == device && row.is_of(module, None));
        let newest = of_part.filter(|row| row.value(name).is_some());
        let newest = newest.max_by_key(|row| (row.ts_ms.min(row.enqueued_ms), row.offset));
        newest.and_then(|row| row.value(name).cloned())
    }
}

fn by_name(mut rows: Vec<Row>) -> Vec<Row> {
    for row in &mut rows {
        row.values.sort_by(|(left, _), (right, _)| left.cmp(right));
    }
    rows
}

fn range_request(seed: &RangeSeed) -> RangeRequest {
    let devices = seed.devices.as_ref().map_or(Devices::Any, |devices| {
        Devices::Listed(devices.iter().map(|device| DEVICES[*device].into()).collect())
    });
    RangeRequest {
        selection: Selection {
            devices,
            module: seed.module.map_or(Part::Any, |module| Part::exactly(MODULES[module])),
            component: Part::Any,
            range: TimeRange { from_ms: seed.from_ms, to_ms: seed.from_ms + seed.length_ms },
        },
        names: seed.names.as_ref().map_or(Names::All, |names| Names::listed(names.iter().map(|name| NAMES[*name]))),
        order: seed.order,
        limit: seed.limit,
    }
}

fn run(fixture: &Fixture, model: &mut Model, step: Step) -> Result<(), TestCaseError> {
    match step {
        Step::Insert(seeds) => fixture.store.insert(model.next_rows(&seeds)).unwrap(),
        Step::Flush { release } => fixture.flush(release),
        Step::Compact(count) => fixture.compact(count),
        Step::Range(seed) => {
            let request = range_request(&seed);
            prop_assert_eq!(by_name(fixture.store.range(&request).unwrap()), by_name(model.range(&request)));
        }
        Step::Messages { device, before, limit } => {
            let found = fixture.store.messages(DEVICES[device], Part::Any, before, limit).unwrap();
            prop_assert_eq!(by_name(found), by_name(model.messages(DEVICES[device], before, limit)));
        }
        Step::LastValue { device, module, name } => {
            let (device, module, name) = (DEVICES[device], MODULES[module], NAMES[name]);
            let expected = model.last_value(device, module, name);
            let found = || fixture.store.last_value(device, module, None, name).unwrap().map(|last| last.value);
            prop_assert_eq!(found(), expected.clone());
            fixture.store.last_values().remove_device(device);
            prop_assert_eq!(found(), expected);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_store_answers_as_a_plain_list(steps in prop::collection::vec(step(), 1..25)) {
        let fixture = Fixture::new();
        let mut model = Model::default();
        for step in steps {
            run(&fixture, &mut model, step)?;
        }
    }
}
