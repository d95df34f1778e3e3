-- What anybody may read. The dashboard's role reaches these views and nothing
-- else, so that the embargo does not depend on a handler remembering it: until
-- a release is decided and its decision logged, no view gives a digest of it.
-- Claims, build outcomes' payloads and rejections have no view at all.
--
-- security_barrier keeps a condition of the reader from running on rows that
-- the view hides. The views run with their owner's rights.

-- +goose Up
CREATE SCHEMA public_face;
REVOKE ALL ON SCHEMA public_face FROM PUBLIC;
GRANT USAGE ON SCHEMA public_face TO reprosign_dashboard;

-- The embargo ends with a logged decision, or with conflict, expired or
-- withdrawn when no attempt is left. An earlier attempt waits for the newest:
-- both build the same bytes.
CREATE VIEW embargoes AS
SELECT r.id AS release,
       r.logged_at IS NOT NULL
       OR (r.state IN ('conflict', 'expired', 'withdrawn') AND NOT p.wanted
           AND newest.state NOT IN ('building', 'held', 'agreed')) AS over
  FROM releases r
  JOIN openings o ON o.id = r.id
  JOIN request_progress p ON p.request = o.request
  JOIN openings latest ON latest.request = o.request AND latest.attempt = p.attempts
  JOIN releases newest ON newest.id = latest.id;
-- The coordinator logs equivocations only when their embargo is over.
GRANT SELECT ON embargoes TO reprosign_coordinator;

CREATE VIEW public_face.checkpoints WITH (security_barrier) AS
SELECT size, root, note, stored_at FROM log_checkpoints;

CREATE VIEW public_face.releases WITH (security_barrier) AS
SELECT o.id, o.request, o.attempt, p.attempts, latest.id AS newest, o.suite, q.source, q.version, q.architecture, q.publisher, r.state,
       CASE r.state
           WHEN 'signed' THEN true
           WHEN 'withdrawn' THEN true
           WHEN 'logged' THEN NOT EXISTS (SELECT FROM signing_jobs j WHERE j.release = o.id)
           ELSE e.over
       END AS final,
       regexp_replace(r.reason, '[0-9a-fA-F]{40,}', '…', 'g') AS reason, -- a sentence that quotes a digest must not leak it
       o.policy_serial, o.policy, o.threshold, o.operator_count AS operators, NOT q.claim_public AS blind, q.claimed,
       o.opened_at, o.deadline, r.decided_at, r.logged_at, r.signed_at, r.ended_at,
       CASE WHEN r.logged_at IS NOT NULL THEN d.digest END AS decision,
       CASE WHEN r.logged_at IS NOT NULL THEN d.set_digest END AS set_digest,
       CASE WHEN r.logged_at IS NOT NULL THEN i.index END AS log_index,
       CASE WHEN r.logged_at IS NOT NULL THEN (SELECT min(c.size) FROM log_checkpoints c WHERE c.size > i.index) END AS tree_size,
       (SELECT w.reason FROM withdrawals w WHERE w.release = o.id ORDER BY w.stored_at LIMIT 1) AS withdrawn,
       EXISTS (SELECT FROM evidence_bundles b WHERE b.release = o.id) AS has_evidence,
       e.over AS embargo_over
  FROM openings o
  JOIN releases r ON r.id = o.id
  JOIN requests q ON q.digest = o.request
  JOIN request_progress p ON p.request = o.request
  JOIN openings latest ON latest.request = o.request AND latest.attempt = p.attempts
  JOIN embargoes e ON e.release = o.id
  LEFT JOIN decisions d ON d.release = o.id
  LEFT JOIN log_entries i ON i.leaf = d.leaf;

-- For counting: nothing that the view above has to look up.
CREATE VIEW public_face.release_states WITH (security_barrier) AS
SELECT o.suite, r.state FROM openings o JOIN releases r ON r.id = o.id;

