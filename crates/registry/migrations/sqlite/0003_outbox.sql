-- Events that tell of changes made here, written in the transaction of the change and kept until they are in the event log.
--
-- `sequence` is one count over all applications, in the order of the commits: a change takes its numbers from the row of
-- `outbox_position`, so that no change can commit between another's number and its own. `module` is '' for the device itself,
-- `body` is a JSON object.

CREATE TABLE outbox (
    application  TEXT    NOT NULL,
    sequence     INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    device       TEXT    NOT NULL,
    module       TEXT    NOT NULL,
    generation   TEXT    NOT NULL,
    organization TEXT,
    at_ms        INTEGER NOT NULL,
    body         TEXT    NOT NULL,
    PRIMARY KEY (sequence)
) STRICT;

-- `last_sequence` is the last number given; events that are still in the table and in the log already are there at or after
-- `log_offset`.
CREATE TABLE outbox_position (
    application   TEXT    NOT NULL CHECK (application = ''),
    last_sequence INTEGER NOT NULL,
    log_offset    INTEGER NOT NULL,
    PRIMARY KEY (application)
) STRICT;
INSERT INTO outbox_position (application, last_sequence, log_offset) VALUES ('', 0, 0);
