"""Entrances: how to enter by a guard, as a function of the database that keeps its plan.

To plan the join that a guard asks takes Postgres more than twice as long as to run it. Prepared statements are no help:
they belong to a session, which a pooler passes round between transactions, and a new search path has them planned anew.
A function's plan is kept by each of Postgres' processes, whoever uses it, and entrances are called from ``public``.

They are made after migrating, as the wall is. The name of each ends in a digest of what it does: while a deploy goes
on, processes of both releases find their own, and one that does not is not ready (``/health/ready``).
"""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import Any, NamedTuple

from django.db import connections, transaction
from psycopg import sql

from tenants.context.guards import REF_COLUMNS, Guard, columns_to_enter, compose
from tenants.wall.roles import APP, OWNER, app_role
from tenants.wall.services import is_of_shared_schema

_FUNCTION = sql.SQL(
    "CREATE OR REPLACE FUNCTION {name} ({parameters}, {found}) LANGUAGE plpgsql AS {body};"
    "REVOKE ALL ON FUNCTION {name} FROM PUBLIC;"
    "GRANT EXECUTE ON FUNCTION {name} TO {app};"
    "COMMENT ON FUNCTION {name} IS {comment}"
)
_OURS = "Entrance"  # begins the comment of each: a function without it is somebody else's
_UNUSED = f"{_OURS} of another release since "
_KEPT_FOR = timedelta(days=1)  # an entrance of another release: a deploy is over by then

_patterns: list[Callable[[], Guard]] = []


class _Entrance(NamedTuple):
    name: str
    parameters: tuple[str, ...]
    types: tuple[str, ...]
    found: tuple[str, ...]
    body: str


def entrance(make: Callable[[], Guard]) -> Callable[[], Guard]:
    """Declare that the database keeps how to enter by the guard that this function makes. It is made once, when it is
    first asked for: by then all models are there.
    """
    pattern = cache(make)
    _patterns.append(pattern)
    return pattern


@lru_cache(maxsize=256)
def calling(pattern: Guard) -> str:
    """Return the statement that enters by a pattern's entrance; its placeholders are Python's."""
    made = _entrance(pattern)
    arguments = sql.SQL(", ").join(map(sql.Placeholder, made.parameters))
    return sql.SQL("SELECT * FROM {name}({arguments})").format(name=_identifier(made), arguments=arguments).as_string()


@transaction.atomic(using=OWNER)
def build() -> None:
    """Make the entrances, for the app to call, and remove those that no release has had for a day."""
    with connections[OWNER].cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('tenants.entrances', 0))")  # one at a time
        ours, now = _declared(), datetime.now(UTC)
        others = {name: since for name, since in _present().items() if name not in ours}
        for made in ours.values():
            cursor.execute(_making(made))
        for name, unused_since in others.items():
            identifier = sql.Identifier("public", name)
            if unused_since is None:
                comment = sql.Literal(f"{_UNUSED}{now.isoformat()}")
                cursor.execute(sql.SQL("COMMENT ON FUNCTION {} IS {}").format(identifier, comment))
            elif now - unused_since > _KEPT_FOR:
                cursor.execute(sql.SQL("DROP FUNCTION {}").format(identifier))


def build_after_migrating(*, using: str, **signal: Any) -> None:
    """Make them once the shared schema is migrated (a receiver of ``post_migrate``)."""
    if is_of_shared_schema(using):
        build()


def are_made() -> bool:
    """Tell whether the database has all of ours."""
    return _declared().keys() <= _present(APP).keys()


def _declared() -> dict[str, _Entrance]:
    return {made.name: made for made in (_entrance(pattern()) for pattern in _patterns)}


def _entrance(pattern: Guard) -> _Entrance:
    parameters = {"tenant_id": "uuid", **pattern.parameters}
    last = columns_to_enter(pattern)
    types = {**REF_COLUMNS, **{name: column.type for name, column in pattern.columns.items()}}
    types |= {f"entered_{number}": column.type for number, column in enumerate(last)}
    # What is found goes into variables that are named unlike any column.
    found = tuple(f"_{name} {type_of}" for name, type_of in types.items())
    arguments = {name: f"${number}" for number, name in enumerate(parameters, 1)}
    variables = ", ".join(f"_{name}" for name in types)
    body = f"#variable_conflict use_column\nBEGIN {compose(pattern, *last) % arguments} INTO {variables}; END"
    digest = hashlib.sha256(repr((list(parameters.values()), found, body)).encode()).hexdigest()[:12]
    return _Entrance(f"enter_{pattern.entrance}_{digest}", tuple(parameters), tuple(parameters.values()), found, body)


def _present(alias: str = OWNER) -> dict[str, datetime | None]:
    """Return the entrances of the database, and since when those of another release are not used."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT proname, obj_description(oid, 'pg_proc') FROM pg_proc"
            " WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') LIKE %s",
            [f"{_OURS}%"],
        )
        found: dict[str, str] = dict(cursor.fetchall())
    return {
        name: datetime.fromisoformat(comment.removeprefix(_UNUSED)) if comment != _OURS else None
        for name, comment in found.items()
    }


def _making(made: _Entrance) -> sql.Composed:
    return _FUNCTION.format(
        name=_identifier(made),
        parameters=sql.SQL(", ").join(map(_verbatim, made.types)),
        found=sql.SQL(", ").join(_verbatim(f"OUT {each}") for each in made.found),
        body=sql.Literal(made.body),
        app=sql.Identifier(app_role()),
        comment=sql.Literal(_OURS),
    )


def _identifier(made: _Entrance) -> sql.Identifier:
    return sql.Identifier("public", made.name)


def _verbatim(text: str) -> sql.SQL:
    return sql.SQL(text)  # names and types that are ours
