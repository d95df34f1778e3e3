-- What is asked for, and under which rules. Signed envelopes are kept whole, in
-- their canonical JSON; columns beside them are what is searched by.
-- The claim is the one secret in this database: it lies in a table of its own
-- that no view reads.

-- +goose Up
CREATE TABLE policies (
    serial    bigint PRIMARY KEY CHECK (serial BETWEEN 1 AND 9007199254740991), -- exact in JSON
    digest    sha256_digest NOT NULL UNIQUE,
    envelope  bytea NOT NULL,
    leaf      bigint NOT NULL UNIQUE REFERENCES log_leaves,
    stored_at timestamptz NOT NULL DEFAULT now()
);
CALL append_only('policies');

CREATE TABLE requests (
    digest       sha256_digest PRIMARY KEY,
    envelope     bytea NOT NULL,
    publisher    text NOT NULL,
    suite        text NOT NULL,
    source       text NOT NULL,
    version      text NOT NULL,
    architecture text NOT NULL,
    claimed      boolean NOT NULL,
    claim_public boolean NOT NULL CHECK (claimed OR NOT claim_public),
    stored_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX requests_by_source ON requests (suite, source);
CALL append_only('requests');

CREATE TABLE claims (
    request    sha256_digest PRIMARY KEY REFERENCES requests,
    salt       sha256_digest NOT NULL,
    set_digest sha256_digest NOT NULL
);
CALL append_only('claims');

-- Where a request stands. wanted: its next attempt has to be opened; open: it
-- counts against its publisher's quota.
CREATE TABLE request_progress (
    request   sha256_digest PRIMARY KEY REFERENCES requests,
    publisher text NOT NULL,
    attempts  integer NOT NULL DEFAULT 0 CHECK (attempts BETWEEN 0 AND 100),
    wanted    boolean NOT NULL DEFAULT true,
    open      boolean NOT NULL DEFAULT true,
    withdrawn boolean NOT NULL DEFAULT false,
    reason    text NOT NULL DEFAULT '',
    CONSTRAINT wanted_is_open CHECK (open OR NOT wanted),
    CONSTRAINT withdrawn_is_over CHECK (NOT (withdrawn AND open))
) WITH (fillfactor = 80);
CREATE INDEX request_progress_wanted ON request_progress (request) WHERE wanted;
CREATE INDEX request_progress_open ON request_progress (publisher) WHERE open;
GRANT SELECT, INSERT, UPDATE ON request_progress TO reprosign_coordinator;

-- +goose Down
DROP TABLE request_progress, claims, requests, policies;
