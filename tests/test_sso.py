"""A tenant's own provider: connected, tried, enabled; whom it lets in, as what, and how that ends."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from identity.accounts.models import User
from identity.domains import services as domains
from identity.members.models import Membership
from identity.sessions.models import Session
from identity.sso import services
from identity.sso.errors import SsoRequired, SsoUnavailable
from identity.sso.models import Connection, MemberIdentity, SpentLogout
from tenants.registry import services as registry
from tenants.registry.models import Tenant
from tenants.registry.sign_in_policy import SignInPolicy
from tests.conftest import ACME, API_HOST, Call
from tests.dns_server import Zone
from tests.openid_provider import OpenIdProvider
from tests.sso import (
    ADDRESS,
    BEGIN,
    CONNECTIONS,
    DOMAIN,
    VERIFIER,
    ask,
    begun,
    came_back,
    connected,
    person,
    prove,
    sign_in,
    signed_in,
)
from tests.test_domains import zone as zone  # noqa: PLC0414 -- a fixture
from tests.test_members import code, compose, events
from tests.test_scim import created, scim

WANTED = {
    "name": "Okta",
    "issuer": "https://idp.marsh.test",
    "client_id": "tenantry",
    "client_secret": "a-secret-that-nobody-sees-again",
    "joins": True,
}


@pytest.fixture
def ada(openid_provider: OpenIdProvider) -> str:
    """Somebody at the provider, with a verified address at acme's domain; returns their ``sub``."""
    return openid_provider.set_account("ada", email=ADDRESS, name="Ada Lovelace", groups=["Staff"])


@pytest.fixture
def own(call: Call, openid_provider: OpenIdProvider) -> dict[str, Any]:
    """Acme's connection to the provider, enabled; and its domain, proved."""
    prove()
    return connected(call, openid_provider)


# --- What administrators do -------------------------------------------------------------------------------------------


def test_a_connection_is_added_shown_changed_and_deleted(call: Call) -> None:
    before = events()
    answer = call("acme_admin", "POST", CONNECTIONS, WANTED)
    assert answer.status_code == 201, answer.content
    row = answer.json()
    assert (row["status"], row["tested_at"], row["default_role"]) == ("draft", None, "member")
    assert "client_secret" not in row
    path = f"{CONNECTIONS}/{row['id']}"
    assert row["at_provider"] == {
        "redirect_uri": "http://localhost:8000/auth/sso/callback",
        "backchannel_logout_uri": f"http://localhost:8000/auth/sso/{row['id']}/backchannel-logout",
        "initiate_login_uri": f"http://localhost:8000/auth/sso/{row['id']}/initiate",
    }
    assert call("acme_admin", "GET", path).json() == row
    mapped = {"groups_claim": "groups", "group_roles": [{"group": "Staff", "role": "viewer"}]}
    changed = call("acme_admin", "PATCH", path, mapped).json()
    assert changed["group_roles"] == mapped["group_roles"]
    assert call("acme_admin", "PATCH", path, {"group_roles": []}).json()["group_roles"] == []
    assert [each["id"] for each in call("acme_admin", "GET", CONNECTIONS).json()["results"]] == [row["id"]]
    assert code(call("acme_admin", "POST", f"{path}/enable")) == "connection_not_tested"
    assert call("acme_admin", "POST", f"{path}/disable").json()["status"] == "draft"
    assert call("acme_admin", "DELETE", path).status_code == 204
    assert not Connection.objects.exists()
    assert events() > before


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"issuer": "ftp://idp.test"}, "invalid_issuer"),
        ({"issuer": "https://idp.test/?a=b"}, "invalid_issuer"),
        ({"issuer": "https://somebody@idp.test"}, "invalid_issuer"),
        ({"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"}, "invalid_issuer"),
        ({"scope": "email"}, "invalid_scope"),
        ({"default_role": "admin"}, "unfit_role"),
        ({"default_role": "nobody"}, "unknown_role"),
        ({"status": "enabled"}, "read_only"),
        ({"tested_at": "2026-01-01T00:00:00Z"}, "read_only"),
        ({"group_roles": [{"group": "A", "role": "viewer"}, {"group": "A", "role": "member"}]}, "duplicate"),
    ],
)
def test_bad_values_are_refused(call: Call, values: dict[str, Any], error: str) -> None:
    answer = call("acme_admin", "POST", CONNECTIONS, WANTED | values)
    assert answer.status_code == 400, answer.content
    assert [each["code"] for each in answer.json()["errors"]] == [error]


