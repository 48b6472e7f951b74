"""Every way we know to pass off a token, each beside a good twin: none is accepted, none is a 500 (S13 to S15)."""

import base64
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from django.conf import settings
from jwt.algorithms import ECAlgorithm

from identity.keys.ring import generate_key, load_key
from identity.keys.selectors import key_ring
from tenants.registry.models import Tenant
from tests.conftest import ACME, API_HOST, Call

PROTECTED = "/api/v1/me"
Tokens = dict[str, dict[str, Any]]


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A token's header and claims, unverified."""
    header, claims, _ = token.split(".")
    return tuple(json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims))  # type: ignore[return-value]  # two of them


def sign(claims: dict[str, Any] | bytes, header: dict[str, Any] | None = None, key: Any = None) -> str:
    """A token signed with the real key (or another one), with any header and any payload, well-formed or not."""
    real = key_ring().active
    head = {"alg": "ES256", "typ": "at+jwt", "kid": real.kid} | (header or {})
    head = {name: value for name, value in head.items() if value is not ...}
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    content = f"{b64(json.dumps(head).encode())}.{b64(payload)}"
    signature = ECAlgorithm(ECAlgorithm.SHA256).sign(content.encode(), key or real.private)
    return f"{content}.{b64(signature)}"


def without_signature(claims: dict[str, Any], header: dict[str, Any], signature: bytes = b"") -> str:
    return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}.{b64(signature)}"


@pytest.fixture
def good(tokens: Tokens) -> str:
    return str(tokens["acme_member"]["access_token"])


@pytest.fixture
def claims(good: str) -> dict[str, Any]:
    return parts(good)[1]


@pytest.fixture
def refused(call: Call, good: str) -> Callable[[str], None]:
    """Assert that a token is refused as RFC 6750 says, and that the good one still is not."""

    def check(token: str) -> None:
        response = call("nobody", "GET", PROTECTED, HTTP_AUTHORIZATION=f"Bearer {token}")
        assert response.status_code in {400, 401}, (response.status_code, token[:200])
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["code"] == {400: "invalid_request", 401: "invalid_token"}[response.status_code]
        if response.status_code == 401:
            assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
        twin = call("nobody", "GET", PROTECTED, HTTP_AUTHORIZATION=f"Bearer {good}")
        assert twin.status_code == 200

    return check


def test_s14_a_good_token_is_what_rfc_9068_says(db: None, good: str, claims: dict[str, Any]) -> None:
    header, _ = parts(good)
    assert header == {"alg": "ES256", "typ": "at+jwt", "kid": key_ring().active.kid}
    assert sign(claims).count(".") == 2


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_the_types_that_are_accepted(call: Call, claims: dict[str, Any], typ: str) -> None:
    """The positive twin of everything below: our own hand-made token is good."""
    token = sign(claims, {"typ": typ})
    assert call("nobody", "GET", PROTECTED, HTTP_AUTHORIZATION=f"Bearer {token}").status_code == 200


# --- Algorithms and keys ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "", "HS256", "HS512", "RS256", "ES384", "EdDSA", "PS256", None, 5, []]
)
def test_the_key_decides_the_algorithm(refused: Any, claims: dict[str, Any], alg: Any) -> None:
    header = {"alg": alg, "typ": "at+jwt", "kid": key_ring().active.kid}
    refused(without_signature(claims, header, b"x"))
    refused(sign(claims, {"alg": alg}))
    refused(without_signature(claims, header).rstrip(".") + ".")


def test_a_public_key_is_no_shared_secret(refused: Any, claims: dict[str, Any]) -> None:
    """HMAC with the public key, in every form an attacker can have it."""
    public = key_ring().active.public
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    forms = [
        public.public_bytes(serialization.Encoding.PEM, spki),
        public.public_bytes(serialization.Encoding.PEM, spki).strip(),
        public.public_bytes(serialization.Encoding.DER, spki),
        ECAlgorithm.to_jwk(public).encode(),
    ]
    for key in forms:
        for alg in ("HS256", "ES256"):
            header = {"alg": alg, "typ": "at+jwt", "kid": key_ring().active.kid}
            content = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
            refused(f"{content}.{b64(hmac.new(key, content.encode(), hashlib.sha256).digest())}")


