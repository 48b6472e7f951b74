"""The OAuth endpoints: grants, narrowing, errors of RFC 6749, introspection and revocation."""

import base64
from typing import Any
from urllib.parse import quote_plus, urlencode

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from identity.clients.models import Client
from permissions import endpoints
from tenants.registry.models import Tenant, TenantStatus
from tests.conftest import ACME, API_HOST, CAST, CLIENT_SCOPES, GLOBEX, Actor, Call, client_token, sign_in

FORM = "application/x-www-form-urlencoded"
TOKEN, INTROSPECT, REVOKE = (f"/oauth/{name}" for name in ("token", "introspect", "revoke"))
ENDPOINTS = [TOKEN, INTROSPECT, REVOKE]
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
BOTH = Actor("both@people.test", ACME)
Machine = tuple[str, str]


def post(call: Call, path: str, form: Any = None, *, host: str = API_HOST, **extra: Any) -> Any:
    body = form if isinstance(form, bytes) else urlencode(form or {}).encode()
    return call("nobody", "POST", path, body, host=host, content_type=extra.pop("content_type", FORM), **extra)


def basic(client_id: str, secret: str) -> dict[str, str]:
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return {"HTTP_AUTHORIZATION": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def in_body(machine: Machine) -> dict[str, str]:
    return {"client_id": machine[0], "client_secret": machine[1]}


def client_grant(call: Call, machine: Machine, **form: str) -> Any:
    return post(call, TOKEN, {"grant_type": "client_credentials", **form}, **basic(*machine))


def assert_error(response: Any, error: str, status: int = 400) -> None:
    """RFC 6749 section 5.2, and a problem detail as everywhere, in one object."""
    body = response.json()
    assert (response.status_code, body["error"]) == (status, error), body
    assert body["error_description"]
    assert (body["status"], body["type"].startswith(f"{settings.ISSUER}/docs/problems#")) == (status, True)
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"


# --- Machine clients --------------------------------------------------------------------------------------------------


def test_a_machine_gets_a_token_of_its_own(call: Call, machine: Machine) -> None:
    """By Basic and by the body; good for what it was given, until its secret gets the next one: no refresh token."""
    for response in (
        client_grant(call, machine),
        post(call, TOKEN, {"grant_type": "client_credentials", **in_body(machine)}),
    ):
        assert response.status_code == 200
        assert response.headers["Cache-Control"] == "no-store"
        body = response.json()
        assert body.keys() == {"access_token", "token_type", "expires_in", "scope", "tenant"}
        assert (body["token_type"], body["tenant"], body["scope"].split()) == ("Bearer", "acme", CLIENT_SCOPES)
        auth = {"HTTP_AUTHORIZATION": f"Bearer {body['access_token']}"}
        made = call("nobody", "POST", "/api/v1/projects", {"name": "By a machine"}, **auth)
        assert (made.status_code, made.json()["created_by"]) == (201, machine[0])
        assert call("nobody", "GET", "/api/v1/projects", host=GLOBEX, **auth).json()["code"] == "tenant_mismatch"


def test_a_machine_asks_for_less_and_never_gets_more(call: Call, machine: Machine) -> None:
    assert client_grant(call, machine, scope="projects:read").json()["scope"] == "projects:read"
    assert client_grant(call, machine, scope="projects:read members:write").json()["scope"] == "projects:read"
    assert_error(client_grant(call, machine, scope="members:write platform:tenants:read"), "invalid_scope")


def test_a_scope_that_machines_lose_is_lost_by_each(call: Call, machine: Machine) -> None:
    """The table of rights is a ceiling for what is stored."""
    Client.objects.filter(pk=machine[0]).update(scope="projects:read members:write profile:read")
    assert client_grant(call, machine).json()["scope"] == "projects:read"


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "00000000-0000-4000-8000-000000000000"},
        {"client_id": "no-uuid"},
        {"client_id": "x" * 5000},
        {"client_secret": "ts_wrong"},
        {"client_secret": "x" * 5000},
        {"client_secret": "é"},
    ],
    ids=str,
)
def test_who_is_not_known_is_refused_alike(call: Call, machine: Machine, change: dict[str, str]) -> None:
    """Unknown client and wrong secret are the same answer, with the challenge of the scheme that OAuth names."""
    credentials = in_body(machine) | change
    by_body = post(call, TOKEN, {"grant_type": "client_credentials", **credentials})
    by_header = post(call, TOKEN, {"grant_type": "client_credentials"}, **basic(*credentials.values()))
    for response in (by_body, by_header):
        assert_error(response, "invalid_client", 401)
        assert response.headers["WWW-Authenticate"] == 'Basic realm="tenantry"'
    assert by_body.json() == by_header.json()


