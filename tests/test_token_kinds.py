"""Each kind of token has its uses, each signing key its tokens, and a token its place in a request: nothing else is
accepted.
"""

import base64
import itertools
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from django.db import transaction
from django.test import override_settings

from config.demo_data import PASSWORD
from identity.accounts.models import User
from identity.clients import services as clients
from identity.clients.models import Client
from identity.keys import selectors as keys
from identity.keys import services as key_services
from identity.keys.models import StoredKey
from identity.keys.ring import Algorithm, generate_key, load_key
from identity.members import services as members
from identity.oauth.grants import ACCESS_TOKEN_TYPE, TOKEN_EXCHANGE
from identity.sessions.models import Session
from permissions.roles import Role
from tenants.registry.models import Tenant
from tests.applications import App, Browser, register
from tests.conftest import API_HOST, CAST, CLIENT_SCOPES, Actor, Call, client_token, sign_in, support_token
from tests.test_forged_tokens import FORM, PLACES, Desk, Good, Tokens, b64, content, shared_secrets, sign, unb64

ME = "/api/v1/me"
STRANGER = Actor("stranger@people.test", API_HOST)


@pytest.fixture
def credentials(machine: tuple[str, str]) -> dict[str, str]:
    return {"client_id": machine[0], "client_secret": machine[1]}


# --- Every kind of token, every use -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Use:
    """A way to use a token: in the header, or in a field of a JSON body or an OAuth form."""

    endpoint: str
    name: str | None = None
    more: dict[str, str] | None = None
    as_machine: bool = False


USES = [
    Use("GET /api/v1/projects"),
    Use("GET /api/v1/me"),
    Use("POST /api/v1/auth/logout"),
    Use("GET /oauth/userinfo"),
    Use("GET /operator/v1/tenants"),
    Use("POST /operator/v1/auth/logout"),
    Use("POST /api/v1/auth/verify", "token"),
    Use("POST /api/v1/auth/refresh", "refresh_token"),
    Use("POST /api/v1/auth/logout", "refresh_token"),
    Use("POST /operator/v1/auth/refresh", "refresh_token"),
    Use("POST /operator/v1/auth/logout", "refresh_token"),
    Use("POST /oauth/token", "refresh_token", {"grant_type": "refresh_token"}),
    Use(
        "POST /oauth/token",
        "subject_token",
        {"grant_type": TOKEN_EXCHANGE, "subject_token_type": ACCESS_TOKEN_TYPE, "audience": "acme"},
    ),
    Use("POST /oauth/token", "client_secret", {"grant_type": "client_credentials"}, as_machine=True),
    Use("POST /oauth/introspect", "token", as_machine=True),
    Use("POST /oauth/revoke", "token", as_machine=True),
]
CODES = {
    "400": {"validation_error", "invalid_request", "invalid_grant", "unauthorized_client"},
    "401": {"invalid_token", "invalid_client"},
    "403": {"insufficient_scope"},
}
# In the order of `kinds`. The person is a member of acme, but their token is from before that. What is answered and has
# no effect is "no".
EXPECTED = """
                                             membr persn clint suppt refsh secrt staff its r   app its r  ID t  code
GET /api/v1/projects                            ok   403    ok    ok   401   401   401   401    ok   401   401   401
GET /api/v1/me                                  ok    ok   403   403   401   401   401   401   403   401   401   401
POST /api/v1/auth/logout                        ok    ok    no    ok   401   401   401   401    ok   401   401   401
GET /oauth/userinfo                            403   403   403   403   401   401   401   401    ok   401   401   401
GET /operator/v1/tenants                       401   401   401   401   401   401    ok   401   401   401   401   401
POST /operator/v1/auth/logout                  401   401   401   401   401   401    ok   401   401   401   401   401
POST /api/v1/auth/verify token                  ok    ok    ok    ok   401   401   401   401    ok   401   401   401
POST /api/v1/auth/refresh refresh_token        400   400   400   400    ok   401   400   401   400   401   400   401
POST /api/v1/auth/logout refresh_token         400   400   400   400    ok    no   400    no   400    ok   400    no
POST /operator/v1/auth/refresh refresh_token   400   400   400   400   401   401   400    ok   400   401   400   401
POST /operator/v1/auth/logout refresh_token    400   400   400   400    no    no   400    ok   400    no   400    no
POST /oauth/token refresh_token                400   400   400   400    ok   400   400   400   400   400   400   400
POST /oauth/token subject_token                 ok    ok   400   400   400   400   400   400   400   400   400   400
POST /oauth/token client_secret                401   401   401   401   401    ok   401   401   401   401   401   401
POST /oauth/introspect token                    ok    no    ok    ok    no    no    no    no    ok    no    no    no
POST /oauth/revoke token                        ok    ok    ok    ok    ok    no    no    no   400   400    no    no
"""


