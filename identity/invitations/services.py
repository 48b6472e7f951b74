"""Inviting people, and joining by invitation: every function is one transaction, and holds the tenant first of all. A
list of invitations, an acceptance and a change of roles would wait for each other otherwise.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from identity.accounts import registration
from identity.accounts import services as accounts
from identity.accounts.models import normalize_email
from identity.invitations.errors import AlreadyInvited, HasOwner, InvalidInvitation, InvitationOver, InvitedAnother
from identity.invitations.models import Invitation, InvitationStatus, InvitationToken
from identity.keys.computed import MalformedToken
from identity.mail import services as mail
from identity.members import selectors as members
from identity.members import services as memberships
from identity.members.errors import AlreadyMember, Outranked
from identity.roles import selectors as roles
from permissions import scopes
from permissions.errors import ScopeNotHeld
from permissions.roles import Role
from permissions.scopes import Scope
from tenants.audit.services import Target, record
from tenants.registry import services as registry
from tenants.registry import states

MAIL = "invitation"


@transaction.atomic
def invite(*, tenant_id: UUID, email: str, role: str, by: UUID, held: frozenset[str], days: int) -> Invitation:
    """Invite an address, and send the invitation.

    Args:
        by: the account that invites; its rights are looked at again when the invitation is accepted.
        held: what the caller's token holds.
        days: how long it can be accepted, up to ``settings.INVITATION_DAYS_LIMIT``.

    Raises:
        ValidationError: the tenant has no such role.
        Outranked, ScopeNotHeld: the role is more than the caller may give.
        AlreadyMember: the address's account is in the tenant.
        AlreadyInvited: there is a pending invitation.
    """
    address = normalize_email(email)
    registry.hold_tenant(tenant_id=tenant_id)
    wanted = roles.role_by_name(tenant_id=tenant_id, name=role)
    memberships.refuse_to_give(tenant_id=tenant_id, by=by, wanted=wanted.standing, held=held)
    if members.is_member(tenant_id=tenant_id, email=address):
        raise AlreadyMember
    _make_room(tenant_id, address)
    try:
        with transaction.atomic():
            invitation = Invitation.objects.create(
                tenant_id=tenant_id,
                email=address,
                role=wanted.name,
                custom_role=wanted.custom,
                invited_by=by,
                expires_at=_in_days(days),
            )
    except IntegrityError:  # somebody else invited them at this moment
        raise AlreadyInvited from None
    _send(invitation)
    _record("invitation.created", invitation, {"role": [None, invitation.role]})
    return invitation


@transaction.atomic
def invite_owner(*, tenant_id: UUID, email: str) -> Invitation:
    """Invite the first owner of a tenant, in the platform's own name, and send the invitation. One to this address, and
    an earlier one of the platform's to another address, are void.

    It stands on no member of staff, who may be gone when it is accepted, but on the tenant having no owner: the
    platform gives nobody a place beside one.

    Raises:
        Tenant.DoesNotExist: there is no such tenant.
        HasOwner: it has an active owner.
    """
    registry.hold_tenant(tenant_id=tenant_id)
    if members.owners_of(tenant_id).exists():
        raise HasOwner
    address = normalize_email(email)
    pending = Invitation.objects.filter(tenant_id=tenant_id, status=InvitationStatus.PENDING)
    for former in pending.filter(Q(invited_by=None) | Q(email=address)):
        revoke(tenant_id=tenant_id, invitation_id=former.pk)
    invitation = Invitation.objects.create(
        tenant_id=tenant_id, email=address, role=Role.OWNER, expires_at=_in_days(settings.INVITATION_DAYS)
    )
    _send(invitation)
    _record("invitation.created", invitation, {"role": [None, invitation.role]})
    return invitation


@transaction.atomic
def resend(*, tenant_id: UUID, invitation_id: UUID, by: UUID, held: frozenset[str]) -> Invitation:
    """Send an invitation again, with another token and from now on for as long as it was good at first. The former
    token is void, and the invitation stands on the rights of whoever sent it last.

    Raises:
        Invitation.DoesNotExist: the tenant has no such invitation.
        InvitationOver: it was accepted or revoked.
        Outranked, ScopeNotHeld: its role is more than the caller may give.
    """
    invitation = _locked(tenant_id, invitation_id)
    if invitation.status != InvitationStatus.PENDING:
        raise InvitationOver
    memberships.refuse_to_give(tenant_id=tenant_id, by=by, wanted=invitation.tenant_role.standing, held=held)
    now = timezone.now()
    invitation.expires_at = now + (invitation.expires_at - invitation.sent_at)
    invitation.sent_at = now
    invitation.generation += 1
    invitation.invited_by = by
    invitation.save(update_fields=["expires_at", "sent_at", "generation", "invited_by"])
    _send(invitation)
    _record("invitation.resent", invitation, {})
    return invitation


@transaction.atomic
def revoke(*, tenant_id: UUID, invitation_id: UUID) -> Invitation:
    """Take an invitation back. Doing it twice changes nothing.

    Raises:
        Invitation.DoesNotExist: the tenant has no such invitation.
        InvitationOver: it was accepted.
    """
    invitation = _locked(tenant_id, invitation_id)
    if invitation.status == InvitationStatus.ACCEPTED:
        raise InvitationOver
    if invitation.status != InvitationStatus.REVOKED:
        invitation.status = InvitationStatus.REVOKED
        invitation.save(update_fields=["status"])
        _record("invitation.revoked", invitation, {})
    return invitation


@transaction.atomic
def accept(
    *, text: str, host_tenant_id: UUID | None, person: UUID | None, password: str = "", name: str = ""
) -> Invitation:
    """Join a tenant by an invitation's token: once, however many try at the same time.

    Who is not signed in proves the address by the token. An account that its address's owner has proved stays as it is,
    password and all; else there is one now, with this password. The answer does not tell the two apart.

    Args:
        host_tenant_id: the tenant of the request's host, if it names one.
        person: the account that is signed in; without one, `password` makes an account where there is none.

    Raises:
        ValidationError: the password breaks a rule.
        InvalidInvitation: it is unknown, over, or its sender may not give its role (any more).
        InvitedAnother: the account that is signed in has another address.
        SeatLimit: the tenant has as many active members as it may; the invitation stays good.
        TenantSuspended: nobody may enter the tenant for now; the invitation stays good.
    """
    invitation = _of_token(text)
    if invitation is None or host_tenant_id not in (None, invitation.tenant_id):
        raise InvalidInvitation
    states.refuse_closed(invitation.tenant.status)
    if person is None:
        user = registration.claim_proved(email=invitation.email, password=password, name=name)
    else:
        user = accounts.hold_account(user_id=person)
        if user.email != invitation.email:
            raise InvitedAnother
        accounts.mark_verified(user_id=person)
    _refuse_void(invitation)
    invitation.status = InvitationStatus.ACCEPTED
    invitation.accepted_at = timezone.now()
    invitation.accepted_by = user.pk
    invitation.save(update_fields=["status", "accepted_at", "accepted_by"])
    try:
        with transaction.atomic():
            memberships.add_member(
                tenant_id=invitation.tenant_id, user_id=user.pk, role=invitation.role, reason="invited"
            )
    except AlreadyMember:
        pass  # they came by another way meanwhile, and stay what they are
    _record("invitation.accepted", invitation, {}, person=user.pk)
    return invitation


def mail_variables(context: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what the invitation's mail says, or None when there is nothing to accept any more (a builder of
    ``identity.mail``).
    """
    rows = Invitation.objects.defer(None).select_related("tenant")
    invitation = rows.filter(pk=context["invitation_id"], generation=context["generation"]).first()
    if invitation is None or not invitation.is_live:
        return None
    inviter = invitation.invited_by
    token = str(InvitationToken.issue(invitation.pk, invitation.generation, invitation.secret))
    return {
        "tenant": invitation.tenant.name,
        "role": invitation.role,
        "inviter": inviter and members.name_of(tenant_id=invitation.tenant_id, user_id=inviter),
        "until": invitation.expires_at,
        "token": token,
        "link": f"{settings.FRONTEND_URL}/accept-invitation#token={token}",
    }


