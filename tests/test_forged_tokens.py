"""Every way we know to pass off an access token, at every place that takes one: none is accepted, none is a 500 (S14,
S15). Each place is asked with the good token afterwards: it still is one.
"""

import base64
import functools
import hashlib
import hmac
import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from django.conf import settings
from django.contrib.auth import authenticate
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from rest_framework.test import APIClient

from identity.clients.models import Client
from identity.keys.ring import SigningKey, generate_key, load_key
from identity.keys.selectors import key_ring
from identity.oauth.grants import ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE
from identity.sessions.models import Session
from tenants.registry.models import Tenant
from tests.conftest import API_HOST

# What this asks, again and again, others cover; tracing it takes half as long again.
pytestmark = pytest.mark.no_cover

FORM = "application/x-www-form-urlencoded"
Tokens = dict[str, dict[str, Any]]
Forgeries = Iterator[tuple[str, str]]
REFUSALS = {"invalid_token", "invalid_request", "validation_error", "invalid_client", "unauthorized_client"}

# --- Making tokens ----------------------------------------------------------------------------------------------------


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


@dataclass(frozen=True)
class Good:
    """A good token to forge from, one of somebody else, and a URL where a listener stands by."""

    text: str
    neighbour: str = ""
    url: str = ""

    @property
    def header(self) -> dict[str, Any]:
        return dict(json.loads(unb64(self.text.split(".")[0])))

    @property
    def claims(self) -> dict[str, Any]:
        return dict(json.loads(unb64(self.text.split(".")[1])))


def content(header: dict[str, Any] | bytes, payload: dict[str, Any] | bytes) -> str:
    """What a signature is for; a member whose value is ``...`` is left out."""
    texts = [
        part if isinstance(part, bytes) else json.dumps({k: v for k, v in part.items() if v is not ...}).encode()
        for part in (header, payload)
    ]
    return ".".join(map(b64, texts))


def sign(payload: dict[str, Any] | bytes, header: dict[str, Any] | bytes | None = None, key: Any = None) -> str:
    """A token signed with the key in use (or another one), with any header and any payload, well-formed or not."""
    active = key_ring().active
    head = {"alg": "ES256", "typ": "at+jwt", "kid": active.kid}
    text = content(header if isinstance(header, bytes) else head | (header or {}), payload)
    private = key or active.private
    algorithm: Any = RSAAlgorithm if isinstance(private, rsa.RSAPrivateKey) else ECAlgorithm
    return f"{text}.{b64(algorithm(algorithm.SHA256).sign(text.encode(), private))}"


def repeated(members: dict[str, Any], name: str) -> list[bytes]:
    """JSON that says a member twice: differently, the same, and under an escaped name."""
    text, value = json.dumps(members)[1:-1], json.dumps(members[name])
    twins = f'"{name}": 1, {text}', f'{text}, "{name}": {value}', f'{text}, "\\u{ord(name[0]):04x}{name[1:]}": {value}'
    return [f"{{{twin}}}".encode() for twin in twins]


@functools.cache
def foreign_key() -> SigningKey:
    return load_key(generate_key())


@functools.cache
def foreign_rsa() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


# --- The forgeries ----------------------------------------------------------------------------------------------------

