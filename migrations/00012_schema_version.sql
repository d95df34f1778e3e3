-- A coordinator that finds a schema older than it needs says so and waits,
-- instead of failing at some statement later. For that it reads goose's own
-- record, which was there before the first migration and has no grants.

-- +goose Up
GRANT SELECT ON schema_version TO reprosign_coordinator;

-- +goose Down
REVOKE SELECT ON schema_version FROM reprosign_coordinator;
