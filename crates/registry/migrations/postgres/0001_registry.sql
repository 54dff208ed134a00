-- The registry on PostgreSQL, equal to the sum of migrations/sqlite/: what stands there about each table holds here.
--
-- Numbers are 64 bits wide. Texts are compared and ordered by their bytes, as SQLite does: pages of a list follow each other
-- in the same order on both, and an id is never equal to another one. lower() of such a text changes ASCII letters only.

CREATE TABLE applications (
    id                      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name                    TEXT COLLATE "C" NOT NULL,
    id_scope                TEXT COLLATE "C" NOT NULL UNIQUE,
    created_ms              BIGINT NOT NULL
);

-- Applications beside the first one live on NAME.HOST: a name leads to one of them.
CREATE UNIQUE INDEX applications_by_name ON applications (lower(name));

-- A relationship is a column pair of the child: a child has one parent, and two rows could disagree about it.
CREATE TABLE devices (
    application             TEXT COLLATE "C" NOT NULL REFERENCES applications (id),
    id                      TEXT COLLATE "C" NOT NULL,
    generation_id           TEXT COLLATE "C" NOT NULL,
    etag                    TEXT COLLATE "C" NOT NULL,
    display_name            TEXT COLLATE "C" NOT NULL,
    template                TEXT COLLATE "C",
    enabled                 BOOLEAN NOT NULL,
    provisioned             BOOLEAN NOT NULL,
    awaiting_approval       BOOLEAN NOT NULL,
    simulated               BOOLEAN NOT NULL,
    is_edge                 BOOLEAN NOT NULL,
    organization            TEXT COLLATE "C",
    primary_key             TEXT COLLATE "C",
    secondary_key           TEXT COLLATE "C",
    enrollment_group        TEXT COLLATE "C",
    gateway                 TEXT COLLATE "C",
    gateway_relationship    TEXT COLLATE "C",
    created_ms              BIGINT NOT NULL,
    updated_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, id),
    CHECK ((gateway IS NULL) = (gateway_relationship IS NULL))
);
CREATE INDEX devices_by_name ON devices (application, display_name, id);
CREATE INDEX devices_by_template ON devices (application, template, id);
CREATE UNIQUE INDEX devices_by_gateway ON devices (application, gateway, gateway_relationship) WHERE gateway IS NOT NULL;

-- Values that live in the application only; `value` is JSON text.
CREATE TABLE cloud_properties (
    application             TEXT COLLATE "C" NOT NULL,
    device                  TEXT COLLATE "C" NOT NULL,
    name                    TEXT COLLATE "C" NOT NULL,
    value                   TEXT COLLATE "C" NOT NULL,
    updated_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, device, name),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
);

CREATE TABLE device_templates (
    application             TEXT COLLATE "C" NOT NULL REFERENCES applications (id),
    id                      TEXT COLLATE "C" NOT NULL,
    etag                    TEXT COLLATE "C" NOT NULL,
    display_name            TEXT COLLATE "C" NOT NULL,
    capability_model_id     TEXT COLLATE "C" NOT NULL,
    document                TEXT COLLATE "C" NOT NULL,
    created_ms              BIGINT NOT NULL,
    updated_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, id)
);
CREATE INDEX device_templates_by_model ON device_templates (application, capability_model_id);

CREATE TABLE deployment_manifests (
    application             TEXT COLLATE "C" NOT NULL REFERENCES applications (id),
    id                      TEXT COLLATE "C" NOT NULL,
    etag                    TEXT COLLATE "C" NOT NULL,
    display_name            TEXT COLLATE "C" NOT NULL,
    organization            TEXT COLLATE "C",
    data                    TEXT COLLATE "C" NOT NULL,
    created_ms              BIGINT NOT NULL,
    updated_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, id)
);

-- The manifest a device was given: a copy, which editing the stored manifest does not change.
CREATE TABLE device_manifests (
    application             TEXT COLLATE "C" NOT NULL,
    device                  TEXT COLLATE "C" NOT NULL,
    id                      TEXT COLLATE "C" NOT NULL,
    etag                    TEXT COLLATE "C" NOT NULL,
    display_name            TEXT COLLATE "C" NOT NULL,
    data                    TEXT COLLATE "C" NOT NULL,
    applied_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, device),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
);