HUGE = 10**400
ALGORITHMS = [
    "none", "None", "NONE", "nOnE", "none ", "none\0", "", "HS256", "HS384", "HS512", "RS256", "RS512", "PS256",
    "ES384", "ES512", "ES256K", "EdDSA", "es256", "Es256", "ES256 ", "ES256\0", None, 5, True, [], ["ES256"], {}, ...,
]  # fmt: skip
KEY_IDS = [
    "unknown", "", " ", "../../etc/passwd", "/dev/null", "file:///etc/passwd", "' OR 1=1 --", "'; DROP TABLE keys; --",
    "x" * 5000, "\x00", "é", "\ud800", "0", "%s", "*", None, 1, 1.5, True, ["a"], {"a": 1}, ...,
]  # fmt: skip
TYPES = ["JWT", "jwt", "", "rt+jwt", "id+jwt", "at+jwt ", " at+jwt", "at-jwt", "application/jwt", None, 1, [], ...]
TEXTS = {"jti", "client_id", "scope", "role", "tenant"}  # any text will do: they name, or only take away
WELL_FORMED: list[tuple[str, Any]] = [("iat", -1), ("auth_time", -1), ("amr", []), ("ver", -1)]  # if not always true
WRONG = [None, True, [], {}, "", "x" * 500, 1.5, -1, 2**53, HUGE, [5], {"sub": 5}]
PAYLOADS = [
    b"", b"null", b"[]", b'"text"', b"5", b"{", b"{} {}", b'{"a": NaN}', b"\xff\xfe", b"[" * 4000, b'{"a":' * 1000,
    b'{"exp": 1, "exp": 99999999999}',
]  # fmt: skip
NONSENSE = [
    "x", "a.b.c", "....", "eyJhbGciOiJub25lIn0.e30.", "A" * 9000, "null", "undefined", "tr_AAAA", "a.b.c.d.e", "ts_AA",
]  # fmt: skip


def algorithms(good: Good) -> Forgeries:
    """The key decides the algorithm, and there is always a signature."""
    for alg in ALGORITHMS:
        header = good.header | {"alg": alg}
        text = content(header, good.claims)
        yield f"alg {alg!r}", sign(good.claims, header)
        yield f"alg {alg!r} without a signature", text + "."
        yield f"alg {alg!r} with any signature", text + ".eA"
    text, signature = good.text.rpartition(".")[::2]
    half = [int.from_bytes(part) for part in (unb64(signature)[:32], unb64(signature)[32:])]
    wrong = {"zeros": bytes(64), "DER": encode_dss_signature(*half), "half": unb64(signature)[:32], "none": b""}
    for name, raw in wrong.items():
        yield f"signature: {name}", f"{text}.{b64(raw)}"


def shared_secrets(good: Good, key: SigningKey | None = None) -> Forgeries:
    """HMAC with the public key, in every form that an attacker can have it, and with what stock setups sign with."""
    key = key or key_ring().active
    algorithm: Any = ECAlgorithm if isinstance(key.public, ec.EllipticCurvePublicKey) else RSAAlgorithm
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = key.public.public_bytes(serialization.Encoding.PEM, spki)
    forms = {
        "PEM": pem,
        "PEM in one piece": pem.strip(),
        "DER": key.public.public_bytes(serialization.Encoding.DER, spki),
        "JWK": algorithm.to_jwk(key.public).encode(),
        "published JWK": json.dumps(dict(key.public_jwk)).encode(),
        "kid": key.kid.encode(),
        "SECRET_KEY": settings.SECRET_KEY.encode(),
        "nothing": b"",
    }
    for (form, secret), alg in itertools.product(forms.items(), ("HS256", "HS384", "HS512", key.algorithm.value)):
        text = content({"alg": alg, "typ": "at+jwt", "kid": key.kid}, good.claims)
        digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(alg, hashlib.sha256)
        yield f"HMAC, {form}, {alg}", f"{text}.{b64(hmac.new(secret, text.encode(), digest).digest())}"


def keys(good: Good) -> Forgeries:
    """Other people's keys, and key ids that are not ours."""
    claims, kid, other = good.claims, good.header["kid"], foreign_key()
    yield "a foreign key under our kid", sign(claims, key=other.private)
    yield "a foreign key under its kid", sign(claims, {"kid": other.kid}, key=other.private)
    yield "a foreign RSA key", sign(claims, {"alg": "RS256"}, key=foreign_rsa())
    p384, headers = ec.generate_private_key(ec.SECP384R1()), {"typ": "at+jwt", "kid": kid}
    yield "another curve", jwt.encode(claims, p384, algorithm="ES384", headers=headers)
    for value in (*KEY_IDS, kid.lower(), kid + "=", kid[:-1], f" {kid}", f"{kid}\0", [kid]):
        yield f"kid {value!r:.40}", sign(claims, {"kid": value})


