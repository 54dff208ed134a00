-- Messages that wait for devices: what stands in migrations/sqlite/ about each table holds here.
ALTER TABLE devices ADD COLUMN last_message BIGINT NOT NULL DEFAULT 0;

CREATE TABLE device_messages (
    application             TEXT COLLATE "C" NOT NULL,
    device                  TEXT COLLATE "C" NOT NULL,
    sequence                BIGINT NOT NULL,
    generation              TEXT COLLATE "C" NOT NULL,
    id                      TEXT COLLATE "C" NOT NULL,
    bag                     TEXT COLLATE "C" NOT NULL,
    body                    BYTEA NOT NULL,
    ack                     TEXT COLLATE "C" NOT NULL CHECK (ack IN ('none', 'positive', 'negative', 'full')),
    run                     TEXT COLLATE "C",
    enqueued_ms             BIGINT NOT NULL,
    expires_ms              BIGINT NOT NULL,
    deliveries              BIGINT NOT NULL,
    lock_token              TEXT COLLATE "C",
    locked_until_ms         BIGINT NOT NULL,
    PRIMARY KEY (application, device, sequence),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
);
CREATE INDEX device_messages_by_expiry ON device_messages (expires_ms);

-- What became of messages whose sender asked for it, until it is read or too old. The device may be gone.
CREATE TABLE device_message_feedback (
    application             TEXT COLLATE "C" NOT NULL REFERENCES applications (id),
    id                      TEXT COLLATE "C" NOT NULL,
    message                 TEXT COLLATE "C" NOT NULL,
    device                  TEXT COLLATE "C" NOT NULL,
    generation              TEXT COLLATE "C" NOT NULL,
    outcome                 TEXT COLLATE "C" NOT NULL,
    enqueued_ms             BIGINT NOT NULL,
    at_ms                   BIGINT NOT NULL,
    PRIMARY KEY (application, id)
);
CREATE INDEX device_message_feedback_by_time ON device_message_feedback (application, at_ms, id);

-- Runs of commands that wait in the queue of their device, from when they were asked for; `state` changes with the message.
-- `component` is '' at device level.
CREATE TABLE queued_commands (
    application             TEXT COLLATE "C" NOT NULL,
    id                      TEXT COLLATE "C" NOT NULL,
    device                  TEXT COLLATE "C" NOT NULL,
    component               TEXT COLLATE "C" NOT NULL,
    name                    TEXT COLLATE "C" NOT NULL,
    request                 TEXT COLLATE "C",
    connection_timeout_secs BIGINT,
    response_timeout_secs   BIGINT,
    state                   TEXT COLLATE "C" NOT NULL,
    requested_ms            BIGINT NOT NULL,
    changed_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, id),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
);
CREATE INDEX queued_commands_by_target ON queued_commands (application, device, component, name, requested_ms, id);
