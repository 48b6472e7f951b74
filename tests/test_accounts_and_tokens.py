"""Registering, signing in, refreshing, verifying, signing out, and Django's own ``authenticate``."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.conf import settings
from django.contrib.auth import authenticate
from django.test import RequestFactory
from django.utils import timezone
from jwt.algorithms import ECAlgorithm

from config.demo_data import PASSWORD
from identity.accounts.models import User
from identity.keys.selectors import key_ring
from identity.members.models import Membership, MembershipStatus
from identity.sessions.models import EndReason, RefreshFamily, Session
from permissions.principals import Kind, Principal
from permissions.roles import Role
from tenants.registry.models import Tenant, TenantStatus
from tests.conftest import ACME, API_HOST, CAST, GLOBEX, Call, sign_in

NEW = {"email": "New.Person@Example.com", "password": "a rather long password", "name": "New Person"}


def login(call: Call, email: str, password: str = PASSWORD, *, host: str = API_HOST, **more: str) -> Any:
    body = {"email": email, "password": password, **more}
    return call("nobody", "POST", "/api/v1/auth/login", body, host=host)


def claims_of(token: str) -> dict[str, Any]:
    """The claims, read as a client with our public key would."""
    key = key_ring().active
    public = ECAlgorithm.from_jwk(ECAlgorithm.to_jwk(key.public))
    return jwt.decode(token, public, algorithms=["ES256"], audience=settings.TENANT_AUDIENCE, issuer=settings.ISSUER)


def bearer(token: str) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {token}"}


# --- Registration -----------------------------------------------------------------------------------------------------


def test_a_person_registers_and_signs_in_to_no_tenant(call: Call) -> None:
    """The token is good for their own account, and for nothing in any tenant."""
    response = call("nobody", "POST", "/api/v1/auth/register", NEW, host=API_HOST)
    assert (response.status_code, response.json()) == (201, {"email": NEW["email"]})
    tokens = login(call, NEW["email"].upper(), NEW["password"]).json()
    assert (tokens["tenant"], tokens["role"], tokens["scope"]) == (
        None,
        None,
        "profile:read profile:write sessions:read sessions:write tenants:write",
    )
    auth = bearer(tokens["access_token"])
    me = call("nobody", "GET", "/api/v1/me", host=API_HOST, **auth).json()
    assert (me["email"], me["name"], me["tenant_id"]) == ("new.person@example.com", "New Person", None)
    assert call("nobody", "GET", "/api/v1/me/tenants", host=API_HOST, **auth).json() == []
    assert call("nobody", "GET", "/api/v1/projects", host=API_HOST, **auth).status_code == 403
    assert call("nobody", "GET", "/api/v1/me", host=ACME, **auth).json()["code"] == "tenant_mismatch"


def test_registering_a_known_address_looks_the_same_and_changes_nothing(call: Call) -> None:
    before = User.objects.get(email="owner@acme.test").password
    body = NEW | {"email": "owner@acme.test"}
    response = call("nobody", "POST", "/api/v1/auth/register", body, host=API_HOST)
    assert (response.status_code, response.json()) == (201, {"email": "owner@acme.test"})
    assert User.objects.get(email="owner@acme.test").password == before
    assert login(call, "owner@acme.test", NEW["password"]).status_code == 401


@pytest.mark.parametrize("password", ["short", "password", "new.person@example.com"])
def test_weak_passwords_are_refused_with_a_reason(call: Call, password: str) -> None:
    response = call("nobody", "POST", "/api/v1/auth/register", NEW | {"password": password}, host=API_HOST)
    body = response.json()
    assert (response.status_code, body["code"]) == (400, "validation_error")
    assert {error["pointer"] for error in body["errors"]} == {"#/password"}
    assert not User.objects.filter(email=NEW["email"].lower()).exists()


# --- Signing in -------------------------------------------------------------------------------------------------------


def test_the_token_says_what_the_design_says(call: Call) -> None:
    """RFC 9068's claims and ours, verified with nothing but the public key."""
    response = login(call, "member@acme.test", host=ACME)
    assert response.headers["Cache-Control"] == "no-store"
    tokens = response.json()
    assert (tokens["token_type"], tokens["tenant"], tokens["role"]) == ("Bearer", "acme", "member")
    claims = claims_of(tokens["access_token"])
    user = User.objects.get(email="member@acme.test")
    assert claims["sub"] == str(user.pk)
    assert claims["tenant_id"] == str(Tenant.objects.get(slug="acme").pk)
    assert claims["scope"] == tokens["scope"]
    assert claims["exp"] - claims["iat"] == tokens["expires_in"] == settings.ACCESS_LIFETIME.total_seconds()
    assert claims["amr"] == ["pwd"]
    assert claims.keys() == {
        "iss", "aud", "sub", "iat", "exp", "jti", "client_id", "tenant", "tenant_id", "role", "scope", "sid", "ver",
        "auth_time", "amr",
    }  # fmt: skip
    session = Session.objects.get(pk=claims["sid"])
    assert (session.user_id, session.ip_address) == (user.pk, "127.0.0.1")


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("owner@acme.test", "wrong-demo-password"),
        ("nobody@acme.test", PASSWORD),
        ("owner@acme.test", f" {PASSWORD} "),
        ("inactive@acme.test", PASSWORD),
    ],
)
def test_refused_sign_ins_look_alike(call: Call, email: str, password: str) -> None:
    inactive = User(email="inactive@acme.test", is_active=False)
    inactive.set_password(PASSWORD)
    inactive.save()
    response = login(call, email, password)
    assert response.status_code == 401
    assert response.json()["code"] == "invalid_credentials"
    assert response.json() == login(call, "unheard-of@acme.test", password).json()


