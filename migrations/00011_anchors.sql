-- Anchors: what another transparency log says of our decisions. Anchoring is
-- optional and never in anybody's way, so no decision writes here: the loop
-- that anchors reads the published log behind a mark of its own. A coordinator
-- that anchors for the first time begins at the log's first entry.

-- +goose Up
CREATE TABLE anchor_progress (
    id   smallint PRIMARY KEY CHECK (id = 1),
    next bigint NOT NULL CHECK (next >= 0) -- entries below are looked through
) WITH (fillfactor = 10);
INSERT INTO anchor_progress VALUES (1, 0);
GRANT SELECT, UPDATE ON anchor_progress TO reprosign_coordinator;

-- A row waits until it has a bundle, and then stays as it is: one decision, one
-- anchor, whichever log it is in.
CREATE TABLE anchors (
    release      sha256_digest PRIMARY KEY REFERENCES decisions,
    claimable_at timestamptz DEFAULT now(), -- the end of a lease or back-off
    attempts     integer NOT NULL DEFAULT 0,
    reason       text NOT NULL DEFAULT '', -- why the last attempt failed
    log          text, -- its origin
    index        bigint CHECK (index >= 0), -- there
    bundle       bytea, -- a Sigstore bundle: decision, entry and proof
    anchored_at  timestamptz,
    CONSTRAINT waits_or_is_anchored CHECK (
        (bundle IS NULL) = (claimable_at IS NOT NULL) AND
        (bundle IS NULL) = (log IS NULL) AND (bundle IS NULL) = (index IS NULL) AND (bundle IS NULL) = (anchored_at IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX anchors_waiting ON anchors (claimable_at) WHERE bundle IS NULL;
GRANT SELECT, INSERT, UPDATE ON anchors TO reprosign_coordinator;
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON anchors FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER anchored_stays BEFORE UPDATE ON anchors FOR EACH ROW WHEN (OLD.bundle IS NOT NULL) EXECUTE FUNCTION refuse_change();

-- Below the newest checkpoint alone: until then the decision is under embargo.
CREATE VIEW public_face.anchors WITH (security_barrier) AS
SELECT a.release, a.log, a.index, a.bundle, a.anchored_at
  FROM anchors a JOIN releases r ON r.id = a.release
 WHERE a.bundle IS NOT NULL AND r.logged_at IS NOT NULL;
GRANT SELECT ON public_face.anchors TO reprosign_dashboard;

-- +goose Down
DROP VIEW public_face.anchors;
DROP TABLE anchors, anchor_progress;