def test_another_key_does_not_sign_for_us(refused: Any, claims: dict[str, Any]) -> None:
    other = load_key(generate_key())
    refused(sign(claims, key=other.private))
    refused(sign(claims, {"kid": other.kid}, key=other.private))
    foreign_rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    kid = key_ring().active.kid
    refused(jwt.encode(claims, foreign_rsa, algorithm="RS256", headers={"typ": "at+jwt", "kid": kid}))
    other_curve = ec.generate_private_key(ec.SECP384R1())
    refused(jwt.encode(claims, other_curve, algorithm="ES384", headers={"typ": "at+jwt", "kid": kid}))


@pytest.mark.parametrize(
    "kid",
    [
        "unknown",
        "",
        "../../etc/passwd",
        "/dev/null",
        "' OR 1=1 --",
        "x" * 5000,
        "\x00",
        "é",
        None,
        1,
        ["a"],
        {"a": 1},
        ...,
    ],
)
def test_a_key_id_only_looks_up_our_own_keys(refused: Any, claims: dict[str, Any], kid: Any) -> None:
    refused(sign(claims, {"kid": kid}))


@pytest.mark.parametrize("header", ["jku", "x5u", "jwk", "x5c", "crit", "zip", "cty", "b64"])
def test_a_header_supplies_no_key_and_fetches_nothing(refused: Any, claims: dict[str, Any], header: str) -> None:
    """A listener stands by, and nobody comes."""
    other = load_key(generate_key())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/keys.json"
        value: Any = {"jwk": json.loads(ECAlgorithm.to_jwk(other.public)), "x5c": [url], "crit": ["exp"], "b64": False}
        extra = {header: value.get(header, url)}
        refused(sign(claims, extra))
        refused(sign(claims, extra | {"kid": other.kid}, key=other.private))
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize("typ", ["JWT", "jwt", "", "rt+jwt", "id+jwt", "at+jwt ", "application/jwt", None, 1, ...])
def test_another_type_is_another_kind_of_token(refused: Any, claims: dict[str, Any], typ: Any) -> None:
    refused(sign(claims, {"typ": typ}))


# --- Claims -----------------------------------------------------------------------------------------------------------

HUGE = 10**400
TEXTS = {"jti", "client_id", "scope"}  # any text will do: they name, or only take away
HARMLESS = [("iat", -1), ("auth_time", -1), ("amr", [])]  # long ago is a time, and no method is a list of methods
WRONG = [None, True, [], {}, "", "x" * 500, 1.5, -1, HUGE]


@pytest.mark.parametrize(
    "name", ["iss", "aud", "sub", "client_id", "iat", "exp", "jti", "scope", "sid", "ver", "auth_time", "amr"]
)
def test_each_claim_is_required_and_has_its_type(refused: Any, claims: dict[str, Any], name: str) -> None:
    refused(sign({key: value for key, value in claims.items() if key != name}))
    wrong = [
        value for value in WRONG if (name, value) not in HARMLESS and not (name in TEXTS and isinstance(value, str))
    ]
    for value in wrong:
        refused(sign(claims | {name: value}))


@pytest.mark.parametrize("value", [True, [], {}, "", "acme", 5, "00000000-0000-4000-8000-000000000000"])
def test_a_tenant_is_one_of_ours(refused: Any, call: Call, claims: dict[str, Any], value: Any) -> None:
    token = sign(claims | {"tenant_id": value})
    response = call("nobody", "GET", PROTECTED, host=API_HOST, HTTP_AUTHORIZATION=f"Bearer {token}")
    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")


