-- Decided releases that are not logged yet are found by the log: what the newest
-- checkpoint does not cover. Their state is in no index any more, so that a release
-- that becomes logged, and later signed, is written in place.

-- +goose Up
DROP INDEX releases_agreed;

-- +goose Down
CREATE INDEX releases_agreed ON releases (id) WHERE state = 'agreed';
