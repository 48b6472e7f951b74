#!/bin/sh
# Makes the two roles that log in, and the database. The image of Postgres runs it once, on an empty data folder.
# The owner migrates and makes tenants; the app serves, owns nothing, and has no right of a role that it has not become.
set -eu

export SECRETS="${SECRETS:-/run/secrets}"

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "${POSTGRES_DB:-postgres}" <<'SQL'
\set owner_password `cat "$SECRETS/owner_password"`
\set app_password `cat "$SECRETS/app_password"`
CREATE ROLE tenantry_owner LOGIN CREATEROLE PASSWORD :'owner_password';
CREATE ROLE tenantry_app LOGIN NOINHERIT PASSWORD :'app_password';
-- A statement that takes so long is given up, and who has stopped asking holds no lock any longer. It is said here
-- because nothing is set on a session behind PgBouncer; work that takes longer (exports) says so by itself.
ALTER ROLE tenantry_app SET statement_timeout = '30s';
ALTER ROLE tenantry_app SET idle_in_transaction_session_timeout = '60s';
CREATE DATABASE tenantry OWNER tenantry_owner;
REVOKE CONNECT, TEMPORARY ON DATABASE tenantry FROM PUBLIC;
GRANT CONNECT ON DATABASE tenantry TO tenantry_app;
SQL