CREATE TABLE enrollment_groups (
    application             TEXT COLLATE "C" NOT NULL REFERENCES applications (id),
    id                      TEXT COLLATE "C" NOT NULL,
    etag                    TEXT COLLATE "C" NOT NULL,
    display_name            TEXT COLLATE "C" NOT NULL,
    enabled                 BOOLEAN NOT NULL,
    is_edge                 BOOLEAN NOT NULL,
    auto_approve            BOOLEAN NOT NULL,
    primary_key             TEXT COLLATE "C" NOT NULL,
    secondary_key           TEXT COLLATE "C" NOT NULL,
    created_ms              BIGINT NOT NULL,
    updated_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, id)
);

-- Individual attestation; it wins over the group's.
CREATE TABLE attestations (
    application             TEXT COLLATE "C" NOT NULL,
    device                  TEXT COLLATE "C" NOT NULL,
    primary_key             TEXT COLLATE "C" NOT NULL,
    secondary_key           TEXT COLLATE "C" NOT NULL,
    updated_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, device),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
);

-- `roles` is the JSON array of role assignments as the API shows it.
CREATE TABLE users (
    application             TEXT COLLATE "C" NOT NULL REFERENCES applications (id),
    id                      TEXT COLLATE "C" NOT NULL,
    email                   TEXT COLLATE "C" NOT NULL,
    roles                   TEXT COLLATE "C" NOT NULL,
    created_ms              BIGINT NOT NULL,
    updated_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, id)
);
CREATE UNIQUE INDEX users_by_email ON users (application, email);

CREATE TABLE api_tokens (
    application             TEXT COLLATE "C" NOT NULL REFERENCES applications (id),
    id                      TEXT COLLATE "C" NOT NULL,
    roles                   TEXT COLLATE "C" NOT NULL,
    expires_ms              BIGINT NOT NULL,
    created_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, id)
);

-- Secrets a browser holds are stored as SHA-256 only: a copy of the database signs nobody in.
CREATE TABLE sign_in_codes (
    application             TEXT COLLATE "C" NOT NULL,
    code_hash               TEXT COLLATE "C" NOT NULL,
    user_id                 TEXT COLLATE "C" NOT NULL,
    expires_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, code_hash),
    FOREIGN KEY (application, user_id) REFERENCES users (application, id) ON DELETE CASCADE
);

CREATE TABLE web_sessions (
    application             TEXT COLLATE "C" NOT NULL,
    session_hash            TEXT COLLATE "C" NOT NULL,
    user_id                 TEXT COLLATE "C" NOT NULL,
    created_ms              BIGINT NOT NULL,
    expires_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, session_hash),
    FOREIGN KEY (application, user_id) REFERENCES users (application, id) ON DELETE CASCADE
);

-- Commands run, newest kept; `module` and `component` are '' at device level, so that they can be part of an index.
CREATE TABLE commands (
    application             TEXT COLLATE "C" NOT NULL,
    id                      TEXT COLLATE "C" NOT NULL,
    device                  TEXT COLLATE "C" NOT NULL,
    module                  TEXT COLLATE "C" NOT NULL,
    component               TEXT COLLATE "C" NOT NULL,
    name                    TEXT COLLATE "C" NOT NULL,
    request                 TEXT COLLATE "C",
    response                TEXT COLLATE "C",
    response_code           BIGINT,
    connection_timeout_secs BIGINT,
    response_timeout_secs   BIGINT,
    requested_ms            BIGINT NOT NULL,
    PRIMARY KEY (application, id),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
);
CREATE INDEX commands_by_target ON commands (application, device, module, component, name, requested_ms, id);

-- Registration ids ignore case, device ids do not.
CREATE INDEX devices_by_lower_id ON devices (application, lower(id));

CREATE TABLE modules (
    application             TEXT COLLATE "C" NOT NULL,
    device                  TEXT COLLATE "C" NOT NULL,
    id                      TEXT COLLATE "C" NOT NULL,
    generation_id           TEXT COLLATE "C" NOT NULL,
    etag                    TEXT COLLATE "C" NOT NULL,
    managed_by              TEXT COLLATE "C",
    auth_type               TEXT COLLATE "C" NOT NULL CHECK (auth_type IN ('none', 'sas')),
    primary_key             TEXT COLLATE "C",
    secondary_key           TEXT COLLATE "C",
    created_ms              BIGINT NOT NULL,
    updated_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, device, id),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
);

