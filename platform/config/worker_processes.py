"""Gunicorn's hooks that let several worker processes have their metrics counted together.

Each writes into files of its own in one folder, which is the server's and new each time it starts. A worker that takes
a former one's place goes on with its files, so that counters go on, and workers that begin afresh now and then leave no
more files behind than there are workers at a time.
"""

import os
import shutil
import tempfile
from typing import Any

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client looks for it when it is imported


def on_starting(server: Any) -> None:
    """Make the folder, before the first worker."""
    os.environ[FOLDER] = server.metrics_folder = tempfile.mkdtemp(prefix="tenantry-metrics-")


def pre_fork(server: Any, worker: Any) -> None:
    """Give a worker the first place that is free."""
    taken = {other.place for other in server.WORKERS.values()}
    worker.place = min(set(range(len(taken) + 1)) - taken)


def post_fork(server: Any, worker: Any) -> None:
    """Let what this worker counts be its place's."""
    from prometheus_client import values  # after the folder is there

    values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
        process_identifier=lambda: worker.place
    )


def child_exit(server: Any, worker: Any) -> None:
    """Forget what a worker had that is gone: its connections."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.place)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Remove the folder."""
    shutil.rmtree(server.metrics_folder, ignore_errors=True)
