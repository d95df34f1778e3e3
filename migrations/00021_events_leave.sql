-- Events are an outbox: what has been published leaves it, as leaves leave the log's.
-- Nobody ever read the rows that stayed; what became of a release, and when, is in
-- its own row.

-- +goose Up
DELETE FROM events WHERE published_at IS NOT NULL;
DROP INDEX events_unpublished;
ALTER TABLE events DROP COLUMN published_at;
ALTER TABLE events RESET (fillfactor);
ALTER TABLE events SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
REVOKE UPDATE ON events FROM reprosign_coordinator;
GRANT DELETE ON events TO reprosign_coordinator;

-- +goose Down
REVOKE DELETE ON events FROM reprosign_coordinator;
GRANT UPDATE ON events TO reprosign_coordinator;
ALTER TABLE events RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold);
ALTER TABLE events SET (fillfactor = 80);
ALTER TABLE events ADD COLUMN published_at timestamptz;
CREATE INDEX events_unpublished ON events (sequence) WHERE published_at IS NULL;
