-- What the session of a device or module is subscribed to, a bit for each kind, as the hub numbers them; 0 when no session is kept.
--
-- A column of the identity and no table: the row is read at every CONNECT anyway, and the session ends with the identity.
ALTER TABLE devices ADD COLUMN subscriptions INTEGER NOT NULL DEFAULT 0;
ALTER TABLE modules ADD COLUMN subscriptions INTEGER NOT NULL DEFAULT 0;
