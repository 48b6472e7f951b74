"""Sessions: where one is signed in, entering other tenants, stepping up, and what ends all of it."""

import base64
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.demo_data import OPERATOR_EMAIL, PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.members import services as members
from identity.members.models import Membership
from identity.sessions.models import EndReason, RefreshFamily, Session
from permissions.roles import Role
from tenants.registry.models import Tenant, TenantStatus
from tests.conftest import ACME, API_HOST, CAST, Actor, Call, sign_in

BOTH = Actor("both@people.test", ACME)
NEW_PASSWORD = "a new and rather long password"
Tokens = dict[str, Any]


def bearer(tokens: Tokens, host: str = API_HOST) -> dict[str, str]:
    return {"HTTP_AUTHORIZATION": f"Bearer {tokens['access_token']}", "host": host}


def me(call: Call, tokens: Tokens) -> Any:
    return call("nobody", "GET", "/api/v1/me", **bearer(tokens))


def refresh(call: Call, tokens: Tokens) -> Any:
    body = {"refresh_token": tokens["refresh_token"]}
    return call("nobody", "POST", "/api/v1/auth/refresh", body, host=API_HOST)


def switch(call: Call, tokens: Tokens, tenant: str, host: str = API_HOST, **more: str) -> Any:
    return call("nobody", "POST", "/api/v1/auth/switch", {"tenant": tenant, **more}, **bearer(tokens, host))


def claims_of(tokens: Tokens) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(tokens["access_token"].split(".")[1] + "=="))
    return claims


def session_of(tokens: Tokens) -> Session:
    return Session.objects.get(pk=claims_of(tokens)["sid"])


def outcomes(call: Call, tokens: Tokens) -> tuple[int, int]:
    """What the access token and the refresh token get now."""
    return me(call, tokens).status_code, refresh(call, tokens).status_code


# --- Where one is signed in -------------------------------------------------------------------------------------------


def test_ones_sessions_are_listed_the_newest_first(call: Call) -> None:
    """One's own, live, with the one that asks marked; of this API alone."""
    Session.objects.all().delete()
    old = sign_in(BOTH)
    sign_in(CAST["acme_viewer"])
    Session.objects.filter(pk=session_of(old).pk).update(user_agent="Old browser", ip_address="192.0.2.7")
    new = sign_in(BOTH)
    rows = call("nobody", "GET", "/api/v1/me/sessions", **bearer(new)).json()["results"]
    assert [UUID(row["id"]) for row in rows] == [session_of(new).pk, session_of(old).pk]
    assert [row["is_current"] for row in rows] == [True, False]
    assert (rows[1]["user_agent"], rows[1]["ip_address"], rows[1]["methods"]) == ("Old browser", "192.0.2.7", ["pwd"])
    RefreshFamily.objects.filter(session=session_of(old)).update(idle_expires_at=timezone.now())
    rows = call("nobody", "GET", "/api/v1/me/sessions", **bearer(new)).json()["results"]
    assert [row["is_current"] for row in rows] == [True], "an idle session has nothing that goes on"


def test_one_session_is_ended_from_another(call: Call) -> None:
    here, there = sign_in(BOTH), sign_in(BOTH)
    path = f"/api/v1/me/sessions/{session_of(there).pk}"
    for _ in range(2):
        assert call("nobody", "DELETE", path, **bearer(here)).status_code == 204
    assert outcomes(call, there) == (401, 401)
    assert outcomes(call, here) == (200, 200)
    assert session_of(there).end_reason == EndReason.ENDED_BY_PERSON


def test_nobody_ends_somebody_elses_session(call: Call, tokens: dict[str, Tokens]) -> None:
    """Nor learns that there is one; nor one's own with the operator API, which is not listed here."""
    victim = sign_in(BOTH)
    path = f"/api/v1/me/sessions/{session_of(victim).pk}"
    assert call("acme_owner", "DELETE", path).status_code == 404
    assert me(call, victim).status_code == 200


def test_all_other_sessions_are_ended_at_once(call: Call) -> None:
    here, *others, stranger = *(sign_in(BOTH) for _ in range(3)), sign_in(CAST["acme_viewer"])
    assert call("nobody", "DELETE", "/api/v1/me/sessions", **bearer(here)).status_code == 204
    assert [outcomes(call, tokens) for tokens in (here, *others, stranger)] == [
        (200, 200),
        (401, 401),
        (401, 401),
        (200, 200),
    ]


