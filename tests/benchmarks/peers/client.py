"""A load client: so many connections that stay open, each with one request at a time, in one process.

    python -m tests.benchmarks.peers.client PEER STATE PORT CASE CONNECTIONS FIRST_SLOT SECONDS TENANTS

Prints JSON: the number of answers, the seconds, and how long each took. Talks to 127.0.0.1 alone.
"""

import json
import selectors
import socket
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.peers.calls import Case, cases


class Connection:
    """One client."""

    def __init__(self, port: int, case: Case) -> None:
        self.port, self.case = port, case
        self.socket = self._connect()

    def _connect(self) -> socket.socket:
        connected = socket.create_connection(("127.0.0.1", self.port))
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected

    def ask(self) -> None:
        """Send the next request."""
        self.received = b""
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
        self.case.check(int(head[9:12]), body)
        return took


def _is_whole(head: bytes, body: bytes) -> bool:
    lowered = head.lower()
    _, found, after = lowered.partition(b"content-length:")
    if not found:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(after.partition(b"\r\n")[0])


def run(connections: list[Connection], seconds: float) -> dict[str, Any]:
    """Ask for so long."""
    waiting, took = selectors.DefaultSelector(), []
    for each in connections:
        waiting.register(each.socket, selectors.EVENT_READ, each)
        each.ask()
    began = time.perf_counter()
    while (now := time.perf_counter()) - began < seconds:
        for key, _ in waiting.select(timeout=1):
            found = key.data.answered()
            if found is not None:
                took.append(found)
                key.data.ask()
    return {"answers": len(took), "seconds": now - began, "took": took}


def main() -> None:
    """Do what the command line says."""
    peer, state_file, port, name, number, first, seconds, tenants = sys.argv[1:]
    state = json.loads(Path(state_file).read_text())
    slots = range(int(first), int(first) + int(number))
    made = [Connection(int(port), cases(peer, state, slot=slot, tenants=int(tenants))[name]) for slot in slots]
    json.dump(run(made, float(seconds)), sys.stdout)


if __name__ == "__main__":
    main()