def test_there_are_at_most_five(call: Call, settings: Any) -> None:
    for _ in range(settings.SSO_CONNECTION_LIMIT):
        assert call("acme_admin", "POST", CONNECTIONS, WANTED).status_code == 201
    assert code(call("acme_admin", "POST", CONNECTIONS, WANTED)) == "too_many_connections"


def test_a_role_that_goes_leaves_groups_and_stays_with_connections(call: Call) -> None:
    role = compose("clerk", "members:read")
    body = WANTED | {"default_role": "clerk", "group_roles": [{"group": "A", "role": "clerk"}]}
    path = f"{CONNECTIONS}/{call('acme_admin', 'POST', CONNECTIONS, body).json()['id']}"
    assert call("acme_admin", "PATCH", f"/api/v1/roles/{role.pk}", {"name": "scribe"}).status_code == 200
    shown = call("acme_admin", "GET", path).json()
    assert (shown["default_role"], shown["group_roles"][0]["role"]) == ("scribe", "scribe")
    assert code(call("acme_admin", "DELETE", f"/api/v1/roles/{role.pk}")) == "role_in_use"
    assert call("acme_admin", "DELETE", f"/api/v1/roles/{role.pk}?reassign_to=viewer").status_code == 204
    shown = call("acme_admin", "GET", path).json()
    assert (shown["default_role"], shown["group_roles"][0]["role"]) == ("viewer", "viewer")


# --- The test, and the trial ------------------------------------------------------------------------------------------


def tried(call: Call, provider: OpenIdProvider, row: dict[str, Any], subject: str) -> dict[str, Any]:
    path = f"{CONNECTIONS}/{row['id']}/test"
    tested = call("acme_owner", "POST", path, BEGIN)
    assert tested.status_code == 200, tested.content
    assert tested.json()["ok"], tested.json()
    told = came_back(call, provider.sign_in(tested.json()["authorization_url"], subject))
    answer = call("acme_owner", "POST", f"{path}/result", {"code": told["code"], "code_verifier": VERIFIER})
    assert answer.status_code == 200, answer.content
    result: dict[str, Any] = answer.json()
    return result


def test_a_trial_shows_what_a_sign_in_would_lead_to_and_does_nothing(
    call: Call, openid_provider: OpenIdProvider, ada: str
) -> None:
    prove()
    row = connected(call, openid_provider, enabled=False, groups_claim="groups")
    accounts = User.objects.count()
    trial = tried(call, openid_provider, row, ada)
    assert (trial["passed"], trial["role"], trial["joins"], trial["refusal"]) == (True, "member", True, None)
    assert (trial["email"], trial["groups"]) == (ADDRESS, ["Staff"])
    assert trial["claims"]["sub"] == ada
    assert User.objects.count() == accounts
    assert not MemberIdentity.objects.exists()
    assert not Session.objects.filter(way="sso").exists()
    assert call("acme_owner", "POST", f"{CONNECTIONS}/{row['id']}/enable").json()["status"] == "enabled"


def test_a_trial_with_a_foreign_address_says_so_and_enables_nothing(
    call: Call, openid_provider: OpenIdProvider, ada: str
) -> None:
    row = connected(call, openid_provider, enabled=False)
    trial = tried(call, openid_provider, row, ada)
    assert (trial["passed"], trial["role"], trial["refusal"]) == (False, None, "foreign_identity")
    assert code(call("acme_owner", "POST", f"{CONNECTIONS}/{row['id']}/enable")) == "connection_not_tested"


def test_what_changes_meanwhile_has_not_been_tried(call: Call, openid_provider: OpenIdProvider, ada: str) -> None:
    prove()
    row = connected(call, openid_provider, enabled=False)
    path = f"{CONNECTIONS}/{row['id']}"
    url = call("acme_owner", "POST", f"{path}/test", BEGIN).json()["authorization_url"]
    told = came_back(call, openid_provider.sign_in(url, ada))
    call("acme_owner", "PATCH", path, {"trusts_addresses": True})
    body = {"code": told["code"], "code_verifier": VERIFIER}
    assert call("acme_owner", "POST", f"{path}/test/result", body).json()["passed"]
    assert code(call("acme_owner", "POST", f"{path}/enable")) == "connection_not_tested"


