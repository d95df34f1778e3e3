-- More of what foreign keys check row by row, checked by the statement for its batch:
-- leaves, openings and decisions can be neither changed nor deleted. What refers to
-- them stays as it was written, which no foreign key says.

-- +goose Up
-- All that is locked below, at once. A running coordinator takes these in more than one
-- order, so that no order is safe from deadlock: who waits for long lets go of all that
-- it holds, sooner than a deadlock is looked for (deadlock_timeout), and begins again.
-- +goose StatementBegin
DO $$
DECLARE
    before text := current_setting('lock_timeout');
BEGIN
    PERFORM set_config('lock_timeout', '100ms', true);
    LOOP
        BEGIN
            LOCK TABLE openings, names, log_leaves, log_pending, log_bodies, decisions, signing_jobs IN ACCESS EXCLUSIVE MODE;
            EXIT;
        EXCEPTION WHEN lock_not_available THEN -- all are free again
        END;
    END LOOP;
    PERFORM set_config('lock_timeout', before, true);
END
$$;
-- +goose StatementEnd

-- What a row refers to is checked once, so it must not change.
-- +goose StatementBegin
CREATE FUNCTION refuse_other_reference() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'rows of table % keep what they refer to, % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION rows_have_leaves() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
DECLARE
    rows integer := (SELECT count(*) FROM added);
BEGIN
    IF rows <> (SELECT count(*) FROM added a JOIN log_leaves l ON l.id = a.leaf) THEN
        RAISE EXCEPTION 'of % rows of % some have no leaf', rows, TG_TABLE_NAME USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER have_leaves AFTER INSERT ON log_bodies REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION rows_have_leaves();
ALTER TABLE log_bodies DROP CONSTRAINT log_bodies_leaf_fkey;
CREATE TRIGGER have_leaves AFTER INSERT ON log_pending REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION rows_have_leaves();
CREATE TRIGGER leaf_stays BEFORE UPDATE OF leaf ON log_pending FOR EACH STATEMENT EXECUTE FUNCTION refuse_other_reference();
ALTER TABLE log_pending DROP CONSTRAINT log_pending_leaf_fkey;

-- +goose StatementBegin
CREATE FUNCTION names_have_releases() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
DECLARE
    names integer := (SELECT count(*) FROM added);
BEGIN
    IF names <> (SELECT count(*) FROM added a JOIN openings o ON o.id = a.release) THEN
        RAISE EXCEPTION 'of % names some are of no release', names USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER have_releases AFTER INSERT ON names REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION names_have_releases();
-- Seldom: a name that was free again is taken by another release.
-- +goose StatementBegin
CREATE FUNCTION name_has_release() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM openings WHERE id = NEW.release) THEN
        RAISE EXCEPTION 'name % is of no release', NEW.name USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER has_release AFTER UPDATE OF release ON names FOR EACH ROW WHEN (NEW.release <> OLD.release)
    EXECUTE FUNCTION name_has_release();
ALTER TABLE names DROP CONSTRAINT names_release_fkey;

-- +goose StatementBegin
CREATE FUNCTION jobs_have_decisions() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
DECLARE
    jobs integer := (SELECT count(*) FROM added);
BEGIN
    IF jobs <> (SELECT count(*) FROM added a JOIN decisions d ON d.release = a.release) THEN
        RAISE EXCEPTION 'of % signing jobs some have no decision', jobs USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER have_decisions AFTER INSERT ON signing_jobs REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION jobs_have_decisions();
CREATE TRIGGER release_stays BEFORE UPDATE OF release ON signing_jobs FOR EACH STATEMENT EXECUTE FUNCTION refuse_other_reference();
ALTER TABLE signing_jobs DROP CONSTRAINT signing_jobs_release_fkey;

-- Each lookup by its key: of a new database the planner has no statistics, and would
-- rather walk through all open jobs for each of them.
CREATE OR REPLACE VIEW ready_jobs AS
SELECT j.release, j.certificate, j.claimable_at
  FROM signing_jobs j
  JOIN decisions d ON d.release = j.release
  JOIN log_entries i ON i.leaf = d.leaf
 WHERE j.state = 'open'
   AND NOT EXISTS (SELECT FROM signing_jobs before
                    WHERE before.release = j.release AND before.certificate < j.certificate AND before.state = 'open' OFFSET 0)
   AND NOT EXISTS (
       SELECT FROM artifacts a
         JOIN artifacts same ON same.sha512 = a.sha512 AND same.release <> a.release
        WHERE a.release = j.release
          AND EXISTS (SELECT FROM signing_jobs other
                       WHERE other.release = same.release AND other.certificate = j.certificate AND other.state = 'open' OFFSET 0)
          AND EXISTS (SELECT FROM decisions earlier JOIN log_entries at ON at.leaf = earlier.leaf
                       WHERE earlier.release = same.release AND at.index < i.index OFFSET 0)
          AND NOT EXISTS (SELECT FROM signatures s WHERE s.sha512 = a.sha512 AND s.certificate = j.certificate OFFSET 0)
       OFFSET 0);

-- Envelopes of decisions are a little longer than what PostgreSQL keeps in the row
-- unasked; two more rows in two more relations for each cost more than a longer row.
-- What is longer than half a page would have a page for itself, most of it empty: the
-- decisions of suites with a dozen rebuilders, which go out of the row as before.
ALTER TABLE log_bodies SET (toast_tuple_target = 4080);

-- +goose Down
CREATE OR REPLACE VIEW ready_jobs AS
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

ALTER TABLE log_bodies RESET (toast_tuple_target);

ALTER TABLE signing_jobs ADD FOREIGN KEY (release) REFERENCES decisions;
DROP TRIGGER release_stays ON signing_jobs;
DROP TRIGGER have_decisions ON signing_jobs;
DROP FUNCTION jobs_have_decisions;

ALTER TABLE names ADD FOREIGN KEY (release) REFERENCES openings;
DROP TRIGGER has_release ON names;
DROP FUNCTION name_has_release;
DROP TRIGGER have_releases ON names;
DROP FUNCTION names_have_releases;

ALTER TABLE log_pending ADD FOREIGN KEY (leaf) REFERENCES log_leaves;
DROP TRIGGER leaf_stays ON log_pending;
DROP TRIGGER have_leaves ON log_pending;
ALTER TABLE log_bodies ADD FOREIGN KEY (leaf) REFERENCES log_leaves;
DROP TRIGGER have_leaves ON log_bodies;
DROP FUNCTION rows_have_leaves;
DROP FUNCTION refuse_other_reference;