# --- Entering another tenant ------------------------------------------------------------------------------------------


def test_switching_gives_tokens_of_the_other_tenant_and_keeps_the_first(call: Call) -> None:
    """One session, one family for each tenant; every client knows for itself where it is."""
    acme = sign_in(BOTH)
    globex = switch(call, acme, "globex").json()
    assert (globex["tenant"], globex["role"]) == ("globex", "viewer")
    assert claims_of(globex)["sid"] == claims_of(acme)["sid"]
    assert me(call, acme).json()["role"] == "admin"
    assert me(call, globex).json()["role"] == "viewer"
    assert refresh(call, acme).json()["tenant"] == "acme"
    assert refresh(call, globex).json()["tenant"] == "globex"
    session_ends = call("nobody", "POST", "/api/v1/auth/logout", {"refresh_token": globex["refresh_token"]})
    assert session_ends.status_code == 204
    assert me(call, acme).status_code == 401


def test_switching_into_nothing_of_ones_own_is_refused(call: Call) -> None:
    owner = sign_in(CAST["acme_owner"])
    for tenant in ("globex", "no-such-tenant"):
        assert switch(call, owner, tenant).json()["code"] == "not_a_member"
    assert switch(call, owner, "acme", host="globex.localhost").json()["code"] == "tenant_mismatch"
    Tenant.objects.filter(slug="globex").update(status=TenantStatus.SUSPENDED)
    assert switch(call, sign_in(BOTH), "globex").json()["code"] == "tenant_suspended"


def test_switching_never_widens(call: Call) -> None:
    """What was asked for at sign-in bounds every tenant; a token without the scope to switch does not switch."""
    narrow = sign_in(BOTH, scope="tenant:read projects:read sessions:write")
    globex = switch(call, narrow, "globex").json()
    assert globex["scope"] == "projects:read sessions:write tenant:read"
    back = switch(call, globex, "acme", scope="projects:write").json()
    assert back["code"] == "invalid_scope"
    back = switch(call, globex, "acme", scope="projects:read projects:write").json()
    assert back["scope"] == "projects:read"
    assert refresh(call, back).json()["scope"] == "projects:read"
    refused = switch(call, back, "globex")
    assert (refused.status_code, refused.json()["scope"]) == (403, "sessions:write")


def test_a_person_in_no_tenant_enters_one_that_took_them_in(call: Call) -> None:
    user = accounts.create_user(email="newcomer@people.test", password=PASSWORD)
    tokens = sign_in(Actor("newcomer@people.test", API_HOST))
    assert switch(call, tokens, "acme").json()["code"] == "not_a_member"
    members.add_member(tenant_id=Tenant.objects.get(slug="acme").pk, user_id=user.pk, role=Role.VIEWER)
    assert switch(call, tokens, "acme").json()["role"] == "viewer"


def test_a_session_has_a_bounded_number_of_families(call: Call) -> None:
    """Going to and fro does not fill a table; the least used chain makes room."""
    first = sign_in(BOTH)
    latest = first
    for round_number in range(25):
        latest = switch(call, latest, ("globex", "acme")[round_number % 2]).json()
    assert RefreshFamily.objects.filter(session=session_of(first)).count() == 20
    assert refresh(call, first).status_code == 401
    assert refresh(call, latest).status_code == 200
    assert me(call, first).status_code == 200, "losing a chain ends no session"


def test_a_member_who_comes_back_does_not_find_old_tokens_good(call: Call) -> None:
    """Removed and added again with less: the version did not begin where it was."""
    tokens = sign_in(CAST["acme_admin"])
    membership = Membership.objects.get(user__email="admin@acme.test")
    tenant_id, user_id = membership.tenant_id, membership.user_id
    membership.delete()
    members.add_member(tenant_id=tenant_id, user_id=user_id, role=Role.VIEWER)
    assert me(call, tokens).status_code == 401
    assert refresh(call, tokens).json()["role"] == "viewer"


# --- Stepping up ------------------------------------------------------------------------------------------------------


def age(tokens: Tokens, time: timedelta) -> None:
    Session.objects.filter(pk=session_of(tokens).pk).update(authenticated_at=timezone.now() - time)


