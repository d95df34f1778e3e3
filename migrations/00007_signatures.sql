-- Signatures. The primary key is the promise: one artifact, one certificate,
-- one kind, one signature, ever. A second release of the same bytes reuses it.

-- +goose Up
CREATE TABLE signatures (
    sha512      sha512_digest NOT NULL,
    certificate text NOT NULL,
    kind        text NOT NULL CHECK (kind = 'detached-binary'),
    signature   bytea NOT NULL CHECK (octet_length(signature) BETWEEN 1 AND 4096),
    release     sha256_digest NOT NULL,
    made_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sha512, certificate, kind),
    FOREIGN KEY (release, certificate) REFERENCES signing_jobs
);
CALL append_only('signatures');

CREATE TABLE signatures_made (
    digest      sha256_digest PRIMARY KEY,
    release     sha256_digest NOT NULL,
    certificate text NOT NULL,
    envelope    bytea NOT NULL,
    leaf        bigint NOT NULL UNIQUE REFERENCES log_leaves,
    stored_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (release, certificate),
    FOREIGN KEY (release, certificate) REFERENCES signing_jobs
);
CALL append_only('signatures_made');

-- A signature needs a decision that is in the log and was not withdrawn.
-- +goose StatementBegin
CREATE FUNCTION signature_is_due() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    PERFORM FROM releases WHERE id = NEW.release AND state = 'logged' FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'release % takes no signature', encode(NEW.release, 'hex') USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER is_due BEFORE INSERT ON signatures FOR EACH ROW EXECUTE FUNCTION signature_is_due();
CREATE TRIGGER is_due BEFORE INSERT ON signatures_made FOR EACH ROW EXECUTE FUNCTION signature_is_due();

-- OpenPGP certificates as the signer sent them; bundles hold them.
CREATE TABLE certificates (
    fingerprint text PRIMARY KEY CHECK (fingerprint ~ '^[0-9A-F]{40}$'),
    certificate bytea NOT NULL,
    stored_at   timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);
GRANT SELECT, INSERT, UPDATE ON certificates TO reprosign_coordinator;

-- A bundle is made of what is signed and can be made again: with the second
-- certificate of a release it is replaced by a larger one.
CREATE TABLE evidence_bundles (
    release   sha256_digest PRIMARY KEY REFERENCES decisions,
    bundle    bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE ON evidence_bundles TO reprosign_coordinator;
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON evidence_bundles FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A job may be taken when it is open, when the release's certificates before it
-- are done, and when no decision earlier in the log is about to sign the same
-- bytes: of several decisions the earliest counts and its signature is reused.
CREATE VIEW ready_jobs AS
SELECT j.release, j.certificate, j.claimable_at
  FROM signing_jobs j
  JOIN decisions d ON d.release = j.release
  JOIN log_entries i ON i.leaf = d.leaf
 WHERE j.state = 'open'
   -- OFFSET 0 has each looked up by its key; as a join the planner, which has
   -- no statistics of a new database, compares all open jobs with one another.
   AND NOT EXISTS (SELECT FROM signing_jobs before
                    WHERE before.release = j.release AND before.certificate < j.certificate AND before.state = 'open' OFFSET 0)
   AND NOT EXISTS (
       SELECT FROM artifacts a
         JOIN artifacts same ON same.sha512 = a.sha512 AND same.release <> a.release
         JOIN signing_jobs other ON other.release = same.release AND other.certificate = j.certificate AND other.state = 'open'
         JOIN decisions earlier ON earlier.release = same.release
         JOIN log_entries at ON at.leaf = earlier.leaf
        WHERE a.release = j.release AND at.index < i.index
          AND NOT EXISTS (SELECT FROM signatures s WHERE s.sha512 = a.sha512 AND s.certificate = j.certificate)
       OFFSET 0);
GRANT SELECT ON ready_jobs TO reprosign_coordinator;

-- +goose Down
DROP VIEW ready_jobs;
DROP TABLE evidence_bundles, certificates, signatures_made, signatures;
DROP FUNCTION signature_is_due;