def test_the_checks_say_what_is_wrong(call: Call, openid_provider: OpenIdProvider) -> None:
    row = connected(call, openid_provider, enabled=False, issuer=f"{openid_provider.issuer}/elsewhere")
    answer = call("acme_owner", "POST", f"{CONNECTIONS}/{row['id']}/test", BEGIN).json()
    assert (answer["ok"], answer["authorization_url"]) == (False, None)
    assert [check["name"] for check in answer["checks"] if not check["ok"]] == ["discovery"]
    row = connected(call, openid_provider, enabled=False)
    answer = call("acme_owner", "POST", f"{CONNECTIONS}/{row['id']}/test").json()
    assert answer["ok"]
    assert {check["name"] for check in answer["checks"]} > {"issuer", "keys", "pkce", "algorithms"}


# --- Signing in -------------------------------------------------------------------------------------------------------


def test_somebody_new_joins_and_comes_back(
    call: Call, openid_provider: OpenIdProvider, own: dict[str, Any], ada: str
) -> None:
    tokens = signed_in(call, openid_provider, ada)
    assert (tokens["tenant"], tokens["role"]) == ("acme", "member")
    assert User.objects.get(email=ADDRESS).name == "Ada Lovelace"
    assert not User.objects.get(email=ADDRESS).has_usable_password()
    assert ask(call, tokens, "GET", "/api/v1/members").status_code == 200
    assert [each["slug"] for each in ask(call, tokens, "GET", "/api/v1/me/tenants").json()] == ["acme"]
    again = signed_in(call, openid_provider, ada)
    assert again["tenant"] == "acme"
    assert MemberIdentity.objects.count() == 1
    session = Session.objects.filter(way="sso").latest("authenticated_at")
    assert str(session.connection_id) == own["id"]
    assert session.provider_session
    listed = call("acme_owner", "GET", f"{CONNECTIONS}/{own['id']}/identities").json()["results"]
    assert [(each["subject"], each["email"]) for each in listed] == [(ada, ADDRESS)]


@pytest.mark.usefixtures("own")
def test_a_second_factor_over_there_is_one_here(call: Call, openid_provider: OpenIdProvider) -> None:
    openid_provider.set_account("ada", email=ADDRESS, amr=["pwd", "mfa"])
    signed_in(call, openid_provider, "ada")
    assert Session.objects.get(way="sso").methods == ["fed", "mfa"]


@pytest.mark.usefixtures("own")
def test_a_member_is_linked_by_their_address_and_keeps_theirs(
    call: Call, openid_provider: OpenIdProvider, ada: str
) -> None:
    user = person(slug="acme", role="viewer")
    assert signed_in(call, openid_provider, ada)["role"] == "viewer"
    openid_provider.set_account(ada, email=f"ada.king@{DOMAIN}")
    assert signed_in(call, openid_provider, ada)["role"] == "viewer"
    user.refresh_from_db()
    assert (user.email, user.has_usable_password()) == (ADDRESS, True)
    assert MemberIdentity.objects.get().email == f"ada.king@{DOMAIN}"


def test_groups_give_roles_with_every_sign_in(call: Call, openid_provider: OpenIdProvider) -> None:
    prove()
    mapping = [{"group": "Admins", "role": "admin"}, {"group": "Staff", "role": "viewer"}]
    connected(call, openid_provider, groups_claim="groups", group_roles=mapping)
    openid_provider.set_account("ada", email=ADDRESS, groups=["Staff", "Admins"])
    first = signed_in(call, openid_provider, "ada")
    assert first["role"] == "admin"
    openid_provider.set_account("ada", email=ADDRESS, groups=["Staff"])
    assert signed_in(call, openid_provider, "ada")["role"] == "viewer"
    assert code(ask(call, first, "GET", "/api/v1/members")) == "invalid_token"
    openid_provider.set_account("ada", email=ADDRESS, groups=["Others"])
    assert signed_in(call, openid_provider, "ada")["role"] == "member", "the default one"


