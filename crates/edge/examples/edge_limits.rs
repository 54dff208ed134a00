//! Prints the edge's half of `docs/reference/limits.md`, from the constants: what an unauthenticated client, one device and one module can cost.
#![allow(clippy::print_stdout, reason = "the page goes to standard output")]

use edge::limits::{
    CONNECTIONS_MAX, MESSAGES_FROM_ABOVE_MAX, MODULE_LOG_FILE_BYTES_MAX, MODULE_LOG_FILES, QUEUES_DISK_BYTES_DEFAULT,
    SCOPE_IDENTITIES_ASKED_MAX, SCOPE_IDENTITY_REFRESH_MIN, SOCKET_BODY_BYTES_MAX, SOCKET_REQUESTS_MAX, STRANGERS_MAX,
    TWINS_MAX,
};
use model::limits::TWIN_SECTION_BYTES_MAX;
use model::message::MESSAGE_BYTES_MAX;
use protocol::limits::{CLOUD_TO_DEVICE_BYTES_MAX, CONNECT_BYTES_MAX, DELIVERIES_IN_FLIGHT_MAX, PACKET_BYTES_MAX};
use testkit::limits_page::{size, table};
use transport::limits::{
    ARRIVAL_TIMEOUT, CLIENT_WINDOW, DESCRIPTORS_RESERVED, LINK_COMMANDS_MAX, LOG_VALUE_CHARS_MAX, READ_BYTES_MAX,
    STRANGER_LINES_MAX, STRANGER_LINES_WINDOW, WRITE_BYTES_SOFT_MAX,
};

fn main() {
    println!("\n## Edge");
    strangers();
    device();
    module();
}

fn strangers() {
    let one = READ_BYTES_MAX + CONNECT_BYTES_MAX;
    table(
        "An unauthenticated client at the local hub",
        "Whoever has not proved who he is, and all of them together. What TLS holds for each connection comes on top.",
        &[
            (
                "connections, each of the two listeners",
                format!("{STRANGERS_MAX} of {CONNECTIONS_MAX}, a descriptor each"),
                format!(
                    "the oldest of the address that has most gives way; {DESCRIPTORS_RESERVED} descriptors are not for connections"
                ),
            ),
            (
                "time to say who he is",
                format!("{} s", ARRIVAL_TIMEOUT.as_secs()),
                "TLS handshake, request for a WebSocket, and CONNECT".into(),
            ),
            ("memory, a connection", size(one), "one read, and a CONNECT".into()),
            ("**memory of all of them**", format!("**{}**", size(2 * STRANGERS_MAX * one)), "the lines above".into()),
            (
                "disk",
                format!("{STRANGER_LINES_MAX} lines of the log in {} s", STRANGER_LINES_WINDOW.as_secs()),
                format!("at most {LOG_VALUE_CHARS_MAX} characters of each value; nothing else of theirs is written"),
            ),
            (
                "calls to the hub above",
                format!("{SCOPE_IDENTITIES_ASKED_MAX} in {} s", SCOPE_IDENTITY_REFRESH_MIN.as_secs()),
                "whether an unknown name is in scope".into(),
            ),
        ],
    );
}

fn device() {
    let reading = READ_BYTES_MAX + PACKET_BYTES_MAX;
    let waiting = LINK_COMMANDS_MAX * MESSAGE_BYTES_MAX;
    let upstream = CLIENT_WINDOW * MESSAGE_BYTES_MAX;
    table(
        "One downstream device",
        "With its credentials. A second connection ends the first.",
        &[
            ("connections", "2".into(), "its own, and the one made for it to the hub above; a descriptor each".into()),
            (
                "memory, its connection",
                size(reading + waiting + WRITE_BYTES_SOFT_MAX),
                format!("{} being read, {} of commands that wait for it", size(reading), size(waiting)),
            ),
            (
                "memory, its messages on the way to the hub above",
                size(upstream),
                format!("{CLIENT_WINDOW} of the largest size"),
            ),
            (
                "memory, messages from the hub above that wait for it",
                size(MESSAGES_FROM_ABOVE_MAX * CLOUD_TO_DEVICE_BYTES_MAX),
                format!("{MESSAGES_FROM_ABOVE_MAX} of the largest size; they stay in that hub's queue"),
            ),
            (
                "disk, its messages",
                "no limit of its own".into(),
                format!(
                    "all queues together hold at most `[tidegate] max_disk` ({} when not set); then everybody's are refused",
                    size(QUEUES_DISK_BYTES_DEFAULT as usize)
                ),
            ),
            ("disk, its twin", size(2 * TWIN_SECTION_BYTES_MAX), format!("{TWINS_MAX} of them are in memory too")),
        ],
    );
}

fn module() {
    let logs = MODULE_LOG_FILES * MODULE_LOG_FILE_BYTES_MAX as usize;
    table(
        "One module",
        "What the module's own process takes of memory and processor is not limited by this version.",
        &[
            (
                "connections",
                "2, and its workload socket".into(),
                format!("as a device's; {SOCKET_REQUESTS_MAX} at a time on the socket"),
            ),
            (
                "memory, its requests to the workload API",
                size(SOCKET_REQUESTS_MAX * SOCKET_BODY_BYTES_MAX),
                format!("{} a body", size(SOCKET_BODY_BYTES_MAX)),
            ),
            (
                "inputs on the way to it",
                DELIVERIES_IN_FLIGHT_MAX.to_string(),
                "given again when not acknowledged in time".into(),
            ),
            ("disk, its log", size(logs), format!("{MODULE_LOG_FILES} files that take turns")),
            ("disk, its messages", "no limit of its own".into(), "as a device's".into()),
            ("disk, its twin", size(2 * TWIN_SECTION_BYTES_MAX), "as a device's".into()),
        ],
    );
}
