"""Canaries: a person, a machine and a member of staff live their whole lives, with mistakes, attacks and bugs, and no
secret of theirs or ours is found in what was logged, printed, answered or stored.

A secret may be in one place: the answer that gives it to whom it is for, under the name that it has there.
"""

import base64
import itertools
import json
import logging
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import StringIO
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from cryptography.hazmat.primitives import serialization
from django.conf import settings
from django.db import connection, connections
from psycopg import sql
from rest_framework.test import APIClient

from config.demo_data import OPERATOR_EMAIL, PASSWORD
from identity.accounts.models import User
from identity.clients.models import ClientSecret
from identity.keys.models import StoredKey
from identity.keys.selectors import key_ring
from identity.members import selectors as members
from identity.oauth.grants import ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE
from identity.sessions.models import RefreshFamily
from identity.tokens import services as tokens
from tenants.registry import selectors as registry
from tenants.registry.models import Tenant
from tests.committed import remove
from tests.conftest import API_HOST
from tests.mailed import token_to

FORM = "application/x-www-form-urlencoded"
PERSON = "canary@people.test"
Secrets = dict[str, list[bytes]]
Send = Callable[[str, str, bytes, dict[str, str]], tuple[int, str, bytes]]


# --- Searching --------------------------------------------------------------------------------------------------------


def forms(core: bytes) -> Iterator[bytes]:
    """How `core` looks as it is, in hexadecimal, and inside the base64 of anything that it is a part of."""
    yield from (core, core.hex().encode(), core.hex().upper().encode())
    for before in range(3):
        last = (before + len(core)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(before) + core)[before and before + 1 : last]


def hits(written: Mapping[str, bytes], known: Secrets, spell: Callable[[bytes], Iterable[bytes]] = forms) -> list[str]:
    """Which secrets are where; what they are is not said again here."""
    shapes = {(name, form) for name, cores in known.items() for core in cores for form in spell(core)}
    return sorted({f"{name} in {where}" for where, text in written.items() for name, form in shapes if form in text})


def cores(name: str, text: str) -> list[bytes]:
    """What nobody may learn of something that is given away: of an access token, only its signature is secret."""
    text = text.rpartition(".")[2] if name == "access_token" else text
    raw = base64.urlsafe_b64decode(re.sub("^t[rsl]_", "", text) + "==")
    return [text.encode(), raw[-32:]]


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
def test_the_search_finds_a_secret_in_every_form(before: str) -> None:
    core = secrets.token_bytes(32)
    whole = before.encode() + core + b"after"
    encoded = [base64.b64encode(whole), base64.urlsafe_b64encode(whole), whole.hex().encode()]
    assert all(hits({"there": text}, {"it": [core]}) == ["it in there"] for text in (whole, *encoded))
    assert hits({"there": base64.b64encode(secrets.token_bytes(100))}, {"it": [core]}) == []


# --- A whole life -----------------------------------------------------------------------------------------------------

# What is given away, and where.
NAMES = {"access_token", "refresh_token", "client_secret"}
GIVEN = re.compile(
    r"/auth/(login|refresh|switch|step-up)$|/oauth/token$|/support-access(/[^/]+/token)?$|/clients(/[^/]+/secrets)?$"
)


