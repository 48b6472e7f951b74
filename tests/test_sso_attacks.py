"""Attacks on single sign-on: whoever runs one tenant's provider, or holds something of a sign-in by it."""

from typing import Any

import pytest
from django.db import ProgrammingError, transaction

from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.domains.models import DomainClaim
from identity.members import services as members
from identity.members.models import Membership
from identity.sessions.models import Session
from identity.sso.models import Connection, MemberIdentity
from tenants.audit.models import AuditEvent
from tenants.context.entry import enter
from tenants.registry.models import Tenant
from tests.conftest import ACME, API_HOST, GLOBEX, Call
from tests.openid_provider import OpenIdProvider
from tests.sso import (
    ADDRESS,
    BEGIN,
    CONNECTIONS,
    DOMAIN,
    RETURN_TO,
    VERIFIER,
    ask,
    begun,
    came_back,
    connected,
    exchanged,
    person,
    prove,
    role_of,
    sign_in,
    signed_in,
)
from tests.test_members import code, compose
from tests.test_members import signed_in as member_signed_in

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def own(call: Call, openid_provider: OpenIdProvider) -> dict[str, Any]:
    """Acme's connection to its provider; acme has proved its domain."""
    prove()
    return connected(call, openid_provider)


# --- Whoever runs the provider ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"email": "ada@globex-own.test"}, "foreign_identity"),  # another tenant's domain
        ({"email": "owner@acme.test"}, "foreign_identity"),  # nobody's
        ({"email": f"ada@sub.{DOMAIN}"}, "foreign_identity"),
        ({"email": f"ada@{DOMAIN}.evil.test"}, "foreign_identity"),
        ({"email": f"ada@evil.test@{DOMAIN}"}, "address_not_vouched_for"),
        ({"email": f"ada@{DOMAIN}", "email_verified": False}, "address_not_vouched_for"),
        ({"email": "a" * 250 + f"@{DOMAIN}"}, "address_not_vouched_for"),
        ({"email": f"ada\n@{DOMAIN}"}, "address_not_vouched_for"),
        ({}, "address_not_vouched_for"),
    ],
)
def test_it_speaks_for_its_own_addresses_alone(
    call: Call, openid_provider: OpenIdProvider, claims: dict[str, Any], error: str
) -> None:
    prove("globex", "globex-own.test")
    accounts_before = User.objects.count()
    openid_provider.set_account("mallory", **claims)
    assert code(sign_in(call, openid_provider, "mallory")) == error
    assert User.objects.count() == accounts_before
    assert not MemberIdentity.objects.exists()


def test_what_need_not_be_verified_must_not_be_denied(call: Call, openid_provider: OpenIdProvider) -> None:
    prove()
    connected(call, openid_provider, trusts_addresses=True)
    openid_provider.set_account("ada", email=ADDRESS, email_verified=False)
    assert code(sign_in(call, openid_provider, "ada")) == "address_not_vouched_for"


def test_an_identity_does_not_become_another_by_its_address(
    call: Call, openid_provider: OpenIdProvider, own: dict[str, Any]
) -> None:
    victim = person(f"victim@{DOMAIN}", slug="acme", role="admin")
    openid_provider.set_account("mallory", email=f"mallory@{DOMAIN}")
    signed_in(call, openid_provider, "mallory")
    openid_provider.set_account("mallory", email=victim.email)
    assert code(sign_in(call, openid_provider, "mallory")) == "identity_mismatch"
    openid_provider.set_account("victim", email=victim.email)
    signed_in(call, openid_provider, "victim")
    openid_provider.set_account("mallory-2", email=victim.email)
    assert code(sign_in(call, openid_provider, "mallory-2")) == "identity_mismatch"


