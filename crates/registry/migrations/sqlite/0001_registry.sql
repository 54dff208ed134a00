-- The registry: applications, devices, templates, manifests, enrollment, users, tokens, sessions, commands.
--
-- Every table is STRICT and carries the application it belongs to; every key starts with it, so a statement that forgets the
-- application cannot use an index and does not pass review. Times are epoch milliseconds. Documents are JSON text: what was
-- sent is kept as it was sent. The hub side's tables are in 0002.

CREATE TABLE applications (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    id_scope    TEXT    NOT NULL UNIQUE,
    created_ms  INTEGER NOT NULL
) STRICT;

-- A relationship is a column pair of the child: a child has one parent, and two rows could disagree about it.
CREATE TABLE devices (
    application          TEXT    NOT NULL REFERENCES applications (id),
    id                   TEXT    NOT NULL,
    generation_id        TEXT    NOT NULL,
    etag                 TEXT    NOT NULL,
    display_name         TEXT    NOT NULL,
    template             TEXT,
    enabled              INTEGER NOT NULL,
    provisioned          INTEGER NOT NULL,
    awaiting_approval    INTEGER NOT NULL,
    simulated            INTEGER NOT NULL,
    is_edge              INTEGER NOT NULL,
    organization         TEXT,
    primary_key          TEXT,
    secondary_key        TEXT,
    enrollment_group     TEXT,
    gateway              TEXT,
    gateway_relationship TEXT,
    created_ms           INTEGER NOT NULL,
    updated_ms           INTEGER NOT NULL,
    PRIMARY KEY (application, id),
    CHECK ((gateway IS NULL) = (gateway_relationship IS NULL))
) STRICT;
CREATE INDEX devices_by_name ON devices (application, display_name, id);
CREATE INDEX devices_by_template ON devices (application, template, id);
CREATE UNIQUE INDEX devices_by_gateway ON devices (application, gateway, gateway_relationship) WHERE gateway IS NOT NULL;

-- Values that live in the application only; `value` is JSON text.
CREATE TABLE cloud_properties (
    application TEXT    NOT NULL,
    device      TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    value       TEXT    NOT NULL,
    updated_ms  INTEGER NOT NULL,
    PRIMARY KEY (application, device, name),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE device_templates (
    application         TEXT    NOT NULL REFERENCES applications (id),
    id                  TEXT    NOT NULL,
    etag                TEXT    NOT NULL,
    display_name        TEXT    NOT NULL,
    capability_model_id TEXT    NOT NULL,
    document            TEXT    NOT NULL,
    created_ms          INTEGER NOT NULL,
    updated_ms          INTEGER NOT NULL,
    PRIMARY KEY (application, id)
) STRICT;
CREATE INDEX device_templates_by_model ON device_templates (application, capability_model_id);

CREATE TABLE deployment_manifests (
    application  TEXT    NOT NULL REFERENCES applications (id),
    id           TEXT    NOT NULL,
    etag         TEXT    NOT NULL,
    display_name TEXT    NOT NULL,
    organization TEXT,
    data         TEXT    NOT NULL,
    created_ms   INTEGER NOT NULL,
    updated_ms   INTEGER NOT NULL,
    PRIMARY KEY (application, id)
) STRICT;

-- The manifest a device was given: a copy, which editing the stored manifest does not change.
CREATE TABLE device_manifests (
    application  TEXT    NOT NULL,
    device       TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    etag         TEXT    NOT NULL,
    display_name TEXT    NOT NULL,
    data         TEXT    NOT NULL,
    applied_ms   INTEGER NOT NULL,
    PRIMARY KEY (application, device),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE enrollment_groups (
    application   TEXT    NOT NULL REFERENCES applications (id),
    id            TEXT    NOT NULL,
    etag          TEXT    NOT NULL,
    display_name  TEXT    NOT NULL,
    enabled       INTEGER NOT NULL,
    is_edge       INTEGER NOT NULL,
    auto_approve  INTEGER NOT NULL,
    primary_key   TEXT    NOT NULL,
    secondary_key TEXT    NOT NULL,
    created_ms    INTEGER NOT NULL,
    updated_ms    INTEGER NOT NULL,
    PRIMARY KEY (application, id)
) STRICT;

-- Individual attestation; it wins over the group's.
CREATE TABLE attestations (
    application   TEXT    NOT NULL,
    device        TEXT    NOT NULL,
    primary_key   TEXT    NOT NULL,
    secondary_key TEXT    NOT NULL,
    updated_ms    INTEGER NOT NULL,
    PRIMARY KEY (application, device),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
) STRICT;

-- `roles` is the JSON array of role assignments as the API shows it.
CREATE TABLE users (
    application TEXT    NOT NULL REFERENCES applications (id),
    id          TEXT    NOT NULL,
    email       TEXT    NOT NULL,
    roles       TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL,
    PRIMARY KEY (application, id)
) STRICT;
CREATE UNIQUE INDEX users_by_email ON users (application, email);

CREATE TABLE api_tokens (
    application TEXT    NOT NULL REFERENCES applications (id),
    id          TEXT    NOT NULL,
    roles       TEXT    NOT NULL,
    expires_ms  INTEGER NOT NULL,
    created_ms  INTEGER NOT NULL,
    PRIMARY KEY (application, id)
) STRICT;

-- Secrets a browser holds are stored as SHA-256 only: a copy of the database signs nobody in.
CREATE TABLE sign_in_codes (
    application TEXT    NOT NULL,
    code_hash   TEXT    NOT NULL,
    user_id     TEXT    NOT NULL,
    expires_ms  INTEGER NOT NULL,
    PRIMARY KEY (application, code_hash),
    FOREIGN KEY (application, user_id) REFERENCES users (application, id) ON DELETE CASCADE
) STRICT;

CREATE TABLE web_sessions (
    application  TEXT    NOT NULL,
    session_hash TEXT    NOT NULL,
    user_id      TEXT    NOT NULL,
    created_ms   INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL,
    PRIMARY KEY (application, session_hash),
    FOREIGN KEY (application, user_id) REFERENCES users (application, id) ON DELETE CASCADE
) STRICT;

-- Commands run, newest kept; `module` and `component` are '' at device level, so that they can be part of an index.
CREATE TABLE commands (
    application             TEXT    NOT NULL,
    id                      TEXT    NOT NULL,
    device                  TEXT    NOT NULL,
    module                  TEXT    NOT NULL,
    component               TEXT    NOT NULL,
    name                    TEXT    NOT NULL,
    request                 TEXT,
    response                TEXT,
    response_code           INTEGER,
    connection_timeout_secs INTEGER,
    response_timeout_secs   INTEGER,
    requested_ms            INTEGER NOT NULL,
    PRIMARY KEY (application, id),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
) STRICT;
CREATE INDEX commands_by_target ON commands (application, device, module, component, name, requested_ms, id);