class Life:
    """All that people, machines and staff do. It knows their secrets, and keeps what they were answered."""

    def __init__(self, send: Send, link_to: Callable[[str], str] = token_to) -> None:
        self._send, self._link_to = send, link_to
        self.known: Secrets = {}
        self.answers: dict[str, bytes] = {}

    def canary(self, name: str) -> str:
        """A secret of somebody's own choice, with what needs escaping somewhere around it."""
        core = f"Canary{secrets.token_hex(4)}"
        self.known[name] = [core.encode()]
        return f"{core} ü'\"\\<&%+/=;"

    def ask(self, status: int, request: str, body: Any = None, token: str = "", **headers: str) -> Any:
        """Send a request, see that it gets this status (0: any but a 5xx), and return the answer.

        A body is sent as JSON, or as it is when it is bytes, or as a form when it is text. What is given away is
        learned, and taken out of what will be searched.
        """
        method, path = request.split(" ", 1)
        raw = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
        sent = {"Host": API_HOST, "Content-Type": FORM if isinstance(body, str) else "application/json"} | headers
        if token:
            sent["Authorization"] = f"Bearer {token}"
        got, answered, content = self._send(method, path, b"" if body is None else raw, sent)
        assert got == status if status else got < 500, (request, got, content[:300])
        result = json.loads(content) if content.startswith(b"{") else {}
        for name in NAMES & result.keys() if got < 300 and GIVEN.search(path) else ():
            self.known[f"{name} {len(self.known)}"] = cores(name, result[name])
            content = content.replace(f'"{name}":"{result[name]}"'.encode(), b"")
        where = f"answer {len(self.answers)}, to {method} {path.partition('?')[0]}"
        self.answers[where] = f"{got} {answered} ".encode() + content
        return result

    def live(self) -> None:
        """All that is meant to be done, but for signing out, and what is refused on the way."""
        self.password, self.wrong = self.canary("password"), self.canary("wrong password")
        self.staff = self.be_staff()
        self.be_person()
        self.be_machine()

    def err(self) -> None:
        """Send each kind of secret where it does not belong."""
        given = (self.tokens["access_token"], self.tokens["refresh_token"], self.client["client_secret"])
        for text in (self.password, self.wrong, *given):
            self.misplace_in_bodies(text)
            self.misplace_elsewhere(text)

    def be_staff(self) -> str:
        login, path = {"email": OPERATOR_EMAIL, "password": PASSWORD}, "POST /operator/v1/auth/"
        self.ask(401, f"{path}login", login | {"password": self.wrong})
        refresh = {"refresh_token": self.ask(200, f"{path}login", login)["refresh_token"]}
        token = str(self.ask(200, f"{path}refresh", refresh)["access_token"])
        self.ask(400, f"{path}step-up", {"password": self.wrong}, token)
        token = str(self.ask(200, f"{path}step-up", {"password": PASSWORD}, token)["access_token"])
        self.ask(200, "POST /operator/v1/keys/rotate", {"immediately": True}, token)
        self.ask(200, "GET /operator/v1/keys", None, token)
        self.ask(200, "GET /.well-known/jwks.json")
        return token

    def be_person(self) -> None:
        new = {"email": PERSON, "password": self.password, "name": "Canary"}
        for body, status in ((new | {"password": self.wrong[:14]}, 400), (new, 201), (new, 201)):
            self.ask(status, "POST /api/v1/auth/register", body)
        link = self._link_to(PERSON)
        self.known["link"] = cores("link", link)
        self.ask(200, "POST /api/v1/auth/email/verify", {"token": link})
        tenant = {"slug": "canary", "name": "Canary", "owner_email": PERSON}
        self.login = {"email": PERSON, "password": self.password}
        self.ask(401, "POST /api/v1/auth/login", self.login | {"password": self.wrong})
        self.ask(401, "POST /operator/v1/auth/login", self.login)
        token = self.ask(200, "POST /api/v1/auth/login", self.login)["access_token"]
        row = self.ask(201, "POST /operator/v1/tenants", tenant, self.staff)
        reason = {"reason": "A question", "ticket": "T-1"}
        support = self.ask(201, f"POST /operator/v1/tenants/{row['id']}/support-access", reason, self.staff)
        self.ask(200, "GET /api/v1/projects", None, support["access_token"])
        self.tokens = self.ask(200, "POST /api/v1/auth/switch", {"tenant": "canary"}, token)
        self.ask(400, "POST /api/v1/auth/step-up", {"password": self.wrong}, token)
        self.ask(200, "POST /api/v1/auth/step-up", {"password": self.password}, self.tokens["access_token"])
        self.ask(200, "POST /api/v1/auth/verify", {"token": self.tokens["access_token"]})
        refresh = {"refresh_token": self.tokens["refresh_token"]}
        for _ in range(2):  # the second time within the grace: the same successor
            self.tokens = self.ask(200, "POST /api/v1/auth/refresh", refresh)
        for path in ("me", "me/sessions", "me/tenants", "members", "projects"):
            self.ask(200, f"GET /api/v1/{path}", None, self.tokens["access_token"])

    def be_machine(self) -> None:
        token, scopes = self.tokens["access_token"], ["projects:read"]
        self.client = self.ask(201, "POST /api/v1/clients", {"name": "Canary", "scopes": scopes}, token)
        path = f"/api/v1/clients/{self.client['id']}"
        second = self.ask(201, f"POST {path}/secrets", {}, token)
        self.ask(200, f"GET {path}", None, token)
        grant = {"grant_type": "client_credentials"}
        who = {"client_id": self.client["id"], "client_secret": self.client["client_secret"]}
        for secret, status in ((self.wrong, 401), ("ts_" + self.wrong, 401), (second["client_secret"], 200)):
            body = urlencode(grant | who | {"client_secret": secret})
            self.ask(status, "POST /oauth/token", body)
            basic = base64.b64encode(f"{self.client['id']}:{quote(secret)}".encode()).decode()
            self.ask(status, "POST /oauth/token", urlencode(grant), Authorization=f"Basic {basic}")
        access = self.ask(200, "POST /oauth/token", urlencode(grant | who))["access_token"]
        for text in (access, token, self.tokens["refresh_token"], self.wrong):
            self.ask(200, "POST /oauth/introspect", urlencode({"token": text} | who))
        self.ask(200, "POST /oauth/revoke", urlencode({"token": access} | who))
        self.ask(401, "GET /api/v1/projects", None, access)

    def misplace_in_bodies(self, text: str) -> None:
        """In every field of every kind of body, spelled well and badly."""
        names = ("email", "password", "current_password", "new_password", "refresh_token", "token", "tenant", "scope")
        unreadable = ('{"password": "' + text, f'{{"a": {text}}}', f'{{"a": "{text}", "a": "{text}"}}', text)
        for action in ("login", "register", "refresh", "switch", "step-up", "verify", "password/change", "logout"):
            path, token = f"POST /api/v1/auth/{action}", self.tokens["access_token"]
            for name in names:
                if not (action in {"refresh", "logout"} and name == "refresh_token"):  # which it is for
                    self.ask(0, path, {name: text}, token)
            for body in (dict.fromkeys(names, text), {"password": [text]}, {"token": {"a": text}}, [text], text):
                self.ask(400, path, json.dumps(body).encode(), token)
            for raw, encoding in itertools.product(unreadable, ("utf-8", "utf-16")):
                self.ask(400, path, raw.encode(encoding), token)
            self.ask(415, path, urlencode({"password": text}), token)

    def misplace_elsewhere(self, text: str) -> None:
        """In OAuth's forms, in the query and in headers."""
        quoted, basic, token = (
            quote(text, safe=""),
            base64.b64encode(text.encode()).decode(),
            self.tokens["access_token"],
        )
        names = ("client_id", "client_secret", "scope", "audience", "username", "password", "subject_token")
        form = dict.fromkeys(names, text) | {"subject_token_type": ACCESS_TOKEN_TYPE, "refresh_token": f"{text} "}
        for grant in ("client_credentials", "refresh_token", TOKEN_EXCHANGE, "password", text):
            self.ask(0, "POST /oauth/token", urlencode(form | {"grant_type": grant}))
            self.ask(400, "POST /oauth/token", f"grant_type={quote(grant)}&password={quoted}&password={quoted}")
        for raw, path in itertools.product((f"token=%ff{quoted}", f"x={text}"), ("token", "introspect", "revoke")):
            self.ask(0, f"POST /oauth/{path}", raw)
        for query in ("access_token", "password", "limit", "cursor", "ordering", "client_secret"):
            self.ask(0, f"GET /api/v1/projects?{query}={quoted}", None, token)
            self.ask(0, f"POST /oauth/token?{query}={quoted}", "grant_type=client_credentials")
        for value in (f"Bearer {quoted} x", f"Bearer {quoted}", f"Basic {basic}", f"Basic {quoted}", f"Token {quoted}"):
            self.ask(0, "GET /api/v1/projects", Authorization=value)
            self.ask(0, "POST /oauth/token", "grant_type=client_credentials", Authorization=value)
        headers = dict.fromkeys(("Cookie", "Referer", "X-Api-Key", "X-Forwarded-For", "Origin"), quoted)
        self.ask(0, "GET /api/v1/projects", None, token, **headers)

    def leave(self) -> None:
        path, old = "POST /api/v1/auth/", self.password
        login = {"email": PERSON, "password": old}
        first = self.ask(200, f"{path}login", login)
        change = {"current_password": old, "new_password": self.canary("next password")}
        self.ask(400, f"{path}password/change", change | {"current_password": self.wrong}, first["access_token"])
        self.ask(400, f"{path}password/change", change | {"new_password": self.wrong[:14]}, first["access_token"])
        self.ask(204, f"{path}password/change", change, first["access_token"])
        self.ask(401, f"{path}login", login)
        second = self.ask(200, f"{path}login", login | {"password": change["new_password"]})
        token = second["refresh_token"]
        for _ in range(2):
            token = self.ask(200, f"{path}refresh", {"refresh_token": token})["refresh_token"]
        for spent in (second["refresh_token"], token):  # a replay ends the session
            self.ask(401, f"{path}refresh", {"refresh_token": spent})
        self.ask(200, "POST /oauth/revoke", urlencode({"token": token}))
        self.ask(204, f"{path}logout", {"refresh_token": first["refresh_token"]})
        self.ask(401, "GET /api/v1/me", None, first["access_token"])


