-- Files that devices upload, from when an upload is opened. The bytes stand in the data folder, under the id.
--
-- `state` is open (the device may write, until `ends_ms`), kept (the device said that it is done; until `ends_ms`) or gone: the bytes
-- are to be removed, and then the row. A row is there before any of its bytes and until the last of them is removed, whatever
-- becomes of the device: a folder without a row belongs to another registry. `content` names the file of the last blob that was committed,
-- `bytes` is its size; `staged_bytes` and `staged_blocks` are blocks that wait for a list. `secret_hash` is that of what the device writes
-- with.
CREATE TABLE device_files (
    application             TEXT NOT NULL REFERENCES applications (id),
    id                      TEXT NOT NULL,
    device                  TEXT NOT NULL,
    generation              TEXT NOT NULL,
    name                    TEXT NOT NULL,
    secret_hash             TEXT NOT NULL,
    state                   TEXT NOT NULL CHECK (state IN ('open', 'kept', 'gone')),
    content                 TEXT,
    content_type            TEXT,
    etag                    TEXT,
    bytes                   INTEGER NOT NULL,
    staged_bytes            INTEGER NOT NULL,
    staged_blocks           INTEGER NOT NULL,
    committed_ms            INTEGER NOT NULL,
    ends_ms                 INTEGER NOT NULL,
    PRIMARY KEY (application, id)
) STRICT;
CREATE UNIQUE INDEX device_files_by_secret ON device_files (application, secret_hash);
CREATE INDEX device_files_by_device ON device_files (application, device, state, name, bytes, staged_bytes);
CREATE INDEX device_files_by_end ON device_files (state, ends_ms);
