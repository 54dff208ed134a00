//! Named bounds of the device plane: what a stranger, a device or a module can cost.

use std::time::Duration;

/// Sessions that may be authenticated at the same time. A reconnect storm waits here instead of piling onto the registry.
pub const AUTHENTICATIONS_MAX: usize = 64;

/// How long a connection may wait for its turn to authenticate before it is told to come again.
pub const AUTHENTICATION_WAIT: Duration = Duration::from_secs(20);

/// Searches for the enrollment group that a token belongs to at the same time; others wait. Each tries every group.
pub const GROUP_SEARCHES_MAX: usize = 1;

/// Groups a search tries before others get their turn on the processor.
pub const GROUPS_AT_ONCE_MAX: usize = 64;

/// Enrollment groups of all applications that are kept, with their keys decoded, between searches; when there are more, keeping
/// starts over.
pub const GROUPS_KEPT_MAX: usize = 4_096;

/// How long they are kept when nothing has changed that is known of.
pub const GROUPS_KEPT_FOR: Duration = Duration::from_secs(1);

/// What rests on a changed credential is judged again so many at a time.
pub const JUDGED_AT_ONCE_MAX: usize = 32;

/// What rests on a changed credential is judged again in pages of so many: what the registry knows of their devices is read
/// together.
pub const JUDGED_PER_READ_MAX: usize = 1_000;

/// How long something may stay open after its credential was taken away. What cannot be judged in that time, because the
/// registry does not answer, is ended unjudged.
pub const REVOKED_ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Pause before something is judged again that could not be.
pub const JUDGE_RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Twin changes waiting for the writer; beyond it the callers wait.
pub const TWIN_CHANGES_QUEUED_MAX: usize = 1_024;

/// Twin changes committed with one `fsync`.
pub const TWIN_CHANGES_PER_COMMIT_MAX: usize = 128;

/// Sessions that wait to be kept; beyond it their clients wait for the answer to SUBSCRIBE.
pub const SESSIONS_KEPT_QUEUED_MAX: usize = 1_024;

/// Sessions kept with one `fsync`.
pub const SESSIONS_KEPT_PER_COMMIT_MAX: usize = 128;

/// How long a session may take none of its waiting desired patches before it is cut: it reads the whole twin when it comes back.
pub const DESIRED_NOTIFY_TIMEOUT: Duration = Duration::from_secs(10);

/// Desired patches, 32 KiB each at most, that wait for one slow session; with one more it is cut.
pub const DESIRED_PATCHES_WAITING_MAX: usize = 16;

/// Events the relay appends to the log together.
pub const RELAY_EVENTS_PER_APPEND_MAX: usize = 256;

/// Bytes after which the relay appends no further event with those before: their bodies may be as large as a twin.
pub const RELAY_BYTES_PER_APPEND_MAX: usize = 1024 * 1024;

/// Modules a device may have.
pub const MODULES_PER_DEVICE_MAX: usize = 50;

/// Body of any other HTTPS request of a device.
pub const HUB_HTTP_CALL_BYTES_MAX: usize = 64 * 1024;

/// Body of a device's HTTPS request with telemetry: a batch of messages, 256 KiB of them, base64 and JSON around.
pub const HUB_HTTP_BODY_BYTES_MAX: usize = 512 * 1024;

/// Devices answered by one page of the scope calls of an edge's hub.
pub const SCOPE_PAGE_DEVICES_MAX: usize = 1_000;

/// Rows one page of the scope calls reads: the modules of its devices, and the devices without any.
pub const SCOPE_PAGE_ROWS_MAX: usize = 4_096;

/// Bytes of one page of the scope calls, so that whoever asks can take it in. A device with its modules is not divided: it is
/// at most [`MODULES_PER_DEVICE_MAX`] + 1 times 1 KiB, and the certificates of two authorities, of 22 KiB each as text.
pub const SCOPE_PAGE_BYTES_MAX: usize = 768 * 1024;

/// Applications looked up by host name that are remembered; when there are more, remembering starts over.
pub const APPLICATIONS_REMEMBERED_MAX: usize = 256;

/// Cloud-to-device messages that wait for one device.
pub const DEVICE_MESSAGES_MAX: u32 = 50;