@pytest.mark.parametrize("state", ["switched off", "expired", "another tenant's host", "nobody"])
def test_a_client_that_is_not_good_here_is_unknown(call: Call, machine: Machine, state: str) -> None:
    form, host = {"grant_type": "client_credentials", **in_body(machine)}, ACME
    assert post(call, TOKEN, form, host=host).status_code == 200
    if state == "switched off":
        Client.objects.update(is_active=False)
    elif state == "expired":
        Client.objects.update(expires_at="2001-01-01T00:00:00Z")
    elif state == "another tenant's host":
        host = GLOBEX
    else:
        form = {"grant_type": "client_credentials"}
    assert_error(post(call, TOKEN, form, host=host), "invalid_client", 401)


def test_a_suspended_tenants_machine_is_told(call: Call, machine: Machine) -> None:
    Tenant.objects.filter(slug="acme").update(status=TenantStatus.SUSPENDED)
    assert_error(client_grant(call, machine), "invalid_grant")


def test_a_clients_request_costs_entering_the_row_and_the_commit(unwrapped: None, machine: Machine) -> None:
    """As a member's does; and its token costs one look at its secret."""
    from rest_framework.test import APIClient

    client = APIClient()
    client_token(*machine)
    with CaptureQueriesContext(connection) as queries:
        token = client_token(*machine)["access_token"]
    assert [query["sql"].split(" ")[0] for query in queries] == ["SELECT"]
    headers = {"HTTP_HOST": ACME, "HTTP_AUTHORIZATION": f"Bearer {token}"}
    path = f"/api/v1/projects/{client.get('/api/v1/projects', **headers).json()['results'][0]['id']}"
    with CaptureQueriesContext(connection) as queries:
        assert client.get(path, **headers).status_code == 200
    assert [query["sql"].split(" ")[0] for query in queries] == ["BEGIN;", "SELECT", "COMMIT"]


# --- People -----------------------------------------------------------------------------------------------------------


def test_a_persons_tokens_are_refreshed(call: Call) -> None:
    """With or without naming our own application, which has no secret; asking for less is for this once."""
    tokens = sign_in(BOTH)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "scope": "projects:read"}
    narrowed = post(call, TOKEN, form).json()
    assert (narrowed["scope"], narrowed["tenant"], narrowed["role"]) == ("projects:read", "acme", "admin")
    form = {"grant_type": "refresh_token", "refresh_token": narrowed["refresh_token"], "client_id": "tenantry"}
    assert post(call, TOKEN, form).json()["scope"] == tokens["scope"]


def test_a_refresh_token_that_is_no_good_is_an_invalid_grant(call: Call, machine: Machine) -> None:
    tokens = sign_in(BOTH)
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert_error(post(call, TOKEN, form, host=GLOBEX), "invalid_grant")
    assert_error(post(call, TOKEN, form | {"scope": "no:such"}), "invalid_scope")
    assert_error(post(call, TOKEN, form, **basic(*machine)), "unauthorized_client")
    assert_error(post(call, TOKEN, form | {"refresh_token": tokens["access_token"]}), "invalid_grant")
    assert post(call, TOKEN, form).status_code == 200, "none of these has used it up"


def exchange(call: Call, subject: str, audience: str = "globex", **form: str) -> Any:
    base = {"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": ACCESS_TOKEN, "audience": audience}
    return post(call, TOKEN, {name: value for name, value in (base | form).items() if value})


def test_a_person_goes_from_tenant_to_tenant_by_token_exchange(call: Call) -> None:
    """RFC 8693, with nothing that a standard client does not know."""
    body = exchange(call, sign_in(BOTH)["access_token"], scope="projects:read").json()
    assert (body["issued_token_type"], body["tenant"], body["role"]) == (ACCESS_TOKEN, "globex", "viewer")
    assert body["scope"] == "projects:read"
    form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
    assert post(call, TOKEN, form).json()["tenant"] == "globex"


