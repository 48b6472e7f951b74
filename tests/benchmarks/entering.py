"""What it costs to enter a tenant as its own role, by way of entering, and what thousands of such roles cost.

    python tests/benchmarks/entering.py [--quick] [--json]

It starts a server of its own in a temporary folder. If DATABASE_OWNER_URL and DATABASE_URL are set, it measures that
server too, and removes what it made there: schemas and roles named ``bench_entering…``. Shown are medians.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count, cycle, pairwise, permutations, product
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2] / "platform"))

from config.embedded_postgres import EmbeddedPostgres

Connection = psycopg.Connection[tuple[Any, ...]]
Row = tuple[Any, ...] | None
Tenant = dict[str, bytes]
Samples = defaultdict[str, list[float]]

NAME = "bench_entering"  # the group and the shared schema; what everything else is named begins with it
LEVELS = (1, 1_000, 5_000)  # so many roles
TENANTS, BATCH, STEP = 20, 500, 7919  # STEP: a prime, to walk through the roles without order
ROUNDS, QUICK = (3_000, 40), (300, 5)  # of entering, and of new connections
LOCAL, PROGRESS = {"", "127.0.0.1", "::1"}, Console(stderr=True)

LOOK = """
    SELECT id, slug, schema_name, status, {more}to_regnamespace(quote_ident(schema_name)) IS NOT NULL
    FROM bench_entering.tenant WHERE slug = {name}
"""
PATH = "set_config('search_path', quote_ident(schema_name) || ', public', true), "
ROLE = "set_config('role', schema_name, true), "
CREATE_SHARED = """
    CREATE SCHEMA bench_entering;
    CREATE TABLE bench_entering.tenant (id uuid, slug text UNIQUE, schema_name text, status text);
    GRANT USAGE ON SCHEMA bench_entering TO {app}; GRANT SELECT ON bench_entering.tenant TO {app}
"""
CREATE_TENANT = """
    INSERT INTO bench_entering.tenant VALUES (gen_random_uuid(), {value}, {value}, 'active');
    CREATE SCHEMA {name}; CREATE TABLE {name}.item (id int PRIMARY KEY, name text);
    INSERT INTO {name}.item SELECT number, {value} FROM generate_series(1, 100) number;
    GRANT USAGE ON SCHEMA {name} TO {name}, {app}; GRANT SELECT ON {name}.item TO {name}, {app}
"""  # the app may read without the role: that is how it was without the wall


def tenant_named(name: str) -> Tenant:
    """Return a tenant's statements, composed before the clock runs."""
    looks = {"look": "", "look_path": PATH, "look_path_role": PATH + ROLE}
    settings = {"set_role": "SET LOCAL ROLE {name}", "set_path": "SET LOCAL search_path TO {name}, public"}
    statements = {key: _sql(LOOK, more=sql.SQL(more), name=sql.Literal(name)) for key, more in looks.items()}
    return statements | {key: _sql(setting, name=sql.Identifier(name)) for key, setting in settings.items()}


def _sql(template: str, **names: sql.Composable) -> bytes:
    return sql.SQL(template).format(**names).as_string().encode()  # type: ignore[arg-type]  # our own constants


def _begin_and(app: Connection, *statements: bytes) -> Row:
    cursor = app.execute(b"; ".join((b"BEGIN", *statements)))
    cursor.nextset()
    return cursor.fetchone()


def _apart(app: Connection, tenant: Tenant) -> psycopg.Cursor[tuple[Any, ...]]:
    app.execute("BEGIN")
    looked = app.execute(tenant["look"])
    app.execute(tenant["set_role"])
    app.execute(tenant["set_path"])
    return looked


def _pipeline(app: Connection, tenant: Tenant) -> Row:
    with app.pipeline():
        looked = _apart(app, tenant)
    return looked.fetchone()