def test_a_directory_stays_in_charge_of_roles(call: Call, openid_provider: OpenIdProvider, zone: Zone) -> None:
    prove()
    mapping = [{"group": "Staff", "role": "admin"}]
    connected(call, openid_provider, groups_claim="groups", group_roles=mapping)
    user = created(call)
    group = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "Readers"}
    made = scim(call, "POST", "/scim/v2/Groups", group | {"members": [{"value": user["id"]}]}).json()
    assert call("acme_admin", "PATCH", f"/api/v1/scim-groups/{made['id']}", {"role": "viewer"}).status_code == 200
    openid_provider.set_account("ada", email=ADDRESS, groups=["Staff"])
    assert signed_in(call, openid_provider, "ada")["role"] == "viewer"


@pytest.mark.usefixtures("own")
def test_one_finds_out_how_to_sign_in_by_the_domain_alone(
    call: Call, openid_provider: OpenIdProvider, ada: str
) -> None:
    person(f"known@{DOMAIN}")

    def ways(email: str) -> Any:
        return call("nobody", "POST", "/api/v1/auth/discover", {"email": email}, host=API_HOST).json()

    assert ways(f"known@{DOMAIN}") == ways(f"unknown@{DOMAIN.upper()}")
    assert ways(ADDRESS)["ways"] == ["sso", "password"]
    assert ways(ADDRESS)["connections"][0]["tenant"] == "acme"
    assert ways("somebody@else.test") == ways("owner@acme.test") == {"ways": ["password"], "connections": []}
    assert f"login_hint=ada%40{DOMAIN}" in begun(call, email=ADDRESS)
    assert signed_in(call, openid_provider, ada, email=ADDRESS)["tenant"] == "acme"
    assert sign_in(call, openid_provider, ada, host=ACME, email=ADDRESS).json()["tenant"] == "acme"
    for body in ({"email": "somebody@else.test"}, {"tenant": "globex"}, {"tenant": "nobodys"}):
        answer = call("nobody", "POST", "/api/v1/auth/sso/start", BEGIN | body, host=API_HOST)
        assert code(answer) == "no_connection"
    answer = call("nobody", "POST", "/api/v1/auth/sso/start", BEGIN, host=API_HOST)
    assert answer.status_code == 400


# --- How it ends ------------------------------------------------------------------------------------------------------


def test_a_disabled_connection_lets_nobody_stay(
    call: Call, openid_provider: OpenIdProvider, own: dict[str, Any], ada: str
) -> None:
    tokens = signed_in(call, openid_provider, ada)
    told = came_back(call, openid_provider.sign_in(begun(call), ada))
    assert call("acme_owner", "POST", f"{CONNECTIONS}/{own['id']}/disable").json()["status"] == "disabled"
    assert code(ask(call, tokens, "GET", "/api/v1/members")) == "invalid_token"
    refresh = {"refresh_token": tokens["refresh_token"]}
    assert call("nobody", "POST", "/api/v1/auth/refresh", refresh, host=API_HOST).status_code == 401
    body = {"code": told["code"], "code_verifier": VERIFIER}
    assert code(call("nobody", "POST", "/api/v1/auth/federated", body, host=API_HOST)) == "connection_closed"
    answer = call("nobody", "POST", "/api/v1/auth/sso/start", BEGIN | {"tenant": "acme"}, host=API_HOST)
    assert code(answer) == "no_connection"


@pytest.mark.parametrize("change", [{"client_id": "another"}, {"issuer": "https://another.test"}])
def test_another_provider_knows_nobody(
    call: Call, openid_provider: OpenIdProvider, own: dict[str, Any], ada: str, change: dict[str, str]
) -> None:
    tokens = signed_in(call, openid_provider, ada)
    changed = call("acme_owner", "PATCH", f"{CONNECTIONS}/{own['id']}", change).json()
    assert (changed["status"], changed["tested_at"]) == ("draft", None)
    assert not MemberIdentity.objects.exists()
    assert code(ask(call, tokens, "GET", "/api/v1/members")) == "invalid_token"


