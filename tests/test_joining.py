"""Joining by invitation: once, with the invited address alone, and as far as whoever sent it may let one in now."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config.demo_data import PASSWORD
from identity.accounts import links
from identity.accounts import services as accounts
from identity.accounts.models import MailedLink, User
from identity.invitations.models import Invitation, InvitationToken
from identity.members import services as members
from identity.members.models import Membership
from identity.sessions.refresh_token import RefreshToken
from tenants.audit.models import AuditEvent
from tenants.registry.models import Tenant, TenantStatus
from tests.conftest import ACME, API_HOST, CAST, GLOBEX, Actor, Call, sign_in
from tests.test_accounts import CountingHasher
from tests.test_invitations import (
    ACCEPT,
    INVITATIONS,
    NEW,
    NEW_PASSWORD,
    accept,
    invitation_of,
    invite,
    invited,
    mailed_token,
)
from tests.test_members import acme, ask, code, compose, events, join, member, path, signed_in
from tests.test_roles import error_codes
from tests.test_sessions import me, switch


def login(call: Call, email: str, password: str) -> int:
    body = {"email": email, "password": password}
    return int(call("nobody", "POST", "/api/v1/auth/login", body, host=ACME).status_code)


# --- Accepting --------------------------------------------------------------------------------------------------------


def test_somebody_new_joins_with_an_account(call: Call) -> None:
    token, before = invited(call), events()
    joined = accept(call, token)
    assert (joined.status_code, joined.json()) == (
        201,
        {"email": NEW, "tenant": "acme", "tenant_name": "Acme Corporation"},
    )
    assert events()[len(before) :] == ["member.added", "invitation.accepted"]
    user = User.objects.get(email=NEW)
    assert (user.name, user.email_verified_at is not None) == ("Vera", True)
    assert {event.actor_id for event in AuditEvent.objects.filter(action="invitation.accepted")} == {user.pk}
    row = call("acme_admin", "GET", f"{INVITATIONS}/{invitation_of().pk}").json()
    assert (row["status"], row["accepted_by"]) == ("accepted", str(user.pk))
    assert sign_in(Actor(NEW, ACME), password=NEW_PASSWORD)["role"] == "member"
    assert code(accept(call, token)) == "invalid_invitation", "it is good once"


def test_somebody_with_an_account_joins_signed_in_or_not(call: Call) -> None:
    """The same answer; their password and their name stay as they are."""
    for email in ("owner@globex.test", "admin@globex.test"):
        tokens = sign_in(Actor(email, GLOBEX)) if email.startswith("owner") else None
        before = User.objects.get(email=email).password
        answer = accept(call, invited(call, email), by=tokens)
        assert (answer.status_code, answer.json()["email"]) == (201, email)
        assert (User.objects.get(email=email).password, User.objects.get(email=email).name) == (
            before,
            email.partition("@")[0].title(),
        )
        assert member(email).role == "member"
        assert (login(call, email, PASSWORD), login(call, email, NEW_PASSWORD)) == (200, 401)
        if tokens:
            assert switch(call, tokens, "acme").json()["role"] == "member"


def test_a_person_in_no_tenant_joins(call: Call) -> None:
    accounts.create_user(email=NEW, password=PASSWORD, verified=False)
    tokens = sign_in(Actor(NEW, API_HOST))
    assert accept(call, invited(call), by=tokens).status_code == 201
    assert switch(call, tokens, "acme").status_code == 200
    assert User.objects.get(email=NEW).email_verified_at is not None, "the mail was read"


def test_an_invitation_is_for_its_address_alone(call: Call) -> None:
    token, before = invited(call), list(User.objects.values())
    for actor in ("globex_owner", "acme_viewer"):
        tokens = sign_in(CAST[actor])
        refused = accept(call, token, by=tokens)
        assert (refused.status_code, code(refused)) == (403, "invited_another")
    assert (list(User.objects.values()), invitation_of().status) == (before, "pending")
    assert accept(call, token).status_code == 201


def test_a_claim_that_somebody_else_made_is_taken_over_safely(call: Call) -> None:
    """Registered by a stranger, who signed in, too: their password, their session, their link are void."""
    body = {"email": NEW, "password": PASSWORD, "name": "Mallory"}
    call("nobody", "POST", "/api/v1/auth/register", body, host=API_HOST)
    strangers_link = links.token_of(MailedLink.objects.get(email=NEW))
    stranger = sign_in(Actor(NEW, API_HOST))
    assert me(call, stranger).status_code == 200
    assert accept(call, invited(call)).status_code == 201
    assert me(call, stranger).status_code == 401
    assert (login(call, NEW, PASSWORD), login(call, NEW, NEW_PASSWORD)) == (401, 200)
    assert User.objects.get(email=NEW).name == "Vera"
    verify = call("nobody", "POST", "/api/v1/auth/email/verify", {"token": strangers_link}, host=API_HOST)
    assert code(verify) == "invalid_link"


KINDS = ["unknown", "a claim", "known", "closed"]


def test_every_address_gets_the_same_answer_for_the_same_work(call: Call, settings: Any) -> None:
    """As many hashes and rows; but for the one event by which an account begins."""
    settings.PASSWORD_HASHERS = ["tests.test_accounts.CountingHasher"]
    seen, rows = set(), {}
    for kind in KINDS:
        email = f"{kind.replace(' ', '-')}@people.test"
        if kind != "unknown":
            user = accounts.create_user(email=email, password=PASSWORD, verified=kind != "a claim")
            User.objects.filter(pk=user.pk).update(is_active=kind != "closed")
        token = invited(call, email)
        CountingHasher.count = 0
        with CaptureQueriesContext(connection) as queries:
            answer = accept(call, token)
        seen.add((answer.status_code, answer.content.replace(email.encode(), b""), CountingHasher.count))
        inserts = [query["sql"].split('"')[1] for query in queries if query["sql"].startswith("INSERT")]
        rows[kind] = sorted(inserts)
    assert len(seen) == 1
    assert rows["known"] == rows["closed"]
    assert rows["unknown"] == rows["a claim"] == sorted([*rows["known"], "audit_auditevent"])
    assert not Membership.objects.filter(user__email="closed@people.test", user__is_active=True).exists()


# --- What is no good --------------------------------------------------------------------------------------------------


def test_every_bad_token_gets_the_same_answer(call: Call) -> None:
    token = invited(call)
    row = invitation_of()
    other = Invitation.objects.defer(None).get(pk=invite(call, "other@people.test").json()["id"])
    bad = ["x", "ti_", "ti_\u00e9", token[:-1], f"{token}A", f"{token}=", token.upper(), token.removeprefix("ti_")]
    bad += [str(InvitationToken.issue(row.pk, generation, row.secret)) for generation in (0, 2)]
    bad += [str(InvitationToken.issue(uuid4(), 1, row.secret)), str(InvitationToken.issue(row.pk, 1, other.secret))]
    for kind in (RefreshToken, links.LinkToken):
        text = str(kind.issue(row.pk, 1, row.secret))
        bad += [text, f"ti_{text.removeprefix(kind.prefix)}"]
    answers = [accept(call, text, **more) for text in bad for more in ({}, {"password": "short"})]
    answers += [accept(call, text, by=sign_in(CAST["globex_owner"])) for text in bad[:2]]
    Invitation.objects.filter(pk=row.pk).update(expires_at=timezone.now())
    answers.append(accept(call, token))
    answers.append(accept(call, str(InvitationToken.issue(other.pk, 1, other.secret)), host=GLOBEX))
    assert {(answer.status_code, answer.content) for answer in answers} == {(400, answers[0].content)}
    assert code(answers[0]) == "invalid_invitation"
    assert not User.objects.filter(email=NEW).exists()


def test_a_password_follows_the_rules(call: Call) -> None:
    token = invited(call)
    assert error_codes(accept(call, token, password="short")) >= {("#/password", "password_too_short")}
    missing = call("nobody", "POST", ACCEPT, {"token": token}, host=API_HOST)
    assert error_codes(missing) == {("#/password", "required")}
    assert (invitation_of().status, User.objects.filter(email=NEW).exists()) == ("pending", False)


def test_where_and_with_which_token(call: Call) -> None:
    """The tenant's own host, or none; a bearer token that can join tenants, or none."""
    user = accounts.create_user(email=NEW, password=PASSWORD)
    members.add_member(tenant_id=Tenant.objects.get(slug="globex").pk, user_id=user.pk, role="viewer")
    token = invited(call)
    narrow, whole = sign_in(Actor(NEW, GLOBEX), scope="profile:write"), sign_in(Actor(NEW, GLOBEX))
    refused = accept(call, token, by=narrow)
    assert (refused.status_code, code(refused), refused.json()["scope"]) == (403, "insufficient_scope", "tenants:write")
    assert code(accept(call, token, by=whole, host=ACME)) == "tenant_mismatch"
    body = {"token": token}
    for actor, expected in (("acme_client", 403), ("acme_support", 403), ("operator", 401)):
        assert call(actor, "POST", ACCEPT, body, host=API_HOST).status_code == expected, actor
    for header, expected in (("Bearer x", 401), ("Bearer", 400), ("Bearer a b", 400)):
        answer = call("nobody", "POST", ACCEPT, body, host=API_HOST, HTTP_AUTHORIZATION=header)
        assert answer.status_code == expected, header
    Tenant.objects.filter(slug="acme").update(status=TenantStatus.SUSPENDED)
    assert code(accept(call, token, by=whole)) == "tenant_suspended"
    Tenant.objects.filter(slug="acme").update(status=TenantStatus.ACTIVE)
    assert accept(call, token, host=ACME).status_code == 201


