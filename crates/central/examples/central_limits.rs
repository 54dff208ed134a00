//! Prints Central's half of `docs/reference/limits.md`, from the constants: what an unauthenticated client, one device and one module can cost.
#![allow(clippy::print_stdout, reason = "the page goes to standard output")]

use central::config::Config;
use central::limits::*;
use hub::limits::*;
use model::limits::{TWIN_SECTION_BYTES_MAX, TWIN_TAGS_BYTES_MAX};
use model::message::MESSAGE_BYTES_MAX;
use protocol::limits::{
    CLIENT_CHAIN_BYTES_MAX, CLIENT_CHAIN_CERTIFICATES_MAX, CLIENT_CHAIN_SIGNATURES_MAX, CLOUD_TO_DEVICE_BYTES_MAX,
    CONNECT_BYTES_MAX, METHOD_PAYLOAD_BYTES_MAX, PACKET_BYTES_MAX, REGISTER_BYTES_MAX,
};
use testkit::limits_page::{size, table};
use transport::limits::*;

fn main() {
    println!("\n## Central");
    strangers();
    device();
    module();
    messages();
    files();
}

fn strangers() {
    let mqtt = READ_BYTES_MAX + CONNECT_BYTES_MAX;
    let heads = (HTTP_STRANGER_STREAMS_MAX + HTTP_STRANGER_WAITING_MAX) * HTTP2_HEAD_BYTES_MAX as usize;
    let answers = HTTP_STRANGER_STREAMS_MAX * HTTP2_SEND_BYTES_MAX;
    let http = HTTP2_CONNECTION_WINDOW_BYTES as usize + heads + answers;
    let http = http.max(2 * HTTP1_BUFFER_BYTES_MAX);
    let shared = STRANGER_BODIES_BYTES_MAX;
    let all = STRANGERS_MAX * mqtt + HTTP_STRANGERS_MAX * http + shared;
    let times = format!("{} s", ARRIVAL_TIMEOUT.as_secs());
    table(
        "An unauthenticated client",
        "Whoever has not proved who he is, and all of them together. What TLS holds for each connection comes on top.",
        &[
            (
                "connections, MQTT and each HTTP listener",
                format!("{STRANGERS_MAX} and {HTTP_STRANGERS_MAX}, a descriptor each"),
                format!(
                    "the oldest of the address that has most gives way; {DESCRIPTORS_RESERVED} descriptors are not for connections"
                ),
            ),
            (
                "time to say who he is",
                times,
                "TLS handshake and CONNECT, over WebSocket too, or the head of a request".into(),
            ),
            (
                "a client's certificates",
                size(CLIENT_CHAIN_BYTES_MAX),
                format!(
                    "{CLIENT_CHAIN_CERTIFICATES_MAX} of them; {CLIENT_CHAIN_SIGNATURES_MAX} signatures are checked"
                ),
            ),
            ("memory, an MQTT connection", size(mqtt), "one read, and a CONNECT".into()),
            (
                "memory, an HTTP connection",
                size(http),
                format!(
                    "the heads of {} requests, {HTTP_STRANGER_STREAMS_MAX} answers that wait to be sent, and what nobody has read yet",
                    HTTP_STRANGER_STREAMS_MAX + HTTP_STRANGER_WAITING_MAX
                ),
            ),
            ("memory, bodies of all requests", size(shared), "room for as many as may be answered at a time".into()),
            (
                "answers compressed at a time",
                HTTP_COMPRESSIONS_MAX.to_string(),
                "shared with everybody; further ones are sent as they are".into(),
            ),
            ("body of one request", size(STRANGER_BODY_BYTES_MAX), "what signs somebody in".into()),
            ("**memory of all of them**", format!("**{}**", size(all)), "the lines above".into()),
            (
                "disk",
                format!("{STRANGER_LINES_MAX} lines of the log in {} s", STRANGER_LINES_WINDOW.as_secs()),
                format!("at most {LOG_VALUE_CHARS_MAX} characters of each value; nothing else of theirs is written"),
            ),
            (
                "credentials looked at, at a time",
                AUTHENTICATIONS_MAX.to_string(),
                format!(
                    "others wait, up to {} s; {GROUP_SEARCHES_MAX} search for an enrollment group",
                    AUTHENTICATION_WAIT.as_secs()
                ),
            ),
        ],
    );
}

