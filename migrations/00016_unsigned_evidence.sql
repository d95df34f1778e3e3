-- Evidence of decisions that led to no signature: of releases withdrawn after
-- their decision, seen too late by the witnesses, in a suite that only observes,
-- or waiting for a device that is away. A release that is signed brings its
-- evidence itself, so nobody writes here on the way to a signature: a loop looks
-- through the published log behind a mark of its own, some minutes later, and
-- finds the few decisions that have none. On a log that is older than this
-- table it begins at the first entry.

-- +goose Up
CREATE TABLE evidence_progress (
    id   smallint PRIMARY KEY CHECK (id = 1),
    next bigint NOT NULL CHECK (next >= 0) -- entries below are looked through
) WITH (fillfactor = 10);
INSERT INTO evidence_progress VALUES (1, 0);
GRANT SELECT, UPDATE ON evidence_progress TO reprosign_coordinator;

-- A row goes when the evidence is stored.
CREATE TABLE evidence_wanted (
    release      sha256_digest PRIMARY KEY REFERENCES decisions,
    claimable_at timestamptz NOT NULL DEFAULT now() -- the end of a lease
) WITH (fillfactor = 70);
CREATE INDEX evidence_wanted_due ON evidence_wanted (claimable_at);
GRANT SELECT, INSERT, UPDATE, DELETE ON evidence_wanted TO reprosign_coordinator;

-- A decision may be in the published log and not count, so that its release is
-- not logged in the sense of its state. The log shows it all the same, with every
-- digest that it names.
CREATE OR REPLACE VIEW public_face.evidence WITH (security_barrier) AS
SELECT b.release, b.bundle, b.stored_at
  FROM evidence_bundles b
  JOIN decisions d ON d.release = b.release
  JOIN log_entries i ON i.leaf = d.leaf
 WHERE i.index < (SELECT max(size) FROM log_checkpoints);

-- +goose Down
CREATE OR REPLACE VIEW public_face.evidence WITH (security_barrier) AS
SELECT b.release, b.bundle, b.stored_at FROM evidence_bundles b JOIN releases r ON r.id = b.release WHERE r.logged_at IS NOT NULL;
DROP TABLE evidence_wanted, evidence_progress;
