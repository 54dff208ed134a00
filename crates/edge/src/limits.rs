//! Every bound of this crate, by name.

use std::time::Duration;

/// Largest `config.toml`, and largest payload for the provisioning service, read.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// Largest state file of ours read back (deployment, twins, scope cache).
pub const STATE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Largest PEM or key file an operator may point at.
pub const KEY_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Unix socket paths are limited by the kernel (`sun_path`, 108 bytes with the final zero).
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Connections, idle ones included, on one unix socket; more are closed without an answer, as the original does.
pub const SOCKET_REQUESTS_MAX: usize = 10;

/// Body of a request to the workload or management API.
pub const SOCKET_BODY_BYTES_MAX: usize = 256 * 1024;

/// A client of a unix socket has this long to send the head of a request, the first or another one, and as long again for its
/// body.
pub const SOCKET_REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// One log file of a module; there are at most [`MODULE_LOG_FILES`] of them.
pub const MODULE_LOG_FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// Files a module's log rotates through, the current one included.
pub const MODULE_LOG_FILES: usize = 3;

/// A longer line of a module's output is cut into several.
pub const MODULE_LOG_LINE_BYTES_MAX: usize = 16 * 1024;

/// Lines a log request may bring at once; the newest win.
pub const LOG_LINES_MAX: usize = 100_000;

/// Files a process of a module may have open, where modules have users of their own.
pub const MODULE_FILES_MAX: u64 = 4096;

/// Processes and threads a module may have, where modules have users of their own.
pub const MODULE_PROCESSES_MAX: u64 = 512;

/// How long a module has between SIGTERM and SIGKILL.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// Operators' orders that wait for one module whose task is busy; more are refused with 503.
pub const ORDERS_WAITING_MAX: usize = 8;

/// First wait before a failed module is started again; doubled for each further restart.
pub const RESTART_WAIT_FIRST: Duration = Duration::from_secs(10);

/// Longest wait before a failed module is started again. There is no last attempt: a module that keeps failing is tried at
/// this pace for ever, and the report says so.
pub const RESTART_WAIT_MAX: Duration = Duration::from_secs(300);

/// After so many restarts the report calls the module `failed` although it is still tried.
pub const RESTARTS_REPORTED_FAILED: u32 = 20;

/// A module that ran this long is well again: its count of restarts is forgotten.
pub const HEALTHY_AFTER: Duration = Duration::from_secs(600);

/// Sessions of modules and downstream devices at once.
pub const SESSIONS_MAX: usize = 1024;

/// Connections at the local hub whose clients have not proved who they are: fewer than elsewhere, since a gateway is small.
pub const STRANGERS_MAX: usize = 64;

/// Connections at the local hub: a session each, and those that have none yet.
pub const CONNECTIONS_MAX: usize = SESSIONS_MAX + STRANGERS_MAX;

/// Clients listed in the reported properties of `$edgeHub`; the rest are only counted (the section holds 32 KiB).
pub const CLIENTS_REPORTED_MAX: usize = 200;

/// Endpoints and priorities the routes of one configuration may lead to; a message goes to at most as many.
pub const ROUTE_QUEUES_MAX: usize = 128;

/// Queues at once, with those that earlier configurations led to while the log holds messages of theirs. Their positions fit one
/// checkpoint file.
pub const CURSORS_MAX: usize = 1000;

/// Stretches of the log that are remembered for a queue's waiting messages; beyond, some are read over in vain.
pub const QUEUE_RUNS_MAX: usize = 128;

/// Records of other queues that are read over rather than beginning another stretch.
pub const QUEUE_RUN_GAP_RECORDS: u64 = 64;

/// How far the queues were delivered is written down at most this often.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// How often messages that wait for a blocked endpoint are looked at for whether their time is up.
pub const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);

/// Messages a pump takes from a queue at once. Those of an earlier version are moved in steps of as many: written anew, each is
/// larger than it was, and a step must fit one append to the log.
pub const PUMP_BATCH_MESSAGES: usize = 256;

/// Bytes a pump takes from a queue at once; at least one message, however large.
pub const PUMP_BATCH_BYTES: usize = 1024 * 1024;

/// One segment of the queues' log: what has been sent is freed in steps of this size.
pub const QUEUE_SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// Messages that come at the same time are made durable together once in this time. Latency for processor time and flash
/// life: at 1,000 messages a second it is a fifth of the syncs.
pub const QUEUE_COMMIT_INTERVAL: Duration = Duration::from_millis(5);

/// Messages of a queue nobody takes from are set aside once the queues' log takes more than this part (a half) of what all queues
/// may take, so that what is behind them can be freed.
pub const ASIDE_LOG_SHARE: u64 = 2;

/// They are set aside only where they are at most this part (a quarter) of the log: moving them costs little of what it frees.
pub const ASIDE_GAIN_MIN: u64 = 4;

/// Queues of which messages are set aside at once, each in a log of its own.
pub const ASIDES_MAX: usize = 16;

/// Steps in which what was set aside is freed, as parts of what all queues may take; at most [`QUEUE_SEGMENT_BYTES`].
pub const ASIDE_SEGMENTS_IN_TOTAL: u64 = 64;

/// Newest part of the log kept in memory, so that a pump that keeps up does not read the disk.
pub const QUEUE_TAIL_BYTES: usize = 512 * 1024;

/// Messages that could not be delivered of which particulars are kept, the newest; all are counted.
pub const DEAD_LETTERS_KEPT_MAX: usize = 32;

