-- Two group roles, so that the rights of a process do not depend on how its
-- login is called. The coordinator may add to what is signed but never change
-- it; the public face may read views and nothing else. The owner of the schema,
-- who runs these migrations, is nobody's login in daily work.
--
-- Roles belong to the whole cluster: they may exist already, made by an
-- administrator from deploy/postgresql/roles.sql or by another database's
-- migration a moment ago. Down leaves them for the same reason.

-- +goose Up
-- +goose StatementBegin
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['reprosign_coordinator', 'reprosign_dashboard'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN NULL; -- another database's migration was first
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'role % does not exist and may not be created here', name
                        USING HINT = 'Run deploy/postgresql/roles.sql as a superuser first.';
            END;
        END IF;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
BEGIN
    -- The coordinator answers status requests through the public views too.
    IF NOT pg_has_role('reprosign_coordinator', 'reprosign_dashboard', 'MEMBER') THEN
        GRANT reprosign_dashboard TO reprosign_coordinator;
    END IF;
EXCEPTION
    WHEN unique_violation OR duplicate_object THEN NULL;
END
$$;
-- +goose StatementEnd

-- A digest is bytes, not text: half the size, and one spelling.
CREATE DOMAIN sha256_digest AS bytea CHECK (octet_length(VALUE) = 32);
CREATE DOMAIN sha512_digest AS bytea CHECK (octet_length(VALUE) = 64);

-- +goose StatementBegin
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only, % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd

-- append_only guards a table against everybody, its owner included: a slip
-- at a prompt is more likely than an attack. Only a migration takes it off.
-- +goose StatementBegin
CREATE PROCEDURE append_only(guarded regclass) LANGUAGE plpgsql SET search_path = reprosign, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %s
                    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', guarded);
    EXECUTE format('GRANT SELECT, INSERT ON %s TO reprosign_coordinator', guarded);
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO reprosign_coordinator', current_schema());
    EXECUTE format('REVOKE ALL ON SCHEMA %I FROM PUBLIC', current_schema());
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP PROCEDURE append_only;
DROP FUNCTION refuse_change;
DROP DOMAIN sha512_digest;
DROP DOMAIN sha256_digest;
REVOKE USAGE ON SCHEMA reprosign FROM reprosign_coordinator;
