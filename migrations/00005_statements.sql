-- Votes and reports, the hot path: one row and three index entries each. The
-- columns before the payload are what counting and judging read, so that neither
-- parses what was verified when it came. The signed bytes are kept as payload,
-- keyid and signature: the envelope is rebuilt from them byte for byte at three
-- quarters of its size. Nothing here has a counter: a tally can drift, rows cannot.

-- +goose Up
CREATE TABLE statements (
    digest      sha256_digest PRIMARY KEY,
    -- No foreign key: ingest holds the release's lock, and the check would
    -- cost a row lock on the opening for every vote.
    release     sha256_digest NOT NULL,
    rebuilder   text NOT NULL,
    operator    text NOT NULL,
    outcome     text NOT NULL CHECK (outcome IN ('built', 'build-failed', 'fetch-failed', 'timed-out', 'infra-error')),
    set_digest  sha256_digest,
    isolation   text NOT NULL CHECK (isolation IN ('none', 'uid', 'userns', 'bwrap')),
    disposition text NOT NULL CHECK (disposition IN ('counted', 'late', 'contradicts')),
    received_at timestamptz NOT NULL,
    -- The operator's first vote in time: the one it is counted by.
    vote        boolean NOT NULL,
    payload     bytea NOT NULL,
    keyid       text NOT NULL,
    signature   bytea NOT NULL,
    CONSTRAINT digest_is_of_payload CHECK (digest = sha256(payload)),
    CONSTRAINT built_names_set CHECK ((outcome = 'built') = (set_digest IS NOT NULL)),
    CONSTRAINT vote_is_built CHECK (NOT vote OR (outcome = 'built' AND disposition = 'counted'))
);
CREATE INDEX statements_of_release ON statements (release);
-- One operator, one vote, whatever the program believes.
CREATE UNIQUE INDEX statements_one_vote ON statements (release, operator) WHERE vote;
CALL append_only('statements');

-- Two sets of one operator in one release, once per operator: the proof is the
-- two statements, which are kept anyway.
CREATE TABLE equivocations (
    release     sha256_digest NOT NULL REFERENCES openings,
    operator    text NOT NULL,
    rebuilder   text NOT NULL, -- whose statement was the second
    first       sha256_digest NOT NULL REFERENCES statements,
    second      sha256_digest NOT NULL REFERENCES statements CHECK (second <> first),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (release, operator)
);
CALL append_only('equivocations');

CREATE TABLE logged_equivocations (
    release  sha256_digest NOT NULL,
    operator text NOT NULL,
    leaf     bigint NOT NULL UNIQUE REFERENCES log_leaves,
    PRIMARY KEY (release, operator),
    FOREIGN KEY (release, operator) REFERENCES equivocations
);
CALL append_only('logged_equivocations');

-- An artifact list is stored once, however many vote for it. It is kept as the
-- bytes that its digest is of.
CREATE TABLE artifact_sets (
    digest sha256_digest PRIMARY KEY,
    list   bytea NOT NULL,
    CONSTRAINT digest_is_of_list CHECK (digest = sha256(list))
);
CALL append_only('artifact_sets');

-- The SHA-512 states of a set, 204 bytes each, in the order of the list. They
-- are not voted on; each was checked against its artifact before.
CREATE TABLE artifact_states (
    set_digest sha256_digest PRIMARY KEY,
    states     bytea NOT NULL CHECK (octet_length(states) > 0 AND octet_length(states) % 204 = 0)
);
CALL append_only('artifact_states');

-- What was refused, with the answer the rebuilder got. Once per statement, so
-- that repeating it costs the sender more than us.
CREATE TABLE rejections (
    rebuilder text NOT NULL,
    statement sha256_digest NOT NULL,
    code      text NOT NULL,
    reason    text NOT NULL,
    envelope  bytea NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (rebuilder, statement)
);
CALL append_only('rejections');

-- Messages on the subject of nobody: there is no one to answer.
CREATE TABLE dead_letters (
    digest    sha256_digest PRIMARY KEY,
    subject   text NOT NULL,
    code      text NOT NULL,
    reason    text NOT NULL,
    size      integer NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now()
);
CALL append_only('dead_letters');

-- +goose Down
DROP TABLE dead_letters, rejections, artifact_states, artifact_sets, logged_equivocations, equivocations, statements;
