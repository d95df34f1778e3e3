-- Followers read the log entry by entry, each with its envelopes, so bodies are
-- found by their leaf. And a follower has to know the suite and the source of a
-- release, which stand in the request that the opening names by digest: the
-- request is a body of the opening's entry, from now on and for those there are.

-- +goose Up
CREATE INDEX log_bodies_by_leaf ON log_bodies (leaf);

INSERT INTO log_bodies (leaf, digest, envelope)
SELECT o.leaf, q.digest, q.envelope FROM openings o JOIN requests q ON q.digest = o.request;

-- +goose Down
-- The bodies stay: nothing that was served is taken back.
DROP INDEX log_bodies_by_leaf;
