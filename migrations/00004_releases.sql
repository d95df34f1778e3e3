-- A release in two halves: the opening, signed and therefore append-only, and
-- where it stands, which changes. Constraints tie every state to the times and
-- fields it implies, and a trigger lets states move only forward; a program
-- error then fails loudly instead of leaving a release that is half decided.

-- +goose Up
CREATE TABLE openings (
    id            sha256_digest PRIMARY KEY, -- SHA-256 of the opening's payload: the release id
    request       sha256_digest NOT NULL REFERENCES requests,
    attempt       integer NOT NULL CHECK (attempt BETWEEN 1 AND 100),
    suite         text NOT NULL,
    policy        sha256_digest NOT NULL REFERENCES policies (digest),
    policy_serial bigint NOT NULL,
    envelope      bytea NOT NULL,
    leaf          bigint NOT NULL UNIQUE REFERENCES log_leaves,
    -- Who may vote, one operator beside each rebuilder. Arrays, since ingest
    -- reads them whole with every batch.
    rebuilders    text[] NOT NULL,
    operators     text[] NOT NULL CHECK (cardinality(operators) = cardinality(rebuilders)),
    operator_count integer NOT NULL CHECK (operator_count >= 1),
    threshold     integer NOT NULL CHECK (threshold BETWEEN 1 AND operator_count),
    max_dissent   integer NOT NULL CHECK (max_dissent >= 0),
    retries       integer NOT NULL CHECK (retries >= 0),
    opened_at     timestamptz NOT NULL,
    settles_at    timestamptz NOT NULL,
    deadline      timestamptz NOT NULL CHECK (deadline > opened_at),
    UNIQUE (request, attempt)
);
CREATE INDEX openings_newest ON openings (opened_at DESC, id DESC);
CREATE INDEX openings_of_suite ON openings (suite, opened_at DESC, id DESC);
CALL append_only('openings');

CREATE TABLE releases (
    id           sha256_digest PRIMARY KEY REFERENCES openings,
    state        text NOT NULL DEFAULT 'building',
    reason       text NOT NULL DEFAULT '',
    due_at       timestamptz, -- when to evaluate; null once that is over
    closed_at    timestamptz, -- the vote set is closed
    agreed_set   sha256_digest,
    claimable_at timestamptz, -- when a worker may take it to the signer: the end of a lease or back-off
    fence        bigint NOT NULL DEFAULT 0, -- counts leases; a result with an old number is refused
    decided_at   timestamptz,
    logged_at    timestamptz,
    signed_at    timestamptz,
    ended_at     timestamptz,
    announced_at timestamptz, -- its tasks are published
    CONSTRAINT closed_has_set CHECK ((closed_at IS NULL) = (agreed_set IS NULL)),
    CONSTRAINT due_while_open CHECK (due_at IS NULL OR (state IN ('building', 'held') AND closed_at IS NULL)),
    CONSTRAINT claimable_while_undecided CHECK ((claimable_at IS NOT NULL) = (state = 'building' AND closed_at IS NOT NULL)),
    CONSTRAINT state_fits CHECK (CASE state
        WHEN 'building' THEN decided_at IS NULL AND ended_at IS NULL
        WHEN 'held'     THEN decided_at IS NULL AND ended_at IS NULL AND closed_at IS NULL
        WHEN 'agreed'   THEN decided_at IS NOT NULL AND closed_at IS NOT NULL AND logged_at IS NULL AND ended_at IS NULL
        WHEN 'logged'   THEN logged_at IS NOT NULL AND signed_at IS NULL AND ended_at IS NULL
        WHEN 'signed'   THEN signed_at IS NOT NULL AND ended_at IS NULL
        WHEN 'conflict' THEN ended_at IS NOT NULL AND decided_at IS NULL
        WHEN 'expired'  THEN ended_at IS NOT NULL AND decided_at IS NULL
        WHEN 'withdrawn' THEN ended_at IS NOT NULL
        ELSE false END),
    CONSTRAINT times_in_turn CHECK (
        (decided_at IS NOT NULL OR logged_at IS NULL) AND (logged_at IS NOT NULL OR signed_at IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX releases_due ON releases (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX releases_undecided ON releases (claimable_at) WHERE claimable_at IS NOT NULL;
CREATE INDEX releases_agreed ON releases (id) WHERE state = 'agreed';
CREATE INDEX releases_unannounced ON releases (id) WHERE announced_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON releases TO reprosign_coordinator;

-- What the bus is told. Rows are marked one by one: a mark over their numbers
-- would jump over a number that commits later.
CREATE TABLE events (
    sequence     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    release      sha256_digest NOT NULL,
    state        text NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz
) WITH (fillfactor = 80);
CREATE INDEX events_unpublished ON events (sequence) WHERE published_at IS NULL;
GRANT SELECT, INSERT, UPDATE ON events TO reprosign_coordinator;

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
        ('agreed', 'logged'), ('agreed', 'withdrawn'), ('logged', 'signed'), ('logged', 'withdrawn'),
        ('signed', 'withdrawn'), ('conflict', 'withdrawn'), ('expired', 'withdrawn')) THEN
        RAISE EXCEPTION 'release %: no way from % to %', encode(OLD.id, 'hex'), OLD.state, NEW.state USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER moves BEFORE UPDATE OF id, state, fence, closed_at, agreed_set ON releases
    FOR EACH ROW EXECUTE FUNCTION release_moves();
CREATE TRIGGER stays BEFORE DELETE OR TRUNCATE ON releases FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Whatever changes a state, its event is in the same transaction.
-- +goose StatementBegin
CREATE FUNCTION release_event() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    INSERT INTO events (release, state) VALUES (NEW.id, NEW.state);
    PERFORM pg_notify('reprosign', 'events');
    RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER opened AFTER INSERT ON releases FOR EACH ROW EXECUTE FUNCTION release_event();
CREATE TRIGGER moved AFTER UPDATE OF state ON releases FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION release_event();

CREATE TABLE withdrawals (
    digest    sha256_digest PRIMARY KEY,
    release   sha256_digest NOT NULL REFERENCES openings,
    reason    text NOT NULL,
    envelope  bytea NOT NULL,
    leaf      bigint NOT NULL UNIQUE REFERENCES log_leaves,
    stored_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX withdrawals_of_release ON withdrawals (release);
CALL append_only('withdrawals');

-- +goose Down
DROP TABLE withdrawals, events, releases, openings;
DROP FUNCTION release_event;
DROP FUNCTION release_moves;
