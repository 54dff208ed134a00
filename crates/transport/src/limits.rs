//! Every bound of the transport, by name, with the memory it stands for.

use std::time::Duration;

/// Commands waiting for one connection task. The queue holds pointers; what they point to is bounded by the callers: one
/// method payload (128 KiB) or one message (256 KiB) each, so 16 MiB a connection if somebody fills it with the largest.
pub const LINK_COMMANDS_MAX: usize = 64;

/// Direct methods without an answer on one connection. A method whose caller gave up makes room for the next one.
pub const METHODS_PENDING_MAX: usize = 64;

/// Telemetry messages handed to the handler in one call.
pub const BATCH_MESSAGES_MAX: usize = 1024;

/// Plain bytes taken in at a time from one connection before what they hold is handled. An incomplete packet stays in the
/// buffer, so that one connection holds at most this plus `protocol::limits::PACKET_BYTES_MAX` (64 KiB + 320 KiB).
pub const READ_BYTES_MAX: usize = 64 * 1024;

/// Encoded bytes waiting to be written before the task writes them out in between.
pub const WRITE_BYTES_SOFT_MAX: usize = 64 * 1024;

/// Bytes of one frame of a WebSocket. A frame costs no memory, its bytes are handled as they come: one that announces more is
/// sent by nobody who means it.
pub const WEB_SOCKET_FRAME_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes put into one frame of a WebSocket. So many, and an answer to a ping, are held while the peer does not read.
pub const WEB_SOCKET_WRITE_BYTES_MAX: usize = 64 * 1024;

/// Head of the request for a WebSocket, or of an answer to it or of a proxy, with what was read behind it.
pub const WEB_SOCKET_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Connections of one listener, those still in their handshake included. Each costs about 12 KiB when idle.
pub const CONNECTIONS_MAX: usize = 200_000;

/// Connections of one listener whose clients have not proved who they are. Each holds what one read brings and a CONNECT
/// (`protocol::limits::CONNECT_BYTES_MAX`) at most, and what TLS needs.
pub const STRANGERS_MAX: usize = 512;

/// How long it may take from the open connection to what says who the client is: TLS handshake and CONNECT, or the head of a
/// request, together.
pub const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(10);

/// When there is no place left: how long a stranger who makes no progress keeps his.
pub const STRANGER_PATIENCE: Duration = Duration::from_secs(1);

/// The same for one who has said nothing yet that could be answered: whoever means it begins at once.
pub const STRANGER_SILENCE_MAX: Duration = Duration::from_millis(250);

/// A client that is refused may be sending still, and hears it only when it is not cut off: so many bytes are read and thrown
/// away before the connection is closed.
pub const REFUSED_BYTES_MAX: usize = 256 * 1024;

/// The same, in time.
pub const REFUSED_TIMEOUT: Duration = Duration::from_secs(1);

/// Body of a request of which nobody knows who sends it: what signs somebody in.
pub const STRANGER_BODY_BYTES_MAX: usize = 4 * 1024;

/// Bytes of all such bodies that are held at a time.
pub const STRANGER_BODIES_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of the bodies of all other requests that are held at a time; a further one is refused for now.
pub const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long a body may take, besides what its bytes are given by [`BODY_BYTES_PER_SEC_MIN`].
pub const BODY_GRACE: Duration = Duration::from_secs(10);

/// Bytes of a body that must come in a second.
pub const BODY_BYTES_PER_SEC_MIN: u64 = 1024;

/// Bytes that are drawn off of a body that was not read, so that its sender hears the answer.
pub const REFUSED_BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The same, in time.
pub const REFUSED_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Lines about clients that did not prove who they are, within [`STRANGER_LINES_WINDOW`]; the further ones are counted.
pub const STRANGER_LINES_MAX: u32 = 60;

/// See there.
pub const STRANGER_LINES_WINDOW: Duration = Duration::from_secs(60);

/// Characters of one value in a line of the log: what a client calls itself may be long.
pub const LOG_VALUE_CHARS_MAX: usize = 4_096;

/// Connections and requests of a listener that gave way, in each hour since the start, that are worth no warning: a few
/// clients are always cut off on their way.
pub const GAVE_WAY_HOURLY_MAX: u64 = 60;

/// Descriptors that connections leave to files, the registry, and what the program itself connects to.
pub const DESCRIPTORS_RESERVED: u64 = 256;

/// How long a peer may take to accept what is written.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a peer may take to accept what is left to say when the hub ends its connection.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long the connections may take to end after a shutdown was asked for.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Publishes on the way to the hub without PUBACK, per client. Worst case 256 × 256 KiB = 64 MiB, if all are of the largest
/// size; the messages share their bytes with the caller's.
pub const CLIENT_WINDOW: usize = 256;

/// Calls of `HubClient::send` waiting for their turn. The memory is the callers' own.
pub const CLIENT_SENDS_MAX: usize = 64;

/// Messages in one call of `HubClient::send`.
pub const CLIENT_SEND_MESSAGES_MAX: usize = 65_536;

/// Twin requests waiting or without answer, per client.
pub const CLIENT_REQUESTS_MAX: usize = 64;

/// Events waiting for the owner of a client. When they are full nothing more is read from the hub. As many of the owner's
/// answers (method results, acknowledged inputs) may wait to be written.
pub const CLIENT_EVENTS_MAX: usize = 256;

/// How long a twin request may take.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long resolving a name, a TCP connect or a TLS handshake of a client may take, each.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// First pause before a client connects again; doubles up to [`BACK_OFF_MAX`].
pub const BACK_OFF_MIN: Duration = Duration::from_secs(1);

/// Longest pause before the one of several clients of a hub that leads connects again.
pub const LEAD_PAUSE_MAX: Duration = Duration::from_secs(2);

/// Within this time the others follow once the hub has let one of them in.
pub const BACK_TOGETHER: Duration = Duration::from_millis(500);

/// Longest pause before a client connects again.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(60);

/// Life of a token a client signs.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How long before its token ends a client reconnects with a new one.
pub const TOKEN_RENEWAL_MARGIN: Duration = Duration::from_secs(10 * 60);

/// How long the publishes on the way may take to be acknowledged before a planned reconnect, or before `stop` gives up.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest body of an HTTPS answer taken in.
pub const HTTPS_BODY_BYTES_MAX: usize = 1024 * 1024;

/// How long an HTTPS request may take from name to last byte.
pub const HTTPS_TIMEOUT: Duration = Duration::from_secs(30);

/// Polls of one registration before it counts as failed.
pub const REGISTRATION_POLLS_MAX: u32 = 40;

/// Longest pause a provisioning service can ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