@pytest.fixture
def kinds(call: Call, tokens: Tokens, credentials: dict[str, str]) -> dict[str, str]:
    """A good one of every kind of token, by the kind's name."""
    body = {"email": STRANGER.email, "password": PASSWORD}
    assert call("nobody", "POST", "/api/v1/auth/register", body).status_code == 201
    person = sign_in(STRANGER)["access_token"]
    acme, user = Tenant.objects.get(slug="acme"), User.objects.get(email=STRANGER.email)
    members.add_member(tenant_id=acme.pk, user_id=user.pk, role=Role.VIEWER)
    member, staff = sign_in(CAST["acme_member"]), sign_in(CAST["operator"])
    browser, app = Browser(), App(*register())
    browser.sign_in("member@acme.test")
    given = app.tokens(browser)
    return {
        "member": member["access_token"],
        "person": person,
        "client": client_token(*credentials.values())["access_token"],
        "support": support_token(staff["access_token"], "acme")["access_token"],
        "refresh": member["refresh_token"],
        "secret": credentials["client_secret"],
        "staff": staff["access_token"],
        "staff's refresh": staff["refresh_token"],
        "app's": given["access_token"],
        "app's refresh": given["refresh_token"],
        "ID token": given["id_token"],
        "code": app.code(browser),
    }


def send(call: Call, use: Use, text: str, credentials: dict[str, str]) -> Any:
    method, path = use.endpoint.split()
    if use.name is None:
        return call("nobody", method, path, host=API_HOST, HTTP_AUTHORIZATION=f"Bearer {text}")
    body = {**(credentials if use.as_machine else {}), **(use.more or {}), use.name: text}
    if not path.startswith("/oauth/"):
        return call("nobody", method, path, body, host=API_HOST)
    return call("nobody", method, path, urlencode(body).encode(), host=API_HOST, content_type=FORM)


def standing() -> list[Any]:
    """What tokens stand on: live sessions, and the versions of machine clients."""
    return [*Session.objects.filter(ended_at=None).values_list("pk"), *Client.objects.values_list("version")]


def outcome(call: Call, use: Use, text: str, credentials: dict[str, str]) -> str:
    """Use a token, undo what it did, and say what that was: ok, no (nothing), or the status."""
    before = standing()
    with transaction.atomic():
        response = send(call, use, text, credentials)
        is_ended = standing() != before
        transaction.set_rollback(True)
    status = str(response.status_code)
    if response.status_code >= 400:
        assert response.json()["code"] in CODES[status], response.content
        return status
    if use.endpoint.endswith(("logout", "revoke")):
        return "ok" if is_ended else "no"
    return "no" if response.content and response.json().get("active") is False else "ok"


def test_every_kind_of_token_in_every_use(call: Call, kinds: dict[str, str], credentials: dict[str, str]) -> None:
    found = {
        f"{use.endpoint} {use.name or ''}".strip(): [outcome(call, use, text, credentials) for text in kinds.values()]
        for use in USES
    }
    rows = (line.rsplit(maxsplit=len(kinds)) for line in EXPECTED.splitlines()[2:])
    assert found == {use: cells for use, *cells in rows}


# --- Claims that make a kind ------------------------------------------------------------------------------------------


def desk_of(token: str, credentials: dict[str, str]) -> Desk:
    return Desk(Good(token), credentials)


@pytest.mark.parametrize("actor", PLACES)
@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt"])
def test_what_is_forged_from_is_good(tokens: Tokens, call: Call, actor: str, typ: str) -> None:
    """The twin of every forgery: our own hand-made token, in each of the types of RFC 9068 section 4."""
    good = Good(tokens[actor]["access_token"])
    assert good.header == {"alg": "ES256", "typ": "at+jwt", "kid": keys.key_ring().active.kid}
    assert PLACES[actor][0](desk_of(good.text, {}), sign(good.claims, {"typ": typ}))