@transaction.atomic
def prune_invitations(*, keep: timedelta, limit: int) -> int:
    """Delete at most `limit` invitations that could no longer be accepted `keep` ago, and return how many."""
    old = Invitation.objects.filter(expires_at__lt=timezone.now() - keep).order_by("expires_at")
    batch = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit])
    Invitation.objects.filter(pk__in=batch).delete()
    return len(batch)


def _refuse_void(invitation: Invitation) -> None:
    """Refuse an invitation that its sender could not send now: their rights count, not those that they had."""
    if invitation.invited_by is None:
        if members.owners_of(invitation.tenant_id).exists():
            raise InvalidInvitation
        return
    own = members.standing_of(tenant_id=invitation.tenant_id, user_id=invitation.invited_by)
    if own is None or not scopes.holds(own.scopes, Scope.INVITATIONS_WRITE):
        raise InvalidInvitation
    try:
        memberships.refuse_above(own=own, wanted=invitation.tenant_role.standing, held=own.scopes)
    except (Outranked, ScopeNotHeld):
        raise InvalidInvitation from None


def _of_token(text: str) -> Invitation | None:
    """Return the live invitation of a genuine token, locked."""
    try:
        token = InvitationToken.parse(text)
    except MalformedToken:
        return None
    rows = Invitation.objects.defer(None).filter(pk=token.row_id)
    found = rows.first()
    if found is None or not token.is_genuine(found.secret):
        return None
    registry.hold_tenant(tenant_id=found.tenant_id)
    invitation = rows.select_related("tenant", "custom_role").select_for_update(of=("self",)).first()
    if invitation is None or token.generation != invitation.generation:
        return None
    return invitation if invitation.is_live else None


def _make_room(tenant_id: UUID, email: str) -> None:
    """Note that a pending invitation of an address is over, if its time is."""
    pending = Invitation.objects.filter(tenant_id=tenant_id, email=email, status=InvitationStatus.PENDING)
    former = pending.select_for_update().first()
    if former is not None and former.is_live:
        raise AlreadyInvited
    pending.update(status=InvitationStatus.EXPIRED)


def _locked(tenant_id: UUID, invitation_id: UUID) -> Invitation:
    registry.hold_tenant(tenant_id=tenant_id)
    rows = Invitation.objects.select_related("custom_role").select_for_update(of=("self",))
    return rows.get(pk=invitation_id, tenant_id=tenant_id)


def _send(invitation: Invitation) -> None:
    context = {"invitation_id": str(invitation.pk), "generation": invitation.generation}
    mail.enqueue(template=MAIL, to=invitation.email, context=context, tenant_id=invitation.tenant_id)


def _in_days(days: int) -> Any:
    return timezone.now() + timedelta(days=days)


def _record(action: str, invitation: Invitation, changes: dict[str, list[Any]], person: UUID | None = None) -> None:
    targets = [Target("invitation", invitation.pk, invitation.email)]
    record(action=action, tenant_id=invitation.tenant_id, targets=targets, changes=changes, person=person)
