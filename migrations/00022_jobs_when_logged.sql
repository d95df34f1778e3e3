-- A decision holds by which certificates it is to be signed; the jobs themselves are
-- made when it is in the log, and so are open from the beginning. Before, each job
-- was written twice, and had a state in which nobody could do anything with it.

-- +goose Up
ALTER TABLE decisions ADD COLUMN certificates text[];
DROP TRIGGER append_only ON decisions;
UPDATE decisions d SET certificates = ARRAY(SELECT j.certificate FROM signing_jobs j WHERE j.release = d.release ORDER BY j.certificate);
ALTER TABLE decisions ALTER COLUMN certificates SET NOT NULL;
ALTER TABLE decisions ADD CONSTRAINT certificates_are_fingerprints
    CHECK (array_to_string(certificates, ' ', '') ~ '^([0-9A-F]{40}( [0-9A-F]{40})*)?$'
           -- One in each place: with a null, or two in one place, no checkpoint above the decision could be stored.
           AND octet_length(array_to_string(certificates, ' ', '')) = GREATEST(41 * cardinality(certificates) - 1, 0));
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

DROP TRIGGER stays ON signing_jobs;
DELETE FROM signing_jobs WHERE state = 'waiting';
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON signing_jobs FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE signing_jobs ALTER COLUMN state SET DEFAULT 'open', ALTER COLUMN claimable_at SET DEFAULT now();
ALTER TABLE signing_jobs DROP CONSTRAINT state_fits;
ALTER TABLE signing_jobs ADD CONSTRAINT state_fits CHECK (CASE state
    WHEN 'open'      THEN claimable_at IS NOT NULL AND finished_at IS NULL
    WHEN 'done'      THEN claimable_at IS NULL AND finished_at IS NOT NULL
    WHEN 'cancelled' THEN claimable_at IS NULL AND finished_at IS NOT NULL
    ELSE false END);

-- +goose Down
ALTER TABLE signing_jobs DROP CONSTRAINT state_fits;
ALTER TABLE signing_jobs ADD CONSTRAINT state_fits CHECK (CASE state
    WHEN 'waiting'   THEN claimable_at IS NULL AND finished_at IS NULL
    WHEN 'open'      THEN claimable_at IS NOT NULL AND finished_at IS NULL
    WHEN 'done'      THEN claimable_at IS NULL AND finished_at IS NOT NULL
    WHEN 'cancelled' THEN claimable_at IS NULL AND finished_at IS NOT NULL
    ELSE false END);
ALTER TABLE signing_jobs ALTER COLUMN state SET DEFAULT 'waiting', ALTER COLUMN claimable_at DROP DEFAULT;
INSERT INTO signing_jobs (release, certificate)
SELECT d.release, c FROM decisions d JOIN releases r ON r.id = d.release AND r.state = 'agreed', unnest(d.certificates) c;
ALTER TABLE decisions DROP COLUMN certificates;
