"""The roles in Postgres, and the SQL that makes them; differences between versions of PostgreSQL are here alone.

owner      logs in; owns every schema and table; migrates, provisions, deletes. Never serves a tenant's request
app        logs in; serves. Reads and writes the shared tables, owns nothing, and may become any tenant's role, of
           whose rights it has none until it does (NOINHERIT)
tenants    a group; has what the openings say of the shared tables
people     what a person sees of themselves in all their tenants; who that is, the transaction says
t_…        one for each tenant, named like its schema, in that group; reads and writes the tables of its schema
"""

from django.conf import settings
from django.db import connections
from psycopg import sql

OWNER = "owner"  # the alias of the owner's connection
APP = "default"  # and of the app's

_INHERIT_OPTIONS_SINCE = 160000  # GRANT … WITH INHERIT, SET


def app_role() -> str:
    """Return the role that serves."""
    return str(connections[APP].settings_dict["USER"])


def group_role() -> str:
    """Return the group of all tenants' roles."""
    return str(settings.TENANTS_ROLE)


def people_role() -> str:
    """Return the role for what a person sees of themselves."""
    return str(settings.PEOPLE_ROLE)


def create_role(name: str) -> sql.Composable:
    """Return the statement that makes a role that cannot log in, if it is missing. Roles belong to the whole server, so
    another database may make the same one at the same moment.
    """
    return sql.SQL(
        "DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    ).format(role=sql.Identifier(name))


def let_app_become(name: str, version: int) -> sql.Composable:
    """Return the statement by which the app may become a role, and has none of its rights until it does.

    Args:
        version: the server's, as in ``server_version_num``.
    """
    return sql.SQL("GRANT {role} TO {app}{options}").format(
        role=sql.Identifier(name),
        app=sql.Identifier(app_role()),
        options=sql.SQL(" WITH INHERIT FALSE, SET TRUE" if version >= _INHERIT_OPTIONS_SINCE else ""),
    )


def put_in_group(schema_name: str) -> sql.Composable:
    """Return the statement that makes a tenant's role one of the tenants."""
    return sql.SQL("GRANT {group} TO {role}").format(
        group=sql.Identifier(group_role()), role=sql.Identifier(schema_name)
    )


def grant_schema(schema_name: str) -> sql.Composable:
    """Return the statements that give a tenant's role the rows of its schema, now and after every migration, and never
    its structure.
    """
    present = sql.SQL(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {schema};"
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {schema}"
    ).format(schema=sql.Identifier(schema_name))
    return sql.SQL(";").join([grant_future(schema_name), present, keep_record(schema_name)])


def grant_future(schema_name: str) -> sql.Composable:
    """Return the statements that give a tenant's role the rows of what will be made in its schema. To grant what is
    there already, Postgres reads its whole catalogue, that is every tenant's: a new schema needs none of that.
    """
    return sql.SQL(
        "GRANT USAGE ON SCHEMA {schema} TO {schema};"
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {schema};"
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE, SELECT ON SEQUENCES TO {schema}"
    ).format(schema=sql.Identifier(schema_name))


def keep_record(schema_name: str) -> sql.Composable:
    """Return the statement that keeps a tenant's role from the record of its migrations."""
    return sql.SQL(
        "DO $$ BEGIN REVOKE ALL ON {schema}.django_migrations FROM {schema};"
        " EXCEPTION WHEN undefined_table THEN NULL; END $$"
    ).format(schema=sql.Identifier(schema_name))