def test_the_issuer_and_the_audience_are_compared_exactly(refused: Any, claims: dict[str, Any]) -> None:
    for iss in (settings.ISSUER + "/", settings.ISSUER.upper(), "https://elsewhere.example", [settings.ISSUER]):
        refused(sign(claims | {"iss": iss}))
    for aud in (settings.OPERATOR_AUDIENCE, settings.TENANT_AUDIENCE + "/", "*", [settings.TENANT_AUDIENCE], []):
        refused(sign(claims | {"aud": aud}))


def test_times_are_numbers_and_now_is_between_them(refused: Any, claims: dict[str, Any]) -> None:
    now = int(time.time())
    for exp in (now, now - 1, now - 10**6, 0, str(now + 600), float("inf"), HUGE, "never"):
        refused(sign(claims | {"exp": exp}))
    refused(sign(claims | {"nbf": now + 600}))
    refused(sign(claims | {"iat": now + 600}))


def test_rights_that_the_database_does_not_know_are_no_rights(call: Call, claims: dict[str, Any]) -> None:
    """Even signed with our own key: another tenant, another version, another session, another person."""
    globex = str(Tenant.objects.get(slug="globex").pk)
    for change in (
        {"tenant_id": globex},
        {"ver": claims["ver"] + 1},
        {"sid": claims["sub"]},
        {"sub": claims["sid"]},
        {"tenant_id": globex, "tenant": "globex"},
    ):
        for host in (API_HOST, ACME):
            token = sign(claims | change)
            response = call("nobody", "GET", PROTECTED, host=host, HTTP_AUTHORIZATION=f"Bearer {token}")
            assert response.status_code in {401, 403}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"5",
        b"{",
        b'{"a": NaN}',
        b"\xff\xfe",
        b"[" * 4000,
        b'{"exp": 1, "exp": 99999999999}',
    ],
)
def test_a_payload_is_an_object_of_claims(refused: Any, payload: bytes) -> None:
    refused(sign(payload))


