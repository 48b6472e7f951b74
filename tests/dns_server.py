"""A DNS server on this machine, over UDP and TCP, that answers as a test says."""

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

_UDP_SIZE = 512  # RFC 1035 section 2.3.4: what is longer is told over TCP
_TTL = 0


@dataclass
class Zone:
    """What the server knows, and what it was asked.

    Attributes:
        texts: TXT records by name; each is the list of its strings.
        aliases: name to name.
        broken: names for which it says SERVFAIL.
        silent: names for which it says nothing.
        asked: ``(transport, name)`` of every question.
    """

    address: str
    texts: dict[str, list[list[bytes]]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def publish(self, record: dict[str, str]) -> None:
        """Publish a record as the API shows it."""
        assert record["type"] == "TXT"
        self.texts.setdefault(record["name"], []).append([record["value"].encode()])

    def answer(self, wire: bytes, transport: str) -> bytes | None:
        """Return the answer to a question, or None for silence."""
        query = dns.message.from_wire(wire)
        name = query.question[0].name.to_text(omit_final_dot=True).lower()
        self.asked.append((transport, name))
        if name in self.silent:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if name in self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response.to_wire()
        target = self.aliases.get(name, name)
        if target != name:
            response.answer.append(dns.rrset.from_text(f"{name}.", _TTL, "IN", "CNAME", f"{target}."))
        if target not in self.texts:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif self.texts[target]:
            response.answer.append(dns.rrset.from_text_list(f"{target}.", _TTL, "IN", "TXT", self._lines(target)))
        return self._fitted(response, transport)

    def _lines(self, name: str) -> list[str]:
        return [" ".join(_quoted(text) for text in record) for record in self.texts[name]]

    def _fitted(self, response: dns.message.Message, transport: str) -> bytes:
        wire: bytes = response.to_wire(max_size=65535)
        if transport == "udp" and len(wire) > _UDP_SIZE:
            response.answer.clear()
            response.flags |= dns.flags.TC
            wire = response.to_wire()
        return wire


def _quoted(text: bytes) -> str:
    return '"' + "".join(f"\\{byte:03d}" for byte in text) + '"'


@contextmanager
def serving() -> Iterator[Zone]:
    """Serve an empty zone on a free port; nothing is left of the server afterwards."""

    class Udp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            wire, sock = self.request
            answer = zone.answer(wire, "udp")
            if answer is not None:
                sock.sendto(answer, self.client_address)

    class Tcp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            (length,) = struct.unpack(">H", self.rfile.read(2))
            answer = zone.answer(self.rfile.read(length), "tcp")
            if answer is not None:
                self.wfile.write(struct.pack(">H", len(answer)) + answer)

    with ExitStack() as stack:
        servers = _on_one_port(Udp, Tcp)
        zone = Zone(f"127.0.0.1:{servers[0].server_address[1]}")
        for server in servers:
            stack.enter_context(server)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
        yield zone


def _on_one_port(udp_handler: Any, tcp_handler: Any) -> list[Any]:
    """Both servers, on a port that neither protocol has in use."""
    while True:
        udp = socketserver.ThreadingUDPServer(("127.0.0.1", 0), udp_handler)
        try:
            return [udp, socketserver.ThreadingTCPServer(udp.server_address, tcp_handler)]
        except OSError:
            udp.server_close()
