"""One peer in a process: it answers requests that its own process makes, through WSGI, and times them.

Says {"cases": [...]} once it can answer. Then it reads commands, a JSON object a line, and answers each with one:

    {"case": "GET one", "times": 200, "tenants": 1}   ->   {"wall": [seconds, ...], "cpu": seconds}
"""

import io
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks.peers.calls import Call, Case, cases


def main(peer: str, state_file: str) -> None:
    """Answer until the input ends."""
    from django.conf import settings

    module, _, name = settings.WSGI_APPLICATION.rpartition(".")
    application = getattr(import_module(module), name)
    state = json.loads(Path(state_file).read_text())
    known: dict[int, dict[str, Case]] = {}
    _say({"cases": list(cases(peer, state))})
    for line in sys.stdin:
        wish = json.loads(line)
        tenants = wish.get("tenants", 1)
        if tenants not in known:
            known[tenants] = cases(peer, state, tenants=tenants)
        _say(measure(application, known[tenants][wish["case"]], wish["times"]))


def measure(application: Callable[..., Any], case: Case, times: int) -> dict[str, Any]:
    """Send so many requests, and return how long each took and the processor's time of all."""
    wall, cpu = [], 0.0
    for _ in range(times):
        environ = environ_of(case.make())
        started: list[Any] = []

        def start(*answer: Any, started: list[Any] = started) -> None:
            started.extend(answer)

        cpu_began, began = time.process_time(), time.perf_counter()
        response = application(environ, start)
        body = b"".join(response)
        response.close()
        wall.append(time.perf_counter() - began)
        cpu += time.process_time() - cpu_began
        case.check(int(started[0][:3]), body)
    return {"wall": wall, "cpu": cpu / times}


def environ_of(call: Call) -> dict[str, Any]:
    """Return the WSGI environment of a request."""
    path, _, query = call.path.partition("?")
    environ = {
        "REQUEST_METHOD": call.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": call.host,
        "HTTP_ACCEPT": "application/json",
        "CONTENT_TYPE": call.content_type,
        "CONTENT_LENGTH": str(len(call.body)) if call.body else "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(call.body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    return environ | ({"HTTP_AUTHORIZATION": call.authorization} if call.authorization else {})


def _say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
