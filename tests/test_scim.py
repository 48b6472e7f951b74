"""SCIM: a tenant's own directory provisions people, and nothing beyond the tenant."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from config.demo_data import PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.members.models import BarredAddress, Membership
from identity.scim.models import ScimToken
from identity.sessions.models import Session
from tenants.audit.models import AuditEvent
from tenants.registry.models import Tenant
from tests.conftest import ACME, API_HOST, GLOBEX, Actor, Call, sign_in
from tests.dns_server import Zone
from tests.test_domains import NAME, proved
from tests.test_domains import zone as zone  # noqa: PLC0414 -- a fixture

SCIM = "/scim/v2"
USERS = f"{SCIM}/Users"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
ADDRESS = f"ada@{NAME}"


@pytest.fixture
def ours(call: Call, zone: Zone) -> Call:
    """Acme's directory may provision addresses at one domain."""
    proved(call, zone)
    return call


def scim(call: Call, method: str, path: str, data: Any = None, **extra: Any) -> Any:
    """Ask as acme's directory."""
    return call("acme_scim", method, path, data, content_type="application/scim+json", **extra)


def user(email: str = ADDRESS, **more: Any) -> dict[str, Any]:
    """A user as Okta sends one."""
    return {
        "schemas": [USER],
        "userName": email,
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"primary": True, "value": email, "type": "work"}],
        "displayName": "Ada Lovelace",
        "externalId": "00u1",
        "groups": [],
        "active": True,
        **more,
    }


def created(call: Call, email: str = ADDRESS, **more: Any) -> dict[str, Any]:
    response = scim(call, "POST", USERS, user(email, **more))
    assert response.status_code == 201, response.content
    body: dict[str, Any] = response.json()
    return body


def patched(call: Call, pk: str, *operations: dict[str, Any], **extra: Any) -> Any:
    return scim(call, "PATCH", f"{USERS}/{pk}", {"schemas": [PATCH], "Operations": list(operations)}, **extra)


def assert_error(response: Any, status: int, scim_type: str | None = None) -> None:
    assert response.status_code == status, response.content
    assert response.headers["Content-Type"] == "application/scim+json"
    body = response.json()
    assert body["schemas"] == [ERROR]
    assert (body["status"], body.get("scimType")) == (str(status), scim_type)
    assert body["detail"]


def member_id(email: str, tenant: str = "acme") -> str:
    return str(Membership.objects.get(user__email=email, tenant__slug=tenant).pk)


def actions(after: int) -> list[str]:
    rows = AuditEvent.objects.filter(tenant__slug="acme", sequence__gt=after).order_by("sequence")
    return list(rows.values_list("action", flat=True))


def last_event() -> int:
    newest = AuditEvent.objects.filter(tenant__slug="acme").order_by("-sequence").first()
    return newest.sequence if newest else 0


# --- The token --------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh(call: Call) -> dict[str, Any]:
    """A second token of acme."""
    response = call("acme_admin", "POST", "/api/v1/scim-tokens", {"name": "Entra"})
    assert response.status_code == 201, response.content
    found: dict[str, Any] = response.json()
    return found


def ask(call: Call, token: str, path: str = USERS, host: str = ACME, method: str = "GET") -> Any:
    return call("nobody", method, path, host=host, HTTP_AUTHORIZATION=f"Bearer {token}")


def test_a_token_is_shown_once_and_kept_as_a_digest(call: Call, fresh: dict[str, Any]) -> None:
    token = fresh["token"]
    assert token.startswith("tscim_")
    listed = call("acme_admin", "GET", "/api/v1/scim-tokens").json()["results"]
    assert {row["name"] for row in listed} == {"Okta", "Entra"}
    assert not any("token" in row or "digest" in row for row in listed)
    row = ScimToken.objects.defer(None).get(pk=fresh["id"])
    assert len(bytes(row.digest)) == 32
    assert token.encode() not in bytes(row.digest)
    assert row.hint == token[-4:]
    assert ask(call, token).status_code == 200
    row.refresh_from_db()
    assert row.last_used_at is not None


