-- Counting devices, and those that may not connect, reads this index and no row.
CREATE INDEX devices_by_enabled ON devices (application, enabled);
