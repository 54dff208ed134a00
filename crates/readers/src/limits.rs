//! Named bounds of the readers of the log.

use std::time::Duration;

/// Newest raw messages kept in memory for each device.
pub const RAW_MESSAGES_PER_DEVICE_MAX: usize = 100;

/// Bytes of raw messages kept in memory over all devices; the oldest go first.
pub const RAW_MESSAGES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Values of one message, or of one element of it, that are indexed. Further ones stay in the message, in the log and among the
/// newest raw messages, and are counted.
pub const VALUES_PER_ROW_MAX: usize = 1_000;

/// Elements of one message that are indexed; for further ones the same holds.
pub const ROWS_PER_MESSAGE_MAX: usize = 4_096;

/// Rows after which what was read is inserted: with those of one more message they fit into the memory of the newest rows, whatever
/// the messages of one read hold.
pub const ROWS_PER_INSERT_MAX: usize = 65_536;

/// Log records handed to a reader at a time.
pub const RECORDS_PER_READ_MAX: usize = 1_024;

/// Bytes handed to a reader at a time.
pub const BYTES_PER_READ_MAX: usize = 4 * 1024 * 1024;

/// Records before its position that the telemetry reader looks at again after a start, for the newest raw messages.
pub const REPLAYED_RECORDS_MAX: u64 = 20_000;

/// Ids and names the telemetry reader keeps to share between rows, in bytes with what keeping each of them takes; when there is
/// more, it starts over.
pub const SHARED_TEXTS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Sources of records the telemetry reader remembers, likewise. About 100,000.
pub const KNOWN_SOURCES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes of a text that is shared. Ids are shorter; names in messages may be as long as a message, and are not kept then.
pub const SHARED_TEXT_BYTES_MAX: usize = 256;

/// How long the telemetry reader trusts what it knows about a device's template.
pub const TEMPLATE_CACHE_AGE: Duration = Duration::from_secs(60);

/// Devices whose template the telemetry reader remembers; when there are more, it starts over.
pub const TEMPLATE_CACHE_DEVICES_MAX: usize = 100_000;

/// Threads of the readers' pool: more than there are readers, so that one that blocks its thread leaves one to each other.
pub const READER_THREADS: usize = 4;

/// Bytes of telemetry files read a second to compare them with their checksums: a hundredth of what a plain disk reads.
pub const SCRUB_BYTES_PER_SECOND_MAX: u64 = 4 * 1024 * 1024;

/// How long after each file was compared the first one is compared again.
pub const SCRUB_PAUSE: Duration = Duration::from_secs(6 * 60 * 60);

/// How long after the first of them times of being last seen are stored. A crash loses none: the log has them.
pub const LAST_SEEN_COMMIT_AFTER: Duration = Duration::from_secs(60);

/// Identities whose times wait to be stored; with more, they are stored at once.
pub const LAST_SEEN_PENDING_MAX: usize = 100_000;
