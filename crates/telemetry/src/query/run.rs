//! Running a query: plan it, read what it needs in one scan, collect.

use super::plan::Plan;
use super::rows::{GroupRows, MessageRows};
use super::{Answer, Query, QueryContext, RunQueryError};
use crate::store::TelemetryStore;

pub(crate) fn run(
    store: &TelemetryStore,
    query: &Query,
    context: &dyn QueryContext,
    now_ms: i64,
) -> Result<Answer, RunQueryError> {
    let plan = Plan::new(query, context, now_ms)?;
    let (selection, names) = plan.selection(context);
    if plan.is_aggregate() {
        let rows = store.scan(&selection, &names, || GroupRows::new(&plan, context)).map_err(RunQueryError::scan)?;
        rows.into_answer().map_err(|max| RunQueryError::TooManyGroups { max })
    } else {
        let rows = store.scan(&selection, &names, || MessageRows::new(&plan, context)).map_err(RunQueryError::scan)?;
        Ok(rows.into_answer())
    }
}
