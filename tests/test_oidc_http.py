"""Providers are asked at public addresses alone, and none of them keeps a process busy or fills it."""

import ipaddress
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from identity.oidc import http
from identity.oidc.errors import ProviderUnreachable
from tests.pretending_provider import PretendingProvider, Said, pretending


@pytest.fixture
def evil() -> Iterator[PretendingProvider]:
    with pretending() as provider:
        yield provider


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0",  # noqa: S104 -- nothing is bound
               "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1",
        "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
        "::ffff:10.0.0.1", "::ffff:127.0.0.1", "2002:7f00:1::", "2002:a00:1::", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
        "2001:0:7f00:1::f5ff:fffe",
    ],
)  # fmt: skip
def test_addresses_that_are_not_the_internets(address: str) -> None:
    assert not http.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "2002:808:808::"])
def test_addresses_that_are(address: str) -> None:
    assert http.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://user@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://example.com/#x",
        "https:///x",
        "https://",
        "//example.com",
        "file:///etc/passwd",
        "gopher://example.com/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://exa mple.com/",
        "https://example.com/\r\nX: y",
        "https://ex\x00ample.com/",
        "https://xn--/",
        f"https://{'a' * 300}.com/",
    ],
)
def test_what_may_not_be_asked_in_production(settings: Any, url: str) -> None:
    settings.OIDC_ALLOW_PRIVATE_HOSTS = False
    began = time.monotonic()
    with pytest.raises(ProviderUnreachable):
        http.fetch(url)
    assert time.monotonic() - began < 6


def test_private_hosts_in_production_are_asked_over_tls(settings: Any, evil: PretendingProvider) -> None:
    settings.OIDC_ALLOW_PRIVATE_HOSTS, settings.IN_DEVELOPMENT = True, False
    with pytest.raises(ProviderUnreachable):
        http.fetch(f"{evil.issuer}/jwks")
    assert not evil.asked


def test_the_address_that_was_looked_at_is_the_one_that_is_asked(
    settings: Any, monkeypatch: pytest.MonkeyPatch, evil: PretendingProvider
) -> None:
    """DNS rebinding: the first answer is public, the next one is not."""
    port = int(evil.issuer.rpartition(":")[2])
    answers = [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["8.8.8.8"], ["127.0.0.1"]]
    tried: list[Any] = []

    def resolve(host: str, port: int, *args: Any, **more: Any) -> list[Any]:
        try:
            addresses = [str(ipaddress.ip_address(host))]
            tried.append(host)
            raise OSError("there is no way to it")
        except ValueError:
            addresses = answers.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    settings.OIDC_ALLOW_PRIVATE_HOSTS = False
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    for expected in ([], [], ["8.8.8.8"]):
        with pytest.raises(ProviderUnreachable):
            http.fetch(f"https://rebinding.test:{port}/jwks")
        assert tried == expected
    assert answers == [["127.0.0.1"]]  # the name was not asked about again
    assert not evil.asked


def test_a_redirect_leads_nowhere(evil: PretendingProvider) -> None:
    evil.answers["/a"] = Said({}, 302, {"Location": f"{evil.issuer}/secret"})
    assert http.fetch(f"{evil.issuer}/a").status == 302
    assert [each.path for each in evil.asked] == ["/a"]


def test_what_is_asked_is_asked_plainly(evil: PretendingProvider) -> None:
    evil.answers["/a"] = Said({"x": 1})
    name = evil.issuer.replace("127.0.0.1", "localhost")
    assert http.fetch(f"{name}/a?b=c", form={"x": "ü&"}).json_object() == {"x": 1}
    (asked,) = evil.asked
    assert (asked.path, asked.form) == ("/a?b=c", {"x": "ü&"})
    assert asked.headers["Host"] == name.removeprefix("http://")
    assert asked.headers["Accept-Encoding"] == "identity"