def headers(good: Good) -> Forgeries:
    """A header supplies no key, fetches nothing, asks for nothing, and says everything once."""
    claims, other = good.claims, foreign_key()
    jwk = json.loads(ECAlgorithm.to_jwk(other.public))
    certificate = base64.b64encode(other.kid.encode()).decode()
    extras: dict[str, list[Any]] = {
        "jku": [good.url, "file:///etc/passwd"], "x5u": [good.url], "jwk": [jwk, jwk | {"kid": good.header["kid"]}],
        "x5c": [[certificate], [good.url]], "x5t": [other.kid], "crit": [["exp"], [], ["b64"], "exp", None],
        "b64": [False, True], "zip": ["DEF"], "cty": ["JWT"], "enc": ["A256GCM"], "p2c": [2**31], "x": [1],
    }  # fmt: skip
    for name, values in extras.items():
        for value in values:
            yield f"{name} {value!r}", sign(claims, {name: value})
            yield f"{name} {value!r}, foreign key", sign(claims, {name: value, "kid": other.kid}, key=other.private)
    for typ in TYPES:
        yield f"typ {typ!r}", sign(claims, {"typ": typ})
    for name in good.header:
        for number, text in enumerate(repeated(good.header, name)):
            yield f"header repeats {name} ({number})", sign(claims, text)
    for text in (b"", b"{}", b"[]", b"null", b"{", b"\xff", b"[" * 4000):
        yield f"header {text!r:.20}", sign(claims, text)


def wrong_claims(good: Good) -> Forgeries:
    """Each claim is required and has its type. Signed with our own key: nothing here would be noticed otherwise."""
    claims = good.claims
    for name, value in claims.items():
        if name not in {"role", "tenant", "tenant_id", "act"}:  # not every kind has them: see untrue_claims
            yield f"no {name}", sign(claims | {name: ...})
        for wrong in WRONG:
            if (name, wrong) not in WELL_FORMED and not (name in TEXTS and isinstance(wrong, str)):
                yield f"{name} {wrong!r:.20}", sign(claims | {name: wrong})
        for number, text in enumerate(repeated(claims, name)):
            yield f"payload repeats {name} ({number})", sign(text)
        if name != "client_id":
            yield f"{name} in a list", sign(claims | {name: [value]})
    inner = json.dumps(claims)[:-1] + ', "x": {"a": 1, "a": 2}}'
    yield "a member of a member twice", sign(inner.encode())


def untrue_claims(good: Good) -> Forgeries:
    """Whole, well-formed, signed with our own key, and not what the database says."""
    claims, globex = good.claims, str(Tenant.objects.get(slug="globex").pk)
    other = Good(good.neighbour).claims
    changes: list[dict[str, Any]] = [{"ver": claims["ver"] + 1}, {"ver": -1}, {"sub": other["sub"]}, {"sub": globex}]
    if "sid" in claims:
        changes += [{"sid": claims["sub"]}, {"sid": other["sid"]}]
    if "act" in claims:  # its tenant: see test_token_kinds.py
        changes += [{"act": value} for value in (..., {}, {"sub": "me"}, claims["act"]["sub"], [claims["act"]])]
    elif "tenant_id" in claims:
        changes += [{"tenant_id": value} for value in (globex, claims["sub"], "acme")]
    if "tenant_id" in claims and "sid" in claims and "act" not in claims:
        changes += [{"act": {"sub": claims["sub"]}}, {"act": {"sub": other["sub"]}}]
    sign_in = {name: claims.get(name, other[name]) for name in ("sid", "auth_time", "amr")}
    for size in (1, 2, 3):  # of a sign-in all is there or nothing: take some away, or add some
        some = itertools.combinations(sign_in, size)
        changes += [{name: ... if name in claims else sign_in[name] for name in names} for names in some]
    for change in changes:
        yield f"untrue: {change}", sign(claims | change)