def test_a_tampered_payload_breaks_the_signature(refused: Any, good: str, claims: dict[str, Any]) -> None:
    head, _, signature = good.split(".")
    for change in ({"role": "owner"}, {"scope": "members:write"}, {"exp": claims["exp"] + 1}):
        refused(f"{head}.{b64(json.dumps(claims | change).encode())}.{signature}")
    for position in (5, len(good) // 2, len(good) - 5):
        flipped = "A" if good[position] != "A" else "B"
        refused(good[:position] + flipped + good[position + 1 :])


# --- Spelling ---------------------------------------------------------------------------------------------------------


def test_s15_a_token_has_one_spelling(refused: Any, good: str) -> None:
    """Stock: ``token + "="`` is accepted, so a revoked string has many valid twins."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet.index(good[-1])
    twins = [good[:-1] + alphabet[last ^ bit] for bit in (1, 2, 3)]  # the last character carries unused bits
    assert all(base64.urlsafe_b64decode(twin.split(".")[2] + "==") for twin in twins)
    head, payload, signature = good.split(".")
    for token in (
        *twins, good + "=", good + "==", good + "A", f"{head}=.{payload}.{signature}", f"{head}.{payload}=.{signature}",
        good + ".", good + ".x", "." + good, f"{head}..{signature}", f"{head}.{payload}", f"{head}.{payload}.",
        good.replace("-", "+").replace("_", "/") + "=",
    ):  # fmt: skip
        refused(token)


@pytest.mark.parametrize(
    "token", ["x", "a.b.c", "....", "eyJhbGciOiJub25lIn0.e30.", "A" * 9000, "null", "undefined", "tr_AAAA"]
)
def test_nonsense_is_refused(refused: Any, token: str) -> None:
    refused(token)


# --- One kind of token for another ------------------------------------------------------------------------------------


def test_no_kind_of_token_is_good_as_another(call: Call, refused: Any, tokens: Tokens) -> None:
    """Access, refresh and operator tokens: each use of each, and only its own works."""
    member, operator = tokens["acme_member"], tokens["operator"]
    refused(member["refresh_token"])
    refused(operator["access_token"])
    refused(operator["refresh_token"])
    for token in (member["access_token"], member["refresh_token"], operator["refresh_token"]):
        response = call("nobody", "GET", "/operator/v1/tenants", host=API_HOST, HTTP_AUTHORIZATION=f"Bearer {token}")
        assert response.status_code == 401
    for token in (member["access_token"], operator["access_token"], operator["refresh_token"]):
        response = call("nobody", "POST", "/api/v1/auth/refresh", {"refresh_token": token[:200]})
        assert (response.status_code, response.json()["code"]) == (401, "invalid_token")
    for token in (member["refresh_token"], operator["access_token"]):
        assert call("nobody", "POST", "/api/v1/auth/verify", {"token": token}).status_code == 401


@pytest.mark.parametrize("change", ["family", "generation", "tag", "padding", "prefix", "length"])
def test_a_forged_refresh_token_neither_works_nor_ends_a_session(call: Call, tokens: Tokens, change: str) -> None:
    """Only a token that we did issue can say that somebody else has a copy of it."""
    text = tokens["acme_member"]["refresh_token"]
    raw = bytearray(base64.urlsafe_b64decode(text.removeprefix("tr_") + "=="))
    if change in {"family", "generation", "tag"}:
        raw[{"family": 3, "generation": 19, "tag": 40}[change]] ^= 1
    forged = "tr_" + b64(bytes(raw[: -1 if change == "length" else None]))
    forged = {"padding": text + "=", "prefix": text.removeprefix("tr_")}.get(change, forged)
    assert call("nobody", "POST", "/api/v1/auth/refresh", {"refresh_token": forged}).json()["code"] == "invalid_token"
    assert call("acme_member", "GET", PROTECTED).status_code == 200


# --- The header that carries it ---------------------------------------------------------------------------------------


def test_s13_challenges_are_what_rfc_6750_says(call: Call) -> None:
    """Stock: no ``error=`` at all, and ``bearer`` in lower case is no credential."""
    bare = call("nobody", "GET", PROTECTED)
    assert (bare.status_code, bare.headers["WWW-Authenticate"]) == (401, 'Bearer realm="tenantry"')
    bad = call("nobody", "GET", PROTECTED, HTTP_AUTHORIZATION="Bearer x.y.z").headers["WWW-Authenticate"]
    assert bad.startswith('Bearer realm="tenantry", error="invalid_token", error_description="')
    lacking = call("acme_viewer", "POST", "/api/v1/projects", {"name": "x"}).headers["WWW-Authenticate"]
    assert lacking.endswith('scope="projects:write"')
    assert 'error="insufficient_scope"' in lacking


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer {}", 200), ("bearer {}", 200), ("BEARER {}", 200), ("Bearer   {}", 200),
        ("Bearer", 400), ("Bearer ", 400), ("Bearer {} {}", 400), ("Bearer {},", 400), ('Bearer "{}"', 400),
        ("Basic {}", 401), ("Token {}", 401), ("{}", 401), ("", 401), ("Bearer\t{}", 401), ("Bearer: {}", 401),
    ],
)  # fmt: skip
def test_how_a_token_is_sent(call: Call, good: str, header: str, status: int) -> None:
    value = header.replace("{}", good)
    assert call("nobody", "GET", PROTECTED, HTTP_AUTHORIZATION=value).status_code == status


def test_a_token_in_the_query_string_is_no_credential(call: Call, good: str) -> None:
    assert call("nobody", "GET", f"{PROTECTED}?access_token={good}").status_code == 401


def test_a_stale_token_does_not_keep_anybody_from_signing_in(call: Call) -> None:
    body = {"email": "owner@acme.test", "password": "tenantry-demo-password"}
    response = call("nobody", "POST", "/api/v1/auth/login", body, HTTP_AUTHORIZATION="Bearer stale.token.here")
    assert response.status_code == 200