def test_what_is_no_good_for_an_exchange(call: Call, machine: Machine, tokens: dict[str, Any]) -> None:
    subject = sign_in(BOTH)["access_token"]
    for audience in ("no-such-tenant", ""):
        assert_error(exchange(call, subject, audience), "invalid_target")
    assert_error(exchange(call, tokens["acme_owner"]["access_token"]), "invalid_target")
    assert_error(exchange(call, subject, resource="https://globex.example"), "invalid_target")
    assert_error(exchange(call, subject, scope="no:such"), "invalid_scope")
    for more in (
        {"subject_token": ""},
        {"subject_token": "x.y.z"},
        {"subject_token": tokens["acme_client"]["access_token"]},
        {"subject_token": tokens["acme_support"]["access_token"]},
        {"subject_token": tokens["operator"]["access_token"]},
        {"subject_token": sign_in(BOTH, scope="projects:read")["access_token"]},
        {"subject_token_type": ""},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:id_token"},
        {"actor_token": subject},
    ):
        assert_error(exchange(call, subject, **more), "invalid_request")
    form = {"grant_type": EXCHANGE, "subject_token": subject, "subject_token_type": ACCESS_TOKEN, "audience": "globex"}
    assert_error(post(call, TOKEN, form, **basic(*machine)), "unauthorized_client")
    Tenant.objects.filter(slug="globex").update(status=TenantStatus.SUSPENDED)
    assert_error(exchange(call, subject), "invalid_target")


# --- Requests that are malformed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "body",
    [
        b"", b"\xff\xfe", b"a=%ff", b"grant_type=x&grant_type=y", b"token=a%00b", b"&" * 500, b"a=" + b"x" * 70_000,
        "token=é".encode(), b"client_id=a&client_id=b",
    ],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_a_form_that_is_none(call: Call, path: str, body: bytes) -> None:
    response = post(call, path, body)
    error = "invalid_client" if path == INTROSPECT and body == b"" else "invalid_request"
    assert_error(response, error, 401 if error == "invalid_client" else 400)


@pytest.mark.parametrize("path", ENDPOINTS)
def test_methods_and_media_types_that_oauth_does_not_know(call: Call, path: str) -> None:
    assert_error(call("nobody", "GET", path, host=API_HOST), "invalid_request", 405)
    assert_error(post(call, path, b"{}", content_type="application/json"), "invalid_request", 415)


@pytest.mark.parametrize(
    ("header", "error", "status"),
    [
        ("Basic", "invalid_request", 400),
        ("Basic !!!", "invalid_request", 400),
        ("Basic " + base64.b64encode(b"no colon").decode(), "invalid_request", 400),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(), "invalid_request", 400),
        ("Basic " + base64.b64encode(b"a\0:b").decode(), "invalid_request", 400),
        ("Basic " + base64.b64encode(b":").decode(), "invalid_client", 401),
        ("Bearer x.y.z", "invalid_client", 401),
        ("Digest x", "invalid_client", 401),
    ],
)
@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_header_that_says_nothing(call: Call, path: str, header: str, error: str, status: int) -> None:
    assert_error(post(call, path, {"token": "x"}, HTTP_AUTHORIZATION=header), error, status)


def test_one_way_of_saying_who_one_is(call: Call, machine: Machine) -> None:
    form = {"grant_type": "client_credentials", **in_body(machine)}
    assert_error(post(call, TOKEN, form, **basic(*machine)), "invalid_request")
    form = {"grant_type": "client_credentials", "client_id": "tenantry"}
    assert_error(post(call, TOKEN, form, **basic(*machine)), "invalid_request")


@pytest.mark.parametrize("grant", ["password", "implicit", "CLIENT_CREDENTIALS"])
def test_no_other_grant_exists(call: Call, machine: Machine, grant: str) -> None:
    form = {"grant_type": grant, "username": "owner@acme.test", "password": "x"}
    assert_error(post(call, TOKEN, form, **basic(*machine)), "unsupported_grant_type")


# --- Introspection and revocation -------------------------------------------------------------------------------------


def introspect(call: Call, machine: Machine, token: str) -> Any:
    response = post(call, INTROSPECT, {"token": token, "token_type_hint": "access_token"}, **basic(*machine))
    assert response.status_code == 200
    return response.json()


