-- The database of reprosign and who may enter it. Run once, after roles.sql, as a
-- superuser:
--
--     psql -f roles.sql postgres
--     psql -f database.sql postgres
--
-- The tables are made by `reprosign-coordinator migrate`, as reprosign_owner.

\set ON_ERROR_STOP on

SELECT 'CREATE DATABASE reprosign OWNER reprosign_owner ENCODING ''UTF8'' TEMPLATE template0'
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'reprosign') \gexec

-- Nobody else on the cluster, and no temporary tables for the processes.
REVOKE ALL ON DATABASE reprosign FROM PUBLIC;
GRANT CONNECT ON DATABASE reprosign TO reprosign_coordinator_login, reprosign_dashboard_login;

-- Passwords, unless pg_hba.conf asks for certificates. Type them at the prompt of
-- psql, which sends only their SCRAM verifiers:
--
--     \password reprosign_owner
--     \password reprosign_coordinator_login
--     \password reprosign_dashboard_login