def test_where_signing_in_leads(call: Call) -> None:
    """The host's tenant, else the named one, else the one used last, else the newest."""
    both = "both@people.test"
    assert login(call, both, host=ACME).json()["role"] == "admin"
    assert login(call, both).json()["tenant"] == "acme"
    assert login(call, both, tenant="globex").json()["role"] == "viewer"
    assert login(call, both).json()["tenant"] == "globex"
    assert login(call, both, host=GLOBEX, tenant="acme").json()["code"] == "tenant_mismatch"
    Membership.objects.update(last_used_at=None)
    newest = Membership.objects.filter(user__email=both).order_by("-joined_at")[0].tenant.slug
    assert login(call, both).json()["tenant"] == newest


@pytest.mark.parametrize("where", [{"host": GLOBEX}, {"tenant": "globex"}, {"tenant": "no-such-tenant"}])
def test_a_tenant_one_does_not_belong_to_is_refused(call: Call, where: dict[str, str]) -> None:
    """Whether there is such a tenant is not told."""
    response = login(call, "owner@acme.test", **where)
    assert (response.status_code, response.json()["code"]) == (403, "not_a_member")


def test_scopes_can_be_narrowed_and_stay_narrow(call: Call) -> None:
    tokens = login(call, "owner@acme.test", scope="projects:read tenant:read").json()
    assert tokens["scope"] == "projects:read tenant:read"
    refreshed = refresh(call, tokens["refresh_token"]).json()
    assert refreshed["scope"] == "projects:read tenant:read"
    viewer = login(call, "viewer@acme.test", scope="projects:write projects:read").json()
    assert viewer["scope"] == "projects:read"
    for scope in ("projects:write", "no:such", "platform:tenants:read"):
        response = login(call, "viewer@acme.test", scope=scope)
        assert (response.status_code, response.json()["code"]) == (400, "invalid_scope")


# --- Refreshing, verifying, signing out -------------------------------------------------------------------------------


def refresh(call: Call, token: str, *, host: str = API_HOST) -> Any:
    return call("nobody", "POST", "/api/v1/auth/refresh", {"refresh_token": token}, host=host)