def test_two_tokens_are_live_and_no_third(call: Call, fresh: dict[str, Any]) -> None:
    response = call("acme_admin", "POST", "/api/v1/scim-tokens", {"name": "Third"})
    assert (response.status_code, response.json()["code"]) == (409, "too_many_scim_tokens")
    assert call("acme_admin", "DELETE", f"/api/v1/scim-tokens/{fresh['id']}").status_code == 204
    assert_error(ask(call, fresh["token"]), 401)
    assert call("acme_admin", "POST", "/api/v1/scim-tokens", {"name": "Third"}).status_code == 201


def test_a_token_expires(call: Call, fresh: dict[str, Any]) -> None:
    ScimToken.objects.filter(pk=fresh["id"]).update(expires_at=timezone.now() + timedelta(minutes=1))
    assert ask(call, fresh["token"]).status_code == 200
    ScimToken.objects.filter(pk=fresh["id"]).update(expires_at=timezone.now() - timedelta(minutes=1))
    assert_error(ask(call, fresh["token"]), 401)


def test_only_administrators_manage_tokens_and_with_a_recent_sign_in(call: Call, settings: Any) -> None:
    for actor in ("acme_member", "acme_viewer", "acme_client", "acme_support"):
        assert call(actor, "GET", "/api/v1/scim-tokens").status_code == 403, actor
    settings.STEP_UP_MAX_AGE = timedelta(0)
    response = call("acme_owner", "POST", "/api/v1/scim-tokens", {"name": "x"})
    assert response.json()["code"] == "insufficient_user_authentication"


def test_a_token_is_good_in_its_own_tenant_alone(call: Call, fresh: dict[str, Any]) -> None:
    assert_error(ask(call, fresh["token"], host=GLOBEX), 403)
    assert (
        ask(call, fresh["token"], host=API_HOST).json()["totalResults"]
        == Membership.objects.filter(tenant__slug="acme").count()
    ), "on an API host, the token says the tenant"


