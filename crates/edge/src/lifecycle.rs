//! From the deployment to running modules, and back to the report.
//!
//! ```text
//! $edgeAgent twin ──▶ desired ──▶ plan (pure) ──▶ execute: a task a module ──▶ runtime
//!                        │            ▲               │
//!                   last_good      history ◀──────────┤
//!                  (on disk)      (on disk)           ▼
//!                                                   report ──▶ $edgeAgent reported
//! ```
//! The loop in [`agent`] runs when something happened (a new deployment, a module that ended, a step that is done, a wait that
//! is over, an operator's request), never by the clock alone. It first starts what the last good deployment on disk says and only then
//! looks at the cloud: a site without network comes up by itself.

pub mod agent;
pub mod clock;
pub mod deployment;
pub mod execute;
pub mod history;
pub mod methods;
pub mod plan;
pub mod report;
