-- Witnesses. A checkpoint may carry their cosignatures, and the time by which a
-- quorum of them had signed is the cycle's time: no party can choose it. A
-- decision that they saw too late is in the log and yet does not count; so
-- there is a way from decided to expired, and the next attempt. Its names stay
-- bound: what was logged under them can be read by everybody.

-- +goose Up
-- When the quorum had cosigned; null for a checkpoint that no witness had to.
ALTER TABLE log_checkpoints ADD COLUMN seen_at timestamptz;
CREATE INDEX log_checkpoints_seen ON log_checkpoints (size) WHERE seen_at IS NOT NULL;

-- The newest checkpoint, cosigned again: in a log where nothing happens its
-- cosignatures grow old, and signers refuse what may be a stale view. Proofs
-- are made of the first note of a size, which has the earliest time.
CREATE TABLE log_renewal (
    id      smallint PRIMARY KEY CHECK (id = 1),
    size    bigint NOT NULL REFERENCES log_checkpoints,
    note    bytea NOT NULL,
    seen_at timestamptz NOT NULL
) WITH (fillfactor = 10);
GRANT SELECT, INSERT, UPDATE ON log_renewal TO reprosign_coordinator;
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON log_renewal FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE VIEW public_face.checkpoints WITH (security_barrier) AS
SELECT c.size, c.root, COALESCE(n.note, c.note) AS note, c.stored_at
  FROM log_checkpoints c LEFT JOIN log_renewal n ON n.size = c.size;

ALTER TABLE releases DROP CONSTRAINT state_fits;
ALTER TABLE releases ADD CONSTRAINT state_fits CHECK (CASE state
    WHEN 'building' THEN decided_at IS NULL AND ended_at IS NULL
    WHEN 'held'     THEN decided_at IS NULL AND ended_at IS NULL AND closed_at IS NULL
    WHEN 'agreed'   THEN decided_at IS NOT NULL AND closed_at IS NOT NULL AND logged_at IS NULL AND ended_at IS NULL
    WHEN 'logged'   THEN logged_at IS NOT NULL AND signed_at IS NULL AND ended_at IS NULL
    WHEN 'signed'   THEN signed_at IS NOT NULL AND ended_at IS NULL
    WHEN 'conflict' THEN ended_at IS NOT NULL AND decided_at IS NULL
    WHEN 'expired'  THEN ended_at IS NOT NULL AND logged_at IS NULL
    WHEN 'withdrawn' THEN ended_at IS NOT NULL
    ELSE false END);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION release_moves() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.fence < OLD.fence OR (OLD.closed_at IS NOT NULL AND NEW.closed_at IS DISTINCT FROM OLD.closed_at)
        OR (OLD.agreed_set IS NOT NULL AND NEW.agreed_set IS DISTINCT FROM OLD.agreed_set) THEN
        RAISE EXCEPTION 'release %: what is closed stays as it is', encode(OLD.id, 'hex') USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('building', 'agreed'), ('building', 'held'), ('building', 'conflict'), ('building', 'expired'), ('building', 'withdrawn'),
        ('held', 'building'), ('held', 'conflict'), ('held', 'expired'), ('held', 'withdrawn'),
        ('agreed', 'logged'), ('agreed', 'expired'), ('agreed', 'withdrawn'), ('logged', 'signed'), ('logged', 'withdrawn'),
        ('signed', 'withdrawn'), ('conflict', 'withdrawn'), ('expired', 'withdrawn')) THEN
        RAISE EXCEPTION 'release %: no way from % to %', encode(OLD.id, 'hex'), OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION release_moves() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    IF NEW.id <> OLD.id OR NEW.fence < OLD.fence OR (OLD.closed_at IS NOT NULL AND NEW.closed_at IS DISTINCT FROM OLD.closed_at)
        OR (OLD.agreed_set IS NOT NULL AND NEW.agreed_set IS DISTINCT FROM OLD.agreed_set) THEN
        RAISE EXCEPTION 'release %: what is closed stays as it is', encode(OLD.id, 'hex') USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('building', 'agreed'), ('building', 'held'), ('building', 'conflict'), ('building', 'expired'), ('building', 'withdrawn'),
        ('held', 'building'), ('held', 'conflict'), ('held', 'expired'), ('held', 'withdrawn'),
        ('agreed', 'logged'), ('agreed', 'withdrawn'), ('logged', 'signed'), ('logged', 'withdrawn'),
        ('signed', 'withdrawn'), ('conflict', 'withdrawn'), ('expired', 'withdrawn')) THEN
        RAISE EXCEPTION 'release %: no way from % to %', encode(OLD.id, 'hex'), OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
-- Not the constraint: releases that expired after their decision would break the old one.
CREATE OR REPLACE VIEW public_face.checkpoints WITH (security_barrier) AS
SELECT size, root, note, stored_at FROM log_checkpoints;
DROP TABLE log_renewal;
DROP INDEX log_checkpoints_seen;
ALTER TABLE log_checkpoints DROP COLUMN seen_at;
