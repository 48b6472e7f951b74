"""An OpenID Connect provider for the demo, so that single sign-on can be tried without anybody else's. It never asks
for a password: whoever reaches it picks who they are. It listens on this machine alone, and only in development.
"""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from joserfc import jwt
from joserfc.jwk import RSAKey

from config.demo_data import PROVIDER_PEOPLE, PROVIDER_SECRET, SOCIAL_CLIENT_ID, SSO_CLIENT_ID
from identity.social import providers as social
from identity.sso import addresses as sso

# Seeding says where acme's connection is told that somebody is signed out: its id is in the address.
LOGOUT_URI_FILE: Path = settings.DATA_DIR / "demo-logout-uri"

_ALGORITHM = "RS256"
_CODE_SECONDS, _TOKEN_SECONDS = 60, 300
_LARGEST_FORM = 16 * 1024
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>body {{ font: 1rem/1.5 system-ui; max-width: 30rem; margin: 3rem auto; padding: 0 1rem }}
button {{ display: block; width: 100%; margin: .5rem 0; padding: .6rem; font: inherit; text-align: left }}</style>
<h1>{title}</h1><p>The demo's own identity provider: no passwords here.</p>
<form method="post">{buttons}</form></html>"""


def port_beside(port: int) -> int:
    """Return the port of the provider that belongs to a demo on this port."""
    return port + 1


def issuer_beside(port: int) -> str:
    """Return the issuer of the provider that belongs to a demo on this port."""
    return f"http://localhost:{port_beside(port)}"


@dataclass(frozen=True)
class Client:
    """Who lets people sign in here.

    Attributes:
        logout_uri_file: holds the address where they are told that somebody is signed out again; None if they are not.
    """

    client_id: str
    redirect_uri: str
    logout_uri_file: Path | None = None


def clients_of(base: str) -> list[Client]:
    """Return who lets people sign in here, of the demo that is served at `base`: acme, and the demo as a whole."""
    own, anybodys = (f"{base}{urlsplit(uri).path}" for uri in (sso.redirect_uri(), social.redirect_uri()))
    return [Client(SSO_CLIENT_ID, own, LOGOUT_URI_FILE), Client(SOCIAL_CLIENT_ID, anybodys)]


def social_providers(port: int) -> str:
    """Return ``SOCIAL_PROVIDERS`` of a demo on this port."""
    about = {"issuer": issuer_beside(port), "client_id": SOCIAL_CLIENT_ID, "client_secret": PROVIDER_SECRET}
    return json.dumps({"demo": {"name": "Demo accounts", **about}})


@dataclass(frozen=True)
class Answer:
    """What one request is answered."""

    body: str = ""
    content_type: str = "text/html; charset=utf-8"
    status: int = 200
    location: str | None = None


@dataclass(frozen=True)
class _SignIn:
    """Somebody's sign-in for a client; `code` is what the client redeems, once."""

    client: Client
    sub: str
    nonce: str | None
    challenge: str
    at: int
    sid: str = field(default_factory=secrets.token_urlsafe)


def _json(content: Any, status: int = 200) -> Answer:
    return Answer(json.dumps(content), "application/json", status)


def _error(code: str, description: str, status: int = 400) -> Answer:
    return _json({"error": code, "error_description": description}, status)