@pytest.mark.usefixtures("own")
def test_its_session_reaches_nothing_of_the_person_beyond_the_tenant(
    call: Call, openid_provider: OpenIdProvider
) -> None:
    victim = person(slug="acme", role="admin")
    globex = Tenant.objects.get(slug="globex")
    members.add_member(tenant_id=globex.pk, user_id=victim.pk, role="admin")
    openid_provider.set_account("ada", email=ADDRESS, amr=["mfa"])
    tokens = signed_in(call, openid_provider, "ada")
    assert [each["slug"] for each in ask(call, tokens, "GET", "/api/v1/me/tenants").json()] == ["acme"]
    own_tokens = call(
        "nobody", "POST", "/api/v1/auth/login", {"email": ADDRESS, "password": "tenantry-demo-password"}, host=ACME
    ).json()
    assert {each["slug"] for each in ask(call, own_tokens, "GET", "/api/v1/me/tenants").json()} == {"acme", "globex"}
    for method, path, body in (
        ("POST", "/api/v1/auth/switch", {"tenant": "globex"}),
        ("GET", "/api/v1/me/sessions", None),
        ("DELETE", "/api/v1/me", None),
        ("PATCH", "/api/v1/me", {"name": "Mallory"}),
        ("POST", "/api/v1/auth/password/change", {"current_password": "x", "new_password": "y" * 20}),
        ("POST", "/api/v1/auth/step-up", {"password": "tenantry-demo-password"}),
        ("GET", "/api/v1/me/identities", None),
        ("GET", "/api/v1/me/second-factors", None),
        ("POST", "/api/v1/me/second-factors/totp", None),
        ("POST", "/api/v1/tenants", {"name": "Mine", "slug": "mine"}),
    ):
        answer = ask(call, tokens, method, path, body)
        assert code(answer) == "insufficient_scope", (path, answer.content)
    assert call("nobody", "GET", "/api/v1/members", host=GLOBEX, HTTP_AUTHORIZATION=f"Bearer {tokens['access_token']}")
    refreshed = call("nobody", "POST", "/api/v1/auth/refresh", {"refresh_token": tokens["refresh_token"]}, host=GLOBEX)
    assert code(refreshed) == "tenant_mismatch"
    session = Session.objects.get(way="sso")
    assert session.tenant_id == Tenant.objects.get(slug="acme").pk


def test_nobody_becomes_an_owner_by_it_nor_comes_in_as_one(call: Call, openid_provider: OpenIdProvider) -> None:
    prove()
    owner = person(slug="acme", role="owner")
    mapped = {"groups_claim": "groups", "group_roles": [{"group": "Root", "role": "owner"}]}
    row = connected(call, openid_provider, "acme_admin")
    path = f"{CONNECTIONS}/{row['id']}"
    assert code(call("acme_owner", "PATCH", path, mapped)) == "owner_by_sso"
    assert code(call("acme_owner", "PATCH", path, {"default_role": "owner"})) == "owner_by_sso"
    openid_provider.set_account("ada", email=owner.email, groups=["Root"])
    assert code(sign_in(call, openid_provider, "ada")) == "owners_not_admitted"
    assert code(call("acme_admin", "PATCH", path, {"admits_owners": True})) == "outranked"
    assert call("acme_owner", "PATCH", path, {"admits_owners": True}).status_code == 200
    assert signed_in(call, openid_provider, "ada")["role"] == "owner"
    evil = {"issuer": "https://evil.test", "client_secret": "x"}
    assert code(call("acme_admin", "PATCH", path, evil)) == "outranked", "it would come in as the owner"
    assert code(call("acme_admin", "POST", f"{path}/enable")) == "outranked"
    staff = {"groups_claim": "groups", "group_roles": [{"group": "Root", "role": "viewer"}]}
    assert call("acme_owner", "PATCH", path, staff).status_code == 200
    assert signed_in(call, openid_provider, "ada")["role"] == "owner", "an owner stays one"


def test_a_member_who_becomes_owner_does_not_by_a_session_from_before(
    call: Call, openid_provider: OpenIdProvider, own: dict[str, Any]
) -> None:
    person(slug="acme", role="admin")
    openid_provider.set_account("ada", email=ADDRESS)
    tokens = signed_in(call, openid_provider, "ada")
    pk = Membership.objects.get(user__email=ADDRESS).pk
    assert call("acme_owner", "PATCH", f"/api/v1/members/{pk}", {"role": "owner"}).status_code == 200
    refresh = {"refresh_token": tokens["refresh_token"]}
    assert code(call("nobody", "POST", "/api/v1/auth/refresh", refresh, host=API_HOST)) == "invalid_token"


# --- Whoever may administer a little ----------------------------------------------------------------------------------


def test_nobody_lets_in_more_than_they_are(call: Call, openid_provider: OpenIdProvider) -> None:
    compose("sso-clerk", "sso:write")
    clerk = member_signed_in("clerk@acme.test", "sso-clerk")
    body = {"name": "Evil", "issuer": "https://evil.test", "client_id": "x", "client_secret": "y"}
    assert code(ask(call, clerk, "POST", CONNECTIONS, body)) == "scope_not_held"
    row = connected(call, openid_provider)
    path = f"{CONNECTIONS}/{row['id']}"
    for change in ({"issuer": "https://evil.test"}, {"trusts_addresses": True}, {"groups_claim": "groups"}):
        assert code(ask(call, clerk, "PATCH", path, change)) == "outranked"
    assert code(ask(call, clerk, "POST", f"{path}/enable")) == "outranked"
    compose("secretive", "support-access:write")
    mapped = {"group_roles": [{"group": "A", "role": "secretive"}]}
    assert code(call("acme_admin", "PATCH", path, mapped)) == "scope_not_held"
    assert call("acme_owner", "PATCH", path, mapped).status_code == 200