# --- In this process: logs, output, statements, the database ----------------------------------------------------------


def send_here() -> Send:
    client = APIClient(raise_request_exception=False)

    def send(method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        extra = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
        response = client.generic(method, path, body, content_type=extra.pop("HTTP_CONTENT_TYPE"), **extra)
        return response.status_code, str(list(response.headers.items())), response.content

    return send


@pytest.fixture
def our_log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> StringIO:
    """What our handlers write while every logger says all it can; ``caplog`` has what they were given."""
    written = StringIO()
    for name in (None, *logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, name)
    ours = [handler for handler in logging.root.handlers if handler.name in settings.LOGGING["handlers"]]
    assert len(ours) == len(settings.LOGGING["handlers"])
    for handler in ours:
        monkeypatch.setattr(handler, "stream", written)
    return written


def stored() -> bytes:
    """Every row of every table in every schema as text, and what its binary values are: nobody but the owner can."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT nspname, relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
            " WHERE relkind IN ('r', 'p', 'm') AND nspname !~ '^pg_' AND nspname <> 'information_schema'"
        )
        rows: list[str] = []
        for name in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(*name)))
            rows += [row for (row,) in cursor.fetchall()]
    text = "\n".join(rows)
    binary = [bytes.fromhex(value) for value in re.findall(r"\\x((?:[0-9a-f]{2})+)", text)]
    return b"\n".join([text.encode(), *binary])


def keys_of_ours() -> Secrets:
    """SECRET_KEY, and of each signing key its scalar, its DER, and the lines of its PEM where the scalar is."""
    known = {"SECRET_KEY": [settings.SECRET_KEY.encode()]}
    form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    for key in key_ring().by_id.values():
        pem = key.private.private_bytes(serialization.Encoding.PEM, form, bare)
        der = key.private.private_bytes(serialization.Encoding.DER, form, bare)
        scalar = key.private.private_numbers().private_value.to_bytes(32)
        known[f"signing key {key.kid}"] = [scalar, der, *pem.splitlines()[1:3]]
    return known


def at_rest() -> Secrets:
    """What is stored, and shown to nobody all the same."""
    return {
        "password hash": [text.encode() for text in User.objects.values_list("password", flat=True)],
        "family secret": [bytes(value) for value in RefreshFamily.objects.values_list("secret", flat=True)],
        "digest of a client secret": [bytes(value) for value in ClientSecret.objects.values_list("digest", flat=True)],
        "encrypted key": [bytes(value) for value in StoredKey.objects.values_list("private_key", flat=True)],
    }


@pytest.fixture
def committed(unwrapped: None) -> Iterator[None]:
    """Real commits, because the owner reads what is stored; nothing of it stays."""
    kept = set(StoredKey.objects.values_list("pk", flat=True))
    yield
    for tenant in Tenant.objects.filter(slug="canary"):
        remove(tenant)
    StoredKey.objects.exclude(pk__in=kept).delete()
    User.objects.filter(email=PERSON).delete()


def test_no_secret_is_left_anywhere(
    committed: None, our_log: StringIO, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nor in a statement to the database, which a server may log; but what somebody looks for is in one."""
    life, statements, known = Life(send_here()), [], keys_of_ours()

    def collect(execute: Any, statement: Any, params: Any, *more: Any) -> Any:
        statements.append(f"{statement} {params}")
        return execute(statement, params, *more)

    with connection.execute_wrapper(collect):
        life.live()
    life.err()
    with connection.execute_wrapper(collect):
        life.leave()
    known |= keys_of_ours() | life.known
    written = {
        "our log": our_log.getvalue().encode(),
        "records": "\n".join([caplog.text, *(str(record.args) for record in caplog.records)]).encode(),
        "output": "".join(capfd.readouterr()).encode(),
        **life.answers,
    }
    assert len(known) > 30
    assert hits(written | {"database": stored(), "statements": "\n".join(statements).encode()}, known) == []
    assert hits(written, at_rest()) == []
    there = {"an address": [PERSON.encode()], "a hint": [life.client["client_secret"][-4:].encode()]} | at_rest()
    assert len(hits({"database": stored()}, there)) == len(there), "the search finds what is there"
    assert all(b"Unauthorized: /api/v1/auth/login" in written[log] for log in ("our log", "records"))


# Where a bug strikes, and what is sent then.
BUGS = {
    "sign-in": (members, "default_membership", "POST /api/v1/auth/login", ("email", "password")),
    "refresh": (members, "read_active", "POST /api/v1/auth/refresh", ("refresh_token",)),
    "client": (tokens, "refuse_suspended", "POST /oauth/token", ("grant_type", "client_id", "client_secret")),
    "bearer": (registry, "tenant_by_id", "GET /api/v1/tenant", ()),
}


@pytest.mark.parametrize("where", BUGS)
def test_a_bug_tells_no_secret(
    db: None, our_log: StringIO, machine: tuple[str, str], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """An exception has all that was sent in its message, its cause and its variables. The log says what was raised and
    where, and no secret.
    """
    life, (module, function, request, names) = Life(send_here()), BUGS[where]
    sent = {"email": "owner@acme.test", "password": PASSWORD, "grant_type": "client_credentials"}
    sent |= life.ask(200, "POST /api/v1/auth/login", {name: sent[name] for name in ("email", "password")})
    sent |= {"client_id": machine[0], "client_secret": machine[1]}
    life.known |= {"client_secret": cores("client_secret", machine[1]), "password": [PASSWORD.encode()]}

    def bug(*_: Any, **__: Any) -> None:
        everything = " ".join(map(str, sent.values()))
        raise LookupError(f"There is no {everything}.") from ValueError(everything)

    monkeypatch.setattr(module, function, bug)
    body: Any = {name: sent[name] for name in names} or None
    body = urlencode(body) if where == "client" else body
    life.ask(500, request, body, "" if names else sent["access_token"])
    written = our_log.getvalue()
    assert all(text in written for text in ("LookupError", "ValueError", f"in {bug.__name__}"))
    assert hits({"our log": written.encode(), **life.answers}, life.known) == []