@pytest.mark.parametrize(
    ("actor", "change"),
    [
        ("acme_client", {"act": {"sub": "themselves"}}),
        ("operator", {"act": {"sub": "themselves"}}),
        ("operator", {"tenant_id": "acme"}),
        ("acme_support", {"act": {"sub": "somebody"}}),
        ("acme_support", {"tenant_id": "globex"}),
        ("acme_member", {"tenant_id": ..., "tenant": ...}),
    ],
    ids=[
        "a client that acts for somebody",
        "an operator who acts for somebody",
        "an operator in a tenant",
        "support by somebody else",
        "support elsewhere",
        "a member without a tenant",
    ],
)
def test_claims_that_another_kind_has(
    tokens: Tokens, db: None, credentials: dict[str, str], actor: str, change: dict[str, Any]
) -> None:
    """Signed with our own key: what a kind does not say, or says of something else, is refused like what is untrue.

    Only support access says who acts, and in the tenant it was given for; operators are in no tenant; the rights of a
    member are theirs in their tenant alone.
    """
    good = Good(tokens[actor]["access_token"])
    ids = {tenant.slug: str(tenant.pk) for tenant in Tenant.objects.all()} | {
        "themselves": good.claims["sub"],
        "somebody": Good(tokens["acme_owner"]["access_token"]).claims["sub"],
    }
    change = {
        name: {"sub": ids[value["sub"]]} if isinstance(value, dict) else ids.get(value, value)
        for name, value in change.items()
    }
    desk = desk_of(good.text, credentials)
    places = [place for place in PLACES[actor] if place is not Desk.revoke]
    assert [place.__name__ for place in places if place(desk, sign(good.claims | change))] == []


def test_a_client_of_another_tenant(call: Call, tokens: Tokens, credentials: dict[str, str]) -> None:
    globex, acme = Tenant.objects.get(slug="globex"), Tenant.objects.get(slug="acme")
    client, secret = clients.create_client(
        tenant_id=globex.pk,
        name="Theirs",
        scope=CLIENT_SCOPES,
        by=globex.pk,
        held=frozenset(CLIENT_SCOPES),
        expires_at=None,
    )
    theirs = Good(client_token(str(client.pk), secret)["access_token"])
    desk = desk_of(theirs.text, credentials)
    assert desk.projects(theirs.text)
    assert not desk.introspect(theirs.text), "it is none of acme's business"
    assert not desk.revoke(theirs.text)
    response = call("nobody", "GET", "/api/v1/projects", HTTP_AUTHORIZATION=f"Bearer {theirs.text}")
    assert (response.status_code, response.json()["code"]) == (403, "tenant_mismatch")
    moved = sign(theirs.claims | {"tenant_id": str(acme.pk), "tenant": "acme"})
    ours = sign(Good(tokens["acme_client"]["access_token"]).claims | {"sub": str(client.pk)})
    for forged in (moved, ours):
        assert not any(place(desk, forged) for place in PLACES["acme_client"])


# --- Keys -------------------------------------------------------------------------------------------------------------


def test_each_key_has_its_algorithm(call: Call) -> None:
    """A ring of a P-256 and an RSA key: each signs with its own algorithm under its own id, and with no other."""
    pems = [generate_key(), generate_key(Algorithm.RS256)]
    ring = [load_key(pem) for pem in pems]
    with override_settings(SIGNING_KEYS=pems):
        good = Good(sign_in(CAST["acme_member"])["access_token"])
        desk = desk_of(good.text, {})
        for signer, named, alg in itertools.product(ring, ring, Algorithm):
            token = sign(good.claims, {"kid": named.kid, "alg": alg}, key=signer.private)
            assert desk.projects(token) == (signer is named and alg is named.algorithm)
        pss = padding.PSS(padding.MGF1(SHA256()), padding.PSS.DIGEST_LENGTH)
        text = content({"alg": "PS256", "typ": "at+jwt", "kid": ring[1].kid}, good.claims)
        assert not desk.projects(f"{text}.{b64(ring[1].private.sign(text.encode(), pss, SHA256()))}")
        assert [name for name, token in shared_secrets(good, ring[1]) if desk.projects(token)] == []
        assert desk.projects(good.text)
    assert not desk.projects(good.text), "the ring is another one now"


ENDS = {
    "retired": lambda kid: key_services.retire(kid=kid),
    "deleted": lambda kid: StoredKey.objects.filter(pk=kid).delete(),
}


def desk_after(end: str, text: str, credentials: dict[str, str]) -> tuple[Desk, str]:
    """Where a token is handed in whose key is gone, and a token that says the same, signed by the next key."""
    good = Good(text)
    kid = good.header["kid"]
    key_services.rotate(immediately=True)
    keys.forget()
    new = sign(good.claims)
    ENDS[end](kid)
    assert keys.find_key(kid) is not None, "this process has not heard of it"
    return desk_of(text, credentials), new


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("actor", PLACES)
def test_a_key_that_is_gone_takes_its_tokens_along(
    call: Call, tokens: Tokens, credentials: dict[str, str], actor: str, end: str
) -> None:
    """Everywhere, and at once, whatever this process remembers of the ring: here it remembers all of it. What the next
    key signs is good.
    """
    desk, new = desk_after(end, tokens[actor]["access_token"], credentials)
    places = [place for place in PLACES[actor] if place is not Desk.revoke]
    assert [place.__name__ for place in places if place(desk, desk.good.text)] == []
    assert PLACES[actor][0](desk, new)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("actor", [actor for actor, places in PLACES.items() if Desk.revoke in places])
