//! Values over time, thinned out for a chart: as many points as asked for, with nothing that stands out lost.
//!
//! Up to that many values come as they are. More are put into equal buckets of time, each with its minimum, maximum and average, so
//! that a spike of one value in a million is still drawn. The series begins and ends where the data does (see [`Point::Bucket`]).
//! Numbers are drawn as they are, booleans as 0 and 1; anything else is not drawn.

use std::borrow::Cow;
use std::sync::Arc;

use crate::limits::{SERIES_MAX, SERIES_POINTS_MAX};
use crate::row::{Row, Value};
use crate::selection::{Devices, Names, Part, Selection, TimeRange};
use crate::store::{ScanError, TelemetryStore, Visitor};

/// Neighbouring points further apart than this many times the usual distance have a [`Point::Gap`] between them.
const GAP_DISTANCES: i64 = 3;

/// One name of a device, module or component.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SeriesColumn {
    /// Module that sends it; `None` is the device itself.
    pub module: Option<Arc<str>>,
    /// Component it belongs to; `None` is the root.
    pub component: Option<Arc<str>>,
    /// Telemetry name.
    pub name: Arc<str>,
    /// For a telemetry that is an object: the way to a number in it, field by field. Empty for a plain value.
    pub fields: Vec<Arc<str>>,
}

/// A read for a chart.
#[derive(Debug, Clone)]
pub struct SeriesRequest {
    /// Device id.
    pub device: Arc<str>,
    /// Up to [`SERIES_MAX`] names.
    pub columns: Vec<SeriesColumn>,
    /// Time on the chart's axis.
    pub range: TimeRange,
    /// Points of each series, 1 to [`SERIES_POINTS_MAX`]. Gaps come on top.
    pub points: usize,
}

/// A series could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadSeriesError {
    /// More names than one request may have.
    #[error("{0} series asked for, at most {SERIES_MAX} are given at once")]
    TooManySeries(usize),
    /// No or too many points.
    #[error("{0} points asked for, 1 to {SERIES_POINTS_MAX} can be given")]
    WrongPoints(usize),
    /// The telemetry could not be read.
    #[error("cannot read the series")]
    Scan(#[source] ScanError),
}

/// The points of one column, in order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What it is of.
    pub column: SeriesColumn,
    /// Points.
    pub points: Vec<Point>,
}

/// A point of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Point {
    /// A value as it came.
    Value {
        /// Telemetry time.
        ts_ms: i64,
        /// The value.
        value: f64,
    },
    /// The values of a bucket.
    Bucket {
        /// Time of the first value in the bucket; in the last bucket, of its last: the series ends where the data ends.
        ts_ms: i64,
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
        /// Average.
        avg: f64,
    },
    /// No data for a while: the line is not to be drawn through.
    Gap {
        /// The middle of the gap.
        ts_ms: i64,
    },
}

impl Point {
    /// Where the point stands.
    pub fn ts_ms(&self) -> i64 {
        match self {
            Point::Value { ts_ms, .. } | Point::Bucket { ts_ms, .. } | Point::Gap { ts_ms } => *ts_ms,
        }
    }
}

/// Reads the series of a request in one scan.
pub(crate) fn read(store: &TelemetryStore, request: &SeriesRequest) -> Result<Vec<Series>, ReadSeriesError> {
    if request.columns.len() > SERIES_MAX {
        return Err(ReadSeriesError::TooManySeries(request.columns.len()));
    }
    if !(1..=SERIES_POINTS_MAX).contains(&request.points) {
        return Err(ReadSeriesError::WrongPoints(request.points));
    }
    let selection = Selection {
        devices: Devices::one(&request.device),
        module: Part::common(request.columns.iter().map(|column| &column.module)),
        component: Part::common(request.columns.iter().map(|column| &column.component)),
        range: request.range,
    };
    let names = Names::Listed(request.columns.iter().map(|column| column.name.clone()).collect());
    let collector = store.scan(&selection, &names, || SeriesCollector::new(request)).map_err(ReadSeriesError::Scan)?;
    Ok(collector.columns.into_iter().map(ColumnPoints::finish).collect())
}

struct SeriesCollector {
    columns: Vec<ColumnPoints>,
}

impl SeriesCollector {
    fn new(request: &SeriesRequest) -> Self {
        Self { columns: request.columns.iter().map(|column| ColumnPoints::new(column, request)).collect() }
    }
}

impl Visitor for SeriesCollector {
    fn visit(&mut self, row: Cow<'_, Row>) -> Result<(), ScanError> {
        for points in &mut self.columns {
            let column = &points.column;
            if row.is_of(column.module.as_deref(), column.component.as_deref())
                && let Some(value) = row.value(&column.name).and_then(|value| drawn(value, &column.fields))
            {
                points.add(row.ts_ms, row.offset, value);
            }
        }
        Ok(())
    }
}

fn drawn(value: &Value, fields: &[Arc<str>]) -> Option<f64> {
    match value {
        Value::Boolean(value) if fields.is_empty() => Some(f64::from(u8::from(*value))),
        _ if fields.is_empty() => value.as_number().filter(|number| number.is_finite()),
        Value::Json(text) => drawn_field(text, fields),
        _ => None,
    }
}