# a: as it was, the search path alone; b: as tenants/context/entry.py does it, the role in the same SELECT.
WAYS: dict[str, Callable[[Connection, Tenant], Row]] = {
    "a: no wall": lambda app, of: _begin_and(app, of["look_path"]),
    "b: ours": lambda app, of: _begin_and(app, of["look_path_role"]),
    "c: one string": lambda app, of: _begin_and(app, of["look"], of["set_role"], of["set_path"]),
    "d: pipeline": _pipeline,
    "e: one by one": lambda app, of: _apart(app, of).fetchone(),
}


def create_roles(owner: Connection, app: str, names: list[str]) -> None:
    """Make roles as ``tenants/wall/roles.py`` does, many in one transaction; the grants end up the same."""
    options = sql.SQL(" WITH INHERIT FALSE, SET TRUE" if owner.info.server_version >= 160000 else "")
    for start in range(0, len(names), BATCH):
        identifiers = [sql.Identifier(name) for name in names[start : start + BATCH]]
        roles = sql.SQL(", ").join(identifiers)
        create = sql.SQL("; ").join(sql.SQL("CREATE ROLE {} NOLOGIN").format(role) for role in identifiers)
        statement = sql.SQL("{}; GRANT bench_entering TO {}; GRANT {} TO {}{}")  # without BEGIN: one transaction
        owner.execute(statement.format(create, roles, roles, sql.Identifier(app), options))


def clear(owner: Connection) -> None:
    """Remove every schema and role of this benchmark."""
    for find, drop in (
        ("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)", "DROP SCHEMA {} CASCADE"),
        ("SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", "DROP ROLE {}"),
    ):
        found = [sql.Identifier(name) for (name,) in owner.execute(find, [NAME])]
        for start in range(0, len(found), BATCH):
            owner.execute(sql.SQL(drop).format(sql.SQL(", ").join(found[start : start + BATCH])))


def measure_ways(owner: Connection, app: Connection, rounds: int) -> dict[str, Samples]:
    """Measure every way in turns, in every order, on one connection; each time another tenant than before."""
    names, role = [f"{NAME}_{number}" for number in range(TENANTS)], sql.Identifier(app.info.user)
    create_roles(owner, app.info.user, names)
    owner.execute(_sql(CREATE_SHARED, app=role))
    for name in names:
        owner.execute(_sql(CREATE_TENANT, name=sql.Identifier(name), value=sql.Literal(name), app=role))
    tenants, orders = cycle([tenant_named(name) for name in names]), cycle(permutations(WAYS))
    samples: dict[str, Samples] = {way: defaultdict(list) for way in WAYS}
    for _ in track(range(rounds), description="Ways to enter", console=PROGRESS):
        for way in next(orders):
            for what, value in _enter(app, WAYS[way], next(tenants)):
                samples[way][what].append(value)
    return samples


def _enter(app: Connection, way: Callable[[Connection, Tenant], Row], tenant: Tenant) -> Iterator[tuple[str, float]]:
    began = time.perf_counter()
    looked = way(app, tenant)
    inside = time.perf_counter()
    read = app.execute("SELECT name FROM item WHERE id = 7").fetchone()
    app.execute("COMMIT")
    done = time.perf_counter()
    assert looked is not None and read == (looked[2],)  # noqa: PT018 -- no test
    yield "to be in, µs", (inside - began) * 1e6
    yield "to COMMIT, µs", (done - began) * 1e6


def measure_roles(owner: Connection, app: Connection, rounds: int) -> dict[str, Samples]:
    """Measure, with ever more roles, what connecting as the app and ``SET ROLE`` take."""
    names = [f"{NAME}_{number}" for number in range(max(LEVELS))]
    found: dict[str, Samples] = {f"{level:,} roles": defaultdict(list) for level in LEVELS}
    for made, level in pairwise((0, *LEVELS)):
        with PROGRESS.status(f"Making {level:,} roles"):
            create_roles(owner, app.info.user, names[made:level])
        for number in track(range(rounds), description=f"{level:,} roles", console=PROGRESS):
            for what, value in _new_connection(owner, app, names[:level], number):
                found[f"{level:,} roles"][what].append(value)
    return found