def issuers_audiences_times(good: Good) -> Forgeries:
    """Issuer and audience are compared exactly; times are whole numbers, and now is between them."""
    claims, now, issuer, own = good.claims, int(time.time()), settings.ISSUER, good.claims["aud"]
    (foreign,) = {settings.TENANT_AUDIENCE, settings.OPERATOR_AUDIENCE} - {own}
    for iss in (issuer + "/", issuer.upper(), issuer + "\0", "https://elsewhere.example", [issuer], {}):
        yield f"iss {iss!r}", sign(claims | {"iss": iss})
    for aud in (foreign, own + "/", own.upper(), "*", [own], [own, foreign], []):
        yield f"aud {aud!r}", sign(claims | {"aud": aud})
    past = (now, now - 1, now - 10**6, 0, -1)
    odd = (str(now + 600), f"{now + 600}.0", float(now + 600), now + 600.5, float("inf"), float("nan"), "never", [now])
    for exp in (*past, *odd):
        yield f"exp {exp!r}", sign(claims | {"exp": exp})
    endless = json.dumps(claims | {"exp": 0}).replace('"exp": 0', f'"exp": {"9" * 5000}')
    yield "exp of 5000 digits", sign(endless.encode())
    for nbf in (now + 600, now + 600.5, float("inf"), "soon", [], None):
        yield f"nbf {nbf!r}", sign(claims | {"nbf": nbf})
    for iat in (now + 600, now + 600.5, float("inf"), str(now)):
        yield f"iat {iat!r}", sign(claims | {"iat": iat})
    for number, payload in enumerate(PAYLOADS):
        yield f"payload {number}", sign(payload)


def tampered(good: Good) -> Forgeries:
    """A good signature, of something else."""
    head, payload, signature = good.text.split(".")
    for change in ({"role": "owner"}, {"scope": "members:write"}, {"exp": good.claims["exp"] + 1}, {"jti": "x"}):
        yield f"tampered: {change}", f"{head}.{b64(json.dumps(good.claims | change).encode())}.{signature}"
    yield "claims written anew", f"{head}.{b64(json.dumps(good.claims, sort_keys=True).encode())}.{signature}"
    _, theirs, seal = good.neighbour.split(".")
    yield from (("others' claims", f"{head}.{theirs}.{signature}"), ("others' signature", f"{head}.{payload}.{seal}"))
    for position in range(5, len(good.text), 97):
        flipped = "A" if good.text[position] != "A" else "B"
        yield f"character {position}", good.text[:position] + flipped + good.text[position + 1 :]


