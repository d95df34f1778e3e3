-- What a trigger does for every row of a batch it does for the whole batch at once:
-- the event of each release that moved, and the check that a decision is due.

-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION releases_moved() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    INSERT INTO events (release, state) SELECT id, state FROM after EXCEPT SELECT id, state FROM before;
    IF FOUND THEN
        PERFORM pg_notify('reprosign', 'events');
    END IF;
    RETURN NULL;
END
$$;
-- +goose StatementEnd
DROP TRIGGER moved ON releases;
CREATE TRIGGER moved AFTER UPDATE ON releases REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION releases_moved();

-- A decision needs a closed release that nobody withdrew. The lock makes it
-- wait for a withdrawal that is about to commit.
-- +goose StatementBegin
CREATE FUNCTION decisions_are_due() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
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
DROP TRIGGER is_due ON decisions;
CREATE TRIGGER are_due AFTER INSERT ON decisions REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION decisions_are_due();
DROP FUNCTION decision_is_due;

-- The trigger has found the row of the release, which refers to the opening and stays.
ALTER TABLE decisions DROP CONSTRAINT decisions_release_fkey;

-- +goose Down
ALTER TABLE decisions ADD CONSTRAINT decisions_release_fkey FOREIGN KEY (release) REFERENCES openings;
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
DROP TRIGGER are_due ON decisions;
DROP FUNCTION decisions_are_due;
CREATE TRIGGER is_due BEFORE INSERT ON decisions FOR EACH ROW EXECUTE FUNCTION decision_is_due();

DROP TRIGGER moved ON releases;
DROP FUNCTION releases_moved;
CREATE TRIGGER moved AFTER UPDATE OF state ON releases FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION release_event();