def test_refreshing_gives_new_tokens_with_todays_rights(call: Call) -> None:
    tokens = sign_in(CAST["acme_admin"])
    Membership.objects.filter(user__email="admin@acme.test", tenant__slug="acme").update(role=Role.VIEWER, version=2)
    refreshed = refresh(call, tokens["refresh_token"], host=ACME).json()
    assert refreshed["refresh_token"] != tokens["refresh_token"]
    assert (refreshed["role"], "members:write" in refreshed["scope"]) == ("viewer", False)
    old = call("nobody", "GET", "/api/v1/members", **bearer(tokens["access_token"]))
    assert (old.status_code, old.json()["code"]) == (401, "invalid_token")
    assert call("nobody", "GET", "/api/v1/members", **bearer(refreshed["access_token"])).status_code == 200


def test_a_session_ends_at_its_time_however_often_it_is_refreshed(call: Call) -> None:
    tokens = sign_in(CAST["acme_viewer"])
    sid = claims_of(tokens["access_token"])["sid"]
    expires_at = Session.objects.get(pk=sid).expires_at
    tokens = refresh(call, tokens["refresh_token"]).json()
    assert Session.objects.get(pk=sid).expires_at == expires_at
    Session.objects.filter(pk=sid).update(expires_at=timezone.now() - timedelta(hours=1))
    assert refresh(call, tokens["refresh_token"]).json()["code"] == "invalid_token"
    assert call("nobody", "GET", "/api/v1/me", **bearer(tokens["access_token"])).status_code == 401


def test_an_idle_family_expires(call: Call) -> None:
    tokens = sign_in(CAST["acme_viewer"])
    RefreshFamily.objects.update(idle_expires_at=timezone.now() - timedelta(seconds=1))
    assert refresh(call, tokens["refresh_token"]).status_code == 401


def test_after_the_grace_the_previous_token_ends_the_session(call: Call) -> None:
    first = sign_in(CAST["acme_viewer"])
    second = refresh(call, first["refresh_token"]).json()
    assert refresh(call, first["refresh_token"]).json()["refresh_token"] == second["refresh_token"]
    RefreshFamily.objects.update(rotated_at=timezone.now() - settings.REFRESH_GRACE - timedelta(seconds=1))
    assert refresh(call, first["refresh_token"]).status_code == 401
    assert refresh(call, second["refresh_token"]).status_code == 401
    assert call("nobody", "GET", "/api/v1/me", **bearer(second["access_token"])).status_code == 401
    session = Session.objects.get(pk=claims_of(first["access_token"])["sid"])
    assert session.end_reason == EndReason.REFRESH_REUSED


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (lambda: Membership.objects.filter(user__email="viewer@acme.test").delete(), 401, "invalid_token"),
        (
            lambda: Membership.objects.filter(user__email="viewer@acme.test").update(status=MembershipStatus.SUSPENDED),
            401,
            "invalid_token",
        ),
        (lambda: User.objects.filter(email="viewer@acme.test").update(is_active=False), 401, "invalid_token"),
        (lambda: Session.objects.update(ended_at=timezone.now()), 401, "invalid_token"),
        (lambda: Tenant.objects.update(status=TenantStatus.SUSPENDED), 403, "tenant_suspended"),
    ],
    ids=["removed", "member suspended", "account closed", "session ended", "tenant suspended"],
)
def test_what_ends_reaches_every_use_of_a_token(call: Call, change: Any, status: int, code: str) -> None:
    """Request, refresh and verification alike, with tokens that were good a moment ago."""
    tokens = sign_in(CAST["acme_viewer"])
    change()
    for response in (
        call("nobody", "GET", "/api/v1/projects", **bearer(tokens["access_token"])),
        refresh(call, tokens["refresh_token"], host=ACME),
        call("nobody", "POST", "/api/v1/auth/verify", {"token": tokens["access_token"]}),
    ):
        assert (response.status_code, response.json()["code"]) == (status, code)


