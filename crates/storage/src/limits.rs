//! Every bound of this crate, by name. Those a product may want to choose are defaults of
//! [`LogOptions`](crate::log::LogOptions); the rest hold for every log.

use std::time::Duration;

/// A segment is closed when the next group would take it past this size. Small enough that opening a log, which reads the
/// last segment, takes a fraction of a second; large enough that a busy log makes a file every second, not a hundred.
pub const SEGMENT_BYTES_MAX_DEFAULT: u64 = 64 * MIB as u64;

/// A log with a hard byte limit has at least this many segments: trimming deletes whole segments and never the newest, so
/// this is what makes acknowledging everything free at least three quarters of the space.
pub const SEGMENTS_IN_TOTAL_MIN: u64 = 4;

/// The records of one group (one write, one `fdatasync`) take at most this many bytes by default; so does one append.
pub const GROUP_BYTES_MAX_DEFAULT: usize = 8 * MIB;

/// Appends that wait for the writer hold at most this many bytes together; further callers wait. Back-pressure, not memory. No
/// configuration may raise the group above this.
pub const QUEUE_BYTES_MAX: usize = 32 * MIB;

/// At most this many appends wait for the writer; further callers wait.
pub const QUEUE_APPENDS_MAX: usize = 4096;

/// The newest groups kept in memory, by default, so that readers that keep up never touch the disk.
pub const TAIL_BYTES_MAX_DEFAULT: usize = 4 * MIB;

/// A reader that reads from disk asks for this much at once (more only for a single larger group).
pub const READ_BUFFER_BYTES: usize = 256 * 1024;

/// Commits after one whose wait for more brought nothing, before the next wait is tried.
pub const COMMITS_WITHOUT_WAIT: u32 = 64;

/// How often retention by age and size is applied while nothing else triggers it.
pub const RETENTION_INTERVAL: Duration = Duration::from_secs(30);

/// Named positions in one checkpoint file.
pub const CHECKPOINTS_MAX: usize = 1024;

/// Bytes in the name of a checkpoint.
pub const CHECKPOINT_NAME_BYTES_MAX: usize = 200;

/// Bytes in a checkpoint file, which follows from the two above and 22 bytes for separators and number.
pub const CHECKPOINT_FILE_BYTES_MAX: u64 = (CHECKPOINTS_MAX * (CHECKPOINT_NAME_BYTES_MAX + 22) + 256) as u64;

/// What a disk must have room for before a log that was full counts as usable again.
pub const PROBE_BYTES: usize = 64 * 1024;

/// Parts of one log that may be given up as damaged. With more the disk is to be replaced, not the log gone on with.
pub const LOST_PARTS_MAX: usize = 1024;

/// Bytes of the notes of what is lost.
pub const LOST_FILE_BYTES_MAX: u64 = (LOST_PARTS_MAX * 512) as u64;

const MIB: usize = 1024 * 1024;

// One append of the largest size must fit the queue, or it would wait for ever.
const _: () = assert!(GROUP_BYTES_MAX_DEFAULT <= QUEUE_BYTES_MAX);
// The queue's permits are counted in 32 bits, and a body length, which is no larger, is stored in as many.
const _: () = assert!(QUEUE_BYTES_MAX < u32::MAX as usize);
// A default group must fit a default segment, or each group would be a file of its own.
const _: () = assert!(GROUP_BYTES_MAX_DEFAULT as u64 * 4 <= SEGMENT_BYTES_MAX_DEFAULT);