def test_whoever_has_a_key_that_is_gone_revokes_nothing(
    call: Call, tokens: Tokens, credentials: dict[str, str], actor: str, end: str
) -> None:
    """A stale token may be revoked; one that anybody may have made ends nobody's session."""
    desk, new = desk_after(end, tokens[actor]["access_token"], credentials)
    assert not desk.revoke(desk.good.text)
    assert desk.revoke(new)


def test_the_other_signature_of_the_same_token_dies_with_it(call: Call) -> None:
    """Whoever has (r, s) has (r, n - s): that is ECDSA. No string is ever what is revoked, so nothing is won."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    good = Good(sign_in(CAST["acme_member"])["access_token"])
    text, _, signature = good.text.rpartition(".")
    r, s = (int.from_bytes(half) for half in (unb64(signature)[:32], unb64(signature)[32:]))
    twin = f"{text}.{b64(r.to_bytes(32) + (order - s).to_bytes(32))}"
    desk = desk_of(good.text, {})
    assert desk.projects(twin)
    assert desk.logout(good.text)
    assert not desk.projects(twin)


# --- Refresh tokens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("actor", ["acme_member", "operator"])
@pytest.mark.parametrize(
    "change", ["family", "generation", "tag", "padding", "prefix", "length", "longer", "space", "other alphabet"]
)
def test_a_forged_refresh_token_neither_works_nor_ends_a_session(
    call: Call, tokens: Tokens, actor: str, change: str
) -> None:
    """Only a token that we did issue can say that somebody else has a copy of it."""
    text = tokens[actor]["refresh_token"]
    raw = bytearray(unb64(text.removeprefix("tr_")))
    if change in {"family", "generation", "tag"}:
        raw[{"family": 3, "generation": 19, "tag": 40}[change]] ^= 1
    forged = "tr_" + b64(bytes(raw) + b"x" * (change == "longer"))[: -2 if change == "length" else None]
    forged = {
        "padding": text + "=",
        "prefix": text.removeprefix("tr_"),
        "space": text + " x",
        "other alphabet": "tr_" + base64.b64encode(bytes([255] * 52)).decode().rstrip("="),
    }.get(change, forged)
    api = "/operator" if actor == "operator" else "/api"
    for path in (f"{api}/v1/auth/refresh", f"{api}/v1/auth/logout"):
        response = call("nobody", "POST", path, {"refresh_token": forged}, host=API_HOST)
        assert response.status_code == 204 if path.endswith("logout") else response.json()["code"] == "invalid_token"
    assert PLACES[actor][0](desk_of(tokens[actor]["access_token"], {}), tokens[actor]["access_token"])
    response = call("nobody", "POST", f"{api}/v1/auth/refresh", {"refresh_token": text}, host=API_HOST)
    assert response.status_code == 200


# --- The header that carries a token ----------------------------------------------------------------------------------


def test_s13_challenges_are_what_rfc_6750_says(call: Call) -> None:
    """Stock: no ``error=`` at all, and ``bearer`` in lower case is no credential."""
    bare = call("nobody", "GET", ME)
    assert (bare.status_code, bare.headers["WWW-Authenticate"]) == (401, 'Bearer realm="tenantry"')
    bad = call("nobody", "GET", ME, HTTP_AUTHORIZATION="Bearer x.y.z").headers["WWW-Authenticate"]
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
def test_how_a_token_is_sent(call: Call, tokens: Tokens, header: str, status: int) -> None:
    value = header.replace("{}", tokens["acme_member"]["access_token"])
    assert call("nobody", "GET", ME, HTTP_AUTHORIZATION=value).status_code == status


def test_a_token_in_the_query_string_is_no_credential(call: Call, tokens: Tokens) -> None:
    assert call("nobody", "GET", f"{ME}?access_token={tokens['acme_member']['access_token']}").status_code == 401


def test_a_stale_token_does_not_keep_anybody_from_signing_in(call: Call) -> None:
    body = {"email": "owner@acme.test", "password": PASSWORD}
    response = call("nobody", "POST", "/api/v1/auth/login", body, HTTP_AUTHORIZATION="Bearer stale.token.here")
    assert response.status_code == 200