-- Sections and their metadata are JSON objects, without `$version` and `$metadata`. A module's twin may exist before its
-- identity does: the manifest writes it, the edge makes the identity.
CREATE TABLE twins (
    application             TEXT COLLATE "C" NOT NULL,
    device                  TEXT COLLATE "C" NOT NULL,
    module                  TEXT COLLATE "C" NOT NULL,
    desired                 TEXT COLLATE "C" NOT NULL,
    desired_version         BIGINT NOT NULL,
    desired_metadata        TEXT COLLATE "C" NOT NULL,
    reported                TEXT COLLATE "C" NOT NULL,
    reported_version        BIGINT NOT NULL,
    reported_metadata       TEXT COLLATE "C" NOT NULL,
    updated_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, device, module),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
);

-- The catalog of Parquet files. `meta` is the telemetry crate's own description of the file.
CREATE TABLE segments (
    application             TEXT COLLATE "C" NOT NULL REFERENCES applications (id),
    file_name               TEXT COLLATE "C" NOT NULL,
    offset_first            BIGINT NOT NULL,
    offset_last             BIGINT NOT NULL,
    ts_min_ms               BIGINT NOT NULL,
    ts_max_ms               BIGINT NOT NULL,
    bytes                   BIGINT NOT NULL,
    meta                    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (application, file_name)
);

-- Next log offset of each reader: everything before it is done.
CREATE TABLE checkpoints (
    application             TEXT COLLATE "C" NOT NULL CHECK (application = ''),
    reader                  TEXT COLLATE "C" NOT NULL,
    next_offset             BIGINT NOT NULL,
    PRIMARY KEY (application, reader)
);

-- When an identity was last heard of, as far as the telemetry reader has covered the log.
CREATE TABLE last_seen (
    application             TEXT COLLATE "C" NOT NULL,
    device                  TEXT COLLATE "C" NOT NULL,
    module                  TEXT COLLATE "C" NOT NULL,
    last_seen_ms            BIGINT NOT NULL,
    PRIMARY KEY (application, device, module),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
);

-- Markers of folders that must not vanish unnoticed, and the losses an operator accepted.
CREATE TABLE guarded_folders (
    application             TEXT COLLATE "C" NOT NULL CHECK (application = ''),
    name                    TEXT COLLATE "C" NOT NULL,
    marker                  TEXT COLLATE "C" NOT NULL,
    created_ms              BIGINT NOT NULL,
    PRIMARY KEY (application, name)
);

CREATE TABLE data_losses (
    application             TEXT COLLATE "C" NOT NULL CHECK (application = ''),
    accepted_ms             BIGINT NOT NULL,
    detail                  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (application, accepted_ms, detail)
);

-- Events that tell of changes made here, written in the transaction of the change and kept until they are in the event log.
--
-- `sequence` is one count over all applications, in the order of the commits: a change takes its numbers from the row of
-- `outbox_position`, so that no change can commit between another's number and its own. `module` is '' for the device itself,
-- `body` is a JSON object.

CREATE TABLE outbox (
    application             TEXT COLLATE "C" NOT NULL,
    sequence                BIGINT NOT NULL,
    kind                    TEXT COLLATE "C" NOT NULL,
    device                  TEXT COLLATE "C" NOT NULL,
    module                  TEXT COLLATE "C" NOT NULL,
    generation              TEXT COLLATE "C" NOT NULL,
    organization            TEXT COLLATE "C",
    at_ms                   BIGINT NOT NULL,
    body                    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (sequence)
);

-- `last_sequence` is the last number given; events that are still in the table and in the log already are there at or after
-- `log_offset`.
CREATE TABLE outbox_position (
    application             TEXT COLLATE "C" NOT NULL CHECK (application = ''),
    last_sequence           BIGINT NOT NULL,
    log_offset              BIGINT NOT NULL,
    PRIMARY KEY (application)
);
INSERT INTO outbox_position (application, last_sequence, log_offset) VALUES ('', 0, 0);
