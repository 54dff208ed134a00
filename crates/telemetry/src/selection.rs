//! Which rows, and which of their values, a read is about.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::row::Row;

/// A half-open range of telemetry time in milliseconds since 1970. `i64::MAX` as its end is no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First millisecond in the range.
    pub from_ms: i64,
    /// First millisecond after the range; `i64::MAX`: none.
    pub to_ms: i64,
}

impl TimeRange {
    /// All time.
    pub const ALL: TimeRange = TimeRange { from_ms: i64::MIN, to_ms: i64::MAX };

    /// Whether `ts_ms` is in the range.
    pub fn contains(&self, ts_ms: i64) -> bool {
        self.from_ms <= ts_ms && (ts_ms < self.to_ms || self.is_open())
    }

    /// Whether the range and the closed interval `[min_ms, max_ms]` have a millisecond in common.
    pub fn overlaps(&self, min_ms: i64, max_ms: i64) -> bool {
        self.from_ms <= max_ms && (min_ms < self.to_ms || self.is_open())
    }

    /// Whether nothing can be in the range.
    pub fn is_empty(&self) -> bool {
        self.from_ms >= self.to_ms && !self.is_open()
    }

    fn is_open(&self) -> bool {
        self.to_ms == i64::MAX
    }

    /// What is in both.
    pub fn intersect(&self, other: TimeRange) -> TimeRange {
        TimeRange { from_ms: self.from_ms.max(other.from_ms), to_ms: self.to_ms.min(other.to_ms) }
    }

    /// The smallest range that holds both.
    pub fn hull(&self, other: TimeRange) -> TimeRange {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => *self,
            _ => TimeRange { from_ms: self.from_ms.min(other.from_ms), to_ms: self.to_ms.max(other.to_ms) },
        }
    }
}

/// The devices a read is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Devices {
    /// Every device.
    Any,
    /// These devices.
    Listed(BTreeSet<Arc<str>>),
}

impl Devices {
    /// One device.
    pub fn one(device: &str) -> Devices {
        Devices::Listed(BTreeSet::from([Arc::from(device)]))
    }

    /// Whether `device` is among them.
    pub fn contains(&self, device: &str) -> bool {
        match self {
            Devices::Any => true,
            Devices::Listed(listed) => listed.contains(device),
        }
    }
}

/// A module or component a read is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// With or without.
    Any,
    /// Rows without one: the device itself, or its root.
    None,
    /// This one.
    Named(Arc<str>),
}

impl Part {
    /// Exactly `name`; `None` is the device itself, or its root.
    pub fn exactly(name: Option<&str>) -> Part {
        name.map_or(Part::None, |name| Part::Named(Arc::from(name)))
    }

    /// The one part that all of `parts` name, or any part.
    pub(crate) fn common<'a>(mut parts: impl Iterator<Item = &'a Option<Arc<str>>>) -> Part {
        match parts.next() {
            Some(first) if parts.all(|part| part == first) => Part::exactly(first.as_deref()),
            _ => Part::Any,
        }
    }

    /// Whether a row's part is meant.
    pub fn contains(&self, part: Option<&str>) -> bool {
        match self {
            Part::Any => true,
            Part::None => part.is_none(),
            Part::Named(name) => part == Some(name.as_ref()),
        }
    }
}

/// The rows a read is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Of which devices.
    pub devices: Devices,
    /// Of which module.
    pub module: Part,
    /// Of which component.
    pub component: Part,
    /// Of which time.
    pub range: TimeRange,
}

impl Selection {
    /// Every row.
    pub fn everything() -> Selection {
        Selection { devices: Devices::Any, module: Part::Any, component: Part::Any, range: TimeRange::ALL }
    }

    /// Whether `row` is selected.
    pub fn contains(&self, row: &Row) -> bool {
        self.range.contains(row.ts_ms)
            && self.module.contains(row.module.as_deref())
            && self.component.contains(row.component.as_deref())
            && self.devices.contains(&row.device)
    }
}

/// The values a read is about. Others are not decoded, and left out of the rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// Every value.
    All,
    /// The values of these names.
    Listed(BTreeSet<Arc<str>>),
}

impl Names {
    /// The values of `names`.
    pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> Names {
        Names::Listed(names.into_iter().map(Arc::from).collect())
    }

    /// Whether `name` is among them.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Names::All => true,
            Names::Listed(listed) => listed.contains(name),
        }
    }
}
