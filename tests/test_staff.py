"""The platform's staff: who is on it and as what, what ends with it, and that an admin is always left."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, connections, transaction
from django.utils import timezone
from rest_framework.test import APIClient

from config.demo_data import OPERATOR_EMAIL, PASSWORD
from identity.accounts import services as accounts
from identity.accounts.models import User
from identity.sessions.models import EndReason, RefreshFamily, Session
from identity.sessions.proof import BY_PASSWORD
from identity.sessions.services import Device
from operators import services, staff
from operators.errors import LastAdmin
from operators.models import Operator
from permissions.roles import OperatorRole
from tenants.audit.models import AuditEvent
from tests.conftest import ACME, API_HOST, CAST, Actor, Call, sign_in, support_token
from tests.test_races import at_once

STAFF = "/operator/v1/staff"
LOGIN = "/operator/v1/auth/login"
TENANTS = "/operator/v1/tenants"
ROLES = list(OperatorRole)
DEVICE = Device(ip_address=None, user_agent="")


def person(email: str, role: OperatorRole | None = None) -> User:
    """An account that has proved its address, on the staff if a role is given."""
    user = accounts.create_user(email=email, password=PASSWORD, name=email.partition("@")[0].title())
    if role is not None:
        staff.put_on_staff(user_id=user.pk, role=role)
    return user


def tokens_of(user: User, **more: str) -> dict[str, Any]:
    return sign_in(Actor(user.email, API_HOST, LOGIN), **more)


def bearer(tokens: dict[str, Any]) -> dict[str, Any]:
    return {"HTTP_AUTHORIZATION": f"Bearer {tokens['access_token']}", "host": API_HOST}


def place(user: User) -> Operator:
    return Operator.objects.get(user=user)


def at(user: User, action: str = "") -> str:
    return f"{STAFF}/{place(user).pk}{action}"


def code(response: Any) -> tuple[int, str]:
    return response.status_code, response.json().get("code", "")


def last_event() -> AuditEvent:
    return AuditEvent.objects.filter(tenant=None).latest("sequence")


# --- Who is on it -----------------------------------------------------------------------------------------------------


def test_a_person_is_put_on_the_staff_and_acts_as_what_they_are(call: Call) -> None:
    ana = person("ana@staff.test")
    assert code(call("nobody", "POST", LOGIN, {"email": ana.email, "password": PASSWORD}, host=API_HOST))[0] == 401
    made = call("operator", "POST", STAFF, {"email": "Ana@Staff.test", "role": "support"})
    assert (made.status_code, made.json()["role"], made.json()["is_active"]) == (201, "support", True)
    assert made.json()["email"] == ana.email
    tokens = tokens_of(ana)
    assert tokens["role"] == "support"
    assert call("nobody", "GET", TENANTS, **bearer(tokens)).status_code == 200
    assert code(call("nobody", "GET", STAFF, **bearer(tokens))) == (403, "insufficient_scope")
    event = last_event()
    assert (event.action, event.actor_kind, event.changes) == ("staff.added", "operator", {"role": [None, "support"]})
    assert event.actor_id == User.objects.get(email=OPERATOR_EMAIL).pk
    assert {target["type"]: target["id"] for target in event.targets} == {
        "operator": made.json()["id"], "account": str(ana.pk),
    }  # fmt: skip


def test_who_cannot_be_put_on_it(call: Call) -> None:
    accounts.create_user(email="claimed@staff.test", password=PASSWORD, verified=False)
    closed = person("closed@staff.test")
    accounts.set_active(user_id=closed.pk, is_active=False)
    for email in ("unheard-of@staff.test", "claimed@staff.test", closed.email):
        body = {"email": email, "role": "support"}
        assert code(call("operator", "POST", STAFF, body)) == (422, "unknown_account"), email
    body = {"email": OPERATOR_EMAIL, "role": "support"}
    assert code(call("operator", "POST", STAFF, body)) == (409, "already_staff")
    for role in ("owner", "root", "", None):
        assert code(call("operator", "POST", STAFF, {"email": OPERATOR_EMAIL, "role": role}))[0] == 400
    assert Operator.objects.count() == 1


def test_staff_is_listed_filtered_searched_and_seen(call: Call) -> None:
    ana, bob = person("ana@staff.test", OperatorRole.OPERATOR), person("bob@staff.test", OperatorRole.SUPPORT)
    Operator.objects.filter(user=bob).update(is_active=False)
    reader = bearer(tokens_of(ana))

    def emails(query: str = "") -> list[str]:
        return [row["email"] for row in call("nobody", "GET", f"{STAFF}{query}", **reader).json()["results"]]

    assert emails() == [bob.email, ana.email, OPERATOR_EMAIL]
    assert emails("?role=support") == [bob.email]
    assert emails("?is_active=true") == [ana.email, OPERATOR_EMAIL]
    assert emails("?search=ana") == [ana.email]
    assert emails("?limit=1") == [bob.email]
    assert call("nobody", "GET", f"{STAFF}?role=owner", **reader).status_code == 400
    seen = call("nobody", "GET", at(bob), **reader).json()
    assert (seen["user_id"], seen["name"], seen["role"], seen["is_active"]) == (str(bob.pk), "Bob", "support", False)
    assert "password" not in str(seen)
    assert code(call("nobody", "DELETE", at(bob), **reader)) == (403, "insufficient_scope")


# --- Changing it ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["another role", "disabled", "removed"])
def test_what_is_changed_ends_all_that_they_do_as_staff(call: Call, change: str) -> None:
    """Operator sessions and looks into tenants end at once, each tenant is told; what they are elsewhere goes on."""
    ana = person("ana@staff.test", OperatorRole.OPERATOR)
    tokens = tokens_of(ana)
    support = support_token(tokens["access_token"], "acme")
    own = sign_in(Actor(ana.email, API_HOST))
    version, path = place(ana).version, at(ana)
    if change == "another role":
        assert call("operator", "PATCH", path, {"role": "support"}).json()["role"] == "support"
    elif change == "disabled":
        for _ in range(2):
            assert call("operator", "POST", f"{path}/disable").json()["is_active"] is False
    else:
        assert call("operator", "DELETE", path).status_code == 204
        assert code(call("operator", "DELETE", path)) == (404, "not_found")
    action = {"another role": "staff.role_changed", "disabled": "staff.disabled", "removed": "staff.removed"}[change]
    assert AuditEvent.objects.filter(tenant=None, action=action).count() == 1
    assert call("nobody", "GET", TENANTS, **bearer(tokens)).status_code == 401
    body = {"refresh_token": tokens["refresh_token"]}
    assert call("nobody", "POST", "/operator/v1/auth/refresh", body, host=API_HOST).status_code == 401
    assert call("nobody", "GET", "/api/v1/projects", **bearer(support) | {"host": ACME}).status_code == 401
    assert call("nobody", "GET", "/api/v1/me", **bearer(own)).status_code == 200
    ended = Session.objects.filter(user=ana, end_reason=EndReason.ENDED_BY_STAFF)
    assert {session.api for session in ended} == {"operator", "support"}
    told = AuditEvent.objects.filter(tenant__slug="acme", action="support_access.ended")
    assert told.filter(targets__contains=[{"id": support["id"]}]).count() == 1
    if change != "removed":
        assert place(ana).version > version


def test_whoever_is_enabled_again_signs_in_again(call: Call) -> None:
    ana = person("ana@staff.test", OperatorRole.SUPPORT)
    tokens = tokens_of(ana)
    call("operator", "POST", at(ana, "/disable"))
    assert call("nobody", "POST", LOGIN, {"email": ana.email, "password": PASSWORD}, host=API_HOST).status_code == 401
    for _ in range(2):
        assert call("operator", "POST", at(ana, "/enable")).json()["is_active"] is True
    assert call("nobody", "GET", TENANTS, **bearer(tokens)).status_code == 401
    assert tokens_of(ana)["role"] == "support"
    assert AuditEvent.objects.filter(action="staff.enabled").count() == 1


def test_the_same_role_changes_nothing(call: Call) -> None:
    ana = person("ana@staff.test", OperatorRole.SUPPORT)
    tokens = tokens_of(ana)
    assert call("operator", "PATCH", at(ana), {"role": "support"}).status_code == 200
    assert call("nobody", "GET", TENANTS, **bearer(tokens)).status_code == 200
    assert last_event().action == "staff.added"


def test_nobody_gives_more_than_their_own_token_holds(call: Call) -> None:
    """A token that was narrowed for a program widens nobody, but takes away."""
    ana, bob = person("ana@staff.test", OperatorRole.SUPPORT), person("bob@staff.test")
    narrow = bearer(sign_in(CAST["operator"], scope="platform:staff:write"))
    for role in ROLES:
        body = {"email": bob.email, "role": role}
        assert code(call("nobody", "POST", STAFF, body, **narrow)) == (403, "scope_not_held"), role
    assert code(call("nobody", "PATCH", at(ana), {"role": "admin"}, **narrow)) == (403, "scope_not_held")
    assert call("nobody", "POST", at(ana, "/disable"), **narrow).status_code == 200
    assert code(call("nobody", "POST", at(ana, "/enable"), **narrow)) == (403, "scope_not_held")
    assert call("nobody", "DELETE", at(ana), **narrow).status_code == 204


def test_every_change_needs_a_recent_sign_in(call: Call) -> None:
    ana, bob = person("ana@staff.test", OperatorRole.SUPPORT), person("bob@staff.test")
    tokens = sign_in(CAST["operator"])
    Session.objects.update(authenticated_at=timezone.now() - settings.STEP_UP_MAX_AGE - timedelta(seconds=5))
    body = {"refresh_token": tokens["refresh_token"]}
    old = bearer(call("nobody", "POST", "/operator/v1/auth/refresh", body, host=API_HOST).json())
    assert call("nobody", "GET", STAFF, **old).status_code == 200
    for method, path, data in (
        ("POST", STAFF, {"email": bob.email, "role": "support"}),
        ("PATCH", at(ana), {"role": "admin"}),
        ("POST", at(ana, "/disable"), None),
        ("POST", at(ana, "/enable"), None),
        ("DELETE", at(ana), None),
    ):
        refused = call("nobody", method, path, data, **old)
        assert code(refused) == (401, "insufficient_user_authentication"), (method, path)


# --- An admin is always left ------------------------------------------------------------------------------------------


def test_the_last_admin_stays(call: Call) -> None:
    """Not demoted, disabled, removed, nor their account closed or deleted; somebody else's rights do not count."""
    person("ana@staff.test", OperatorRole.OPERATOR)
    last = User.objects.get(email=OPERATOR_EMAIL)
    for response in (
        call("operator", "PATCH", at(last), {"role": "operator"}),
        call("operator", "POST", at(last, "/disable")),
        call("operator", "DELETE", at(last)),
    ):
        assert code(response) == (409, "last_admin")
    with pytest.raises(LastAdmin):
        accounts.set_active(user_id=last.pk, is_active=False)
    eve = person("eve@staff.test", OperatorRole.ADMIN)
    accounts.set_active(user_id=eve.pk, is_active=False)  # an admin who cannot sign in is none
    assert code(call("operator", "POST", at(last, "/disable"))) == (409, "last_admin")
    accounts.set_active(user_id=eve.pk, is_active=True)
    assert call("operator", "PATCH", at(last), {"role": "support"}).json()["role"] == "support"


