-- Files that devices upload: what stands in migrations/sqlite/ about the table holds here.
CREATE TABLE device_files (
    application             TEXT COLLATE "C" NOT NULL REFERENCES applications (id),
    id                      TEXT COLLATE "C" NOT NULL,
    device                  TEXT COLLATE "C" NOT NULL,
    generation              TEXT COLLATE "C" NOT NULL,
    name                    TEXT COLLATE "C" NOT NULL,
    secret_hash             TEXT COLLATE "C" NOT NULL,
    state                   TEXT COLLATE "C" NOT NULL CHECK (state IN ('open', 'kept', 'gone')),
    content                 TEXT COLLATE "C",
    content_type            TEXT COLLATE "C",
    etag                    TEXT COLLATE "C",
    bytes                   BIGINT NOT NULL,
    staged_bytes            BIGINT NOT NULL,
    staged_blocks           BIGINT NOT NULL,
    committed_ms            BIGINT NOT NULL,
    ends_ms                 BIGINT NOT NULL,
    PRIMARY KEY (application, id)
);
CREATE UNIQUE INDEX device_files_by_secret ON device_files (application, secret_hash);
CREATE INDEX device_files_by_device ON device_files (application, device, state, name, bytes, staged_bytes);
CREATE INDEX device_files_by_end ON device_files (state, ends_ms);
