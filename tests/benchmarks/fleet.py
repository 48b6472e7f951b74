"""Migrating many tenants: ours beside django-tenants' own executor, on the same server, with the same sixteen tables.

    python tests/benchmarks/fleet.py [--tenants 10] [--stock 10] [--durable] [--json]

Each has a database of its own with `--tenants` tenants. Measured are a run with nothing to do, and one nullable column
more, without what Python and Django take to start. Stock is measured on `--stock` of the tenants, in the full database,
and multiplied: at 1,000 it takes many minutes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "platform"), str(ROOT)]

from config.embedded_postgres import EmbeddedPostgres  # noqa: E402 -- of our own source root

LATER = {"BENCHMARK_MIGRATIONS": "tests.benchmarks.tables.later"}
OURS = {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.ours", "TENANTRY_ENV": "development"}
STOCK = {"DJANGO_SETTINGS_MODULE": "tests.benchmarks.stock.settings"}
PROGRESS = Console(stderr=True)


def in_process(part: str, environment: dict[str, str], *arguments: Any) -> dict[str, Any]:
    """Run a part of this file in a process of its own and return what it measured, with that process's memory."""
    began = time.perf_counter()
    path = os.pathsep.join([str(ROOT), str(ROOT / "platform")])
    command = [sys.executable, __file__, "--part", part, *map(str, arguments)]
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": path} | environment, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{part} failed")
    return json.loads(output) | {"process": time.perf_counter() - began, "megabytes": usage.ru_maxrss / 1024}


def ours_create(number: int) -> dict[str, Any]:
    """Make tenants."""
    from django.core.management import call_command

    from tenants.lifecycle import services

    call_command("migrate_platform", verbosity=0)
    return _timed(lambda: [services.provision(name="A tenant", slug=f"tenant-{each}") for each in range(number)])


def ours_migrate() -> dict[str, Any]:
    """Run over the fleet."""
    from tenants.fleet import reports, runner

    report = runner.run(runner.Wish())
    if report.failures or report.drifted or any(plan.note for plan in report.plans):
        raise SystemExit(json.dumps(reports.as_json(report)))
    return {
        "seconds": report.seconds,
        "comparing": report.comparing_seconds,
        "tenants": report.tenants,
        "migrated": len(report.migrated),
    }


def stock_create(number: int) -> dict[str, Any]:
    """Make one tenant as django-tenants does, and the others with the same SQL: this is not what is measured."""
    from django.core.management import call_command
    from django.db import connection

    from tenants.lifecycle.recording import record
    from tests.benchmarks.stock.models import StockTenant

    call_command("migrate_schemas", shared=True, interactive=False, verbosity=0)
    with record(connection) as recording:
        StockTenant(name="A tenant", schema_name="stock_0").save(verbosity=0)
    script = ";\n".join(statement for statement in recording.statements if "stock_0" not in statement)
    script = script.partition("CREATE TABLE")[2]
    for each in range(1, number):
        names = {"schema": sql.Identifier(f"stock_{each}")}
        create = sql.SQL("CREATE SCHEMA {schema}; SET search_path TO {schema};").format(**names).as_string()
        with connection.cursor() as cursor:
            cursor.cursor.execute(f"BEGIN; {create} CREATE TABLE{script}; COMMIT; SET search_path TO public")
    StockTenant.objects.bulk_create(
        [StockTenant(name="A tenant", schema_name=f"stock_{each}") for each in range(1, number)]
    )
    return {}


def stock_migrate(number: int) -> dict[str, Any]:
    """Run django-tenants' standard executor over some of the tenants."""
    from django_tenants.migration_executors.standard import StandardExecutor

    options = {"interactive": False, "verbosity": 0, "database": "default", "skip_checks": True}
    options |= dict.fromkeys(["app_label", "migration_name", "fake", "fake_initial", "plan", "prune"])
    options |= dict.fromkeys(["check_unapplied", "run_syncdb", "force_color", "no_color", "settings", "pythonpath"])
    options |= {"traceback": False, "load_initial_data": True, "stdout": None, "stderr": None}
    executor = StandardExecutor([], options)
    return _timed(lambda: executor.run_migrations([f"stock_{each}" for each in range(number)]))


def _timed(do: Any) -> dict[str, Any]:
    began = time.perf_counter()
    do()
    return {"seconds": time.perf_counter() - began}


def measure(server: EmbeddedPostgres, tenants: int, sample: int) -> dict[str, Any]:
    """Measure both, one after the other."""
    ours = OURS | {"DATABASE_OWNER_URL": server.url, "DATABASE_URL": server.app_url, "POOL_SIZE": "0"}
    with psycopg.connect(server.url, autocommit=True) as owner:
        owner.execute("CREATE DATABASE stock")
    stock = STOCK | {"BENCHMARK_DATABASE": server.url.rsplit("/", 1)[0] + "/stock"}
    report: dict[str, Any] = {"tenants": tenants, "stock_sample": sample}
    with PROGRESS.status(f"Making {tenants:,} tenants of ours"):
        in_process("ours_create", ours, tenants)
    _settle(server.url)
    with PROGRESS.status("Ours"):
        report["ours"] = {
            "nothing": in_process("ours_migrate", ours),
            "column": in_process("ours_migrate", ours | LATER),
            "nothing again": in_process("ours_migrate", ours | LATER),
        }
    with PROGRESS.status(f"Making {tenants:,} tenants of django-tenants'"):
        in_process("stock_create", stock, tenants)
    _settle(stock["BENCHMARK_DATABASE"])
    with PROGRESS.status("Stock"):
        report["stock"] = {
            "nothing": in_process("stock_migrate", stock, sample),
            "column": in_process("stock_migrate", stock | LATER, sample),
        }
    for found in report["stock"].values():
        found["seconds"] *= tenants / sample
    return report


def run(tenants: int, sample: int, *, durable: bool) -> dict[str, Any]:
    """Measure both on a server of their own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # the server is another user's if we are root
        os.environ["DATA_DIR"] = folder
        with EmbeddedPostgres(Path(folder), durable=durable) as server:
            return measure(server, tenants, min(sample, tenants))


def _settle(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE")


def show(report: dict[str, Any]) -> None:
    """Print the table."""
    ours, stock, tenants = report["ours"], report["stock"], report["tenants"]
    times = "" if report["stock_sample"] == tenants else f" ({report['stock_sample']} measured, multiplied)"
    table = Table("run", "ours, s", f"stock, s{times}", "times faster", "ours, MB", title=f"{tenants:,} tenants")
    for what, title in {"nothing": "nothing to do", "column": "one nullable column"}.items():
        mine, theirs = ours[what]["seconds"], stock[what]["seconds"]
        table.add_row(title, f"{mine:.3f}", f"{theirs:.1f}", f"{theirs / mine:,.0f}", f"{ours[what]['megabytes']:.0f}")
    table.add_row("and comparing all with the template", f"{ours['column']['comparing']:.3f}", "-", "-", "")
    Console().print(table)


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=10)
    parser.add_argument("--stock", type=int, default=10, help="of how many tenants stock is measured")
    parser.add_argument("--durable", action="store_true", help="commits wait for the disk")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--part", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        import django

        django.setup()
        part, *arguments = options.part
        sys.stdout.write(json.dumps(globals()[part](*map(int, arguments))))
        return
    report = run(options.tenants, options.stock, durable=options.durable)
    if options.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        show(report)


if __name__ == "__main__":
    main()