class DemoProvider:
    """What the provider answers; it keeps everything in memory.

    Raises:
        ImproperlyConfigured: this is not a development machine.
    """

    def __init__(self, issuer: str, clients: list[Client]) -> None:
        if not settings.IN_DEVELOPMENT:
            raise ImproperlyConfigured("The demo's identity provider asks for no password: it is for development only.")
        self.issuer = issuer
        self._clients = {client.client_id: client for client in clients}
        self._key = RSAKey.generate_key(2048, {"use": "sig", "alg": _ALGORITHM}, auto_kid=True)
        self._codes: dict[str, _SignIn] = {}
        self._tokens: dict[str, _SignIn] = {}
        self._sessions: dict[str, _SignIn] = {}

    def answer(self, path: str, asked: dict[str, str], authorization: str) -> Answer:
        """Answer a request with these parameters and this Authorization header."""
        routes: dict[str, Callable[[], Answer]] = {
            "/.well-known/openid-configuration": self.metadata,
            "/jwks": self.keys,
            "/authorize": lambda: self.authorize(asked),
            "/token": lambda: self.token(asked, authorization),
            "/userinfo": lambda: self.userinfo(authorization),
            "/": lambda: self.sessions(asked),
        }
        return routes[path]() if path in routes else Answer("Nothing here.", status=404)

    def metadata(self) -> Answer:
        """OpenID Connect Discovery 1.0, section 3."""
        return _json(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "jwks_uri": f"{self.issuer}/jwks",
                "response_types_supported": ["code"],
                "grant_types_supported": ["authorization_code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": [_ALGORITHM],
                "scopes_supported": ["openid", "email", "profile"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
                "backchannel_logout_supported": True,
                "backchannel_logout_session_supported": True,
            }
        )

    def keys(self) -> Answer:
        return _json({"keys": [self._key.as_dict(private=False)]})

    def authorize(self, asked: dict[str, str]) -> Answer:
        """Show whom one may be; or, when somebody was picked, send the browser back with a code (RFC 6749 section 4.1,
        RFC 7636).
        """
        client = self._clients.get(asked.get("client_id", ""))
        if client is None or asked.get("redirect_uri") != client.redirect_uri:
            return _error("invalid_request", "unknown client_id or redirect_uri")
        if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
            return _error("invalid_request", "only response_type=code with code_challenge_method=S256")
        person = asked.get("person")
        if person is None:
            return _page("Who are you?", "person", {sub: each.email for sub, each in PROVIDER_PEOPLE.items()})
        back = {"state": asked.get("state", ""), "iss": self.issuer}
        if person not in PROVIDER_PEOPLE:
            return Answer(status=302, location=f"{client.redirect_uri}?{urlencode(back | {'error': 'access_denied'})}")
        done = _SignIn(client, person, asked.get("nonce"), asked.get("code_challenge", ""), int(time.time()))
        code = secrets.token_urlsafe()
        self._codes[code] = self._sessions[done.sid] = done
        return Answer(status=302, location=f"{client.redirect_uri}?{urlencode(back | {'code': code})}")

    def token(self, asked: dict[str, str], authorization: str) -> Answer:
        """Redeem a code (OpenID Connect Core 1.0, section 3.1.3)."""
        client_id, secret = _credentials(asked, authorization)
        if client_id not in self._clients or not hmac.compare_digest(secret.encode(), PROVIDER_SECRET.encode()):
            return _error("invalid_client", "unknown client or wrong secret", 401)
        done = self._codes.pop(asked.get("code", ""), None)
        digest = hashlib.sha256(asked.get("code_verifier", "").encode()).digest()
        if (
            done is None
            or done.client.client_id != client_id
            or done.client.redirect_uri != asked.get("redirect_uri")
            or done.at < time.time() - _CODE_SECONDS
            or base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != done.challenge
        ):
            return _error("invalid_grant", "unknown, used or expired code, or another code_verifier")
        token = secrets.token_urlsafe()
        self._tokens[token] = done
        claims = {"nonce": done.nonce, "auth_time": done.at, "amr": ["pwd"], **_profile(done)}
        return _json(
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": _TOKEN_SECONDS,
                "id_token": self._signed(done, claims),
            }
        )

    def userinfo(self, authorization: str) -> Answer:
        done = self._tokens.get(authorization.removeprefix("Bearer "))
        if done is None or done.at < time.time() - _TOKEN_SECONDS:
            return _error("invalid_token", "unknown or expired", 401)
        return _json({"sub": done.sub, **_profile(done)})

    def sessions(self, asked: dict[str, str]) -> Answer:
        """Show who is signed in, and sign out whoever is clicked (OpenID Connect Back-Channel Logout 1.0)."""
        done = self._sessions.pop(asked.get("sid", ""), None)
        title = self._tell(done) if done else "Whom to sign out?"
        there = {sid: f"{each.sub} at {each.client.client_id}" for sid, each in self._sessions.items()}
        return _page(title, "sid", there)

    def _tell(self, done: _SignIn) -> str:
        if done.client.logout_uri_file is None:
            return f"{done.sub} is signed out here alone"
        claims = {"jti": secrets.token_urlsafe(), "events": {_LOGOUT_EVENT: {}}}
        form = urlencode({"logout_token": self._signed(done, claims, kind="logout+jwt")}).encode()
        try:
            uri = done.client.logout_uri_file.read_text()
            with urllib.request.urlopen(uri, form, timeout=5) as answer:  # noqa: S310 -- ours
                return f"{done.sub} is signed out ({answer.status})"
        except OSError as error:
            return f"{done.sub} is not signed out there: {error}"

    def _signed(self, done: _SignIn, claims: dict[str, Any], kind: str = "JWT") -> str:
        now = int(time.time())
        claims |= {"iss": self.issuer, "aud": done.client.client_id, "sub": done.sub, "sid": done.sid}
        header = {"alg": _ALGORITHM, "kid": self._key.kid, "typ": kind}
        return jwt.encode(header, claims | {"iat": now, "exp": now + _TOKEN_SECONDS}, self._key)


def _credentials(asked: dict[str, str], authorization: str) -> tuple[str, str]:
    """The client's id and secret, in the header or in the form; nothing that can be read is as good as none."""
    if not authorization.startswith("Basic "):
        return asked.get("client_id", ""), asked.get("client_secret", "")
    try:
        client_id, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
    except ValueError:
        return "", ""
    return client_id, secret


def _profile(done: _SignIn) -> dict[str, Any]:
    person = PROVIDER_PEOPLE[done.sub]
    return {"email": person.email, "email_verified": True, "name": person.name, "groups": list(person.groups)}


def _page(title: str, name: str, choices: dict[str, str]) -> Answer:
    """A page with one button for each choice, which posts its key by this name to where it came from."""
    buttons = "".join(
        f'<button name="{escape(name)}" value="{escape(value)}">{escape(label)}</button>'
        for value, label in choices.items()
    )
    return Answer(_PAGE.format(title=escape(title), buttons=buttons))


@contextmanager
def serving(port: int) -> Iterator[None]:
    """Serve the provider that belongs to a demo on this port, on this machine alone."""
    provider = DemoProvider(issuer_beside(port), clients_of(f"http://localhost:{port}"))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            length = min(int(self.headers.get("Content-Length") or 0), _LARGEST_FORM)
            self._answer(dict(parse_qsl(self.rfile.read(length).decode())))

        def _answer(self, form: dict[str, str]) -> None:
            url = urlsplit(self.path)
            answer = provider.answer(url.path, dict(parse_qsl(url.query)) | form, self.headers.get("Authorization", ""))
            body = answer.body.encode()
            self.send_response(answer.status)
            if answer.location is not None:
                self.send_header("Location", answer.location)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- http.server's
            """Print nothing: the terminal is the demo's."""

    with ThreadingHTTPServer(("127.0.0.1", port_beside(port)), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