def spellings(good: Good) -> Forgeries:
    """S15, a token has one spelling. Stock: ``token + "="`` is accepted, so a revoked string has many valid twins."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    text, last = good.text, alphabet.index(good.text[-1])  # the last character carries unused bits
    head, payload, signature = text.split(".")
    twins = [text[:-1] + alphabet[last ^ bit] for bit in (1, 2, 3)] + [
        text + "=", text + "==", text + "A", f"{head}=.{payload}.{signature}", f"{head}.{payload}=.{signature}",
        text + ".", text + ".x", "." + text, f"{head}..{signature}", f"{head}.{payload}", f"{head}.{payload}.",
        f"{payload}.{head}.{signature}", text.replace("-", "+").replace("_", "/") + "=", text[:-1], text.swapcase(),
    ]  # fmt: skip
    yield from ((f"spelling {number}", twin) for number, twin in enumerate(twins))
    yield from ((f"nonsense {nonsense:.20}", nonsense) for nonsense in NONSENSE)


def forgeries(good: Good, *, untrue: bool = True) -> Forgeries:
    """Every forgery of a token, each with a name for people; also those that only we could sign, if `untrue`."""
    families = [algorithms, shared_secrets, keys, headers, wrong_claims, issuers_audiences_times, tampered, spellings]
    for family in (*families, *([untrue_claims] if untrue else [])):
        yield from family(good)


# --- The places that take an access token -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Desk:
    """Whoever hands in tokens: each method hands one in, and says whether it was taken for good."""

    good: Good
    machine: dict[str, str]
    client: APIClient = field(default_factory=lambda: APIClient(raise_request_exception=False))

    def projects(self, token: str) -> bool:
        return taken(self._bearer(token, "GET", "/api/v1/projects"))

    def sessions(self, token: str) -> bool:
        """A view that enters no tenant."""
        return taken(self._bearer(token, "GET", "/api/v1/me/sessions"))

    def operator(self, token: str) -> bool:
        return taken(self._bearer(token, "GET", "/operator/v1/tenants"))

    def verify(self, token: str) -> bool:
        return taken(self.client.post("/api/v1/auth/verify", {"token": token}, HTTP_HOST=API_HOST))

    def exchange(self, token: str) -> bool:
        form = {"grant_type": TOKEN_EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN_TYPE}
        return taken(self._form("/oauth/token", **form, audience="acme"))

    def introspect(self, token: str) -> bool:
        response = self._form("/oauth/introspect", token=token, **self.machine)
        return taken(response) and response.json() != {"active": False}

    def revoke(self, token: str) -> bool:
        return self._ends_something(self._form("/oauth/revoke", token=token, **self.machine))

    def logout(self, token: str) -> bool:
        return self._ends_something(self._bearer(token, "POST", "/api/v1/auth/logout"))

    def operator_logout(self, token: str) -> bool:
        return self._ends_something(self._bearer(token, "POST", "/operator/v1/auth/logout"))

    def django(self, token: str) -> bool:
        return authenticate(None, bearer=token) is not None

    def _bearer(self, token: str, method: str, path: str) -> Any:
        body = {} if method == "GET" else {"data": b"{}", "content_type": "application/json"}
        extra = {"HTTP_HOST": API_HOST, "HTTP_AUTHORIZATION": f"Bearer {token}"}
        return self.client.generic(method, path, **body, **extra)

    def _form(self, path: str, **form: str) -> Any:
        return self.client.post(path, urlencode(form), content_type=FORM, HTTP_HOST=API_HOST)

    def _ends_something(self, response: Any) -> bool:
        """An end is told by what is left, whatever the answer was."""
        taken(response)
        claims = self.good.claims
        rows = Session.objects.filter(pk=claims["sid"], ended_at=None) if "sid" in claims else Client.objects
        return not (rows.exists() if "sid" in claims else rows.filter(pk=claims["sub"], version=claims["ver"]).exists())


def taken(response: Any) -> bool:
    """Whether an answer is no refusal; a refusal is a problem of one of the kinds that there are for it."""
    if response.status_code < 300:
        return True
    assert response.status_code in {400, 401}, (response.status_code, response.content)
    assert response.json()["code"] in REFUSALS, response.content
    if response.json()["code"] == "invalid_token":
        assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
    return False


TENANT_API = (Desk.projects, Desk.verify, Desk.introspect, Desk.revoke, Desk.django)
PLACES: dict[str, tuple[Callable[[Desk, str], bool], ...]] = {
    "acme_member": (*TENANT_API, Desk.sessions, Desk.exchange, Desk.logout),
    "acme_client": TENANT_API,
    "acme_support": (*TENANT_API, Desk.logout),
    "operator": (Desk.operator, Desk.operator_logout, Desk.django),
}
EVERYWHERE = [(actor, place) for actor, places in PLACES.items() for place in places]


@pytest.fixture
def desks(db: None, tokens: Tokens, machine: tuple[str, str]) -> Iterator[Callable[[str], Desk]]:
    """Make a Desk for an actor's token; whatever is handed in, nobody comes to the listener."""
    credentials = dict(zip(("client_id", "client_secret"), machine, strict=True))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/keys.json"

        def desk(actor: str) -> Desk:
            good, neighbour = (tokens[name]["access_token"] for name in (actor, "acme_owner"))
            return Desk(Good(good, neighbour, url), credentials)

        yield desk
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize(("actor", "place"), EVERYWHERE, ids=lambda value: getattr(value, "__name__", value))
def test_no_forgery_is_accepted_anywhere(desks: Any, actor: str, place: Callable[[Desk, str], bool]) -> None:
    desk = desks(actor)
    found = list(forgeries(desk.good, untrue=place is not Desk.revoke))  # a token that is stale may still be revoked
    assert len(found) > 450
    assert [name for name, token in found if place(desk, token)] == []
    assert place(desk, desk.good.text), "the good token is good here"
