-- The hub side: module identities, twins, what the log readers have covered, when devices were last seen.
--
-- Same rules as 0001. The log is one for all applications, so a reader's position belongs to none: `application` is '' there.
-- `module` is '' for the device itself, so that it can be part of a key.

-- Registration ids ignore case, device ids do not.
CREATE INDEX devices_by_lower_id ON devices (application, lower(id));

CREATE TABLE modules (
    application   TEXT    NOT NULL,
    device        TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    generation_id TEXT    NOT NULL,
    etag          TEXT    NOT NULL,
    managed_by    TEXT,
    auth_type     TEXT    NOT NULL CHECK (auth_type IN ('none', 'sas')),
    primary_key   TEXT,
    secondary_key TEXT,
    created_ms    INTEGER NOT NULL,
    updated_ms    INTEGER NOT NULL,
    PRIMARY KEY (application, device, id),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
) STRICT;

-- Sections and their metadata are JSON objects, without `$version` and `$metadata`. A module's twin may exist before its
-- identity does: the manifest writes it, the edge makes the identity.
CREATE TABLE twins (
    application       TEXT    NOT NULL,
    device            TEXT    NOT NULL,
    module            TEXT    NOT NULL,
    desired           TEXT    NOT NULL,
    desired_version   INTEGER NOT NULL,
    desired_metadata  TEXT    NOT NULL,
    reported          TEXT    NOT NULL,
    reported_version  INTEGER NOT NULL,
    reported_metadata TEXT    NOT NULL,
    updated_ms        INTEGER NOT NULL,
    PRIMARY KEY (application, device, module),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
) STRICT;

-- The catalog of Parquet files. `meta` is the telemetry crate's own description of the file.
CREATE TABLE segments (
    application  TEXT    NOT NULL REFERENCES applications (id),
    file_name    TEXT    NOT NULL,
    offset_first INTEGER NOT NULL,
    offset_last  INTEGER NOT NULL,
    ts_min_ms    INTEGER NOT NULL,
    ts_max_ms    INTEGER NOT NULL,
    bytes        INTEGER NOT NULL,
    meta         TEXT    NOT NULL,
    PRIMARY KEY (application, file_name)
) STRICT;

-- Next log offset of each reader: everything before it is done.
CREATE TABLE checkpoints (
    application TEXT    NOT NULL CHECK (application = ''),
    reader      TEXT    NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (application, reader)
) STRICT;

-- When an identity was last heard of, as far as the telemetry reader has covered the log.
CREATE TABLE last_seen (
    application  TEXT    NOT NULL,
    device       TEXT    NOT NULL,
    module       TEXT    NOT NULL,
    last_seen_ms INTEGER NOT NULL,
    PRIMARY KEY (application, device, module),
    FOREIGN KEY (application, device) REFERENCES devices (application, id) ON DELETE CASCADE
) STRICT;

-- Markers of folders that must not vanish unnoticed, and the losses an operator accepted.
CREATE TABLE guarded_folders (
    application TEXT    NOT NULL CHECK (application = ''),
    name        TEXT    NOT NULL,
    marker      TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL,
    PRIMARY KEY (application, name)
) STRICT;

CREATE TABLE data_losses (
    application TEXT    NOT NULL CHECK (application = ''),
    accepted_ms INTEGER NOT NULL,
    detail      TEXT    NOT NULL,
    PRIMARY KEY (application, accepted_ms, detail)
) STRICT;