/// Those that wait for the devices of one application, and their bytes.
pub const APPLICATION_MESSAGES_MAX: u64 = 250_000;
/// See [`APPLICATION_MESSAGES_MAX`].
pub const APPLICATION_MESSAGES_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// Those that wait for the devices of all applications, and their bytes. Of each device that has any, a row is kept in memory.
pub const PLATFORM_MESSAGES_MAX: u64 = 1_000_000;
/// See [`PLATFORM_MESSAGES_MAX`].
pub const PLATFORM_MESSAGES_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;

/// How long a cloud-to-device message waits, when its sender does not say.
pub const DEVICE_MESSAGE_LIFE_DEFAULT: Duration = Duration::from_secs(3600);

/// How long one may wait.
pub const DEVICE_MESSAGE_LIFE_MAX: Duration = Duration::from_secs(2 * 24 * 3600);

/// How often one is delivered; when the last delivery is not settled either, it ends.
pub const DEVICE_MESSAGE_DELIVERIES_MAX: u32 = 10;

/// How long whoever fetched one over HTTPS may take to settle it. One that was sent to a session does not expire as long.
pub const DEVICE_MESSAGE_LOCK: Duration = Duration::from_secs(60);

/// Cloud-to-device messages, 64 KiB each at most, that are on the way to one session without its acknowledgement.
pub const DEVICE_MESSAGES_UNDER_WAY_MAX: usize = 16;

/// Changes of queues that wait for the writer; beyond it the callers wait.
pub const QUEUE_CHANGES_QUEUED_MAX: usize = 1_024;

/// Changes of queues committed with one `fsync`.
pub const QUEUE_CHANGES_PER_COMMIT_MAX: usize = 128;

/// Messages that expire with one commit.
pub const EXPIRIES_PER_COMMIT_MAX: u32 = 256;

/// How often is looked for messages whose time is over.
pub const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);

/// Pause before a device's queue is read again after the registry failed.
pub const QUEUE_RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Records an application keeps of what became of messages, until they are read; the oldest go first.
pub const FEEDBACK_KEPT_MAX: u32 = 100_000;

/// How long they are kept.
pub const FEEDBACK_LIFE: Duration = Duration::from_secs(2 * 24 * 3600);

/// Bytes of one file a device uploads, and of one request of it.
pub const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Bytes of a file's name.
pub const FILE_NAME_BYTES_MAX: usize = 512;

/// Blocks of one upload that wait for their list, and blocks of a list.
pub const FILE_BLOCKS_MAX: u64 = 4_096;

/// Bytes of a block's name.
pub const FILE_BLOCK_NAME_BYTES_MAX: usize = 64;

/// Bytes of a list of blocks: a name of the longest kind takes 109.
pub const FILE_BLOCK_LIST_BYTES_MAX: usize = 512 * 1024;

/// Bytes of the type of a file, as its device says.
pub const FILE_TYPE_BYTES_MAX: usize = 128;

/// Uploads of one device that are open.
pub const FILE_UPLOADS_OPEN_MAX: u64 = 10;

/// How long an upload is open: one that its device says nothing of is removed then.
pub const FILE_UPLOAD_LIFE: Duration = Duration::from_secs(3600);

/// Files of one device, its open uploads included, and their bytes.
pub const DEVICE_FILES_MAX: u64 = 1_000;
/// See [`DEVICE_FILES_MAX`].
pub const DEVICE_FILES_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// Files of one application, and their bytes.
pub const APPLICATION_FILES_MAX: u64 = 100_000;
/// See [`APPLICATION_FILES_MAX`].
pub const APPLICATION_FILES_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;

/// How long a file is kept.
pub const FILE_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Requests that write a file at the same time; a further one is told to come again. Each may take [`FILE_BYTES_MAX`] on the disk
/// before it is counted.
pub const FILE_WRITES_AT_ONCE_MAX: usize = 16;

/// Bytes of the disk that files leave to telemetry and the registry.
pub const FILES_LEAVE_BYTES: u64 = 256 * 1024 * 1024;

/// How often is looked for files whose time is over.
pub const FILES_SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Files that are removed, or looked at, in one go.
pub const FILES_PER_SWEEP_MAX: u64 = 256;
