//! How the installation is, for those who run it: the same for all its applications.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How the installation is.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstallationHealth {
    /// Version of the program that answers.
    pub version: String,
    /// Whether everything holds that must, as `/health/ready` says it.
    pub ready: bool,
    /// What does not hold; empty when it is ready.
    pub problems: Vec<HealthProblem>,
    /// What follows the log.
    pub readers: Vec<ReaderHealth>,
    /// The log.
    pub log: LogHealth,
    /// The disk the data folder is on; absent when the system does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskHealth>,
}

/// A condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HealthProblem {
    /// Its name, such as `log` or `reader telemetry`.
    pub condition: String,
    /// What is wrong.
    pub message: String,
}

/// How a reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReaderState {
    /// It reads what comes as it comes.
    Following,
    /// It works, and what it has not read has waited for long.
    Behind,
    /// It reads, and what it makes cannot be stored; it is in the log only.
    NotStoring,
    /// It ended unasked. It is started again, and counts as well once it has passed the place where it ended.
    Stopped,
}

/// What follows the log, at its own pace.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReaderHealth {
    /// Its name, as in metrics.
    pub name: String,
    /// What it makes of the log, in a sentence.
    pub about: String,
    /// How it is.
    pub state: ReaderState,
    /// Why it does not store or stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Records of the log it has not read.
    pub lag: u64,
    /// Records of the log whose outcome it has not stored.
    pub uncommitted: u64,
    /// Whether the log keeps what it has not stored.
    pub log_waits: bool,
    /// When it last read something; absent when it has not since the program started.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last_moved: Option<String>,
    /// Since when its oldest unread record waits; absent when none does, or it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub unread_since: Option<String>,
}

/// The log: what was accepted, until every reader it waits for has stored it, and a margin.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogHealth {
    /// What it takes on the disk.
    pub bytes: u64,
    /// What it may take; then messages are refused until its readers have caught up.
    pub bytes_max: u64,
    /// Offset of its oldest record.
    pub first_offset: u64,
    /// Offset the next record gets.
    pub next_offset: u64,
}

/// Whether a disk has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum DiskRoom {
    /// There is enough.
    Enough,
    /// It will soon be full.
    Low,
    /// It is full: messages and changes are refused.
    Full,
}

/// A disk.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskHealth {
    /// What is free for us.
    pub free_bytes: u64,
    /// Its size.
    pub total_bytes: u64,
    /// Whether that is enough.
    pub room: DiskRoom,
}