-- One row per invited rebuilder. Failing to build is never a difference, and
-- under the embargo a build that gave something is only "reported".
CREATE VIEW public_face.votes WITH (security_barrier) AS
SELECT o.id AS release, i.rebuilder, i.operator,
       CASE
           WHEN s.digest IS NULL THEN 'pending'
           WHEN e.over AND x.operator IS NOT NULL THEN 'equivocated'
           WHEN s.outcome = 'built' THEN CASE WHEN e.over THEN 'built' ELSE 'reported' END
           WHEN s.outcome IN ('build-failed', 'timed-out') THEN 'build-failed'
           ELSE 'infra-error'
       END AS class,
       CASE WHEN e.over THEN s.digest END AS statement,
       CASE WHEN e.over THEN s.set_digest END AS set_digest,
       s.received_at AS at
  FROM openings o
  JOIN embargoes e ON e.release = o.id
  CROSS JOIN LATERAL unnest(o.rebuilders, o.operators) AS i (rebuilder, operator)
  LEFT JOIN LATERAL (
       SELECT v.digest, v.outcome, v.set_digest, v.received_at FROM statements v
        WHERE v.release = o.id AND v.rebuilder = i.rebuilder
        ORDER BY v.vote DESC, v.outcome = 'built' DESC, v.received_at DESC, v.digest LIMIT 1) s ON true
  LEFT JOIN equivocations x ON x.release = o.id AND x.operator = i.operator;

-- What each set that was voted for holds, so that everybody can see where
-- builds differ.
CREATE VIEW public_face.sets WITH (security_barrier) AS
SELECT DISTINCT s.release, s.set_digest, l.list
  FROM statements s
  JOIN embargoes e ON e.release = s.release AND e.over
  JOIN artifact_sets l ON l.digest = s.set_digest;

CREATE VIEW public_face.artifacts WITH (security_barrier) AS
SELECT a.release, a.position, a.suite, a.source, a.name, a.kind, a.size, a.sha256, a.sha512, i.index AS log_index
  FROM artifacts a
  JOIN releases r ON r.id = a.release
  JOIN decisions d ON d.release = a.release
  JOIN log_entries i ON i.leaf = d.leaf
 WHERE r.logged_at IS NOT NULL;

CREATE VIEW public_face.signatures WITH (security_barrier) AS
SELECT sha512, certificate, kind, signature, release, made_at FROM signatures;

CREATE VIEW public_face.certificates WITH (security_barrier) AS
SELECT fingerprint, certificate FROM certificates;

CREATE VIEW public_face.evidence WITH (security_barrier) AS
SELECT b.release, b.bundle, b.stored_at FROM evidence_bundles b JOIN releases r ON r.id = b.release WHERE r.logged_at IS NOT NULL;

CREATE VIEW public_face.policies WITH (security_barrier) AS
SELECT serial, digest, envelope, stored_at FROM policies;

-- The log as far as a stored checkpoint covers it.
CREATE VIEW public_face.tiles WITH (security_barrier) AS
SELECT t.level, t.n, substring(t.data FOR 32 * w.width) AS data
  FROM log_tiles t
  CROSS JOIN (SELECT max(size) AS size FROM log_checkpoints) c
  CROSS JOIN LATERAL (SELECT LEAST(256, (CASE WHEN t.level > 7 THEN 0 ELSE c.size >> (8 * t.level) END) - t.n * 256)::integer AS width) w
 WHERE w.width > 0;

CREATE VIEW public_face.entries WITH (security_barrier) AS
SELECT i.index, l.leaf
  FROM log_entries i JOIN log_leaves l ON l.id = i.leaf
 WHERE i.index < (SELECT max(size) FROM log_checkpoints);

CREATE VIEW public_face.bodies WITH (security_barrier) AS
SELECT b.digest, b.envelope
  FROM log_bodies b
  JOIN log_entries i ON i.leaf = b.leaf
 WHERE i.index < (SELECT max(size) FROM log_checkpoints)
   AND (b.release IS NULL OR EXISTS (SELECT FROM embargoes e WHERE e.release = b.release AND e.over));

GRANT SELECT ON ALL TABLES IN SCHEMA public_face TO reprosign_dashboard;

-- +goose Down
DROP SCHEMA public_face CASCADE;
DROP VIEW embargoes;
