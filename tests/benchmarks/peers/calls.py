"""The requests that are sent, made of what a peer wrote down while it was prepared. Without Django, for the client."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count, cycle
from typing import Any
from urllib.parse import urlencode

PASSWORD = "a password for benchmarks"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Call:
    """One request."""

    method: str
    path: str
    host: str
    body: bytes = b""
    content_type: str = ""
    authorization: str = ""

    def as_bytes(self) -> bytes:
        """Return it as it goes over the wire, on a connection that stays open."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {self.host}", "Accept: application/json"]
        if self.authorization:
            lines.append(f"Authorization: {self.authorization}")
        if self.body:
            lines += [f"Content-Type: {self.content_type}", f"Content-Length: {len(self.body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass
class Case:
    """A kind of request, as one client sends it again and again.

    Attributes:
        make: the next call.
        status: what the answer is to have.
        learn: what to keep of an answer's JSON, for a client whose next request depends on it.
    """

    make: Callable[[], Call]
    status: int = 200
    learn: Callable[[Mapping[str, Any]], None] | None = None

    def check(self, status: int, body: bytes) -> None:
        """Look at an answer.

        Raises:
            AssertionError: it is not what was to be measured.
        """
        if status != self.status:
            raise AssertionError(f"{status} in place of {self.status}: {body[:300]!r}")
        if self.learn is not None:
            self.learn(json.loads(body))


SESSIONS = 160  # of the first tenant's owner: each client that refreshes needs one that nobody has refreshed
SIGNING_IN = 10  # so many tenants of ours have an owner with a password, and a machine client
_OF_TUNED = SESSIONS // 2  # stock and tuned have one database, so they share them
Tenant = Mapping[str, Any]  # host, token, projects; slug, refresh, email, client of the first few


def cases(peer: str, state: Mapping[str, Any], *, slot: int = 0, tenants: int = 1, skip: int = 0) -> dict[str, Case]:
    """Return what this peer answers, by name.

    Args:
        slot: which of several clients asks; each has sessions of its own.
        tenants: over so many the requests for rows go, one after the other.
        skip: the first tenants that are left alone.
    """
    if peer == "floors":
        return {name: Case(lambda path=path: Call("GET", path, "localhost")) for name, path in state["paths"].items()}
    every = state["tenants"][skip : skip + tenants]
    turn = count(slot)

    def of(method: str, path: str = "/api/v1/projects", body: Any = None) -> Callable[[], Call]:
        data = b"" if body is None else json.dumps(body).encode()

        def make() -> Call:
            number = next(turn)
            tenant = every[number % len(every)]
            project = tenant["projects"][number // len(every) % len(tenant["projects"])]
            where = state["prefix"] + path.format(project=project) + state["suffix"]
            return Call(method, where, tenant["host"], data, JSON, f"Bearer {tenant['token']}")

        return make

    written = {"name": "Posted", "description": "By a benchmark."}
    found = {
        "GET one": Case(of("GET", "/api/v1/projects/{project}")),
        "list 20": Case(of("GET")),
        "POST": Case(of("POST", body=written), 201),
        "PATCH": Case(of("PATCH", "/api/v1/projects/{project}", {"description": "Changed by a benchmark."})),
    }
    return found | (
        _of_ours(state, slot, tenants)
        if peer == "ours"
        else _of_stock(state, slot + (_OF_TUNED if peer == "tuned" else 0))
    )


def _post(path: str, host: str, body: Any, **more: str) -> Call:
    return Call("POST", path, host, json.dumps(body).encode(), JSON, **more)


def _of_ours(state: Mapping[str, Any], slot: int, tenants: int) -> dict[str, Case]:
    tenant, other = state["tenants"][0], state["tenants"][-1]
    host, api = tenant["host"], "localhost"
    signing_in = cycle([each for each in state["tenants"][:tenants] if "client" in each])

    def log_in() -> Call:
        who = next(signing_in)
        return _post("/api/v1/auth/login", who["host"], {"email": who["email"], "password": PASSWORD})

    def as_client(path: str, **fields: str) -> Call:
        who = next(signing_in)["client"]
        basic = "Basic " + base64.b64encode(f"{who['id']}:{who['secret']}".encode()).decode()
        return _form(path, api, basic, **{key: value.format(**who) for key, value in fields.items()})

    def switch() -> Call:
        return _post("/api/v1/auth/switch", api, {"tenant": other["slug"]}, authorization=f"Bearer {tenant['both']}")

    return {
        "login": Case(log_in),
        "refresh": _refreshing("/api/v1/auth/refresh", host, "refresh_token", tenant["refresh"][slot]),
        "switch": Case(switch),
        "client_credentials": Case(lambda: as_client("/oauth/token", grant_type="client_credentials")),
        "introspect": Case(lambda: as_client("/oauth/introspect", token="{token}")),
        "JWKS": Case(lambda: Call("GET", "/.well-known/jwks.json", api)),
    }


def _of_stock(state: Mapping[str, Any], slot: int) -> dict[str, Case]:
    tenant = state["tenants"][0]
    login = {"username": tenant["email"], "password": PASSWORD}
    return {
        "login": Case(lambda: _post("/api/token/", tenant["host"], login)),
        "refresh": _refreshing("/api/token/refresh/", tenant["host"], "refresh", tenant["refresh"][slot]),
    }


def _form(path: str, host: str, authorization: str, **fields: str) -> Call:
    return Call("POST", path, host, urlencode(fields).encode(), FORM, authorization)


def _refreshing(path: str, host: str, name: str, first: str) -> Case:
    newest = [first]

    def learn(answer: Mapping[str, Any]) -> None:
        newest[0] = answer.get(name, newest[0])

    return Case(lambda: _post(path, host, {name: newest[0]}), learn=learn)