def test_what_needs_a_recent_sign_in_says_so_and_takes_a_step_up(call: Call) -> None:
    """RFC 9470: the challenge names the age that is asked for; the stepped-up token has no more scopes than before."""
    tokens = sign_in(CAST["operator"], scope="platform:tenants:write")
    age(tokens, settings.STEP_UP_MAX_AGE + timedelta(seconds=5))
    body = {"refresh_token": tokens["refresh_token"]}
    tokens = call("nobody", "POST", "/operator/v1/auth/refresh", body, host=API_HOST).json()
    path = f"/operator/v1/tenants/{Tenant.objects.get(slug='globex').pk}/suspend"
    refused = call("nobody", "POST", path, **bearer(tokens))
    assert (refused.status_code, refused.json()["code"]) == (401, "insufficient_user_authentication")
    challenge = refused.headers["WWW-Authenticate"]
    assert 'error="insufficient_user_authentication"' in challenge
    assert f'max_age="{int(settings.STEP_UP_MAX_AGE.total_seconds())}"' in challenge
    assert call("nobody", "GET", "/operator/v1/tenants", **bearer(tokens)).status_code == 200

    step_up = "/operator/v1/auth/step-up"
    wrong = call("nobody", "POST", step_up, {"password": "wrong"}, **bearer(tokens))
    assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (400, "wrong_password")
    assert call("nobody", "POST", path, **bearer(tokens)).status_code == 401
    stronger = call("nobody", "POST", step_up, {"password": PASSWORD}, **bearer(tokens)).json()
    assert (stronger["scope"], "refresh_token" in stronger) == ("platform:tenants:write", False)
    assert call("nobody", "POST", path, **bearer(stronger)).json()["status"] == "suspended"
    body = {"refresh_token": tokens["refresh_token"]}
    refreshed = call("nobody", "POST", "/operator/v1/auth/refresh", body, host=API_HOST).json()
    assert call("nobody", "POST", path, **bearer(refreshed)).status_code == 200


def test_a_member_steps_up_in_their_tenant(call: Call) -> None:
    tokens = sign_in(BOTH, scope="sessions:write projects:read")
    age(tokens, timedelta(days=1))
    step_up = call("nobody", "POST", "/api/v1/auth/step-up", {"password": PASSWORD}, **bearer(tokens, ACME)).json()
    assert (step_up["tenant"], step_up["role"], step_up["scope"]) == ("acme", "admin", "projects:read sessions:write")
    before, after = claims_of(tokens), claims_of(step_up)
    assert (after["sid"], after["amr"]) == (before["sid"], ["pwd"])
    assert after["auth_time"] >= before["auth_time"]


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("POST", "/operator/v1/tenants/{}/suspend"),
        ("POST", "/operator/v1/tenants/{}/support-access"),
        ("POST", "/operator/v1/support-access/{}/token"),
        ("POST", "/operator/v1/keys/rotate"),
        ("POST", "/operator/v1/keys/{}/retire"),
    ],
)
def test_where_a_recent_sign_in_is_asked_for(call: Call, method: str, route: str) -> None:
    tokens = sign_in(CAST["operator"])
    age(tokens, timedelta(hours=2))
    body = {"refresh_token": tokens["refresh_token"]}
    old = call("nobody", "POST", "/operator/v1/auth/refresh", body, host=API_HOST).json()
    path = route.format(Tenant.objects.get(slug="globex").pk)
    refused = call("nobody", method, path, {}, **bearer(old))
    assert refused.json()["code"] == "insufficient_user_authentication"


# --- What ends sessions -----------------------------------------------------------------------------------------------


def change_password(call: Call, tokens: Tokens, current: str = PASSWORD, new: str = NEW_PASSWORD) -> Any:
    body = {"current_password": current, "new_password": new}
    return call("nobody", "POST", "/api/v1/auth/password/change", body, **bearer(tokens))


