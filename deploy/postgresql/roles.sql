-- Roles of a reprosign database. Run once per cluster as a superuser:
--
--     psql -f roles.sql postgres
--
-- Then database.sql makes the database, and its owner the tables, with
-- `reprosign-coordinator migrate`.
--
-- The processes log in as members of the groups. Give each login a password or
-- a client certificate in pg_hba.conf; none of them may be a superuser.
--
--     reprosign_owner        owns the schema, runs migrations, is used for nothing else
--     reprosign_coordinator  adds statements, moves states; cannot change or delete what is signed
--     reprosign_dashboard    reads the views of the schema public_face, and nothing else
--
-- A process sets its group as its role when it connects, so that even a login
-- with more rights works with the group's rights only.

\set ON_ERROR_STOP on

SELECT format('CREATE ROLE %I NOLOGIN', name)
  FROM unnest(ARRAY['reprosign_coordinator', 'reprosign_dashboard']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

SELECT format('CREATE ROLE %I LOGIN', name)
  FROM unnest(ARRAY['reprosign_owner', 'reprosign_coordinator_login', 'reprosign_dashboard_login']) AS name
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

-- The coordinator answers status requests through the public views too.
GRANT reprosign_dashboard TO reprosign_coordinator;

GRANT reprosign_coordinator TO reprosign_coordinator_login;
GRANT reprosign_dashboard TO reprosign_dashboard_login;