def test_a_token_that_is_made_up_is_refused(call: Call, fresh: dict[str, Any]) -> None:
    """Another tenant's id in it, another secret, another spelling of the same bits, and what is no token at all."""
    token = fresh["token"]
    other = call("globex_owner", "POST", "/api/v1/scim-tokens", {"name": "x"}).json()["token"]
    ids, _, secret = token.partition(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelt = ids[:-1] + alphabet[alphabet.index(ids[-1]) ^ 1]
    for text in (
        f"{ids}.{secret[:-1]}{'A' if secret[-1] != 'A' else 'B'}", f"{other.partition('.')[0]}.{secret}",
        f"{ids}.{other.partition('.')[2]}", f"{respelt}.{secret}", f"{token}=", token[6:], "tscim_", token.upper(),
    ):  # fmt: skip
        response = ask(call, text, host=API_HOST)
        assert_error(response, 401)
        assert 'error="invalid_token"' in response.headers["WWW-Authenticate"]
    assert_error(call("nobody", "GET", USERS), 401)


def test_no_other_token_opens_scim_and_a_scim_token_opens_nothing_else(
    call: Call, tokens: dict[str, dict[str, Any]], machine: tuple[str, str]
) -> None:
    kinds = [tokens[actor]["access_token"] for actor in tokens if actor != "acme_scim"]
    kinds += [tokens["acme_owner"]["refresh_token"], machine[1]]
    for token in kinds:
        assert_error(ask(call, token, host=API_HOST), 401)
        assert_error(ask(call, token, f"{SCIM}/ServiceProviderConfig", host=API_HOST), 401)
    ours = tokens["acme_scim"]["access_token"]
    for path in ("/api/v1/me", "/api/v1/members", "/api/v1/projects", "/api/v1/scim-tokens", "/operator/v1/tenants"):
        assert ask(call, ours, path, host=API_HOST).status_code == 401, path
    for path, body in {
        "/api/v1/auth/verify": {"token": ours},
        "/api/v1/auth/refresh": {"refresh_token": ours},
        "/api/v1/invitations/accept": {"token": ours, "password": PASSWORD, "name": ""},
    }.items():
        assert call("nobody", "POST", path, body, host=API_HOST).status_code in (400, 401), path


def test_a_suspended_tenant_is_closed_to_its_directory(call: Call) -> None:
    Tenant.objects.filter(slug="acme").update(status="suspended")
    assert_error(scim(call, "GET", USERS), 403)
    assert_error(scim(call, "POST", USERS, user()), 403)


# --- Users ------------------------------------------------------------------------------------------------------------


def test_a_user_is_a_member_who_signs_in_by_a_mailed_link(ours: Call) -> None:
    before = last_event()
    response = scim(ours, "POST", USERS, user(roles=[{"value": "owner"}], id="x", password="x" * 20, isAdmin=True))
    body = response.json()
    assert response.status_code == 201
    assert response.headers["Content-Type"] == "application/scim+json"
    assert response.headers["Location"] == body["meta"]["location"] == f"http://{ACME}{USERS}/{body['id']}"
    assert response.headers["ETag"] == body["meta"]["version"]
    assert (body["userName"], body["externalId"], body["active"]) == (ADDRESS, "00u1", True)
    assert body["roles"] == [{"value": "member", "primary": True}], "nobody is made an owner by asking for it"
    assert "password" not in body
    account = User.objects.get(email=ADDRESS)
    assert (account.has_usable_password(), account.email_verified_at) == (False, None)
    assert actions(before) == ["member.added"]
    event = AuditEvent.objects.filter(tenant__slug="acme").latest("sequence")
    token = ScimToken.objects.get(tenant__slug="acme")
    assert (event.actor_kind, event.actor_id) == ("directory", token.pk)
    assert event.changes["reason"] == [None, "directory"]


@pytest.mark.parametrize("state", ["none", "proved", "claimed", "closed"])
def test_the_answer_does_not_tell_whether_there_was_an_account(ours: Call, state: str) -> None:
    """Nor is one taken over: what its person has proved stays as it is. What nobody has proved may be a stranger's."""
    if state != "none":
        account = accounts.create_user(email=ADDRESS, password=PASSWORD, name="Her Own", verified=state != "claimed")
        accounts.set_active(user_id=account.pk, is_active=state != "closed")
    if state == "claimed":
        sign_in(Actor(ADDRESS, API_HOST))
    body = created(ours)
    expected = user()
    del expected["groups"]
    shown = {name: value for name, value in body.items() if name in expected}
    assert shown == expected
    account = User.objects.get(email=ADDRESS)
    if state in {"proved", "closed"}:
        assert (account.name, account.check_password(PASSWORD)) == ("Her Own", True)
    else:
        assert not account.has_usable_password()
        assert not Session.objects.filter(user=account, ended_at=None).exists(), "the stranger is out"


def test_an_address_elsewhere_is_refused_whoever_has_it(ours: Call, zone: Zone) -> None:
    """Also one at a domain that another tenant has proved, and one that only looks like ours."""
    proved(ours, zone, "globex-mail.test", "globex_owner")
    accounts.create_user(email="eve@elsewhere.test", password=PASSWORD)
    for email in (
        "eve@elsewhere.test", "nobody@elsewhere.test", "owner@globex.test", "ceo@globex-mail.test", f"a@sub.{NAME}",
        f"a@evil-{NAME}", f'"a@{NAME}"@elsewhere.test',
    ):  # fmt: skip
        before = User.objects.count()
        response = scim(ours, "POST", USERS, user(email))
        assert_error(response, 400, "invalidValue")
        assert "proved" in response.json()["detail"]
        assert User.objects.count() == before
    assert_error(scim(ours, "POST", USERS, {"schemas": [USER], "userName": "no address"}), 400, "invalidValue")


def test_names_addresses_and_external_ids_are_unique(ours: Call) -> None:
    created(ours)
    assert_error(scim(ours, "POST", USERS, user()), 409, "uniqueness")
    assert_error(scim(ours, "POST", USERS, user(ADDRESS.upper(), externalId="00u2")), 409, "uniqueness")
    assert_error(scim(ours, "POST", USERS, user(f"b@{NAME}")), 409, "uniqueness")
    again = user(ADDRESS, userName="another", externalId="00u3")
    assert_error(scim(ours, "POST", USERS, again), 409, "uniqueness")
    member = user(f"c@{NAME}", userName="VIEWER@acme.test", externalId="00u4")
    assert_error(scim(ours, "POST", USERS, member), 409, "uniqueness")


def test_members_who_came_otherwise_are_users_too(ours: Call) -> None:
    pk = member_id("viewer@acme.test")
    found = scim(ours, "GET", f'{USERS}?filter=userName eq "Viewer@acme.test"').json()
    assert [row["id"] for row in found["Resources"]] == [pk]
    assert found["Resources"][0]["roles"] == [{"value": "viewer", "primary": True}]
    response = patched(ours, pk, {"op": "add", "path": "externalId", "value": "00u9"})
    assert response.json()["externalId"] == "00u9"
    assert Membership.objects.get(pk=pk).role == "viewer"


def test_who_is_suspended_is_out_at_once_and_back_when_active(ours: Call) -> None:
    pk = member_id("member@acme.test")
    assert ours("acme_member", "GET", "/api/v1/projects").status_code == 200
    before = last_event()
    assert patched(ours, pk, {"op": "replace", "value": {"active": False}}).json()["active"] is False
    assert ours("acme_member", "GET", "/api/v1/projects").status_code == 401
    body = {"email": "member@acme.test", "password": PASSWORD}
    assert ours("nobody", "POST", "/api/v1/auth/login", body).status_code == 403
    assert patched(ours, pk, {"op": "replace", "path": "active", "value": True}).json()["active"] is True
    assert ours("acme_member", "GET", "/api/v1/projects").status_code == 401, "the old token is void for good"
    assert ours("nobody", "POST", "/api/v1/auth/login", body).status_code == 200
    assert actions(before) == ["member.suspended", "member.reactivated"]


def test_a_suspended_member_comes_in_by_no_other_way(ours: Call, tokens: dict[str, dict[str, Any]]) -> None:
    session = sign_in(Actor("member@acme.test", ACME))
    patched(ours, member_id("member@acme.test"), {"op": "replace", "path": "active", "value": False})
    refresh = {"refresh_token": session["refresh_token"]}
    assert ours("nobody", "POST", "/api/v1/auth/refresh", refresh, host=API_HOST).status_code in (401, 403)
    pk = member_id("both@people.test")
    elsewhere = sign_in(Actor("both@people.test", GLOBEX))["access_token"]
    patched(ours, pk, {"op": "replace", "path": "active", "value": False})
    response = ours(
        "nobody", "POST", "/api/v1/auth/switch", {"tenant": "acme"}, host=API_HOST,
        HTTP_AUTHORIZATION=f"Bearer {elsewhere}",
    )  # fmt: skip
    assert response.status_code == 403
    assert ask(ours, elsewhere, "/api/v1/projects", host=GLOBEX).status_code == 200, "the other tenant is not concerned"


def test_owners_are_not_the_directorys(ours: Call) -> None:
    """The last one least of all: whatever it asks for."""
    pk = member_id("owner@acme.test")
    version = Membership.objects.get(pk=pk).version
    for value in (False, "False", "false"):
        assert_error(patched(ours, pk, {"op": "replace", "path": "active", "value": value}), 409, "mutability")
    shown = scim(ours, "GET", f"{USERS}/{pk}").json()
    assert_error(scim(ours, "PUT", f"{USERS}/{pk}", {**shown, "active": False}), 409, "mutability")
    assert_error(scim(ours, "DELETE", f"{USERS}/{pk}"), 409, "mutability")
    assert Membership.objects.get(pk=pk).version == version
    assert ours("acme_owner", "GET", "/api/v1/projects").status_code == 200


def test_deleting_a_user_removes_the_member_and_keeps_the_account(ours: Call) -> None:
    body = created(ours)
    assert scim(ours, "DELETE", f"{USERS}/{body['id']}").status_code == 204
    assert_error(scim(ours, "GET", f"{USERS}/{body['id']}"), 404)
    assert_error(scim(ours, "DELETE", f"{USERS}/{body['id']}"), 404)
    account = User.objects.get(email=ADDRESS)
    assert account.is_active
    assert BarredAddress.objects.filter(tenant__slug="acme").exists(), "nobody comes back by their address alone"
    assert created(ours)["id"] != body["id"]
    assert User.objects.get(email=ADDRESS).pk == account.pk


def test_another_tenants_user_is_not_there(ours: Call) -> None:
    pk = member_id("owner@globex.test", "globex")
    assert_error(scim(ours, "GET", f"{USERS}/{pk}"), 404)
    assert_error(scim(ours, "DELETE", f"{USERS}/{pk}"), 404)
    assert_error(patched(ours, pk, {"op": "replace", "path": "active", "value": False}), 404)
    assert_error(scim(ours, "PUT", f"{USERS}/{pk}", user()), 404)
    assert scim(ours, "GET", f'{USERS}?filter=id eq "{pk}"').json()["totalResults"] == 0


def test_seats_are_counted(ours: Call) -> None:
    pk = created(ours, active=False)["id"]
    Tenant.objects.filter(slug="acme").update(
        seat_limit=Membership.objects.filter(tenant__slug="acme", status="active").count()
    )
    assert_error(patched(ours, pk, {"op": "replace", "path": "active", "value": True}), 409)
    assert_error(scim(ours, "POST", USERS, user(f"b@{NAME}", externalId="00u2")), 409)
    assert created(ours, f"b@{NAME}", externalId="00u2", active=False)["active"] is False


def test_what_a_directory_says_never_reaches_the_account(ours: Call) -> None:
    """Another address in a directory does not lead to another account, and a name is the person's own."""
    pk = created(ours)["id"]
    victim = "owner@globex.test"
    response = patched(
        ours, pk,
        {"op": "replace", "path": "userName", "value": victim},
        {"op": "replace", "path": "emails", "value": [{"value": victim, "primary": True}]},
        {"op": "replace", "path": "displayName", "value": "Somebody else"},
    )  # fmt: skip
    assert response.json()["userName"] == victim
    account = Membership.objects.get(pk=pk).user
    assert (account.email, account.name) == (ADDRESS, "Ada Lovelace")
    event = AuditEvent.objects.filter(tenant__slug="acme").latest("sequence")
    assert (event.action, event.changes) == (
        "scim_user.changed",
        {"attributes": [None, ["displayName", "emails", "userName"]]},
    )


# --- Versions ---------------------------------------------------------------------------------------------------------


def test_a_version_is_changed_once(ours: Call) -> None:
    body = created(ours)
    path, version = f"{USERS}/{body['id']}", body["meta"]["version"]
    assert scim(ours, "GET", path, HTTP_IF_NONE_MATCH=version).status_code == 304
    rename = {"op": "replace", "path": "displayName", "value": "Countess"}
    first = patched(ours, body["id"], rename, HTTP_IF_MATCH=version)
    assert first.status_code == 200
    assert first.headers["ETag"] != version
    assert_error(patched(ours, body["id"], rename, HTTP_IF_MATCH=version), 412)
    assert_error(scim(ours, "PUT", path, user(), HTTP_IF_MATCH=version), 412)
    assert_error(scim(ours, "DELETE", path, HTTP_IF_MATCH=version), 412)
    assert scim(ours, "GET", path, HTTP_IF_NONE_MATCH=version).status_code == 200
    assert scim(ours, "DELETE", path, HTTP_IF_MATCH=first.headers["ETag"]).status_code == 204
