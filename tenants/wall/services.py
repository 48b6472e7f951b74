"""Building the wall: on the owner's connection, every function one transaction, doing it again changes nothing."""

from collections.abc import Iterator
from typing import Any

from django.db import connections, transaction
from django_tenants.utils import get_public_schema_name
from psycopg import sql

from tenants.wall import openings, roles
from tenants.wall.openings import Opening

_POLICIES = ("app", "tenants", "people")


@transaction.atomic(using=roles.OWNER)
def build_shared() -> None:
    """Give each role what it may do with the shared tables: all rows to the app, to others what the openings say."""
    tenants, people = roles.group_role(), roles.people_role()
    _execute(roles.create_role(tenants), roles.create_role(people), roles.let_app_become(people, _version()))
    _execute(_shared_schema())
    for table in _shared_tables():
        _execute(*_open_to_app(table))
    for table, opening in openings.declared().items():
        if opening is not None:
            _execute(*_open(table, opening, policy="tenants", role=tenants))
    for table, opening in openings.declared_to_people().items():
        _execute(*_open(table, opening, policy="people", role=people))


@transaction.atomic(using=roles.OWNER)
def build_tenant(*, schema_name: str) -> None:
    """Make a tenant's role and give it the rows of its schema."""
    create_role(schema_name=schema_name)
    _execute(roles.grant_schema(schema_name))


@transaction.atomic(using=roles.OWNER)
def create_role(*, schema_name: str) -> None:
    """Make a tenant's role, which the app may become."""
    _execute(*_creating_role(schema_name))


def expecting_tenant(schema_name: str) -> sql.Composable:
    """Return ``build_tenant`` as statements, to be sent with others, for a schema that is empty still. When it is full,
    ``roles.keep_record`` has to follow.
    """
    return sql.SQL(";").join([*_creating_role(schema_name), roles.grant_future(schema_name)])


def is_of_shared_schema(using: str) -> bool:
    """Tell whether what was migrated over a connection is the shared schema, and not a tenant's."""
    return using == roles.OWNER and bool(connections[using].schema_name == get_public_schema_name())  # type: ignore[attr-defined]  # django-tenants' connection


def build_after_migrating(*, using: str, **signal: Any) -> None:
    """Bring the wall up to date with shared tables that were migrated (a receiver of ``post_migrate``); a tenant's own
    part is its migration's business.
    """
    if is_of_shared_schema(using):
        build_shared()


def _creating_role(schema_name: str) -> Iterator[sql.Composable]:
    yield roles.create_role(schema_name)
    yield roles.put_in_group(schema_name)
    yield roles.let_app_become(schema_name, _version())


def _shared_tables() -> list[str]:
    """Return the tables of every shared model, and Django's own record of migrations."""
    with connections[roles.OWNER].cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        return [name for (name,) in cursor.fetchall()]


def _shared_schema() -> sql.Composable:
    names = {
        "app": sql.Identifier(roles.app_role()),
        "group": sql.Identifier(roles.group_role()),
        "people": sql.Identifier(roles.people_role()),
    }
    return sql.SQL(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC;"
        "GRANT USAGE ON SCHEMA public TO {app}, {group}, {people};"
        "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {group}, {people};"
        "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {app}"
    ).format(**names)


def _open_to_app(table: str) -> Iterator[sql.Composable]:
    names = {"table": sql.Identifier("public", table), "app": sql.Identifier(roles.app_role())}
    verbs = sql.SQL(", ".join(openings.verbs_of_app(table)))
    yield sql.SQL("REVOKE ALL ON {table} FROM {app}").format(**names)
    yield sql.SQL("GRANT {verbs} ON {table} TO {app}").format(verbs=verbs, **names)
    yield sql.SQL("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY").format(**names)
    for policy in _POLICIES:
        yield sql.SQL("DROP POLICY IF EXISTS {policy} ON {table}").format(policy=sql.Identifier(policy), **names)
    yield sql.SQL("CREATE POLICY app ON {table} TO {app} USING (true)").format(**names)


def _open(table: str, opening: Opening, *, policy: str, role: str) -> Iterator[sql.Composable]:
    identifier, group = sql.Identifier("public", table), sql.Identifier(role)
    for verb, columns in (("SELECT", opening.select), ("INSERT", opening.insert), ("UPDATE", opening.update)):
        if columns:
            names = sql.SQL(", ").join(map(sql.Identifier, columns))
            yield sql.SQL("GRANT {verb} ({columns}) ON {table} TO {group}").format(
                verb=sql.SQL(verb), columns=names, table=identifier, group=group
            )
    if opening.delete:
        yield sql.SQL("GRANT DELETE ON {table} TO {group}").format(table=identifier, group=group)
    yield sql.SQL("CREATE POLICY {policy} ON {table} TO {group} USING ({rows})").format(
        policy=sql.Identifier(policy),
        table=identifier,
        group=group,
        rows=sql.SQL(opening.rows.format(table=table)),
    )


def _version() -> int:
    connection: Any = connections[roles.OWNER]  # Postgres', which the type does not say
    return int(connection.pg_version)


def _execute(*statements: sql.Composable) -> None:
    with connections[roles.OWNER].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
