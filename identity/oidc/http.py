"""Asking identity providers over HTTP, at addresses that tenants may have chosen.

They must not lead anywhere inside (server-side request forgery): a name is resolved once, every address it has must be
a public one, and the connection goes to one of just those. Nothing redirects, nothing is larger or slower than it has
to be, and no proxy of the environment is used.
"""

import ipaddress
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from http.client import HTTPException
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from identity.oidc.errors import ProviderUnreachable

SECONDS = 5.0  # to connect, and for each part of an answer
_SECONDS_IN_ALL = 10.0
_LARGEST = 1024 * 1024
_CHUNK = 64 * 1024
_PORTS = {"https": 443, "http": 80}
_FORM = "application/x-www-form-urlencoded"
# Addresses that stand for IPv4 addresses behind a translator (RFC 6052, RFC 8215).
_TRANSLATED = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Fetched:
    """What a provider has answered."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON.

        Raises:
            ProviderUnreachable: it is none.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise ProviderUnreachable from None

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object; raises as ``json``."""
        found = self.json()
        if not isinstance(found, dict):
            raise ProviderUnreachable
        return found


def fetch(url: str, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None) -> Fetched:
    """GET a URL, or POST a form to it.

    Raises:
        ProviderUnreachable: it may not be asked, or has not answered in time, or with more than anybody needs.
    """
    parts = split(url)
    if parts is None:
        raise ProviderUnreachable
    body = None if form is None else urlencode(form).encode()
    sent = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": settings.PRODUCT_NAME}
    sent |= {"Host": parts.netloc, **(headers or {})} | ({"Content-Type": _FORM} if body is not None else {})
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    deadline = time.monotonic() + _SECONDS_IN_ALL
    connection = _connection(parts, _address_of(parts))
    try:
        with _ended_at(deadline, connection):
            connection.connect()
            connection.request(
                "GET" if body is None else "POST",
                target,
                body=body,
                headers=sent,
                preload_content=False,
                decode_content=False,
            )
            response = connection.getresponse()
            return Fetched(response.status, _bounded(response, deadline))
    except (HTTPError, HTTPException, OSError, ValueError):
        raise ProviderUnreachable from None
    finally:
        connection.close()


def split(url: str) -> SplitResult | None:
    """Return the parts of a URL that may be asked; None where none may: it is no https URL, or names a user."""
    schemes = {"https", "http"} if settings.OIDC_ALLOW_PRIVATE_HOSTS and settings.IN_DEVELOPMENT else {"https"}
    if not url.isascii() or not url.isprintable() or {" ", "\\", "#"} & set(url):
        return None
    try:
        parts = urlsplit(url)
        is_fine = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    return parts if is_fine and parts.scheme in schemes and "@" not in parts.netloc else None


def is_header(text: str) -> bool:
    """Tell whether a text may be the value of a header: printable ASCII."""
    return text.isascii() and text.isprintable()


def is_public(address: _Address) -> bool:
    """Tell whether an address is one of the Internet, whatever it is written as."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if inner:
            return is_public(inner)
        if any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not address.is_multicast


def _address_of(parts: SplitResult) -> str:
    """Return an address of a URL's host to connect to. If one of them is not public, all of them are refused: which of
    them would be asked is the name's owner's choice.
    """
    found = _resolve(str(parts.hostname), parts.port or _PORTS[parts.scheme])
    if not found or not (settings.OIDC_ALLOW_PRIVATE_HOSTS or all(map(is_public, found))):
        raise ProviderUnreachable
    return str(next((each for each in found if each.version == 4), found[0]))


def _resolve(host: str, port: int) -> list[_Address]:
    """Ask the system, but no longer than for anything else: its own patience depends on who runs the name."""
    found: list[_Address] = []

    def ask() -> None:
        with suppress(OSError, UnicodeError, ValueError):
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(ipaddress.ip_address(str(sockaddr[0]).partition("%")[0]) for *_, sockaddr in answers)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SECONDS)
    return [] if asking.is_alive() else list(found)


def _connection(parts: SplitResult, address: str) -> HTTPConnection:
    port = parts.port or _PORTS[parts.scheme]
    if parts.scheme == "http":
        return HTTPConnection(address, port, timeout=SECONDS)
    return HTTPSConnection(
        address,
        port,
        timeout=SECONDS,
        ssl_context=_context(),
        server_hostname=parts.hostname,
        assert_hostname=parts.hostname,
    )


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()  # the system's authorities, or those of SSL_CERT_FILE


@contextmanager
def _ended_at(deadline: float, connection: HTTPConnection) -> Iterator[None]:
    """Cut the line at the deadline: whoever sends a byte every few seconds never lets a read time out."""
    opened: list[socket.socket] = []
    make = connection._new_conn  # noqa: SLF001 -- urllib3 documents it as the place to make a socket one's own way

    def make_and_note() -> socket.socket:
        made = make()
        opened.append(made.dup())  # TLS takes the first one over
        return made

    def cut() -> None:
        for each in opened:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    connection._new_conn = make_and_note  # type: ignore[method-assign]  # noqa: SLF001 -- as above
    timer = threading.Timer(deadline - time.monotonic(), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        for each in opened:
            each.close()


def _bounded(response: Any, deadline: float) -> bytes:
    body = bytearray()
    while chunk := response.read(_CHUNK):
        body += chunk
        if len(body) > _LARGEST:
            raise ProviderUnreachable
    if time.monotonic() > deadline:  # what was cut off may look like a whole answer
        raise ProviderUnreachable
    return bytes(body)
