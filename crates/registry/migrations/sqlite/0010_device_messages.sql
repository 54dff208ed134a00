-- Messages that wait for devices, in the order of their numbers, until a device took them or they have come to their end.
--
-- A device's numbers only rise, also when its queue is empty: a late acknowledgement never names another message. The last one given is
-- a column of the device, written with the message and read by nobody else. `lock_token` is that of whoever fetched the message over
-- HTTPS; a message that is on its way to a session has none. Until `locked_until_ms` it does not expire. `ack` is the feedback that was
-- asked for: none, positive, negative, full.
ALTER TABLE devices ADD COLUMN last_message INTEGER NOT NULL DEFAULT 0;

CREATE TABLE device_messages (
    application             TEXT NOT NULL,
    device                  TEXT NOT NULL,
    sequence                INTEGER NOT NULL,
    generation              TEXT NOT NULL,
    id                      TEXT NOT NULL,
    bag                     TEXT NOT NULL,
    body                    BLOB NOT NULL,
    ack                     TEXT NOT NULL CHECK (ack IN ('none', 'positive', 'negative', 'full')),
    run                     TEXT,
    enqueued_ms             INTEGER NOT NULL,
    expires_ms              INTEGER NOT NULL,
    deliveries              INTEGER NOT NULL,
    lock_token              TEXT,
    locked_until_ms         INTEGER NOT NULL,
    PRIMARY KEY (application, device, sequence),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX device_messages_by_expiry ON device_messages (expires_ms);

-- What became of messages whose sender asked for it, until it is read or too old. The device may be gone.
CREATE TABLE device_message_feedback (
    application             TEXT NOT NULL REFERENCES applications (id),
    id                      TEXT NOT NULL,
    message                 TEXT NOT NULL,
    device                  TEXT NOT NULL,
    generation              TEXT NOT NULL,
    outcome                 TEXT NOT NULL,
    enqueued_ms             INTEGER NOT NULL,
    at_ms                   INTEGER NOT NULL,
    PRIMARY KEY (application, id)
) STRICT;
CREATE INDEX device_message_feedback_by_time ON device_message_feedback (application, at_ms, id);

-- Runs of commands that wait in the queue of their device, from when they were asked for; `state` changes with the message.
-- `component` is '' at device level.
CREATE TABLE queued_commands (
    application             TEXT NOT NULL,
    id                      TEXT NOT NULL,
    device                  TEXT NOT NULL,
    component               TEXT NOT NULL,
    name                    TEXT NOT NULL,
    request                 TEXT,
    connection_timeout_secs INTEGER,
    response_timeout_secs   INTEGER,
    state                   TEXT NOT NULL,
    requested_ms            INTEGER NOT NULL,
    changed_ms              INTEGER NOT NULL,
    PRIMARY KEY (application, id),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX queued_commands_by_target ON queued_commands (application, device, component, name, requested_ms, id);
