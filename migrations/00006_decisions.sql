-- Decisions and file names. A name is reserved when a vote set closes and bound
-- for good when the release is decided: from then on its row cannot change, and
-- decided artifacts refer to it with their content, so that no later release
-- can give the name a second content or take it to another source.

-- +goose Up
CREATE TABLE names (
    suite   text NOT NULL,
    name    text NOT NULL,
    sha256  sha256_digest NOT NULL,
    source  text NOT NULL,
    release sha256_digest NOT NULL REFERENCES openings, -- that reserved it
    held    boolean NOT NULL DEFAULT true, -- false once that release ended undecided: the name is free again
    bound   boolean NOT NULL DEFAULT false,
    PRIMARY KEY (suite, name),
    UNIQUE (suite, name, sha256, source),
    CONSTRAINT bound_is_held CHECK (held OR NOT bound)
) WITH (fillfactor = 80);
CREATE INDEX names_reserved ON names (release) WHERE held AND NOT bound;
GRANT SELECT, INSERT, UPDATE ON names TO reprosign_coordinator;

-- +goose StatementBegin
CREATE FUNCTION bound_name_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'name % of suite % is bound to its content', OLD.name, OLD.suite USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER bound_stays BEFORE UPDATE ON names FOR EACH ROW WHEN (OLD.bound AND NEW IS DISTINCT FROM OLD)
    EXECUTE FUNCTION bound_name_stays();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON names FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE decisions (
    release    sha256_digest PRIMARY KEY REFERENCES openings, -- one decision, ever
    digest     sha256_digest NOT NULL UNIQUE,
    set_digest sha256_digest NOT NULL REFERENCES artifact_sets,
    envelope   bytea NOT NULL,
    leaf       bigint NOT NULL UNIQUE REFERENCES log_leaves,
    stored_at  timestamptz NOT NULL DEFAULT now()
);
-- Signed bytes hold digests and signatures, which do not compress.
ALTER TABLE decisions ALTER COLUMN envelope SET STORAGE EXTERNAL;
CALL append_only('decisions');

CREATE TABLE artifacts (
    release  sha256_digest NOT NULL REFERENCES decisions,
    position smallint NOT NULL CHECK (position BETWEEN 0 AND 1023),
    suite    text NOT NULL,
    source   text NOT NULL,
    name     text NOT NULL,
    kind     text NOT NULL,
    size     bigint NOT NULL CHECK (size >= 0),
    sha256   sha256_digest NOT NULL,
    sha512   sha512_digest NOT NULL,
    PRIMARY KEY (release, position),
    UNIQUE (release, name),
    FOREIGN KEY (suite, name, sha256, source) REFERENCES names (suite, name, sha256, source)
);
CREATE INDEX artifacts_by_sha256 ON artifacts (sha256);
CREATE INDEX artifacts_by_sha512 ON artifacts (sha512);
CALL append_only('artifacts');

-- A decision needs a closed release that nobody withdrew. The lock makes it
-- wait for a withdrawal that is about to commit.
-- +goose StatementBegin
CREATE FUNCTION decision_is_due() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    PERFORM FROM releases WHERE id = NEW.release AND state = 'building' AND agreed_set = NEW.set_digest FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'release % takes no decision', encode(NEW.release, 'hex') USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER is_due BEFORE INSERT ON decisions FOR EACH ROW EXECUTE FUNCTION decision_is_due();

-- The intent to sign is stored with the decision, before anybody asks the
-- device: waiting until the decision is in the log, then open, then done; or
-- cancelled, if the release is withdrawn first.
CREATE TABLE signing_jobs (
    release      sha256_digest NOT NULL REFERENCES decisions,
    certificate  text NOT NULL CHECK (certificate ~ '^[0-9A-F]{40}$'),
    state        text NOT NULL DEFAULT 'waiting',
    attempts     integer NOT NULL DEFAULT 0,
    fence        bigint NOT NULL DEFAULT 0,
    claimable_at timestamptz, -- the end of a lease or back-off
    finished_at  timestamptz,
    PRIMARY KEY (release, certificate),
    CONSTRAINT state_fits CHECK (CASE state
        WHEN 'waiting'   THEN claimable_at IS NULL AND finished_at IS NULL
        WHEN 'open'      THEN claimable_at IS NOT NULL AND finished_at IS NULL
        WHEN 'done'      THEN claimable_at IS NULL AND finished_at IS NOT NULL
        WHEN 'cancelled' THEN claimable_at IS NULL AND finished_at IS NOT NULL
        ELSE false END)
) WITH (fillfactor = 70);
CREATE INDEX signing_jobs_open ON signing_jobs (claimable_at) WHERE state = 'open';
GRANT SELECT, INSERT, UPDATE ON signing_jobs TO reprosign_coordinator;
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON signing_jobs FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- +goose Down
DROP TABLE signing_jobs, artifacts, decisions, names;
DROP FUNCTION decision_is_due;
DROP FUNCTION bound_name_stays;