def test_a_domain_that_is_given_up_lets_nobody_stay(call: Call, openid_provider: OpenIdProvider, ada: str) -> None:
    claim = prove()
    connected(call, openid_provider)
    tokens = signed_in(call, openid_provider, ada)
    assert call("acme_admin", "DELETE", f"/api/v1/domains/{claim.pk}").status_code == 204
    assert code(ask(call, tokens, "GET", "/api/v1/members")) == "invalid_token"
    assert code(sign_in(call, openid_provider, ada)) == "foreign_identity"


def test_a_proof_that_lapses_takes_its_sessions_along(call: Call, openid_provider: OpenIdProvider, ada: str) -> None:
    soon = timezone.now() + timedelta(hours=1)
    claim = prove(expires_at=soon)
    connected(call, openid_provider)
    tokens = signed_in(call, openid_provider, ada)
    assert Session.objects.get(way="sso").expires_at == soon, "whether anybody notes the end or not"
    past = timezone.now() - timedelta(minutes=1)
    type(claim).objects.filter(pk=claim.pk).update(proved_at=past, expires_at=past)
    assert domains._note_lapse(claim.tenant_id, claim.pk)  # as the scheduled check does
    assert code(ask(call, tokens, "GET", "/api/v1/members")) == "invalid_token"


def test_whoever_is_unlinked_is_known_by_their_address_again(
    call: Call, openid_provider: OpenIdProvider, own: dict[str, Any], ada: str
) -> None:
    tokens = signed_in(call, openid_provider, ada)
    openid_provider.set_account("ada-2", email=ADDRESS)
    assert code(sign_in(call, openid_provider, "ada-2")) == "identity_mismatch"
    path = f"{CONNECTIONS}/{own['id']}/identities/{MemberIdentity.objects.get().pk}"
    assert call("acme_owner", "DELETE", path).status_code == 204
    assert code(ask(call, tokens, "GET", "/api/v1/members")) == "invalid_token"
    assert signed_in(call, openid_provider, "ada-2")["tenant"] == "acme"


def test_single_sign_on_alone_takes_a_connection_and_keeps_one(call: Call, openid_provider: OpenIdProvider) -> None:
    prove()
    owner = User.objects.get(email="owner@acme.test")
    User.objects.filter(pk=owner.pk).update(has_second_factor=True)
    tenant = Tenant.objects.get(slug="acme")
    asked = {"require_second_factor": False, "ways": ["sso"], "break_glass": [str(owner.pk)]}
    row = connected(call, openid_provider, enabled=False)
    with pytest.raises(SsoUnavailable):
        registry.set_sign_in_policy(tenant_id=tenant.pk, policy=SignInPolicy.from_json(asked))
    Connection.objects.filter(pk=row["id"]).update(status="enabled")
    registry.set_sign_in_policy(tenant_id=tenant.pk, policy=SignInPolicy.from_json(asked))
    caller = services.Caller(tenant.pk, owner.pk, frozenset())
    with pytest.raises(SsoRequired):
        services.disable_connection(caller=caller, connection_id=row["id"])
    with pytest.raises(SsoRequired):
        services.delete_connection(caller=caller, connection_id=row["id"])


def test_a_portal_leads_to_the_sign_in_page(call: Call, own: dict[str, Any], openid_provider: OpenIdProvider) -> None:
    path = f"/auth/sso/{own['id']}/initiate?iss={openid_provider.issuer}&target_link_uri=https://evil.test&login_hint=x"
    answer = call("nobody", "GET", path, host=API_HOST)
    assert (answer.status_code, answer.headers["Location"]) == (302, "http://localhost:8000/sign-in?sso=acme")
    form = {"content_type": "application/x-www-form-urlencoded"}
    posted = call("nobody", "POST", path.partition("?")[0], b"iss=https://other.test", host=API_HOST, **form)
    assert code(posted) == "no_connection"


def test_old_notes_of_logout_tokens_are_pruned(db: None) -> None:
    now = timezone.now()
    SpentLogout.objects.create(digest=b"1" * 32, expires_at=now - timedelta(days=2))
    SpentLogout.objects.create(digest=b"2" * 32, expires_at=now)
    assert services.prune_logouts(keep=timedelta(days=1), limit=10) == 1
    assert not Membership.objects.filter(user__email=ADDRESS).exists()