/// The number inside an object, if there is one.
fn drawn_field(text: &str, fields: &[Arc<str>]) -> Option<f64> {
    let object: serde_json::Value = serde_json::from_str(text).ok()?;
    match fields.iter().try_fold(&object, |value, field| value.get(&**field))? {
        serde_json::Value::Bool(value) => Some(f64::from(u8::from(*value))),
        value => value.as_f64(),
    }
}

/// The values of one column as they come.
struct ColumnPoints {
    column: SeriesColumn,
    from_ms: i64,
    bucket_ms: i64,
    points_max: usize,
    /// As they came, while they are few enough.
    values: Option<Vec<(i64, u64, f64)>>,
    /// By place in time; allocated with the first value that is one too many.
    buckets: Vec<Bucket>,
}

#[derive(Clone, Copy)]
struct Bucket {
    first_ms: i64,
    last_ms: i64,
    min: f64,
    max: f64,
    sum: f64,
    count: u64,
}

impl Bucket {
    const EMPTY: Bucket = Bucket {
        first_ms: i64::MAX,
        last_ms: i64::MIN,
        min: f64::INFINITY,
        max: f64::NEG_INFINITY,
        sum: 0.0,
        count: 0,
    };

    fn add(&mut self, ts_ms: i64, value: f64) {
        self.first_ms = self.first_ms.min(ts_ms);
        self.last_ms = self.last_ms.max(ts_ms);
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += value;
        self.count += 1;
    }

    fn point(&self, ts_ms: i64) -> Point {
        // The sum of values near the largest double may leave its range, the average never does.
        let avg = (self.sum / self.count as f64).clamp(self.min, self.max);
        Point::Bucket { ts_ms, min: self.min, max: self.max, avg }
    }
}

impl ColumnPoints {
    fn new(column: &SeriesColumn, request: &SeriesRequest) -> Self {
        let span = i128::from(request.range.to_ms) - i128::from(request.range.from_ms);
        let bucket_ms = span.div_euclid(request.points as i128) + 1;
        Self {
            column: column.clone(),
            from_ms: request.range.from_ms,
            bucket_ms: i64::try_from(bucket_ms.max(1)).unwrap_or(i64::MAX),
            points_max: request.points,
            values: Some(Vec::new()),
            buckets: Vec::new(),
        }
    }

    fn add(&mut self, ts_ms: i64, offset: u64, value: f64) {
        match &mut self.values {
            Some(values) if values.len() < self.points_max => values.push((ts_ms, offset, value)),
            Some(values) => {
                let values = std::mem::take(values);
                self.values = None;
                self.buckets = vec![Bucket::EMPTY; self.points_max];
                for (ts_ms, _, value) in values {
                    self.add_to_bucket(ts_ms, value);
                }
                self.add_to_bucket(ts_ms, value);
            }
            None => self.add_to_bucket(ts_ms, value),
        }
    }

    fn add_to_bucket(&mut self, ts_ms: i64, value: f64) {
        let place = (i128::from(ts_ms) - i128::from(self.from_ms)) / i128::from(self.bucket_ms);
        let place = usize::try_from(place).unwrap_or(0).min(self.buckets.len() - 1);
        self.buckets[place].add(ts_ms, value);
    }

    fn finish(self) -> Series {
        let points = match self.values {
            Some(mut values) => {
                values.sort_unstable_by_key(|(ts_ms, offset, _)| (*ts_ms, *offset));
                values.into_iter().map(|(ts_ms, _, value)| Point::Value { ts_ms, value }).collect()
            }
            None => bucket_points(&self.buckets),
        };
        Series { column: self.column, points: with_gaps(points, self.bucket_ms) }
    }
}

fn bucket_points(buckets: &[Bucket]) -> Vec<Point> {
    let filled: Vec<&Bucket> = buckets.iter().filter(|bucket| bucket.count > 0).collect();
    let last = filled.len().saturating_sub(1);
    let stands_at = |index: usize, bucket: &Bucket| if index == last { bucket.last_ms } else { bucket.first_ms };
    filled.iter().enumerate().map(|(index, bucket)| bucket.point(stands_at(index, bucket))).collect()
}

/// Usual is the median distance, but not less than a bucket: on a long axis a missing point is not a gap that can be seen.
fn with_gaps(points: Vec<Point>, bucket_ms: i64) -> Vec<Point> {
    let distance = |pair: &[Point]| pair[1].ts_ms().saturating_sub(pair[0].ts_ms());
    let mut distances: Vec<i64> = points.windows(2).map(distance).collect();
    if distances.is_empty() {
        return points;
    }
    let middle = distances.len() / 2;
    let median = *distances.select_nth_unstable(middle).1;
    let gap_ms = median.max(bucket_ms).saturating_mul(GAP_DISTANCES);
    let mut drawn = Vec::with_capacity(points.len());
    for point in points {
        if let Some(previous) = drawn.last().map(Point::ts_ms)
            && point.ts_ms().saturating_sub(previous) > gap_ms
        {
            drawn.push(Point::Gap { ts_ms: previous.midpoint(point.ts_ms()) });
        }
        drawn.push(point);
    }
    drawn
}

#[cfg(test)]
mod tests;
