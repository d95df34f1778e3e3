-- What a foreign key checks and locks row by row, a statement checks for its batch at
-- once, where nothing that is referred to can go away or change: bodies, artifact
-- lists and decisions are append-only, and a bound name stays as it is. That a name is
-- bound no foreign key could check. And a release's ways are compared where it is
-- written; a function is called for nothing but to refuse one.

-- +goose Up
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION decisions_are_due() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
DECLARE
    decided integer := (SELECT count(*) FROM added);
    due integer;
BEGIN
    IF decided <> (SELECT count(*) FROM added a
                     JOIN log_bodies b ON b.digest = a.body AND b.leaf = a.leaf
                     JOIN artifact_sets l ON l.digest = a.set_digest) THEN
        RAISE EXCEPTION 'of % decisions some are not in the log, or their artifacts unknown', decided USING ERRCODE = 'foreign_key_violation';
    END IF;
    PERFORM FROM added a JOIN releases r ON r.id = a.release
      WHERE r.state = 'building' AND r.agreed_set = a.set_digest ORDER BY r.id FOR NO KEY UPDATE OF r;
    GET DIAGNOSTICS due = ROW_COUNT;
    IF due <> decided THEN
        RAISE EXCEPTION '% of % releases take no decision', decided - due, decided USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
ALTER TABLE decisions DROP CONSTRAINT decisions_body_fkey, DROP CONSTRAINT decisions_set_digest_fkey;

-- +goose StatementBegin
CREATE FUNCTION artifacts_are_decided() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
DECLARE
    artifacts integer := (SELECT count(*) FROM added);
BEGIN
    IF artifacts <> (SELECT count(*) FROM added a
                       JOIN decisions d ON d.release = a.release
                       JOIN names n ON n.suite = a.suite AND n.name = a.name
                                   AND n.sha256 = a.sha256 AND n.source = a.source AND n.bound) THEN
        RAISE EXCEPTION 'of % artifacts some have no decision, or their name is not bound to them', artifacts USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER are_decided AFTER INSERT ON artifacts REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION artifacts_are_decided();
ALTER TABLE artifacts DROP CONSTRAINT artifacts_release_fkey, DROP CONSTRAINT artifacts_suite_name_sha256_source_fkey;
-- It was there to be referred to: suite and name alone are unique.
ALTER TABLE names DROP CONSTRAINT names_suite_name_sha256_source_key;

-- +goose StatementBegin
CREATE FUNCTION closed_release_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'release %: what is closed stays as it is', encode(OLD.id, 'hex') USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION no_way_for_release() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'release %: no way from % to %', encode(OLD.id, 'hex'), OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER closed_stays BEFORE UPDATE OF id, fence, closed_at, agreed_set ON releases FOR EACH ROW
    WHEN (NEW.id <> OLD.id OR NEW.fence < OLD.fence
          OR (OLD.closed_at IS NOT NULL AND NEW.closed_at IS DISTINCT FROM OLD.closed_at)
          OR (OLD.agreed_set IS NOT NULL AND NEW.agreed_set IS DISTINCT FROM OLD.agreed_set))
    EXECUTE FUNCTION closed_release_stays();
CREATE TRIGGER moves_forward BEFORE UPDATE OF state ON releases FOR EACH ROW
    WHEN (NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
        ('building', 'agreed'), ('building', 'held'), ('building', 'conflict'), ('building', 'expired'), ('building', 'withdrawn'),
        ('held', 'building'), ('held', 'conflict'), ('held', 'expired'), ('held', 'withdrawn'),
        ('agreed', 'logged'), ('agreed', 'expired'), ('agreed', 'withdrawn'), ('logged', 'signed'), ('logged', 'withdrawn'),
        ('signed', 'withdrawn'), ('conflict', 'withdrawn'), ('expired', 'withdrawn')))
    EXECUTE FUNCTION no_way_for_release();
DROP TRIGGER moves ON releases;
DROP FUNCTION release_moves;

-- The same, without a regular expression for every job.
ALTER TABLE signing_jobs DROP CONSTRAINT signing_jobs_certificate_check;
ALTER TABLE signing_jobs ADD CONSTRAINT certificate_is_fingerprint
    CHECK (octet_length(certificate) = 40 AND translate(certificate, '0123456789ABCDEF', '') = '');

-- +goose Down
ALTER TABLE signing_jobs DROP CONSTRAINT certificate_is_fingerprint;
ALTER TABLE signing_jobs ADD CONSTRAINT signing_jobs_certificate_check CHECK (certificate ~ '^[0-9A-F]{40}$');

-- +goose StatementBegin
CREATE FUNCTION release_moves() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
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
CREATE TRIGGER moves BEFORE UPDATE OF id, state, fence, closed_at, agreed_set ON releases
    FOR EACH ROW EXECUTE FUNCTION release_moves();
DROP TRIGGER moves_forward ON releases;
DROP TRIGGER closed_stays ON releases;
DROP FUNCTION no_way_for_release;
DROP FUNCTION closed_release_stays;

ALTER TABLE names ADD UNIQUE (suite, name, sha256, source);
ALTER TABLE artifacts ADD FOREIGN KEY (release) REFERENCES decisions,
    ADD FOREIGN KEY (suite, name, sha256, source) REFERENCES names (suite, name, sha256, source);
DROP TRIGGER are_decided ON artifacts;
DROP FUNCTION artifacts_are_decided;

ALTER TABLE decisions ADD CONSTRAINT decisions_body_fkey FOREIGN KEY (body, leaf) REFERENCES log_bodies (digest, leaf),
    ADD FOREIGN KEY (set_digest) REFERENCES artifact_sets;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION decisions_are_due() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
DECLARE
    due integer;
BEGIN
    PERFORM FROM added a JOIN releases r ON r.id = a.release
      WHERE r.state = 'building' AND r.agreed_set = a.set_digest ORDER BY r.id FOR NO KEY UPDATE OF r;
    GET DIAGNOSTICS due = ROW_COUNT;
    IF due <> (SELECT count(*) FROM added) THEN
        RAISE EXCEPTION '% of % releases take no decision', (SELECT count(*) FROM added) - due, (SELECT count(*) FROM added)
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
