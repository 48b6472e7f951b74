"""Inviting: one invitation for an address, never above the inviter, sent again, taken back."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from identity.invitations.models import Invitation
from identity.invitations.services import mail_variables, prune_invitations
from identity.mail.delivery import Outcome, deliver
from identity.mail.models import OutgoingMail
from identity.members.models import Membership
from tenants.audit.models import AuditEvent
from tests.conftest import API_HOST, CAST, Call, sign_in
from tests.smtp import MailServer, text_of, token_of
from tests.test_members import acme, ask, code, compose, events, member, path, signed_in

INVITATIONS = "/api/v1/invitations"
ACCEPT = f"{INVITATIONS}/accept"
NEW, NEW_PASSWORD = "vera@people.test", "lantern gravel teapot"


def invite(call: Call, email: str = NEW, role: str = "member", actor: str = "acme_admin", **more: Any) -> Any:
    return call(actor, "POST", INVITATIONS, {"email": email, "role": role, **more})


def mailed_token(email: str = NEW) -> str:
    """The token in the newest mail to an address, computed as it will be when it is sent."""
    mail = OutgoingMail.objects.filter(template="invitation", recipient=email).latest("created_at")
    variables = mail_variables(mail.context)
    assert variables is not None
    return str(variables["token"])


def invited(call: Call, email: str = NEW, role: str = "member", **more: Any) -> str:
    """Invite somebody and return their token."""
    response = invite(call, email, role, **more)
    assert response.status_code == 201, response.content
    return mailed_token(email)


def accept(call: Call, token: str, *, host: str = API_HOST, by: Any = None, **more: Any) -> Any:
    """Accept, signed in as `by`, or as somebody new."""
    body = {"token": token, **({} if by else {"password": NEW_PASSWORD, "name": "Vera"}), **more}
    headers = {"HTTP_AUTHORIZATION": f"Bearer {by['access_token']}"} if by else {}
    return call("nobody", "POST", ACCEPT, body, host=host, **headers)


def invitation_of(email: str = NEW) -> Invitation:
    return Invitation.objects.defer(None).filter(email=email).latest("created_at")


# --- Inviting ---------------------------------------------------------------------------------------------------------


def test_an_invitation_is_one_mail_one_event_and_shows_no_secret(call: Call, smtp: MailServer) -> None:
    before = events()
    response = invite(call, "Vera@People.test", expires_in_days=30)
    row = response.json()
    assert (row["email"], row["role"], row["status"]) == (NEW, "member", "pending")
    assert row["invited_by"] == str(member("admin@acme.test").user_id)
    assert invitation_of().expires_at - timezone.now() < timedelta(days=30)
    assert events()[len(before) :] == ["invitation.created"]
    assert deliver() == {Outcome.SENT: 1}
    (message,) = smtp.to(NEW)
    assert message["Subject"] == "Admin invites you to Acme Corporation"
    assert "with the role\nmember" in text_of(message)
    token = token_of(message)
    secret = bytes(invitation_of().secret)
    shown = [response.content.decode(), call("acme_admin", "GET", INVITATIONS).content.decode()]
    shown += map(str, AuditEvent.objects.filter(tenant=acme()).values("targets", "changes"))
    assert not [text for text in shown if token in text or secret.hex() in text or token[-40:] in text]
    assert accept(call, token).status_code == 201


def test_one_address_has_one_pending_invitation(call: Call) -> None:
    assert invite(call).status_code == 201
    assert code(invite(call, "VERA@people.test", "viewer")) == "already_invited"
    assert call("globex_owner", "POST", INVITATIONS, {"email": NEW, "role": "viewer"}).status_code == 201
    for email in ("viewer@acme.test", "Both@people.test"):
        assert code(invite(call, email)) == "already_member"
    Membership.objects.filter(user__email="viewer@acme.test").update(status="suspended")
    assert code(invite(call, "viewer@acme.test")) == "already_member"
    call("acme_owner", "POST", f"{INVITATIONS}/{Invitation.objects.get(email=NEW, tenant=acme()).pk}/revoke")
    assert invite(call).status_code == 201


def test_how_long_it_is_good(call: Call) -> None:
    invite(call)
    assert timedelta(days=6.99) < invitation_of().expires_at - timezone.now() < timedelta(days=7)
    for days in (0, -1, 31, "soon", None, 10**9):
        assert code(invite(call, "other@people.test", expires_in_days=days)) == "validation_error", days


@pytest.mark.parametrize(
    ("actor", "role", "expected"),
    [
        ("acme_owner", "owner", ""),
        ("acme_admin", "owner", "outranked"),
        ("acme_admin", "admin", ""),
        ("acme_admin", "lead", ""),
        ("inviter", "admin", "outranked"),
        ("inviter", "lead", "scope_not_held"),
        ("inviter", "viewer", "scope_not_held"),
        ("inviter", "inviter", ""),
        ("narrow", "viewer", "scope_not_held"),
        ("narrow", "reader", ""),
        ("acme_member", "viewer", "insufficient_scope"),
        ("acme_admin", "emperor", "validation_error"),
    ],
)
def test_the_role_is_never_above_the_inviter(call: Call, actor: str, role: str, expected: str) -> None:
    compose("lead", "projects:write members:write")
    compose("reader", "projects:read")
    compose("inviter", "invitations:write projects:read members:read")
    before, body = events(), {"email": NEW, "role": role}
    if actor in CAST:
        response = call(actor, "POST", INVITATIONS, body)
    elif actor == "inviter":
        response = ask(call, signed_in("inviter@acme.test", "inviter"), "POST", INVITATIONS, body)
        before = [*before, "member.added"]
    else:
        narrow = sign_in(CAST["acme_admin"], scope="invitations:write projects:read")
        response = ask(call, narrow, "POST", INVITATIONS, body)
    assert code(response) == expected
    assert events()[len(before) :] == ([] if expected else ["invitation.created"])
    assert OutgoingMail.objects.filter(recipient=NEW).exists() == (not expected)


def test_many_at_once_each_for_itself(call: Call) -> None:
    """In the order of the request; what is refused leaves nothing, and keeps nobody else from being invited."""
    invite(call, "pending@people.test")
    rows = [("a@people.test", "member"), ("pending@people.test", "member"), ("owner@acme.test", "viewer")]
    rows += [("b@people.test", "owner"), ("c@people.test", "emperor"), ("A@people.test", "viewer")]
    rows += [("d@people.test", "admin")]
    before = events()
    body = {"invitations": [{"email": email, "role": role} for email, role in rows]}
    results = call("acme_admin", "POST", f"{INVITATIONS}/bulk", body).json()["results"]
    assert [row["email"] for row in results] == [email for email, _ in rows]
    codes = ["", "already_invited", "already_member", "outranked", "unknown_role", "already_invited", ""]
    assert [row.get("code", "") for row in results] == codes
    assert [row["invitation"]["role"] for row in results if "invitation" in row] == ["member", "admin"]
    assert events()[len(before) :] == ["invitation.created"] * 2
    assert Invitation.objects.count() == OutgoingMail.objects.filter(template="invitation").count() == 3
    assert [accept(call, mailed_token(email)).status_code for email in ("a@people.test", "d@people.test")] == [201] * 2


def test_as_many_as_a_hundred(call: Call) -> None:
    body = {"invitations": [{"email": f"{number}@people.test", "role": "viewer"} for number in range(101)]}
    assert code(call("acme_admin", "POST", f"{INVITATIONS}/bulk", body)) == "validation_error"
    assert code(call("acme_admin", "POST", f"{INVITATIONS}/bulk", {"invitations": []})) == "validation_error"
    body["invitations"].pop()
    results = call("acme_admin", "POST", f"{INVITATIONS}/bulk", body).json()["results"]
    assert [row["invitation"]["email"] for row in results] == [f"{number}@people.test" for number in range(100)]
    body["invitations"][7]["email"] = "no address"
    refused = call("acme_admin", "POST", f"{INVITATIONS}/bulk", body).json()["results"][7]
    assert (refused["email"], refused["code"]) == ("no address", "invalid")


# --- Again, and never mind --------------------------------------------------------------------------------------------


def test_sending_again_makes_another_token_and_the_former_is_void(call: Call, smtp: MailServer) -> None:
    first, before = invited(call), events()
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1), sent_at=timezone.now() - timedelta(7))
    assert call("acme_admin", "GET", f"{INVITATIONS}?status=expired").json()["results"][0]["status"] == "expired"
    row = call("acme_owner", "POST", f"{INVITATIONS}/{invitation_of().pk}/resend").json()
    assert (row["status"], row["invited_by"]) == ("pending", str(member("owner@acme.test").user_id))
    assert invitation_of().expires_at - timezone.now() > timedelta(days=6.99)
    assert deliver() == {Outcome.SENT: 1, Outcome.DROPPED: 1}, "the first mail says nothing that is so"
    assert code(accept(call, first)) == "invalid_invitation"
    call("acme_owner", "DELETE", path("admin@acme.test"))
    assert accept(call, token_of(smtp.to(NEW)[0])).status_code == 201, "it stands on whoever sent it last"
    assert events()[len(before) :] == [
        *("invitation.resent", "member.removed", "member.added", "invitation.accepted"),
    ]
    assert code(call("acme_owner", "POST", f"{INVITATIONS}/{invitation_of().pk}/resend")) == "invitation_over"


def test_whoever_could_not_send_it_does_not_send_it_again(call: Call) -> None:
    compose("inviter", "invitations:write projects:read members:read")
    invited(call, role="admin")
    before, where = invitation_of(), f"{INVITATIONS}/{invitation_of().pk}/resend"
    assert code(ask(call, signed_in("inviter@acme.test", "inviter"), "POST", where)) == "outranked"
    narrow = sign_in(CAST["acme_owner"], scope="invitations:write")
    assert code(ask(call, narrow, "POST", where)) == "scope_not_held"
    assert (invitation_of().generation, invitation_of().invited_by) == (1, before.invited_by)


def test_a_revoked_invitation_is_over(call: Call) -> None:
    token, before = invited(call), events()
    where = f"{INVITATIONS}/{invitation_of().pk}"
    for _ in range(2):
        assert call("acme_admin", "POST", f"{where}/revoke").json()["status"] == "revoked"
    assert events()[len(before) :] == ["invitation.revoked"]
    assert mail_variables(OutgoingMail.objects.latest("created_at").context) is None
    assert code(accept(call, token)) == "invalid_invitation"
    assert code(call("acme_admin", "POST", f"{where}/resend")) == "invitation_over"
    accept(call, invited(call))
    assert code(call("acme_admin", "POST", f"{INVITATIONS}/{invitation_of().pk}/revoke")) == "invitation_over"
    for action in ("resend", "revoke"):
        assert code(call("globex_owner", "POST", f"{where}/{action}")) == "not_found"


def test_invitations_are_listed_by_what_became_of_them(call: Call) -> None:
    for name in ("accepted", "revoked", "expired", "pending", "replaced"):
        token = invited(call, f"{name}@people.test")
        if name == "accepted":
            accept(call, token)
    Invitation.objects.filter(email="revoked@people.test").update(status="revoked")
    over = Invitation.objects.filter(email__in=["expired@people.test", "replaced@people.test"])
    over.update(expires_at=timezone.now())
    assert invite(call, "replaced@people.test").status_code == 201

    def listed(query: str) -> list[str]:
        rows = call("acme_admin", "GET", f"{INVITATIONS}?{query}").json()["results"]
        return sorted(f"{row['email'].partition('@')[0]} {row['status']}" for row in rows)

    assert listed("status=expired") == ["expired expired", "replaced expired"]
    assert listed("status=pending") == ["pending pending", "replaced pending"]
    assert listed("status=accepted") == ["accepted accepted"]
    assert listed("search=repl&status=pending") == ["replaced pending"]
    assert len(listed("ordering=email")) == 6
    assert call("globex_owner", "GET", INVITATIONS).json()["results"] == []
    assert [prune_invitations(keep=timedelta(days=-40), limit=4) for _ in range(3)] == [4, 2, 0]
