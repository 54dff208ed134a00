//! Named bounds of Central. Whatever can grow has its limit here, with the reason.

use std::time::Duration;

/// Body of a request that brings no document.
pub const HTTP_CALL_BYTES_MAX: usize = 512 * 1024;

/// Body of a request that brings a device template or a deployment manifest.
pub const HTTP_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// HTTPS connections at the same time.
pub const HTTP_CONNECTIONS_MAX: usize = 4_096;

/// Of these, in percent, those that devices over WebSocket leave to everybody else: they stay for days, people come and go.
pub const HTTP_CONNECTIONS_KEPT_PERCENT: usize = 25;

/// How long the head of each further HTTP/1.1 request may take; that of the first has `transport::limits::ARRIVAL_TIMEOUT`, the
/// TLS handshake included.
pub const HTTP_HEADER_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of a request's head that are at the same time on their way to be looked at for the letters of its names.
pub const HTTP_NAMES_BUFFER_BYTES: usize = 4 * 1024;

/// After how long without a word from an HTTP/2 client it is asked whether it is still there.
pub const HTTP_PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long it may take to answer that.
pub const HTTP_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// HTTP/2 requests at the same time on one connection.
pub const HTTP_STREAMS_MAX: u32 = 128;

/// Requests answered at the same time on a connection of which nobody knows who made it; further ones wait.
pub const HTTP_STRANGER_STREAMS_MAX: usize = 8;

/// Requests that wait for that on one connection; further ones are refused for now.
pub const HTTP_STRANGER_WAITING_MAX: usize = 24;

/// HTTPS connections of which nobody knows who made them. Each costs less than 1 MiB, however it goes about it.
pub const HTTP_STRANGERS_MAX: usize = 128;

/// Answers that are compressed at the same time; each costs some hundreds of KiB until it is sent. Further ones are sent as they are.
pub const HTTP_COMPRESSIONS_MAX: usize = 64;

/// Bytes of a request's head, and of an answer that waits to be sent, on an HTTP/1.1 connection.
pub const HTTP1_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a request's head in HTTP/2.
pub const HTTP2_HEAD_BYTES_MAX: u32 = 16 * 1024;

/// Bytes of one answer that wait to be sent in HTTP/2.
pub const HTTP2_SEND_BYTES_MAX: usize = 32 * 1024;

/// Bytes of one request's body that nobody has read, in HTTP/2.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// The same of all requests of a connection.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 128 * 1024;

/// How long open HTTPS requests may still run after a stop was asked for.
pub const HTTP_DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Life of an API token for which nobody asked otherwise.
pub const API_TOKEN_LIFE: Duration = Duration::from_secs(365 * 24 * 3600);

/// Characters of an id a caller chooses.
pub const ID_CHARS_MAX: usize = 128;

/// Characters of a name shown to people.
pub const DISPLAY_NAME_CHARS_MAX: usize = 148;

/// A console session ends when nothing was asked for this long.
pub const WEB_SESSION_IDLE: Duration = Duration::from_secs(12 * 3600);

/// A console session ends after this long, whatever happens.
pub const WEB_SESSION_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How often the caller of a live stream is judged again although nothing is known to have changed: the command line, which is
/// another process, changes users too.
pub const STREAM_JUDGE_INTERVAL: Duration = Duration::from_secs(4);

/// A sign-in link made on the command line, to be passed on, works this long.
pub const SIGN_IN_INVITATION_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Failed sign-ins of one address within [`SIGN_IN_FAILURE_WINDOW`] that are answered as such and written down; further ones are
/// told to come later.
pub const SIGN_IN_FAILURES_MAX: u32 = 10;

/// How long a failed sign-in counts.
pub const SIGN_IN_FAILURE_WINDOW: Duration = Duration::from_secs(15 * 60);

/// Addresses whose failed sign-ins are counted; those of further ones are as if they had been too many.
pub const SIGN_IN_ADDRESSES_MAX: usize = 10_000;

/// Items of a page of a list, when the caller does not say.
pub const PAGE_SIZE_DEFAULT: u32 = 25;

/// Items of a page of a list.
pub const PAGE_SIZE_MAX: u32 = 100;

/// Devices of a page of the fleet, when the caller does not say.
pub const FLEET_PAGE_SIZE_DEFAULT: u32 = 50;

/// Devices of a page of the fleet.
pub const FLEET_PAGE_SIZE_MAX: u32 = 200;

/// Characters of a list's filter.
pub const FILTER_CHARS_MAX: usize = 4_096;

/// Comparisons in a list's filter.
pub const FILTER_CLAUSES_MAX: usize = 100;

/// Parentheses within each other in a list's filter.
pub const FILTER_DEPTH_MAX: usize = 16;

/// Times a patch is merged again because the thing it changes was changed meanwhile.
pub const PATCH_ATTEMPTS_MAX: u32 = 5;

/// Device templates of an application.
pub const TEMPLATES_MAX: u32 = 1_000;

/// Bytes of the documents of parsed templates kept in memory; beyond it, keeping starts over.
pub const TEMPLATES_PARSED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Stored deployment manifests of an application.
pub const MANIFESTS_MAX: u32 = 1_000;

/// Enrollment groups of an application.
pub const ENROLLMENT_GROUPS_MAX: u32 = 1_000;

/// Users of an application, and API tokens likewise.
pub const USERS_MAX: u32 = 10_000;

/// Runs of commands that wait to be stored; beyond it their callers wait with them.
pub const COMMAND_RUNS_QUEUED_MAX: usize = 256;

/// Runs stored with one `fsync`.
pub const COMMAND_RUNS_PER_COMMIT_MAX: usize = 64;

/// Runs of one command of one device that are kept.
pub const COMMAND_RUNS_KEPT: u32 = 10;

/// Messages of which is told at once what became of them.
pub const MESSAGE_OUTCOMES_PER_ANSWER_MAX: u32 = 100;

/// How long a command waits in the queue of its device.
pub const QUEUED_COMMAND_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Wait for a command's answer, when the caller does not say.
pub const COMMAND_RESPONSE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

/// Raw messages answered at once, when the caller does not say.
pub const MESSAGES_PER_ANSWER_DEFAULT: usize = 50;

/// Raw messages answered at once.
pub const MESSAGES_PER_ANSWER_MAX: usize = 100;

/// Points of one series, when the caller does not say.
pub const SERIES_POINTS_DEFAULT: usize = 300;

/// Points of one series.
pub const SERIES_POINTS_MAX: usize = 2_000;

/// Series asked for at once.
pub const SERIES_NAMES_MAX: usize = 20;

/// Characters of an e-mail address, the limit of mail itself.
pub const EMAIL_CHARS_MAX: usize = 254;

/// Times a backup starts over because Central merged or trimmed what was being copied.
pub const BACKUP_ATTEMPTS_MAX: u32 = 20;

/// Bytes of a backup's list: about a million files.
pub const BACKUP_LIST_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Life left at which `admin.token` is renewed: long enough for a Central that is rarely started to be in time.
pub const ADMIN_TOKEN_RENEWAL: Duration = Duration::from_secs(60 * 24 * 3600);

// The strangers of both HTTP listeners cannot use up the room for their bodies: nobody who signs in is kept out by others.
const _: () = assert!(
    2 * HTTP_STRANGERS_MAX * HTTP_STRANGER_STREAMS_MAX * transport::limits::STRANGER_BODY_BYTES_MAX
        <= transport::limits::STRANGER_BODIES_BYTES_MAX
);
