"""A load client: so many connections that stay open, each with one request at a time, in one process.

    python -m tests.benchmarks.peers.client '{"peer": "ours", "state": FILE, "port": 8000, "cases": ["GET one"],
        "connections": 8, "first": 0, "seconds": 4, "tenants": 1, "skip": 0, "rate": null, "limited": false,
        "reopen": null}'

Prints JSON: the number of answers and of 429s among them, the seconds, and how long each answer took. Talks to
127.0.0.1 alone.
"""

import json
import selectors
import socket
import sys
import time
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from tests.benchmarks.peers.calls import Case, cases


@dataclass(frozen=True)
class Load:
    """What is sent.

    Attributes:
        cases: what each connection asks, one after the other, again and again.
        first: the first session that is used for refreshing: each connection has its own.
        tenants: over so many the requests go, after `skip` that are left alone.
        rate: requests in a second, of all connections together, at even distances; None: as fast as answers come.
        limited: a 429 is an answer too.
        reopen: after so many answers a connection is closed and another one opened, so that every worker gets some.
    """

    peer: str
    state: str
    port: int
    cases: list[str]
    connections: int
    first: int
    seconds: float
    tenants: int
    skip: int = 0
    rate: float | None = None
    limited: bool = False
    reopen: int | None = None


class Connection:
    """One client."""

    def __init__(self, port: int, asked: list[Case], *, limited: bool) -> None:
        self.port, self.cases, self.limited = port, cycle(asked), limited
        self.socket = self._connect()
        self.due = self.began = 0.0
        self.waits = False
        self.refused = 0

    def _connect(self) -> socket.socket:
        connected = socket.create_connection(("127.0.0.1", self.port))
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def reopen(self) -> None:
        """Go on over another connection."""
        self.socket.close()
        self.socket = self._connect()

    def ask(self) -> None:
        """Send the next request."""
        self.received, self.waits = b"", True
        self.case = next(self.cases)
        data = self.case.make().as_bytes()
        self.began = time.perf_counter()
        self.socket.sendall(data)

    def answered(self) -> float | None:
        """Read what has come; return how long the answer took, once all of it is there."""
        more = self.socket.recv(65536)
        if not more:
            raise AssertionError("The server closed the connection.")
        self.received += more
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end or not _is_whole(head, body):
            return None
        took = time.perf_counter() - self.began
        self.waits = False
        status = int(head[9:12])
        if status == 429 and self.limited:
            self.refused += 1
        else:
            self.case.check(status, body)
        return took


def _is_whole(head: bytes, body: bytes) -> bool:
    lowered = head.lower()
    _, found, after = lowered.partition(b"content-length:")
    if not found:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(after.partition(b"\r\n")[0])


def run(connections: list[Connection], load: Load) -> dict[str, Any]:
    """Ask for so long."""
    waiting, took = selectors.DefaultSelector(), []
    distance = len(connections) / load.rate if load.rate else 0.0  # between two requests of one connection
    began = time.perf_counter()
    for number, each in enumerate(connections):
        waiting.register(each.socket, selectors.EVENT_READ, each)
        each.due = began + distance * number / len(connections)
    while (now := time.perf_counter()) - began < load.seconds:
        idle = [each for each in connections if not each.waits]
        for each in idle:
            if each.due <= now:
                each.due = max(each.due + distance, now)  # whoever is late asks at once, and does not catch up
                each.ask()
        next_due = min((each.due for each in connections if not each.waits), default=now + 1)
        for key, _ in waiting.select(timeout=max(0.0, next_due - now)):
            found = key.data.answered()
            if found is not None:
                took.append(found)
                if load.reopen and len(took) % load.reopen == 0:
                    waiting.unregister(key.fileobj)
                    key.data.reopen()
                    waiting.register(key.data.socket, selectors.EVENT_READ, key.data)
    refused = sum(each.refused for each in connections)
    return {"answers": len(took), "refused": refused, "seconds": now - began, "took": took}


def main() -> None:
    """Do what the command line says."""
    load = Load(**json.loads(sys.argv[1]))
    state = json.loads(Path(load.state).read_text())
    made = []
    for slot in range(load.first, load.first + load.connections):
        known = cases(load.peer, state, slot=slot, tenants=load.tenants, skip=load.skip)
        asked = [known[name] for name in load.cases]
        made.append(Connection(load.port, asked, limited=load.limited))
    json.dump(run(made, load), sys.stdout)


if __name__ == "__main__":
    main()