fn device() {
    let reading = READ_BYTES_MAX + PACKET_BYTES_MAX;
    let waiting = LINK_COMMANDS_MAX * MESSAGE_BYTES_MAX;
    let writing = WRITE_BYTES_SOFT_MAX + PACKET_BYTES_MAX;
    let twin = 2 * TWIN_SECTION_BYTES_MAX + TWIN_TAGS_BYTES_MAX;
    let log = Config::default().log.max_bytes;
    table(
        "One device",
        "With its credentials, over and above what it is allowed to store. A second connection ends the first.",
        &[
            ("connections", "1 (MQTT)".into(), "a descriptor; HTTPS requests come on top".into()),
            (
                "memory, its connection",
                size(reading + waiting + writing),
                format!(
                    "{} being read, {} of commands that wait for it, {} being written",
                    size(reading),
                    size(waiting),
                    size(writing)
                ),
            ),
            (
                "direct methods and desired patches that wait",
                format!("{METHODS_PENDING_MAX} and {DESIRED_PATCHES_WAITING_MAX}"),
                format!(
                    "{} a method's payload, {} a patch",
                    size(METHOD_PAYLOAD_BYTES_MAX),
                    size(TWIN_SECTION_BYTES_MAX)
                ),
            ),
            (
                "body of an HTTPS request",
                size(HUB_HTTP_BODY_BYTES_MAX),
                format!(
                    "telemetry; {} to register, {} anything else",
                    size(REGISTER_BYTES_MAX),
                    size(HUB_HTTP_CALL_BYTES_MAX)
                ),
            ),
            (
                "bodies of all requests",
                size(BODIES_BYTES_MAX),
                "shared by everybody who is known; further ones are refused for now".into(),
            ),
            ("slowest body", format!("{BODY_BYTES_PER_SEC_MIN} bytes/s"), format!("after {} s", BODY_GRACE.as_secs())),
            ("disk, its twin", size(twin), "desired and reported properties, tags".into()),
            ("disk, its modules", format!("{MODULES_PER_DEVICE_MAX}"), format!("{} of twin each", size(twin))),
            (
                "disk, its runs of commands",
                format!("{COMMAND_RUNS_KEPT} of each command"),
                "older ones are deleted".into(),
            ),
            (
                "disk, telemetry",
                "no limit of its own".into(),
                format!(
                    "the log of all devices holds at most {} until it is stored, then everybody's messages are refused; \
                     what is stored stays until somebody deletes it",
                    size(usize::try_from(log).unwrap_or(usize::MAX))
                ),
            ),
        ],
    );
}

fn messages() {
    let hours = |life: std::time::Duration| format!("{} hours", life.as_secs() / 3600);
    table(
        "Messages that wait for devices",
        "Commands that are queued, and other cloud-to-device messages.",
        &[
            (
                "for one device",
                DEVICE_MESSAGES_MAX.to_string(),
                format!("{} each, properties included", size(CLOUD_TO_DEVICE_BYTES_MAX)),
            ),
            (
                "for the devices of one application",
                APPLICATION_MESSAGES_MAX.to_string(),
                format!("{} together", size(usize::try_from(APPLICATION_MESSAGES_BYTES_MAX).unwrap_or(usize::MAX))),
            ),
            (
                "for all devices",
                PLATFORM_MESSAGES_MAX.to_string(),
                format!("{} together", size(usize::try_from(PLATFORM_MESSAGES_BYTES_MAX).unwrap_or(usize::MAX))),
            ),
            ("how long", hours(DEVICE_MESSAGE_LIFE_MAX), format!("a queued command {}", hours(QUEUED_COMMAND_LIFE))),
            ("deliveries", DEVICE_MESSAGE_DELIVERIES_MAX.to_string(), "then it has ended".into()),
            (
                "memory, on the way to one device",
                size(DEVICE_MESSAGES_UNDER_WAY_MAX * CLOUD_TO_DEVICE_BYTES_MAX),
                format!("{DEVICE_MESSAGES_UNDER_WAY_MAX} without its acknowledgement"),
            ),
            (
                "disk, what became of them",
                format!("{FEEDBACK_KEPT_MAX} of an application"),
                format!("where the sender asked for it, for {}", hours(FEEDBACK_LIFE)),
            ),
        ],
    );
}

fn files() {
    let bytes = |bytes: u64| size(usize::try_from(bytes).unwrap_or(usize::MAX));
    table(
        "Files that devices upload",
        "Open uploads count as files, blocks that wait for their list as bytes.",
        &[
            (
                "one file",
                bytes(FILE_BYTES_MAX),
                format!(
                    "a name of {FILE_NAME_BYTES_MAX} bytes, a type of {FILE_TYPE_BYTES_MAX}; {FILE_BLOCKS_MAX} blocks, with names of \
                     {FILE_BLOCK_NAME_BYTES_MAX} bytes, in a list of {}",
                    size(FILE_BLOCK_LIST_BYTES_MAX)
                ),
            ),
            (
                "open uploads of one device",
                FILE_UPLOADS_OPEN_MAX.to_string(),
                format!("{} minutes each", FILE_UPLOAD_LIFE.as_secs() / 60),
            ),
            ("of one device", DEVICE_FILES_MAX.to_string(), format!("{} together", bytes(DEVICE_FILES_BYTES_MAX))),
            (
                "of one application",
                APPLICATION_FILES_MAX.to_string(),
                format!("{} together", bytes(APPLICATION_FILES_BYTES_MAX)),
            ),
            (
                "how long",
                format!("{} days", FILE_LIFE.as_secs() / 86_400),
                "from when the device said that it is done".into(),
            ),
            (
                "written at the same time",
                FILE_WRITES_AT_ONCE_MAX.to_string(),
                format!("further ones are told to come again; {} of the disk are left alone", bytes(FILES_LEAVE_BYTES)),
            ),
        ],
    );
}

fn module() {
    let twin = 2 * TWIN_SECTION_BYTES_MAX + TWIN_TAGS_BYTES_MAX;
    table(
        "One module",
        "A module connects through its gateway or by itself; each has a session as a device has, with the same limits.",
        &[
            ("connections", "1 (MQTT)".into(), "a descriptor".into()),
            (
                "memory, its connection",
                size(
                    READ_BYTES_MAX
                        + WRITE_BYTES_SOFT_MAX
                        + 2 * PACKET_BYTES_MAX
                        + LINK_COMMANDS_MAX * MESSAGE_BYTES_MAX,
                ),
                "as a device's".into(),
            ),
            ("disk, its twin", size(twin), "as a device's".into()),
        ],
    );
}