@pytest.fixture
def admins(unwrapped: None) -> Iterator[list[User]]:
    """Two admins, committed, and no other one; afterwards the staff is what it was."""
    former = User.objects.get(email=OPERATOR_EMAIL)
    users = [person(f"{name}@staff-races.test", OperatorRole.ADMIN) for name in ("first", "second")]
    Operator.objects.filter(user=former).update(role=OperatorRole.SUPPORT)
    try:
        yield users
    finally:
        Operator.objects.filter(user=former).update(role=OperatorRole.ADMIN)
        User.objects.filter(email__endswith="@staff-races.test").delete()


def test_two_admins_who_disable_each_other_leave_one(admins: list[User]) -> None:
    """20 rounds: never none, never both."""
    first, second = (place(user) for user in admins)
    for round_number in range(20):
        Operator.objects.filter(user__in=admins).update(is_active=True)
        started = [services.sign_in(user=user, scope="", proof=BY_PASSWORD, device=DEVICE) for user in admins]
        access = [issued.access_token for issued in started]

        def ask(target: Operator, token: str) -> int:
            client = APIClient(raise_request_exception=False)
            headers = {"HTTP_HOST": API_HOST, "HTTP_AUTHORIZATION": f"Bearer {token}"}
            return int(client.post(f"{STAFF}/{target.pk}/disable", **headers).status_code)

        statuses = at_once([lambda: ask(second, access[0]), lambda: ask(first, access[1])])  # noqa: B023 -- run before the next round
        assert Operator.objects.filter(user__in=admins, is_active=True).count() == 1, round_number
        assert sorted(statuses) == [200, 401]


