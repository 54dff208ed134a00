//! Running a query: planned before, it reads what it needs in one scan and collects.

use super::plan::Plan;
use super::rows::{GroupRows, MessageRows};
use super::{Answer, Query, QueryColumns, QueryDevices, RunQueryError};
use crate::selection::Devices;
use crate::store::TelemetryStore;

/// A query whose names are resolved and whose types are checked, ready to run.
#[derive(Debug)]
pub struct PlannedQuery(Plan);

impl PlannedQuery {
    /// Plans a query over a template. `now_ms` ends windows that are given as a duration.
    pub fn new(query: &Query, columns: &dyn QueryColumns, now_ms: i64) -> Result<Self, RunQueryError> {
        Ok(Self(Plan::new(query, columns, now_ms)?))
    }

    /// The devices the query names, where no other can be in its answer.
    pub fn devices(&self) -> Devices {
        self.0.devices()
    }
}

pub(crate) fn run(
    store: &TelemetryStore,
    PlannedQuery(plan): &PlannedQuery,
    devices: &dyn QueryDevices,
) -> Result<Answer, RunQueryError> {
    let (selection, names) = plan.selection(devices);
    if plan.is_aggregate() {
        let rows = store.scan(&selection, &names, || GroupRows::new(plan, devices)).map_err(RunQueryError::scan)?;
        rows.into_answer().map_err(|max| RunQueryError::TooManyGroups { max })
    } else {
        let rows = store.scan(&selection, &names, || MessageRows::new(plan, devices)).map_err(RunQueryError::scan)?;
        Ok(rows.into_answer())
    }
}
