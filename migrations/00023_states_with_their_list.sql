-- An artifact list and its SHA-512 states come together and are read together.

-- +goose Up
ALTER TABLE artifact_sets ADD COLUMN states bytea;
DROP TRIGGER append_only ON artifact_sets;
UPDATE artifact_sets l SET states = s.states FROM artifact_states s WHERE s.set_digest = l.digest;
ALTER TABLE artifact_sets ALTER COLUMN states SET NOT NULL;
-- 204 bytes each, in the order of the list. They are not voted on; each was checked
-- against its artifact before.
ALTER TABLE artifact_sets ADD CONSTRAINT states_are_whole CHECK (octet_length(states) > 0 AND octet_length(states) % 204 = 0);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON artifact_sets
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
DROP TABLE artifact_states;

-- +goose Down
CREATE TABLE artifact_states (
    set_digest sha256_digest PRIMARY KEY,
    states     bytea NOT NULL CHECK (octet_length(states) > 0 AND octet_length(states) % 204 = 0)
);
INSERT INTO artifact_states SELECT digest, states FROM artifact_sets;
CALL append_only('artifact_states');
ALTER TABLE artifact_sets DROP COLUMN states;