def test_whoever_came_another_way_meanwhile_stays_what_they_are(call: Call) -> None:
    token = invited(call, role="admin")
    joined, before = join(NEW, "viewer"), events()
    members.suspend_member(tenant_id=acme().pk, membership_id=joined.pk, by=member("owner@acme.test").user_id)
    assert accept(call, token).status_code == 201
    assert (member(NEW).role, member(NEW).status) == ("viewer", "suspended")
    assert events()[len(before) :] == ["member.suspended", "invitation.accepted"]


# --- The inviter's rights, as they are then ---------------------------------------------------------------------------

ADMIN = "admin@acme.test"
MEANWHILE: dict[str, tuple[str, str, str]] = {
    # What happened to the inviter (method, path, what else), who had invited a member.
    "nothing": ("GET", "", ""),
    "made owner": ("PATCH", "", "owner"),
    "made member": ("PATCH", "", "member"),
    "made viewer": ("PATCH", "", "viewer"),
    "made inviter": ("PATCH", "", "inviter"),
    "suspended": ("POST", "/suspend", ""),
    "removed": ("DELETE", "", ""),
}


@pytest.mark.parametrize("event", [*MEANWHILE, "left", "closed", "deleted"])
def test_what_counts_is_what_the_inviter_may_do_now(call: Call, event: str) -> None:
    compose("inviter", "invitations:write projects:read")
    token, before = invited(call), User.objects.count()
    if event == "left":
        members.leave(tenant_id=acme().pk, user_id=member(ADMIN).user_id)
    elif event == "closed":
        accounts.set_active(user_id=member(ADMIN).user_id, is_active=False)
    elif event == "deleted":
        accounts.delete_account(user_id=member(ADMIN).user_id)
        before -= 1
    else:
        method, more, role = MEANWHILE[event]
        assert call("acme_owner", method, path(ADMIN) + more, {"role": role} if role else None).status_code < 300
    is_good = event in {"nothing", "made owner"}
    assert code(accept(call, token)) == ("" if is_good else "invalid_invitation")
    assert User.objects.count() - before == int(is_good)


def test_roles_that_changed_meanwhile_count_as_they_are(call: Call) -> None:
    """The inviter's own, and the one that is given: it is as good as its inviter at every moment."""
    own, given = compose("inviter", "invitations:write projects:write"), compose("lead", "projects:read")
    inviter = signed_in("inviter@acme.test", "inviter")
    assert ask(call, inviter, "POST", INVITATIONS, {"email": NEW, "role": "lead"}).status_code == 201
    token = mailed_token()
    for role, scopes, expected in (
        (given, ["projects:read", "members:write"], "invalid_invitation"),
        (given, ["projects:write"], None),
        (own, ["invitations:write", "projects:read"], "invalid_invitation"),
        (own, ["projects:write"], "invalid_invitation"),
        (own, ["invitations:write", "projects:write"], ""),
    ):
        assert call("acme_owner", "PATCH", f"/api/v1/roles/{role.pk}", {"scopes": scopes}).status_code == 200
        if expected is not None:
            assert code(accept(call, token)) == expected, scopes
    assert member(NEW).role == "lead"