GONE = [
    "UPDATE operators_operator SET role = 'support' WHERE user_id = '{user}'",
    "UPDATE operators_operator SET is_active = false WHERE user_id = '{user}'",
    (
        "UPDATE operators_operator SET user_id = account.id FROM accounts_user account"
        " WHERE account.email = '{heir}' AND user_id = '{user}'"
    ),
    "UPDATE accounts_user SET is_active = false WHERE id = '{user}'",
    "DELETE FROM operators_operator WHERE user_id = '{user}'",
]


@pytest.mark.parametrize("statements", [*zip(GONE, GONE, strict=True), (GONE[1], GONE[3]), (GONE[3], GONE[4])])
def test_postgres_keeps_an_admin_whatever_is_written(admins: list[User], statements: tuple[str, str]) -> None:
    """Each admin counts on the other one, in two transactions at once: the second one to commit is refused."""
    for user in admins:
        accounts.set_active(user_id=person(f"heir-of-{user.email}").pk, is_active=False)

    def lose(user: User, statement: str) -> str:
        try:
            with transaction.atomic(), connections["default"].cursor() as cursor:
                cursor.execute(statement.format(user=user.pk, heir=f"heir-of-{user.email}"))
        except IntegrityError as error:
            return str(error).partition("\n")[0]
        return ""

    jobs = [partial(lose, user, statement) for user, statement in zip(admins, statements, strict=True)]
    assert sorted(at_once(jobs)) == ["", "the platform keeps an active admin"]
    assert Operator.objects.filter(role="admin", is_active=True, user__is_active=True).count() == 1


