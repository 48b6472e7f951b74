"""Waiting for the file system.

ext4 looks at every inode that was deleted within the last minutes before it takes one for a new file
(``recently_deleted`` in fs/ext4/ialloc.c), so that it can be repaired after a crash. Where thousands of files have just
been deleted, such as another benchmark's database, making a file takes fifty times as long, and making a tenant, which
is about seventy files, measures just that (seen with perf: 62 % of the server's time).
"""

import time

import psycopg
from psycopg import sql

_TABLES = 50  # without columns: one file each
_RESTED_MS = 0.4  # for one of them
_PAUSE = 10.0
_LONGEST = 400.0  # ext4 forgets after five minutes


def wait(url: str) -> bool:
    """Wait until a database's folder takes new files as fast as it ever does; tell whether it came to that."""
    until = time.monotonic() + _LONGEST
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA probe")  # stays: to drop it would be to delete files
        number = 0
        while (took := _probe(owner, number)) > _RESTED_MS and time.monotonic() < until:
            number += 1
            time.sleep(_PAUSE)
    return took <= _RESTED_MS


def _probe(owner: psycopg.Connection, number: int) -> float:
    tables = [
        sql.SQL("CREATE TABLE probe.{} ()").format(sql.Identifier(f"t{number}_{each}")) for each in range(_TABLES)
    ]
    began = time.perf_counter()
    owner.execute(sql.SQL("; ").join(tables))
    return (time.perf_counter() - began) * 1000 / _TABLES