def _drip(handler: Any, *, first: bytes, then: bytes) -> None:
    handler.wfile.write(first)
    for _ in range(200):
        handler.wfile.write(then)
        handler.wfile.flush()
        time.sleep(0.1)


def _endless(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
    for _ in range(64):
        handler.wfile.write(b" " * 65536)


_OK = b"HTTP/1.0 200 OK\r\n"


@pytest.mark.parametrize(
    "body",
    [
        lambda handler: _drip(handler, first=b"", then=b""),
        lambda handler: _drip(handler, first=b"H", then=b"T"),
        lambda handler: _drip(handler, first=_OK, then=b"X: y\r\n"),
        lambda handler: _drip(handler, first=_OK + b"X: ", then=b"y"),
        lambda handler: _drip(handler, first=_OK + b"\r\n", then=b" "),
        lambda handler: _drip(handler, first=_OK + b"Transfer-Encoding: chunked\r\n\r\n", then=b"1\r\n \r\n"),
        _endless,
        lambda handler: handler.wfile.write(b"SSH-2.0-x\r\n"),
        lambda handler: handler.wfile.write(_OK + b"X: y\r\n" * 1000 + b"\r\n"),
        lambda handler: handler.wfile.write(_OK + b"X: " + b"y" * 200000 + b"\r\n\r\n"),
        lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nx"),
        lambda handler: handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        lambda handler: handler.wfile.write(b""),
    ],
)
def test_huge_slow_and_broken_answers_end_soon(
    evil: PretendingProvider, monkeypatch: pytest.MonkeyPatch, body: Any
) -> None:
    monkeypatch.setattr(http, "SECONDS", 0.8)
    monkeypatch.setattr(http, "_SECONDS_IN_ALL", 1.5)
    evil.answers["/a"] = Said(body)
    began = time.monotonic()
    with pytest.raises(ProviderUnreachable):
        http.fetch(f"{evil.issuer}/a")
    assert time.monotonic() - began < 3


def test_a_name_that_nobody_answers_for_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "SECONDS", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1) or [])
    began = time.monotonic()
    with pytest.raises(ProviderUnreachable):
        http.fetch("https://slow.test/")
    assert time.monotonic() - began < 1


@pytest.fixture
def over_tls(evil: PretendingProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Serve what `evil` serves over TLS, under a certificate for names; returns the URL of ``localhost``."""
    http._context.cache_clear()
    with ExitStack() as stack:

        def serve(*names: str, is_trusted: bool = True) -> str:
            key = ec.generate_private_key(ec.SECP256R1())
            now = datetime.now(UTC)
            who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
            made = x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number())
            made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
            made = made.add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
            certificate = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
            file = tmp_path / "both.pem"
            kind, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            file.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, plain) + certificate)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(file)
            if is_trusted:
                monkeypatch.setenv("SSL_CERT_FILE", str(file))
            provider = stack.enter_context(pretending(context))
            provider.answers["/a"] = Said({"x": 1})
            return f"https://localhost:{provider.issuer.rpartition(':')[2]}/a"

        yield serve
    http._context.cache_clear()


def test_a_certificate_is_for_the_name_that_was_asked_for(over_tls: Callable[..., str]) -> None:
    assert http.fetch(over_tls("localhost")).json_object() == {"x": 1}


@pytest.mark.parametrize(
    ("name", "is_trusted"), [("localhost", False), ("another.test", True)], ids=["by nobody", "of another"]
)
def test_any_other_certificate_is_none(over_tls: Callable[..., str], name: str, *, is_trusted: bool) -> None:
    url = over_tls(name, is_trusted=is_trusted)
    with pytest.raises(ProviderUnreachable):
        http.fetch(url)


def test_nobody_listens(evil: PretendingProvider) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(ProviderUnreachable):
            http.fetch(f"http://127.0.0.1:{free.getsockname()[1]}/")
    with pytest.raises(ProviderUnreachable):
        http.fetch(evil.issuer.replace("http", "https"))  # it speaks no TLS