def test_another_tenants_connection_is_nobodys(call: Call, own: dict[str, Any]) -> None:
    path = f"{CONNECTIONS}/{own['id']}"
    for method, tail, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "Mine"}),
        ("DELETE", "", None),
        ("POST", "/enable", None),
        ("POST", "/disable", None),
        ("POST", "/test", None),
        ("POST", "/test/result", {"code": "x", "code_verifier": VERIFIER}),
    ):
        assert call("globex_owner", method, path + tail, body).status_code == 404, tail
    assert call("globex_owner", "GET", f"{path}/identities").json()["results"] == []
    assert call("acme_member", "GET", path).status_code == 403


# --- Something of a sign-in -------------------------------------------------------------------------------------------


def test_an_answer_is_for_its_own_attempt_once(
    call: Call, openid_provider: OpenIdProvider, own: dict[str, Any]
) -> None:
    prove("globex", "globex-own.test")
    connected(call, openid_provider, "globex_owner")
    openid_provider.set_account("ada", email=ADDRESS)
    ours = openid_provider.sign_in(begun(call), "ada")
    theirs = openid_provider.sign_in(begun(call, tenant="globex"), "ada")
    state = {url: url.partition("state=")[2].partition("&")[0] for url in (ours, theirs)}
    told = came_back(call, ours.replace(state[ours], state[theirs]))
    assert told["error"] == "provider_refused", "the code is another client's, with another verifier"
    assert call("nobody", "GET", theirs.partition("8000")[2], host=API_HOST).json()["code"] == "unknown_attempt"
    assert call("nobody", "GET", "/auth/sso/callback?state=x&code=y", host=API_HOST).status_code == 400
    assert call("nobody", "GET", ours.partition("8000")[2], host=ACME).status_code == 404, "not on tenants' hosts"
    assert not Session.objects.filter(way="sso").exists()


@pytest.mark.usefixtures("own")
def test_a_code_is_for_who_began_on_the_tenants_own_host(call: Call, openid_provider: OpenIdProvider) -> None:
    openid_provider.set_account("ada", email=ADDRESS)

    def fresh() -> str:
        return came_back(call, openid_provider.sign_in(begun(call), "ada"))["code"]

    assert code(exchanged(call, fresh(), verifier="w" * 43)) == "invalid_code"
    assert code(exchanged(call, fresh(), host=GLOBEX)) == "tenant_mismatch"
    used = fresh()
    assert exchanged(call, used).status_code == 200
    assert code(exchanged(call, used)) == "invalid_code"
    assert code(call("nobody", "POST", "/api/v1/auth/sso/start", BEGIN | {"tenant": "acme"}, host=GLOBEX)) == (
        "tenant_mismatch"
    )


def test_a_trial_signs_nobody_in_and_is_for_who_began(
    call: Call, openid_provider: OpenIdProvider, own: dict[str, Any]
) -> None:
    openid_provider.set_account("ada", email=ADDRESS)
    path = f"{CONNECTIONS}/{own['id']}/test"

    def fresh() -> str:
        url = call("acme_owner", "POST", path, BEGIN).json()["authorization_url"]
        return came_back(call, openid_provider.sign_in(url, "ada"))["code"]

    assert code(exchanged(call, fresh())) == "invalid_code"
    body = {"code": fresh(), "code_verifier": VERIFIER}
    assert code(call("acme_admin", "POST", f"{path}/result", body)) == "invalid_code"


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    "return_to",
    ["https://evil.test/", "http://localhost:8000@evil.test/", "//evil.test", "http://globex.localhost:8000/x",
     "javascript:alert(1)", f"{RETURN_TO}#x"],
)  # fmt: skip
def test_nobody_is_led_elsewhere(call: Call, return_to: str) -> None:
    body = BEGIN | {"tenant": "acme", "return_to": return_to}
    answer = call("nobody", "POST", "/api/v1/auth/sso/start", body, host=API_HOST)
    assert [each["code"] for each in answer.json()["errors"]] == ["foreign_return_to"]


# --- Whom the tenant does not have ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("own")
def test_whoever_was_put_out_does_not_come_back_by_it(call: Call, openid_provider: OpenIdProvider) -> None:
    openid_provider.set_account("ada", email=ADDRESS)
    signed_in(call, openid_provider, "ada")
    pk = Membership.objects.get(user__email=ADDRESS).pk
    assert call("acme_admin", "POST", f"/api/v1/members/{pk}/suspend").status_code == 200
    assert code(sign_in(call, openid_provider, "ada")) == "not_admitted"
    assert call("acme_admin", "POST", f"/api/v1/members/{pk}/reactivate").status_code == 200
    assert call("acme_admin", "DELETE", f"/api/v1/members/{pk}").status_code == 204
    assert not MemberIdentity.objects.exists()
    assert code(sign_in(call, openid_provider, "ada")) == "not_admitted"
    assert not Membership.objects.filter(user__email=ADDRESS).exists()