/// Losses of something stored that are kept, the newest; all are counted.
pub const LOSSES_KEPT_MAX: usize = 32;

/// The clock on the wall counts as set when it is off by so much, by the clock messages grow older by.
pub const CLOCK_STEP_MIN: Duration = Duration::from_secs(2);

/// Both clocks are noted at least this often; at once when the one on the wall was set.
pub const CLOCK_NOTE_INTERVAL: Duration = Duration::from_secs(3600);

/// What was dropped is reported at most this often.
pub const DROPPED_REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Combinations of labels of one metric.
pub const METRIC_SERIES_MAX: usize = 1024;

/// How often it is looked at what modules use of the processors.
pub const PROCESSORS_SAMPLE_INTERVAL: Duration = Duration::from_secs(60);

/// Disk for all queues when `[tidegate] max_disk` is not set.
pub const QUEUES_DISK_BYTES_DEFAULT: u64 = 1024 * 1024 * 1024;

/// How long a sender whose link upstream is not up, while that of another is, holds the messages of the others. Then its own are set
/// apart. Longer than all links take to come back together.
pub const SENDER_LAG_MAX: Duration = Duration::from_secs(10);

/// A module has this long to acknowledge a message on an input, from when it acknowledged the one before. Then it gets it again.
pub const INPUT_ACK_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an operation for a client waits for the upstream hub, whatever the number of requests it takes.
pub const UPSTREAM_CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a client's request waits for a link that is just being set up, before the cache answers.
pub const UPSTREAM_CONNECT_WAIT: Duration = Duration::from_secs(5);

/// Longest a direct method relayed to a local client may take.
pub const METHOD_TIMEOUT_MAX: Duration = Duration::from_secs(300);

/// First and longest wait between attempts of anything retried for ever.
pub const RETRY_WAIT_FIRST: Duration = Duration::from_secs(1);
/// See [`RETRY_WAIT_FIRST`].
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(60);

/// One identity is asked for upstream at most this often.
pub const SCOPE_IDENTITY_REFRESH_MIN: Duration = Duration::from_secs(10);

/// Identities asked for one by one upstream within [`SCOPE_IDENTITY_REFRESH_MIN`]; a further one waits for its turn.
pub const SCOPE_IDENTITIES_ASKED_MAX: usize = 256;

/// Of these, identities that are not in scope.
pub const SCOPE_STRANGERS_ASKED_MAX: usize = 16;

/// How long nobody is asked for again whom the hub above does not know.
pub const SCOPE_ABSENT_TIME: Duration = Duration::from_secs(30);

/// So many of them are remembered; then it begins anew.
pub const SCOPE_ABSENT_KEPT_MAX: usize = 1024;

/// Identities in doubt that are looked up one by one; for more the whole scope is fetched.
pub const SCOPE_DOUBTED_ASKED_MAX: usize = 16;

/// Identities in doubt are looked up together, at most once in this time; the first at once.
pub const SCOPE_DOUBT_INTERVAL: Duration = Duration::from_secs(1);

/// The whole scope is fetched again after this time.
pub const SCOPE_REFRESH_INTERVAL: Duration = Duration::from_secs(3600);

/// Identities one page of the scope is asked to bring.
pub const SCOPE_PAGE_SIZE: usize = 100;

/// Pages of one scope query. Identities beyond are asked for one by one as they connect, and none is forgotten because it was
/// on no page.
pub const SCOPE_PAGES_MAX: usize = 100;

/// Certificates of authorities that are kept for judging devices, in bytes: 1.5 KiB each, of a thousand groups with two each.
/// Devices of the authorities beyond are asked for as they connect.
pub const SCOPE_AUTHORITIES_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Twins of clients in memory. For one more, those no request is using at that moment leave; all are on disk.
pub const TWINS_MAX: usize = 2048;

/// An upstream link whose client has left is closed after this time, unless messages still use it. What the hub above says
/// meanwhile does not prolong it.
pub const LINK_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The certificate authority of this edge.
pub const AUTHORITY_VALIDITY: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Server certificates we issue, our own included.
pub const CERTIFICATE_VALIDITY: Duration = Duration::from_secs(90 * 86_400);

/// Tokens we sign for the hub's HTTPS API.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(600);

/// Answer of `GetModuleLogs`, in bytes of the JSON that is sent. More is refused, with what to ask for instead.
pub const MODULE_LOGS_ANSWER_BYTES_MAX: usize = 127_000;

/// The reported properties are compared and sent again at most this often.
pub const REPORT_INTERVAL_MIN: Duration = Duration::from_millis(500);

/// A clock before this moment (2024-01-01) is certainly wrong.
pub const CLOCK_MIN_SECS: u64 = 1_704_067_200;

// The hub ends the connection of whoever answers with more.
const _: () = assert!(MODULE_LOGS_ANSWER_BYTES_MAX <= protocol::limits::METHOD_PAYLOAD_BYTES_MAX);
// A message's targets are counted in one byte.
const _: () = assert!(ROUTE_QUEUES_MAX <= u8::MAX as usize);
// Every queue's position fits the one file.
const _: () = assert!(CURSORS_MAX <= storage::limits::CHECKPOINTS_MAX);

/// Cloud-to-device messages of one device, 64 KiB each at most, that came from the hub above and wait for the device; that hub has
/// no more on the way to us.
pub const MESSAGES_FROM_ABOVE_MAX: usize = 64;