def test_another_password_ends_every_other_session(call: Call) -> None:
    """With both APIs; the one that changed it goes on."""
    operator = Actor(OPERATOR_EMAIL, API_HOST)
    here, there, staff = sign_in(operator), sign_in(operator), sign_in(CAST["operator"])
    assert change_password(call, here).status_code == 204
    assert outcomes(call, here) == (200, 200)
    assert outcomes(call, there) == (401, 401)
    assert call("nobody", "GET", "/operator/v1/tenants", **bearer(staff)).status_code == 401
    assert session_of(there).end_reason == EndReason.PASSWORD_CHANGED
    login = {"email": OPERATOR_EMAIL, "password": PASSWORD}
    assert call("nobody", "POST", "/api/v1/auth/login", login, host=API_HOST).status_code == 401
    login["password"] = NEW_PASSWORD
    assert call("nobody", "POST", "/api/v1/auth/login", login, host=API_HOST).status_code == 200


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"current": "not the password"}, "#/current_password", "wrong_password"),
        ({"new": "short"}, "#/new_password", "password_too_short"),
        ({"new": "both@people.test"}, "#/new_password", "password_too_similar"),
    ],
)
def test_a_refused_change_of_password_changes_nothing(
    call: Call, change: dict[str, str], field: str, code: str
) -> None:
    here, there = sign_in(BOTH), sign_in(BOTH)
    refused = change_password(call, here, **change)
    assert refused.status_code == 400
    assert (field, code) in {(error["pointer"], error["code"]) for error in refused.json()["errors"]}
    assert outcomes(call, there) == (200, 200)
    assert sign_in(BOTH)


def still_holds(user: User) -> bool:
    with accounts.credentials_held(user) as held:
        return held


def test_signing_in_while_the_password_changes_starts_no_session(db: None) -> None:
    """The password was checked, then changed, then the session would have begun: it does not."""
    user = User.objects.get(email=BOTH.email)
    assert still_holds(user)
    accounts.change_password(user_id=user.pk, current=PASSWORD, new=NEW_PASSWORD, keep_session=None)
    assert not still_holds(user)
    user.refresh_from_db()
    accounts.set_active(user_id=user.pk, is_active=False)
    assert not still_holds(user)


def test_closing_an_account_ends_its_sessions_for_good(call: Call, capsys: pytest.CaptureFixture[str]) -> None:
    """Opening it again brings no session back."""
    tokens = sign_in(BOTH)
    call_command("close_account", "Both@people.test")
    assert "closed" in capsys.readouterr().out
    assert outcomes(call, tokens) == (401, 401)
    assert session_of(tokens).end_reason == EndReason.ACCOUNT_CLOSED
    call_command("close_account", "both@people.test", "--reopen")
    assert outcomes(call, tokens) == (401, 401)
    assert outcomes(call, sign_in(BOTH)) == (200, 200)
    with pytest.raises(CommandError, match="No account"):
        call_command("close_account", "unheard-of@people.test")


# --- Housekeeping -----------------------------------------------------------------------------------------------------


def test_what_has_been_over_for_long_is_pruned_in_batches(
    call: Call, machine: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And nothing else: what is live, or was over a moment ago, stays."""
    Session.objects.all().delete()
    long_ago = timezone.now() - timedelta(days=40)
    kept = [sign_in(BOTH), sign_in(BOTH)]
    Session.objects.filter(pk=session_of(kept[1]).pk).update(ended_at=timezone.now())
    gone = [sign_in(CAST["acme_viewer"]) for _ in range(5)]
    pks = [session_of(tokens).pk for tokens in gone]
    Session.objects.filter(pk__in=pks[:3]).update(ended_at=long_ago)
    Session.objects.filter(pk__in=pks[3:]).update(expires_at=long_ago)
    idle = switch(call, kept[0], "globex").json()
    RefreshFamily.objects.filter(session=session_of(kept[0]), tenant__slug="globex").update(idle_expires_at=long_ago)
    call_command("prune", "--batch", "2", "--json")
    deleted = json.loads(capsys.readouterr().out)
    assert {name: count for name, count in deleted.items() if count} == {"sessions": 5, "refresh families": 1}
    assert set(Session.objects.values_list("pk", flat=True)) == {session_of(tokens).pk for tokens in kept}
    assert (refresh(call, kept[0]).status_code, refresh(call, idle).status_code) == (200, 401)
    call_command("prune")
    assert "Deleted 0 sessions" in capsys.readouterr().out


def test_pruning_finds_what_is_over_by_an_index(db: None) -> None:
    """However large the tables are."""
    with CaptureQueriesContext(connection) as queries:
        call_command("prune", "--json")
    selects = [query["sql"] for query in queries if query["sql"].startswith("SELECT") and " LIMIT " in query["sql"]]
    assert len(selects) == 18
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for statement in selects:
            cursor.execute(f"EXPLAIN {statement}")
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Index" in plan, plan
            assert "Seq Scan" not in plan, plan