@pytest.mark.usefixtures("own")
def test_whoever_the_directory_deactivated_stays_out(call: Call, openid_provider: OpenIdProvider) -> None:
    person(slug="acme")
    member = Membership.objects.get(user__email=ADDRESS)
    members.provision_status(tenant_id=member.tenant_id, membership_id=member.pk, is_active=False)
    openid_provider.set_account("ada", email=ADDRESS)
    assert code(sign_in(call, openid_provider, "ada")) == "not_admitted"
    members.deprovision(tenant_id=member.tenant_id, membership_id=member.pk)
    assert code(sign_in(call, openid_provider, "ada")) == "not_admitted"


@pytest.mark.usefixtures("own")
def test_a_closed_account_stays_closed(call: Call, openid_provider: OpenIdProvider) -> None:
    user = person()
    accounts.set_active(user_id=user.pk, is_active=False)
    openid_provider.set_account("ada", email=ADDRESS)
    assert code(sign_in(call, openid_provider, "ada")) == "not_admitted"


def test_nobody_joins_where_nobody_is_to(call: Call, openid_provider: OpenIdProvider) -> None:
    prove()
    connected(call, openid_provider, joins=False)
    openid_provider.set_account("ada", email=ADDRESS)
    assert code(sign_in(call, openid_provider, "ada")) == "not_admitted"
    assert not User.objects.filter(email=ADDRESS).exists()


@pytest.mark.usefixtures("own")
def test_no_seat_is_taken_beyond_the_last(call: Call, openid_provider: OpenIdProvider) -> None:
    acme = Tenant.objects.filter(slug="acme")
    acme.update(seat_limit=Membership.objects.filter(tenant__slug="acme").count())
    openid_provider.set_account("ada", email=ADDRESS)
    assert code(sign_in(call, openid_provider, "ada")) == "seat_limit"
    assert not User.objects.filter(email=ADDRESS).exists()


@pytest.mark.usefixtures("own")
def test_a_stranger_who_registered_first_loses_their_way_in(call: Call, openid_provider: OpenIdProvider) -> None:
    accounts.create_user(email=ADDRESS, password="a stranger's password", verified=False)
    openid_provider.set_account("ada", email=ADDRESS)
    assert signed_in(call, openid_provider, "ada")["role"] == "member"
    assert not User.objects.get(email=ADDRESS).has_usable_password()
    assert role_of() == "member"


def test_a_proof_that_is_over_lets_nobody_in(call: Call, openid_provider: OpenIdProvider, own: dict[str, Any]) -> None:
    openid_provider.set_account("ada", email=ADDRESS)
    told = came_back(call, openid_provider.sign_in(begun(call), "ada"))
    DomainClaim.objects.filter(domain=DOMAIN).delete()
    assert code(exchanged(call, told["code"])) == "foreign_identity"
    prove("globex")
    assert code(sign_in(call, openid_provider, "ada")) == "foreign_identity", "it is another tenant's now"


# --- Secrets ----------------------------------------------------------------------------------------------------------


def test_a_secret_is_nowhere_to_be_read(
    call: Call, openid_provider: OpenIdProvider, own: dict[str, Any], caplog: Any
) -> None:
    secret = "a-very-secret-client-secret"
    path = f"{CONNECTIONS}/{own['id']}"
    shown = call("acme_owner", "PATCH", path, {"client_secret": secret})
    test = call("acme_owner", "POST", f"{path}/test", BEGIN)
    for answer in (shown, test, call("acme_owner", "GET", path), call("acme_owner", "GET", CONNECTIONS)):
        assert secret.encode() not in answer.content
        assert b"client_secret" not in answer.content.replace(b'"name":"client_secret"', b"")
    kept = Connection.objects.defer(None).values_list("client_secret", flat=True).get(pk=own["id"])
    assert secret.encode() not in bytes(kept)
    events = str(list(AuditEvent.objects.filter(tenant__slug="acme").values_list("changes", "targets")))
    assert "client_secret" in events
    assert secret not in events
    assert secret not in caplog.text
    with enter(Tenant.objects.get(slug="acme").pk):
        with pytest.raises(ProgrammingError), transaction.atomic():
            list(Connection.objects.values_list("client_secret"))
        assert Connection.objects.count() == 1
    with enter(Tenant.objects.get(slug="globex").pk):
        assert Connection.objects.count() == 0
        assert MemberIdentity.objects.count() == 0