def test_one_admin_takes_anothers_place_in_one_transaction(admins: list[User]) -> None:
    first, second = admins
    Operator.objects.filter(user=second).update(role=OperatorRole.SUPPORT)
    with transaction.atomic():
        Operator.objects.filter(user=first).update(role=OperatorRole.SUPPORT)
        Operator.objects.filter(user=second).update(role=OperatorRole.ADMIN)
    assert place(second).role == "admin"


# --- Oneself ----------------------------------------------------------------------------------------------------------


def test_one_sees_who_one_is(call: Call) -> None:
    ana = person("ana@staff.test", OperatorRole.SUPPORT)
    tokens = tokens_of(ana, scope="platform:profile:read platform:tenants:read")
    body = call("nobody", "GET", "/operator/v1/me", **bearer(tokens)).json()
    assert (body["user_id"], body["email"], body["role"]) == (str(ana.pk), ana.email, "support")
    assert body["scopes"] == ["platform:profile:read", "platform:tenants:read"]
    assert body["session_id"] == str(Session.objects.get(user=ana).pk)


def test_one_ends_ones_own_sessions_as_staff(call: Call) -> None:
    """Those with the operator API: not the person's others, and nobody else's."""
    path = "/operator/v1/me/sessions"
    ana = person("ana@staff.test", OperatorRole.SUPPORT)
    other, asking, own = tokens_of(ana), tokens_of(ana), sign_in(Actor(ana.email, API_HOST))
    rows = call("nobody", "GET", path, **bearer(asking)).json()["results"]
    assert [row["is_current"] for row in rows] == [True, False]
    foreign = Session.objects.exclude(user=ana).filter(api="operator").first()
    mine = Session.objects.get(user=ana, api="tenant")
    for session in (foreign, mine):
        assert session is not None
        assert call("nobody", "DELETE", f"{path}/{session.pk}", **bearer(asking)).status_code == 404
    assert call("nobody", "DELETE", f"{path}/{rows[1]['id']}", **bearer(asking)).status_code == 204
    assert call("nobody", "GET", TENANTS, **bearer(other)).status_code == 401
    third = tokens_of(ana)
    assert call("nobody", "DELETE", path, **bearer(asking)).status_code == 204
    assert call("nobody", "GET", TENANTS, **bearer(third)).status_code == 401
    assert call("nobody", "GET", TENANTS, **bearer(asking)).status_code == 200
    assert call("nobody", "GET", "/api/v1/me", **bearer(own)).status_code == 200


def test_sessions_of_staff_are_shorter(call: Call) -> None:
    """12 hours at most and an hour idle, which each refresh begins anew; a person's session is as long as before."""
    operator, member = sign_in(CAST["operator"]), sign_in(CAST["acme_member"])
    body = {"refresh_token": operator["refresh_token"]}
    operator = call("nobody", "POST", "/operator/v1/auth/refresh", body, host=API_HOST).json()
    now = timezone.now()
    for email, longest, idle in (
        (OPERATOR_EMAIL, timedelta(hours=12), timedelta(hours=1)),
        (CAST["acme_member"].email, timedelta(days=30), timedelta(days=14)),
    ):
        session = Session.objects.filter(user__email=email).latest("authenticated_at")
        family = session.families.get()
        assert abs(session.expires_at - now - longest) < timedelta(minutes=1)
        assert abs(family.idle_expires_at - now - idle) < timedelta(minutes=1)
    assert member["refresh_token"]


@pytest.mark.parametrize("what", ["idle", "old"])
def test_a_session_of_staff_that_is_over_goes_on_with_nothing(call: Call, what: str) -> None:
    tokens = sign_in(CAST["operator"])
    session = Session.objects.filter(user__email=OPERATOR_EMAIL).latest("authenticated_at")
    past = timezone.now() - timedelta(seconds=1)
    if what == "idle":
        RefreshFamily.objects.filter(session=session).update(idle_expires_at=past)
    else:
        Session.objects.filter(pk=session.pk).update(expires_at=past)
        assert call("nobody", "GET", TENANTS, **bearer(tokens)).status_code == 401
    body = {"refresh_token": tokens["refresh_token"]}
    refused = call("nobody", "POST", "/operator/v1/auth/refresh", body, host=API_HOST)
    assert code(refused) == (401, "invalid_token")
