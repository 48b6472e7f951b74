"""Making a tenant: ours from the pool and from the template, beside django-tenants' ``save()``, on the same server,
with the same sixteen tables.

    python tests/benchmarks/provisioning.py [--tenants 10 1000] [--rounds 20] [--durable] [--json]

Each has a database of its own with so many tenants in it before the clock runs. Shown are medians and, in brackets, the
slowest; ours is all of ``provision()``: rows, event, commit, and asking for a refill.

Unless commits are to wait for the disk, the files are in memory (``/dev/shm``) where there is room. A tenant is about
seventy files, and ext4 looks at every inode that was deleted within the last five minutes before it takes one for a new
file (``recently_deleted`` in fs/ext4/ialloc.c): where another database has just been deleted, that was up to 62 % of
what a profile of the server showed, and either way took three times as long or not, from one minute to the next.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[2] / "platform"), str(Path(__file__).parents[2])]

from config.embedded_postgres import EmbeddedPostgres  # noqa: E402 -- of our own source root
from tests.benchmarks.fleet import OURS, PROGRESS, ROOT, STOCK, in_process  # noqa: E402

_ROOM = 4 << 30  # bytes: for a thousand tenants of each


def ours(rounds: int) -> dict[str, list[float]]:
    """Make tenants in both ways: an empty pool, then a full one."""
    from tenants.lifecycle import pool, services

    def provision(number: int) -> None:
        services.provision(name="Another", slug=f"another-{number}")

    provision(0)  # connections, caches
    replayed = [_timed(provision, number) for number in range(1, rounds + 1)]
    pool.refill(target=rounds + 1)
    provision(rounds + 1)
    claimed = [_timed(provision, number) for number in range(rounds + 2, 2 * rounds + 2)]
    return {"pool": claimed, "template": replayed}


def stock(rounds: int) -> dict[str, list[float]]:
    """Make tenants as django-tenants does."""
    from tests.benchmarks.stock.models import StockTenant

    def save(number: int) -> None:
        StockTenant(name="Another", schema_name=f"another_{number}").save(verbosity=0)

    save(0)
    return {"stock": [_timed(save, number) for number in range(1, rounds + 1)]}


def _timed(do: Callable[[int], None], number: int) -> float:
    began = time.perf_counter()
    do(number)
    return (time.perf_counter() - began) * 1000


def measure(tenants: int, rounds: int, *, durable: bool) -> dict[str, list[float]]:
    """Measure all three with so many tenants there, on a server of their own."""
    with tempfile.TemporaryDirectory(dir=None if durable else _in_memory()) as folder:
        Path(folder).chmod(0o711)  # the server is another user's if we are root
        os.environ["DATA_DIR"] = folder
        with EmbeddedPostgres(Path(folder), durable=durable) as server:
            of_ours = OURS | {"DATABASE_OWNER_URL": server.url, "DATABASE_URL": server.app_url, "POOL_SIZE": "0"}
            of_stock = STOCK | {"BENCHMARK_DATABASE": server.url.rsplit("/", 1)[0] + "/stock"}
            with psycopg.connect(server.url, autocommit=True) as owner:
                owner.execute("CREATE DATABASE stock")
            found = {}
            for part, environment in (("ours", of_ours), ("stock", of_stock)):
                database = environment.get("BENCHMARK_DATABASE", server.url)
                with PROGRESS.status(f"{tenants:,} tenants, {part}"):
                    in_process(f"{part}_create", environment, tenants)
                    with psycopg.connect(database, autocommit=True) as owner:
                        owner.execute("VACUUM ANALYZE")
                    os.sync()  # what was prepared is not to be written while others are measured
                    found |= _part(part, environment, rounds)
            return found


def _in_memory() -> str | None:
    """Return a folder that is no disk's, if there is one with room; None for the usual one."""
    memory = Path("/dev/shm")  # noqa: S108 -- a folder of our own is made in it
    has_room = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
    return str(memory) if has_room else None


def _part(name: str, environment: dict[str, str], rounds: int) -> dict[str, list[float]]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "platform")])
    command = [sys.executable, __file__, "--rounds", str(rounds), "--part", name]
    output = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path} | environment, cwd=ROOT, stdout=subprocess.PIPE, check=True
    ).stdout
    found: dict[str, list[float]] = json.loads(output)
    return found


def show(report: dict[int, dict[str, list[float]]]) -> None:
    """Print a row for each number of tenants and each way."""
    table = Table("tenants", "way", "ms", "times faster than stock")
    titles = {"pool": "a spare from the pool", "template": "replayed from the template", "stock": "stock save()"}
    for tenants, found in report.items():
        theirs = statistics.median(found["stock"])
        for way, title in titles.items():
            median = statistics.median(found[way])
            times = f"{theirs / median:,.0f}" if way != "stock" else ""
            table.add_row(f"{tenants:,}", title, f"{median:,.1f} ({max(found[way]):,.1f})", times)
    Console().print(table)


def main() -> None:
    """Measure, or be one of the processes that are measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, nargs="+", default=[10])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--durable", action="store_true", help="commits wait for the disk")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        import django

        django.setup()
        sys.stdout.write(json.dumps({"ours": ours, "stock": stock}[options.part](options.rounds)))
        return
    report: dict[int, Any] = {
        tenants: measure(tenants, options.rounds, durable=options.durable) for tenants in options.tenants
    }
    if options.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        show(report)


if __name__ == "__main__":
    main()
