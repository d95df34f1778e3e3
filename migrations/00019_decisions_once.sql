-- The envelope of a decision is kept once. It is a body of the decision's log entry,
-- byte for byte, which can be neither changed nor deleted; the decision refers to it
-- by the digest under which the log serves it.

-- +goose Up
ALTER TABLE decisions ADD COLUMN body sha256_digest;
DROP TRIGGER append_only ON decisions;
UPDATE decisions d SET body = b.digest FROM log_bodies b WHERE b.leaf = d.leaf AND b.envelope = d.envelope;
ALTER TABLE decisions ALTER COLUMN body SET NOT NULL; -- fails if an envelope is kept nowhere else
ALTER TABLE decisions DROP COLUMN envelope;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
-- A body refers to its leaf.
ALTER TABLE decisions DROP CONSTRAINT decisions_leaf_fkey;
ALTER TABLE decisions ADD CONSTRAINT decisions_body_fkey FOREIGN KEY (body, leaf) REFERENCES log_bodies (digest, leaf);

-- +goose Down
ALTER TABLE decisions DROP CONSTRAINT decisions_body_fkey;
ALTER TABLE decisions ADD CONSTRAINT decisions_leaf_fkey FOREIGN KEY (leaf) REFERENCES log_leaves;
ALTER TABLE decisions ADD COLUMN envelope bytea;
ALTER TABLE decisions ALTER COLUMN envelope SET STORAGE EXTERNAL;
DROP TRIGGER append_only ON decisions;
UPDATE decisions d SET envelope = b.envelope FROM log_bodies b WHERE b.digest = d.body AND b.leaf = d.leaf;
ALTER TABLE decisions ALTER COLUMN envelope SET NOT NULL;
ALTER TABLE decisions DROP COLUMN body;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON decisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
