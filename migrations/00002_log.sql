-- The evidence log: an outbox, the tree as tiles, and one row that is the
-- fence. A statement and its log entry are written in one transaction by any
-- replica, which never waits for other writers; the order of leaves is given
-- later, in batches, by whoever holds the state row. IDENTITY values commit out
-- of order and have gaps, so the id of a leaf is never its index.

-- +goose Up
CREATE TABLE log_leaves (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    leaf      bytea NOT NULL CHECK (octet_length(leaf) BETWEEN 1 AND 65535), -- entry bundles count in 16 bits
    leaf_hash sha256_digest NOT NULL,
    -- RFC 6962: a leaf is hashed behind a zero byte. A wrong hash would be found by every outsider.
    CONSTRAINT leaf_hash_is_of_leaf CHECK (leaf_hash = sha256('\x00'::bytea || leaf))
);
CALL append_only('log_leaves');

-- Envelopes served beside the log, each under the digest that refers to it.
-- A body with a release holds digests of that release and waits for its embargo to end.
CREATE TABLE log_bodies (
    leaf     bigint NOT NULL REFERENCES log_leaves,
    digest   sha256_digest NOT NULL,
    envelope bytea NOT NULL,
    release  sha256_digest,
    PRIMARY KEY (digest, leaf)
);
ALTER TABLE log_bodies ALTER COLUMN envelope SET STORAGE EXTERNAL; -- signatures and digests do not compress
CALL append_only('log_bodies');

-- The outbox. It keeps the hash so that the integrator needs no join, which
-- takes a second per thousand rows while statistics are stale.
CREATE TABLE log_pending (
    leaf      bigint PRIMARY KEY REFERENCES log_leaves,
    leaf_hash sha256_digest NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
GRANT SELECT, INSERT, DELETE ON log_pending TO reprosign_coordinator;

CREATE TABLE log_entries (
    index bigint PRIMARY KEY CHECK (index >= 0),
    leaf  bigint NOT NULL UNIQUE REFERENCES log_leaves
);
CALL append_only('log_entries');

-- One row a tile; it grows to 256 hashes and never shrinks, so every partial
-- tile ever published stays a prefix of it.
CREATE TABLE log_tiles (
    level smallint NOT NULL CHECK (level BETWEEN 0 AND 63),
    n     bigint NOT NULL CHECK (n >= 0),
    data  bytea NOT NULL CHECK (octet_length(data) BETWEEN 32 AND 8192 AND octet_length(data) % 32 = 0),
    PRIMARY KEY (level, n)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
ALTER TABLE log_tiles ALTER COLUMN data SET STORAGE EXTERNAL; -- hashes do not compress, and substring stays cheap
GRANT SELECT, INSERT, UPDATE ON log_tiles TO reprosign_coordinator;

-- +goose StatementBegin
CREATE FUNCTION tile_only_grows() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    IF (NEW.level, NEW.n) IS DISTINCT FROM (OLD.level, OLD.n)
        OR substring(NEW.data FOR octet_length(OLD.data)) IS DISTINCT FROM OLD.data THEN
        RAISE EXCEPTION 'tile % of level % would change its past', OLD.n, OLD.level USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER only_grows BEFORE UPDATE ON log_tiles FOR EACH ROW EXECUTE FUNCTION tile_only_grows();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON log_tiles FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The fence: whoever integrates holds this row.
CREATE TABLE log_state (
    id   smallint PRIMARY KEY CHECK (id = 1),
    size bigint NOT NULL CHECK (size >= 0),
    root sha256_digest NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
INSERT INTO log_state VALUES (1, 0, sha256(''));
GRANT SELECT, UPDATE ON log_state TO reprosign_coordinator;

-- +goose StatementBegin
CREATE FUNCTION log_only_grows() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    IF NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root <> OLD.root) THEN
        RAISE EXCEPTION 'log of size % would go back to %', OLD.size, NEW.size USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER only_grows BEFORE UPDATE ON log_state FOR EACH ROW EXECUTE FUNCTION log_only_grows();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON log_state FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- A signed note is stored before anybody sees it. One size, one note: the key
-- of this table is what keeps two replicas from publishing two histories.
CREATE TABLE log_checkpoints (
    size      bigint PRIMARY KEY CHECK (size >= 0),
    root      sha256_digest NOT NULL,
    note      bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now()
);
CALL append_only('log_checkpoints');

-- +goose Down
DROP TABLE log_checkpoints, log_state, log_tiles, log_entries, log_pending, log_bodies, log_leaves;
DROP FUNCTION log_only_grows;
DROP FUNCTION tile_only_grows;
