-- A body stays where it is. Two contradicting votes are logged when their release's
-- embargo has ended; a further attempt at the request begins an embargo again, and
-- took the votes out of the view. Whoever follows the log stops at a missing body,
-- and what was served once is public anyway.

-- +goose Up
CREATE OR REPLACE VIEW public_face.bodies WITH (security_barrier) AS
SELECT b.digest, b.envelope
  FROM log_bodies b
  JOIN log_entries i ON i.leaf = b.leaf
 WHERE i.index < (SELECT max(size) FROM log_checkpoints);

-- +goose Down
CREATE OR REPLACE VIEW public_face.bodies WITH (security_barrier) AS
SELECT b.digest, b.envelope
  FROM log_bodies b
  JOIN log_entries i ON i.leaf = b.leaf
 WHERE i.index < (SELECT max(size) FROM log_checkpoints)
   AND (b.release IS NULL OR EXISTS (SELECT FROM embargoes e WHERE e.release = b.release AND e.over));
