-- Complaints: what rebuilders say in public about decisions that lack a
-- statement which a receipt calls counted. Only justified ones get here, each
-- with its log entry, whose bodies are complaint, receipt and statement. A
-- statement is of one rebuilder, so one complaint about it is enough, however
-- often its agent repeats it. The statement need not be in the table of
-- statements: that it got lost there is what the complaint may be about.

-- +goose Up
CREATE TABLE complaints (
    decision  sha256_digest NOT NULL REFERENCES decisions (digest),
    statement sha256_digest NOT NULL,
    digest    sha256_digest NOT NULL UNIQUE, -- of the complaint
    receipt   sha256_digest NOT NULL,
    rebuilder text NOT NULL,
    vote      boolean NOT NULL, -- else the statement is a report
    leaf      bigint NOT NULL UNIQUE REFERENCES log_leaves,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (decision, statement)
);
CALL append_only('complaints');

-- With the checkpoint that covers it, from when on its bodies are served.
CREATE VIEW public_face.complaints WITH (security_barrier) AS
SELECT d.release, c.rebuilder, o.operators[array_position(o.rebuilders, c.rebuilder)] AS operator,
       c.vote, c.digest, c.receipt, c.statement, i.index AS log_index, c.stored_at
  FROM complaints c
  JOIN decisions d ON d.digest = c.decision
  JOIN openings o ON o.id = d.release
  JOIN log_entries i ON i.leaf = c.leaf
 WHERE i.index < (SELECT max(size) FROM log_checkpoints);
GRANT SELECT ON public_face.complaints TO reprosign_dashboard;

-- +goose Down
DROP VIEW public_face.complaints;
DROP TABLE complaints;