def _new_connection(owner: Connection, app: Connection, roles: list[str], number: int) -> Iterator[tuple[str, float]]:
    names = (sql.Identifier(roles[step * STEP % len(roles)]) for step in count(number * 12))
    picks = (_sql("SET ROLE {name}", name=name) for name in names)
    began = time.perf_counter()
    with psycopg.connect(app.info.dsn, password=app.info.password, autocommit=True) as fresh:
        yield "connect, µs", (time.perf_counter() - began) * 1e6
        yield from _memory(fresh, "connected")
        yield "first SET ROLE, µs", _timed(fresh.execute, next(picks))
        yield from _memory(fresh, "after SET ROLE")
        for _ in range(10):
            yield "later SET ROLE, µs", _timed(fresh.execute, next(picks))
        yield "making one more role, µs", _timed(create_roles, owner, fresh.info.user, [f"{NAME}_another"])
        yield "SET ROLE after that, µs", _timed(fresh.execute, next(picks))
        owner.execute("DROP ROLE bench_entering_another")


def _timed(call: Callable[..., Any], *arguments: Any) -> float:
    began = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - began) * 1e6


def _memory(app: Connection, when: str) -> Iterator[tuple[str, float]]:
    """Give the backend's memory, all of it and what is not shared, where its /proc is ours to read."""
    process = Path(f"/proc/{app.info.backend_pid}")
    # Not "postgres:": the server is in a container, and the number is another process's.
    if app.info.hostaddr in LOCAL and process.exists() and (process / "cmdline").read_bytes().startswith(b"postgres:"):
        lines = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        yield from ((f"{field} {when}, kB", float(lines[field].split()[0])) for field in ("VmRSS", "RssAnon"))


def _medians(found: dict[str, Samples]) -> dict[str, dict[str, float]]:
    return {column: {what: statistics.median(got) for what, got in row.items()} for column, row in found.items()}


def measure(owner_url: str, app_url: str, rounds: tuple[int, int], *, ours: bool) -> dict[str, Any]:
    """Measure one server, and remove what was made there unless the server goes with it: dropping roles takes long."""
    with psycopg.connect(owner_url, autocommit=True) as owner, psycopg.connect(app_url, autocommit=True) as app:
        app.prepare_threshold = None  # as Django has it
        report: dict[str, Any] = {"server": owner.info.parameter_status("server_version")}
        try:
            for part, times in zip((measure_ways, measure_roles), rounds, strict=True):
                clear(owner)
                owner.execute("CREATE ROLE bench_entering NOLOGIN")
                report[part.__name__] = _medians(part(owner, app, times))
        finally:
            if not ours:
                clear(owner)
    return report


def show(reports: list[dict[str, Any]]) -> None:
    """Print two tables for each server: a column for each way, a column for each number of roles."""
    for report, part in product(reports, ("measure_ways", "measure_roles")):
        table = Table("median", *report[part], title=f"PostgreSQL {report['server']}")
        for what in next(iter(report[part].values())):
            table.add_row(what, *(f"{column[what]:,.0f}" for column in report[part].values()))
        Console().print(table)


def main() -> None:
    """Measure the embedded server and, if the environment names one, another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    options = parser.parse_args()
    rounds = QUICK if options.quick else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # the server is another user's if we are root
        with EmbeddedPostgres(Path(folder), durable=False) as server:
            reports = [measure(server.url, server.app_url, rounds, ours=True)]
    if "DATABASE_OWNER_URL" in os.environ and "DATABASE_URL" in os.environ:
        reports.append(measure(os.environ["DATABASE_OWNER_URL"], os.environ["DATABASE_URL"], rounds, ours=False))
    if options.json:
        sys.stdout.write(json.dumps(reports, indent=2) + "\n")
    else:
        show(reports)


if __name__ == "__main__":
    main()
