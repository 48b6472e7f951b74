"""Real worker processes on the test database, and kinds of jobs that a test can watch.

As a program it is a worker that knows those kinds; else it is what starts one.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_STOP_SECONDS = 30


def _count(work: Any) -> dict[str, int]:
    """Write a line at the beginning and one at the end, and take `steps` times a tenth of a second between them."""
    steps: int = work.arguments["steps"]
    file = Path(work.arguments["file"])
    with file.open("a") as stream:
        stream.write(f"began {os.getpid()}\n")
    for step in range(steps):
        work.progress(step, steps)
        time.sleep(0.1)
    work.progress(steps, steps)
    with file.open("a") as stream:
        stream.write(f"ended {os.getpid()}\n")
    return {"steps": steps}


def _fail(work: Any) -> None:
    """Fail until the file has as many lines as `failures` says, with a secret in the message."""
    file = Path(work.arguments["file"])
    lines = len(file.read_text().splitlines()) if file.exists() else 0
    if lines < work.arguments["failures"]:
        with file.open("a") as stream:
            stream.write("failed\n")
        raise RuntimeError("password=hunter2")


def register() -> None:
    """Add the kinds `count` and `fail` to the process, once."""
    from jobs import kinds

    if "count" not in kinds._table:
        kinds.register("count", kinds.Kind(_count))
        kinds.register("fail", kinds.Kind(_fail, attempts=3))
        kinds.register("whole", kinds.Kind(_count, cancellable=False))


@contextmanager
def worker(*arguments: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A worker process that looks for work often and is taken for dead soon."""
    from tests.committed import urls

    environment = os.environ | urls() | {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONUNBUFFERED": "1"}
    environment |= {"JOBS_POLL_SECONDS": "0.2", "JOB_STALLED_SECONDS": "2", **more}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "platform")])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.working", "worker", "--no-schedule", *arguments],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            assert process.stderr is not None
            process.stderr.close()


def eventually(is_so: Callable[[], bool], *, seconds: float = 20) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


if __name__ == "__main__":
    import django
    from django.core.management import call_command

    django.setup()
    register()
    call_command(*sys.argv[1:])