def test_a_machine_looks_at_tokens_of_its_own_tenant(call: Call, machine: Machine, tokens: dict[str, Any]) -> None:
    """All that the token says, if it is true now; anything else is exactly ``{"active": false}`` (RFC 7662)."""
    member = introspect(call, machine, tokens["acme_member"]["access_token"])
    assert (member["active"], member["token_type"], member["tenant"], member["role"]) == (
        True, "Bearer", "acme", "member",
    )  # fmt: skip
    assert member["scope"] == tokens["acme_member"]["scope"]
    assert introspect(call, machine, tokens["acme_client"]["access_token"])["sub"] == machine[0]
    assert introspect(call, machine, tokens["acme_support"]["access_token"])["act"].keys() == {"sub"}
    for token in (
        tokens["globex_owner"]["access_token"],
        tokens["operator"]["access_token"],
        tokens["acme_member"]["refresh_token"],
        machine[1],
        "nonsense",
        "x" * 20_000,
    ):
        assert introspect(call, machine, token) == {"active": False}
    Tenant.objects.filter(slug="acme").update(status=TenantStatus.SUSPENDED)
    assert introspect(call, machine, tokens["acme_member"]["access_token"]) == {"active": False}


def test_nobody_else_looks_at_tokens(call: Call, tokens: dict[str, Any]) -> None:
    token = tokens["acme_member"]["access_token"]
    for form in ({"token": token}, {"token": token, "client_id": "tenantry"}):
        assert_error(post(call, INTROSPECT, form), "invalid_client", 401)
    response = post(call, INTROSPECT, {"token": token}, HTTP_AUTHORIZATION=f"Bearer {token}")
    assert_error(response, "invalid_client", 401)


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revoking_a_persons_token_ends_their_session(call: Call, machine: Machine, kind: str) -> None:
    tokens, other = sign_in(CAST["acme_viewer"]), sign_in(CAST["acme_viewer"])
    for _ in range(2):
        response = post(call, REVOKE, {"token": tokens[kind], "token_type_hint": "nonsense"})
        assert (response.status_code, response.content) == (200, b"")
    assert introspect(call, machine, tokens["access_token"]) == {"active": False}
    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    assert_error(post(call, TOKEN, form), "invalid_grant")
    assert introspect(call, machine, other["access_token"])["active"] is True


def test_a_machine_revokes_its_own_tokens_and_no_others(call: Call, machine: Machine) -> None:
    body = {"name": "Other", "scopes": ["projects:read"]}
    created = call("acme_owner", "POST", "/api/v1/clients", body).json()
    other = (created["id"], created["client_secret"])
    first, second = client_token(*machine)["access_token"], client_token(*machine)["access_token"]
    assert_error(post(call, REVOKE, {"token": first}, **basic(*other)), "unauthorized_client")
    assert_error(post(call, REVOKE, {"token": first}), "invalid_client", 401)
    assert introspect(call, machine, first)["active"] is True
    assert post(call, REVOKE, {"token": first}, **basic(*machine)).status_code == 200
    assert [introspect(call, other, token)["active"] for token in (first, second)] == [False, False]
    assert introspect(call, machine, client_token(*machine)["access_token"])["active"] is True


@pytest.mark.parametrize("token", ["nonsense", "tr_AAAA", "a.b.c", "x" * 20_000])
def test_an_unknown_token_is_revoked_already(call: Call, token: str) -> None:
    assert post(call, REVOKE, {"token": token}).status_code == 200


# --- Metadata ---------------------------------------------------------------------------------------------------------


def test_what_is_advertised_is_there_and_nothing_else(call: Call) -> None:
    """RFC 8414: the issuer is exactly that of tokens, every endpoint is routed, on the issuer's host alone."""
    path = "/.well-known/oauth-authorization-server"
    response = call("nobody", "GET", path, host=API_HOST)
    metadata = response.json()
    assert (metadata["issuer"], response.headers["Cache-Control"]) == (settings.ISSUER, "public, max-age=300")
    routes = {endpoint.route for endpoint in endpoints.endpoints(settings.ROOT_URLCONF)}
    endpoint_names = [name for name in metadata if name.endswith("_endpoint")]
    assert len(endpoint_names) == 4
    for name in (*endpoint_names, "jwks_uri"):
        assert metadata[name].removeprefix(f"{settings.ISSUER}/") in routes
    assert metadata["grant_types_supported"] == ["authorization_code", "client_credentials", "refresh_token", EXCHANGE]
    assert not [scope for scope in metadata["scopes_supported"] if scope.startswith("platform:")]
    assert call("nobody", "GET", path).status_code == 404
    openid = call("nobody", "GET", "/.well-known/openid-configuration", host=API_HOST).json()
    assert openid.items() >= metadata.items()
    assert openid["userinfo_endpoint"].removeprefix(f"{settings.ISSUER}/") in routes
    assert openid["id_token_signing_alg_values_supported"] == ["ES256"]