def test_a_refresh_token_survives_a_suspension_and_another_tenants_host(call: Call) -> None:
    """What is refused for a reason outside the token does not use the token up."""
    tokens = sign_in(CAST["acme_viewer"])
    assert refresh(call, tokens["refresh_token"], host=GLOBEX).json()["code"] == "tenant_mismatch"
    Tenant.objects.update(status=TenantStatus.SUSPENDED)
    assert refresh(call, tokens["refresh_token"]).json()["code"] == "tenant_suspended"
    Tenant.objects.update(status=TenantStatus.ACTIVE)
    RefreshFamily.objects.update(rotated_at=timezone.now() - timedelta(days=1))
    assert refresh(call, tokens["refresh_token"]).status_code == 200


def test_verifying_tells_what_a_token_is_good_for(call: Call, tokens: dict[str, Any]) -> None:
    token = tokens["acme_viewer"]["access_token"]
    body = call("nobody", "POST", "/api/v1/auth/verify", {"token": token}).json()
    assert (body["kind"], body["role"]) == ("member", "viewer")
    assert " ".join(body["scopes"]) == tokens["acme_viewer"]["scope"]
    assert call("nobody", "POST", "/api/v1/auth/verify", {"token": token}, host=GLOBEX).status_code == 403
    assert call("nobody", "POST", "/api/v1/auth/verify", {"token": "x"}).json()["code"] == "invalid_token"


@pytest.mark.parametrize("by", ["refresh token", "spent refresh token", "bearer token"])
def test_signing_out_ends_the_session_and_no_other(call: Call, by: str) -> None:
    tokens, other = sign_in(CAST["acme_viewer"]), sign_in(CAST["acme_viewer"])
    named = {"refresh_token": tokens["refresh_token"]}
    if by == "spent refresh token":
        tokens = refresh(call, tokens["refresh_token"]).json()
    if by == "bearer token":
        response = call("nobody", "POST", "/api/v1/auth/logout", {}, **bearer(tokens["access_token"]))
    else:
        response = call("nobody", "POST", "/api/v1/auth/logout", named)
    assert response.status_code == 204
    assert call("nobody", "GET", "/api/v1/me", **bearer(tokens["access_token"])).status_code == 401
    assert refresh(call, tokens["refresh_token"]).status_code == 401
    assert call("nobody", "GET", "/api/v1/me", **bearer(other["access_token"])).status_code == 200


def test_signing_out_twice_or_with_nonsense_changes_nothing(call: Call) -> None:
    tokens = sign_in(CAST["acme_viewer"])
    for token in (tokens["refresh_token"], tokens["refresh_token"], "tr_nonsense"):
        assert call("nobody", "POST", "/api/v1/auth/logout", {"refresh_token": token}).status_code == 204
    assert call("nobody", "POST", "/api/v1/auth/logout", {}).json()["code"] == "not_authenticated"


# --- Django's authenticate() ------------------------------------------------------------------------------------------


def test_djangos_authenticate_takes_a_bearer_token(db: None, tokens: dict[str, Any]) -> None:
    """A ``BaseBackend`` like any other: it says whose token it is, and enters nothing."""
    request = RequestFactory().get("/", HTTP_HOST=ACME)
    principal = authenticate(request, bearer=tokens["acme_viewer"]["access_token"])
    assert isinstance(principal, Principal)
    assert (principal.kind, principal.role, principal.is_authenticated) == (Kind.MEMBER, "viewer", True)
    assert not hasattr(principal, "is_superuser")
    assert authenticate(request, bearer="nonsense") is None
    with pytest.raises(AttributeError):
        principal.role = "owner"  # type: ignore[misc]  # frozen, and that is the test


def test_an_operators_token_is_another_backends(db: None, tokens: dict[str, Any]) -> None:
    principal = authenticate(None, bearer=tokens["operator"]["access_token"])
    assert isinstance(principal, Principal)
    assert principal.kind is Kind.OPERATOR


def test_djangos_authenticate_takes_an_address_and_a_password(db: None) -> None:
    assert authenticate(None, email="Owner@acme.test", password=PASSWORD) is not None
    assert authenticate(None, email="owner@acme.test", password="wrong") is None
