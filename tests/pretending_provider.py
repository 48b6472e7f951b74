"""A provider that answers whatever a test wants, for what no honest one says; and GitHub, as far as signing in goes."""

import base64
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

SECRET = "pretended-secret-of-the-client-0123456789"
CLIENT_ID = "tenantry-at-pretender"
Key = RSAKey | ECKey | OKPKey | OctKey


@dataclass
class Asked:
    """A request that came."""

    path: str
    headers: dict[str, str]
    form: dict[str, str]


@dataclass
class Said:
    """An answer: JSON, unless `body` is bytes or writes itself."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


class PretendingProvider:
    """Attributes:
    answers: by path; a callable gets the request.
    asked: what came, oldest first.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": "one"})
        self.asked: list[Asked] = []
        self.answers: dict[str, Said | Callable[[Asked], Said]] = {
            "/.well-known/openid-configuration": Said(self.metadata()),
            "/jwks": lambda _: Said(KeySet([self.key]).as_dict()),
        }

    def metadata(self, **more: Any) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            **more,
        }

    def claims(self, expected: str, /, **more: Any) -> dict[str, Any]:
        """Those of an honest ID token, with others put over them: None leaves one out, and a small time is from now."""
        now = int(time.time())
        honest = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "somebody",
            "iat": now,
            "exp": now + 300,
            "nonce": expected,
            "email": "somebody@elsewhere.test",
            "email_verified": True,
        }
        more = {name: now + value if _is_distance(name, value) else value for name, value in more.items()}
        return {name: value for name, value in (honest | more).items() if value is not None}

    def sign(self, claims: dict[str, Any], key: Key | None = None, **header: Any) -> str:
        """Sign anything, under whatever header; None leaves a member out."""
        key = key or self.key
        said = {"alg": "RS256", "kid": key.kid, **header}
        signed = f"{b64({name: value for name, value in said.items() if value is not None})}.{b64(claims)}"
        return f"{signed}.{b64(JWSRegistry.algorithms[said['alg']].sign(signed.encode(), key))}"

    def give(self, id_token: Any, **more: Any) -> None:
        """Answer the next code with this."""
        self.answers["/token"] = Said({"access_token": "at", "token_type": "Bearer", "id_token": id_token, **more})

    def answer(self, asked: Asked) -> Said:
        self.asked.append(asked)
        found = self.answers.get(urlsplit(asked.path).path, Said({"error": "nothing here"}, 404))
        return found if isinstance(found, Said) else found(asked)


def _is_distance(name: str, value: Any) -> bool:
    return name in {"exp", "iat", "nbf"} and type(value) is int and abs(value) < 100_000


def b64(content: Any) -> str:
    """Content, or what is JSON of it, as a part of a JWT."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def half_hash(access_token: str) -> str:
    digest = hashlib.sha256(access_token.encode()).digest()
    return b64(digest[:16])


@contextmanager
def pretending(tls: ssl.SSLContext | None = None) -> Iterator[PretendingProvider]:
    """A provider that runs on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _answer(self, body: str) -> None:
            form = {name: values[0] for name, values in parse_qs(body).items()}
            said = provider.answer(Asked(self.path, dict(self.headers), form))
            if callable(said.body):
                with suppress(OSError):  # the other side has had enough
                    said.body(self)
                return
            content = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in {"Content-Type": "application/json", **said.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        provider = PretendingProvider(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield provider
        server.shutdown()
        thread.join()
